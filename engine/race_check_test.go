package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// check waits until every lead of the workflows is final, and holds what the
// engine says of each against what the witness saw.
func (r *races) check(t *testing.T, workflows ...lead.WorkflowID) {
	t.Helper()
	ways := map[string]int{}
	total := 0
	for _, wf := range workflows {
		listed := map[lead.State]int64{}
		log := map[lead.ID][]lead.Call{}
		var leads []lead.Lead
		for l, err := range r.eng.AllLeads(context.Background(), wf, engine.LeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			// What is asked of the lead before its removal has ended is asked again.
			leads = append(leads, r.wait(t, l))
		}
		calls, _, err := r.eng.Calls(context.Background(), engine.CallFilter{WorkflowID: wf})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			log[c.LeadID] = append(log[c.LeadID], c)
		}
		for _, l := range leads {
			listed[l.State]++
			total++
			c := &checker{races: r, lead: l, track: r.track(l.ID), steps: r.history(l), log: log[l.ID]}
			c.checkAll()
			for _, fault := range c.faults {
				t.Errorf("lead %s (%s): %s\n\thistory: %s", l.ID, l.State, fault, r.steps(l))
			}
			ways[c.way()]++
		}
		counted := r.counts(wf)
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
	ctx, cancel := context.WithTimeout(context.Background(), raceGiveUp)
	defer cancel()
	for _, ask := range r.track(l.ID).removes {
		if ask.err != nil {
			continue
		}
		gone, err := ask.removal.Wait(ctx)
		ask.waited = r.tick()
		if err != nil || gone.State != lead.Removed {
			t.Errorf("lead %s: Wait returned %s, %v\n\thistory: %s", l.ID, gone.State, err, r.steps(l))
		}
	}
	return r.lead(l)
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
	c.checkFinal()
	c.checkAttempts()
	c.checkSilence()
	c.checkAnswers()
	c.checkOutcomes()
	c.checkHooks()
	c.checkLog()
}

// way sums up how the race went, so that a reader of the log sees that both
// sides win.
func (c *checker) way() string {
	way := c.lead.State.String()
	for _, ask := range c.track.removes {
		if ask.err == nil {
			way += " as " + ask.removal.State.String()
			break
		}
	}
	return fmt.Sprintf("%s with %d calls", way, min(len(c.track.calls), 3))
}

// checkFinal: promise 5, nothing is left behind.
func (c *checker) checkFinal() {
	if !c.lead.State.Final() {
		c.fault("is not final")
	}
	if !c.lead.NextActionAt.IsZero() {
		c.fault("is due at %s", c.lead.NextActionAt)
	}
	if c.lead.State == lead.Removed && (c.lead.Removal == nil || c.lead.Removal.RemovedAt.IsZero()) {
		c.fault("has no record of its removal: %+v", c.lead.Removal)
	}
	ids := map[lead.StepID]bool{}
	for _, s := range c.steps {
		if !s.Status.Final() || s.ExitedAt.IsZero() {
			c.fault("step %s is %s", s.ID, s.Status)
		}
		if ids[s.ID] {
			c.fault("step %s is there twice", s.ID) // promise 8
		}
		ids[s.ID] = true
	}
}

type attemptKey struct {
	step   lead.StepID
	number int
}

// checkAttempts: promises 3, 7 and 9. Each attempt on record was made once, and
// each that was made is on record; no context was cancelled before its deadline.
func (c *checker) checkAttempts() {
	made := map[attemptKey]int{}
	for _, call := range c.track.calls {
		made[attemptKey{call.step, call.attempt}]++
		if call.redelivered {
			c.fault("attempt %d of %s was called a redelivery", call.attempt, call.step)
		}
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
			if made[key] == 0 && strings.Contains(a.Error, "within the timeout") {
				want = 0 // the deadline passed before its goroutine ran
			}
			if !a.Status.Final() || made[key] != want {
				c.fault("attempt %d of %s is %s and was made %d times", a.Number, s.ID, a.Status, made[key])
			}
			delete(made, key)
		}
	}
	for key, n := range made {
		if n > 0 {
			c.fault("attempt %d of %s was made %d times and is not on record", key.number, key.step, n)
		}
	}
}

// checkSilence: promise 2.
func (c *checker) checkSilence() {
	for _, ask := range c.track.removes {
		if ask.err != nil {
			continue
		}
		after := map[attemptKey]bool{}
		steps := map[lead.StepID]bool{}
		for _, call := range c.track.calls {
			if call.begun > ask.ended {
				after[attemptKey{call.step, call.attempt}] = true
				steps[call.step] = true
			}
		}
		switch {
		case ask.removal.State == lead.Removed && len(after) > 0:
			c.fault("%d handlers were called after Remove had returned removed", len(after))
		case len(steps) > 1:
			c.fault("%d steps were begun after Remove had returned", len(steps))
		case ask.skip && len(after) > 1:
			c.fault("%d attempts were made after Remove with SkipRetries had returned", len(after))
		}
	}
	if c.lead.State != lead.Removed {
		return
	}
	for _, s := range c.steps {
		if len(s.Attempts) > 0 && s.Attempts[0].StartedAt.After(c.lead.Removal.RequestedAt) {
			c.fault("step %s was started %s after removal was asked for",
				s.ID, s.Attempts[0].StartedAt.Sub(c.lead.Removal.RequestedAt))
		}
	}
}

// checkAnswers: promise 11, and the table in which removals answer.
func (c *checker) checkAnswers() {
	removed, first := 0, int64(0)
	for _, ask := range c.track.removes {
		if ask.err == nil {
			if ask.removal.State == lead.Removed {
				removed++
				first = ask.ended
			}
			if c.lead.State != lead.Removed {
				c.fault("Remove answered %s", ask.removal.State)
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
		case said.err == nil && !same:
			c.fault("the callback %q was accepted, but the outcome is %q", said.outcome.Outcome, s.Outcome)
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

// checkLog: promise 7, every attempt at a call is in the call log.
func (c *checker) checkLog() {
	want := map[attemptKey]lead.Attempt{}
	for _, s := range c.steps {
		for _, a := range s.Attempts {
			if s.NodeType == "voice_call" && a.Status != lead.StepCancelled {
				want[attemptKey{s.ID, a.Number}] = a
			}
		}
	}
	for _, call := range c.log {
		key := attemptKey{call.StepID, call.Attempt}
		a, ok := want[key]
		if !ok || call.Status != a.Status || call.EndedAt.IsZero() || call.EndedAt.Sub(a.EndedAt).Abs() > time.Millisecond {
			c.fault("the call log has %+v, the history %+v", call, a)
		}
		delete(want, key)
	}
	for key := range want {
		c.fault("the call log lacks attempt %d of %s", key.number, key.step)
	}
}
