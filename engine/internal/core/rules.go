package core

import (
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Rules is what holds for the leads of all workflows at the moment. The loop
// keeps it; the core reads it, by way of Flow.
type Rules struct {
	// MaxRedeliveries is how often an attempt is delivered again after a crash,
	// before its lead is parked; 0 for no bound.
	MaxRedeliveries int32

	cooling map[string]cooling // by rate key
}

// cooling is a rest of whatever shares a rate key.
type cooling struct {
	until store.Millis
	times int // how often in a row
}

// RateKey is what a node's attempts share with those of others, such as a line or
// a provider: Visit of visits to the node, Message of scheduled messages.
type RateKey struct{ Visit, Message string }

// Cool closes a rate key for a while, because nothing can be done for it: longer
// each time in a row. It returns until when, and whether that is new.
func (r *Rules) Cool(key string, now store.Millis) (until store.Millis, fresh bool) {
	c := r.cooling[key]
	if c.until > now {
		return c.until, false
	}
	c.until, c.times = now.Add(pause(c.times)), c.times+1
	if r.cooling == nil {
		r.cooling = map[string]cooling{}
	}
	r.cooling[key] = c
	return c.until, true
}

// Works notes that something could be done for a rate key. Its rest, if it has
// one, takes its course, so that whoever waits for it knows when it ends. It
// reports whether that is news.
func (r *Rules) Works(key string, now store.Millis) bool {
	c, had := r.cooling[key]
	if !had {
		return false
	}
	if c.until <= now {
		delete(r.cooling, key)
	} else {
		r.cooling[key] = cooling{until: c.until}
	}
	return c.times > 0
}

// The pauses between attempts that are not made.
const (
	minPause = time.Second
	maxPause = time.Minute
)

// pause is how long to wait after so many attempts in a row that were not made.
func pause(times int) time.Duration { return min(minPause<<min(times, 10), maxPause) }

// RateKey returns the rate key of the lead's next attempt, or of the one in flight.
func (v *View) RateKey(f *Flow, now store.Millis) string {
	if int(v.Rec.Node) >= len(f.RateKeys) {
		return ""
	}
	if key := &f.RateKeys[v.Rec.Node]; v.Notes.Sending == nil && (v.Rec.State.InFlight() || !v.messageDue(now)) {
		return key.Visit
	}
	node := v.Rec.Node
	if v.Notes.Sending == nil {
		node = v.Notes.Messages[0].Node
	}
	return f.RateKeys[node].Message
}

// ruling says whether an attempt may begin, and why not.
type ruling struct {
	may    permission
	reason Reason
	// until is, of later, when to ask again; 0 for when something else has changed.
	until store.Millis
}

// permission says whether an attempt may begin.
type permission uint8

const (
	allowed permission = iota
	later
	never // the step in flight ends instead
)

// mayBegin is where every rule stands that keeps an attempt from beginning whose
// time has come: the first of a step, a queued retry, and one that a crash
// interrupted.
func mayBegin(v *View, f *Flow, now store.Millis) ruling {
	r := &v.Rec
	pending := r.State == lead.PendingRemoval
	switch {
	case v.skipRetries():
		return ruling{may: never, reason: ReasonRemoval}
	case f.cancelled():
		return ruling{may: never, reason: ReasonCancelled}
	case f.Row.Status == lead.WorkflowDraft:
		return ruling{may: later, reason: ReasonDraft}
	case !f.Active() && pending: // a removal never waits for a resume
		return ruling{may: never, reason: ReasonPaused}
	case !f.Active(): // promise 17
		return ruling{may: later, reason: ReasonPaused}
	case pending && (v.Notes.Parked || v.Notes.NotMade != nil && r.Phase == store.PhaseRetrying):
		// Nor does it wait until something works again (promise 4).
		return ruling{may: never, reason: ReasonRemoval}
	case v.Notes.Parked:
		return ruling{may: later, reason: ReasonParked, until: r.Deadline}
	}
	if f.Rules != nil && len(f.Rules.cooling) > 0 {
		if until := f.Rules.cooling[v.RateKey(f, now)].until; until > now {
			return ruling{may: later, reason: ReasonCooling, until: until}
		}
	}
	return ruling{}
}

// poisonous reports whether the attempt in flight has been interrupted by the end
// of a process so often that it is the likely cause.
func poisonous(v *View, f *Flow) bool {
	return f.Rules != nil && f.Rules.MaxRedeliveries > 0 && v.Notes.Redeliveries >= f.Rules.MaxRedeliveries && !v.Notes.Parked
}
