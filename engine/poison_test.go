package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// unreadable are values that encoding/json writes, and does not read back.
var unreadable = map[string]any{
	"a raw number out of range":     json.RawMessage("1e400"),
	"a number out of range":         json.Number("-1.5E+309"),
	"a number of 400 digits":        json.Number(strings.Repeat("9", 400)),
	"one deep down":                 map[string]any{"a": []any{1, "1e400", json.RawMessage(`{"b":[0,1e999]}`)}},
	"an exponent beyond all bounds": json.RawMessage("1e99999999999999999999"),
}

// callTest is a workflow whose every lead asks steps.call after its call.
func callTest() ([]workflow.Node, []workflow.Edge) {
	return []workflow.Node{
			workflow.CallNode("call", nil),
			workflow.If("good", `steps.call.outcome == "completed"`),
			workflow.End("yes", workflow.Converted),
			workflow.End("no", workflow.Dropped),
		}, []workflow.Edge{
			workflow.On("call", "default", "good"), workflow.On("good", "true", "yes"), workflow.On("good", "false", "no"),
		}
}

func (s *stepped) activate(nodes []workflow.Node, edges []workflow.Edge) lead.WorkflowID {
	s.t.Helper()
	wf, err := s.CreateWorkflow(background, &workflow.Definition{Name: s.t.Name(), Entry: nodes[0].ID, Nodes: nodes, Edges: edges})
	if err == nil {
		_, err = s.ActivateWorkflow(background, wf.ID)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return wf.ID
}

func TestAnAnswerThatCannotBeReadBackFailsItsAttempt(t *testing.T) {
	for name, value := range unreadable {
		t.Run(name, func(t *testing.T) {
			s := newStepped(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				if a.Contact.PhoneNumber != phone {
					return engine.Result{}, nil
				}
				return engine.Result{Data: map[string]any{"amount": value}}, nil
			}, nil)
			wf := s.activate(callTest())
			poisoned, other := s.enroll(wf, phone), s.enroll(wf, otherPhone)
			s.settle(0)
			s.expect(poisoned, "completed: call=failed good=false no=dropped")
			s.expect(other, "completed: call=completed good=true yes=converted")
			steps, err := s.History(background, wf, poisoned.ID)
			if err != nil || !strings.Contains(steps[0].Error, "out of range") || len(steps[0].Error) > 200 {
				t.Errorf("the call failed with %.300q, %v", steps[0].Error, err)
			}
			if err := s.Health(background); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACallbackThatCannotBeReadBackIsRefused(t *testing.T) {
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("c"), nil }, nil)
	wf := s.activate(callTest())
	l := s.enroll(wf, phone)
	s.settle(0)
	steps, err := s.History(background, wf, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]engine.Callback{
		"outcome": {Outcome: "\xff"}, "data": {Data: unreadable},
	} {
		var invalid *lead.InvalidError
		if _, err := s.CompleteStep(background, steps[0].ID, out); !errors.As(err, &invalid) || invalid.Faults[0].Location != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.settle(0)
	s.expect(l, "in_step: call=in_progress")
	// At the edge of what can be read.
	out := engine.Callback{Outcome: "completed", Data: map[string]any{"most": json.Number("-1.7e308"), "least": json.Number("1e-400")}}
	if _, err := s.CompleteStep(background, steps[0].ID, out); err != nil {
		t.Fatal(err)
	}
	s.expect(l, "completed: call=completed good=true yes=converted")
}

func TestMetadataThatCannotBeReadBackIsRefused(t *testing.T) {
	s := newStepped(t, succeedAtOnce, nil)
	wf := s.activate(callTest())
	for name, value := range unreadable {
		var invalid *lead.InvalidError
		_, err := s.Enroll(background, wf, lead.Contact{PhoneNumber: phone, Metadata: map[string]any{"amount": value}})
		if !errors.As(err, &invalid) || invalid.Faults[0].Location != "metadata" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
