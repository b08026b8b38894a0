package core

import (
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Held is a hold: no step of the lead starts until it is released.
type Held struct {
	Reason string       `json:"reason,omitempty"`
	Actor  string       `json:"actor,omitempty"`
	Since  store.Millis `json:"since"`
	Until  store.Millis `json:"until,omitempty"` // 0: until it is released
}

// over reports whether the hold has ended by itself.
func (h *Held) over(now store.Millis) bool { return h != nil && h.Until != 0 && h.Until <= now }

// Hold holds a lead: the attempt in flight finishes, and then nothing starts. A lead
// that is held already gets the new reason and end. It is refused for a final lead, and
// for one whose removal is pending.
type Hold struct{ How Held }

func (e Hold) apply(t *Turn, v *View) error {
	switch state := v.Rec.State; {
	case state.Final():
		return &lead.TransitionError{State: state, Event: lead.EventRemove}
	case state == lead.PendingRemoval:
		return &Refused{lead.ErrRemovalPending, state.String()}
	}
	how := e.How
	how.Since = t.Now
	if h := v.Notes.Hold; h != nil {
		how.Since = h.Since
	}
	v.Notes.Hold = &how
	v.wakeAgain() // its end may come before that of an earlier hold, or before the calling hours
	return nil
}

// Release ends a hold. What the lead waited for when the hold began is due when the
// time that was left has passed. It is refused unless the lead is held.
type Release struct{}

func (Release) apply(t *Turn, v *View) error {
	switch {
	case v.Rec.State.Final():
		return &lead.TransitionError{State: v.Rec.State, Event: lead.EventRemove}
	case v.Notes.Hold == nil:
		return &Refused{lead.ErrNotHeld, v.Rec.State.String()}
	}
	v.release(t.Now)
	return nil
}

// EndHold ends a hold that is over. It need not be on record: while a step is in flight, or
// the workflow is paused, nothing looks at the lead for its hold.
func (v *View) EndHold(now store.Millis) {
	if v.Notes.Hold.over(now) {
		v.release(v.Notes.Hold.Until)
	}
}

// release ends the hold as of the time at.
func (v *View) release(at store.Millis) {
	since := v.Notes.Hold.Since
	v.Notes.Hold = nil
	if at <= since {
		v.wakeAgain()
		return
	}
	// later returns when something that waits until due, and did so from the time
	// entered on, is due when the time of the hold does not count.
	later := func(due, entered store.Millis) store.Millis {
		if from := max(since, entered); due > from {
			return min(due+max(at-from, 0), far-1)
		}
		return due
	}
	r := &v.Rec
	if r.Phase == store.PhaseWaiting {
		r.Due = later(r.Due, r.Entered)
	}
	if p := v.Notes.Path; p != nil {
		moved := *p
		moved.Due = later(p.Due, p.Entered)
		v.Notes.Path = &moved
	}
	if len(v.Notes.Messages) > 0 {
		messages := make([]Message, len(v.Notes.Messages))
		for i, m := range v.Notes.Messages {
			m.Due = later(m.Due, m.Entered)
			messages[i] = m
		}
		v.Notes.Messages = messages
	}
	v.wakeAgain()
}

// Rewake has a lead that was put off looked at again, because a rule has changed. If it was
// not put off, it is ErrUnchanged.
type Rewake struct{}

func (Rewake) apply(_ *Turn, v *View) error {
	phase := v.Rec.Phase
	if phase != store.PhaseWaiting && phase != store.PhaseRetrying || v.Rec.Wake <= v.nextDue() {
		return ErrUnchanged
	}
	v.wakeAgain()
	return nil
}

// wakeAgain sets the Wake of a lead that waits by what it waits for, after a rule that
// had moved it has changed.
func (v *View) wakeAgain() {
	switch v.Rec.Phase {
	case store.PhaseWaiting, store.PhaseRetrying:
		v.Rec.Wake = v.nextDue()
	}
}
