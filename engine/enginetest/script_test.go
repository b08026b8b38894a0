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

// An answer that would never be asked for is a mistake of the test.
func TestAScriptForNodesThatHaveAHandlerIsRefused(t *testing.T) {
	own := func(types ...workflow.NodeType) engine.Config {
		c := engine.Config{Handlers: map[workflow.NodeType]engine.Handler{}}
		for _, t := range types {
			c.Handlers[t] = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
		}
		return c
	}
	answer := enginetest.Outcome("")
	for _, c := range []struct {
		engine engine.Config
		script enginetest.Script
		want   string
	}{
		{own(workflow.VoiceCall), enginetest.Script{"call": answer}, `"call", and Config.Engine has a handler for voice_call nodes`},
		{own(workflow.Message), enginetest.Script{"call+message": answer}, `"call+message", and Config.Engine has a handler for message nodes`},
		{own(workflow.VoiceCall), enginetest.Script{"message": answer, "call+message": answer}, ""},
		{own(workflow.Message, workflow.Application), enginetest.Script{"call": answer}, ""},
	} {
		w := enginetest.New(t, enginetest.Config{Engine: c.engine, Script: c.script})
		w.Activate(t, followUp())
		if err := w.Advance(day); (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// Two workflows may each have a node of that name, one of them with a handler.
func TestAScriptMayBeForOneOfTwoNodesOfAName(t *testing.T) {
	w := enginetest.New(t, enginetest.Config{
		Engine: engine.Config{Handlers: map[workflow.NodeType]engine.Handler{
			workflow.VoiceCall: engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil }),
		}},
		Script: enginetest.Script{"call": enginetest.Outcome("failure")},
	})
	w.Activate(t, followUp())
	other := w.Activate(t, &workflow.Definition{
		Name: "Another", Entry: "call",
		Nodes: []workflow.Node{workflow.MessageNode("call", nil), workflow.End("lost", workflow.Dropped)},
		Edges: []workflow.Edge{workflow.On("call", "failure", "lost")},
	})
	id := w.Enroll(t, other, ada)
	w.RunToEnd(t)
	w.Path(t, id, "call:failure", "lost")
}

// What no script can mean ends the run: as an attempt that fails it would pass
// for one in a test that expects that.
func TestAnAnswerThatIsNoneEndsTheRun(t *testing.T) {
	good, bad := enginetest.Outcome(""), enginetest.Fail("busy")
	for want, answer := range map[string]enginetest.Answer{
		"OneOf needs a choice":       enginetest.OneOf(),
		"weight is more than 0":      enginetest.OneOf(enginetest.Weighted(0, good), enginetest.Weighted(-1, bad)),
		"Visits needs an answer":     enginetest.Visits(),
		"at call: there is no":       enginetest.ByLead(map[string]enginetest.Answer{"+14155550000": good}, nil),
		"there is no answer":         enginetest.Times(1, nil, good).Taking(time.Minute),
		"has none; use Taking":       bad.After(time.Minute),
		"call: After has an outcome": enginetest.Visits(enginetest.FailFinal("gone").AfterBetween(time.Minute, time.Hour)),
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
