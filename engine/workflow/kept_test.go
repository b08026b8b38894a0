package workflow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

// A workflow that an earlier version took goes on, although one of its expressions
// would be refused today: only that expression fails, and says why.
func TestAKeptWorkflowGoesOnWithoutItsRefusedExpressions(t *testing.T) {
	def := &workflow.Definition{Name: "kept", Entry: "if",
		Nodes: []workflow.Node{
			workflow.If("if", `now().Local().Hour() > 8`),
			workflow.WaitUntil("until", `now().Local()`),
			workflow.If("sound", `1 < 2`),
			workflow.End("won", workflow.Converted), workflow.End("lost", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("if", "true", "until"), workflow.On("if", "false", "lost"), workflow.To("until", "sound"),
			workflow.On("sound", "true", "won"), workflow.On("sound", "false", "lost"),
		},
	}
	if _, err := workflow.Compile(def); err == nil {
		t.Fatal("Compile takes the expressions; the test needs some that it refuses")
	}
	graph, err := workflow.CompileKept(def)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	if yes, err := graph.Test(0, &workflow.Env{Now: now}); yes || err == nil || !strings.Contains(err.Error(), "Local") {
		t.Errorf("the refused condition is %t, %v", yes, err)
	}
	if _, err := graph.Until(1, &workflow.Env{Now: now}, now); err == nil || !strings.Contains(err.Error(), "Local") {
		t.Errorf("the refused wait ends without saying why: %v", err)
	}
	if yes, err := graph.Test(2, &workflow.Env{Now: now}); !yes || err != nil {
		t.Errorf("the sound condition is %t, %v", yes, err)
	}
	def.Edges = def.Edges[:1]
	if _, err := workflow.CompileKept(def); err == nil {
		t.Error("a graph that is broken otherwise is taken")
	}
}
