// Package engine moves leads through workflows: it enrolls them, starts their
// steps, waits, tries again, branches, and takes one out, safely, while
// everything else runs on. It is embedded: one process, one store, no server.
//
//	st, err := sqlite.Open(ctx, "leads.db", sqlite.Options{})
//	eng, err := engine.New(st, engine.Config{
//		Handlers: map[string]engine.Handler{"voice_call": dialler},
//	})
//	err = eng.Start(ctx)
//	…
//	removal, err := eng.Remove(ctx, workflowID, leadID, engine.SkipRetries(), engine.Reason("asked to stop"))
//	gone, err := removal.Wait(ctx)
//	…
//	err = eng.Shutdown(ctx)
//
// # The promises
//
// Each holds under concurrency, across kill -9 at any instant, and across a
// power cut as far as the store is durable.
//
//  1. Acknowledged is durable. When Enroll, Remove, CompleteStep or a change of a
//     workflow returns without error, it is on disk.
//  2. Removed means silent. After Remove has returned, no new step of that lead
//     starts, ever. At most the one step that was in flight completes.
//  3. No live call is cut. Remove, Pause, Cancel and Shutdown never cancel the
//     context of a running attempt; Shutdown only when its own deadline runs out.
//  4. Removal ends. A pending removal becomes removed when the step in flight
//     completes, fails for good, or passes its deadline; also when the process died
//     in between. A hook that fails, hangs or panics is recorded and cannot hold it
//     up.
//  5. Nothing is left behind. A final lead has no timer, no worker and no scheduled
//     message; what was cancelled is in its history.
//  6. Only that lead. Removing one lead changes no other lead's schedule, and does
//     not stop the workflow.
//  7. History stays. Steps, attempts and call logs remain after removal and
//     completion.
//  8. One outcome. Each step gets exactly one outcome; a late, repeated or foreign
//     completion changes nothing and says so.
//  9. At least once, with a key. A handler may be called again after a crash; the
//     attempt then carries the same idempotency key, and a mark. An attempt that
//     waits for its callback or its retry time is not taken for a crashed one.
//  10. Never stuck. Every lead that is not final is due at a known time, or has a
//     step in flight with a deadline, or sits in a workflow that is not active. An
//     outcome without an edge takes the default edge, else completes the lead with
//     outcome no_route.
//  11. Typed refusals. Unknown workflow, unknown lead, lead of another workflow
//     match lead.ErrNotFound; a final lead matches lead.ErrConflict; the error
//     carries the ids and the state.
//  12. One owner. A second process that opens the same SQLite file gets a clear
//     error at once.
//
// And of what came later:
//
//  17. What is paused does not dial. After PauseWorkflow has returned, no attempt
//     begins, a retry included.
//
// # How it works
//
// What a lead needs next, and what every event makes of it, is decided in one
// place, package internal/core, which is pure: a rule is a clause there, and
// nothing acts without asking it. Around it is one goroutine, the loop, in package
// internal/run. It takes what has come in (requests of callers, results of
// handlers, what is due), asks the core what that makes of each lead, has the
// store write all of it in one commit, and only then answers callers and calls
// handlers. This package decides nothing: it checks what callers give it, hands it
// to the loop, and shows what is in the store.
//
//	Enroll, Remove, CompleteStep, …    engine          checks the input
//	inbox → loop → batch               internal/run    one goroutine, many leads a commit
//	Next, Apply                        internal/core   the rules
//	Commit                             store           then callers are answered
//
// A batch is what came in while the last
// one was being written, so an idle engine commits at once and a busy one
// writes many changes for the price of one disk sync. When much comes in, a batch
// is decided while the one before it is on its way to the disk. They have no
// lead in common: what concerns a lead in the batch in flight waits until that
// has landed.
//
// What must happen when is in the store. Memory holds the leads that are in
// flight in this process and those that are due next (see horizon); a crash is
// recovered from by reading the store from the beginning of its due order. An
// attempt that is on record as running, and that this process has not begun, is
// one that a crash interrupted.
//
// A [Stepped] engine is the same without a goroutine: its caller turns the loop.
// Tests and simulations use it, by way of package enginetest.
//
// # Decisions where the design left room
//
//   - A step's timeout bounds each attempt's time in flight, and when it passes
//     the step has failed, without another attempt: the outcome is unknown, and
//     dialling again might ring twice. Time that a retry is queued does not count,
//     because with a timeout of one hour and retries 30 and 60 minutes apart no
//     third attempt would ever be made.
//   - A queued retry is in flight. It is made although removal is pending, unless
//     that was asked for with SkipRetries. While the workflow is paused it waits for
//     the resume; but a lead whose removal is pending never waits for that, so its
//     retry is dropped then. Cancelling drops queued retries. What holds for a queued
//     retry holds for an attempt that a crash interrupted.
//   - An expression whose inputs are not in memory, or whose evaluation may be dear,
//     is answered away from the loop: the lead rests at its node meanwhile.
//   - An attempt of which its handler says that nothing was done ([NotMade]) is not
//     counted, because the network's fault is not the person's outcome. What shares its
//     rate key rests meanwhile. That is in memory alone: after a restart the first
//     attempt finds out anew. A pending removal does not wait for it.
//   - A process that ended during an attempt may have ended because of it. After
//     Config.MaxRedeliveries such ends the lead is parked: nobody is called again, and
//     the step's timeout, a callback or a removal ends it. Parked is a reason why a lead
//     waits, not a state of its own, so nothing else has to know of it.
//   - A callback counts for an attempt that failed, as long as its retry has not
//     begun: the provider may have taken the call although its answer was lost.
//     The retry is dropped.
//   - A callback may be faster than the handler that it answers: the step ends
//     when both are there. One handler of a lead runs at a time.
//   - An attempt whose deadline passed while no engine ran has failed; it is not
//     made again.
//   - A scheduled message is a step beside the path. One step of a lead is in
//     flight at a time: a message that comes due during a call is sent after it,
//     and removal waits for a message being sent as for any step.
//   - When a pending removal ends, the node that the outcome would have led to is
//     in the history as cancelled, with the time at which it would have been due.
//   - A condition that cannot be evaluated is false; a wait until a time that
//     cannot be evaluated completes the lead with no_route, because going on at
//     once might call somebody at night. The history says why in both cases.
//   - A circle of nodes without a step or a wait that is not over rests for a
//     minute at each turn.
//   - Free workers go to due retries first, because removals may wait for them;
//     then to whoever was due first. A lead keeps its place from step to step, but
//     once it has been round in a circle it goes behind all that are due already.
//   - Times are milliseconds of the wall clock, and what is due is rounded up:
//     nothing is early. When the wall clock jumps, due times follow it within ten
//     seconds.
//
// # Caveats
//
// Handlers run at least once, not exactly once: give the idempotency key to
// whatever they talk to. A handler that ignores its context is left behind when
// its deadline has passed, and its goroutine stays until it returns. The cost
// of expressions is bounded. When the store fails,
// callers get its error, what handlers came to is kept, and the loop tries again
// until the store recovers. A disk that refuses to sync may keep what was refused
// all the same, for the next process to find, if this one ends right then.
package engine
