// Package core decides what a lead needs next and how events change it. It is pure:
// it has no goroutine, no clock, no store and no lock; everything that a decision
// depends on is passed to it. It has two main functions:
//
//   - [Next] returns what a lead needs now, with the reason: nothing, nothing before a
//     certain time, a free worker, the result of an expression, or a change. All code
//     that queues or wakes a lead asks Next, and asks again when it acts: what was
//     queued a minute ago may have been answered, removed or paused since.
//   - [Turn.Apply] returns the lead after an event, and collects the rows to be written.
//     Comparing the lead before and after tells whether a handler or hooks are to be
//     called.
//
// Every rule is a clause of Next, or of what Next calls, and is written once. An
// attempt begins only by [Begin], which is refused unless Next says that the lead needs
// a worker.
//
// # Files
//
//	view.go       what is known of a lead, and how it is kept
//	flow.go       a workflow, and the changes of its status
//	next.go       Next: what a lead needs, and why
//	rules.go      whether an attempt may begin now
//	turn.go       Apply: one event, and the changes that follow from it by rule
//	begin.go      how an attempt begins
//	end.go        how an attempt, and a step, end
//	notmade.go    attempts that were not made
//	reconcile.go  attempts of which nobody knows what became of them
//	callback.go   how a callback changes a step in flight
//	message.go    scheduled messages beside the path
//	route.go      the way through the graph: enter, wait, branch, finish
//	remove.go     removal
//	answer.go     expressions: what they read, and their results
//	lead.go       a lead and its history as readers see them
//	unreadable.go leads whose rows cannot be read
//
// # Views
//
// A [View] is a value. What it points to is never changed in place, so a copy of it
// keeps the lead as it was: the loop goes back to the copy when a commit fails.
package core
