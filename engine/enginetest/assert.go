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

// The assertions mark the test as failed and let it continue. They print what happened
// to the lead, and the state of the world.

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

// At asserts that a lead is not final, and is at the node.
func (w *World) At(t TB, id lead.ID, node string) {
	t.Helper()
	if l := w.Lead(t, id); l.State.Final() || l.Node != node {
		t.Errorf("lead is %s at %s, want it at %s\n%s", l.State, l.Node, node, w.story(id))
	}
}

// Path asserts the nodes that a lead has visited, from the first to the present one. A
// node may be followed by the outcome of the step: "call", or "call:completed".
// Scheduled messages and cancelled steps are not on the path.
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

// outcomeOf is the outcome of a step, or "" at a terminal node.
func outcomeOf(s *lead.Step) string {
	if workflow.NodeType(s.NodeType).Terminal() {
		return ""
	}
	return s.Outcome
}

// Cancelled asserts everything that was cancelled for a lead, in any order: the id of a
// node for a visit; "call+message" for a message that the handler at call had
// scheduled; "call+retry" for a queued retry.
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

// Attempts asserts how many attempts were begun at a node, over all visits. It also
// fails if the lead's workflow has no such node.
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

// PromisesHold asserts what must hold for every lead in every workflow:
// NoStepAfterRemoval, NothingLeftBehind and NobodyStuck.
func (w *World) PromisesHold(t TB) {
	t.Helper()
	w.NoStepAfterRemoval(t)
	w.NothingLeftBehind(t)
	w.NobodyStuck(t)
}

// NoStepAfterRemoval asserts promise 2 for every lead: after the removal was requested,
// nothing started except further attempts of the step that was in flight. What started
// in the same millisecond counts as before. It also asserts that no handler, neither of
// the script nor of Config.Engine, was called for a lead that was final in the store.
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

// NothingLeftBehind asserts promise 5 for every lead: a final lead has no due time and
// no unfinished step.
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

// NobodyStuck asserts promise 10 for every lead: a lead that is not final is due at a
// known time.
func (w *World) NobodyStuck(t TB) {
	t.Helper()
	w.each(t, func(l *lead.Lead, _ []lead.Step) string {
		if !l.State.Final() && l.NextActionAt.IsZero() {
			return fmt.Sprintf("the lead is %s at %s, and never due", l.State, l.Node)
		}
		return ""
	})
}

// maxStories is how many leads an assertion about all leads describes.
const maxStories = 5

// each checks every lead, and fails for those for which fault returns a text.
func (w *World) each(t TB, fault func(l *lead.Lead, steps []lead.Step) string) {
	t.Helper()
	list, err := w.eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	faults := 0
	for _, wf := range list {
		for l, err := range w.eng.AllLeads(context.Background(), wf.ID, engine.LeadFilter{}) {
			t.Helper() // the body of this loop is a function
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
		t.Errorf("and %d more leads like that", faults-maxStories)
	}
}
