package life

import (
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// story is the life of one lead in a workflow of a call with two attempts, a wait of two
// hours, a message, and an end.
type story struct {
	t *testing.T
	w *World
	f *Flow
	l *Lead
}

const (
	storyTimeout = 10 * time.Minute
	storyDelay   = 30 * time.Minute
	storyWait    = 2 * time.Hour
)

var storyBegin = time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)

func newStory(t *testing.T, hooks ...string) *story {
	t.Helper()
	f, err := NewFlow(&workflow.Definition{
		Name: "story", Entry: "vip",
		Nodes: []workflow.Node{
			workflow.If("vip", "metadata.vip == true"),
			workflow.CallNode("call", nil).WithTimeout(storyTimeout).
				WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(storyDelay)}),
			workflow.Wait("wait", storyWait),
			workflow.MessageNode("text", nil),
			workflow.End("done", workflow.Converted),
			workflow.End("gone", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("vip", "true", "call"), workflow.On("call", "completed", "wait"), workflow.On("call", "dnp", "gone"),
			workflow.To("wait", "text"), workflow.On("text", workflow.DefaultLabel, "done"),
		},
	}, map[string]Test{"vip": func(l *Lead) bool { return l.Contact.Metadata["vip"] == true }})
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, f: f, w: &World{Now: storyBegin, Hooks: hooks, HookTimeout: time.Minute, Flows: []*Flow{f}}}
	if err := s.w.Activate(f); err != nil {
		t.Fatal(err)
	}
	s.l, _ = s.w.Enroll(f, lead.Contact{PhoneNumber: "+14155552671", Metadata: map[string]any{"vip": true}})
	return s
}

// pass lets time pass, and makes the changes that are due.
func (s *story) pass(d time.Duration) {
	for until := s.w.Now.Add(d); ; s.w.Pass() {
		next := s.w.Next()
		if next.IsZero() || next.After(until) {
			s.w.Now = until
			return
		}
		s.w.Now = next
	}
}

// begin has a handler be called.
func (s *story) begin() {
	s.t.Helper()
	if !s.w.MayBegin(s.l, s.w.Now) {
		s.t.Fatalf("no attempt may begin: %s", s.text())
	}
	s.w.Begin(s.l, s.w.Now)
}

func (s *story) answer(a Answer) { s.w.Answered(s.l, a) }

func (s *story) fail() { s.answer(Answer{Err: "busy"}) }

func (s *story) remove(skip bool) {
	s.t.Helper()
	if err := s.w.Remove(s.l, lead.Removal{Reason: "asked to stop", SkipRetries: skip}); err != nil {
		s.t.Fatal(err)
	}
}

// hook has the hook that is due run.
func (s *story) hook(failure string) {
	s.t.Helper()
	if s.w.HookDue(s.l) == "" {
		s.t.Fatalf("no hook is due: %s", s.text())
	}
	s.w.HookCalled(s.l)
	s.w.HookAnswered(s.l, failure)
}

// text is the lead's state and path, such as "enrolled: vip=true call=waiting",
// and after each step the statuses of its attempts.
func (s *story) text() string {
	words := []string{s.l.State.String() + ":"}
	for _, st := range s.w.History(s.l) {
		word := st.NodeID + "="
		if st.Scheduled {
			word = st.NodeID + "+message="
		}
		if st.Outcome != "" {
			word += st.Outcome
		} else {
			word += st.Status.String()
		}
		for _, a := range st.Attempts {
			word += "," + a.Status.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (s *story) expect(want string) {
	s.t.Helper()
	if got := s.text(); got != want {
		s.t.Errorf("the lead is\n\t%s\nwant\n\t%s", got, want)
	}
}

func (s *story) sight() Sight {
	return Sight{Lead: s.w.View(s.l), Steps: s.w.History(s.l), Calls: append([]lead.Call{}, s.w.Calls(s.l)...)}
}

// number gives ids to steps that have none, as an attack does that reads them.
func (s *story) number() {
	for i, st := range s.l.Steps {
		st.ID = lead.NewStepID(st.EnteredAt, s.l.ID, int32(i+1))
	}
}
