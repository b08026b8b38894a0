package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// digits is a workflow of a call, and a second one to those whose numbers are to the
// digit what they were.
const digits = `{"name":"Digits","entry":"first","nodes":[
	{"id":"first","type":"voice_call","config":{"url":"URL","account":1152921504606846977}},
	{"id":"same","type":"conditional","config":{"expression":"metadata.crm == 1152921504606846977 && metadata.crm != 1152921504606846976 && steps.first.data.ref == 9007199254740993"}},
	{"id":"second","type":"voice_call","config":{"url":"URL"}},
	{"id":"other","type":"dropped"},{"id":"done","type":"converted"}],
	"edges":[{"from":"first","to":"same","label":"completed"},{"from":"same","to":"second","label":"true"},{"from":"same","to":"other","label":"false"},
	{"from":"second","to":"done","label":"completed"}]}`

// Integers that a float64 does not hold keep their digits wherever they go: into
// webhooks, conditions, answers, callbacks, and through a restart.
func TestLongIntegersKeepTheirDigits(t *testing.T) {
	requests := make(chan string, 2)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if requests <- string(body); strings.Contains(string(body), `"id":"second"`) {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		io.WriteString(w, `{"data":{"ref":9007199254740993}}`)
	}))
	t.Cleanup(receiver.Close)
	path := filepath.Join(t.TempDir(), "leads.db")
	hook, err := webhook.New(webhook.Config{CallbackURL: func(step lead.StepID) string { return step.String() }, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hook.CloseIdleConnections)
	over := make(chan lead.Lead, 1)
	open := func() *server {
		s := &server{t: t}
		if s.store, err = sqlite.Open(context.Background(), path, sqlite.Options{}); err != nil {
			t.Fatal(err)
		}
		s.eng, err = engine.New(s.store, engine.Config{Handlers: map[string]engine.Handler{"voice_call": hook}, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		s.eng.Listen(func(e engine.Event) {
			if e.Type == engine.EventCompleted {
				over <- e.Lead
			}
		})
		if err := s.eng.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		h, err := httpapi.New(s.eng, httpapi.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		s.http = httptest.NewServer(h)
		return s
	}
	has := func(what, text string, digits ...string) {
		t.Helper()
		for _, d := range digits {
			if !strings.Contains(text, d) {
				t.Errorf("%s lacks %s: %s", what, d, text)
			}
		}
	}
	s := open()
	defer func() { s.close() }()
	w := s.active(strings.ReplaceAll(digits, "URL", receiver.URL))
	enrolled := s.post(w+"/leads", `{"phone_number":"+14155550001","metadata":{"crm":1152921504606846977}}`).expect(201)
	l := w + "/leads/" + enrolled.object()["id"].(string)
	first, second := <-requests, ""
	select {
	case second = <-requests:
	case l := <-over:
		t.Fatalf("the condition was false: %+v", l)
	}
	has("enrolling", string(enrolled.body), "1152921504606846977")
	has("the first webhook", first, `"crm":1152921504606846977`, `"account":1152921504606846977`)
	has("the lead", string(s.get(l).body), "1152921504606846977")
	has("an update", string(s.patch(l, `{"metadata":{"more":1152921504606846979}}`).expect(200).body), "1152921504606846977", "1152921504606846979")
	var step struct {
		ID string `json:"step_id"`
	}
	if err := json.Unmarshal([]byte(second), &step); err != nil {
		t.Fatal(err)
	}
	s.close()

	s = open()
	s.post("/v1/steps/"+step.ID+"/complete", `{"outcome":"completed","data":{"ref":12345678901234567890}}`).expect(200)
	if l := <-over; l.Outcome != "converted" {
		t.Errorf("the lead is %+v", l)
	}
	has("the second webhook", second, "1152921504606846977")
	has("the list", string(s.get(w+"/leads").body), "1152921504606846977", "1152921504606846979")
	has("the history", string(s.get(l+"/history").body), "9007199254740993", "12345678901234567890")
	has("the call log", string(s.get("/v1/calls").body), "9007199254740993", "12345678901234567890")
}

// Editors and libraries on Windows write a mark before JSON.
func TestAByteOrderMarkBeforeABodyIsSkipped(t *testing.T) {
	const mark = "\ufeff"
	steps := make(chan lead.StepID, 1)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	w := s.active(mark + callWaitText)
	s.patch(w, mark+`{"name":"New"}`).expect(200)
	l := w + "/leads/" + s.post(w+"/leads", mark+`{"phone_number":"+14155550001"}`).expect(201).object()["id"].(string)
	s.patch(l, mark+`{"metadata":{"a":1}}`).expect(200)
	s.post("/v1/steps/"+(<-steps).String()+"/complete", mark+`{"outcome":"completed"}`).expect(200)
	s.post(w+"/leads", mark).expect(422)
	s.post(w+"/leads", mark+mark+`{"phone_number":"+14155550002"}`).expect(422)
}
