//go:build unix

package engines

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
)

// This file judges what the parent has seen of a lead, when all is over and nothing can
// come late any more: a process that was stopped reports after others what it did before
// them. All times are of the clock that all processes share: a handler takes it when it
// is called, before it says so. So a call at a time after the parent has read an
// acknowledgement was begun after that was given.

// story is what was seen of one lead.
type story struct {
	id    lead.ID
	phone string
	flow  *flow
	asked moment // when the first enrollment of the contact was asked for

	calls    []*call
	answers  []*callback
	removals []removal
	final    moment   // somebody was told that the lead is final; 0 for nobody
	stopped  moment   // or that the person is suppressed
	updates  []string // keys of metadata whose update was acknowledged

	when func() // called once, by the parent, when a handler is called; or nil
}

// call is one call of a handler.
type call struct {
	by          *process
	at          moment
	step        lead.StepID
	node        string
	number      int
	key         string
	redelivered bool

	id       int64
	answered moment
	do       string
	outcome  string
}

func (c *call) String() string {
	mark := ""
	if c.redelivered {
		mark = ", redelivered"
	}
	return fmt.Sprintf("attempt %d at %s (%s%s) by %s", c.number, c.node, c.step, mark, c.by.name)
}

// callback is one that the provider has sent.
type callback struct {
	step    lead.StepID
	number  int
	failed  bool   // it says that the attempt has failed
	outcome string // or the error's text
	sent    moment
	acked   moment
	refusal string // the class of the refusal; then it was not taken
}

// removal is one that was acknowledged.
type removal struct {
	acked   moment
	removed bool // no step was in flight
	skip    bool
}

// flow is a workflow.
type flow struct {
	id        lead.WorkflowID
	pauses    []pause
	cancelled moment // acknowledged
}

// pause is from when a pause was acknowledged until its end was asked for.
type pause struct{ from, to moment }

// excuses knows when an engine may have lost its lease.
type excuses struct {
	lease    time.Duration
	troubles []trouble // of all engines
}

// lost reports whether an engine may have lost its place, or have died, before until, if
// it had it at the time since.
func (e *excuses) lost(l *process, since, until moment) bool {
	if l.end != 0 && l.end <= until && !l.clean {
		return true
	}
	return e.in(slices.Concat(e.troubles, l.troubles), since, until)
}

func (e *excuses) in(troubles []trouble, since, until moment) bool {
	since = since.plus(-e.lease)
	for _, t := range troubles {
		to := t.to
		if to == 0 || to > until {
			to = until
		}
		// A lease is extended when a part of it is over.
		if time.Duration(to-max(t.from, since)) > e.lease/4 {
			return true
		}
	}
	return false
}

// judge returns which promises the calls of a lead's handlers break.
func (s *story) judge(e *excuses, all []*process) (faults []string) {
	fault := func(broken bool, format string, args ...any) {
		if broken {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	calls := slices.Clone(s.calls)
	slices.SortStableFunc(calls, func(a, b *call) int { return int(a.at - b.at) })
	s.judgeBrakes(calls, fault)
	s.judgeStop(calls, fault)
	keys := map[string]*call{} // the last call with that key
	of := map[[2]any]string{}  // and the key of an attempt
	steps := map[lead.StepID]bool{}
	var before *call
	for _, c := range calls {
		attempt := [2]any{c.step, c.number}
		last := keys[c.key]
		fault(last != nil && (last.step != c.step || last.number != c.number), "%s has the key of %s", c, last)
		fault(of[attempt] != "" && of[attempt] != c.key, "%s has the key %s, and had %s", c, c.key, of[attempt])
		fault(last != nil && !c.redelivered, "%s is made again without a mark", c)
		if c.redelivered {
			fault(!s.excused(e, all, last, c), "%s is made again, and no engine was in trouble since %v", c, last)
		}
		for _, a := range s.answers {
			fault(a.step == c.step && a.number == c.number && a.acked != 0 && a.refusal == "" && a.acked < c.at,
				"%s is made after its outcome %q was acknowledged", c, a.outcome)
		}
		if before != nil && before.key != c.key {
			fault(before.step != c.step && steps[c.step], "%s is made after the lead has gone on to %s", c, before)
			fault(before.step == c.step && c.number != before.number+1, "%s is made after %s", c, before)
			why := s.open(e, before.key, calls, c)
			fault(why != "", "%s is made while %s is open: %s", c, before, why)
		}
		keys[c.key], of[attempt], steps[c.step], before = c, c.key, true, c
	}
	return faults
}

// judgeBrakes judges that no attempt begins after a removal, a pause or a cancellation
// was acknowledged (promises 2 and 17).
func (s *story) judgeBrakes(calls []*call, fault func(bool, string, ...any)) {
	final := s.final
	var pending, skip moment
	for _, r := range s.removals {
		if r.removed {
			final = earlier(final, r.acked)
		}
		pending = earlier(pending, r.acked)
		if r.skip {
			skip = earlier(skip, r.acked)
		}
	}
	var after *call // of the step that was in flight at the removal
	skipped := 0
	for _, c := range calls {
		fault(final != 0 && c.at > final, "%s begins %s after somebody was told that the lead is final", c, time.Duration(c.at-final))
		if pending != 0 && c.at > pending {
			fault(after != nil && after.step != c.step, "%s begins after removal was acknowledged, and so did %s", c, after)
			after = c
		}
		if skip != 0 && c.at > skip {
			skipped++
			fault(skipped > 1, "%s begins after removal without retries was acknowledged, and is not the first", c)
		}
		for _, p := range s.flow.pauses {
			fault(c.at > p.from && c.at < p.to, "%s begins %s after its workflow was paused", c, time.Duration(c.at-p.from))
		}
		fault(s.flow.cancelled != 0 && c.at > s.flow.cancelled, "%s begins %s after its workflow was cancelled", c, time.Duration(c.at-s.flow.cancelled))
	}
}

func earlier(a, b moment) moment {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// excused reports whether an attempt could be delivered again: the engine that made it
// before may have lost its place; or, if nobody has seen it being made before, any.
func (s *story) excused(e *excuses, all []*process, last, c *call) bool {
	if last != nil {
		return e.lost(last.by, last.at, c.at)
	}
	since := s.asked
	for _, before := range s.calls {
		if before.at < c.at {
			since = max(since, before.at)
		}
	}
	return slices.ContainsFunc(all, func(l *process) bool {
		return (l.end == 0 || l.end.plus(3*e.lease) > since) && e.lost(l, since, c.at)
	})
}

// open returns why the attempt with that key cannot have ended before another call, ""
// if it can.
func (s *story) open(e *excuses, key string, calls []*call, c *call) string {
	var first *call
	why := "nobody said what came of it"
	for _, b := range calls {
		if b.key != key {
			continue
		}
		if first == nil {
			first = b
		}
		fails := c.step == b.step // then it must have failed
		switch done := b.answered != 0 && b.answered <= c.at; {
		case !done || b.do == "in flight":
		case fails && b.do != "error":
			why = "it has not failed"
		case !fails && b.do == "error" && b.number < mostAttempts:
			why = "it has failed, and there are more attempts"
		default:
			return ""
		}
	}
	for _, a := range s.answers {
		fits := !a.failed || a.number == mostAttempts
		if c.step == first.step {
			fits = a.failed
		}
		if a.step != first.step || a.number != first.number || a.sent > c.at || !fits {
			continue
		}
		// A callback ends the step when the handler has returned, or will never return.
		for _, b := range calls {
			if b.key == key && (b.answered != 0 && b.answered <= c.at || e.lost(b.by, b.at, c.at)) {
				return ""
			}
		}
		why = "its handler has not returned"
	}
	return why
}

// verify compares the story with what is in the store in the end.
func (s *story) verify(l lead.Lead, history []lead.Step, calls []lead.Call) (faults []string) {
	fault := func(broken bool, format string, args ...any) {
		if broken {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	fault(!l.State.Final(), "the lead is %s in the end", l.State)
	fault(len(s.removals) > 0 && l.State != lead.Removed, "its removal was acknowledged, and it is %s", l.State)
	for _, key := range s.updates {
		fault(l.Metadata[key] == nil, "its update with %s was acknowledged, and is not there", key)
	}
	for _, f := range (life.Sight{Lead: l, Steps: history, Calls: append([]lead.Call{}, calls...)}).Check() {
		// The engines' clocks differ, so an attempt may end before it begins.
		if !strings.Contains(f.Text, "ended before it began") {
			faults = append(faults, f.String())
		}
	}
	steps := map[lead.StepID]*lead.Step{}
	for i := range history {
		steps[history[i].ID] = &history[i]
	}
	said := map[lead.StepID][]string{}
	for _, c := range s.calls {
		h := steps[c.step]
		fault(h == nil || len(h.Attempts) < c.number || h.Attempts[c.number-1].StartedAt.IsZero(), "%s is not in its history", c)
		fault(h != nil && len(h.Attempts) >= c.number && c.redelivered && !h.Attempts[c.number-1].Redelivered, "%s is not in its history as redelivered", c)
		if c.do == "outcome" {
			said[c.step] = append(said[c.step], c.outcome)
		}
	}
	for _, a := range s.answers {
		if h := steps[a.step]; h != nil && a.acked != 0 && a.refusal == "" && !a.failed {
			fault(h.Outcome != a.outcome, "outcome %q of its step %s was acknowledged, and it has %q", a.outcome, h.ID, h.Outcome)
		}
		if !a.failed {
			said[a.step] = append(said[a.step], a.outcome)
		}
	}
	for _, h := range history {
		fault(h.Status == lead.StepCompleted && len(h.Attempts) > 0 && !slices.Contains(said[h.ID], h.Outcome),
			"nobody has said that its step %s comes to %q, but %q", h.ID, h.Outcome, said[h.ID])
	}
	return faults
}

// tell returns the story as text, with times in milliseconds since begin.
func (s *story) tell(begin moment) string {
	type line struct {
		at   moment
		text string
	}
	var lines []line
	add := func(at moment, format string, args ...any) {
		if at != 0 {
			lines = append(lines, line{at, fmt.Sprintf(format, args...)})
		}
	}
	add(s.asked, "enrollment of %s is asked for", s.phone)
	for _, c := range s.calls {
		add(c.at, "%s, key %s", c, c.key)
		add(c.answered, "attempt %d at %s by %s is answered %q %q", c.number, c.node, c.by.name, c.do, c.outcome)
	}
	for _, a := range s.answers {
		add(a.sent, "callback %q for attempt %d of %s", a.outcome, a.number, a.step)
		add(a.acked, "callback %q for attempt %d of %s has its answer %q", a.outcome, a.number, a.step, a.refusal)
	}
	for _, r := range s.removals {
		add(r.acked, "removal is acknowledged; removed: %t, skip retries: %t", r.removed, r.skip)
	}
	add(s.final, "is known to be final")
	add(s.stopped, "the person's suppression is acknowledged")
	for _, p := range s.flow.pauses {
		add(p.from, "its workflow is paused")
		add(p.to, "its workflow is to be resumed")
	}
	add(s.flow.cancelled, "its workflow is cancelled")
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.at - b.at) })
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "%8d %s\n", time.Duration(l.at-begin).Milliseconds(), l.text)
	}
	return text.String()
}
