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
	"github.com/leadflow-go/leadflow/store/faulty"
	"github.com/leadflow-go/leadflow/store/memory"
)

// callsOnly is a workflow of one call, with something more in its definition.
func callsOnly(more string) string {
	return `{"name": "w", "entry": "call", ` + more + ` "nodes": [{"id": "call", "type": "voice_call", "retry": {"max_attempts": 2, "delay": "1m"}},
		{"id": "won", "type": "converted"}], "edges": [{"from": "call", "to": "won", "label": "default"}]}`
}

func number(i int) string { return fmt.Sprintf("+1415555%04d", 2000+i) }

// live has all calls wait for their callback.
func live(engine.Attempt) (engine.Result, error) { return engine.Result{InFlight: true}, nil }

func (r *rules) complete(l lead.Lead) {
	r.t.Helper()
	steps, err := r.History(background, l.WorkflowID, l.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.CompleteStep(background, steps[0].ID, engine.Callback{Outcome: "completed"}); err != nil {
		r.t.Fatal(err)
	}
	r.settle(0)
}

func TestNoMoreCallsAreInFlightThanALimitAllows(t *testing.T) {
	r := newRules(t)
	r.answer = live
	wf := r.activate(callsOnly(`"limits": [{"in_flight": 2}],`))
	var leads []lead.Lead
	for i := range 5 {
		leads = append(leads, r.enroll(wf, number(i)))
	}
	r.settle(time.Minute)
	r.calledAre("call", "call")
	r.complete(leads[0])
	r.calledAre("call") // in order
	r.expect(leads[2], "in_step: call=in_progress")
	r.complete(leads[1])
	r.complete(leads[2])
	r.calledAre("call", "call")
	if s := r.Stats(); s.LeadsCompleted != 3 {
		t.Errorf("%+v", s)
	}
}

func TestAQueuedRetryHoldsNoPlace(t *testing.T) {
	r := newRules(t)
	r.answer = func(engine.Attempt) (engine.Result, error) { return engine.Result{}, errors.New("busy") }
	wf := r.activate(callsOnly(`"limits": [{"in_flight": 1}],`))
	r.enroll(wf, number(1))
	r.enroll(wf, number(2))
	r.settle(0)
	r.calledAre("call", "call")
}

func TestNoSpanHoldsMoreStartsThanALimitAllows(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callsOnly(`"limits": [{"starts": 2, "per": "1m"}],`))
	for i := range 5 {
		r.enroll(wf, number(i))
	}
	r.settle(0)
	r.calledAre("call", "call")
	r.settle(time.Minute)
	r.calledAre()
	r.settle(time.Millisecond) // the span has both of its ends
	r.calledAre("call", "call")
	r.settle(2 * time.Minute)
	r.calledAre("call")
}

func TestAnAttemptThatIsMadeAgainAfterACrashCountsAsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		w := newWorld(t, func(ctx context.Context, _ engine.Attempt) (engine.Result, error) {
			select {
			case <-ctx.Done():
			case <-over:
			}
			return engine.Result{}, context.Cause(ctx)
		})
		call := workflow.CallNode("call", nil).WithTimeout(6 * time.Hour).
			WithLimits(workflow.Limit{Starts: 2, Per: workflow.Duration(time.Hour)})
		wf := w.activate([]workflow.Node{call})
		w.enroll(wf, number(1))
		synctest.Wait()
		w.crash()
		synctest.Wait()
		w.enroll(wf, number(2))
		for _, c := range []struct {
			after time.Duration
			calls int
		}{{0, 2}, {time.Hour, 2}, {time.Millisecond, 3}} {
			time.Sleep(c.after)
			synctest.Wait()
			if got := len(w.seen()); got != c.calls {
				t.Errorf("%d handlers were called, want %d", got, c.calls)
			}
		}
	})
}

func TestAPersonGetsNoMoreAttemptsThanALimitAllows(t *testing.T) {
	r := newRules(t)
	if err := r.SetLimits(background, []workflow.Limit{{PerContact: 1, Per: workflow.Duration(24 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	one, other := r.activate(callsOnly("")), r.activate(callsOnly(""))
	first, second := r.enroll(one, phone), r.enroll(other, phone)
	r.settle(0)
	r.calledAre("call")
	r.expect(first, "completed: call=completed won=converted")
	if x, err := r.Explain(background, other, second.ID); err != nil || x.Reason != engine.WaitDailyCap || x.Until.IsZero() {
		t.Errorf("%+v, %v", x, err)
	}
	r.settle(24 * time.Hour)
	r.calledAre()
	r.settle(time.Millisecond)
	r.calledAre("call")
	r.expect(second, "completed: call=completed won=converted")
}

func TestALimitForEachContactThatIsLiftedHoldsNobodyUp(t *testing.T) {
	r := newRules(t)
	if err := r.SetLimits(background, []workflow.Limit{{PerContact: 1, Per: workflow.Duration(24 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	one, other := r.activate(callsOnly("")), r.activate(callsOnly(""))
	r.enroll(one, phone)
	r.settle(0)
	r.enroll(other, phone)
	r.settle(time.Hour)
	r.calledAre("call")
	if err := r.SetLimits(background, nil); err != nil {
		t.Fatal(err)
	}
	r.settle(0)
	r.calledAre("call")
}

func TestALimitForAllWorkflowsCanBeChangedWhileRunning(t *testing.T) {
	r := newRules(t)
	r.answer = live
	wf := r.activate(callsOnly(""))
	limit := func(n int) {
		t.Helper()
		if err := r.SetLimits(background, []workflow.Limit{{Channel: workflow.VoiceCall, InFlight: n}}); err != nil {
			t.Fatal(err)
		}
	}
	limit(1)
	for i := range 6 {
		r.enroll(wf, number(i))
	}
	r.settle(0)
	r.calledAre("call")
	limit(3)
	r.settle(0)
	r.calledAre("call", "call")
	limit(2)
	r.settle(0)
	r.calledAre()
	if err := r.SetLimits(background, nil); err != nil {
		t.Fatal(err)
	}
	r.settle(0)
	r.calledAre("call", "call", "call")
	if limits, err := r.Limits(background); err != nil || len(limits) != 0 {
		t.Errorf("%+v, %v", limits, err)
	}
}

func TestWorkflowsThatShareALimitAreServedInTurn(t *testing.T) {
	r := newRules(t)
	r.answer = live
	if err := r.SetLimits(background, []workflow.Limit{{InFlight: 1}}); err != nil {
		t.Fatal(err)
	}
	one, other := r.activate(callsOnly("")), r.activate(callsOnly(`"priority": 3,`))
	served := map[lead.WorkflowID]int{}
	var at lead.Lead
	r.answer = func(a engine.Attempt) (engine.Result, error) {
		served[a.WorkflowID]++
		at = lead.Lead{ID: a.LeadID, WorkflowID: a.WorkflowID}
		return engine.Result{InFlight: true}, nil
	}
	for i := range 100 {
		r.enroll(one, number(i))
	}
	for i := range 100 {
		r.enroll(other, number(i))
	}
	r.settle(0)
	for range 79 {
		r.complete(at)
	}
	if served[one] < 19 || served[one] > 22 || served[one]+served[other] != 80 {
		t.Errorf("served %d and %d; want 20 and 60", served[one], served[other])
	}
}

func TestNobodyWaitsBehindALimitOfOthers(t *testing.T) {
	r := newRules(t)
	r.answer = live
	calls := r.activate(callsOnly(`"limits": [{"in_flight": 1}],`))
	for i := range 300 {
		r.enroll(calls, number(i))
	}
	texts := r.activate(`{"name": "w", "entry": "text", "nodes": [{"id": "text", "type": "message"}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "text", "to": "won", "label": "default"}]}`)
	r.enroll(texts, phone)
	r.settle(0)
	r.calledAre("call", "text")
}

func TestAProviderThatAsksToWaitIsLeftAlone(t *testing.T) {
	r := newRules(t)
	r.answer = func(a engine.Attempt) (engine.Result, error) {
		if len(r.called) == 1 {
			return engine.Result{}, engine.RetryAllAfter(errors.New("too many requests"), 10*time.Minute)
		}
		return engine.Result{}, nil
	}
	wf := r.activate(callsOnly(""))
	first := r.enroll(wf, number(1))
	r.settle(0)
	second := r.enroll(wf, number(2))
	r.settle(9 * time.Minute)
	if len(r.called) != 1 {
		t.Errorf("called %q", r.called)
	}
	if x, err := r.Explain(background, wf, second.ID); err != nil || x.Reason != engine.WaitCooling {
		t.Errorf("%+v, %v", x, err)
	}
	r.settle(time.Minute)
	r.expect(first, "completed: call=completed won=converted")
	r.expect(second, "completed: call=completed won=converted")
}

// A lead whose contact's attempts cannot be read for a while is called once they can be.
func TestALimitForEachContactOutlivesAStoreThatFails(t *testing.T) {
	st := faulty.New(memory.New())
	r := newRulesOn(t, st)
	wf := r.activate(callsOnly(`"limits": [{"per_contact": 1, "per": "1h"}],`))
	st.Inject(faulty.Fault{Method: faulty.Starts, Err: errors.New("disk I/O error")})
	r.enroll(wf, phone)
	r.settle(0)
	r.calledAre()
	st.Clear()
	r.settle(time.Minute)
	r.calledAre("call")
}

// What an enrollment that the store refuses would have started counts for no limit, also
// after a restart.
func TestARefusedEnrollmentUsesUpNoLimit(t *testing.T) {
	st := memory.New()
	r := newRulesOn(t, st)
	r.answer = live
	wf := r.activate(callsOnly(`"limits": [{"starts": 2, "per": "1h"}],`))
	r.enroll(wf, phone)
	r.settle(0)
	for range 3 {
		if _, err := r.Enroll(background, wf, lead.Contact{PhoneNumber: phone}); !errors.Is(err, lead.ErrContactLive) {
			t.Fatal(err)
		}
	}
	r.settle(0)
	if err := r.Shutdown(background); err != nil {
		t.Fatal(err)
	}
	again, err := st.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	now := r.clock.now
	r = newRulesOn(t, again)
	r.clock.now = now
	r.answer = live
	r.enroll(wf, number(1))
	r.settle(time.Minute)
	r.calledAre("call")
}

// A scheduled message that a limit does not count is sent when it is due, though its lead
// waits for that limit.
func TestAMessageDoesNotWaitForALimitOfCalls(t *testing.T) {
	for name, limit := range map[string]string{
		"of those in flight": `{"channel": "voice_call", "in_flight": 1}`, "of starts": `{"channel": "voice_call", "starts": 1, "per": "10h"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRules(t)
			wf := r.activate(`{"name": "w", "entry": "hello", "limits": [` + limit + `], "nodes": [{"id": "hello", "type": "message"},
				{"id": "call", "type": "voice_call"}, {"id": "won", "type": "converted"}],
				"edges": [{"from": "hello", "to": "call", "label": "default"}, {"from": "call", "to": "won", "label": "default"}]}`)
			r.answer = func(a engine.Attempt) (engine.Result, error) {
				if a.Node.ID == "call" {
					return engine.Result{InFlight: true}, nil
				}
				if a.Scheduled != nil {
					r.called[len(r.called)-1] = "scheduled"
					return engine.Result{}, nil
				}
				return engine.Result{Schedule: []engine.Message{{After: 10 * time.Minute}}}, nil
			}
			r.enroll(wf, number(1)) // takes the only line
			r.settle(0)
			r.called = nil
			r.enroll(wf, number(2))
			r.settle(0)
			r.calledAre("hello")
			r.settle(10 * time.Minute)
			r.calledAre("scheduled") // the other lead's call is in flight, and its message waits
		})
	}
}
