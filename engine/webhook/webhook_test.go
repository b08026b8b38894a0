package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// newTest returns a handler that the test closes, on top of what every one
// needs.
func newTest(t *testing.T, c Config) *Handler {
	t.Helper()
	if c.CallbackURL == nil {
		c.CallbackURL = func(step lead.StepID) string {
			return "http://leads.test/v1/steps/" + step.String() + "/complete?a=1&b=2"
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdleConnections)
	return h
}

// attemptAt returns an attempt at a voice_call node with that url.
func attemptAt(t *testing.T, url string) engine.Attempt {
	t.Helper()
	at := time.UnixMilli(1_700_000_000_000)
	id, err := lead.NewID(at, 7)
	if err != nil {
		t.Fatal(err)
	}
	wf, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	step := lead.NewStepID(at, id, 1)
	return engine.Attempt{
		WorkflowID: wf, LeadID: id, StepID: step, Number: 2, IdempotencyKey: step.String() + "/2",
		Node:     workflow.CallNode("call", workflow.Config{"url": url, "voice": "ada"}),
		Contact:  lead.Contact{PhoneNumber: "+14155552671", ExternalID: "crm-1", TimeZone: "Europe/Berlin", Metadata: map[string]any{"name": "A & B"}},
		Deadline: at.Add(time.Hour),
	}
}

// receiver is a server that answers as the test says, and remembers what it was
// asked.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	requests []received
	conns    int
}

type received struct {
	method, path string
	header       http.Header
	body         []byte
}

func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("receiver: %v", err)
		}
		r.mu.Lock()
		r.requests = append(r.requests, received{req.Method, req.URL.String(), req.Header.Clone(), body})
		r.mu.Unlock()
		answer(w, req)
	}))
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.mu.Lock()
			r.conns++
			r.mu.Unlock()
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) seen() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.requests...)
}

func (r *receiver) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns
}

// kind is what an error means to the engine: nothing, "final", "not made" or
// "retry". Its types are the engine's own.
func kind(err error) string {
	switch {
	case err == nil:
		return ""
	case reflect.TypeOf(err) == reflect.TypeOf(engine.NonRetryable(err)):
		return "final"
	case reflect.TypeOf(err) == reflect.TypeOf(engine.NotMade(err)):
		return "not made"
	}
	return "retry"
}

// waitOf is the least wait that an error asks for.
func waitOf(err error) time.Duration {
	if reflect.TypeOf(err) != reflect.TypeOf(engine.RetryAfter(err, 0)) {
		return 0
	}
	return time.Duration(reflect.ValueOf(err).Elem().FieldByName("wait").Int())
}

func TestTheRequestSaysWhatIsToBeDone(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) })
	h := newTest(t, Config{})
	a := attemptAt(t, r.URL+"/call?tenant=7")
	if _, err := h.Handle(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got := r.seen()[0]
	want := fmt.Sprintf(`{"step_id":%q,"attempt":2,"idempotency_key":"%s/2",`+
		`"callback_url":"http://leads.test/v1/steps/%s/complete?a=1&b=2&attempt=2",`+
		`"node":{"id":"call","type":"voice_call","config":{"url":"%s/call?tenant=7","voice":"ada"}},`+
		`"lead":{"id":%q,"workflow_id":%q,"phone_number":"+14155552671","external_id":"crm-1","time_zone":"Europe/Berlin","metadata":{"name":"A & B"}}}`,
		a.StepID, a.StepID, a.StepID, r.URL, a.LeadID, a.WorkflowID)
	if diff := cmp.Diff(want, string(got.body)); diff != "" {
		t.Error(diff)
	}
	if got.method != "POST" || got.path != "/call?tenant=7" {
		t.Errorf("%s %s", got.method, got.path)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": a.IdempotencyKey, "User-Agent": "leadflow-webhook",
		"X-Leadflow-Redelivered": "", "X-Leadflow-Signature": "", "X-Leadflow-Timestamp": "",
	} {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
		}
	}

	a.Redelivered, a.Scheduled = true, &engine.Message{Data: json.RawMessage(`"a reminder"`)}
	if _, err := h.Handle(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got = r.seen()[1]
	var body struct {
		Redelivered bool
		Scheduled   struct{ Data any }
	}
	if err := json.Unmarshal(got.body, &body); err != nil || !body.Redelivered || body.Scheduled.Data != "a reminder" {
		t.Errorf("%s, %v", got.body, err)
	}
	if got.header.Get("X-Leadflow-Redelivered") != "true" {
		t.Errorf("headers %v", got.header)
	}
}

// TestEveryAnswerMeansWhatTheTableSays has a row for each of the contract's,
// and for each that the package's doc decides.
func TestEveryAnswerMeansWhatTheTableSays(t *testing.T) {
	big := strings.Repeat("x", 2000)
	for _, c := range []struct {
		name    string
		code    int
		body    string
		header  http.Header
		want    engine.Result
		err     string        // "", "retry" or "final"; "call" is final for a voice_call, and success for the others
		text    string        // in the error
		atLeast time.Duration // of the wait before the next attempt
	}{
		{name: "200", code: 200, body: `{"outcome":"dnp","data":{"rings":7,"cost":12345678901234567890},"call_id":"c-1","more":true}`,
			want: engine.Result{Outcome: "dnp", CallID: "c-1", Data: json.RawMessage(`{"rings":7,"cost":12345678901234567890}`)}},
		{name: "200 with a byte order mark", code: 200, body: "\ufeff" + `{"outcome":"completed"}`, want: engine.Result{Outcome: "completed"}},
		{name: "200 outcome alone", code: 200, body: `{"outcome":"completed"}`, want: engine.Result{Outcome: "completed"}},
		{name: "200 without an outcome", code: 200, body: `{"call_id":42}`, want: engine.Result{CallID: "42"}},
		{name: "200 long number", code: 200, body: `{"call_id":1152921504606846977}`, want: engine.Result{CallID: "1152921504606846977"}},
		{name: "200 empty object", code: 200, body: ` {} `},
		{name: "200 nulls", code: 200, body: `{"outcome":null,"data":null,"call_id":null}`, want: engine.Result{Data: json.RawMessage("null")}},
		{name: "200 empty", code: 200, body: "", err: "call", text: "not a JSON object"},
		{name: "200 ok", code: 200, body: "ok", err: "call", text: ": ok"},
		{name: "200 another object", code: 200, body: `{"status":"queued"}`, err: "call", text: `with a body that is not a JSON object with outcome, data or call_id: {"status":"queued"}`},
		{name: "200 html", code: 200, body: "<html>\n<h1>Hello</h1>", err: "call", text: `answered 200 OK, with a body that is not a JSON object with outcome, data or call_id (invalid character '<' looking for beginning of value): <html> <h1>Hello</h1>`},
		{name: "200 null", code: 200, body: "null", err: "call", text: "(it is JSON, but not an object): null"},
		{name: "200 list", code: 200, body: "[]", err: "call", text: "(it is JSON, but not an object): []"},
		{name: "200 two objects", code: 200, body: `{"outcome":"a"}{"outcome":"b"}`, err: "call", text: "after top-level value"},
		{name: "200 cut JSON", code: 200, body: `{"outcome":"a"`, err: "call", text: "unexpected end"},
		{name: "200 too large", code: 200, body: `{"outcome":"` + big + `"}`, err: "call", text: "more bytes than Config.MaxAnswer"},
		{name: "200 outcome number", code: 200, body: `{"outcome":7}`, err: "final", text: "outcome must be a string"},
		{name: "200 call_id object", code: 200, body: `{"call_id":{}}`, err: "final", text: "call_id must be a string or a number"},
		{name: "201", code: 201, body: `{"outcome":"dnp","call_id":"c"}`, err: "call", text: "answered 201 Created; the outcome of a voice_call comes with 200"},
		{name: "203", code: 203, body: "ok", err: "call"},
		{name: "204", code: 204, err: "call", text: "answered 204 No Content"},
		{name: "299", code: 299, body: big, err: "call"},
		{name: "202", code: 202, want: engine.Result{InFlight: true}},
		{name: "202 with a call_id", code: 202, body: `{"call_id":"c-2"}`, want: engine.Result{InFlight: true, CallID: "c-2"}},
		{name: "202 with a byte order mark", code: 202, body: "\ufeff" + `{"call_id":"c-2"}`, want: engine.Result{InFlight: true, CallID: "c-2"}},
		{name: "202 garbage", code: 202, body: `queued!`, want: engine.Result{InFlight: true}},
		{name: "202 long call_id", code: 202, body: `{"call_id":"` + big[:257] + `"}`, want: engine.Result{InFlight: true}},
		{name: "202 too large", code: 202, body: big, want: engine.Result{InFlight: true}},
		{name: "408", code: 408, err: "retry", text: "answered 408 Request Timeout"},
		{name: "425", code: 425, err: "retry"},
		{name: "429", code: 429, err: "retry", header: http.Header{"Retry-After": {"7"}}, atLeast: 7 * time.Second},
		{name: "500", code: 500, body: "out of\r\n  lines\x00", err: "retry", text: "answered 500 Internal Server Error: out of lines"},
		{name: "500 long", code: 500, body: strings.Repeat("é", 600), err: "retry", text: ": " + strings.Repeat("é", 100) + "…"},
		{name: "500 bytes", code: 500, body: "\xff\xfe!", err: "retry", text: ": \ufffd"},
		{name: "501", code: 501, err: "retry"},
		{name: "503 with a date", code: 503, err: "retry", atLeast: 90 * time.Second, header: http.Header{
			"Date": {"Wed, 21 Oct 2015 07:28:00 GMT"}, "Retry-After": {"Wed, 21 Oct 2015 07:29:30 GMT"}}},
		{name: "599", code: 599, err: "retry", text: "answered 599"},
		{name: "400", code: 400, body: `{"title":"no such number"}`, err: "final", text: `answered 400 Bad Request: {"title":"no such number"}`},
		{name: "401", code: 401, err: "final"},
		{name: "404", code: 404, err: "final"},
		{name: "409", code: 409, err: "final", header: http.Header{"Retry-After": {"7"}}},
		{name: "422", code: 422, err: "final"},
		{name: "304", code: 304, err: "final"},
	} {
		for _, kindOf := range []workflow.NodeType{workflow.VoiceCall, workflow.Message, workflow.Application} {
			t.Run(c.name+" to a "+string(kindOf), func(t *testing.T) {
				r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
					for name, values := range c.header {
						w.Header()[name] = values
					}
					w.WriteHeader(c.code)
					io.WriteString(w, c.body)
				})
				a := attemptAt(t, strings.Replace(r.URL, "//", "//user:password@", 1)+"/call?key=password")
				a.Node.Type = kindOf
				got, err := newTest(t, Config{MaxAnswer: 1000}).Handle(t.Context(), a)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				want := c.err
				if want == "call" {
					if want = ""; kindOf == workflow.VoiceCall {
						want = "final"
					}
				}
				if kind(err) != want {
					t.Errorf("%q error %v, want %q", kind(err), err, want)
				}
				if err == nil {
					return
				}
				if !strings.HasPrefix(err.Error(), "webhook: POST "+r.URL+"/call: ") || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %q, want one of the request, with %q", err, c.text)
				}
				if strings.Contains(err.Error(), "password") {
					t.Errorf("%q gives a password away", err)
				}
				if n := len(r.seen()); n != 1 {
					t.Errorf("%d requests", n)
				}
				if got := waitOf(err); got != c.atLeast {
					t.Errorf("the next attempt waits %s, want %s", got, c.atLeast)
				}
			})
		}
	}
}

// A message that a call's handler scheduled is a message, not a call.
func TestAScheduledMessageIsAnsweredAsAMessage(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	a := attemptAt(t, r.URL)
	a.Scheduled = &engine.Message{}
	if _, err := newTest(t, Config{}).Handle(t.Context(), a); err != nil {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, " 120 ": 2 * time.Minute, "-5": 0, "1.5": 0, "soon": 0,
		"86401": MaxRetryAfter, "99999999999999999999999": MaxRetryAfter, "18446744073709551615": MaxRetryAfter,
		"Tue, 01 Jan 2030 00:01:00 GMT":    time.Minute,
		"Tuesday, 01-Jan-30 00:01:00 GMT":  time.Minute,
		"Tue Jan  1 00:01:00 2030":         time.Minute,
		"Mon, 31 Dec 2029 23:59:00 GMT":    0,
		"Wed, 01 Jan 2031 00:00:00 GMT":    MaxRetryAfter,
		"Tue, 01 Jan 2030 00:01:00 +0000x": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestNoAnswerIsRetried(t *testing.T) {
	hang := make(chan struct{})
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		text   string
	}{
		"no headers": {answer: func(http.ResponseWriter, *http.Request) { <-hang }, text: "no answer within 50ms"},
		"slow body": {answer: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"outcome":`)
			http.NewResponseController(w).Flush()
			<-hang
		}, text: "no answer within 50ms"},
		"cut before the headers": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, text: "no answer: EOF"},
		"cut in the body": {answer: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"outcome":`)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, text: "broke off"},
		"no HTTP": {answer: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, "220 mail.example.com ESMTP\r\n")
			conn.Close()
		}, text: "malformed HTTP"},
		"endless headers": {answer: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 128<<10))
			conn.Close()
		}, text: "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := time.Minute
			if strings.Contains(c.text, "50ms") {
				timeout = 50 * time.Millisecond
			}
			r := newReceiver(t, c.answer)
			if strings.Contains(c.text, "50ms") {
				t.Cleanup(sync.OnceFunc(func() { hang <- struct{}{} })) // before the server's Close, which waits
			}
			_, err := newTest(t, Config{Timeout: timeout}).Handle(t.Context(), attemptAt(t, r.URL))
			if kind(err) != "retry" || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("%s error %v, want one to retry, with %q", kind(err), err, c.text)
			}
		})
	}
}

func TestA202CountsThoughItsBodyBreaksOff(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(202)
		io.WriteString(w, `{"call_id":`)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	var log bytes.Buffer
	h := newTest(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	got, err := h.Handle(t.Context(), attemptAt(t, r.URL))
	if err != nil || !got.InFlight {
		t.Errorf("%+v, %v; a second call would ring twice", got, err)
	}
	if !strings.Contains(log.String(), "body of a 202 cannot be read") {
		t.Errorf("logged: %s", &log)
	}
}

func TestTheEnginesEndOfAnAttemptCutsTheRequest(t *testing.T) {
	asked, cut := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, req *http.Request) {
		close(asked)
		<-req.Context().Done()
		close(cut)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(engine.ErrDeadline)
	}()
	_, err := newTest(t, Config{}).Handle(ctx, attemptAt(t, r.URL))
	if !errors.Is(err, engine.ErrDeadline) {
		t.Errorf("error %v, want the engine's cause", err)
	}
	<-cut
}

func TestNodesWithoutAUsableURLFailForGood(t *testing.T) {
	h := newTest(t, Config{})
	for config, text := range map[string]string{
		``:                             "node n: config.url is missing: it says where the voice_call is to be asked for",
		`{}`:                           "config.url is missing",
		`{"url":null}`:                 "config.url is missing",
		`{"url":""}`:                   "config.url is missing",
		`{"url":7}`:                    "config.url must be a string, not a number",
		`{"url":"dialer.test/call"}`:   "config.url must begin with https:// or http://",
		`{"url":"//dialer.test"}`:      "config.url must begin with https:// or http://",
		`{"url":"ftp://dialer.test"}`:  "config.url must begin with https:// or http://",
		`{"url":"file:///etc/passwd"}`: "config.url must begin with https:// or http://",
		`{"url":"http://"}`:            "config.url names no host",
		`{"url":"http://:80/"}`:        "config.url names no host",
		`{"url":"http://a b/"}`:        "config.url is no URL",
		`{"url":"http://a:b/"}`:        "config.url is no URL",
		`{"url":"http://a:99999/"}`:    "config.url has the port 99999",
	} {
		n := workflow.Node{ID: "n", Type: workflow.VoiceCall, Config: json.RawMessage(config)}
		a := attemptAt(t, "")
		a.Node = n
		_, err := h.Handle(t.Context(), a)
		if kind(err) != "final" || !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("%s: %s error %v, want a final one with %q", config, kind(err), err, text)
		}
		if check := h.CheckNode(n); check == nil || check.Error() != err.Error() {
			t.Errorf("%s: CheckNode says %v", config, check)
		}
	}
	if err := h.CheckNode(workflow.CallNode("n", workflow.Config{"url": "https://dialer.test/call"})); err != nil {
		t.Error(err)
	}
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := New(Config{Timeout: -1, MaxAnswer: -1, UserAgent: "a\nb", Allow: []string{"a b", "ok.test", "10.0.0.1/8"}})
	for _, text := range []string{"CallbackURL", "Timeout", "MaxAnswer", "UserAgent", `Allow[0] "a b"`, `Allow[2] "10.0.0.1/8": has bits set`} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v lacks %s", err, text)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	codes := []int{200, 202, 400, 404, 429, 500, 503, 302}
	var n int
	var mu sync.Mutex
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(codes[n%len(codes)])
		if n++; codes[n%len(codes)] != 200 {
			io.WriteString(w, strings.Repeat("{}", 5000))
		}
	})
	h := newTest(t, Config{})
	a := attemptAt(t, r.URL)
	for range 200 {
		h.Handle(t.Context(), a)
	}
	if got := r.connections(); got != 1 {
		t.Errorf("%d connections for 200 requests one after the other", got)
	}
	const many = 64
	for range 20 {
		var crowd sync.WaitGroup
		for range many {
			crowd.Go(func() { h.Handle(t.Context(), a) })
		}
		crowd.Wait()
	}
	if got := r.connections(); got > 2*many {
		t.Errorf("%d connections for %d requests at a time", got, many)
	}
	if got := len(r.seen()); got != 200+20*many {
		t.Errorf("%d requests", got)
	}
}
