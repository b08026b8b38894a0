package webhook_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// callers counts the calls that a receiver is asked for, by idempotency key.
type callers struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *callers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[r.Header.Get(webhook.HeaderIdempotencyKey)]++
	w.Write([]byte(`{"outcome":"completed"}`))
}

// expect checks that each of so many leads was called once.
func (c *callers) expect(t *testing.T, leads int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, n := range c.calls {
		if n != 1 || !strings.HasSuffix(key, "/1") {
			t.Errorf("%s is asked for %d times", key, n)
		}
	}
	if len(c.calls) != leads {
		t.Errorf("%d calls, want %d", len(c.calls), leads)
	}
}

// serveAt serves h at an address that is free, until the test ends.
func serveAt(t *testing.T, address string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// callAt is a workflow of one call, with as many attempts.
func callAt(url string, attempts int) *workflow.Definition {
	return &workflow.Definition{Name: "Call", Entry: "call", Nodes: []workflow.Node{
		workflow.CallNode("call", workflow.Config{"url": url}).
			WithRetry(workflow.Retry{MaxAttempts: attempts, Delay: workflow.Duration(time.Minute)}),
	}}
}

// A provider that is down for everybody is nobody's outcome, and keeps nobody from
// being called by another.
func TestWhileAProviderIsDownItsLeadsWait(t *testing.T) {
	var down, up callers
	other := httptest.NewServer(&up)
	t.Cleanup(other.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()

	h, err := webhook.New(webhook.Config{CallbackURL: func(lead.StepID) string { return "http://leads.test/" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdleConnections)
	w := enginetest.New(t, enginetest.Config{Engine: engine.Config{Handlers: map[string]engine.Handler{"voice_call": h}, Workers: 10}})
	wf := w.Activate(t, callAt("http://"+address, 1))
	const leads = 40
	ids := w.EnrollMany(t, wf, leads)
	w.Run(t, 2*time.Hour)
	for _, id := range ids {
		if l := w.Lead(t, id); l.State.Final() {
			t.Errorf("lead %s is %s", id, l.State)
		}
	}
	good := w.EnrollMany(t, w.Activate(t, callAt(other.URL, 1)), leads)
	w.Run(t, 0)
	for _, id := range good {
		w.LeadIs(t, id, lead.Completed)
	}
	up.expect(t, leads)

	serveAt(t, address, &down)
	w.RunToEnd(t)
	down.expect(t, leads)
	for _, id := range ids {
		w.LeadIs(t, id, lead.Completed)
		if step := w.History(t, id)[0]; step.Outcome != "completed" || len(step.Attempts) != 1 {
			t.Errorf("the step is %+v", step)
		}
	}
	w.PromisesHold(t)
}

// A connection that breaks is a failed attempt: the call may have been made.
func TestAnAttemptThatMayHaveBeenMadeCounts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(server.Close)
	h, err := webhook.New(webhook.Config{CallbackURL: func(lead.StepID) string { return "http://leads.test/" }})
	if err != nil {
		t.Fatal(err)
	}
	w := enginetest.New(t, enginetest.Config{Engine: engine.Config{Handlers: map[string]engine.Handler{"voice_call": h}}})
	id := w.Enroll(t, w.Activate(t, callAt(server.URL, 2)), enginetest.Contact(0))
	w.RunToEnd(t)
	if step := w.History(t, id)[0]; step.Outcome != "failed" || len(step.Attempts) != 2 {
		t.Errorf("the step is %+v", step)
	}
}

// fastClock is the real time, so many times faster.
type fastClock struct {
	begun time.Time
	speed time.Duration
}

func (c fastClock) Now() time.Time { return c.begun.Add(time.Since(c.begun) * c.speed) }

func (c fastClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d/c.speed, f).Stop
}

var _ engine.Clock = fastClock{}

// background is for what must not end with a test.
var background = context.Background()
