// Package enginetest tests workflows, and programs that embed the engine, in
// virtual time: a month with a thousand leads takes a fraction of a second, and
// goes the same way every time.
//
//	func TestNobodyIsCalledAfterStop(t *testing.T) {
//		w := enginetest.New(t, enginetest.Config{Seed: 1, Script: enginetest.Script{
//			"call": enginetest.Outcome("completed").After(3 * time.Minute),
//		}})
//		wf := w.Activate(t, definition)
//		id := w.Enroll(t, wf, lead.Contact{PhoneNumber: "+14155552671"})
//		w.Run(t, time.Minute)
//		w.Remove(t, id, engine.Reason("said stop"))
//		w.RunToEnd(t)
//		w.LeadIs(t, id, lead.Removed)
//		w.Path(t, id, "call")
//		w.Cancelled(t, id, "wait")
//		w.PromisesHold(t)
//	}
//
// # The world
//
// A [World] is a real engine over a real store, by default one in memory. Only
// two things differ from a program that runs: the clock stands still until it
// is told to go on and then jumps from one due time to the next, and nothing runs
// on a goroutine of its own. See [engine.Stepped]. [World.Engine] is that engine,
// for all that the World has no method for.
//
// # The script
//
// A [Script] says what comes of the attempts at each node, with the [Answer]
// functions of this package or one's own. Chance is repeatable, and hangs on
// nothing but what it decides: a change of one node's answers, or a node more,
// leaves what chance decided elsewhere as it was.
//
// Handlers of the program under test can take the place of the script, in
// Config.Engine; they are called one after the other and must not wait for
// virtual time to pass, because it does not pass while they run.
//
// # Assertions
//
// The assertions that take a [TB] print what happened to the lead, with the
// seed, when they fail. [World.PromisesHold] checks all leads for what must hold
// whatever the workflow. Nothing here needs package testing: [Open],
// [World.Advance] and [World.Summarize] make a simulation that is no test, as
// "leadflow simulate" does.
package enginetest
