package webhook_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// fuzzed is a call to a URL, a condition on all that came of it, and a call to
// whoever it is true for. The condition never fails the lead.
func fuzzed(url string) *workflow.Definition {
	return &workflow.Definition{Name: "Fuzzed", Entry: "call", Nodes: []workflow.Node{
		workflow.CallNode("call", workflow.Config{"url": url, "callback": map[string]any{
			"outcome": map[string]any{
				"field":  "S",
				"map":    map[string]any{"completed": "completed", "busy": map[string]any{"error": "busy"}, "bad": map[string]any{"error": "bad", "final": true}},
				"ignore": []string{"ringing"},
			},
			"call_id": "C", "data": []string{"D", "E"},
		}}).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Minute)}),
		workflow.If("if", `steps.call.data.a == 1 || steps.call.data.D == "1" || steps.call.call_id contains "7" || len(steps.call.outcome) > 9`),
		workflow.CallNode("again", workflow.Config{"url": url}),
		workflow.End("done", workflow.Converted),
	}, Edges: []workflow.Edge{
		workflow.On("call", "default", "if"), workflow.On("if", "true", "again"), workflow.On("if", "false", "done"),
		workflow.On("again", "default", "done"),
	}}
}

// FuzzAnswersAndForms has a receiver answer as it likes, and send whatever form as the
// callback of a 202. Whatever it is, the lead comes to its end, also through a restart,
// and so does everybody else.
func FuzzAnswersAndForms(f *testing.F) {
	for _, body := range []string{
		`{"outcome":"completed","data":{"a":1},"call_id":"7"}`, `{"outcome":"completed","data":{"a":1e400}}`, `{"data":{"a":9007199254740993}}`,
		"\ufeff{}", "ok", "", "[]", "null", `{"outcome":7}`, "{\"data\":{\"\xff\":\"\xff\\ud800\\u0000\"}}", `{"data":{"a":` + "[[[[[[]]]]]]" + `}}`,
		`{"call_id":1e400}`, `{"call_id":"\u0000"}`, `{"outcome":"\u0000"}`, `{"data":[]}`, `{"data":{"a":-0.0e-999}}`,
	} {
		for _, form := range []string{"S=completed&C=7&D=1", "S=ringing", "S=busy&C=%00%ff", "S=bad&E=", "S=", "D=1", "%zz", "S=completed&D=%ff%00&S=busy"} {
			f.Add(uint16(200), body, form)
		}
		f.Add(uint16(202), body, "S=completed&C=7&D=1")
	}
	for _, code := range []uint16{201, 204, 301, 404, 429, 500, 599} {
		f.Add(code, "ok", "S=completed")
	}
	type answer struct {
		code int
		body string
	}
	var now atomic.Pointer[answer]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := now.Load()
		w.WriteHeader(a.code)
		if a.code != http.StatusNoContent && a.code != http.StatusNotModified {
			w.Write([]byte(a.body))
		}
	}))
	f.Cleanup(server.Close)
	h, err := webhook.New(webhook.Config{
		CallbackURL: func(lead.StepID) string { return "http://leads.test/" }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code uint16, body, form string) {
		if code < 200 || code > 599 { // which net/http sends as it is
			code = 200 + code%400
		}
		now.Store(&answer{int(code), body})
		w := enginetest.New(t, enginetest.Config{
			Engine: engine.Config{Handlers: map[string]engine.Handler{"voice_call": h}},
			Script: enginetest.Script{"good": enginetest.Outcome("completed")},
		})
		wf := w.Activate(t, fuzzed(server.URL))
		good := w.Activate(t, &workflow.Definition{Name: "Good", Entry: "good", Nodes: []workflow.Node{workflow.CallNode("good", nil)}})
		ids := []lead.ID{w.Enroll(t, wf, enginetest.Contact(0)), w.Enroll(t, good, enginetest.Contact(1))}
		w.Run(t, 0)
		step := w.History(t, ids[0])[0]
		if values, err := url.ParseQuery(form); err == nil && step.Status == lead.StepInProgress {
			_, node, err := w.Engine().StepNode(background, step.ID)
			if err != nil {
				t.Fatal(err)
			}
			out, err := webhook.ParseCallback(node, values)
			if err == nil {
				_, err = w.Engine().CompleteStep(background, step.ID, out)
			}
			if err != nil && !errors.Is(err, webhook.ErrIgnored) && !errors.Is(err, lead.ErrInvalid) {
				t.Errorf("the callback %q: %v", form, err)
			}
		}
		if err := w.Crash(); err != nil {
			t.Fatal(err)
		}
		w.RunToEnd(t)
		for _, id := range ids {
			w.LeadIs(t, id, lead.Completed)
			for _, s := range w.History(t, id) {
				if !utf8.Valid(s.Data) || !utf8.ValidString(s.CallID+s.Outcome+s.Error) {
					t.Errorf("the step is not UTF-8: %+v", s)
				}
				var data map[string]any
				if err := json.Unmarshal(s.Data, &data); len(s.Data) > 0 && err != nil {
					t.Errorf("the data %s: %v", s.Data, err)
				}
			}
		}
		w.PromisesHold(t)
	})
}
