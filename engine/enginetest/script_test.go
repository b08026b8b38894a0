package enginetest_test

import (
	"context"
	"strings"
	"testing"

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
