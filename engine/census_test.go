package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// TestACensusAgreesWithExplanations holds the census of random worlds against the
// explanations of their leads.
func TestACensusAgreesWithExplanations(t *testing.T) {
	worlds := 25
	if testing.Short() || raceEnabled {
		worlds = 5
	}
	seen := map[engine.WaitReason]bool{}
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { censusWorld(t, rand.New(rand.NewPCG(seed, 14)), seen) })
	}
	for _, reason := range []engine.WaitReason{
		engine.WaitTime, engine.WaitSignal, engine.WaitHours, engine.WaitLimit, engine.WaitDailyCap, engine.WaitCooling, engine.WaitHold,
		engine.WaitCallback, engine.WaitRetry, engine.WaitPaused,
	} {
		if !seen[reason] && worlds > 5 {
			t.Errorf("no lead was counted as %s", reason)
		}
	}
}

func censusWorld(t *testing.T, random *rand.Rand, seen map[engine.WaitReason]bool) {
	r := newRules(t)
	r.answer = func(engine.Attempt) (engine.Result, error) {
		switch random.IntN(6) {
		case 0, 1:
			return engine.Result{}, errors.New("busy")
		case 2:
			return engine.Result{}, engine.RetryAllAfter(errors.New("slow down"), 15*time.Minute)
		case 3:
			return engine.Result{InFlight: true}, nil
		}
		return engine.Result{}, nil
	}
	flows := []lead.WorkflowID{r.activate(everyRule), r.activate(strings.Replace(everyRule, `"per_contact": 3, "per": "24h"`, `"per_contact": 1, "per": "6h"`, 1))}
	var leads []lead.Lead
	for i := range 24 {
		leads = append(leads, r.enroll(flows[i%2], number(i)))
	}
	for range 60 {
		l := leads[random.IntN(len(leads))]
		switch random.IntN(10) {
		case 0:
			_, err := r.Remove(background, l.WorkflowID, l.ID)
			refusedOnly(t, err)
		case 1, 2:
			_, err := r.Hold(background, l.WorkflowID, l.ID, engine.Hold{Until: r.clock.now.Add(time.Duration(1+random.IntN(40)) * time.Hour)})
			refusedOnly(t, err)
		case 3:
			_, err := r.Signal(background, l.WorkflowID, l.ID, "replied", nil)
			refusedOnly(t, err)
		case 4:
			_, err := r.PauseWorkflow(background, flows[1])
			refusedOnly(t, err)
		case 5, 6:
			_, err := r.ResumeWorkflow(background, flows[1])
			refusedOnly(t, err)
		case 7:
			if steps, err := r.History(background, l.WorkflowID, l.ID); err == nil {
				_, err := r.CompleteStep(background, steps[len(steps)-1].ID, engine.Callback{Outcome: "completed"})
				refusedOnly(t, err)
			}
		}
		r.settle(time.Duration(random.IntN(200)) * time.Minute)
		r.censusAgrees(leads, seen)
	}
}

// censusAgrees compares the census with the explanations of all leads.
func (r *rules) censusAgrees(leads []lead.Lead, seen map[engine.WaitReason]bool) {
	r.t.Helper()
	c, err := r.Census(background)
	if err != nil {
		r.t.Fatal(err)
	}
	got, want := map[string]int64{}, map[string]int64{}
	for id, w := range c.Workflows {
		for node, n := range w.Nodes {
			for reason, count := range n.Reasons {
				got[fmt.Sprint(id, " ", node, " ", reason)] += count
				seen[reason] = true
			}
		}
	}
	oldest := map[string]time.Time{}
	for _, l := range leads {
		x := r.explain(l)
		if x.State.Final() {
			continue
		}
		want[fmt.Sprint(l.WorkflowID, " ", x.Node, " ", x.Reason)]++
		steps, err := r.History(background, l.WorkflowID, l.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		present := steps[slices.IndexFunc(steps, func(s lead.Step) bool { return !s.Status.Final() && !s.Scheduled })]
		if at := oldest[fmt.Sprint(l.WorkflowID, x.Node)]; at.IsZero() || present.EnteredAt.Before(at) {
			oldest[fmt.Sprint(l.WorkflowID, x.Node)] = present.EnteredAt
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("explained (-), counted (+) at %s:\n%s", r.clock.now, d)
	}
	for id, w := range c.Workflows {
		for node, n := range w.Nodes {
			if want := oldest[fmt.Sprint(id, node)]; !n.Since.Equal(want) {
				r.t.Errorf("the oldest lead at %s has been there since %s, want %s", node, n.Since, want)
			}
		}
	}
}

func TestACensusSaysWhatComesDueByHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		node := func(hours int) lead.WorkflowID {
			return w.activate([]workflow.Node{workflow.Wait("wait", time.Duration(hours)*time.Hour+time.Minute), workflow.End("done", workflow.Converted)}, workflow.To("wait", "done"))
		}
		for i, hours := range []int{0, 5, 5, 23, 24} {
			w.enroll(node(hours), number(i))
		}
		synctest.Wait()
		c, err := w.eng.Census(background)
		if err != nil {
			t.Fatal(err)
		}
		if want := [24]int64{0: 1, 5: 2, 23: 1}; c.DueByHour != want || c.Leads != 5 {
			t.Errorf("%d leads: %v, want %v", c.Leads, c.DueByHour, want)
		}
	})
}

func TestALeadThatNobodyTakesUpStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.close()
		w.config.Workers = 1
		w.open()
		busy := make(chan struct{})
		w.mu.Lock()
		w.handle = func(context.Context, engine.Attempt) (engine.Result, error) { <-busy; return engine.Result{}, nil }
		w.mu.Unlock()
		wf := w.callWaitMessage()
		for i := range engine.MaxStalled + 5 {
			w.enroll(wf, number(i))
			w.pass(time.Second)
		}
		w.pass(61 * time.Second)
		c, err := w.eng.Census(background)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Workflows[wf]
		if got.StalledLeads != engine.MaxStalled+4 || len(got.Stalled) != engine.MaxStalled {
			t.Fatalf("%d stall, %d are listed; the other one is in a call", got.StalledLeads, len(got.Stalled))
		}
		if first := got.Stalled[0]; first.PhoneNumber != number(1) || first.Node != "call" || first.Why == "" || got.Reasons[engine.WaitWorker] != engine.MaxStalled+4 {
			t.Errorf("%+v, %v", first, got.Reasons)
		}
		if late := w.eng.Stats().Late; late < time.Minute {
			t.Errorf("the engine is %s late", late)
		}
		close(busy)
		w.pass(time.Minute)
		if c, err := w.eng.Census(background); err != nil || c.Workflows[wf].StalledLeads != 0 || w.eng.Stats().Late != 0 {
			t.Errorf("after that: %+v, %v", c.Workflows[wf], err)
		}
	})
}

func TestACensusEndsWithItsContext(t *testing.T) {
	w := newWorld(t, nil)
	nodes := []workflow.Node{workflow.Wait("wait", time.Hour), workflow.End("done", workflow.Converted)}
	wf := w.activate(nodes, workflow.To("wait", "done"))
	for i := range 1200 {
		w.enroll(wf, number(i))
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	if _, err := w.eng.Census(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if c, err := w.eng.Census(background); err != nil || c.Leads != 1200 {
		t.Errorf("%d leads, %v", c.Leads, err)
	}
}
