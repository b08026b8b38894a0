package race

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// check waits until every lead of the workflows is final, and compares what the engine
// says about each with what the witness saw.
func (r *races) check(t *testing.T, workflows ...lead.WorkflowID) {
	t.Helper()
	ways := map[string]int{}
	total := 0
	for _, wf := range workflows {
		listed := map[lead.State]int64{}
		log := map[lead.ID][]lead.Call{}
		var leads []lead.Lead
		for l, err := range r.Eng.AllLeads(context.Background(), wf, engine.LeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			// What is asked of the lead before its removal has ended is asked again.
			leads = append(leads, r.wait(t, l))
		}
		calls, _, err := r.Eng.Calls(context.Background(), engine.CallFilter{WorkflowID: wf})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			log[c.LeadID] = append(log[c.LeadID], c)
		}
		for _, l := range leads {
			listed[l.State]++
			total++
			c := &checker{races: r, lead: l, track: r.track(l.ID), steps: r.History(l), log: append([]lead.Call{}, log[l.ID]...)}
			c.checkAll()
			for _, fault := range c.faults {
				t.Errorf("lead %s (%s): %s\n\thistory: %s", l.ID, l.State, fault, r.Path(l))
			}
			ways[c.way()]++
		}
		counted := r.Counts(wf)
		for _, s := range lead.States() {
			if counted[s] != listed[s] {
				t.Errorf("%d leads are counted as %s, but %d are listed", counted[s], s, listed[s])
			}
		}
	}
	t.Logf("%d leads: %v", total, ways)
	if total == 0 {
		t.Error("no lead was raced")
	}
}

// wait waits for the removals of a lead, each by its own, and returns the lead
// as it then is (promise 4).
func (r *races) wait(t *testing.T, l lead.Lead) lead.Lead {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, ask := range r.track(l.ID).removes {
		if ask.err != nil {
			continue
		}
		gone, err := ask.wait(ctx)
		ask.waited = r.tick()
		if err != nil || gone.State != lead.Removed {
			t.Errorf("lead %s: Wait returned %s, %v\n\thistory: %s", l.ID, gone.State, err, r.Path(l))
		}
	}
	return r.Lead(l)
}

// checker judges one lead.
type checker struct {
	*races
	lead   lead.Lead
	track  *track
	steps  []lead.Step
	log    []lead.Call
	faults []string
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *checker) checkAll() {
	c.track.mu.Lock()
	defer c.track.mu.Unlock()
	c.checkLife()
	c.checkWitness()
	c.checkAttempts()
	c.checkAnswers()
	c.checkOutcomes()
	c.checkHooks()
}

// timeout is how long an attempt at a node may be in flight.
func (c *checker) timeout(node string) time.Duration {
	def, err := c.Eng.Definition(context.Background(), c.lead.WorkflowID)
	if err != nil {
		c.fault("its workflow: %v", err)
		return 0
	}
	for _, n := range def.Nodes {
		if n.ID == node && n.Timeout > 0 {
			return time.Duration(n.Timeout)
		}
	}
	return workflow.DefaultTimeout
}

// way describes how the race went, so that a reader of the log sees that each side wins
// sometimes.
func (c *checker) way() string {
	way := c.lead.State.String()
	for _, ask := range c.track.removes {
		if ask.err == nil {
			way += " as " + ask.state.String()
			break
		}
	}
	return fmt.Sprintf("%s with %d calls", way, min(len(c.track.calls), 3))
}

// checkLife: the lead is final, and a life can have led to what is seen of it, which
// breaks no promise.
func (c *checker) checkLife() {
	if !c.lead.State.Final() {
		c.fault("is not final")
	}
	for _, f := range (life.Sight{Lead: c.lead, Steps: c.steps, Calls: c.log}).Check() {
		c.fault("%s", f)
	}
	flow, _ := c.flows.Load(c.lead.WorkflowID)
	r := life.Record{Lead: c.lead, Steps: c.steps}
	_, r.Braked = c.braked.Load(c.lead.WorkflowID)
	for _, ask := range c.track.removes {
		r.Braked = r.Braked || ask.skip && len(c.track.removes) > 1
	}
	if _, err := life.Replay(flow.(*life.Flow), r); err != nil {
		c.fault("%v", err)
	}
}

// checkWitness: promises 2, 7, 8 and 9, by what was seen, in that order.
func (c *checker) checkWitness() {
	type moment struct {
		at   int64
		tell func(w *life.Witness) []life.Fault
	}
	var moments []moment
	for _, call := range c.track.calls {
		moments = append(moments, moment{call.begun, func(w *life.Witness) []life.Fault {
			return w.Called(life.Call{
				Attempt: life.Attempt{Step: call.step, Number: call.attempt}, Key: call.key, Redelivered: call.redelivered,
			})
		}})
	}
	removed := false // which is the last of what was decided, but perhaps not of what was answered
	for _, ask := range slices.SortedFunc(slices.Values(c.track.removes), func(a, b *seenRemove) int { return int(a.ended - b.ended) }) {
		if ask.err != nil || removed {
			continue
		}
		removed = ask.state == lead.Removed
		moments = append(moments, moment{ask.ended, func(w *life.Witness) []life.Fault {
			return w.Removed(ask.state, ask.skip, life.Attempt{})
		}})
	}
	slices.SortFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	var w life.Witness
	var faults []life.Fault
	for _, m := range moments {
		faults = append(faults, m.tell(&w)...)
	}
	for _, said := range c.track.says {
		if said.err == nil && said.outcome.Error == "" {
			faults = append(faults, w.Told(said.step, said.outcome.Outcome)...)
		}
	}
	for _, f := range append(faults, w.Check(life.Sight{Lead: c.lead, Steps: c.steps})...) {
		c.fault("%s", f)
	}
}

type attemptKey struct {
	step   lead.StepID
	number int
}

// checkAttempts: promises 3 and 9. Each attempt on record was made, and no context
// was cancelled before its deadline.
func (c *checker) checkAttempts() {
	made := map[attemptKey]int{}
	for _, call := range c.track.calls {
		made[attemptKey{call.step, call.attempt}]++
		if call.cut != nil && (!errors.Is(call.cut, engine.ErrDeadline) || call.returned.Before(call.deadline)) {
			c.fault("a handler was cut: %v", call.cut)
		}
	}
	for _, s := range c.steps {
		for _, a := range s.Attempts {
			key := attemptKey{s.ID, a.Number}
			want := 1
			if a.Status == lead.StepCancelled {
				want = 0
			}
			if made[key] == 0 && a.EndedAt.Sub(a.StartedAt) >= c.timeout(s.NodeID) {
				want = 0 // the deadline passed before its goroutine ran
			}
			if !a.Status.Final() || made[key] != want {
				c.fault("attempt %d of %s is %s and was made %d times", a.Number, s.ID, a.Status, made[key])
			}
		}
	}
}

// checkAnswers: promise 11, and the table in which removals answer.
func (c *checker) checkAnswers() {
	removed, first := 0, int64(0)
	for _, ask := range c.track.removes {
		if ask.err == nil {
			if ask.state == lead.Removed {
				removed++
				first = ask.ended
			}
			if c.lead.State != lead.Removed {
				c.fault("Remove answered %s", ask.state)
			}
			continue
		}
		var conflict *lead.ConflictError
		switch {
		case !errors.Is(ask.err, lead.ErrConflict) || !errors.Is(ask.err, lead.ErrLeadFinal) || errors.Is(ask.err, lead.ErrNotFound):
			c.fault("Remove was refused with %v", ask.err)
		case !errors.As(ask.err, &conflict) || conflict.Lead != c.lead.ID || conflict.Workflow != c.lead.WorkflowID ||
			conflict.State != c.lead.State.String():
			c.fault("Remove was refused with %#v", conflict)
		}
	}
	if removed > 1 {
		c.fault("%d Removes saw the lead become removed", removed)
	}
	for _, ask := range c.track.removes {
		if removed == 1 && ask.begun > first && ask.err == nil {
			c.fault("Remove was not refused after another had returned removed")
		}
		if ask.err == nil && ask.waited == 0 {
			c.fault("nobody waited for a removal")
		}
	}
}

// checkOutcomes: promise 8. Every callback was answered for the outcome that
// the step has, or refused.
func (c *checker) checkOutcomes() {
	byID := map[lead.StepID]lead.Step{}
	for _, s := range c.steps {
		byID[s.ID] = s
	}
	for _, said := range c.track.says {
		s, known := byID[said.step]
		same := said.outcome.Outcome == s.Outcome
		switch {
		case !known:
			if !errors.Is(said.err, lead.ErrNotFound) {
				c.fault("a callback for a step that never was is answered %v", said.err)
			}
		case said.err == nil && (said.answer.LeadID != c.lead.ID || said.answer.StepID != s.ID):
			c.fault("a callback was answered for %+v", said.answer)
		case said.err == nil:
		case !errors.Is(said.err, lead.ErrConflict):
			c.fault("the callback %q was refused with %v", said.outcome.Outcome, said.err)
		case errors.Is(said.err, lead.ErrOtherAttempt):
			if said.outcome.Attempt == 0 {
				c.fault("a callback for no attempt in particular was refused with %v", said.err)
			}
		case errors.Is(said.err, lead.ErrStepNotStarted):
			if s.Status != lead.StepCancelled && len(s.Attempts) == 0 {
				c.fault("the callback %q was refused with %v", said.outcome.Outcome, said.err)
			}
		case !errors.Is(said.err, lead.ErrStepFinished) || same:
			c.fault("the callback %q was refused with %v, though the outcome is %q", said.outcome.Outcome, said.err, s.Outcome)
		}
	}
}

// checkHooks: completion hooks run once, after the outcome and before the lead
// is detached.
func (c *checker) checkHooks() {
	runs := map[lead.StepID]int{}
	for _, h := range c.track.hooks {
		runs[h.step]++
		if h.err != nil || !h.state.InFlight() {
			c.fault("a hook ran when the lead was %s, %v", h.state, h.err)
		}
		for _, ask := range c.track.removes {
			if ask.waited > 0 && h.ended > ask.waited {
				c.fault("a hook ended after the lead was detached")
			}
		}
	}
	for _, s := range c.steps {
		want := 0
		if c.hooked && len(s.Attempts) > 0 {
			want = 1
		}
		if runs[s.ID] != want {
			c.fault("the hook of step %s ran %d times, want %d", s.ID, runs[s.ID], want)
		}
	}
}
