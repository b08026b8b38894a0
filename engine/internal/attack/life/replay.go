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
	// Braked: at unknown times the workflow may have been paused or cancelled, or a
	// pending removal may have got SkipRetries.
	Braked bool
	// Updated: at unknown times the lead's metadata may have been different, so that
	// conditions may have had either outcome.
	Updated bool
}

// Replay reports whether a life can have led to the record, in a workflow that is
// active except as Braked says. If not, it returns an error that says how far it got. It
// plays the events of the record (attempts that begin and end, waits that end, and so
// on) by the rules, and compares the resulting life with the record.
//
// It returns the world of that life, with the record's ids, after its last event.
//
// It cannot judge what no reader can see: whether somebody has given the outcome that a
// step has, whether an attempt without a next one was final, and what came late.
func Replay(f *Flow, r Record) (*World, error) {
	active := *f
	active.Status, active.Deleted, active.limits = lead.WorkflowActive, false, cloneLimits(f.limits)
	for _, l := range active.limits {
		l.starts = nil
	}
	w := &World{Now: r.Lead.EnrolledAt, Asks: true, Hooks: []string{"all"}, Flows: []*Flow{&active}}
	w.Deal = func(l *Lead, _ *Node) string { // however it fell
		if i := len(l.Steps) - 1; i < len(r.Steps) {
			return r.Steps[i].Outcome
		}
		return ""
	}
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

// replay searches for an order of simultaneous events that leads to the record.
type replay struct {
	record  Record
	text    Writer
	found   *World // the life
	least   int    // events that were left in the best try
	reached string // what did not fit then
	nearest string // what the life showed then
}

// event is something that happened by the record. do applies it, and reports false if it
// cannot have happened then.
type event struct {
	at   time.Time // zero if unknown
	what string
	do   func(w *World, l *Lead) bool
	// or is what may happen instead where the record is Braked; or nil.
	or func(w *World, l *Lead) bool
}

func (p *replay) search(w *World, left []event) bool {
	if len(left) == 0 {
		return p.compare(w)
	}
	for i, e := range left {
		if !e.at.IsZero() && slices.ContainsFunc(left[:i], func(before event) bool {
			return !before.at.IsZero() && before.at.Before(e.at)
		}) {
			break // all others are later
		}
		if p.try(w, left, i, e.do) || e.or != nil && p.record.Braked && p.try(w, left, i, e.or) {
			return true
		}
	}
	return false
}

// try applies event i of those that are left, and then all the others.
func (p *replay) try(w *World, left []event, i int, do func(w *World, l *Lead) bool) bool {
	next := w.Clone()
	if at := left[i].at; !at.IsZero() {
		next.Now = at
	}
	if !do(next, next.Leads[0]) {
		p.note(w, len(left), left[i].what)
		return false
	}
	return p.search(next, slices.Delete(slices.Clone(left), i, i+1))
}

// note keeps the try that got farthest.
func (p *replay) note(w *World, left int, what string) {
	if p.nearest == "" || left < p.least {
		l := w.Leads[0]
		p.least, p.reached = left, what
		p.nearest = p.text.Lead(w.View(l)) + "\n" + p.text.History(w.History(l))
	}
}

// compare compares what the life shows with the record.
func (p *replay) compare(w *World) bool {
	l, r := w.Leads[0], p.record
	if i := slices.Index(l.Steps, l.At); i < len(r.Steps) && l.Doing == Running {
		early(l, r.Steps[i])
		if a := r.Steps[i].Attempts; len(a) > 0 && a[len(a)-1].Status == lead.StepInProgress && a[len(a)-1].Error != "" {
			w.Park(l) // how often it was begun is not on record
			l.Begun().Error = a[len(a)-1].Error
		}
	}
	view := w.View(l)
	// Calling hours, and limits that count for other leads too, may have moved it.
	if l.ruled() && (l.Doing == Resting || l.Doing == Retrying) && !r.Lead.NextActionAt.Before(w.due(l)) {
		view.NextActionAt = r.Lead.NextActionAt
	}
	// A lead's end may be on record as of when it was written.
	if isLater(r.Lead.CompletedAt, view.CompletedAt) {
		view.CompletedAt = r.Lead.CompletedAt
	}
	if m, is := r.Lead.Removal, view.Removal; m != nil && is != nil && isLater(m.RemovedAt, is.RemovedAt) {
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

func isLater(at, than time.Time) bool { return !than.IsZero() && at.After(than) }

// early handles a step whose outcome came by callback while its handler ran. When it
// came is not on record.
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
	how := lead.Removal{Reason: m.Reason, Actor: m.Actor, SkipRetries: m.SkipRetries && !p.record.Braked}
	out = append(out, event{at: m.RequestedAt, what: "removal", do: func(w *World, l *Lead) bool {
		return l.State != lead.PendingRemoval && w.Remove(l, how) == nil
	}})
	if m.SkipRetries && p.record.Braked {
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
			out = append(out, event{at: at, what: fmt.Sprintf("%s of step %d (%s) at %s", what, i, s.NodeID, p.text.After(at)), do: do})
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
				if here(l) && p.record.Updated && workflow.NodeType(s.NodeType) == workflow.Conditional {
					w.decided(l, s.Outcome)
					return true
				}
				return here(l) && l.Doing == Resting && w.Alone(l, w.Now)
			})
		}
		return out
	}
	for n, a := range s.Attempts {
		last := n+1 == len(s.Attempts)
		if a.StartedAt.IsZero() && a.Error != "" {
			// When, and how often, is not on record.
			what := fmt.Sprintf("attempt %d of step %d (%s), which was not made", a.Number, i, s.NodeID)
			out = append(out, event{what: "the begin of " + what, do: func(w *World, l *Lead) bool {
				if l.Doing != Resting && l.Doing != Retrying || i >= len(l.Steps) {
					return false
				}
				if s.ScheduledAt.After(w.Now) {
					w.Now = s.ScheduledAt
				}
				w.Begin(l, w.Now)
				return here(l) && l.Begun().Number == a.Number
			}}, event{what: what, do: func(w *World, l *Lead) bool {
				if !here(l) || l.Doing != Running || l.Begun().Number != a.Number {
					return false
				}
				p.notMade(w, l, a)
				return true
			}})
		}
		if a.StartedAt.IsZero() {
			if p.record.Braked && a.Status == lead.StepCancelled {
				add(a.EndedAt, "giving up retries", func(w *World, l *Lead) bool {
					if here(l) && l.Doing == Hooking && a.Error != "" {
						return true // it was dropped when it was not made
					}
					if !here(l) || l.Doing != Retrying || l.State != lead.PendingRemoval {
						return false
					}
					text := a.Error
					if text == "" {
						text = l.Begun().Error
					}
					w.ends(l, l.failure(w.Now, text))
					return true
				})
			}
			continue
		}
		add(a.StartedAt, fmt.Sprintf("attempt %d", a.Number), func(w *World, l *Lead) bool {
			if here(l) && l.Doing == Resting && l.At.Node.Type.Action() && w.messageDue(l, w.Now) != nil {
				// It was begun before the message was due, and not made, which is not on
				// record any more.
				l.State, l.Doing = lead.InStep, Retrying
				l.At.Attempts = append(l.At.Attempts, lead.Attempt{Number: 1, Status: lead.StepWaiting})
			}
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
		end := func(w *World, l *Lead) bool {
			if !here(l) || l.Doing != Hooking {
				return false
			}
			l.hookFails = s.HookErrors
			w.complete(l)
			return true
		}
		add(s.ExitedAt, "the end", end)
		if s.Scheduled && !s.ExitedAt.IsZero() { // where the wait that it interrupted may be over
			out[len(out)-1].or = func(w *World, l *Lead) bool {
				l.Flow.Status = lead.WorkflowPaused
				defer func() { l.Flow.Status = lead.WorkflowActive }()
				return end(w, l)
			}
		}
	}
	return out
}

// notMade ends the attempt in flight as one that was not made.
func (p *replay) notMade(w *World, l *Lead, a lead.Attempt) {
	l.Begun().Redelivered = a.Redelivered
	if l.State == lead.PendingRemoval && !a.EndedAt.IsZero() {
		w.Now = a.EndedAt // a removal does not wait until it can be made
	}
	w.notMade(l, Answer{Err: a.Error})
	l.At.last().DueAt = a.DueAt
}

// ended ends attempt n of the lead's step as the record says.
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
		failure := l.failure(w.Now, a.Error)
		failure.data = s.Data
		w.conclude(l, failure)
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
