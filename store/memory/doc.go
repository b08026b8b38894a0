// Package memory keeps leads in memory: a [store.Store] for tests, and for
// simulations of a million leads at full speed.
//
//	st := memory.New()
//	eng, err := engine.New(st, engine.Config{…})
//
// # Not durable
//
// Nothing outlives the process, so promise 1 of package engine does not hold across its
// end. Use store/sqlite for real leads. Everything else in the contract of package store
// holds, and store/storetest checks it.
//
// [Store.Reopen] simulates the end of one process and the start of the next: the new
// Store has what was committed, and every call to the old one fails. So recovery after a
// crash can be tested without a file.
//
// # Size and speed
//
// A lead takes about 210 bytes when it is new, and 365 when it has gone through four
// steps and waits, not counting its metadata, the data of steps, and the call log (about
// 100 bytes a call). There are few pointers for the garbage collector to follow, but it
// lets the heap grow to twice its size between collections; see GOGC. Deleting a lead
// frees all of that except its calls.
//
// Commit writes several million steps a second in batches of a thousand, and half a
// million to two million if every step is followed by a wait, which moves the lead in
// the due order. BenchmarkCommit and BenchmarkMillion measure it.
//
// Looking up leads and suppressions by number, phone or external id, and counting leads by
// state, takes constant time. Other queries scan all leads, calls, suppressions or audit
// entries after After, some ten million a second. The cost of enrolling a contact grows with the number of its earlier leads,
// which matters from thousands on.
//
// # Concurrency
//
// All methods are safe for concurrent use. A reader sees the store at one moment; a
// commit waits until no reader runs. Readers run concurrently, those of an engine's loop
// included. A reader's result belongs to its caller, and so does a batch after Commit
// has returned. No row is ever unreadable.
//
// The same calls in the same order give the same answers, byte for byte.
//
// # Additional refusals
//
// A row whose number [Store.Reserve] has not handed out is refused, because tables grow
// with the largest number in them.
package memory
