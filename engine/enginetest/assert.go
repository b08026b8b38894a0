package enginetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// The assertions mark the test as failed and let it go on. They print what
// happened to the lead, and what the world is.

// LeadIs asserts the state of a lead.
func (w *World) LeadIs(t TB, id lead.ID, want lead.State) {
	t.Helper()
	if got := w.Lead(t, id).State; got != want {
		t.Errorf("lead is %s, want %s\n%s", got, want, w.story(id))
	}
}

// OutcomeIs asserts that a lead is completed with the outcome: "converted",
// "dropped", or lead.OutcomeNoRoute.
func (w *World) OutcomeIs(t TB, id lead.ID, want string) {
	t.Helper()
	if l := w.Lead(t, id); l.State != lead.Completed || l.Outcome != want {
		t.Errorf("lead is %s%s, want it completed with outcome %s\n%s", l.State, prefixed(" with outcome ", l.Outcome), want, w.story(id))
	}
}

// At asserts that a lead is not final and at the node.
func (w *World) At(t TB, id lead.ID, node string) {
	t.Helper()
	if l := w.Lead(t, id); l.State.Final() || l.Node != node {
		t.Errorf("lead is %s at %s, want it at %s\n%s", l.State, l.Node, node, w.story(id))
	}
}

// Path asserts the nodes that a lead has come to, from the first to the one that
// it is at. A node may be followed by what came of it: "call", or
// "call:completed". Messages that handlers scheduled are not on the path, nor is
// what was cancelled.
func (w *World) Path(t TB, id lead.ID, want ...string) {
	t.Helper()
	var got, short []string
	for _, s := range w.History(t, id) {
		if s.Scheduled || s.Status == lead.StepCancelled {
			continue
		}
		node := s.NodeID
		if outcome := outcomeOf(&s); outcome != "" {
			node += ":" + outcome
		}
		if i := len(short); i < len(want) && !strings.Contains(want[i], ":") {
			short = append(short, s.NodeID)
		} else {
			short = append(short, node)
		}
		got = append(got, node)
	}
	if !slices.Equal(short, want) {
		t.Errorf("lead went %s\nwant      %s\n%s", strings.Join(got, " → "), strings.Join(want, " → "), w.story(id))
	}
}

// outcomeOf is what came of a step, if something can.
func outcomeOf(s *lead.Step) string {
	if workflow.NodeType(s.NodeType).Terminal() {
		return ""
	}
	return s.Outcome
}

// Cancelled asserts what was cancelled of a lead, all of it, in any order: a
// node that it did not come to, or leave; "call+message" for a message that a
// handler of call had scheduled; "call+retry" for a queued attempt.
func (w *World) Cancelled(t TB, id lead.ID, want ...string) {
	t.Helper()
	var got []string
	for _, s := range w.History(t, id) {
		if s.Status == lead.StepCancelled {
			got = append(got, stepName(&s))
		}
		for _, a := range s.Attempts {
			if a.Status == lead.StepCancelled {
				got = append(got, stepName(&s)+"+retry")
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("cancelled: %s; want: %s\n%s", list(got), list(want), w.story(id))
	}
}

func list(words []string) string { return cmp.Or(strings.Join(words, ", "), "nothing") }

// Attempts asserts how many attempts were begun at a node, over all visits. A node
// that the lead's workflow does not have is a mistake of the test, and fails it.
func (w *World) Attempts(t TB, id lead.ID, node string, want int) {
	t.Helper()
	l, err := w.find(id)
	if err != nil {
		t.Fatalf("%v", err)
	}
	def, err := w.eng.Definition(context.Background(), l.WorkflowID)
	if err != nil {
		t.Fatalf("%v", err)
	}
	is := func(n workflow.Node) bool { return n.ID == strings.TrimSuffix(node, scheduledSuffix) }
	if !slices.ContainsFunc(def.Nodes, is) {
		t.Errorf("workflow %q has no node %q", def.Name, node)
		return
	}
	got := 0
	for _, s := range w.History(t, id) {
		for _, a := range s.Attempts {
			if stepName(&s) == node && !a.StartedAt.IsZero() {
				got++
			}
		}
	}
	if got != want {
		t.Errorf("%d attempts at %s, want %d\n%s", got, node, want, w.story(id))
	}
}

// PromisesHold asserts what must hold of every lead in every world:
// NoStepAfterRemoval, NothingLeftBehind and NobodyStuck.
func (w *World) PromisesHold(t TB) {
	t.Helper()
	w.NoStepAfterRemoval(t)
	w.NothingLeftBehind(t)
	w.NobodyStuck(t)
}

// NoStepAfterRemoval asserts promise 2 of every lead: after removal was asked
// for nothing started but further attempts of the step that was in flight. What
// started in the same millisecond counts as before. It also asserts that no
// handler, of the script or of Config.Engine, was called for a lead that the store
// had as final.
func (w *World) NoStepAfterRemoval(t TB) {
	t.Helper()
	for _, text := range w.spoken {
		t.Errorf("%s", text)
	}
	w.each(t, func(l *lead.Lead, steps []lead.Step) string {
		if l.Removal == nil {
			return ""
		}
		asked := l.Removal.RequestedAt
		for _, s := range steps {
			if s.Status == lead.StepCancelled || s.Scheduled && s.Status == lead.StepWaiting {
				continue // it never started
			}
			if s.EnteredAt.After(asked) {
				return fmt.Sprintf("the lead came to %s after its removal", stepName(&s))
			}
			inFlight := false
			for _, a := range s.Attempts {
				switch {
				case a.StartedAt.IsZero():
				case !a.StartedAt.After(asked):
					inFlight = true
				case !inFlight:
					return fmt.Sprintf("%s was started after the lead's removal", stepName(&s))
				}
			}
		}
		return ""
	})
}

// NothingLeftBehind asserts promise 5 of every lead: one that is final has
// nothing that waits, or goes on.
func (w *World) NothingLeftBehind(t TB) {
	t.Helper()
	w.each(t, func(l *lead.Lead, steps []lead.Step) string {
		if !l.State.Final() {
			return ""
		}
		if !l.NextActionAt.IsZero() {
			return fmt.Sprintf("the lead is %s, and due at %s", l.State, l.NextActionAt.Format(clockLayout))
		}
		for _, s := range steps {
			if !s.Status.Final() {
				return fmt.Sprintf("the lead is %s, and its step %s is %s", l.State, stepName(&s), s.Status)
			}
		}
		return ""
	})
}

// NobodyStuck asserts promise 10 of every lead: one that is not final is due at
// a known time.
func (w *World) NobodyStuck(t TB) {
	t.Helper()
	w.each(t, func(l *lead.Lead, _ []lead.Step) string {
		if !l.State.Final() && l.NextActionAt.IsZero() {
			return fmt.Sprintf("the lead is %s at %s, and never due", l.State, l.Node)
		}
		return ""
	})
}

// maxStories is how many leads an assertion about all of them tells of.
const maxStories = 5

// each looks at every lead, and fails for those of which fault says something.
func (w *World) each(t TB, fault func(l *lead.Lead, steps []lead.Step) string) {
	t.Helper()
	list, err := w.eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	faults := 0
	for _, wf := range list {
		for l, err := range w.eng.AllLeads(context.Background(), wf.ID, engine.LeadFilter{}) {
			t.Helper() // this is a function of its own
			if err != nil {
				t.Fatalf("%v", err)
			}
			steps, err := w.eng.History(context.Background(), wf.ID, l.ID)
			if err != nil {
				t.Fatalf("%v", err)
			}
			text := fault(&l, steps)
			if text == "" {
				continue
			}
			if faults++; faults <= maxStories {
				t.Errorf("%s\n%s", text, w.story(l.ID))
			}
		}
	}
	if faults > maxStories {
		t.Errorf("and so for %d leads more", faults-maxStories)
	}
}
