package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Record is what a reader sees of one lead at one moment.
type Record struct {
	Lead  lead.Lead
	Steps []lead.Step
	// Upgraded: SkipRetries may have been asked for after removal was pending, at a
	// time that nobody knows.
	Upgraded bool
}

// Replay asks whether a life can have led to the record, in a workflow that is
// active but where the record says otherwise, and returns an error that says how far it came if not. It
// makes a life of the record, of the times at which attempts began and ended, waits
// ended and so on, in which the rules say what comes of each, and compares what
// that life shows with the record.
//
// It returns the world of that life, with the record's ids, as of the last thing
// that has happened in it.
//
// What no reader can see it cannot judge: whether somebody has said what a step is
// recorded to have come to, whether an attempt that was not followed by another
// was final, and what was late.
func Replay(f *Flow, r Record) (*World, error) {
	active := *f
	active.Status, active.Deleted = lead.WorkflowActive, false
	w := &World{Now: r.Lead.EnrolledAt, Asks: true, Hooks: []string{"all"}, Flows: []*Flow{&active}}
	if _, live := w.Enroll(&active, r.Lead.Contact); live != nil {
		return nil, fmt.Errorf("life: a new world has %s", live)
	}
	p := &replay{record: r, text: Writer{Begun: r.Lead.EnrolledAt}}
	events := p.events()
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	if p.search(w, events) {
		return p.found, nil
	}
	return nil, fmt.Errorf("no life has this history:\n%s\n%s\nas far as %s, it is\n%s", p.text.Lead(r.Lead), p.text.History(r.Steps),
		p.reached, p.nearest)
}

// replay looks for an order of events of one moment that leads to the record.
type replay struct {
	record  Record
	text    Writer
	found   *World // the life
	least   int    // events that were left in the best try
	reached string // and what did not fit
	nearest string // what its life shows
}

// event is something that the record says has happened. do has it happen, and
// reports false when it cannot have happened then.
type event struct {
	at   time.Time // zero when nobody knows
	what string
	do   func(w *World, l *Lead) bool
	// paused: it comes to something else while the workflow is paused, and nobody
	// knows whether it was.
	paused bool
}

func (p *replay) search(w *World, left []event) bool {
	if len(left) == 0 {
		return p.compare(w)
	}
	for i, e := range left {
		if !e.at.IsZero() && slices.ContainsFunc(left[:i], func(before event) bool {
			return !before.at.IsZero() && before.at.Before(e.at)
		}) {
			break // what is left is later still
		}
		next := w.Clone()
		if !e.at.IsZero() {
			next.Now = e.at
		}
		if p.try(w, next, left, i) {
			return true
		}
		if e.paused {
			next = w.Clone()
			next.Now = e.at
			next.Flows[0].Status = lead.WorkflowPaused
			if p.try(w, next, left, i) {
				return true
			}
		}
	}
	return false
}

// try has event i of what is left happen next.
func (p *replay) try(before, w *World, left []event, i int) bool {
	if !left[i].do(w, w.Leads[0]) {
		p.note(before, len(left), left[i].what)
		return false
	}
	w.Flows[0].Status = lead.WorkflowActive
	return p.search(w, slices.Delete(slices.Clone(left), i, i+1))
}

// note keeps the try that came farthest.
func (p *replay) note(w *World, left int, what string) {
	if p.nearest == "" || left < p.least {
		l := w.Leads[0]
		p.least, p.reached = left, what
		p.nearest = p.text.Lead(w.View(l)) + "\n" + p.text.History(w.History(l))
	}
}

// compare holds what the life shows against the record.
func (p *replay) compare(w *World) bool {
	l, r := w.Leads[0], p.record
	if i := slices.Index(l.Steps, l.At); i < len(r.Steps) && l.Doing == Running {
		early(l, r.Steps[i])
	}
	view := w.View(l)
	// A lead's end may be on record as of when it was written.
	if later(r.Lead.CompletedAt, view.CompletedAt) {
		view.CompletedAt = r.Lead.CompletedAt
	}
	if m, is := r.Lead.Removal, view.Removal; m != nil && is != nil && later(m.RemovedAt, is.RemovedAt) {
		is.RemovedAt = m.RemovedAt
	}
	if p.text.Lead(view) == p.text.Lead(r.Lead) && p.text.History(w.History(l)) == p.text.History(r.Steps) {
		l.ID = r.Lead.ID
		for i, s := range r.Steps {
			l.Steps[i].ID = s.ID
		}
		p.found = w
		return true
	}
	p.note(w, 0, "the end")
	return false
}

func later(at, than time.Time) bool { return !than.IsZero() && at.After(than) }

// early lets a handler run whose step has its outcome by callback already. When
// that came is not on record.
func early(l *Lead, s lead.Step) {
	if s.Outcome != "" {
		l.called = &ending{outcome: s.Outcome, callID: s.CallID, data: s.Data}
	}
}

func (p *replay) events() []event {
	var out []event
	for i := range p.record.Steps {
		out = append(out, p.stepEvents(i)...)
	}
	m := p.record.Lead.Removal
	if m == nil {
		return out
	}
	how := lead.Removal{Reason: m.Reason, Actor: m.Actor, SkipRetries: m.SkipRetries && !p.record.Upgraded}
	out = append(out, event{at: m.RequestedAt, what: "removal", do: func(w *World, l *Lead) bool {
		return l.State != lead.PendingRemoval && w.Remove(l, how) == nil
	}})
	if m.SkipRetries && p.record.Upgraded {
		out = append(out, event{what: "giving up retries", do: func(w *World, l *Lead) bool {
			if l.State == lead.Removed {
				l.Removal.SkipRetries = true // it was removed by then, or at once
				return true
			}
			return l.State == lead.PendingRemoval && l.Doing != Retrying && w.Remove(l, lead.Removal{SkipRetries: true}) == nil
		}})
	}
	return out
}

func (p *replay) stepEvents(i int) (out []event) {
	s := p.record.Steps[i]
	add := func(at time.Time, what string, do func(w *World, l *Lead) bool) {
		if !at.IsZero() {
			what = fmt.Sprintf("%s of step %d (%s) at %s", what, i, s.NodeID, p.text.After(at))
			out = append(out, event{at: at, what: what, do: do, paused: s.Scheduled && s.ExitedAt.Equal(at)})
		}
	}
	here := func(l *Lead) bool { return i < len(l.Steps) && l.At == l.Steps[i] }
	if s.Scheduled {
		add(s.EnteredAt, "scheduling", func(w *World, l *Lead) bool {
			if l.Doing == Resting || l.At.NodeID != s.NodeID || len(l.Steps) != i {
				return false
			}
			m := Message{After: s.ScheduledAt.Sub(s.EnteredAt)}
			if s.Status == lead.StepWaiting || s.Status == lead.StepCancelled {
				m.Data = s.Data
			}
			w.schedule(l, []Message{m})
			return true
		})
	}
	if len(s.Attempts) == 0 {
		if t := workflow.NodeType(s.NodeType); s.Status == lead.StepCompleted && !t.Terminal() {
			add(s.ExitedAt, "the end", func(w *World, l *Lead) bool {
				if i < len(l.Steps) && l.Steps[i].ExitedAt.Equal(w.Now) {
					return true // it was over when the message that had interrupted it was
				}
				return here(l) && l.Doing == Resting && w.Alone(l, w.Now)
			})
		}
		return out
	}
	for n, a := range s.Attempts {
		last := n+1 == len(s.Attempts)
		if a.StartedAt.IsZero() {
			if a.Status == lead.StepCancelled {
				add(a.EndedAt, "giving up retries", func(w *World, l *Lead) bool { return p.gaveUp(w, l, i, n) })
			}
			continue
		}
		add(a.StartedAt, fmt.Sprintf("attempt %d", a.Number), func(w *World, l *Lead) bool {
			if !w.MayBegin(l, w.Now) {
				return false
			}
			w.Begin(l, w.Now)
			begun := l.Begun()
			begun.Redelivered = a.Redelivered
			if a.EndedAt.IsZero() && a.CallID != "" {
				l.Doing, l.At.CallID, begun.CallID = Awaiting, a.CallID, a.CallID
			}
			return here(l) && begun.Number == a.Number
		})
		add(a.EndedAt, fmt.Sprintf("the end of attempt %d", a.Number), func(w *World, l *Lead) bool {
			return here(l) && l.Doing == Running && len(l.At.Attempts) == n+1 && p.ended(w, l, s, n, last)
		})
	}
	if s.Status.Final() {
		add(s.ExitedAt, "the end", func(w *World, l *Lead) bool {
			if !here(l) || l.Doing != Hooking {
				return false
			}
			l.hookFails = s.HookErrors
			w.complete(l)
			return true
		})
	}
	return out
}

// ended gives attempt n of the lead's step the ending that it has on record.
func (p *replay) ended(w *World, l *Lead, s lead.Step, n int, last bool) bool {
	a := s.Attempts[n]
	switch { // the call's name is the attempt's, and the step's while no other attempt has begun
	case last:
		l.At.CallID = a.CallID
	case !begun(s.Attempts[n+1]):
		l.At.CallID = s.CallID
	}
	switch {
	case a.Status == lead.StepCompleted && last:
		w.conclude(l, ending{at: w.Now, status: lead.StepCompleted, outcome: s.Outcome, callID: a.CallID, data: s.Data})
	case a.Status == lead.StepFailed && last:
		w.conclude(l, l.failure(w.Now, a.Error))
	case a.Status == lead.StepFailed:
		failed := ending{err: a.Error, callID: a.CallID}
		if due := s.Attempts[n+1].DueAt; !due.IsZero() {
			failed.after = due.Sub(w.Now)
		}
		w.failed(l, failed)
		return l.Doing == Retrying
	default:
		return false
	}
	return true
}

// gaveUp has the queued attempt n of the lead's step i be dropped, unless it has
// been: because SkipRetries was asked for, or because the workflow was paused or
// cancelled while removal was pending.
func (p *replay) gaveUp(w *World, l *Lead, i, n int) bool {
	switch {
	case i >= len(l.Steps):
		return false
	case n < len(l.Steps[i].Attempts) && l.Steps[i].Attempts[n].Status == lead.StepCancelled:
		return true
	case l.At != l.Steps[i] || l.Doing != Retrying || l.State != lead.PendingRemoval:
		return false
	case p.record.Upgraded:
		return w.Remove(l, lead.Removal{SkipRetries: true}) == nil
	}
	w.conclude(l, l.failure(w.Now, l.Begun().Error))
	return true
}
