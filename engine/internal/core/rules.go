package core

import (
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Rules is what applies at present to the leads of all workflows. The loop changes it;
// the core reads it through Flow.
type Rules struct {
	// MaxRedeliveries is how often an attempt is delivered again after a crash before
	// its lead is parked; 0 for no bound.
	MaxRedeliveries int32

	// Engine is the number of this engine in a store that several share, Others are those
	// of the others, and Newest is the highest number of which this engine knows; see
	// store.Membership. All are 0 if engines cannot share the store.
	Engine int64
	Others []int64
	Newest int64

	cooling map[string]cooling   // by rate key
	uses    map[string]*Use      // by Use.Key
	limits  map[int64][][]*Limit // by workflow and node; none for a workflow without limits
}

// Lives reports whether that is another engine and may be at work. Whoever came after
// Newest is one of whom nothing is known yet.
func (r *Rules) Lives(engine int64) bool {
	return engine != r.Engine && (engine > r.Newest || slices.Contains(r.Others, engine))
}

// cooling is the back-off of a rate key: no attempt with that key begins before until.
type cooling struct {
	until store.Millis
	times int // failures in a row
}

// Cool begins a back-off for a rate key, because its attempts cannot be made; it is
// longer each time in a row. It returns when the back-off ends, and whether it is new.
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

// Close has no attempt with a rate key begin before a time.
func (r *Rules) Close(key string, until store.Millis) {
	c := r.cooling[key]
	c.until = max(c.until, until)
	if r.cooling == nil {
		r.cooling = map[string]cooling{}
	}
	r.cooling[key] = c
}

// Works notes that an attempt with a rate key could be made, and reports whether none
// could before. A back-off that has begun is not shortened, because leads wait for its
// end as it was announced.
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

// missingRest is the pause before a lead whose handler is missing is looked at again. It
// goes on at once when another engine gets its shard.
const missingRest = 30 * time.Second

// pause is how long to wait after an attempt that was not made, when times attempts in
// a row before it were not made either.
func pause(times int) time.Duration { return min(minPause<<min(times, 10), maxPause) }

// HandlerOf returns what is known of the handler of the lead's next attempt, or of the
// one in flight.
func (v *View) HandlerOf(f *Flow, now store.Millis) Handler {
	if int(v.Rec.Node) >= len(f.Handlers) {
		return Handler{}
	}
	if h := &f.Handlers[v.Rec.Node]; v.Notes.Sending == nil && (v.Rec.State.InFlight() || !v.messageDue(now)) {
		return h.Visit
	}
	node := v.Rec.Node
	if v.Notes.Sending == nil {
		node = v.Notes.Messages[0].Node
	}
	return f.Handlers[node].Message
}

// RateKey is the rate key of the lead's next attempt, or of the one in flight: what the
// node names, or else what the handler does.
func (v *View) RateKey(f *Flow, now store.Millis) string {
	if v.Notes.Sending == nil && (v.Rec.State.InFlight() || !v.messageDue(now)) {
		if v.Notes.RateKey != "" {
			return v.Notes.RateKey
		}
		if node := v.Rec.Node; f.Exists() && int(node) < f.Graph.Len() && !f.Graph.EvaluatesRateKey(node) {
			if key := f.Graph.Node(node).RateKey; key != "" {
				return key
			}
		}
	}
	return v.HandlerOf(f, now).RateKey
}

// ruling says whether an attempt may begin and, if not, why.
type ruling struct {
	may    permission
	reason Reason
	// until, with later, is when to ask again; 0: when another event has changed
	// something.
	until store.Millis
	// own: until concerns this lead only, so it can be noted with the lead.
	own bool
	// limit, if it is set, is what the attempt waits for.
	limit *Use
	// endless: it does not end by itself; until is when to look again all the same.
	endless bool
}

// permission says whether an attempt may begin.
type permission uint8

const (
	allowed permission = iota
	later
	never // the step in flight ends instead, or the step that waits does not take place
)

// rule is one of the rules that keep a due attempt from beginning: the first of a step,
// a queued retry, and one that a crash interrupted.
type rule uint8

// The rules, in the order in which they are asked.
const (
	ruleRemoval rule = iota
	ruleCancelled
	ruleSuppressed
	ruleDraft
	rulePaused
	ruleHeld
	ruleParked
	ruleMissing
	ruleCooling
	ruleHours
	ruleLimits
	numRules
)

// mayBegin asks all rules, and returns the first that keeps the attempt from beginning.
func mayBegin(v *View, f *Flow, now store.Millis) ruling {
	for i := ruleRemoval; i < numRules; i++ {
		if r := i.ask(v, f, now); r.may != allowed {
			return r
		}
	}
	return ruling{}
}

// ask asks one rule.
func (i rule) ask(v *View, f *Flow, now store.Millis) ruling {
	pending := v.Rec.State == lead.PendingRemoval
	switch i {
	case ruleRemoval:
		if v.skipRetries() {
			return ruling{may: never, reason: ReasonRemoval}
		}
	case ruleCancelled:
		if f.cancelled() {
			return ruling{may: never, reason: ReasonCancelled}
		}
	case ruleSuppressed:
		if v.suppressed(f, now) {
			return ruling{may: never, reason: ReasonSuppressed}
		}
	case ruleDraft:
		if f.Row.Status == lead.WorkflowDraft {
			return ruling{may: later, reason: ReasonDraft}
		}
	case rulePaused: // promise 17
		switch {
		case f.Active() || f.Row.Status == lead.WorkflowDraft:
		case pending: // a removal never waits for a resume
			return ruling{may: never, reason: ReasonPaused}
		default:
			return ruling{may: later, reason: ReasonPaused}
		}
	case ruleHeld: // promise 17
		switch h := v.Notes.Hold; {
		case h == nil:
		case pending: // nor for a release
			return ruling{may: never, reason: ReasonHold}
		default:
			return ruling{may: later, reason: ReasonHold, until: h.Until, own: true}
		}
	case ruleParked:
		switch {
		case pending && (v.Notes.Parked || v.Notes.NotMade != nil && v.Rec.Phase == store.PhaseRetrying):
			// Nor does it wait for a network or a provider to recover (promise 4).
			return ruling{may: never, reason: ReasonRemoval}
		case v.Notes.Parked:
			return ruling{may: later, reason: ReasonParked, until: v.Rec.Deadline}
		}
	case ruleMissing:
		if f.Missing {
			return ruling{may: later, reason: ReasonMissing, until: now.Add(missingRest)}
		}
	case ruleCooling:
		if f.Rules != nil && len(f.Rules.cooling) > 0 {
			if until := f.Rules.cooling[v.RateKey(f, now)].until; until > now {
				return ruling{may: later, reason: ReasonCooling, until: until}
			}
		}
	case ruleHours:
		return v.closed(f, now)
	case ruleLimits:
		return v.limited(f, now)
	}
	return ruling{}
}

// poisonous reports whether the process has ended so often during the attempt in
// flight that the attempt is the likely cause.
func poisonous(v *View, f *Flow) bool {
	return f.Rules != nil && f.Rules.MaxRedeliveries > 0 && v.Notes.Redeliveries >= f.Rules.MaxRedeliveries && !v.Notes.Parked
}
