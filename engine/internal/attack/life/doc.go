// Package life is the specification of a lead's life: how each request and each event
// changes a lead, and what a reader sees afterwards. It restates the table of
// lead/machine.go and the package comment of engine as briefly as possible. It has no
// store, batch, queue, worker or goroutine. All attacks compare the engine with it, so
// a new rule is written here, in one file, and nowhere else in the attacks:
//
//   - the model test applies random operations to an engine and to a [World], and
//     compares everything that can be read after each;
//   - the linearizability test asks whether a World allows the answers to concurrent
//     clients in some order;
//   - the crash test and the races ask [Replay] whether the history that they find is
//     one that a life can have;
//   - all of them tell a [Witness] who was called and what callers were told, and it
//     reports broken promises.
//
// A World does not decide when handlers and hooks are called: it is told, and says
// whether that was right. It decides everything else. Methods that change a lead are
// methods of World, because a lead's life depends on its workflow and on the time.
//
// The files: flow.go reads definitions; brakes.go has what keeps attempts from
// beginning; step.go has how they begin and end; callback.go, notmade.go, hooks.go,
// message.go, removal.go, hold.go, suppression.go, signal.go, hours.go, limit.go,
// update.go and workflow.go are named after what they have;
// route.go has where an outcome leads; clock.go has what happens by time alone, and
// crashes; reading.go has what a reader sees; promises.go has what must hold for that
// independently of the rules, and provider.go what must hold of all leads together.
//
// It leaves out what no attack needs: waits until a time that an expression gives,
// cycles without a step or a wait, time zones, holidays and the spread of calling hours,
// rate keys other than those of handlers, the shares of workflows in a limit, and limits
// of sizes and numbers. How a split node deals is told to it.
package life
