package life

import (
	"cmp"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Suppression says whom not to contact, within which scope.
type Suppression struct {
	Number      int                // among all suppressions, from 0
	ID          lead.SuppressionID // the zero value until an attack sets it
	PhoneNumber string             // either of these two, if both are set
	ExternalID  string
	Flow        *Flow             // nil for all workflows
	Channel     workflow.NodeType // "" for all channels, and for enrolling

	Reason, Actor     string
	Expires           time.Time // zero for never
	Lifted            time.Time // zero until then
	LiftedBy, Because string
}

// active reports whether the suppression is in force. It is over at the moment at which it
// expires.
func (s *Suppression) active(now time.Time) bool {
	return s.Lifted.IsZero() && (s.Expires.IsZero() || now.Before(s.Expires))
}

// about reports whether the contact is meant, as a lead of the workflow.
func (s *Suppression) about(f *Flow, c lead.Contact) bool {
	return (s.Flow == nil || s.Flow == f) &&
		(s.PhoneNumber != "" && s.PhoneNumber == c.PhoneNumber || s.ExternalID != "" && s.ExternalID == c.ExternalID)
}

// Suppressed reports whether the contact may not be enrolled in the workflow (promise 13).
func (w *World) Suppressed(f *Flow, c lead.Contact) bool {
	return slices.ContainsFunc(w.Suppressions, func(s *Suppression) bool {
		return s.Channel == "" && s.active(w.Now) && s.about(f, c)
	})
}

// Barred reports whether the contact is suppressed in the workflow for a channel.
func (w *World) Barred(f *Flow, c lead.Contact) bool {
	return slices.ContainsFunc(w.Suppressions, func(s *Suppression) bool {
		return s.Channel != "" && s.active(w.Now) && s.about(f, c)
	})
}

// Suppress records a suppression and what it does to the leads that are not final. If
// there is the same already, it returns that, and changes nothing. linked takes in the
// numbers and ids of leads that share one with it, each by a suppression of its own,
// which it returns too. leads are those that any of them is about.
func (w *World) Suppress(s Suppression, linked bool) (is *Suppression, fresh bool, also []*Suppression, leads []*Lead) {
	all := []Suppression{s}
	if linked {
		all = append(all, w.linked(s)...)
	}
	for i, s := range all {
		has := slices.IndexFunc(w.Suppressions, func(old *Suppression) bool {
			return old.active(w.Now) && old.same(s)
		})
		if has >= 0 {
			if i == 0 {
				is = w.Suppressions[has]
			}
			continue
		}
		added := s
		added.Number = len(w.Suppressions)
		w.Suppressions = append(w.Suppressions, &added)
		for _, l := range w.Leads {
			if l.State.Final() || l.Flow.Deleted || !added.about(l.Flow, l.Contact) {
				continue
			}
			if !slices.Contains(leads, l) {
				leads = append(leads, l)
			}
			if added.Channel == "" {
				w.Remove(l, lead.Removal{Reason: cmp.Or(s.Reason, lead.ReasonSuppressed), Actor: s.Actor, SkipRetries: true})
			}
		}
		if i == 0 {
			is, fresh = &added, true
		} else {
			also = append(also, &added)
		}
	}
	for _, l := range leads { // a retry is dropped, and a step that was due does not take place
		w.drop(l)
		w.passOver(l, w.Now)
	}
	slices.SortFunc(leads, func(a, b *Lead) int { return a.Number - b.Number })
	return is, fresh, also, leads
}

func (s *Suppression) same(other Suppression) bool {
	return s.PhoneNumber == other.PhoneNumber && s.ExternalID == other.ExternalID && s.Flow == other.Flow &&
		s.Channel == other.Channel && s.Expires.Equal(other.Expires)
}

// linked are suppressions of the other numbers and ids of leads, final ones too, that have
// the number or the id.
func (w *World) linked(s Suppression) (out []Suppression) {
	add := func(phone, id string) {
		other := s
		other.PhoneNumber, other.ExternalID = phone, id
		known := phone+id == "" || phone != "" && phone == s.PhoneNumber || id != "" && id == s.ExternalID
		if !known && !slices.ContainsFunc(out, func(has Suppression) bool { return has.same(other) }) {
			out = append(out, other)
		}
	}
	for _, l := range w.Leads {
		if !l.Flow.Deleted && s.about(l.Flow, l.Contact) {
			add(l.Contact.PhoneNumber, "")
			add("", l.Contact.ExternalID)
		}
	}
	return out
}

// Lift ends a suppression. The error is nil or lead.ErrNotActive.
func (w *World) Lift(s *Suppression, actor, reason string) error {
	if !s.active(w.Now) {
		return lead.ErrNotActive
	}
	s.Lifted, s.LiftedBy, s.Because = w.Now, actor, reason
	return nil
}

// suppressed: no attempt begins at a channel for which the person is suppressed
// (promise 13). (Without a channel the lead is removed, so that this does not arise.)
func (w *World) suppressed(l *Lead) ruling {
	channel := l.channel(w.Now)
	return unless(!slices.ContainsFunc(w.Suppressions, func(s *Suppression) bool {
		return s.Channel == channel && s.active(w.Now) && s.about(l.Flow, l.Contact)
	}), never)
}

// passOver takes a lead on from steps that are due and do not take place, and drops such
// messages. It reports whether there were any.
func (w *World) passOver(l *Lead, by time.Time) (any bool) {
	for l.State == lead.Enrolled && l.Flow.active() && l.Hold == nil && w.suppressed(l).may == never {
		m := w.messageDue(l, by)
		if m == nil && l.At.ScheduledAt.After(by) {
			return any
		}
		any = true
		next, ok := l.At.Node.next(lead.OutcomeSuppressed)
		switch {
		case m != nil:
			w.over(m, lead.StepCancelled, lead.OutcomeSuppressed)
		case ok:
			w.over(l.At, lead.StepCancelled, lead.OutcomeSuppressed)
			w.enter(l, next)
		default:
			w.noWayRound(l)
		}
	}
	return any
}

// noWayRound removes a lead whose step is suppressed and has no edge for that.
func (w *World) noWayRound(l *Lead) {
	w.Remove(l, lead.Removal{Reason: lead.ReasonSuppressed, SkipRetries: true})
}
