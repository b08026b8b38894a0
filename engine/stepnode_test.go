package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
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

// Raw JSON need not be UTF-8, and may escape half of a surrogate pair. What is kept is
// read by others.
func TestRawDataIsKeptSoThatOthersCanReadIt(t *testing.T) {
	for raw, want := range map[string]string{
		"{\"a\":\"\xff!\"}":                      "{\"a\":\"\ufffd!\"}",
		`{"a":"\ud800!"}`:                        `{"a":"\ufffd!"}`,
		`{"a":"\uD800\uD800\uDC00\udc00\ud800"}`: `{"a":"\ufffd\uD800\uDC00\ufffd\ufffd"}`,
		`{"a":"\\ud800 \\\ud83d\ude00 \u0041"}`:  `{"a":"\\ud800 \\\ud83d\ude00 \u0041"}`,
		`{"\ud83d":"\\"}`:                        `{"\ufffd":"\\"}`,
	} {
		t.Run(raw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := json.RawMessage(raw)
				w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{Data: data}, nil })
				l, err := w.eng.Enroll(background, w.callOnce(), lead.Contact{PhoneNumber: "+14155552671", Metadata: map[string]any{"m": data}})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if step := w.history(l)[0]; string(step.Data) != want {
					t.Errorf("the data is %q, want %q", step.Data, want)
				}
				var m map[string]any
				if err := json.Unmarshal([]byte(want), &m); err != nil {
					t.Fatal(err)
				}
				if got := w.lead(l).Metadata["m"]; !reflect.DeepEqual(got, m) {
					t.Errorf("the metadata is %q, want %q", got, m)
				}
			})
		})
	}
}
