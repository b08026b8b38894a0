package crash

import (
	"fmt"
	"strings"

	"github.com/leadflow-go/leadflow/lead"
)

// This file has what the parent of the crash test checks in every lead's history when
// all leads are final.

// verify goes through the history of every lead, of which it is known already that
// a life can have led to it.
func (r *run) verify() {
	for _, l := range r.leads {
		f := l.found
		if f == nil && l.barred {
			continue
		}
		if !f.State.Final() {
			r.fault("not final: %s", f)
		}
		is := f.sight()
		is.Calls = append([]lead.Call{}, r.calls[l.id]...)
		delete(r.calls, l.id)
		r.broken(l, is.Check())
		for i := range f.steps {
			r.verifyStep(l, &f.steps[i])
		}
	}
	for id, calls := range r.calls {
		r.fault("the log has %d calls of lead %s, who is nobody", len(calls), id)
	}
	for _, doubt := range r.doubts {
		doubt()
	}
}

// verifyStep compares a step of the history with what was seen of it.
func (r *run) verifyStep(l *subject, h *lead.Step) {
	f, s := l.found, l.steps[h.ID]
	fault := func(format string, args ...any) {
		r.Helper()
		r.fault("step %s: %s: %s", h.ID, fmt.Sprintf(format, args...), f)
	}
	if len(h.Attempts) == 0 {
		if s != nil {
			fault("has no attempts, but its handler or hook was called")
		}
		return
	}
	if (s == nil || s.hooks == 0) && len(h.HookErrors) == 0 {
		fault("its hook was never called")
	}
	if s == nil {
		s = &step{}
	}
	for n, a := range h.Attempts {
		seen, last := s.attempts[n+1], n == len(h.Attempts)-1
		switch {
		case a.Status == lead.StepCancelled:
			if !l.removal.skip || seen != nil {
				fault("attempt %d is cancelled", a.Number)
			}
		case seen != nil && seen.again && !a.Redelivered:
			fault("attempt %d was delivered again, of which the history says nothing", a.Number)
		case last:
			r.verifyOutcome(l, h, s, a)
		case seen == nil || a.Status != lead.StepFailed || !strings.HasSuffix(a.Error, "boom "+seen.key):
			fault("attempt %d failed otherwise than it was told to", a.Number)
		}
	}
}

// verifyOutcome asks where the outcome of a step came from.
func (r *run) verifyOutcome(l *subject, h *lead.Step, s *step, a lead.Attempt) {
	seen := s.attempts[a.Number]
	more := a.Number < r.flow.Node(h.NodeID).Attempts()
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
	case timedOut(h):
		// The messages that the application step schedules have its timeout.
		if h.NodeID == "app" && h.ExitedAt.Sub(a.StartedAt) >= appTimeout {
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
}
