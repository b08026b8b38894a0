package core

import (
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Explanation says why a lead is where it is.
type Explanation struct {
	View   View // as it is at the time that is explained
	Node   int32
	Since  store.Millis
	Reason Reason       // empty only if the lead is about to be changed
	Until  store.Millis // 0 if an event has to come, and not a time

	// Blockers is all that keeps the lead from going on, Reason included.
	Blockers []Blocker
	Next     []Way
	// Removal is what a removal would do now; its State is 0 for a final lead.
	Removal Outlook
}

// Blocker is one thing that keeps a lead from going on.
type Blocker struct {
	Reason Reason
	Until  store.Millis // 0 if that is not known

	Node int32 // of the attempt that is kept from beginning, with a rule about attempts
	// Limit is the one that is used up, with ReasonLimit and ReasonDailyCap; Scope says whose
	// it is, and Used how much of it is used.
	Limit workflow.Limit
	Scope Scope
	Used  int
	// Shut are the calling hours that are closed, with ReasonHours. Zones says why their
	// time zones hold for the lead. Never: they never allow an attempt.
	Shut  []Shut
	Zones Source
	Never bool
	// RateKey is the one that is closed, with ReasonCooling.
	RateKey string
}

// blocks returns the blocker of a ruling.
func (r ruling) blocks() Blocker {
	b := Blocker{Reason: r.reason, Until: r.until, Never: r.endless}
	if r.endless {
		b.Until = 0
	}
	return b
}

// Way is an edge that the lead's step may take.
type Way struct {
	Node    int32
	Outcome string
	At      store.Millis // 0 if that is not known
}

// Outlook is what a removal would do.
type Outlook struct {
	State    lead.State
	Finishes bool         // the step in flight is finished first
	By       store.Millis // at the latest, if Finishes; 0 if that is not known
	Cancels  []Cancelled
}

// Cancelled is a step that would be cancelled.
type Cancelled struct {
	Node int32
	Due  store.Millis
}

// maxAhead is how many changes of a lead Explain looks ahead.
const maxAhead = 1000

// Explain says why a lead is where it is at the time now, and what comes next. If now is
// in the future, it is assumed that only time passes, and nothing is heard from handlers
// and callbacks. It asks the functions that decide.
func Explain(v View, f *Flow, now store.Millis, person *lead.Contact) Explanation {
	if f.Exists() && !v.Rec.State.Final() {
		t := Turn{Now: now, Flow: f, Person: person}
		for range maxAhead {
			next, err := t.Apply(v, Advance{})
			if err != nil {
				break
			}
			v = next
		}
	}
	need := Next(&v, f, now)
	e := Explanation{View: v, Node: v.Rec.Node, Since: v.since(), Reason: need.Reason, Until: need.until()}
	if v.Rec.State.Final() || !f.Exists() {
		return e
	}
	e.Blockers = v.blockers(f, now, person)
	if len(e.Blockers) == 0 {
		e.Blockers = []Blocker{{Reason: need.Reason, Until: e.Until}}
	}
	first := reasonAmong(e.Blockers, need)
	e.Reason, e.Until = first.Reason, first.Until
	e.Next = v.ways(f)
	e.Removal = v.outlook(f, now)
	return e
}

// reasonAmong returns which of the blockers is the reason: the one that the lead's need is
// about, or else the first.
func reasonAmong(list []Blocker, need Need) Blocker {
	return list[max(slices.IndexFunc(list, func(b Blocker) bool { return b.Reason == need.Reason }), 0)]
}

// until is the time that the lead needs nothing before; 0 for none.
func (n Need) until() store.Millis {
	if n.Kind == Until || n.Kind == Closed || n.Kind == Change && n.Change == StepDefer && n.At != far {
		return n.At
	}
	return 0
}

// since is since when the lead has been where it is.
func (v *View) since() store.Millis {
	r := &v.Rec
	switch r.Phase {
	case store.PhaseRunning, store.PhaseAwaiting:
		return r.Started
	case store.PhaseHooks:
		return v.Notes.Ended.At
	case store.PhaseRetrying:
		if n := len(v.Notes.Attempts); n > 0 {
			return v.Notes.Attempts[n-1].Ended
		}
		return v.Notes.NotMade.Started
	case store.PhaseEnded:
		return r.Updated
	}
	return r.Entered
}

// blockers returns all that keeps the lead from going on.
func (v *View) blockers(f *Flow, now store.Millis, person *lead.Contact) []Blocker {
	r := &v.Rec
	var list []Blocker
	switch r.Phase {
	case store.PhaseAwaiting:
		return []Blocker{{Reason: ReasonCallback, Until: r.Deadline}}
	case store.PhaseHooks:
		return []Blocker{{Reason: ReasonHooks}}
	case store.PhaseRunning:
		if v.Running || v.Elsewhere(f) {
			return []Blocker{{Reason: ReasonHandler, Until: r.Deadline}}
		}
	case store.PhaseRetrying:
		if r.Due > now {
			list = append(list, Blocker{Reason: ReasonRetry, Until: r.Due})
			now = r.Due // the rules are asked when the retry is due
		}
	case store.PhaseWaiting:
		due := v.nextDue()
		if due > now {
			list = append(list, Blocker{Reason: v.waitReason(f), Until: due})
		}
		if due > now || f.Graph.Node(r.Node).Type == workflow.Time && !v.messageDue(now) {
			for _, brake := range brakes {
				if ruling := brake.ask(v, f, now); ruling.may != allowed {
					list = append(list, ruling.blocks())
				}
			}
			return list
		}
	}
	for i := ruleRemoval; i < numRules; i++ {
		if ruling := i.ask(v, f, now); ruling.may == later {
			list = append(list, v.blocking(f, now, i, ruling, person)...)
		}
	}
	if len(list) == 0 && Next(v, f, now).Kind == Worker {
		list = append(list, Blocker{Reason: ReasonWorker})
	}
	return list
}

// blocking returns what a rule has to say that keeps an attempt from beginning.
func (v *View) blocking(f *Flow, now store.Millis, i rule, said ruling, person *lead.Contact) []Blocker {
	b := said.blocks()
	b.Node = v.attemptNode(now)
	switch i {
	case ruleCooling:
		b.RateKey = v.RateKey(f, now)
	case ruleHours:
		b.Shut = v.shut(f, now)
		_, b.Zones = ZonesOf(f, person)
	case ruleLimits:
		var list []Blocker
		v.askLimits(f, now, func(l *Limit, r ruling) (more bool) {
			if r.reason != ReasonUnread {
				one := r.blocks()
				one.Node, one.Limit, one.Scope, one.Used = b.Node, l.Limit, l.Scope, l.used(v, now)
				list = append(list, one)
			}
			return true
		})
		return list
	}
	return []Blocker{b}
}

// wouldEnd is when the wait of the lead's path ends if nothing happens; 0 if that is not
// known, because the lead is held.
func (v *View) wouldEnd() store.Millis {
	h := v.Notes.Hold
	switch {
	case h == nil:
		return v.Rec.Due
	case h.Until == 0:
		return 0
	}
	released := *v
	released.release(h.Until)
	return released.Rec.Due
}

// ways returns the edges that the lead's step may take, in the order of the definition.
func (v *View) ways(f *Flow) []Way {
	var list []Way
	node := v.Rec.Node
	if p := v.Notes.Path; p != nil {
		node = p.Node
	}
	for outcome, to := range f.Graph.Ways(node) {
		w := Way{Node: to, Outcome: outcome}
		if f.Graph.Node(node).Type == workflow.Time && v.Rec.Phase == store.PhaseWaiting && outcome != workflow.SignalOutcome {
			w.At = v.wouldEnd()
		}
		list = append(list, w)
	}
	return list
}

// outlook returns what a removal would do now: it removes a copy of the lead.
func (v *View) outlook(f *Flow, now store.Millis) Outlook {
	t := Turn{Now: now, Flow: f}
	next, err := t.Apply(*v, Remove{})
	if err != nil { // pending already
		next = *v
	}
	out := Outlook{State: next.Rec.State}
	for i := range t.Steps {
		if s := &t.Steps[i]; s.Status == lead.StepCancelled {
			out.Cancels = append(out.Cancels, Cancelled{s.Node, s.Due})
		}
	}
	if out.State.Final() {
		return out
	}
	out.Finishes, out.By = true, v.Rec.Deadline
	if p := next.Notes.Path; p != nil {
		out.Cancels = append(out.Cancels, Cancelled{p.Node, p.Due})
	}
	for _, m := range next.Notes.Messages {
		out.Cancels = append(out.Cancels, Cancelled{m.Node, m.Due})
	}
	return out
}
