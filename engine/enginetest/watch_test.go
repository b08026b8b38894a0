package enginetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// picky is a handler that does no calls to "call".
type picky struct{ engine.HandlerFunc }

func (picky) CheckNode(n workflow.Node) error {
	if n.ID == "call" {
		return errors.New("nobody is at the phone")
	}
	return nil
}

func succeed(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil }

// A program's own handlers are watched like the script, in every world.
func TestEveryHandlersCallForSomebodyWhoIsOutIsNoticed(t *testing.T) {
	lying := brokenStore{look: func(e *store.Lead) { e.State, e.Phase = lead.Removed, store.PhaseEnded }}
	w, err := enginetest.Open(enginetest.Config{Store: lying.over(t), Engine: engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": engine.HandlerFunc(succeed)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Enroll(t, w.Activate(t, followUp()), ada)
	w.Run(t, 0)
	lying.look = nil
	if got := said(w.PromisesHold); !strings.Contains(got, "the handler of call is called for lead") {
		t.Errorf("it says %q", got)
	}
}

func TestAHandlerMayStillRefuseNodes(t *testing.T) {
	w := enginetest.New(t, enginetest.Config{Engine: engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": picky{succeed}},
	}})
	wf, err := w.Engine().CreateWorkflow(ctx, followUp())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Engine().ActivateWorkflow(ctx, wf.ID); err == nil || !strings.Contains(err.Error(), "nobody is at the phone") {
		t.Errorf("%v", err)
	}
}
