package core

import (
	"maps"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/store"
)

// Why returns the reason that [Explain] gives for a lead that is not final, as far as what
// the store has of the lead tells. It does not change v.
func Why(v View, f *Flow, now store.Millis) Reason {
	if v.Unreadable != nil {
		return ReasonUnreadable
	}
	// What runs on record is taken to run: a lead that a crash interrupted is soon taken up.
	v.Running = v.Rec.Phase == store.PhaseRunning && !v.Notes.Parked
	v.Hooking = v.Rec.Phase == store.PhaseHooks
	need := Next(&v, f, now)
	list := v.blockers(f, now, nil)
	switch {
	case len(list) > 0:
		return reasonAmong(list, need).Reason
	case need.Kind == Learn && v.Rec.Wake > now:
		return v.putOff(f, now) // the store knows until when, and not why
	}
	return need.Reason
}

// putOff is why a lead waits that a limit for its contact has put off.
func (v *View) putOff(f *Flow, now store.Millis) Reason {
	for _, l := range f.Rules.limitsAt(f, v.attemptNode(now)) {
		if l.PerContact > 0 && l.Span >= 24*time.Hour {
			return ReasonDailyCap
		}
	}
	return ReasonLimit
}

// Snapshot returns the rules as they are now, for a reader; nothing in it changes. It lacks
// what is known of contacts.
func (r *Rules) Snapshot() *Rules {
	out := &Rules{
		MaxRedeliveries: r.MaxRedeliveries, Engine: r.Engine, Others: slices.Clone(r.Others), Newest: r.Newest,
		cooling: maps.Clone(r.cooling), uses: map[string]*Use{}, limits: map[int64][][]*Limit{},
	}
	for key, u := range r.uses {
		out.uses[key] = &Use{Key: u.Key, Span: u.Span, Flying: u.Flying, Base: u.Base, starts: window{slices.Clone(u.starts.marks), u.starts.count}}
	}
	for workflow, nodes := range r.limits {
		at := make([][]*Limit, len(nodes))
		for i, limits := range nodes {
			for _, l := range limits {
				at[i] = append(at[i], &Limit{l.Limit, out.uses[l.Use.Key], l.Scope})
			}
		}
		out.limits[workflow] = at
	}
	return out
}

// In returns the workflow under other rules.
func (f *Flow) In(rules *Rules) *Flow {
	under := *f
	under.Rules = rules
	return &under
}
