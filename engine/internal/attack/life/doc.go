// Package life is the specification of a lead's life: what each request and each
// event makes of a lead, and what a reader then sees. It restates the table of
// lead/machine.go and the package comment of engine in as few words as possible,
// and knows no store, batch, queue, worker or goroutine. Every attack on the
// engine holds what it sees against it, so that a new rule is written here, in
// one file, and nowhere else in the attacks:
//
//   - the model test plays random operations against an engine and a [World], and
//     compares all that can be read after each;
//   - the test of linearizability asks whether some order of what concurrent
//     clients were answered is one that a World allows;
//   - the crash test and the races ask with [Replay] whether the history that they
//     find is one that a life can have;
//   - all of them tell a [Witness] who was called and what callers were told, and
//     it says where a promise is broken.
//
// A World does not decide which handlers and hooks are called when: it is told,
// and says whether that was right. It decides everything else. Methods that
// change a lead belong to the World, because a lead's life depends on its
// workflow and on the time.
//
// The rules by file: flow.go how a definition is read; brakes.go what keeps
// attempts from beginning; step.go how they begin and end; callback.go,
// notmade.go, hooks.go, message.go, removal.go, workflow.go as they are named; route.go where
// an outcome leads; clock.go what time alone does, and a crash; reading.go what a
// reader sees; promises.go what must hold of it whatever the rules.
//
// What it does not know, because no attack needs it: waits until a time that an
// expression gives, cycles without a step or a wait, the limits of sizes and
// numbers.
package life
