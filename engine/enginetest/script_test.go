package enginetest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// A test may script some nodes and have the program's own handlers at the others.
func TestAScriptAndHandlersTogether(t *testing.T) {
	var called []string
	real := func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		called = append(called, a.Node.ID)
		return engine.Result{}, nil
	}
	w := enginetest.New(t, enginetest.Config{
		Engine: engine.Config{Handlers: map[string]engine.Handler{"voice_call": engine.HandlerFunc(real)}},
		Script: enginetest.Script{"second": enginetest.Outcome("dnp")},
	})
	// The program's handler that needs the engine to be made.
	reads := func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		l, err := w.Engine().Lead(context.Background(), a.WorkflowID, a.LeadID)
		called = append(called, a.Node.ID+" "+l.State.String())
		return engine.Result{}, err
	}
	if err := w.Handle("crm", engine.HandlerFunc(reads)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"voice_call", "crm"} {
		err := w.Handle(name, engine.HandlerFunc(real))
		if want := "register it once, in Config.Engine.Handlers or by Handle"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a second handler named %s: %v, want %q", name, err, want)
		}
	}
	wf := w.Activate(t, &workflow.Definition{
		Name: "Mixed", Entry: "first",
		Nodes: []workflow.Node{
			workflow.CallNode("first", nil), workflow.CallNode("second", nil), workflow.ApplicationNode("update", nil).WithHandler("crm"),
			workflow.MessageNode("text", nil).WithHandler("sms"), workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("first", "completed", "second"), workflow.On("second", "dnp", "update"),
			workflow.On("update", "success", "text"), workflow.On("text", "success", "done"),
		},
	})
	id := w.Enroll(t, wf, ada)
	if err := w.Crash(); err != nil { // which loses no handler
		t.Fatal(err)
	}
	w.RunToEnd(t)
	w.Path(t, id, "first:completed", "second:dnp", "update:success", "text:success", "done")
	if got := strings.Join(called, ", "); got != "first, update in_step" {
		t.Errorf("called: %s", got)
	}
}

// What no script can mean ends the run: as an attempt that fails it would pass
// for one in a test that expects that.
func TestAnAnswerThatIsNoneEndsTheRun(t *testing.T) {
	good, bad := enginetest.Outcome(""), enginetest.Fail("busy")
	for want, answer := range map[string]enginetest.Answer{
		"OneOf needs a choice":        enginetest.OneOf(),
		"weight is more than 0":       enginetest.OneOf(enginetest.Weighted(0, good), enginetest.Weighted(-1, bad)),
		"Visits needs an answer":      enginetest.Visits(),
		"at call: there is no":        enginetest.ByLead(map[string]enginetest.Answer{"+14155550000": good}, nil),
		"there is no answer":          enginetest.Times(1, nil, good).Taking(time.Minute),
		"this one fails; use Taking":  bad.After(time.Minute),
		"call: After is for attempts": enginetest.Visits(enginetest.FailFinal("gone").AfterBetween(time.Minute, time.Hour)),
	} {
		w := enginetest.New(t, enginetest.Config{Script: enginetest.Script{"call": answer}})
		w.Enroll(t, w.Activate(t, followUp()), ada)
		if err := w.Advance(day); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A crash comes from without: what happens in the engine cannot bring it about.
func TestAScriptCannotCrashItsWorld(t *testing.T) {
	var w *enginetest.World
	var inside error
	w = enginetest.New(t, enginetest.Config{Script: enginetest.Script{"call": func(*enginetest.Attempt) enginetest.Reply {
		inside = w.Crash()
		return enginetest.Reply{Takes: time.Hour}
	}}})
	id := w.Enroll(t, w.Activate(t, followUp()), ada)
	crashed := 0
	w.After(time.Minute, func() {
		crashed++
		if err := w.Crash(); err != nil {
			t.Error(err)
		}
	})
	w.RunToEnd(t)
	if inside == nil || !strings.Contains(inside.Error(), "World.After") {
		t.Errorf("Crash in a script answers %v", inside)
	}
	if crashed != 1 {
		t.Errorf("%d crashes", crashed)
	}
	w.Attempts(t, id, "call", 1)
}
