package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestPassesAreCountedByEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outcomes := map[string]string{number(0): "completed", number(1): "completed", number(2): "busy", number(3): "nonsense"}
		w := newWorld(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			return engine.Result{Outcome: outcomes[a.Contact.PhoneNumber], InFlight: a.Contact.PhoneNumber == number(4)}, nil
		})
		wf := w.activate([]workflow.Node{
			workflow.CallNode("call", nil), workflow.Wait("wait", time.Hour), workflow.Wait("later", time.Hour), workflow.If("test", "metadata.vip == true"),
			workflow.End("won", workflow.Converted), workflow.End("lost", workflow.Dropped),
		},
			workflow.On("call", "completed", "wait"), workflow.On("call", "busy", "lost"), workflow.On("call", "default", "later"), workflow.To("wait", "test"),
			workflow.On("test", "true", "won"), workflow.On("test", "false", "lost"), workflow.To("later", "won"))
		w.enroll(wf, number(0))
		if _, err := w.eng.Enroll(background, wf, lead.Contact{PhoneNumber: number(1), Metadata: map[string]any{"vip": true}}); err != nil {
			t.Fatal(err)
		}
		w.enroll(wf, number(2))
		removed := w.enroll(wf, number(3))
		calling := w.enroll(wf, number(4))
		synctest.Wait()
		expect := func(want ...int64) {
			t.Helper()
			p, err := w.eng.Passes(wf)
			if d := cmp.Diff(want, p.Edges); err != nil || d != "" {
				t.Errorf("%v (%v):\n%s", p, err, d)
			}
		}
		expect(2, 1, 1, 0, 0, 0, 0)
		w.remove(removed)
		w.remove(calling) // its call ends, and leads nowhere
		w.complete(calling, "completed")
		w.pass(2 * time.Hour)
		expect(2, 1, 1, 2, 1, 1, 0)

		counts, err := w.eng.NodeCounts(background, wf)
		want := map[string]map[lead.State]int64{
			"call": {lead.Removed: 1}, "later": {lead.Removed: 1}, "won": {lead.Completed: 1}, "lost": {lead.Completed: 2},
		}
		if d := cmp.Diff(want, counts); err != nil || d != "" {
			t.Errorf("%v\n%s", err, d)
		}
	})
}

func TestStartsAreCountedByMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := 1
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			if fails--; fails == 0 {
				return engine.Result{}, errors.New("busy")
			}
			return engine.Result{}, nil
		})
		wf := w.activate([]workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(3 * time.Minute)}), workflow.End("won", workflow.Converted),
		}, workflow.On("call", "default", "won"))
		w.enroll(wf, number(0)) // its retry comes three minutes later
		synctest.Wait()
		w.enroll(wf, number(1))
		w.pass(3 * time.Minute)
		p := w.eng.Pace()
		if n := len(p.Minutes); n != 61 || p.Minutes[57] != 2 || p.Minutes[60] != 1 {
			t.Errorf("%d minutes since %s: %v", n, p.First, p.Minutes)
		}
		if want := time.Now().Truncate(time.Minute).Add(-time.Hour); !p.First.Equal(want) {
			t.Errorf("the first minute is %s, want %s", p.First, want)
		}
		w.pass(58 * time.Minute)
		if p := w.eng.Pace(); p.Minutes[2] != 1 || p.Minutes[60] != 0 {
			t.Errorf("later: %v", p.Minutes)
		}
		w.pass(3 * time.Minute) // the same place in the ring
		if p := w.eng.Pace(); p.Minutes[60] != 0 {
			t.Errorf("an hour later: %v", p.Minutes)
		}
	})
}

func TestLimitsSayWhatIsUsed(t *testing.T) {
	r := newRules(t)
	r.answer = live
	if err := r.SetLimits(background, []workflow.Limit{{Starts: 3, Per: workflow.Duration(time.Hour)}, {PerContact: 5, Per: workflow.Duration(24 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	wf := r.activate(`{"name": "w", "entry": "call", "limits": [{"in_flight": 2}], "nodes": [{"id": "call", "type": "voice_call", "limits": [{"in_flight": 7}]}], "edges": []}`)
	r.activate(`{"name": "other", "entry": "call", "limits": [{"in_flight": 9}], "nodes": [{"id": "call", "type": "voice_call"}], "edges": []}`)
	for i := range 5 {
		r.enroll(wf, number(i))
	}
	r.settle(0)
	list, err := r.LimitsInForce(background)
	if err != nil {
		t.Fatal(err)
	}
	type limit struct {
		of, node      string
		most          int
		used, waiting int
		opens         bool
	}
	var got []limit
	for _, l := range list {
		of := ""
		if !l.WorkflowID.IsZero() {
			w, _ := r.Workflow(background, l.WorkflowID)
			of = w.Name
		}
		got = append(got, limit{of, l.Node, l.InFlight + l.Starts + l.PerContact, l.Used, l.Waiting, !l.Opens.IsZero()})
	}
	want := []limit{{"", "", 3, 2, 0, false}, {"", "", 5, 0, 0, false}, {"w", "", 2, 2, 3, false}, {"w", "call", 7, 2, 0, false}, {"other", "", 9, 0, 0, false}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(limit{})); d != "" {
		t.Error(d)
	}
	leads, err := r.Leads(background, wf, engine.LeadFilter{States: []lead.State{lead.InStep}})
	if err != nil || len(leads) != 2 {
		t.Fatalf("%d leads, %v", len(leads), err)
	}
	r.complete(leads[0])
	r.settle(0)
	list, err = r.LimitsInForce(background)
	if err != nil || list[0].Used != 3 || list[0].Waiting != 2 || !list[0].Opens.After(r.clock.now) || list[2].Used != 2 {
		t.Errorf("with three starts: %+v, %v", list, err)
	}
}
