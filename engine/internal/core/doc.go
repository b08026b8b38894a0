// Package core decides what becomes of a lead. It is pure: it has no goroutine,
// no clock, no store and no lock, and everything that it decides on is given to
// it. Two functions are all of it:
//
//   - [Next] answers what a lead needs now: nothing, nothing until a moment, a
//     free worker, a fact that must be read first, or a change; each with the
//     reason. Whoever queues a lead, wakes it, lists it or explains it asks Next,
//     and asks again at the moment at which it acts: what was queued a minute ago
//     may have been answered, removed or paused since.
//   - [Turn.Apply] answers what an event makes of a lead: another view of it, the
//     rows to be written with it, and, by comparing the two views, whether a
//     handler or hooks are to be called.
//
// A rule is a clause of Next, and stands there once. Nothing begins but by
// [Begin], which refuses unless Next says that a worker is what the lead needs.
//
// # Where things are
//
//	view.go     what is known of a lead, and how it is kept
//	flow.go     a workflow, and what its status may turn into
//	next.go     Next: what a lead needs, and why
//	turn.go     Apply: one event, and the changes that follow from it by rule
//	begin.go    how an attempt begins
//	end.go      how an attempt, and a step, end
//	callback.go what a callback makes of a step in flight
//	message.go  scheduled messages beside the path
//	route.go    the way through the graph: enter, wait, branch, finish
//	remove.go   the way out
//	answer.go   expressions: what they need to be answered
//	lead.go     a lead and its history as readers see them
//
// # Views
//
// A [View] is a value. What it refers to is never changed in place, so a copy of
// it is what the lead was before: the loop goes back to it when a commit fails.
package core
