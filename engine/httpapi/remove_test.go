package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// handClock is a clock whose timers run when a test says so.
type handClock struct {
	mu     sync.Mutex
	now    time.Time
	timers chan timer
}

type timer struct {
	after time.Duration
	run   func()
}

func newHandClock() *handClock {
	return &handClock{now: time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC), timers: make(chan timer, 100)}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *handClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.timers <- timer{d, f}
	return func() bool { return true }
}

// blocked returns a handler that says when it was called, and returns when the
// test lets it.
func blocked() (handle engine.HandlerFunc, called <-chan struct{}, release chan<- struct{}) {
	in, out := make(chan struct{}, 100), make(chan struct{})
	return func(ctx context.Context, _ engine.Attempt) (engine.Result, error) {
		in <- struct{}{}
		select {
		case <-out:
		case <-ctx.Done():
		}
		return engine.Result{}, nil
	}, in, out
}

func expectRemoval(t *testing.T, a answer, status int, path, state string) {
	t.Helper()
	o := a.expect(status).object()
	message := "Lead removed from workflow."
	if status == 202 {
		message = "Lead will be removed when its step in flight is over."
	}
	if o["message"] != message || o["id"] != path[strings.LastIndexByte(path, '/')+1:] || o["status"] != state || len(o) != 3 {
		t.Errorf("the answer is %s", a)
	}
}

func TestRemoveAnswersByWhatIsInFlight(t *testing.T) {
	handle, called, release := blocked()
	s := newServer(t, httpapi.Config{}, handle)
	waiting := s.enroll(s.active(onlyWait), "+14155550001")
	expectRemoval(t, s.delete(waiting), 200, waiting, "removed")
	s.delete(waiting).expect(409)

	calling := s.enroll(s.active(callWaitText), "+14155550002")
	<-called
	expectRemoval(t, s.delete(calling+"?reason=stop"), 202, calling, "pending_removal")
	before := s.get(calling)
	expectRemoval(t, s.delete(calling+"?reason=other"), 202, calling, "pending_removal")
	if after := s.get(calling); string(after.body) != string(before.body) {
		t.Errorf("asking again has changed the lead from\n%s\nto\n%s", before, after)
	}
	close(release)
	expectGone(t, s, calling)
	s.delete(calling).expect(409)
}

// expectGone waits for the engine to detach the lead.
func expectGone(t *testing.T, s *server, path string) {
	t.Helper()
	a := s.send(request{method: "DELETE", path: path + "?wait=30s"})
	if a.status != 200 && a.status != 409 {
		t.Fatalf("the lead is not removed: %s", a)
	}
	if got := s.status(path); got != "removed" {
		t.Fatalf("the lead is %s", got)
	}
}

func TestAWaitEndsWithTheRemoval(t *testing.T) {
	handle, called, release := blocked()
	clock := newHandClock()
	s := newServer(t, httpapi.Config{Clock: clock}, handle)
	path := s.enroll(s.active(callWaitText), "+14155550002")
	<-called
	answers := make(chan answer, 2)
	for range 2 { // two may wait for the same lead
		go func() { answers <- s.send(request{method: "DELETE", path: path + "?wait=30s"}) }()
	}
	for range 2 {
		if waits := <-clock.timers; waits.after != 30*time.Second {
			t.Errorf("the wait is %v", waits.after)
		}
	}
	select {
	case a := <-answers:
		t.Fatalf("answered before the step was over: %s", a)
	default:
	}
	close(release)
	for range 2 {
		expectRemoval(t, <-answers, 200, path, "removed")
	}
}

func TestAWaitEndsWhenItsTimeIsUp(t *testing.T) {
	handle, called, release := blocked()
	defer close(release)
	clock := newHandClock()
	s := newServer(t, httpapi.Config{Clock: clock, MaxWait: time.Minute}, handle)
	path := s.enroll(s.active(callWaitText), "+14155550002")
	<-called
	answers := make(chan answer, 1)
	go func() { answers <- s.send(request{method: "DELETE", path: path + "?wait=9999h"}) }()
	waits := <-clock.timers
	if waits.after != time.Minute {
		t.Errorf("the wait is %v, longer than MaxWait", waits.after)
	}
	waits.run()
	expectRemoval(t, <-answers, 202, path, "pending_removal")
}

// requestLog hands on the lines of the access log.
type requestLog struct {
	slog.Handler
	lines chan map[string]string
}

func newRequestLog() *requestLog {
	return &requestLog{slog.DiscardHandler, make(chan map[string]string, 1000)}
}

func (l *requestLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *requestLog) Handle(_ context.Context, r slog.Record) error {
	line := map[string]string{"message": r.Message}
	r.Attrs(func(a slog.Attr) bool { line[a.Key] = a.Value.String(); return true })
	l.lines <- line
	return nil
}

// until returns the first line that has the value.
func (l *requestLog) until(t *testing.T, key, value string) map[string]string {
	t.Helper()
	for {
		select {
		case line := <-l.lines:
			if line[key] == value {
				return line
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no line with %s=%s", key, value)
		}
	}
}

func TestAClientThatLeavesEndsItsWaitAndTheRemovalStands(t *testing.T) {
	handle, called, release := blocked()
	clock, log := newHandClock(), newRequestLog()
	s := newServer(t, httpapi.Config{Clock: clock, Logger: slog.New(log)}, handle)
	path := s.enroll(s.active(callWaitText), "+14155550002")
	<-called
	ctx, leave := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := s.try(ctx, request{method: "DELETE", path: path + "?wait=30s"})
		failed <- err
	}()
	<-clock.timers
	leave()
	if err := <-failed; err == nil {
		t.Error("a client that left got an answer")
	}
	log.until(t, "method", "DELETE") // the handler has returned; the timer never ran
	if got := s.status(path); got != "pending_removal" {
		t.Errorf("the lead is %s", got)
	}
	close(release)
}

func TestAWaitEndsWithTheEngine(t *testing.T) {
	handle, called, release := blocked()
	clock := newHandClock()
	s := newServer(t, httpapi.Config{Clock: clock}, handle)
	path := s.enroll(s.active(callWaitText), "+14155550002")
	<-called
	answers := make(chan answer, 1)
	go func() { answers <- s.send(request{method: "DELETE", path: path + "?wait=30s"}) }()
	<-clock.timers
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.eng.Shutdown(now) // its handler still runs
	expectRemoval(t, <-answers, 202, path, "pending_removal")
	close(release)
}

func TestSkipRetriesDropsTheQueuedRetry(t *testing.T) {
	failing := func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, errBusy }
	s := newServer(t, httpapi.Config{}, failing)
	path := s.enroll(s.active(callWaitText), "+14155550002")
	awaitStatus(t, s, path, "retrying")
	expectRemoval(t, s.delete(path), 202, path, "pending_removal")
	s.delete(path + "?skip_retries=1&wait=30s").expect(200)
	history := s.get(path + "/history").object()["history"].([]any)
	first := history[0].(map[string]any)
	if first["status"] != "failed" || len(first["attempts"].([]any)) != 2 {
		t.Errorf("the history is %v", history)
	}
	if r := s.get(path).object()["removal"].(map[string]any); r["skip_retries"] != true {
		t.Errorf("the removal is %v", r)
	}
}

var errBusy = errors.New("busy")

// awaitStatus asks until the lead's current step has the status: the engine
// says nobody when that is.
func awaitStatus(t *testing.T, s *server, path, status string) {
	t.Helper()
	for range 10_000 {
		steps := s.get(path + "/history").object()["history"].([]any)
		if steps[len(steps)-1].(map[string]any)["status"] == status {
			return
		}
	}
	t.Fatalf("the step never was %s", status)
}

func TestARemovedLeadsStepMayStillBeCompleted(t *testing.T) {
	steps := make(chan lead.StepID, 1)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	path := s.enroll(s.active(callWaitText), "+14155550002")
	step := "/v1/steps/" + (<-steps).String() + "/complete"
	s.delete(path).expect(202)
	if got := s.post(step, `{"outcome":"completed"}`).expect(200).object()["lead_status"]; got != "removed" && got != "pending_removal" {
		t.Errorf("the lead is %v", got)
	}
	s.post(step, `{"outcome":"completed"}`).expect(200)
	s.post(step, `{"outcome":"dnp"}`).expect(409)
	expectGone(t, s, path)
}
