// Package storetest tests whether a store keeps the contract of package store. An engine
// can rely on a store if this test passes with the race detector:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Factory{Open: open, Reopen: reopen})
//	}
//
// The names of the subtests state the rules.
//
// One subtest compares the store with a model in a random walk. It logs its seed; set
// STORETEST_SEED to that number to repeat it.
package storetest
