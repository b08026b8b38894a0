package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// crashing is an engine whose process can end, over a SQLite file or a store in memory
// that outlives it. Its handler is a Reconciler. Its attempts before the interrupted one
// fail, that one runs until the process ends, and those after it succeed, as it does
// itself when it is delivered again.
type crashing struct {
	t      *testing.T
	path   string // "" for a store in memory
	store  store.Store
	eng    *engine.Engine
	config engine.Config

	mu          sync.Mutex
	log         bytes.Buffer
	interrupted int // the number of the attempt during which the process ends
	made, asked []engine.Attempt
	reconcile   func(ctx context.Context, a engine.Attempt) (engine.Fate, error)
}

func (c *crashing) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

func (c *crashing) Handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	c.mu.Lock()
	c.made = append(c.made, a)
	interrupted := c.interrupted
	c.mu.Unlock()
	switch {
	case a.Redelivered || a.Number > interrupted:
		return engine.Result{}, nil
	case a.Number < interrupted:
		return engine.Result{}, errors.New("busy")
	}
	<-ctx.Done()
	return engine.Result{}, ctx.Err()
}

func (c *crashing) Reconcile(ctx context.Context, a engine.Attempt) (engine.Fate, error) {
	c.mu.Lock()
	c.asked = append(c.asked, a)
	reconcile := c.reconcile
	c.mu.Unlock()
	return reconcile(ctx, a)
}

// owned is a store that another process may have taken over while lost is set.
type owned struct {
	store.Store
	lost atomic.Bool
}

var _ store.Shared = (*owned)(nil)

func (o *owned) Held(int64) bool                                     { return !o.lost.Load() }
func (o *owned) Woken() <-chan struct{}                              { return nil }
func (o *owned) Agreed(context.Context) (bool, error)                { return true, nil }
func (o *owned) Engines(context.Context) ([]store.EngineInfo, error) { return nil, nil }

func (o *owned) Noted()                                               {}
func (o *owned) Heeded(context.Context, []store.Notice) (bool, error) { return true, nil }

func (o *owned) LimitUse(context.Context, []string) ([]store.LimitState, error) { return nil, nil }

func (o *owned) Sync(_ context.Context, take bool, _ int64) (store.Membership, error) {
	m := store.Membership{Engine: 1, Newest: 1, Next: time.Hour}
	for shard := range int16(store.Shards) {
		m.Shards = append(m.Shards, shard)
	}
	if !take {
		m.Give = m.Shards
	}
	return m, nil
}

// A process that was cut off does not ask, and does not take that for an answer.
func TestNobodyIsAskedWhileAnotherProcessMayHaveTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &owned{Store: memory.New()}
		c := &crashing{t: t, store: s, interrupted: 1, reconcile: fated(engine.Happened(engine.Result{Outcome: "dnp"}, nil), nil)}
		c.config = engine.Config{Handlers: map[string]engine.Handler{"voice_call": c}, Logger: slog.New(slog.DiscardHandler)}
		c.open()
		t.Cleanup(c.end)
		l := c.enroll(twice().WithUnknown(workflow.FailUnknown))
		s.lost.Store(true)
		c.crash()
		time.Sleep(time.Minute)
		synctest.Wait()
		c.expect(1, 0)
		s.lost.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.expect(1, 1)
		if got := c.step(l); got.Outcome != "dnp" {
			t.Errorf("the step is %+v", got)
		}
	})
}

// onEachStore runs a test over each kind of store, in virtual time. The process ends
// during the first attempt, and the handler answers with reconcile.
func onEachStore(t *testing.T, reconcile func(ctx context.Context, a engine.Attempt) (engine.Fate, error), test func(t *testing.T, c *crashing)) {
	for _, kind := range []string{"sqlite", "memory"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crashing{t: t, reconcile: reconcile, interrupted: 1}
				if kind == "sqlite" {
					c.path = filepath.Join(t.TempDir(), "leads.db")
				} else {
					c.store = memory.New()
				}
				c.config = engine.Config{
					Handlers: map[string]engine.Handler{"voice_call": c, "message": c},
					Logger:   slog.New(slog.NewTextHandler(c, nil)),
				}
				c.open()
				t.Cleanup(c.end)
				test(t, c)
			})
		})
	}
}

func (c *crashing) open() {
	c.t.Helper()
	var err error
	if c.path != "" {
		if c.store, err = sqlite.Open(background, c.path, sqlite.Options{}); err != nil {
			c.t.Fatal(err)
		}
	}
	if c.eng, err = engine.New(c.store, c.config); err != nil {
		c.t.Fatal(err)
	}
	if err := c.eng.Start(background); err != nil {
		c.t.Fatal(err)
	}
}

// end ends the process without waiting for running handlers.
func (c *crashing) end() {
	c.t.Helper()
	over, cancel := context.WithCancel(background)
	cancel()
	if err := c.eng.Shutdown(over); err != nil && !errors.Is(err, context.Canceled) {
		c.t.Fatal(err)
	}
	if s, ok := c.store.(*sqlite.Store); ok {
		if err := s.Close(); err != nil {
			c.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func (c *crashing) crash() {
	c.t.Helper()
	c.end()
	c.open()
	synctest.Wait()
}

// twice is a call with two attempts, ten minutes apart, that may take an hour each.
func twice() workflow.Node {
	return workflow.CallNode("call", nil).WithTimeout(time.Hour).
		WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(10 * time.Minute)})
}

// enroll has a lead come to the node, and waits until nothing more happens.
func (c *crashing) enroll(node workflow.Node) lead.Lead {
	c.t.Helper()
	wf, err := c.eng.CreateWorkflow(background, &workflow.Definition{
		Name: c.t.Name(), Entry: node.ID, Nodes: []workflow.Node{node, workflow.Wait("after", 48*time.Hour), workflow.End("done", workflow.Converted)},
		Edges: []workflow.Edge{workflow.On(node.ID, "default", "after"), workflow.To("after", "done")},
	})
	if err == nil {
		_, err = c.eng.ActivateWorkflow(background, wf.ID)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := c.eng.Enroll(background, wf.ID, lead.Contact{PhoneNumber: phone})
	if err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
	return l
}

// expect checks how often the handler was called and asked, in all processes.
func (c *crashing) expect(made, asked int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.made) != made || len(c.asked) != asked {
		c.t.Fatalf("the handler was called %d times and asked %d times, want %d and %d", len(c.made), len(c.asked), made, asked)
	}
}

func (c *crashing) step(l lead.Lead) lead.Step {
	c.t.Helper()
	steps, err := c.eng.History(background, l.WorkflowID, l.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	return steps[0]
}

func (c *crashing) expectState(l lead.Lead, want lead.State) {
	c.t.Helper()
	got, err := c.eng.Lead(background, l.WorkflowID, l.ID)
	if err != nil || got.State != want {
		c.t.Errorf("the lead is %s, %v; want %s", got.State, err, want)
	}
}

func (c *crashing) remove(l lead.Lead, options ...engine.RemoveOption) {
	c.t.Helper()
	if _, err := c.eng.Remove(background, l.WorkflowID, l.ID, options...); err != nil {
		c.t.Fatal(err)
	}
}

func fated(f engine.Fate, err error) func(context.Context, engine.Attempt) (engine.Fate, error) {
	return func(context.Context, engine.Attempt) (engine.Fate, error) { return f, err }
}

func TestTheOutcomeOfAnInterruptedAttemptIsTaken(t *testing.T) {
	onEachStore(t, fated(engine.Happened(engine.Result{Outcome: "dnp", CallID: "c9"}, nil), nil), func(t *testing.T, c *crashing) {
		l := c.enroll(twice())
		time.Sleep(time.Minute)
		c.crash()
		c.expect(1, 1)
		if s := c.step(l); s.Outcome != "dnp" || s.CallID != "c9" || s.Status != lead.StepCompleted || len(s.Attempts) != 1 || s.Attempts[0].Redelivered {
			t.Errorf("the step is %+v", s)
		}
		if got, want := c.asked[0], c.made[0]; got.IdempotencyKey != want.IdempotencyKey || got.Number != 1 || !got.Redelivered ||
			!got.Deadline.Equal(want.Deadline) || got.Contact.PhoneNumber != phone || got.Engine() != c.eng {
			t.Errorf("the handler was asked about %+v", got)
		}
		if n := c.eng.Stats().Redelivered; n != 0 {
			t.Errorf("%d attempts count as made again", n)
		}
	})
}

func TestAnInterruptedAttemptThatFailedIsRetried(t *testing.T) {
	onEachStore(t, fated(engine.Happened(engine.Result{}, errors.New("line busy")), nil), func(t *testing.T, c *crashing) {
		l := c.enroll(twice())
		c.crash()
		c.expect(1, 1)
		if s := c.step(l); s.Status != lead.StepRetrying || s.Attempts[0].Error != "line busy" {
			t.Errorf("the step is %+v", s)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		c.expect(2, 1)
		if a := c.made[1]; a.Number != 2 || a.Redelivered {
			t.Errorf("the retry is %+v", a)
		}
	})
}

func TestAnInterruptedAttemptInFlightWaitsForItsCallback(t *testing.T) {
	onEachStore(t, fated(engine.Happened(engine.InFlight("c1"), nil), nil), func(t *testing.T, c *crashing) {
		l := c.enroll(twice())
		c.crash()
		c.crash() // what waits for a callback is not asked about again
		c.expect(1, 1)
		s := c.step(l)
		if s.Status != lead.StepInProgress || s.CallID != "c1" {
			t.Errorf("the step is %+v", s)
		}
		if _, err := c.eng.CompleteStep(background, s.ID, engine.Callback{Outcome: "completed"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.expectState(l, lead.Enrolled)
	})
	onEachStore(t, fated(engine.Happened(engine.InFlight("c1"), nil), nil), func(t *testing.T, c *crashing) {
		l := c.enroll(twice())
		time.Sleep(59 * time.Minute)
		c.crash()
		time.Sleep(time.Minute)
		synctest.Wait()
		c.expect(1, 1)
		if s := c.step(l); s.Outcome != "failed" || len(s.Attempts) != 1 {
			t.Errorf("after the attempt's deadline the step is %+v", s)
		}
	})
}

// What the handler does not know, or knows not to have happened, is delivered again.
func TestPromise9AnInterruptedAttemptIsDeliveredAgain(t *testing.T) {
	for name, answer := range map[string]struct {
		reconcile func(context.Context, engine.Attempt) (engine.Fate, error)
		logged    string
	}{
		"never happened": {fated(engine.NeverHappened(), nil), ""},
		"unknown":        {fated(engine.Fate{}, nil), ""},
		"an error":       {fated(engine.NeverHappened(), errors.New("the provider is down")), "the provider is down"},
		"a panic":        {func(context.Context, engine.Attempt) (engine.Fate, error) { panic("nil provider") }, "nil provider"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, answer.reconcile, func(t *testing.T, c *crashing) {
				l := c.enroll(twice())
				c.crash()
				c.expect(2, 1)
				if a, b := c.made[0], c.made[1]; a.IdempotencyKey != b.IdempotencyKey || b.Number != 1 || !b.Redelivered {
					t.Errorf("the attempt is made again as %+v", b)
				}
				if s := c.step(l); s.Outcome != "completed" || len(s.Attempts) != 1 || !s.Attempts[0].Redelivered {
					t.Errorf("the step is %+v", s)
				}
				if n := c.eng.Stats().Redelivered; n != 1 {
					t.Errorf("%d attempts count as made again", n)
				}
				if !strings.Contains(c.log.String(), answer.logged) {
					t.Errorf("%q is not logged:\n%s", answer.logged, c.log.String())
				}
			})
		})
	}
}

func TestAnAttemptOfUnknownFateFailsWhereItMustNotBeMadeTwice(t *testing.T) {
	for name, answer := range map[string]struct {
		reconcile func(context.Context, engine.Attempt) (engine.Fate, error)
		reason    string
	}{
		"unknown":  {fated(engine.Fate{}, nil), "nobody knows what became of it"},
		"an error": {fated(engine.Fate{}, errors.New("the provider is down")), "the provider is down"},
		"a panic":  {func(context.Context, engine.Attempt) (engine.Fate, error) { panic("nil provider") }, "nil provider"},
		"an ended routine": {func(context.Context, engine.Attempt) (engine.Fate, error) {
			runtime.Goexit()
			return engine.Fate{}, nil
		}, "ended its goroutine"},
		"a long error": {fated(engine.Fate{}, errors.New(strings.Repeat("x", 2*engine.MaxError))), "xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, answer.reconcile, func(t *testing.T, c *crashing) {
				l := c.enroll(twice().WithUnknown(workflow.FailUnknown))
				c.crash()
				time.Sleep(30 * time.Minute) // longer than the wait for a retry
				synctest.Wait()
				c.expect(1, 1)
				if s := c.step(l); s.Status != lead.StepFailed || s.Outcome != "failed" || len(s.Attempts) != 1 ||
					!strings.Contains(s.Error, answer.reason) || len(s.Error) > engine.MaxError {
					t.Errorf("the step is %+v", s)
				}
				c.expectState(l, lead.Enrolled)
			})
		})
	}
	t.Run("never happened", func(t *testing.T) {
		onEachStore(t, fated(engine.NeverHappened(), nil), func(t *testing.T, c *crashing) {
			c.enroll(twice().WithUnknown(workflow.FailUnknown))
			c.crash()
			c.expect(2, 1)
		})
	})
	t.Run("a handler that cannot be asked", func(t *testing.T) {
		for _, paused := range []bool{false, true} {
			onEachStore(t, nil, func(t *testing.T, c *crashing) {
				c.config.Handlers = map[string]engine.Handler{"voice_call": engine.HandlerFunc(c.Handle)}
				c.crash()
				l := c.enroll(twice().WithUnknown(workflow.FailUnknown))
				if paused {
					if _, err := c.eng.PauseWorkflow(background, l.WorkflowID); err != nil {
						t.Fatal(err)
					}
				}
				c.crash()
				c.expect(1, 0)
				if s := c.step(l); s.Status != lead.StepFailed || !strings.Contains(s.Error, "nobody knows what became of it") {
					t.Errorf("the step is %+v", s)
				}
			})
		}
	})
}

func TestAnAttemptAfterARetryIsAskedAbout(t *testing.T) {
	onEachStore(t, fated(engine.NeverHappened(), nil), func(t *testing.T, c *crashing) {
		c.interrupted = 2
		l := c.enroll(twice())
		c.crash() // while the retry is queued
		c.expect(1, 0)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		c.expect(2, 0)
		c.crash()
		c.expect(3, 1)
		if asked, again := c.asked[0], c.made[2]; asked.Number != 2 || again.Number != 2 || asked.IdempotencyKey != again.IdempotencyKey {
			t.Errorf("asked about %+v, delivered %+v", asked, again)
		}
		if s := c.step(l); s.Outcome != "completed" || len(s.Attempts) != 2 {
			t.Errorf("the step is %+v", s)
		}
	})
}

// The process may end again while the handler is asked, and because of that.
func TestACrashWhileAskingHasTheHandlerAskedAgain(t *testing.T) {
	hangs := func(ctx context.Context, _ engine.Attempt) (engine.Fate, error) {
		<-ctx.Done()
		return engine.NeverHappened(), nil
	}
	onEachStore(t, hangs, func(t *testing.T, c *crashing) {
		c.config.MaxRedeliveries = 2
		l := c.enroll(twice())
		c.crash()
		c.crash()
		c.expect(1, 2)
		c.crash()
		c.expect(1, 2)
		if s := c.step(l); !strings.Contains(s.Attempts[0].Error, "ended 3 times") {
			t.Errorf("the step is not parked: %+v", s)
		}
	})
	// Asking, and then delivering, is one redelivery.
	onEachStore(t, fated(engine.NeverHappened(), nil), func(t *testing.T, c *crashing) {
		c.config.MaxRedeliveries = 1
		c.enroll(twice())
		c.crash()
		c.expect(2, 1)
	})
}

func TestAReconcilerThatIsTooSlowIsNotHeard(t *testing.T) {
	for _, unknown := range []workflow.Unknown{workflow.RedeliverUnknown, workflow.FailUnknown} {
		var cause error
		slow := func(ctx context.Context, _ engine.Attempt) (engine.Fate, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Second)
			return engine.NeverHappened(), nil
		}
		onEachStore(t, slow, func(t *testing.T, c *crashing) {
			l := c.enroll(twice().WithUnknown(unknown))
			time.Sleep(30 * time.Minute)
			c.crash()
			time.Sleep(31 * time.Minute)
			synctest.Wait()
			c.expect(1, 1)
			if s := c.step(l); s.Outcome != "failed" || !strings.Contains(s.Error, "timeout") || s.ExitedAt.Sub(s.EnteredAt) != time.Hour {
				t.Errorf("the step is %+v", s)
			}
			if !errors.Is(cause, engine.ErrDeadline) {
				t.Errorf("its context ended with %v", cause)
			}
		})
	}
}

// Whatever happens while the handler is asked, nothing begins that must not.
func TestWhatIsAskedForWhileReconcilingHolds(t *testing.T) {
	dnp := engine.Happened(engine.Result{Outcome: "dnp"}, nil)
	for _, test := range []struct {
		name  string
		fate  engine.Fate
		do    func(t *testing.T, c *crashing, l lead.Lead)
		made  int
		state lead.State
		step  string // its outcome
	}{
		{"removal", engine.NeverHappened(), func(_ *testing.T, c *crashing, l lead.Lead) { c.remove(l) }, 2, lead.Removed, "completed"},
		{"removal, and it happened", dnp, func(_ *testing.T, c *crashing, l lead.Lead) { c.remove(l) }, 1, lead.Removed, "dnp"},
		{"removal, and it is in flight", engine.Happened(engine.InFlight("c"), nil), func(_ *testing.T, c *crashing, l lead.Lead) { c.remove(l) }, 1, lead.PendingRemoval, ""},
		{"removal without retries", engine.NeverHappened(), func(_ *testing.T, c *crashing, l lead.Lead) { c.remove(l, engine.SkipRetries()) }, 1, lead.Removed, "failed"},
		{"removal without retries, unknown", engine.Fate{}, func(_ *testing.T, c *crashing, l lead.Lead) { c.remove(l, engine.SkipRetries()) }, 1, lead.Removed, "failed"},
		{"removal without retries, and it happened", dnp, func(_ *testing.T, c *crashing, l lead.Lead) { c.remove(l, engine.SkipRetries()) }, 1, lead.Removed, "dnp"},
		{"pause", engine.NeverHappened(), func(t *testing.T, c *crashing, l lead.Lead) { c.pause(l) }, 1, lead.InStep, ""},
		{"pause and resume", engine.NeverHappened(), func(t *testing.T, c *crashing, l lead.Lead) {
			c.pause(l)
			if _, err := c.eng.ResumeWorkflow(background, l.WorkflowID); err != nil {
				t.Error(err)
			}
		}, 2, lead.Enrolled, "completed"},
		{"pause, and it happened", dnp, func(t *testing.T, c *crashing, l lead.Lead) { c.pause(l) }, 1, lead.Enrolled, "dnp"},
		{"removal during a pause", engine.NeverHappened(), func(t *testing.T, c *crashing, l lead.Lead) { c.pause(l); c.remove(l) }, 1, lead.Removed, "failed"},
		{"cancel", engine.NeverHappened(), func(t *testing.T, c *crashing, l lead.Lead) {
			if _, err := c.eng.CancelWorkflow(background, l.WorkflowID); err != nil {
				t.Error(err)
			}
		}, 1, lead.Removed, "failed"},
		{"callback", engine.NeverHappened(), func(t *testing.T, c *crashing, l lead.Lead) {
			if _, err := c.eng.CompleteStep(background, c.step(l).ID, engine.Callback{Outcome: "voicemail"}); err != nil {
				t.Error(err)
			}
		}, 1, lead.Enrolled, "voicemail"},
		{"callback of a failure", engine.NeverHappened(), func(t *testing.T, c *crashing, l lead.Lead) {
			if _, err := c.eng.CompleteStep(background, c.step(l).ID, engine.Callback{Error: "busy"}); err != nil {
				t.Error(err)
			}
		}, 1, lead.InStep, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var release chan struct{}
			waits := func(context.Context, engine.Attempt) (engine.Fate, error) {
				<-release
				return test.fate, nil
			}
			onEachStore(t, waits, func(t *testing.T, c *crashing) {
				release = make(chan struct{})
				l := c.enroll(twice())
				c.crash()
				c.expect(1, 1)
				test.do(t, c, l)
				synctest.Wait()
				c.expect(1, 1)
				if got := c.step(l); got.Status != lead.StepInProgress {
					t.Errorf("before the answer the step is %+v", got)
				}
				close(release)
				synctest.Wait()
				c.expect(test.made, 1)
				c.expectState(l, test.state)
				if got := c.step(l).Outcome; got != test.step {
					t.Errorf("the outcome is %q, want %q", got, test.step)
				}
			})
		})
	}
}

func (c *crashing) pause(l lead.Lead) {
	c.t.Helper()
	if _, err := c.eng.PauseWorkflow(background, l.WorkflowID); err != nil {
		c.t.Fatal(err)
	}
}

// An attempt at a message that a call scheduled is asked about as well.
func TestAScheduledMessageIsAskedAbout(t *testing.T) {
	onEachStore(t, fated(engine.Happened(engine.Result{}, nil), nil), func(t *testing.T, c *crashing) {
		c.config.Handlers = map[string]engine.Handler{
			"message": c,
			"voice_call": engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
				return engine.Result{Schedule: []engine.Message{{After: time.Minute, Data: []byte(`"bye"`)}}}, nil
			}),
		}
		c.crash()
		l := c.enroll(twice())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		c.crash()
		c.expect(1, 1)
		if m := c.asked[0].Scheduled; m == nil || string(m.Data) != `"bye"` {
			t.Errorf("the handler was asked about %+v", c.asked[0])
		}
		steps, err := c.eng.History(background, l.WorkflowID, l.ID)
		if err != nil || !slices.ContainsFunc(steps, func(s lead.Step) bool { return s.Scheduled && s.Outcome == "success" }) {
			t.Errorf("the history is %+v, %v", steps, err)
		}
	})
}

// A typed handler is asked with its config.
func TestATypedHandlerReconciles(t *testing.T) {
	type config struct {
		Line string `json:"line"`
	}
	onEachStore(t, nil, func(t *testing.T, c *crashing) {
		h := engine.TypedReconciler(
			func(ctx context.Context, a engine.Attempt, _ config) (engine.Result, error) { return c.Handle(ctx, a) },
			func(_ context.Context, a engine.Attempt, conf config) (engine.Fate, error) {
				return engine.Happened(engine.Result{CallID: a.IdempotencyKey + " on " + conf.Line}, nil), nil
			})
		c.config.Handlers = map[string]engine.Handler{"voice_call": h}
		c.crash()
		l := c.enroll(workflow.CallNode("call", workflow.Config{"line": "two"}))
		c.crash()
		c.expect(1, 0)
		if got, want := c.step(l).CallID, c.made[0].IdempotencyKey+" on two"; got != want {
			t.Errorf("the call id is %q, want %q", got, want)
		}
		checker, ok := h.(engine.NodeChecker)
		if !ok || checker.CheckNode(workflow.CallNode("call", workflow.Config{"lime": 1})) == nil {
			t.Error("a faulty config is not refused")
		}
		fate, err := h.(engine.Reconciler).Reconcile(background, engine.Attempt{Node: workflow.CallNode("call", workflow.Config{"lime": 1})})
		if err == nil || fmt.Sprint(fate) != fmt.Sprint(engine.Fate{}) {
			t.Errorf("with a faulty config: %v, %v", fate, err)
		}
	})
}
