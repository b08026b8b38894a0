package core

import (
	"cmp"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Barred is a suppression of the lead's contact that holds for one channel. (One that
// holds for all of them removes the lead.)
type Barred struct {
	Suppression int64        `json:"suppression"` // its number
	Channel     string       `json:"channel"`     // a node type
	Until       store.Millis `json:"until,omitempty"`
}

// suppression is the removal of a lead whose workflow has no way around a step that is
// suppressed.
var suppression = Removal{Reason: lead.ReasonSuppressed, SkipRetries: true}

// suppressed reports whether the contact is suppressed for the channel of the lead's next
// attempt, or of the one in flight.
func (v *View) suppressed(f *Flow, now store.Millis) bool {
	if len(v.Notes.Barred) == 0 {
		return false
	}
	channel := string(v.NodeType(f))
	if !v.Rec.State.InFlight() && v.messageDue(now) {
		channel = "message"
	}
	return slices.ContainsFunc(v.Notes.Barred, func(b Barred) bool {
		return b.Channel == channel && (b.Until == 0 || b.Until > now)
	})
}

// Bar notes a suppression for one channel. For a final lead it is ErrUnchanged.
type Bar struct{ Barred Barred }

func (e Bar) apply(_ *Turn, v *View) error {
	if v.Rec.State.Final() || slices.Contains(v.Notes.Barred, e.Barred) {
		return ErrUnchanged
	}
	v.Notes.Barred = append(slices.Clip(v.Notes.Barred), e.Barred)
	v.wakeAgain()
	return nil
}

// Unbar notes that a suppression was lifted. For a lead that does not have it, it is
// ErrUnchanged.
type Unbar struct{ Suppression int64 }

func (e Unbar) apply(_ *Turn, v *View) error {
	i := slices.IndexFunc(v.Notes.Barred, func(b Barred) bool { return b.Suppression == e.Suppression })
	if i < 0 {
		return ErrUnchanged
	}
	if v.Notes.Barred = slices.Delete(slices.Clone(v.Notes.Barred), i, i+1); len(v.Notes.Barred) == 0 {
		v.Notes.Barred = nil
	}
	return nil
}

// passOver takes a lead on from a step, or drops a scheduled message, that does not take
// place because the contact is suppressed for its channel.
func (t *Turn) passOver(v *View) error {
	r := &v.Rec
	if v.messageDue(t.Now) {
		m := v.Notes.Messages[0]
		if v.Notes.Messages = slices.Clone(v.Notes.Messages[1:]); len(v.Notes.Messages) == 0 {
			v.Notes.Messages = nil
		}
		r.Wake = min(max(r.Wake, v.nextDue()), v.nextDue())
		return t.cancelStep(v, store.Step{
			Kind: store.StepMessage, Visit: m.Visit, Node: m.Node, Entered: m.Entered, Due: m.Due, Outcome: lead.OutcomeSuppressed,
		}, m.Data)
	}
	next, ok := t.Flow.Graph.Next(r.Node, lead.OutcomeSuppressed)
	if !ok {
		return t.remove(v, suppression)
	}
	err := t.cancelStep(v, store.Step{
		Visit: r.Visit, Node: r.Node, Entered: r.Entered, Due: r.Due, Outcome: lead.OutcomeSuppressed,
	}, nil)
	if err != nil {
		return err
	}
	return t.enter(v, next)
}

// SuppressedBy returns what a suppression does to a lead that is live.
func SuppressedBy(s *store.Suppression) Event {
	if s.Channel != "" {
		return Bar{Barred{s.Seq, s.Channel, s.Expires}}
	}
	return Remove{How: Removal{Reason: cmp.Or(s.Reason, lead.ReasonSuppressed), Actor: s.Actor, SkipRetries: true}}
}
