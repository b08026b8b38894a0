// Package run has the loop that drives package core: it takes what comes in from
// callers, handlers, hooks and the clock, asks the core how each lead changes, has the
// store write many changes in one commit, and only then answers callers and calls
// handlers. It decides nothing about a lead by itself.
//
//	runner.go   Runner: what package engine calls
//	inbox.go    how requests and results reach the loop
//	loop.go     the loop: what it does, and in which order
//	batch.go    decisions that are not on disk yet
//	landing.go  what happens when a batch is on disk, or was refused
//	entry.go    a lead in memory, and the queues
//	horizon.go  which leads are in memory
//	call.go     calls of handlers
//	begun.go    attempts on record whose handlers are about to be called
//	hooks.go    calls of completion hooks
//	contact.go  contacts, read outside the loop
//	fact.go     expressions, evaluated outside the loop
//	enroll.go, remove.go, callback.go, patch.go, flow.go   requests of callers
//	sweep.go    one event for many leads
//	listen.go   listeners, and what they are told
//	stepped.go  the loop of a stepped engine, which its caller runs
//	silence.go  how long it takes from an order to stop to silence
//	stats.go    counters
package run
