package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

func TestAStepLeadsToItsNodeAndItsLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.waitThenCall(time.Hour), "+14155552671")
		w.pass(2 * time.Hour)
		for _, s := range w.history(l) {
			got, node, err := w.eng.StepNode(background, s.ID)
			if err != nil || got.ID != l.ID || node.ID != s.NodeID || string(node.Type) != s.NodeType {
				t.Errorf("the step at %s: %v, %+v, %v", s.NodeID, got.ID, node, err)
			}
		}
		for _, id := range []lead.StepID{{}, lead.NewStepID(time.Now(), l.ID, 99)} {
			if _, _, err := w.eng.StepNode(background, id); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("an unknown step: %v", err)
			}
		}
	})
}

// Raw JSON need not be UTF-8, and what is kept is read by others.
func TestRawDataIsKeptAsUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := json.RawMessage("{\"a\":\"\xff!\"}")
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{Data: raw}, nil })
		l, err := w.eng.Enroll(background, w.callOnce(), lead.Contact{PhoneNumber: "+14155552671", Metadata: map[string]any{"m": raw}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if step := w.history(l)[0]; string(step.Data) != "{\"a\":\"\ufffd!\"}" {
			t.Errorf("the data is %q", step.Data)
		}
		if m := w.lead(l).Metadata["m"].(map[string]any); m["a"] != "\ufffd!" {
			t.Errorf("the metadata is %q", m)
		}
	})
}
