// Package run is the loop that feeds package core: it takes what comes in from
// callers, handlers, hooks and the clock, asks the core what each makes of its
// lead, has the store write many such decisions in one commit, and only then
// answers callers and calls handlers. It decides nothing about a lead by itself.
//
//	runner.go   a Runner: what package engine talks to
//	inbox.go    how the loop is spoken to
//	loop.go     the loop: what it takes up, and in which order
//	batch.go    what has been decided and is not on disk yet
//	landing.go  what becomes of a batch that is on disk, or was refused
//	entry.go    a lead in memory, and the queues
//	horizon.go  which leads memory holds
//	call.go     calls of handlers; hooks.go: of completion hooks
//	contact.go  contacts, read away from the loop
//	fact.go     expressions, answered away from the loop
//	enroll.go, remove.go, callback.go, patch.go, flow.go   what callers ask for
//	sweep.go    one event for many leads
//	change.go   what listeners are told
//	stepped.go  the loop of an engine that its caller turns
//	stats.go    counters
package run
