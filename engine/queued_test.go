package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

// crowded is an engine with one worker, which another person's call keeps busy
// while the lead of a test waits for it. What a test then changes is decided in the
// batch in which the worker gets free.
type crowded struct {
	*stepped
	mem    *memory.Store
	hooks  []engine.Hook
	wf     lead.WorkflowID // of the lead
	lead   lead.Lead
	took   time.Duration // of the other person's call
	answer func(a engine.Attempt) (engine.Result, error)
	calls  []string // of the lead, such as "call 2"
}

const otherPhone = "+14155552672"

func newCrowded(t *testing.T, hooks ...engine.Hook) *crowded {
	t.Helper()
	c := &crowded{mem: memory.New(), hooks: hooks}
	c.stepped = &stepped{t: t, clock: &handClock{now: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}}
	c.answer = succeeding
	c.start(1)
	retry := workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Minute)}
	c.wf = c.activate(&workflow.Definition{
		Name: "crowded", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(retry),
			workflow.Wait("wait", 48*time.Hour),
			workflow.MessageNode("text", nil),
			workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "dnp", "text"), workflow.On("call", "wrong number", "done"), workflow.On("call", "default", "wait"),
			workflow.To("wait", "text"), workflow.On("text", "default", "done"),
		},
	})
	return c
}

func (c *crowded) start(workers int) {
	c.t.Helper()
	h := engine.HandlerFunc(func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		if a.Contact.PhoneNumber == otherPhone {
			c.Takes(c.took)
			return engine.Result{}, nil
		}
		c.calls = append(c.calls, attemptText(a))
		return c.answer(a)
	})
	var err error
	c.Stepped, err = engine.NewStepped(c.mem, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": h, "message": h},
		Hooks:    c.hooks, Clock: c.clock, Workers: workers, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.Start(background); err != nil {
		c.t.Fatal(err)
	}
}

func attemptText(a engine.Attempt) string {
	text := a.Node.ID
	if a.Scheduled != nil {
		text += " message"
	}
	return text + " " + string(rune('0'+a.Number))
}

func (c *crowded) activate(def *workflow.Definition) lead.WorkflowID {
	c.t.Helper()
	wf, err := c.CreateWorkflow(background, def)
	if err == nil {
		_, err = c.ActivateWorkflow(background, wf.ID)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return wf.ID
}

// occupy has another person's call take the worker for so long.
func (c *crowded) occupy(d time.Duration) {
	c.t.Helper()
	c.took = d
	wf := c.activate(&workflow.Definition{
		Name: "others", Entry: "call",
		Nodes: []workflow.Node{workflow.CallNode("call", nil).WithTimeout(d + 20*time.Minute), workflow.End("done", workflow.Converted)},
		Edges: []workflow.Edge{workflow.On("call", "default", "done")},
	})
	c.enroll(wf, otherPhone)
	c.settle(0)
}

// restart ends the process in this moment and starts the next one.
func (c *crowded) restart(workers int) {
	c.t.Helper()
	over, cancel := context.WithCancel(background)
	cancel()
	if err := c.Shutdown(over); !errors.Is(err, context.Canceled) {
		c.t.Fatal(err)
	}
	var err error
	if c.mem, err = c.mem.Reopen(); err != nil {
		c.t.Fatal(err)
	}
	c.clock.calls = nil
	c.start(workers)
}

// How a lead comes to wait for the worker, which is busy for more than ten minutes
// from then on, and less than twenty.

func firstAttemptWaits(c *crowded) {
	c.occupy(20 * time.Minute)
	c.lead = c.enroll(c.wf, phone)
	c.settle(0)
}

func retryWaits(c *crowded) {
	c.answer = failing
	c.lead = c.enroll(c.wf, phone)
	c.settle(0)
	c.occupy(20 * time.Minute)
	c.settle(2 * time.Minute)
}

func redeliveryWaits(c *crowded) {
	c.answer = func(engine.Attempt) (engine.Result, error) {
		c.Takes(10 * time.Minute)
		return engine.Result{}, nil
	}
	c.restart(2)
	c.occupy(20 * time.Minute)
	c.lead = c.enroll(c.wf, phone)
	c.settle(0)
	c.restart(1)
	c.answer = succeeding
	c.settle(0) // the other person's deadline comes first
}

func messageRedeliveryWaits(c *crowded) {
	c.restart(2)
	c.occupy(20 * time.Minute)
	c.scheduleMessage()
	answer := c.answer
	c.answer = func(a engine.Attempt) (engine.Result, error) {
		c.Takes(20 * time.Minute)
		return answer(a)
	}
	c.settle(time.Minute)
	c.restart(1)
	c.answer = succeeding
	c.settle(0)
}

func messageWaits(c *crowded) {
	c.scheduleMessage()
	c.occupy(20 * time.Minute)
	c.settle(2 * time.Minute)
}

func messageRetryWaits(c *crowded) {
	c.scheduleMessage()
	c.settle(time.Minute) // its first attempt fails
	c.occupy(20 * time.Minute)
	c.settle(2 * time.Minute)
}

// scheduleMessage has the lead wait for two days, and for a message in a minute.
func (c *crowded) scheduleMessage() {
	c.answer = func(a engine.Attempt) (engine.Result, error) {
		if a.Scheduled != nil {
			return failing(a)
		}
		if a.Node.ID == "text" {
			return engine.Result{}, nil
		}
		return engine.Result{Schedule: []engine.Message{{After: time.Minute}}}, nil
	}
	c.lead = c.enroll(c.wf, phone)
	c.settle(0)
}

func succeeding(engine.Attempt) (engine.Result, error) { return engine.Result{}, nil }

func failing(engine.Attempt) (engine.Result, error) {
	return engine.Result{}, errors.New("the answer was lost")
}

// What then becomes of the lead.

func callback(outcome string) func(c *crowded) {
	return func(c *crowded) {
		c.t.Helper()
		steps, err := c.History(background, c.wf, c.lead.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		i := slices.IndexFunc(steps, func(s lead.Step) bool { return s.Status == lead.StepRetrying || s.Status == lead.StepInProgress })
		if i < 0 {
			c.t.Fatalf("no step is in flight: %+v", steps)
		}
		if _, err := c.CompleteStep(background, steps[i].ID, engine.Callback{Outcome: outcome}); err != nil {
			c.t.Fatal(err)
		}
	}
}

func removed(options ...engine.RemoveOption) func(c *crowded) {
	return func(c *crowded) {
		c.t.Helper()
		if _, err := c.Remove(background, c.wf, c.lead.ID, options...); err != nil {
			c.t.Fatal(err)
		}
	}
}

func paused(c *crowded) {
	c.t.Helper()
	if _, err := c.PauseWorkflow(background, c.wf); err != nil {
		c.t.Fatal(err)
	}
}

func pausedAndResumed(c *crowded) {
	c.t.Helper()
	paused(c)
	if _, err := c.ResumeWorkflow(background, c.wf); err != nil {
		c.t.Fatal(err)
	}
}

func cancelled(c *crowded) {
	c.t.Helper()
	if _, err := c.CancelWorkflow(background, c.wf); err != nil {
		c.t.Fatal(err)
	}
}

func inTurn(changes ...func(c *crowded)) func(c *crowded) {
	return func(c *crowded) {
		c.t.Helper()
		for _, change := range changes {
			change(c)
		}
	}
}

func elapsed(d time.Duration) func(c *crowded) { return func(c *crowded) { c.clock.pass(d) } }

// What waits for a worker is asked again what it needs when one is free: nobody
// is called for what was so when it began to wait.
func TestWhatChangesWhileALeadWaitsForAWorkerCounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		waits  func(c *crowded)
		change func(c *crowded)
		want   string
		calls  string // of the lead's handlers since the change
	}{
		{"nothing changes for a first attempt", firstAttemptWaits, inTurn(),
			"enrolled: call=completed wait=waiting", "call 1"},
		{"a first attempt is removed", firstAttemptWaits, removed(),
			"removed: call=cancelled", ""},
		{"a first attempt's workflow is paused", firstAttemptWaits, paused,
			"enrolled: call=waiting", ""},
		{"a first attempt's workflow is paused and resumed", firstAttemptWaits, pausedAndResumed,
			"enrolled: call=completed wait=waiting", "call 1"},
		{"a first attempt's workflow is cancelled", firstAttemptWaits, cancelled,
			"removed: call=cancelled", ""},

		{"nothing changes for a retry", retryWaits, inTurn(),
			"enrolled: call=failed wait=waiting", "call 2"},
		{"the attempt before a retry is answered", retryWaits, callback("completed"),
			"enrolled: call=completed wait=waiting", ""},
		{"the attempt before a retry is answered, and leads to the next call", retryWaits, callback("dnp"),
			"completed: call=dnp text=failure done=converted", "text 1"},
		{"the attempt before a retry is answered, and leads to an end", retryWaits, callback("wrong number"),
			"completed: call=wrong number done=converted", ""},
		{"the attempt before a retry is answered, while a removal is pending", inTurn(retryWaits, removed()), callback("completed"),
			"removed: call=completed wait=cancelled", ""},
		{"a retry is removed", retryWaits, removed(),
			"removed: call=failed wait=cancelled", "call 2"},
		{"a retry is removed without retries", retryWaits, removed(engine.SkipRetries()),
			"removed: call=failed wait=cancelled", ""},

		{"nothing changes for a redelivery", redeliveryWaits, inTurn(),
			"enrolled: call=completed wait=waiting", "call 1"},
		{"the attempt before a redelivery is answered", redeliveryWaits, callback("completed"),
			"enrolled: call=completed wait=waiting", ""},
		{"the attempt before a redelivery is answered, and leads to the next call", redeliveryWaits, callback("dnp"),
			"completed: call=dnp text=success done=converted", "text 1"},
		{"a redelivery is removed", redeliveryWaits, removed(),
			"removed: call=completed wait=cancelled", "call 1"},
		{"a redelivery is removed without retries", redeliveryWaits, removed(engine.SkipRetries()),
			"removed: call=failed wait=cancelled", ""},
		{"a redelivery's deadline passes", redeliveryWaits, elapsed(50 * time.Minute),
			"enrolled: call=failed wait=waiting", ""},

		{"nothing changes for a message", messageWaits, inTurn(),
			"in_step: call=completed call=retrying wait=waiting", "call message 1"},
		{"a message's lead is removed", messageWaits, removed(),
			"removed: call=completed call=cancelled wait=cancelled", ""},
		{"a message's workflow is paused", messageWaits, paused,
			"enrolled: call=completed call=waiting wait=waiting", ""},
		{"a message's workflow is cancelled", messageWaits, cancelled,
			"removed: call=completed call=cancelled wait=cancelled", ""},
		{"a message's wait ends", messageWaits, elapsed(48 * time.Hour),
			"in_step: call=completed call=retrying wait=waiting", "call message 1"},

		{"the attempt before a message's retry is answered", messageRetryWaits, callback("success"),
			"enrolled: call=completed call=success wait=waiting", ""},
		{"the attempt before a message's retry is answered when the wait is over", messageRetryWaits, inTurn(elapsed(48*time.Hour), callback("success")),
			"completed: call=completed call=success wait=completed text=success done=converted", "text 1"},
		{"a message's retry is removed", messageRetryWaits, removed(),
			"removed: call=completed call=failure wait=cancelled", "call message 2"},
		{"a message's retry is removed without retries", messageRetryWaits, removed(engine.SkipRetries()),
			"removed: call=completed call=failure wait=cancelled", ""},

		{"nothing changes for a message's redelivery", messageRedeliveryWaits, inTurn(),
			"enrolled: call=completed call=success wait=waiting", "call message 1"},
		{"the attempt before a message's redelivery is answered", messageRedeliveryWaits, callback("success"),
			"enrolled: call=completed call=success wait=waiting", ""},
		{"a message's redelivery is removed without retries", messageRedeliveryWaits, removed(engine.SkipRetries()),
			"removed: call=completed call=failure wait=cancelled", ""},
	} {
		for name, hooks := range map[string][]engine.Hook{
			"": nil, ", with a hook": {{Name: "hook", Run: func(context.Context, engine.HookEvent) error { return nil }}},
		} {
			t.Run(tt.name+name, func(t *testing.T) {
				c := newCrowded(t, hooks...)
				tt.waits(c)
				c.calls = nil
				c.settle(10 * time.Minute)
				if c.calls != nil {
					t.Fatalf("the lead had a worker to itself: %q", c.calls)
				}
				c.clock.pass(10 * time.Minute) // the other person's answer comes in
				tt.change(c)
				c.settle(0)
				c.expect(c.lead, tt.want)
				if got := strings.Join(c.calls, ", "); got != tt.calls {
					t.Errorf("called: %q, want %q", got, tt.calls)
				}
			})
		}
	}
}
