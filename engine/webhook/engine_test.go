package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// asked is a request as a receiver sees it.
type asked struct {
	StepID         lead.StepID `json:"step_id"`
	Attempt        int         `json:"attempt"`
	IdempotencyKey string      `json:"idempotency_key"`
	Redelivered    bool        `json:"redelivered"`
	Node           struct{ ID string }
	header         http.Header
	answer         chan func(w http.ResponseWriter)
}

// reply answers the request.
func (a asked) reply(code int, body string, headers ...string) {
	a.answer <- func(w http.ResponseWriter) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// world is an engine whose every action is asked for from a receiver, which
// hands each request to the test.
type world struct {
	t        *testing.T
	path     string
	store    *sqlite.Store
	eng      *engine.Engine
	handler  *webhook.Handler
	requests chan asked
	url      string
	done     chan engine.HookEvent // every step that is over
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, path: filepath.Join(t.TempDir(), "leads.db"), requests: make(chan asked, 10), done: make(chan engine.HookEvent, 10),
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		a := asked{header: r.Header, answer: make(chan func(http.ResponseWriter), 1)}
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Errorf("receiver: %v", err)
		}
		w.requests <- a
		select {
		case answer := <-a.answer:
			answer(rw)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	var err error
	w.handler, err = webhook.New(webhook.Config{CallbackURL: func(lead.StepID) string { return "http://leads.test/" }})
	if err != nil {
		t.Fatal(err)
	}
	w.open()
	t.Cleanup(func() {
		w.handler.CloseIdleConnections()
		w.close(context.Background())
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = sqlite.Open(context.Background(), w.path, sqlite.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.eng, err = engine.New(w.store, engine.Config{
		Handlers: map[string]engine.Handler{
			"voice_call": w.handler, "message": w.handler, "application": w.handler,
		},
		Hooks: []engine.Hook{{Name: "done", Run: func(_ context.Context, c engine.HookEvent) error {
			w.done <- c
			return nil
		}}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.eng.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close(ctx context.Context) {
	w.t.Helper()
	if err := w.eng.Shutdown(ctx); err != nil && ctx.Err() == nil {
		w.t.Error(err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// enroll makes a lead of a workflow of one node.
func (w *world) enroll(n workflow.Node) {
	w.t.Helper()
	ctx := w.t.Context()
	wf, err := w.eng.CreateWorkflow(ctx, &workflow.Definition{Name: "Test", Entry: n.ID, Nodes: []workflow.Node{n}})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.eng.ActivateWorkflow(ctx, wf.ID); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) call(attempts int) workflow.Node {
	return workflow.CallNode("call", workflow.Config{"url": w.url}).
		WithRetry(workflow.Retry{MaxAttempts: attempts, Delay: workflow.Duration(time.Millisecond)})
}

// over waits for a step to be over.
func (w *world) over(status lead.StepStatus, outcome string) lead.Step {
	w.t.Helper()
	s := (<-w.done).Step
	if s.Status != status || s.Outcome != outcome {
		w.t.Errorf("the step is %s, %q (%s), want %s, %q", s.Status, s.Outcome, s.Error, status, outcome)
	}
	return s
}

func TestEachAttemptHasItsOwnKeyAndARedeliveryTheSame(t *testing.T) {
	w := newWorld(t)
	w.enroll(w.call(3))
	first := <-w.requests
	first.reply(503, "busy")
	second := <-w.requests

	// A crash while the second attempt's answer is awaited.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	w.close(over)
	w.open()
	again := <-w.requests
	again.reply(429, "busy")
	third := <-w.requests
	third.reply(200, `{"outcome":"dnp","call_id":"c-3"}`)
	step := w.over(lead.StepCompleted, "dnp")

	keys := []string{first.IdempotencyKey, second.IdempotencyKey, again.IdempotencyKey, third.IdempotencyKey}
	id := step.ID.String()
	if want := []string{id + "/1", id + "/2", id + "/2", id + "/3"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	for i, a := range []asked{first, second, again, third} {
		redelivered := i == 2
		if a.Redelivered != redelivered || (a.header.Get(webhook.HeaderRedelivered) == "true") != redelivered {
			t.Errorf("request %d is marked as redelivered: %t, %q", i+1, a.Redelivered, a.header.Get(webhook.HeaderRedelivered))
		}
		if a.header.Get("Idempotency-Key") != a.IdempotencyKey || a.StepID != step.ID {
			t.Errorf("request %d: key %q in the header, step %s", i+1, a.header.Get("Idempotency-Key"), a.StepID)
		}
	}
	if step.CallID != "c-3" || len(step.Attempts) != 3 || step.Attempts[0].Error == "" {
		t.Errorf("step %+v", step)
	}
}

// After a crash the receiver is asked what became of the attempt, if the node says so.
func TestAnInterruptedRequestIsAskedAbout(t *testing.T) {
	for name, c := range map[string]struct {
		code    int
		body    string
		status  lead.StepStatus
		outcome string
	}{
		"it was made":     {200, `{"outcome":"dnp"}`, lead.StepCompleted, "dnp"},
		"nobody knows":    {500, "", lead.StepFailed, "failed"},
		"it was not made": {404, "", lead.StepCompleted, "voicemail"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			questions := make(chan string, 10)
			reconcile := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				questions <- r.Header.Get(webhook.HeaderIdempotencyKey)
				rw.WriteHeader(c.code)
				io.WriteString(rw, c.body)
			}))
			t.Cleanup(reconcile.Close)
			w.enroll(workflow.CallNode("call", workflow.Config{"url": w.url, "reconcile": reconcile.URL}).WithUnknown(workflow.FailUnknown))
			first := <-w.requests
			over, cancel := context.WithCancel(t.Context())
			cancel()
			w.close(over)
			w.open()
			if key := <-questions; key != first.IdempotencyKey {
				t.Errorf("asked about %q, not %q", key, first.IdempotencyKey)
			}
			if c.code == 404 {
				again := <-w.requests
				if again.IdempotencyKey != first.IdempotencyKey || !again.Redelivered {
					t.Errorf("delivered again as %+v", again)
				}
				again.reply(200, `{"outcome":"voicemail"}`)
			}
			w.over(c.status, c.outcome)
			if n := len(w.requests); n != 0 {
				t.Errorf("%d more requests were made", n)
			}
		})
	}
}

func TestAnAnswerOf202WaitsForTheCallback(t *testing.T) {
	w := newWorld(t)
	w.enroll(w.call(3))
	a := <-w.requests
	a.reply(202, `{"call_id":"c-1"}`)
	done, err := w.eng.CompleteStep(t.Context(), a.StepID, engine.Callback{Outcome: "completed", Attempt: a.Attempt})
	if err != nil {
		t.Fatal(err)
	}
	if s := w.over(lead.StepCompleted, "completed"); s.CallID != "c-1" || s.ID != done.StepID {
		t.Errorf("step %+v", s)
	}
}

func TestTheLastFailureIsTheOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		node     func(w *world) workflow.Node
		codes    []int
		outcome  string
		attempts int
	}{
		"retries used up": {func(w *world) workflow.Node { return w.call(2) }, []int{500, 408}, "failed", 2},
		"a 4xx":           {func(w *world) workflow.Node { return w.call(9) }, []int{500, 404}, "failed", 2},
		"a message": {func(w *world) workflow.Node {
			return workflow.MessageNode("m", workflow.Config{"url": w.url})
		}, []int{425}, "failure", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enroll(c.node(w))
			for _, code := range c.codes {
				a := <-w.requests
				a.reply(code, "")
			}
			if s := w.over(lead.StepFailed, c.outcome); len(s.Attempts) != c.attempts {
				t.Errorf("%d attempts, want %d", len(s.Attempts), c.attempts)
			}
		})
	}
}

func TestAWorkflowThatCouldNotBeDoneIsNotActivated(t *testing.T) {
	w := newWorld(t)
	wf, err := w.eng.CreateWorkflow(t.Context(), &workflow.Definition{
		Name: "no url", Entry: "a", Nodes: []workflow.Node{workflow.ApplicationNode("a", nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var invalid *lead.InvalidError
	if _, err := w.eng.ActivateWorkflow(t.Context(), wf.ID); !errors.As(err, &invalid) || invalid.Faults[0].Location != "nodes[0].config" {
		t.Errorf("activating: %v", err)
	}
}

func TestRetryAfterPutsTheNextAttemptOff(t *testing.T) {
	w := newWorld(t)
	w.enroll(w.call(2))
	a := <-w.requests
	before := time.Now()
	a.reply(503, "", "Retry-After", "3600")
	l := w.await(lead.StepRetrying)
	if wait := l.NextActionAt.Sub(before); wait < 59*time.Minute || wait > 61*time.Minute {
		t.Errorf("the next attempt is in %s, want an hour", wait)
	}
}

// await asks for the one lead until its last step has the status.
func (w *world) await(status lead.StepStatus) lead.Lead {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	list, err := w.eng.Workflows(ctx, engine.WorkflowFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	for {
		leads, err := w.eng.Leads(ctx, list[0].ID, engine.LeadFilter{})
		if err != nil {
			w.t.Fatal(err)
		}
		steps, err := w.eng.History(ctx, list[0].ID, leads[0].ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if steps[len(steps)-1].Status == status {
			return leads[0]
		}
	}
}
