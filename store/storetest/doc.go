// Package storetest is the contract of a store as a test suite: what package
// store says in words, it checks. A store is fit to be under an engine when
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Factory{Open: open, Reopen: reopen})
//	}
//
// passes, with the race detector on. The names of the subtests are the rules.
//
// One subtest is a random walk against a model. It logs its seed; set
// STORETEST_SEED to that number to walk the same way again.
package storetest
