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
// A [World] is a real engine over a real store, by default one in memory. Only two
// things differ from a running program: the clock stands still until the test advances
// it, and then jumps from one due time to the next; and nothing runs on a goroutine of
// its own. See [engine.Stepped]. [World.Engine] returns that engine, for everything
// that World has no method for.
//
// # The script
//
// A [Script] has the answers to the attempts at each node, made with the [Answer]
// functions of this package or your own. Random decisions are repeatable and
// independent of each other: changing the answers of one node, or adding a node, does
// not change decisions elsewhere.
//
// Handlers of the program under test can be used instead of the script, in
// Config.Engine. They are called one after the other, and must not wait for virtual
// time to pass, because it does not pass while they run.
//
// # Assertions
//
// When an assertion fails, it prints the history of the lead and the seed.
// [World.PromisesHold] checks what must hold for all leads in every workflow. Nothing
// here needs package testing: with [Open], [World.Advance] and [World.Summarize] a
// program can run a simulation that is not a test, as "leadflow simulate" does.
package enginetest
