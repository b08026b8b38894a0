package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

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

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// absent is an error that cannot say what it is when it is nil.
type absent struct{ text string }

func (e *absent) Error() string { return e.text }

func TestWhatHandlersAndHooksSayIsBounded(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	for name, tt := range map[string]struct {
		says error
		want func(text string) bool
	}{
		"a long text":         {errors.New(long), func(text string) bool { return strings.HasPrefix(long, strings.TrimSuffix(text, "…")) }},
		"one of another rune": {errors.New("x" + long), func(text string) bool { return strings.HasSuffix(text, "é…") }},
		"no UTF-8":            {errors.New("busy\xff\xfe"), func(text string) bool { return text == "busy??" }},
		"no text":             {errors.New(""), func(text string) bool { return text != "" }},
		"a nil pointer":       {(*absent)(nil), func(text string) bool { return strings.Contains(text, "*engine_test.absent") }},
		"a text as it was":    {errors.New("line busy €"), func(text string) bool { return text == "line busy €" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, tt.says }, nil,
				engine.Hook{Name: "hook", Run: func(context.Context, engine.HookEvent) error { return tt.says }})
			wf := s.activate(callTest())
			l := s.enroll(wf, phone)
			s.settle(0)
			s.expect(l, "completed: call=failed good=false no=dropped")
			steps, err := s.History(background, wf, l.ID)
			if err != nil {
				t.Fatal(err)
			}
			calls, _, err := s.Calls(background, engine.CallFilter{})
			if err != nil || len(calls) != 1 {
				t.Fatal(calls, err)
			}
			hook, isHook := strings.CutPrefix(steps[0].HookErrors[0], "hook: ")
			for _, text := range []string{steps[0].Error, steps[0].Attempts[0].Error, calls[0].Error, hook} {
				if len(text) > engine.MaxError || !utf8.ValidString(text) || !tt.want(text) || !isHook {
					t.Errorf("%d bytes: %.100q", len(text), text)
				}
			}
		})
	}
}

func TestACallIDThatIsTooLongFailsItsAttempt(t *testing.T) {
	for name, id := range map[string]string{"too long": strings.Repeat("x", engine.MaxCallID+1), "no UTF-8": "call-\xff"} {
		for _, result := range []engine.Result{{CallID: id}, {CallID: id, InFlight: true}} {
			s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return result, nil }, nil)
			wf := s.activate(callTest())
			l := s.enroll(wf, phone)
			s.settle(0)
			s.expect(l, "completed: call=failed good=false no=dropped")
			if steps, err := s.History(background, wf, l.ID); err != nil || !strings.Contains(steps[0].Error, "call id") || steps[0].CallID != "" {
				t.Errorf("%s: %+v, %v", name, steps, err)
			}
		}
	}
}

func TestACallbackWhoseCallIDIsTooLongIsRefused(t *testing.T) {
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("c"), nil }, nil)
	wf := s.activate(callTest())
	l := s.enroll(wf, phone)
	s.settle(0)
	steps, err := s.History(background, wf, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	var invalid *lead.InvalidError
	_, err = s.CompleteStep(background, steps[0].ID, engine.Callback{CallID: strings.Repeat("x", engine.MaxCallID+1)})
	if !errors.As(err, &invalid) || invalid.Faults[0].Location != "call_id" {
		t.Errorf("CompleteStep = %v", err)
	}
	longest := strings.Repeat("é", engine.MaxCallID/2)
	if _, err := s.CompleteStep(background, steps[0].ID, engine.Callback{CallID: longest}); err != nil {
		t.Fatal(err)
	}
	if steps, err = s.History(background, wf, l.ID); err != nil || steps[0].CallID != longest {
		t.Errorf("call id %q, %v", steps[0].CallID, err)
	}
}
