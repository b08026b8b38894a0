package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestPromise8OneOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		l, other := w.enroll(wf, phone), w.enroll(wf, "+14155552672")
		synctest.Wait()
		call := w.history(l)[0]
		complete := func(id lead.StepID, o engine.Callback) error {
			_, err := w.eng.CompleteStep(context.Background(), id, o)
			return err
		}
		if err := complete(call.ID, engine.Callback{Outcome: "completed", Attempt: 2}); !errors.Is(err, lead.ErrOtherAttempt) {
			t.Errorf("another attempt's outcome: %v", err)
		}
		if err := complete(call.ID, engine.Callback{Outcome: "completed", Attempt: 1, Data: map[string]any{"mood": "good"}}); err != nil {
			t.Fatal(err)
		}
		after := w.history(l)
		if err := complete(call.ID, engine.Callback{Outcome: "completed", Data: map[string]any{"mood": "bad"}}); err != nil {
			t.Errorf("the same outcome again: %v", err)
		}
		if err := complete(call.ID, engine.Callback{Outcome: "dnp"}); !errors.Is(err, lead.ErrStepFinished) || !errors.Is(err, lead.ErrConflict) {
			t.Errorf("another outcome: %v", err)
		}
		if err := complete(after[1].ID, engine.Callback{}); !errors.Is(err, lead.ErrStepNotStarted) {
			t.Errorf("an outcome for a wait: %v", err)
		}
		foreign := lead.NewStepID(call.EnteredAt.Add(time.Millisecond), l.ID, 1)
		for name, id := range map[string]lead.StepID{
			"of a time at which nothing began": foreign,
			"of a visit that was not made":     lead.NewStepID(call.EnteredAt, l.ID, 9),
			"of no lead":                       lead.NewStepID(call.EnteredAt, lead.ID{8: 99}, 1),
		} {
			if err := complete(id, engine.Callback{}); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("a step %s: %v", name, err)
			}
		}
		now := w.history(l)
		was, _ := json.Marshal(after)
		is, _ := json.Marshal(now)
		if string(was) != string(is) {
			t.Errorf("refused outcomes changed the history from\n%s to\n%s", was, is)
		}
		w.expectSteps(other, "call=in_progress")

		w.remove(l)
		if err := complete(after[1].ID, engine.Callback{}); !errors.Is(err, lead.ErrStepFinished) {
			t.Errorf("an outcome for a cancelled wait: %v", err)
		}
		if err := complete(call.ID, engine.Callback{Outcome: "completed"}); err != nil {
			t.Errorf("the same outcome again after removal: %v", err)
		}
	})
}

func TestPromise8AnAnswerAfterTheDeadlineIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), engine.ErrDeadline) {
				t.Errorf("the handler's context ended with %v", context.Cause(ctx))
			}
			<-release
			return engine.Result{Outcome: "completed"}, nil
		})
		l := w.enroll(w.callWaitMessage(), phone)
		w.pass(time.Hour + time.Second)
		w.expectState(l, lead.Completed)
		w.expectSteps(l, "call=failed")
		close(release)
		synctest.Wait()
		w.expectSteps(l, "call=failed")
		if got := w.lead(l).Outcome; got != lead.OutcomeNoRoute {
			t.Errorf("outcome is %q", got)
		}
		if s := w.eng.Stats(); s.LateResults != 1 || s.TimedOut != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestPromise8ALateAnswerIsNotTheNextStepsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, next := make(chan struct{}), make(chan struct{})
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Node.ID == "first" {
				<-late
				return engine.Result{Outcome: "completed"}, nil
			}
			<-next
			return engine.Result{Outcome: "dnp"}, nil
		})
		l := w.enroll(w.activate([]workflow.Node{
			workflow.CallNode("first", nil), workflow.CallNode("second", nil),
		}, workflow.On("first", "failed", "second")), phone)
		w.pass(time.Hour + time.Second)
		w.expectSteps(l, "first=failed second=in_progress")
		close(late)
		synctest.Wait()
		w.expectSteps(l, "first=failed second=in_progress")
		close(next)
		synctest.Wait()
		w.expectSteps(l, "first=failed second=dnp")
	})
}

func TestACallbackMayComeBeforeTheHandlerReturns(t *testing.T) {
	for name, after := range map[string]func(w *world, release chan struct{}){
		"and the handler returns":    func(w *world, release chan struct{}) { close(release) },
		"and the deadline passes":    func(w *world, release chan struct{}) { w.pass(time.Hour); close(release) },
		"and the process is no more": func(w *world, release chan struct{}) { w.crash(); close(release) },
		"and removal was asked for":  func(w *world, release chan struct{}) { w.removeAll(); close(release) },
		"and it says the same again": func(w *world, release chan struct{}) { w.completeAgain("completed", nil); close(release) },
		"and then it says otherwise": func(w *world, release chan struct{}) { w.completeAgain("dnp", lead.ErrStepFinished); close(release) },
		"and the handler has failed": func(w *world, release chan struct{}) { w.failing = true; close(release) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				w := newWorld(t, nil)
				w.handle = func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
					if a.Node.ID != "call" || a.Scheduled != nil {
						return engine.Result{}, nil
					}
					<-release
					if w.failing {
						return engine.Result{}, errors.New("the line broke")
					}
					res := engine.InFlight("given by the provider")
					res.Schedule = []engine.Message{{After: time.Hour}}
					return res, nil
				}
				l := w.enroll(w.callWaitMessage(), phone)
				synctest.Wait()
				if got := w.complete(l, "completed").LeadState; got != lead.InStep {
					t.Errorf("before its handler has returned the lead is %s", got)
				}
				w.expectSteps(l, "call=completed")
				after(w, release)
				synctest.Wait()
				step := w.history(l)[0]
				if step.Status != lead.StepCompleted || step.Outcome != "completed" || len(w.seen()) != 1 {
					t.Errorf("the step is %+v, after %d calls of handlers", step, len(w.seen()))
				}
				switch name {
				case "and the handler returns":
					w.expectSteps(l, "call=completed call+message=waiting wait=waiting")
					if step.CallID != "given by the provider" {
						t.Errorf("the provider's name for the call is lost: %+v", step)
					}
				case "and removal was asked for":
					w.expectSteps(l, "call=completed call+message=cancelled wait=cancelled")
				}
			})
		})
	}
}

// removeAll removes every lead that has been called for.
func (w *world) removeAll() {
	w.t.Helper()
	for _, a := range w.seen() {
		if _, err := w.eng.Remove(background, a.WorkflowID, a.LeadID); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) completeAgain(outcome string, want error) {
	w.t.Helper()
	_, err := w.eng.CompleteStep(background, w.seen()[0].StepID, engine.Callback{Outcome: outcome})
	if !errors.Is(err, want) {
		w.t.Errorf("outcome %s again: %v, want %v", outcome, err, want)
	}
}

func TestACallbackForAFailedAttemptDropsItsRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The provider took the call although its answer was lost.
		w := newWorld(t, busy)
		l := w.enroll(w.retryWorkflow(), phone)
		w.pass(time.Minute)
		step := w.history(l)[0]
		if _, err := w.eng.CompleteStep(context.Background(), step.ID, engine.Callback{Attempt: 2}); !errors.Is(err, lead.ErrOtherAttempt) {
			t.Errorf("an outcome of the attempt that is queued: %v", err)
		}
		if _, err := w.eng.CompleteStep(context.Background(), step.ID, engine.Callback{Outcome: "completed", Attempt: 1}); err != nil {
			t.Fatal(err)
		}
		w.pass(24 * time.Hour)
		w.expectSteps(l, "call=completed good=converted")
		if got := w.history(l)[0].Attempts; len(got) != 1 || got[0].Status != lead.StepCompleted {
			t.Errorf("attempts: %+v", got)
		}
		calls, _, _ := w.eng.Calls(context.Background(), engine.CallFilter{})
		if len(calls) != 1 || calls[0].Status != lead.StepCompleted {
			t.Errorf("call log: %+v", calls)
		}
	})
}

func TestPromise10NeverStuck(t *testing.T) {
	t.Run("an outcome without an edge takes the default one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
				return engine.Result{Outcome: "voicemail"}, nil
			})
			l := w.enroll(w.activate([]workflow.Node{
				workflow.CallNode("call", nil), workflow.End("good", workflow.Converted), workflow.End("bad", workflow.Dropped),
			}, workflow.On("call", "completed", "good"), workflow.On("call", "default", "bad")), phone)
			synctest.Wait()
			w.expectSteps(l, "call=voicemail bad=dropped")
		})
	})
	t.Run("an outcome without any edge completes the lead", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
				return engine.Result{Outcome: "voicemail"}, nil
			})
			l := w.enroll(w.callWaitMessage(), phone)
			synctest.Wait()
			if got := w.lead(l); got.State != lead.Completed || got.Outcome != lead.OutcomeNoRoute {
				t.Errorf("lead is %s, outcome %q", got.State, got.Outcome)
			}
		})
	})
	t.Run("a handler's answer that cannot be kept fails the step", func(t *testing.T) {
		for name, result := range map[string]engine.Result{
			"data that is no JSON":   {Data: map[string]any{"f": func() {}}},
			"data beyond the limit":  {Data: map[string]any{"s": strings.Repeat("x", engine.MaxData)}},
			"data without a bottom":  {Data: nested(5000)},
			"an endless outcome":     {Outcome: strings.Repeat("x", 1000)},
			"messages without end":   {Schedule: make([]engine.Message, engine.MaxScheduled+1)},
			"the same, while called": {InFlight: true, Schedule: make([]engine.Message, engine.MaxScheduled+1)},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) { return result, nil })
					l := w.enroll(w.retryWorkflow(), phone)
					synctest.Wait()
					w.expectSteps(l, "call=failed bad=dropped")
					if got := w.history(l)[0].Error; got == "" {
						t.Error("the history does not say why")
					}
				})
			})
		}
	})
	t.Run("every lead that is not final is due at a known time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				switch a.Contact.PhoneNumber {
				case phone:
					return engine.InFlight(""), nil
				case "+14155552672":
					return engine.Result{}, errors.New("busy")
				}
				return engine.Result{}, nil
			})
			wf := w.retryWorkflow()
			waiting := w.enroll(w.callWaitMessage(), "+14155552673")
			leads := []lead.Lead{w.enroll(wf, phone), w.enroll(wf, "+14155552672"), waiting}
			synctest.Wait()
			for _, l := range leads {
				if got := w.lead(l); got.NextActionAt.IsZero() {
					t.Errorf("a lead in %s has no next action", got.State)
				}
			}
		})
	})
}

// nested is an object of so many objects, each in the other.
func nested(depth int) map[string]any {
	m := map[string]any{"]{": `"[{\`}
	for range depth {
		m = map[string]any{"in": m}
	}
	return m
}

func TestDataMayBeNestedAsDeepAsItIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			return engine.Result{Data: nested(990)}, nil
		})
		l := w.enroll(w.retryWorkflow(), phone)
		synctest.Wait()
		if got := w.history(l)[0]; got.Status != lead.StepCompleted || len(got.Data) < 990 {
			t.Errorf("the step is %s: %s", got.Status, got.Error)
		}
	})
}

func TestConditionsSeeMetadataAndEarlierSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		node workflow.Node
		want string
	}{
		"metadata":          {workflow.If("if", `metadata.plan == "gold"`), "true"},
		"missing metadata":  {workflow.If("if", `metadata.nothing == "gold"`), "false"},
		"an outcome":        {workflow.If("if", `steps.call.outcome == "completed"`), "true"},
		"data":              {workflow.If("if", `steps.call.data.mood == "good"`), "true"},
		"a step not taken":  {workflow.If("if", `steps.never.outcome == "completed"`), "false"},
		"the phone number":  {workflow.If("if", `lead.phone_number startsWith "+1415"`), "true"},
		"a runtime mistake": {workflow.If("if", `metadata.nothing > 3`), "false"},
		"the virtual clock": {workflow.If("if", `now().Year() == 2000`), "true"},
		"conditions": {workflow.IfAll("if",
			workflow.Condition{Field: "metadata.plan", Operator: "equals", Value: "gold"},
			workflow.Condition{Field: "steps.call.outcome", Operator: "equals", Value: "completed"}), "true"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
					return engine.Result{Data: map[string]any{"mood": "good"}}, nil
				})
				wf := w.activate([]workflow.Node{
					workflow.CallNode("call", nil), workflow.Wait("wait", time.Hour), tt.node,
					workflow.End("yes", workflow.Converted), workflow.End("no", workflow.Dropped), workflow.MessageNode("never", nil),
				}, workflow.On("call", "completed", "wait"), workflow.On("call", "failed", "never"), workflow.To("wait", "if"),
					workflow.On("if", "true", "yes"), workflow.On("if", "false", "no"))
				l, err := w.eng.Enroll(context.Background(), wf, lead.Contact{
					PhoneNumber: phone, Metadata: map[string]any{"plan": "gold"},
				})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				w.crash() // what conditions see comes from the disk
				w.pass(time.Hour + time.Second)
				steps := w.history(l)
				if got := steps[2].Outcome; got != tt.want {
					t.Errorf("the condition came to %q, want %q; %s", got, tt.want, steps[2].Error)
				}
			})
		})
	}
}

func TestConditionsSeeAStepThatEndsInTheSameCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.activate([]workflow.Node{
			workflow.CallNode("call", nil), workflow.If("if", `steps.call.outcome == "completed"`),
			workflow.End("yes", workflow.Converted), workflow.End("no", workflow.Dropped),
		}, workflow.On("call", "default", "if"), workflow.On("if", "true", "yes"), workflow.On("if", "false", "no")), phone)
		synctest.Wait()
		w.expectSteps(l, "call=completed if=true yes=converted")
	})
}

func TestAScheduledMessageWaitsForTheStepInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			switch {
			case a.Scheduled != nil:
				if string(a.Scheduled.Data) != `{"text":"hello"}` || a.Node.ID != "call" {
					t.Errorf("the message is %s of node %s", a.Scheduled.Data, a.Node.ID)
				}
				return engine.Result{}, nil
			case a.Node.ID == "call":
				res := engine.InFlight("c1")
				res.Schedule = []engine.Message{{After: time.Minute, Data: []byte(`{"text":"hello"}`)}}
				return res, nil
			}
			return engine.Result{}, nil
		})
		l := w.enroll(w.callWaitMessage(), phone)
		w.pass(10 * time.Minute)
		w.expectSteps(l, "call=in_progress call+message=waiting")
		if _, err := w.eng.CompleteStep(context.Background(), w.history(l)[0].ID, engine.Callback{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expectSteps(l, "call=completed call+message=success wait=waiting")
		w.pass(49 * time.Hour)
		w.expectState(l, lead.Completed)
	})
}

func TestRemovalWhileAScheduledMessageIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan struct{})
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Scheduled != nil {
				<-sent
			} else if a.Node.ID == "call" {
				return engine.Result{Schedule: []engine.Message{{After: time.Hour}, {After: 2 * time.Hour}}}, nil
			}
			return engine.Result{}, nil
		})
		l := w.enroll(w.callWaitMessage(), phone)
		w.pass(time.Hour + time.Second)
		w.expectSteps(l, "call=completed call+message=in_progress call+message=waiting wait=waiting")
		if got := w.remove(l).State; got != lead.PendingRemoval {
			t.Errorf("Remove answered %s", got)
		}
		close(sent)
		synctest.Wait()
		w.expectState(l, lead.Removed)
		w.expectSteps(l, "call=completed call+message=success call+message=cancelled wait=cancelled")
	})
}
