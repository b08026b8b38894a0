package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// retryWorkflow is a call with three attempts, ten and twenty minutes apart.
func (w *world) retryWorkflow() lead.WorkflowID {
	return w.activate([]workflow.Node{
		workflow.CallNode("call", nil).WithRetry(workflow.Retry{
			MaxAttempts: 3, Delay: workflow.Duration(10 * time.Minute), Backoff: 2,
		}),
		workflow.End("good", workflow.Converted),
		workflow.End("bad", workflow.Dropped),
	}, workflow.On("call", "completed", "good"), workflow.On("call", "failed", "bad"))
}

func busy(context.Context, engine.Attempt) (engine.Result, error) {
	return engine.Result{}, errors.New("busy")
}

func TestRetriesFollowThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, busy)
		l := w.enroll(w.retryWorkflow(), phone)
		w.pass(time.Minute)
		w.expectState(l, lead.InStep)
		if got := w.history(l)[0]; got.Status != lead.StepRetrying || len(got.Attempts) != 2 ||
			got.Attempts[0].Error != "busy" || got.Attempts[1].Status != lead.StepWaiting {
			t.Errorf("while a retry is queued the step is %+v", got)
		}
		w.pass(time.Hour)
		w.expectSteps(l, "call=failed bad=dropped")
		var at []time.Duration
		step := w.history(l)[0]
		for _, a := range step.Attempts {
			at = append(at, a.StartedAt.Sub(step.EnteredAt))
		}
		if len(at) != 3 || at[1] != 10*time.Minute || at[2] != 30*time.Minute {
			t.Errorf("attempts were made %v after the start", at)
		}
		calls, _, err := w.eng.Calls(context.Background(), engine.CallFilter{Status: lead.StepFailed})
		if err != nil || len(calls) != 3 || calls[2].Attempt != 3 || calls[2].Error != "busy" {
			t.Errorf("call log: %+v, %v", calls, err)
		}
	})
}

func TestAFinalErrorIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			return engine.Result{}, engine.NonRetryable(errors.New("no such number"))
		})
		l := w.enroll(w.retryWorkflow(), phone)
		synctest.Wait()
		w.expectSteps(l, "call=failed bad=dropped")
		if got := w.history(l)[0]; got.Error != "no such number" || len(got.Attempts) != 1 || got.Status != lead.StepFailed {
			t.Errorf("the step is %+v", got)
		}
	})
}

func TestRetryAfterLengthensTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Number == 1 {
				return engine.Result{}, engine.RetryAfter(errors.New("too many requests"), 2*time.Hour)
			}
			return engine.Result{}, nil
		})
		l := w.enroll(w.retryWorkflow(), phone)
		synctest.Wait()
		if got := w.lead(l).NextActionAt.Sub(l.EnrolledAt); got != 2*time.Hour {
			t.Errorf("the next attempt is due after %s", got)
		}
		w.pass(2*time.Hour + time.Second)
		w.expectState(l, lead.Completed)
	})
}

func TestAPanickingHandlerIsAFailedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Number == 1 {
				panic("nil telephone")
			}
			return engine.Result{}, nil
		})
		l := w.enroll(w.retryWorkflow(), phone)
		w.pass(time.Hour)
		w.expectState(l, lead.Completed)
		if got := w.history(l)[0].Attempts[0].Error; !strings.Contains(got, "nil telephone") {
			t.Errorf("the first attempt failed with %q", got)
		}
	})
}

func TestRemovalWaitsForQueuedRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, busy)
		l := w.enroll(w.retryWorkflow(), phone)
		w.pass(time.Minute)
		w.remove(l)
		w.expectState(l, lead.PendingRemoval)
		w.pass(time.Hour)
		if got := len(w.seen()); got != 3 {
			t.Errorf("%d attempts were made, want the 3 of the step in flight", got)
		}
		w.expectState(l, lead.Removed)
		w.expectSteps(l, "call=failed bad=cancelled")
	})
}

func TestSkipRetriesDropsWhatIsQueued(t *testing.T) {
	t.Run("during a queued retry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, busy)
			l := w.enroll(w.retryWorkflow(), phone)
			w.pass(time.Minute)
			if got := w.remove(l, engine.SkipRetries()).State; got != lead.Removed {
				t.Errorf("Remove answered %s", got)
			}
			step := w.history(l)[0]
			if n := len(step.Attempts); n != 2 || step.Attempts[1].Status != lead.StepCancelled || step.Outcome != "failed" {
				t.Errorf("the step is %+v", step)
			}
			w.pass(24 * time.Hour)
			if got := len(w.seen()); got != 1 {
				t.Errorf("%d attempts were made", got)
			}
		})
	})
	t.Run("during the attempt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fail := make(chan struct{})
			w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
				<-fail
				return engine.Result{}, errors.New("busy")
			})
			l := w.enroll(w.retryWorkflow(), phone)
			synctest.Wait()
			w.remove(l, engine.SkipRetries())
			w.expectState(l, lead.PendingRemoval)
			close(fail)
			synctest.Wait()
			w.expectState(l, lead.Removed)
		})
	})
	t.Run("asked for when removal is pending already", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, busy)
			l := w.enroll(w.retryWorkflow(), phone)
			w.pass(time.Minute)
			w.remove(l, engine.Reason("first"))
			w.remove(l, engine.SkipRetries())
			w.expectState(l, lead.Removed)
			if got := w.lead(l).Removal; got.Reason != "first" || !got.SkipRetries {
				t.Errorf("removal on record: %+v", got)
			}
		})
	})
	t.Run("an attempt that a crash interrupted is not made again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
				<-ctx.Done()
				return engine.Result{}, ctx.Err()
			})
			l := w.enroll(w.retryWorkflow(), phone)
			synctest.Wait()
			w.remove(l, engine.SkipRetries())
			w.crash()
			synctest.Wait()
			w.expectState(l, lead.Removed)
			if got := len(w.seen()); got != 1 {
				t.Errorf("%d attempts were made", got)
			}
		})
	})
}

func TestPromise9ACrashedAttemptIsMadeAgainUnderTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Redelivered {
				return engine.Result{}, nil
			}
			<-ctx.Done()
			return engine.Result{}, ctx.Err()
		})
		l := w.enroll(w.retryWorkflow(), phone)
		w.pass(time.Second) // so that a deadline which starts anew is another one
		w.crash()
		synctest.Wait()
		got := w.seen()
		if len(got) != 2 || got[0].Redelivered || !got[1].Redelivered || got[0].IdempotencyKey != got[1].IdempotencyKey ||
			got[0].StepID != got[1].StepID || got[1].Number != 1 || !got[0].Deadline.Equal(got[1].Deadline) {
			t.Errorf("attempts: %+v", got)
		}
		w.expectState(l, lead.Completed)
	})
}

func TestPromise9WhatWaitsIsNotTakenForCrashed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Contact.PhoneNumber == phone {
				return engine.InFlight("c1"), nil
			}
			return engine.Result{}, errors.New("busy")
		})
		wf := w.retryWorkflow()
		inCall, retrying := w.enroll(wf, phone), w.enroll(wf, "+14155552672")
		w.pass(time.Second)
		w.crash()
		w.pass(5 * time.Minute)
		if got := w.seen(); len(got) != 2 {
			t.Errorf("a crash had %d attempts made, want the 2 before it", len(got))
		}
		w.complete(inCall, "completed")
		w.expectState(inCall, lead.Completed)
		w.pass(5 * time.Minute)
		got := w.seen()
		if last := got[len(got)-1]; len(got) != 3 || last.Number != 2 || last.Redelivered {
			t.Errorf("the queued retry was made as %+v", last)
		}
		w.expectState(retrying, lead.InStep)
	})
}
