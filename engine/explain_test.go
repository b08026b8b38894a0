package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

const everyRule = `{"name": "w", "entry": "call", "time_zone": "Europe/Berlin", "exits": [{"signal": "paid", "outcome": "converted"}],
	"calling_hours": {"windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}], "spread": "10m"},
	"limits": [{"in_flight": 3}, {"starts": 5, "per": "10m"}, {"per_contact": 3, "per": "24h"}],
	"nodes": [
	{"id": "call", "type": "voice_call", "retry": {"max_attempts": 3, "delay": "20m"}, "timeout": "2h"},
	{"id": "fall", "type": "split", "config": {"weights": {"a": 1, "b": 1}}},
	{"id": "wait", "type": "time", "config": {"signal": "replied", "duration": "30h"}},
	{"id": "text", "type": "message"}, {"id": "again", "type": "time", "config": {"duration": "5h"}},
	{"id": "won", "type": "converted"}],
	"edges": [{"from": "call", "to": "fall", "label": "default"}, {"from": "fall", "to": "wait", "label": "a"}, {"from": "fall", "to": "again", "label": "b"},
	{"from": "wait", "to": "text", "label": "signal"}, {"from": "wait", "to": "again", "label": "timeout"},
	{"from": "again", "to": "text"}, {"from": "text", "to": "won", "label": "default"}]}`

// TestAnExplanationAgreesWithWhatHappens explains leads of random worlds, and holds each
// explanation against what then happens.
func TestAnExplanationAgreesWithWhatHappens(t *testing.T) {
	worlds := 60
	if testing.Short() || raceEnabled {
		worlds = 10
	}
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { explainWorld(t, rand.New(rand.NewPCG(seed, 13))) })
	}
}

func explainWorld(t *testing.T, random *rand.Rand) {
	r := newRules(t)
	begun := map[lead.ID][]time.Time{}
	r.answer = func(a engine.Attempt) (engine.Result, error) {
		begun[a.LeadID] = append(begun[a.LeadID], r.clock.now)
		switch random.IntN(6) {
		case 0:
			return engine.Result{}, errors.New("busy")
		case 1:
			return engine.Result{}, engine.RetryAllAfter(errors.New("slow down"), 15*time.Minute)
		case 2, 3:
			return engine.Result{InFlight: true}, nil
		}
		return engine.Result{}, nil
	}
	wf := r.activate(everyRule)
	var leads []lead.Lead
	for i := range 12 {
		leads = append(leads, r.enroll(wf, number(i)))
	}
	for range 120 {
		l := leads[random.IntN(len(leads))]
		explained := r.explain(l)
		before := len(begun[l.ID])
		switch random.IntN(8) {
		case 0:
			r.removesAsExplained(l, explained)
			continue
		case 1:
			_, err := r.Hold(background, wf, l.ID, engine.Hold{Until: r.clock.now.Add(time.Duration(1+random.IntN(40)) * time.Hour)})
			refusedOnly(t, err)
		case 2:
			_, err := r.Release(background, wf, l.ID)
			refusedOnly(t, err)
		case 3:
			_, err := r.Signal(background, wf, l.ID, []string{"replied", "paid"}[random.IntN(2)], nil)
			refusedOnly(t, err)
		case 4:
			if steps, err := r.History(background, wf, l.ID); err == nil {
				_, err := r.CompleteStep(background, steps[len(steps)-1].ID, engine.Callback{Outcome: "completed"})
				refusedOnly(t, err)
			}
		case 5:
			r.waitsAsExplained(l, explained, func() int { return len(begun[l.ID]) }, before)
			continue
		}
		r.settle(time.Duration(random.IntN(90)) * time.Minute)
	}
}

func (r *rules) when(l lead.Lead) (at []string) {
	steps, _ := r.History(background, l.WorkflowID, l.ID)
	for _, s := range steps {
		for _, a := range s.Attempts {
			at = append(at, s.NodeID+" "+a.StartedAt.Format(time.RFC3339Nano))
		}
	}
	return at
}

func refusedOnly(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, lead.ErrConflict) && !errors.Is(err, lead.ErrNotFound) {
		t.Fatal(err)
	}
}

// explain returns the explanation of a lead, and checks that it is whole.
func (r *rules) explain(l lead.Lead) engine.Explanation {
	r.t.Helper()
	x, err := r.Explain(background, l.WorkflowID, l.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	now, err := r.Lead(background, l.WorkflowID, l.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	final := now.State.Final()
	switch {
	case x.State != now.State || x.Node != now.Node || x.Summary == "":
		r.t.Errorf("%+v of %+v", x, now)
	case final && (x.Reason != engine.WaitFinal || len(x.Blockers)+len(x.Next) != 0 || !x.Until.IsZero() || x.RemovalWould != nil):
		r.t.Errorf("a final lead: %+v", x)
	case !final && (len(x.Blockers) == 0 || x.RemovalWould == nil || len(x.Next) == 0 || x.Reason == engine.WaitFinal):
		r.t.Errorf("a live lead: %+v", x)
	case !final && !slices.ContainsFunc(x.Blockers, func(b engine.Blocker) bool { return b.Kind == x.Reason }):
		r.t.Errorf("its reason %q is none of its blockers: %+v", x.Reason, x.Blockers)
	}
	return x
}

// removesAsExplained removes a lead, and compares that with what the explanation said.
func (r *rules) removesAsExplained(l lead.Lead, x engine.Explanation) {
	r.t.Helper()
	removal, err := r.Remove(background, l.WorkflowID, l.ID)
	if x.RemovalWould == nil {
		if !errors.Is(err, lead.ErrLeadFinal) {
			r.t.Errorf("a final lead: %v", err)
		}
		return
	}
	if err != nil || removal.State != x.RemovalWould.State {
		r.t.Errorf("it is %v (%v), and would be %s", removal, err, x.RemovalWould.State)
		return
	}
	if x.RemovalWould.State != lead.Removed {
		return
	}
	steps, err := r.History(background, l.WorkflowID, l.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	var cancelled, said []string
	for _, s := range steps {
		if s.Status == lead.StepCancelled && s.ExitedAt.Equal(r.clock.now) {
			cancelled = append(cancelled, s.NodeID)
		}
	}
	for _, c := range x.RemovalWould.Cancels {
		said = append(said, c.Node)
	}
	if !slices.Equal(cancelled, said) {
		r.t.Errorf("it cancelled %q, and would cancel %q", cancelled, said)
	}
}

// waitsAsExplained lets time pass until shortly before the last of the blockers is over,
// and to that moment. Before it, the lead begins no attempt.
func (r *rules) waitsAsExplained(l lead.Lead, x engine.Explanation, begun func() int, before int) {
	r.t.Helper()
	last := x.Until
	for _, b := range x.Blockers {
		if b.Until.IsZero() {
			return // an event has to come
		}
		if b.Until.After(last) {
			last = b.Until
		}
	}
	wait := last.Sub(r.clock.now)
	if x.State.Final() || wait <= time.Millisecond || wait > 1000*time.Hour {
		return
	}
	if at, err := r.ExplainAt(background, l.WorkflowID, l.ID, last); err != nil || slices.Equal(kinds(at), kinds(x)) && at.Until.Equal(x.Until) {
		r.t.Errorf("at %s it would be as it is now: %+v, %v", last, at, err)
	}
	r.settle(wait - time.Millisecond)
	if n := begun(); n != before && x.Reason != engine.WaitHandler && x.Reason != engine.WaitCallback {
		r.t.Errorf("it began %d attempts before %s, at %s, which was said to be when it may: %+v", n-before, last, r.when(l), x)
	}
	r.settle(time.Millisecond)
	after := r.explain(l)
	if begun() == before && slices.Equal(kinds(after), kinds(x)) && after.Node == x.Node && after.Until.Equal(x.Until) {
		r.t.Errorf("at %s nothing has changed: %+v, before %+v", last, after, x)
	}
}

func kinds(x engine.Explanation) (list []engine.WaitReason) {
	for _, b := range x.Blockers {
		list = append(list, b.Kind)
	}
	return list
}

func TestAnExplanationSaysWhatAnOperatorAsks(t *testing.T) {
	r := newRules(t)
	wf := r.activate(everyRule)
	r.answer = live
	l := r.enroll(wf, phone)
	r.settle(0)
	if x := r.explain(l); x.Reason != engine.WaitHours || x.Until.IsZero() || x.RemovalWould.State != lead.Removed {
		t.Errorf("at one in the morning in Los Angeles: %+v", x)
	}
	r.settle(10 * time.Hour)
	x := r.explain(l)
	if x.Reason != engine.WaitCallback || x.RemovalWould.State != lead.PendingRemoval || x.RemovalWould.Finishes == nil || x.RemovalWould.Finishes.By.IsZero() {
		t.Errorf("%+v, %+v", x, x.RemovalWould)
	}
	r.complete(l)
	if _, err := r.Hold(background, wf, l.ID, engine.Hold{Actor: "kim", Reason: "on holiday"}); err != nil {
		t.Fatal(err)
	}
	x = r.explain(l)
	if x.Reason != engine.WaitHold || len(x.Blockers) != 2 || x.RemovalWould.State != lead.Removed || len(x.RemovalWould.Cancels) != 1 {
		t.Errorf("%+v, %+v", x, x.RemovalWould)
	}
}
