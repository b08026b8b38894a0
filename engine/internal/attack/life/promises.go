package life

import (
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Sight is what a reader sees of a lead at one moment. Its methods check the promises
// directly, without the rules of this package, so that a fault that both the engine and
// the specification have is noticed.
type Sight struct {
	Lead  lead.Lead
	Steps []lead.Step
	Calls []lead.Call // of the lead; nil when the call log was not read
}

// Fault is a broken promise.
type Fault struct {
	Promise int // as engine/doc.go numbers them
	Text    string
}

func (f Fault) String() string { return fmt.Sprintf("promise %d: %s", f.Promise, f.Text) }

// faults collects broken promises.
type faults []Fault

func (f *faults) add(broken bool, promise int, format string, args ...any) {
	if broken {
		*f = append(*f, Fault{promise, fmt.Sprintf(format, args...)})
	}
}

// Check reports what breaks promises 5, 7, 8 and 10 in what a reader sees.
func (s Sight) Check() []Fault {
	var f faults
	l, seen, inFlight := s.Lead, map[lead.StepID]bool{}, 0
	f.add(l.State.Final() && !l.NextActionAt.IsZero(), 5, "the lead is %s, and due at %s", l.State, l.NextActionAt)
	f.add(!l.State.Final() && l.Hold == nil && l.NextActionAt.IsZero(), 10, "the lead is %s, and nothing is due", l.State)
	f.add(l.State == lead.PendingRemoval && l.Removal == nil, 1, "the lead is %s, and nobody has asked for it", l.State)
	f.add(l.State == lead.Removed && (l.Removal == nil || l.Removal.RemovedAt.IsZero()), 7,
		"the lead is %s, of which there is no record: %+v", l.State, l.Removal)
	f.add(l.State == lead.Completed && l.Removal != nil, 1, "the lead is %s, and its removal was asked for", l.State)
	for _, st := range s.Steps {
		f.add(seen[st.ID], 8, "step %s is there twice", st.ID)
		seen[st.ID] = true
		if st.ExitedAt.IsZero() && st.Status != lead.StepWaiting { // hooks may run
			inFlight++
		}
		f.add(l.State.Final() && (!st.Status.Final() || st.ExitedAt.IsZero()), 5, "the lead is %s, and its step at %s %s", l.State, st.NodeID, st.Status)
		f.add(st.Status == lead.StepCancelled && slices.ContainsFunc(st.Attempts, begun), 7, "the step at %s had begun, and is %s", st.NodeID, st.Status)
		for i, a := range st.Attempts {
			f.add(a.Number != i+1, 9, "attempt %d at %s stands at place %d", a.Number, st.NodeID, i+1)
			f.add(st.Status.Final() && !a.Status.Final(), 8, "the step at %s is %s, and attempt %d at it %s", st.NodeID, st.Status, a.Number, a.Status)
			f.add(!a.EndedAt.IsZero() && a.EndedAt.Before(a.StartedAt), 7, "attempt %d at %s ended before it began", a.Number, st.NodeID)
		}
	}
	f.add(inFlight > 1 || (inFlight == 1) != l.State.InFlight(), 8, "the lead is %s, and %d steps are in flight", l.State, inFlight)
	if s.Calls != nil {
		s.checkCalls(&f)
	}
	return f
}

func begun(a lead.Attempt) bool { return !a.StartedAt.IsZero() }

// checkCalls: every attempt at a call is in the call log, once (promise 7).
func (s Sight) checkCalls(f *faults) {
	type key struct {
		step    lead.StepID
		attempt int
	}
	log := map[key]lead.Call{}
	for _, c := range s.Calls {
		k := key{c.StepID, c.Attempt}
		_, twice := log[k]
		f.add(twice, 7, "the call log has attempt %d at %s twice", c.Attempt, c.NodeID)
		f.add(c.PhoneNumber != s.Lead.PhoneNumber, 7, "the call log says that %s was called, not %s", c.PhoneNumber, s.Lead.PhoneNumber)
		log[k] = c
	}
	for _, st := range s.Steps {
		if st.NodeType != string(workflow.VoiceCall) {
			continue
		}
		for _, a := range st.Attempts {
			if !begun(a) {
				continue
			}
			k := key{st.ID, a.Number}
			c, ok := log[k]
			f.add(!ok, 7, "the call log lacks attempt %d at %s", a.Number, st.NodeID)
			f.add(ok && (c.Status != a.Status || !c.EndedAt.Equal(a.EndedAt)), 7, "attempt %d at %s is in the call log as %+v, and in the history as %+v",
				a.Number, st.NodeID, c, a)
			f.add(ok && c.Status == lead.StepCompleted && c.Outcome != st.Outcome, 7, "the call log says that attempt %d at %s came to %q, the history %q",
				a.Number, st.NodeID, c.Outcome, st.Outcome)
			delete(log, k)
		}
	}
	for _, c := range log {
		// One of an attempt that was not made says no more than that.
		f.add(c.Status != lead.StepRetrying && c.Status != lead.StepCancelled, 7, "the call log has attempt %d at %s, and the history has not", c.Attempt, c.NodeID)
	}
}

// Since says what must stay of what a reader saw before, and was lost or changed
// (promises 1, 5, 7 and 8).
func (s Sight) Since(before Sight) []Fault {
	var f faults
	text := Writer{Begun: before.Lead.EnrolledAt}
	was, is := before.Lead, s.Lead
	f.add(was.State.Final() && (text.Lead(was) != text.Lead(is) || text.History(before.Steps) != text.History(s.Steps)), 5,
		"final is not final: there was\n%s\n%s\nand is\n%s\n%s", text.Lead(was), text.History(before.Steps), text.Lead(is), text.History(s.Steps))
	f.add(was.Removal != nil && (is.Removal == nil || was.Removal.SkipRetries && !is.Removal.SkipRetries), 1,
		"a removal that was on record is forgotten")
	f.add(s.Calls != nil && len(s.Calls) < len(before.Calls), 7, "the call log has lost something")
	after := map[lead.StepID]lead.Step{}
	for _, st := range s.Steps {
		after[st.ID] = st
	}
	for _, st := range before.Steps {
		now, ok := after[st.ID]
		f.add(!ok, 7, "the history has lost the step at %s", st.NodeID)
		if !ok {
			continue
		}
		f.add(!st.ExitedAt.IsZero() && text.Step(st) != text.Step(now), 7, "a step that was over has changed from\n%s\nto\n%s", text.Step(st), text.Step(now))
		f.add(st.Outcome != "" && st.Outcome != now.Outcome, 8, "the outcome of the step at %s was %q, and is %q", st.NodeID, st.Outcome, now.Outcome)
		// A callback for an attempt that failed drops the one that was queued.
		f.add(len(now.Attempts) < len(st.Attempts)-1, 7, "the step at %s has lost attempts", st.NodeID)
	}
	return f
}
