package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

const phone = "+14155552671"

// liveCall is a handler whose calls stay in flight until a callback, and whose
// messages succeed.
func liveCall(_ context.Context, a engine.Attempt) (engine.Result, error) {
	if a.Node.Type == workflow.VoiceCall {
		return engine.InFlight("call-" + a.Contact.PhoneNumber), nil
	}
	return engine.Result{}, nil
}

func (w *world) complete(l lead.Lead, outcome string) engine.CallbackAck {
	w.t.Helper()
	steps := w.history(l)
	done, err := w.eng.CompleteStep(context.Background(), steps[len(steps)-1].ID, engine.Callback{Outcome: outcome})
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

func TestRemovingAWaitingLeadIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		r := w.remove(l, engine.Reason("asked to stop"), engine.Actor("agent-7"))
		if r.State != lead.Removed {
			t.Errorf("Remove answered %s, want removed", r.State)
		}
		got, err := r.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		m := got.Removal
		if m == nil || m.Reason != "asked to stop" || m.Actor != "agent-7" || m.RequestedAt.IsZero() || m.RemovedAt.IsZero() {
			t.Errorf("removal on record is %+v", m)
		}
		w.expectSteps(l, "call=completed wait=cancelled")
		last := w.history(l)[1]
		if want := last.EnteredAt.Add(48 * time.Hour); !last.ScheduledAt.Equal(want) {
			t.Errorf("the cancelled wait was due at %s, want %s", last.ScheduledAt, want)
		}
		w.pass(72 * time.Hour)
		w.expectSteps(l, "call=completed wait=cancelled")
	})
}

func TestPromise2RemovedMeansSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		inCall := w.enroll(wf, "+14155552671")
		synctest.Wait()
		if got := w.remove(inCall).State; got != lead.PendingRemoval {
			t.Fatalf("Remove during a call answered %s", got)
		}
		w.complete(inCall, "completed")
		before := len(w.seen())
		w.pass(30 * 24 * time.Hour)
		if got := w.seen()[before:]; len(got) > 0 {
			t.Errorf("a removed lead was contacted: %+v", got)
		}
		w.expectState(inCall, lead.Removed)
		w.expectSteps(inCall, "call=completed wait=cancelled")
	})
}

func TestPromise3NoLiveCallIsCut(t *testing.T) {
	for name, interrupt := range map[string]func(w *world, l lead.Lead) error{
		"Remove": func(w *world, l lead.Lead) error {
			w.remove(l)
			return nil
		},
		"Remove, skipping retries": func(w *world, l lead.Lead) error {
			w.remove(l, engine.SkipRetries())
			return nil
		},
		"Pause": func(w *world, l lead.Lead) error {
			_, err := w.eng.PauseWorkflow(context.Background(), l.WorkflowID)
			return err
		},
		"Cancel": func(w *world, l lead.Lead) error {
			_, err := w.eng.CancelWorkflow(context.Background(), l.WorkflowID)
			return err
		},
		"Shutdown": func(w *world, l lead.Lead) error {
			go w.close()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hangUp, cut := make(chan struct{}), make(chan error, 1)
				w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
					select {
					case <-ctx.Done():
						cut <- context.Cause(ctx)
					case <-hangUp:
						cut <- nil
					}
					return engine.Result{}, nil
				})
				l := w.enroll(w.callWaitMessage(), phone)
				synctest.Wait()
				if err := interrupt(w, l); err != nil {
					t.Fatal(err)
				}
				w.pass(30 * time.Second)
				close(hangUp)
				if err := <-cut; err != nil {
					t.Errorf("the call was cut: %v", err)
				}
				synctest.Wait()
			})
		})
	}
}

func TestPromise3ShutdownCutsACallOnlyWhenItsOwnDeadlineRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := make(chan error, 1)
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Redelivered {
				return engine.Result{}, nil
			}
			<-ctx.Done()
			cut <- context.Cause(ctx)
			return engine.Result{}, ctx.Err()
		})
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.eng.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want the deadline's error", err)
		}
		if err := <-cut; !errors.Is(err, engine.ErrShutdown) {
			t.Errorf("the call's context ended with %v, want ErrShutdown", err)
		}
		w.crash()
		synctest.Wait()
		w.expectSteps(l, "call=completed wait=waiting")
	})
}

func TestPromise4RemovalEnds(t *testing.T) {
	// Whatever becomes of the step in flight, the lead is detached.
	for name, end := range map[string]func(w *world, l lead.Lead){
		"when the step completes":      func(w *world, l lead.Lead) { w.complete(l, "completed") },
		"when an unknown outcome ends": func(w *world, l lead.Lead) { w.complete(l, "abducted") },
		"when its deadline passes":     func(w *world, l lead.Lead) { w.pass(time.Hour + time.Second) },
		"when the process died":        func(w *world, l lead.Lead) { w.crash(); w.complete(l, "dnp") },
		"when the process died and its deadline passes": func(w *world, l lead.Lead) {
			w.crash()
			w.pass(time.Hour + time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, liveCall)
				l := w.enroll(w.callWaitMessage(), phone)
				synctest.Wait()
				w.remove(l)
				w.expectState(l, lead.PendingRemoval)
				end(w, l)
				synctest.Wait()
				w.expectState(l, lead.Removed)
			})
		})
	}
}

func TestPromise4ABadHookCannotHoldRemovalUp(t *testing.T) {
	for name, bad := range map[string]func(ctx context.Context, c engine.HookEvent) error{
		"failing":   func(context.Context, engine.HookEvent) error { return errors.New("no disk") },
		"panicking": func(context.Context, engine.HookEvent) error { panic("no disk") },
		"hanging": func(ctx context.Context, c engine.HookEvent) error {
			<-ctx.Done()
			return context.Cause(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ran := 0
				w := newWorld(t, liveCall,
					engine.Hook{Name: "bad", Run: bad},
					engine.Hook{Name: "good", Run: func(_ context.Context, c engine.HookEvent) error {
						ran++
						if c.Lead.State != lead.PendingRemoval || c.Step.Outcome != "completed" {
							t.Errorf("the hook saw a lead %s and outcome %q", c.Lead.State, c.Step.Outcome)
						}
						return nil
					}})
				l := w.enroll(w.callWaitMessage(), phone)
				synctest.Wait()
				r := w.remove(l)
				if got := w.complete(l, "completed").LeadState; got != lead.PendingRemoval {
					t.Errorf("the lead is %s before its hooks have run", got)
				}
				w.waitForHook(r)
				w.expectState(l, lead.Removed)
				step := w.history(l)[0]
				if len(step.HookErrors) != 1 || ran != 1 {
					t.Errorf("hook errors on record: %q; the good hook ran %d times", step.HookErrors, ran)
				}
			})
		})
	}
}

// waitForHook waits until the lead is detached, which a hook may hold up for the
// default of Config.HookTimeout at most.
func (w *world) waitForHook(r *engine.Removal) {
	w.t.Helper()
	within, cancel := context.WithTimeout(background, 10*time.Second+time.Millisecond)
	defer cancel()
	if _, err := r.Wait(within); err != nil {
		w.t.Fatalf("a hook holds removal up: %v", err)
	}
}

func TestPromise4AHookThatIgnoresItsContextIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, liveCall, engine.Hook{Name: "deaf", Run: func(context.Context, engine.HookEvent) error {
			<-release
			return nil
		}})
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		r := w.remove(l)
		w.complete(l, "completed")
		w.waitForHook(r)
		close(release)
		if got := w.history(l)[0].HookErrors; len(got) != 1 {
			t.Errorf("hook errors on record: %q", got)
		}
	})
}

func TestPromise5NothingIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A handler schedules two messages beside the path.
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Node.ID == "call" && a.Scheduled == nil {
				return engine.Result{Schedule: []engine.Message{
					{After: 72 * time.Hour, Data: []byte(`{"text":"later"}`)},
					{After: 24 * time.Hour, Data: []byte(`{"text":"soon"}`)},
				}}, nil
			}
			return engine.Result{}, nil
		})
		wf := w.callWaitMessage()
		removed, completed := w.enroll(wf, "+14155552671"), w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.expectSteps(removed, "call=completed call+message=waiting call+message=waiting wait=waiting")
		w.pass(25 * time.Hour)
		w.expectSteps(removed, "call=completed call+message=waiting call+message=success wait=waiting")
		w.remove(removed)
		w.expectSteps(removed, "call=completed call+message=cancelled call+message=success wait=cancelled")
		w.pass(23*time.Hour + time.Second) // the other lead is done before its last message is due
		w.expectSteps(completed, "call=completed call+message=cancelled call+message=success "+
			"wait=completed text=success done=converted")
		for _, l := range []lead.Lead{removed, completed} {
			if at := w.lead(l).NextActionAt; !at.IsZero() {
				t.Errorf("a %s lead has something due at %s", w.lead(l).State, at)
			}
		}
		if s := w.eng.Stats(); s.InMemory != 0 || s.Running != 0 || s.Ready != 0 {
			t.Errorf("left in memory: %+v", s)
		}
		before := len(w.seen())
		w.pass(30 * 24 * time.Hour)
		if got := w.seen()[before:]; len(got) > 0 {
			t.Errorf("contacted after the end: %+v", got)
		}
	})
}

func TestPromise6OnlyThatLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		var leads []lead.Lead
		for i := range 20 {
			leads = append(leads, w.enroll(wf, fmt.Sprintf("+141555526%02d", i)))
			w.pass(time.Minute)
		}
		due := map[lead.ID]time.Time{}
		for _, l := range leads {
			due[l.ID] = w.lead(l).NextActionAt
		}
		w.remove(leads[7])
		for _, l := range leads {
			if l.ID != leads[7].ID && !w.lead(l).NextActionAt.Equal(due[l.ID]) {
				t.Errorf("removing another lead moved %s from %s to %s", l.ID, due[l.ID], w.lead(l).NextActionAt)
			}
		}
		if got, err := w.eng.Workflow(context.Background(), wf); err != nil || got.Status != lead.WorkflowActive {
			t.Errorf("the workflow is %s, %v", got.Status, err)
		}
		w.pass(48 * time.Hour)
		for i, l := range leads {
			if want := lead.Completed; i != 7 {
				w.expectState(l, want)
			}
		}
	})
}

func TestPromise7HistoryStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		completed := w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.complete(completed, "completed")
		w.pass(49 * time.Hour)
		waiting := w.enroll(wf, "+14155552673")
		synctest.Wait()
		w.complete(waiting, "completed")
		w.remove(waiting)
		l := w.enroll(wf, phone)
		synctest.Wait()
		w.remove(l)
		w.complete(l, "completed")
		w.crash()
		w.expectSteps(completed, "call=completed wait=completed text=success done=converted")
		w.expectSteps(waiting, "call=completed wait=cancelled")
		steps := w.history(l)
		if len(steps) != 2 || len(steps[0].Attempts) != 1 || steps[0].CallID != "call-"+phone {
			t.Errorf("history after removal: %+v", steps)
		}
		calls, _, err := w.eng.Calls(context.Background(), engine.CallFilter{LeadID: l.ID})
		if err != nil || len(calls) != 1 || calls[0].Outcome != "completed" || calls[0].StepID != steps[0].ID ||
			calls[0].CallID != "call-"+phone || calls[0].PhoneNumber != phone || calls[0].EndedAt.IsZero() {
			t.Errorf("call log after removal: %+v, %v", calls, err)
		}
	})
}

func TestRemovingTwiceIsSafeWhilePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		w.remove(l, engine.Reason("first"))
		before := w.lead(l)
		w.pass(time.Minute)
		again := w.remove(l, engine.Reason("second"))
		if again.State != lead.PendingRemoval {
			t.Errorf("the second Remove answered %s", again.State)
		}
		if got := w.lead(l); *got.Removal != *before.Removal || !got.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("the second Remove changed %+v to %+v", before, got)
		}
		w.complete(l, "completed")
		if _, err := again.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestPromise4ARetryThatRemovalWaitsForIsNotHeldUpByNewSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Node.Type == workflow.VoiceCall {
				return engine.Result{}, errors.New("busy")
			}
			select {
			case <-time.After(30 * time.Second):
			case <-ctx.Done():
			}
			return engine.Result{}, nil
		})
		w.config.Workers = 1
		w.crash()
		call := workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Minute)})
		l := w.enroll(w.activate([]workflow.Node{call}), phone)
		synctest.Wait()
		// Two leads that go round without end keep the only worker busy.
		round := w.activate([]workflow.Node{workflow.MessageNode("text", nil)}, workflow.On("text", workflow.DefaultLabel, "text"))
		w.enroll(round, phone)
		w.enroll(round, "+14155552672")
		w.remove(l)
		w.expectState(l, lead.PendingRemoval)
		w.pass(time.Hour)
		w.expectState(l, lead.Removed)
	})
}
