package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// askAbout returns an attempt at a node that asks the receiver what became of it.
func askAbout(t *testing.T, reconcile string) engine.Attempt {
	t.Helper()
	a := attemptAt(t, "http://dialer.test/call")
	a.Node = workflow.CallNode("call", workflow.Config{"url": "http://dialer.test/call", "reconcile": reconcile})
	return a
}

func TestTheReceiverTellsWhatBecameOfAnAttempt(t *testing.T) {
	outcome := engine.Result{Outcome: "dnp", CallID: "c1", Data: json.RawMessage(`{"a":1}`)}
	for _, test := range []struct {
		code  int
		body  string
		want  engine.Fate
		error string // when it is unknown
	}{
		{200, `{"outcome":"dnp","call_id":"c1","data":{"a":1}}`, engine.Happened(outcome, nil), ""},
		{200, `{}`, engine.Happened(engine.Result{}, nil), ""},
		{202, ``, engine.Happened(engine.InFlight(""), nil), ""},
		{202, `{"call_id":7}`, engine.Happened(engine.InFlight("7"), nil), ""},
		{404, `no such call`, engine.NeverHappened(), ""},
		{200, `ok`, engine.Fate{}, "answered 200 OK, with a body that is not a JSON object"},
		{200, ``, engine.Fate{}, "answered 200 OK, with a body that is not a JSON object"},
		{200, `{"status":"ringing"}`, engine.Fate{}, "answered 200 OK, with a body that is not a JSON object"},
		{200, `{"outcome":7}`, engine.Fate{}, "outcome must be a string"},
		{200, `{"outcome":"` + strings.Repeat("x", 2000) + `"}`, engine.Fate{}, "more bytes than Config.MaxAnswer"},
		{201, `{"outcome":"dnp"}`, engine.Fate{}, "answered 201 Created"},
		{204, ``, engine.Fate{}, "answered 204 No Content"},
		{302, ``, engine.Fate{}, "answered 302 Found"},
		{401, `who are you?`, engine.Fate{}, "answered 401 Unauthorized: who are you?"},
		{410, ``, engine.Fate{}, "answered 410 Gone"},
		{429, ``, engine.Fate{}, "answered 429"},
		{503, ``, engine.Fate{}, "answered 503"},
	} {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.code)
			io.WriteString(w, test.body)
		})
		fate, err := newTest(t, Config{MaxAnswer: 1000}).Reconcile(t.Context(), askAbout(t, r.URL+"/calls?token=secret"))
		if !reflect.DeepEqual(fate, test.want) || (err != nil) != (test.error != "") {
			t.Errorf("%d %s: %v, %v; want %v", test.code, test.body, fate, err, test.want)
		}
		if err != nil && (!strings.Contains(err.Error(), test.error) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%d %s: %v; want %q", test.code, test.body, err, test.error)
		}
	}
}

func TestTheQuestionHasTheKeyAndIsSigned(t *testing.T) {
	secret := []byte("secret")
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	for _, query := range []string{"", "?of=calls"} {
		a := askAbout(t, r.URL+"/calls"+query)
		if _, err := newTest(t, Config{Secret: secret, UserAgent: "test"}).Reconcile(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		got := r.seen()[len(r.seen())-1]
		u, err := url.Parse(got.path)
		if err != nil {
			t.Fatal(err)
		}
		key := u.Query().Get("idempotency_key")
		if got.method != "GET" || u.Path != "/calls" || key != a.IdempotencyKey || got.header.Get(HeaderIdempotencyKey) != key ||
			u.Query().Has("of") != (query != "") || len(got.body) > 0 || got.header.Get("User-Agent") != "test" || got.header.Get("Content-Type") != "" {
			t.Errorf("the request is %s %s %v %q", got.method, got.path, got.header, got.body)
		}
		if err := Verify(got.header, []byte(key), secret, time.Now()); err != nil {
			t.Errorf("its signature: %v", err)
		}
		if err := Verify(got.header, []byte(strings.Replace(key, "/2", "/1", 1)), secret, time.Now()); !errors.Is(err, ErrSignature) {
			t.Errorf("its signature for another key: %v", err)
		}
	}
}

func TestAReceiverThatIsNotToBeAskedIsNotAsked(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	a := attemptAt(t, r.URL)
	fate, err := newTest(t, Config{}).Reconcile(t.Context(), a)
	if !reflect.DeepEqual(fate, engine.Fate{}) || err != nil {
		t.Errorf("without config.reconcile: %v, %v", fate, err)
	}
	h := newTest(t, Config{Allow: []string{"dialer.test"}})
	fate, err = h.Reconcile(t.Context(), askAbout(t, r.URL))
	if !reflect.DeepEqual(fate, engine.Fate{}) || err == nil || !strings.Contains(err.Error(), "not in the list of allowed targets") {
		t.Errorf("where requests may not go: %v, %v", fate, err)
	}
	if n := len(r.seen()); n != 0 {
		t.Errorf("the receiver was asked %d times", n)
	}
}

func TestAFaultyReconcileIsRefused(t *testing.T) {
	h := newTest(t, Config{Allow: []string{"dialer.test"}})
	for config, text := range map[string]string{
		`{"url":"http://dialer.test/","reconcile":true}`:                 "config.reconcile must be a string, not a bool",
		`{"url":"http://dialer.test/","reconcile":"dialer.test"}`:        "config.reconcile must begin with https:// or http://",
		`{"url":"http://dialer.test/","reconcile":"http://other.test/"}`: "http://other.test/ is not in the list of allowed targets",
		`{"reconcile":"ftp://dialer.test/"}`:                             "config.url is missing: it says where the voice_call is to be asked for, such as https://dialer.example.com/call; webhook: node n: config.reconcile must begin",
	} {
		if err := h.CheckNode(workflow.Node{ID: "n", Type: workflow.VoiceCall, Config: json.RawMessage(config)}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want %q", config, err, text)
		}
	}
	for _, config := range []string{`{"url":"http://dialer.test/","reconcile":null}`, `{"url":"http://dialer.test/","reconcile":"http://dialer.test/"}`} {
		if err := h.CheckNode(workflow.Node{ID: "n", Type: workflow.VoiceCall, Config: json.RawMessage(config)}); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// Without an answer, what became of the attempt is unknown, and the error says why.
func TestNoAnswerTellsNothing(t *testing.T) {
	gone := newReceiver(t, nil)
	gone.Close()
	silent := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cut := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{"outcome":"dnp"}`)
	})
	deadline, cancel := context.WithCancelCause(t.Context())
	cancel(engine.ErrDeadline)
	for _, test := range []struct {
		ctx     context.Context
		url     string
		timeout time.Duration
		text    string
	}{
		{t.Context(), gone.URL, 0, "connection refused"},
		{t.Context(), silent.URL, 50 * time.Millisecond, "no answer within 50ms"},
		{t.Context(), cut.URL, 0, "it broke off"},
		{deadline, silent.URL, 0, engine.ErrDeadline.Error()},
	} {
		fate, err := newTest(t, Config{Timeout: test.timeout}).Reconcile(test.ctx, askAbout(t, test.url))
		if !reflect.DeepEqual(fate, engine.Fate{}) || err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%v, %v; want %q", fate, err, test.text)
		}
	}
}
