package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file is what the parent of the crash test reads in every lead's history
// when all of them are final.

// verify goes through the history of every lead.
func (r *crashRun) verify() {
	for _, l := range r.leads {
		f := l.found
		switch m := l.removal; {
		case !f.State.Final():
			r.fault("not final: %s", f)
		case f.State == lead.Removed && f.view.Removal == nil, f.State == lead.Completed && (m.acked || f.view.Removal != nil):
			r.fault("the end does not fit the removal: %s", f)
		}
		r.verifyPath(l)
		for i := range f.steps {
			r.verifyStep(l, &f.steps[i])
		}
	}
	for _, doubt := range r.doubts {
		doubt()
	}
}

// verifyPath follows the graph by the history's outcomes.
func (r *crashRun) verifyPath(l *crashLead) {
	f := l.found
	seen := map[lead.StepID]bool{}
	known := map[string]workflow.StepResult{}
	at, over := r.graph.Entry(), false
	for _, h := range f.steps {
		if seen[h.ID] {
			r.fault("step %s stands twice in the history: %s", h.ID, f)
		}
		seen[h.ID] = true
		if h.Scheduled {
			continue
		}
		node := r.graph.Node(at)
		if over || h.NodeID != node.ID {
			r.fault("step %s is off the lead's path: %s", h.ID, f)
			return
		}
		if h.Status == lead.StepCancelled {
			over = true
			continue
		}
		switch {
		case node.Type.Terminal():
			over = true
			if f.State != lead.Completed || f.view.Outcome != string(node.Type) {
				r.fault("reached %s: %s", node.ID, f)
			}
		case node.Type == workflow.Time:
			if until, err := r.graph.Until(at, nil, h.EnteredAt); err != nil || h.ExitedAt.Before(until) {
				r.fault("left %s before %s: %s", node.ID, until, f)
			}
			at, _ = r.graph.After(at)
		default:
			if node.Type == workflow.Conditional {
				env := &workflow.Env{Contact: l.contact, Steps: known, Now: h.EnteredAt}
				if yes, err := r.graph.Test(at, env); err != nil || fmt.Sprint(yes) != h.Outcome {
					r.fault("%s is %t (%v): %s", node.ID, yes, err, f)
				}
			}
			res := workflow.StepResult{Outcome: h.Outcome, Attempts: len(h.Attempts)}
			if h.Data != nil {
				if err := json.Unmarshal(h.Data, &res.Data); err != nil {
					r.fault("%v: %s", err, f)
				}
			}
			known[h.NodeID] = res
			next, ok := r.graph.Next(at, h.Outcome)
			if at = next; !ok {
				over = true
				if f.State == lead.Completed && f.view.Outcome != lead.OutcomeNoRoute {
					r.fault("outcome %q leads nowhere: %s", h.Outcome, f)
				}
			}
		}
	}
	if !over {
		r.fault("the history ends in the middle: %s", f)
	}
}

// verifyStep compares a step of the history with what was seen of it.
func (r *crashRun) verifyStep(l *crashLead, h *lead.Step) {
	f, s := l.found, l.steps[h.ID]
	fault := func(format string, args ...any) {
		r.Helper()
		r.fault("step %s: %s: %s", h.ID, fmt.Sprintf(format, args...), f)
	}
	if !h.Status.Final() || h.ExitedAt.IsZero() {
		fault("is not over")
	}
	if len(h.Attempts) == 0 {
		if s != nil {
			fault("has no attempts, but its handler or hook was called")
		}
		return
	}
	if h.Status == lead.StepCancelled {
		fault("is cancelled, but had begun")
		return
	}
	if (s == nil || s.hooks == 0) && len(h.HookErrors) == 0 {
		fault("its hook was never called")
	}
	if s == nil {
		s = &crashStep{}
	}
	if m := f.view.Removal; m != nil && h.Attempts[0].StartedAt.After(m.RequestedAt) { // promise 2
		fault("was begun after the removal")
	}
	i, _ := r.graph.Index(h.NodeID)
	for n, a := range h.Attempts {
		seen, last := s.attempts[n+1], n == len(h.Attempts)-1
		if a.Number != n+1 {
			fault("its attempts have a gap")
		}
		if a.Status == lead.StepCancelled {
			if !last || !l.removal.skip || f.view.Removal == nil || seen != nil {
				fault("attempt %d is cancelled", a.Number)
			}
			continue
		}
		if m := f.view.Removal; m != nil && m.SkipRetries && a.StartedAt.After(m.RequestedAt) {
			fault("attempt %d was begun after a removal without retries", a.Number)
		}
		if seen != nil && seen.again && !a.Redelivered {
			fault("attempt %d was delivered again, of which the history says nothing", a.Number)
		}
		if n > 0 {
			if delay, more := r.graph.RetryDelay(i, n); !more || a.StartedAt.Sub(h.Attempts[n-1].EndedAt) < delay {
				fault("attempt %d was too early, or one too many", a.Number)
			}
		}
		if last {
			r.verifyOutcome(l, h, s, a)
			continue
		}
		if seen == nil || a.Status != lead.StepFailed || !strings.HasSuffix(a.Error, "boom "+seen.key) {
			fault("attempt %d failed otherwise than it was told to", a.Number)
		}
	}
}

// verifyOutcome asks where the outcome of a step came from.
func (r *crashRun) verifyOutcome(l *crashLead, h *lead.Step, s *crashStep, a lead.Attempt) {
	seen := s.attempts[a.Number]
	node, _ := r.graph.Index(h.NodeID)
	_, more := r.graph.RetryDelay(node, a.Number)
	skipped := l.removal.skip && l.found.view.Removal != nil
	because := ""
	switch {
	case h.Status == lead.StepCompleted:
		if seen != nil && seen.script.do == "outcome" && seen.script.outcome == h.Outcome {
			because = "its handler said so"
		}
		for _, other := range s.attempts {
			if c := other.script.callback; c != nil && c.refusal == "" && c.outcome == h.Outcome {
				because = "a callback said so"
			}
		}
	case crashTimedOut(h):
		// The messages that the application step schedules have its timeout.
		if h.NodeID == "app" && h.ExitedAt.Sub(a.StartedAt) >= crashTimeout {
			because = "it took too long"
			r.figures.timeouts++
		}
	case strings.HasPrefix(h.Error, "the process ended"):
		if skipped {
			because = "its process died, and there are no retries"
		}
	case seen != nil && strings.HasSuffix(h.Error, "boom "+seen.key):
		switch seen.script.do {
		case "error", "again", "panic":
			if !more || skipped {
				because = "its handler failed to the last"
			}
		case "final":
			because = "its handler gave up"
		}
	}
	if because == "" {
		r.fault("nobody knows why step %s is %s %q: %s", h.ID, h.Status, h.Outcome, l.found)
	}
	if h.Status == lead.StepFailed && !slices.Contains([]string{"failed", "failure"}, h.Outcome) {
		r.fault("step %s failed with %q: %s", h.ID, h.Outcome, l.found)
	}
	if h.ExitedAt.Before(a.StartedAt) {
		r.fault("step %s ended before it began: %s", h.ID, l.found)
	}
}
