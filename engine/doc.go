// Package engine moves leads through workflows: it enrolls them, starts their
// steps, waits, retries, branches, and removes one lead safely while all others
// go on. It is embedded: one process, one store, no server.
//
//	st, err := sqlite.Open(ctx, "leads.db", sqlite.Options{})
//	eng, err := engine.New(st, engine.Config{
//		Handlers: map[string]engine.Handler{"voice_call": dialler},
//	})
//	err = eng.Start(ctx)
//	…
//	stop, err := eng.Suppress(ctx, engine.Suppress{PhoneNumber: number, Reason: "asked to stop"})
//	err = stop.Wait(ctx) // until the call in flight is over
//	…
//	err = eng.Shutdown(ctx)
//
// # Promises
//
// Each holds under concurrency, across kill -9 at any instant, and across a
// power cut as far as the store is durable.
//
//  1. Acknowledged is durable. When a method that changes something, such as Enroll,
//     Remove or CompleteStep, returns without error, the change is on disk.
//  2. Removed means silent. After Remove has returned, no new step of that lead
//     starts, ever. At most the one step that was in flight completes.
//  3. No live call is cut. Remove, PauseWorkflow and CancelWorkflow never cancel the
//     context of a running attempt, and Shutdown only when its own deadline runs out.
//  4. Removal ends. A pending removal becomes removed when the step in flight
//     completes, fails for good, or passes its deadline, even if the process dies in
//     between. A hook that fails, hangs or panics is recorded and does not delay it
//     beyond the hook's timeout.
//  5. Nothing is left behind. A final lead has no timer, no worker and no scheduled
//     message. What was cancelled is in its history.
//  6. Only that lead. Removing one lead changes no other lead's schedule, and does
//     not stop the workflow.
//  7. History stays. Steps, attempts and call logs remain after removal and
//     completion.
//  8. One outcome. Each step gets exactly one outcome; a late, repeated or foreign
//     completion changes nothing and gets an error that says so.
//  9. At least once, with a key. A handler may be called again after a crash; the
//     attempt then has the same idempotency key and is marked Redelivered, and a
//     [Reconciler] is asked about it first. An attempt
//     that waits for its callback or its retry is not mistaken for a crashed one.
//  10. Never stuck. Every lead that is not final is due at a known time, or has a
//     step in flight with a deadline, or sits in a workflow that is not active. An
//     outcome without an edge takes the default edge; without that, the lead is
//     completed with the outcome no_route.
//  11. Typed refusals. The error for an unknown workflow, an unknown lead or a lead of
//     another workflow matches lead.ErrNotFound; that for a final lead matches
//     lead.ErrConflict and carries the ids and the state.
//  12. One owner. A second process that opens the same SQLite file immediately gets a
//     clear error.
//  13. Stop means the person. After Suppress has returned, no new attempt starts for that
//     person within the suppression's scope, in any workflow and on any engine, and no
//     enrollment brings the person back until it is lifted or has expired. After
//     RemoveContact has returned, no new step starts of any lead that the person had.
//  14. Never outside the hours. No attempt, the first or a retry, starts outside the
//     calling hours that hold for the lead. Where a number has several time zones, all of
//     them must allow it.
//  15. Never more than allowed. No limit is exceeded at any instant, by one engine or by
//     several that share a store.
//  16. One engine acts. At most one engine begins a lead's attempts at a time. One that
//     has lost its lease commits nothing and begins nothing more, and finds that out
//     before it acts.
//  17. What is paused does not dial. After PauseWorkflow or Hold has returned, no attempt
//     begins, not even a retry.
//
// # How it works
//
// One package, internal/core, decides what a lead needs next and how an event
// changes it. It is pure: it has no goroutine, no clock and no store. Every rule is
// a clause there, and nothing acts without asking it. One goroutine, the loop in
// package internal/run, calls it: the loop takes what has come in (requests of
// callers, results of handlers, what is due), asks the core how each lead changes,
// writes all changes in one commit, and only then answers callers and calls
// handlers. Package engine itself decides nothing: it checks its callers' input,
// passes it to the loop, and returns what is in the store.
//
//	Enroll, Remove, CompleteStep, …    engine          checks the input
//	inbox → loop → batch               internal/run    one goroutine, many leads a commit
//	Next, Apply                        internal/core   the rules
//	Commit                             store           then callers are answered
//
// A batch is what came in while the one before it was being written, so an idle
// engine commits immediately, and a busy one writes many changes with one disk sync.
// Under load, a batch is decided while the one before it is written. Two such batches
// have no lead in common: what concerns a lead in the batch being written waits until
// that write has ended.
//
// All due times are in the store. Memory holds the leads with a step in flight in this
// process and those that are due next (see horizon.go in internal/run). To recover
// from a crash, the loop reads the store from the beginning of its due order. An
// attempt that is on record as running, and that this process has not begun, was
// interrupted by a crash.
//
// Over a store that several engines share (store/postgres), each one is such a loop, and
// may change any lead, because a change names the version of the row that it was decided
// on. By itself a loop acts only on the leads of its shards, and on those for which it
// runs a handler or hooks; see share.go in internal/run. What was decided on an older
// version is left out of the commit and decided again.
//
// A [Stepped] engine is the same without a goroutine: its caller runs the loop.
// Tests and simulations use it through package enginetest.
//
// # Design decisions
//
//   - A step's timeout bounds the time that each attempt is in flight. When it passes,
//     the step fails without another attempt: the outcome is unknown, and dialling
//     again might ring twice. The time that a retry is queued does not count, because
//     with a timeout of one hour and retries 30 and 60 minutes apart no third attempt
//     would ever be made.
//   - A queued retry is in flight. It is made although removal is pending, unless the
//     removal was asked for with SkipRetries. While the workflow is paused, the retry
//     waits for the resume; but a pending removal never waits for a resume, so then the
//     retry is dropped and the lead removed. Cancelling drops queued retries. The same
//     holds for an attempt that a crash interrupted.
//   - A suppression removes the person's leads in the commit that records it, so the step
//     path has nothing to ask, and costs the same with a million of them. The store refuses
//     to enroll whom one forbids, in the commit of the enrollment, so no race lets anybody
//     in. One for a channel is noted with the leads, because they go on.
//   - A hold stops the lead's time: on release, a wait goes on with what was left of it. A
//     pause of a workflow does not: what came due meanwhile is done on resume.
//   - Until the calling hours open, or a limit for a person lets the lead go on, the lead
//     sleeps on disk: the opening is noted with the lead, so a hundred thousand that wait
//     for the morning take no memory. The time zones of a number are looked up when it is
//     enrolled, and kept with the lead.
//   - A handler is not called once the calling hours have ended, even if its attempt was
//     committed before: the attempt is then made, under the same number, at the opening.
//   - Leads that wait for a limit have a queue for each limit and workflow, and hold no
//     worker. Workflows that share a limit are served by weighted turns. Only the first
//     two thousand of each queue are in memory.
//   - Engines that share a store keep limits together: the store has an account of what
//     all of them use, changed in the commit that starts or ends an attempt, by its own
//     clock, and refuses a commit that would exceed a limit. Limits for each contact need
//     no account, because one engine has all leads of a contact; they go by that engine's
//     clock.
//   - A start counts for a limit from its commit on, before the handler is called, and the
//     span of the limit begins when it is called; see [workflow.Limit]. If the process ends
//     in between, the attempt is delivered again, and counts again.
//   - An exit of the workflow by a signal lets the step in flight finish, its queued
//     retries included, as a removal without SkipRetries does.
//   - A split falls by the lead's number, along a sequence that deals evenly, and not at
//     random: so it needs nothing on record, and small samples are even, too.
//   - An expression whose inputs are not in memory, or whose evaluation may be
//     expensive, is evaluated outside the loop; the lead waits at its node meanwhile.
//   - An attempt whose handler says that nothing was done ([NotMade]) is not counted,
//     because a fault of the network says nothing about the person. Until a back-off
//     has passed, no other attempt with its rate key begins. The back-off is kept in
//     memory only; after a restart the first attempt finds the fault again. A pending
//     removal does not wait for it.
//   - A process that ended during an attempt may have ended because of it. If it has
//     ended more than Config.MaxRedeliveries times, the lead is parked: its handler is
//     not called again, and the step's timeout, a callback or a removal ends the step.
//     Parked is a reason why a lead waits, not a state, so no other rule depends on it.
//   - Before an interrupted attempt is delivered again, a handler that is a [Reconciler]
//     is asked what became of it. Asking begins and ends nothing: whether the attempt may
//     still be made is decided when the answer is there, because a pause or a removal may
//     have come meanwhile. If the answer is unknown and the node says "fail", the step
//     fails without a retry, which might reach the same person a second time.
//   - In a store that several engines share, an attempt is on record with the engine that
//     makes it. While that engine has its place, only it decides what the step comes to;
//     when it has lost its place, the attempt is one that a crash interrupted. A shard can
//     go to another engine meanwhile, so that engines that come and go need not wait for
//     live calls.
//   - A handler is called only while its engine surely holds the lease under which the
//     attempt was committed. An engine that was stopped longer finds that out before it
//     calls anybody, by the monotonic clock, and without asking the database.
//   - A change of a workflow is in force on every engine when the call returns: each has
//     taken note of it and called the handlers of attempts that were begun before, or has
//     lost its place. So the call takes as long as a lease when an engine has just died.
//     What stops a person (Suppress, RemoveContact, Hold) likewise returns when the handler
//     of an attempt that was begun before has been called, by whatever engine. It waits
//     for no engine that makes no attempt of the person.
//   - A callback counts for an attempt that failed, until its retry begins: the
//     provider may have taken the call although its answer was lost. The retry is
//     dropped.
//   - A callback may arrive before the handler that started the call has returned; the
//     step then ends when the handler returns. Only one handler runs for a lead at a
//     time.
//   - An attempt whose deadline passed while no engine ran has failed; it is not
//     made again.
//   - A scheduled message is a step beside the path. One step of a lead is in
//     flight at a time: a message that comes due during a call is sent after it,
//     and removal waits for a message that is being sent, as for any step.
//   - When a pending removal ends, the node that the outcome would have led to is
//     in the history as cancelled, with the time at which it would have been due.
//   - A condition that cannot be evaluated is false. A wait whose end cannot be
//     evaluated completes the lead with no_route, because going on immediately might
//     call somebody at night. The history says why in both cases.
//   - A cycle of nodes in which a lead meets no step and no wait is throttled to one
//     turn a minute.
//   - Free workers take interrupted attempts and due retries first, because removals
//     may wait for them, then the lead that was due first. A lead keeps its place from
//     step to step, but after going through a cycle it queues behind all leads that are
//     due already.
//   - Times are milliseconds of the wall clock, and due times are rounded up: nothing
//     is early. When the wall clock jumps, the engine notices within ten seconds.
//
// # Caveats
//
// Handlers run at least once, not exactly once: pass the idempotency key on to the
// provider, or see [Reconciler]. A handler that ignores its context is abandoned when its deadline has
// passed, and its goroutine stays until it returns. The cost of an expression is
// bounded; see package workflow. When the store fails, callers get its error, the
// results of handlers are kept, and the loop retries until the store recovers. If a
// disk refuses to sync and the process ends right then, the next process may find the
// refused change on disk all the same.
package engine
