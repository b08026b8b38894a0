package life

import (
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Witness is what the world outside of an engine knows about one lead: which handlers
// and hooks were called, and what callers were told. It reports where that breaks a
// promise, independently of the rules. The zero value knows nothing.
//
// It must be told in the order in which things happened: what a caller was told comes
// before everything that happened after the caller was told.
type Witness struct {
	keys  map[string]Attempt
	made  map[Attempt]*made
	told  map[lead.StepID]string // outcomes of callbacks that were acknowledged
	hooks map[lead.StepID]string // outcomes that hooks were told
	dead  bool                   // a process has ended
	gone  *goodbye               // removal was acknowledged
	skip  *Attempt               // it was acknowledged that no attempt after this one is made
	last  bool                   // a process has ended since then

	held       bool // that the lead is held was acknowledged
	heldUntil  time.Time
	heldDuring Attempt
}

// Attempt names an attempt. Number is 0 for none.
type Attempt struct {
	Step   lead.StepID
	Number int
}

// Call is a call of a handler.
type Call struct {
	Attempt
	Key         string    // idempotency key
	At          time.Time // needed for a lead that is held for a time
	Redelivered bool
}

type made struct {
	key   string
	here  bool // by the process that runs
	times int
	// notMade: at the last of those times nothing was done.
	notMade bool
}

type goodbye struct {
	removed bool        // for good: no step is in flight
	step    lead.StepID // in flight then; the zero value until it is known
}

// Called tells that a handler was called (promises 2 and 9).
func (w *Witness) Called(c Call) []Fault {
	var f faults
	if w.made == nil {
		w.made, w.keys = map[Attempt]*made{}, map[string]Attempt{}
	}
	other, used := w.keys[c.Key]
	f.add(used && other != c.Attempt, 9, "%s has the key of %s, %s", c.Attempt, other, c.Key)
	w.keys[c.Key] = c.Attempt
	m := w.made[c.Attempt]
	if m == nil {
		m = &made{key: c.Key}
		w.made[c.Attempt] = m
	}
	f.add(m.key != c.Key, 9, "%s has the key %s, and had %s", c.Attempt, c.Key, m.key)
	f.add(m.here, 9, "%s is made twice by one process", c.Attempt)
	f.add(m.times > 0 && !c.Redelivered, 9, "%s is made again without a mark", c.Attempt)
	f.add(c.Redelivered && !w.dead, 9, "%s is marked as made again, and no process has ended", c.Attempt)
	m.here, m.times, m.notMade = true, m.times+1, false
	w.silence(c, &f)
	w.stopped(c, &f)
	return f
}

// NotMade tells that the handler of an attempt said that nothing was done.
func (w *Witness) NotMade(a Attempt) {
	m := w.made[a]
	if m.here, m.notMade = false, true; m.times == 1 {
		delete(w.made, a)
	}
}

// silence: promise 2. Only the step that was in flight may still be seen, and
// without further attempts only the attempt.
func (w *Witness) silence(c Call, f *faults) {
	if w.gone != nil {
		if !w.gone.removed && w.gone.step.IsZero() {
			w.gone.step = c.Step // the caller did not know which step was in flight
		}
		f.add(w.gone.removed || w.gone.step != c.Step, 2, "%s is made after removal was acknowledged", c.Attempt)
	}
	if w.skip != nil {
		if w.skip.Number == 0 {
			*w.skip = c.Attempt // likewise
		}
		f.add(*w.skip != c.Attempt || w.last, 2, "%s is made after removal without further attempts was acknowledged", c.Attempt)
	}
}

// Hooked tells that a completion hook was called, and what for (promise 8).
func (w *Witness) Hooked(step lead.StepID, outcome string) []Fault {
	var f faults
	if w.hooks == nil {
		w.hooks = map[lead.StepID]string{}
	}
	before := w.hooks[step]
	f.add(before != "" && before != outcome, 8, "hooks are told that step %s came to %q, and then %q", step, before, outcome)
	f.add(w.told[step] != "" && w.told[step] != outcome, 8, "hooks are told that step %s came to %q, and %q was acknowledged", step, outcome, w.told[step])
	w.hooks[step] = outcome
	return f
}

// Told tells that a callback was acknowledged (promise 8).
func (w *Witness) Told(step lead.StepID, outcome string) []Fault {
	var f faults
	if w.told == nil {
		w.told = map[lead.StepID]string{}
	}
	before := w.told[step]
	f.add(before != "" && before != outcome, 8, "step %s took the outcome %q, and then %q", step, before, outcome)
	w.told[step] = outcome
	return f
}

// Removed tells that removal was acknowledged with that state of the lead, and which
// attempt was in flight then: the zero value if unknown.
func (w *Witness) Removed(state lead.State, skipRetries bool, inFlight Attempt) []Fault {
	var f faults
	f.add(state != lead.PendingRemoval && state != lead.Removed, 1, "removal is acknowledged, and the lead %s", state)
	if w.gone == nil {
		w.gone = &goodbye{step: inFlight.Step}
	}
	f.add(w.gone.removed, 11, "removal is acknowledged of a lead that was removed")
	w.gone.removed = state == lead.Removed
	if skipRetries && w.skip == nil {
		w.skip = &inFlight
	}
	return f
}

// Detached tells that a caller who waited for the removal was told that it has ended.
func (w *Witness) Detached(state lead.State) []Fault {
	var f faults
	f.add(state != lead.Removed, 4, "the wait for the removal is over, and the lead %s", state)
	f.add(w.gone == nil, 4, "a removal is over of which nobody was told")
	if w.gone != nil {
		w.gone.removed = true
	}
	return f
}

// InFlight is the attempt that was in flight when the steps were read, or, if a retry is
// queued, the attempt before it; the zero value if there is none.
func InFlight(steps []lead.Step) (a Attempt) {
	for _, s := range steps {
		if s.Status == lead.StepInProgress || s.Status == lead.StepRetrying {
			a.Step = s.ID
			for _, made := range s.Attempts {
				if begun(made) {
					a.Number = made.Number
				}
			}
		}
	}
	return a
}

// Died tells that the process has ended.
func (w *Witness) Died() {
	w.dead, w.last = true, w.skip != nil
	for _, m := range w.made {
		m.here = false
	}
}

// Check compares what a reader sees with what the witness knows (promises 1, 2, 7 and
// 8).
func (w *Witness) Check(s Sight) []Fault {
	var f faults
	l := s.Lead
	if w.gone != nil {
		f.add(l.Removal == nil || l.State != lead.PendingRemoval && l.State != lead.Removed || w.gone.removed && l.State != lead.Removed, 1,
			"removal was acknowledged, and the lead is %s", l.State)
		f.add(w.skip != nil && l.Removal != nil && !l.Removal.SkipRetries, 1, "that no further attempt is made was acknowledged, and is not on record")
	}
	steps := map[lead.StepID]lead.Step{}
	for _, st := range s.Steps {
		steps[st.ID] = st
		f.add(l.Removal != nil && len(st.Attempts) > 0 && st.Attempts[0].StartedAt.After(l.Removal.RequestedAt), 2,
			"the step at %s began after removal was asked for", st.NodeID)
	}
	for a, m := range w.made {
		st, ok := steps[a.Step]
		f.add(!m.notMade && (!ok || len(st.Attempts) < a.Number || !begun(st.Attempts[a.Number-1])), 7, "%s was made, and is not in the history", a)
	}
	for _, outcomes := range []map[lead.StepID]string{w.told, w.hooks} {
		for id, outcome := range outcomes {
			f.add(steps[id].Outcome != outcome, 8, "that step %s came to %q was said, and it has %q", id, outcome, steps[id].Outcome)
		}
	}
	return f
}

func (a Attempt) String() string { return fmt.Sprintf("attempt %d of step %s", a.Number, a.Step) }

// Held tells that it was acknowledged that the lead is held, until then or, if that is
// zero, until it is released, and which attempt was in flight then: the zero value for
// none.
func (w *Witness) Held(until time.Time, inFlight Attempt) {
	w.held, w.heldUntil, w.heldDuring = true, until, inFlight
}

// Released tells that the lead is about to be released.
func (w *Witness) Released() { w.held = false }

// stopped: promise 17. No attempt of a held lead begins.
func (w *Witness) stopped(c Call, f *faults) {
	f.add(w.held && (c.Attempt != w.heldDuring || c.Redelivered) && (w.heldUntil.IsZero() || c.At.Before(w.heldUntil)), 17, "%s is made after a hold was acknowledged", c.Attempt)
}
