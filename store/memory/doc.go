// Package memory keeps leads in memory: a [store.Store] for tests, and for
// simulations of a million leads at full speed.
//
//	st := memory.New()
//	eng, err := engine.New(st, engine.Config{…})
//
// # What it does not do
//
// Nothing outlives the process, so promise 1 ends with it: what a commit
// acknowledged is as safe as the process is. Use store/sqlite for leads that are
// people. Everything else that package store asks for is kept, and checked by
// store/storetest.
//
// [Store.Reopen] plays the end of one process and the start of the next: the new
// Store has what was committed, and the old one refuses whatever somebody may
// still ask of it. So what an engine does after a crash can be tested without a
// file.
//
// # Size and speed
//
// A lead takes about 210 bytes when it is new, and 365 when it has gone four
// steps and waits; its metadata, what handlers returned and the call log, at
// about 100 bytes a call, come on top. The garbage collector has next to nothing
// to look at, but lets a heap grow to twice its size before it does; see GOGC. A
// lead that is forgotten gives all of it back, except its calls.
//
// Commit writes several million steps a second in batches of a thousand, and
// between half a million and two when every step is followed by a wait, which
// moves the lead in the due order: BenchmarkCommit and BenchmarkMillion say it
// for the machine at hand.
//
// What a lead's number, phone or external id finds is found immediately, and so
// are counts by state. Other questions about leads and calls look at all of them
// behind After, some ten million a second. A contact that is enrolled thousands of
// times makes its own enrollments slow.
//
// # Concurrency
//
// Every method may be called from any number of goroutines. A reader sees the
// store as of one moment, and a commit waits until nobody reads. Readers run side
// by side, those of an engine's loop among them, and there is no row that cannot
// be read. What a reader
// got is its own, and so is a batch once Commit has returned.
//
// The same calls in the same order give the same answers, to the byte.
//
// # Refusals of its own
//
// Tables grow with the numbers in them, so a number that [Store.Reserve] has not
// handed out is refused.
package memory
