package core

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/store"
)

// Limit is a limit that is in force (promise 15).
type Limit struct {
	workflow.Limit
	*Use
	Scope Scope
}

// Scope says whose a rule is.
type Scope uint8

// The scopes.
const (
	Everywhere Scope = iota
	OfWorkflow
	OfNode
)

// Use is how much of a limit is used at present, by all attempts that count. Limits that
// differ only in how much they allow have the same Use.
type Use struct {
	Key  string // names it, also in the store
	Span time.Duration
	// Flying is how many attempts are in flight. Base is how many were when that was
	// counted.
	Flying  int
	Base    int64
	starts  window
	cleaned store.Millis
	people  map[int64]*window // of a limit for each contact, by phone; those that are known
}

// window is when attempts started, the earliest first.
type window struct {
	marks []mark
	count int
}

type mark struct {
	at store.Millis
	n  int
}

// add notes n starts at a time, which may be before others.
func (w *window) add(at store.Millis, n int) {
	i := len(w.marks)
	for i > 0 && w.marks[i-1].at > at {
		i--
	}
	if i > 0 && w.marks[i-1].at == at {
		w.marks[i-1].n += n
	} else {
		w.marks = slices.Insert(w.marks, i, mark{at, n})
	}
	w.count += n
}

// take takes n starts at a time back.
func (w *window) take(at store.Millis, n int) {
	for i := len(w.marks) - 1; i >= 0 && w.marks[i].at >= at; i-- { // mostly one of the last
		if m := &w.marks[i]; m.at == at {
			w.count -= min(n, m.n)
			if m.n -= n; m.n <= 0 {
				w.marks = slices.Delete(w.marks, i, i+1)
			}
			return
		}
	}
}

// forget drops the starts at or before a time.
func (w *window) forget(until store.Millis) {
	i := 0
	for i < len(w.marks) && w.marks[i].at <= until {
		w.count -= w.marks[i].n
		i++
	}
	w.marks = slices.Delete(w.marks, 0, i)
}

// free returns when one more start is allowed, if most may start in any span of that
// length: now or earlier if it is allowed now. A span that holds both of its ends counts
// both.
func (w *window) free(most int, per time.Duration, now store.Millis) store.Millis {
	marks, left := w.marks, w.count-most // so many, and one more, must be out of the span
	for len(marks) > 0 && marks[0].at < now.Add(-per) {
		left -= marks[0].n
		marks = marks[1:]
	}
	if left < 0 {
		return now
	}
	for _, m := range marks {
		if left -= m.n; left < 0 {
			return m.at.Add(per) + 1
		}
	}
	return now
}

// within returns how many starts were in the span of that length that ends now.
func (w *window) within(per time.Duration, now store.Millis) (n int) {
	for _, m := range w.marks {
		if m.at >= now.Add(-per) {
			n += m.n
		}
	}
	return n
}

// counts reports whether an attempt of that type and rate key counts.
func (l *Limit) counts(channel workflow.NodeType, rateKey string) bool {
	return (l.Channel == "" || l.Channel == channel) && (l.RateKey == "" || l.RateKey == rateKey)
}

// asks returns why the limit keeps an attempt from beginning. flies: the attempt is in
// flight already, as one that a crash interrupted.
func (l *Limit) ask(v *View, now store.Millis, flies bool) ruling {
	var until store.Millis
	switch {
	case l.InFlight > 0:
		if flies || l.Flying < l.InFlight {
			return ruling{}
		}
		return ruling{may: later, reason: ReasonLimit, limit: l.Use}
	case l.Starts > 0:
		until = l.starts.free(l.Starts, l.Span, now)
	default:
		if v.Phone == 0 || l.people[v.Phone] == nil {
			return ruling{may: later, reason: ReasonUnread, limit: l.Use}
		}
		until = l.people[v.Phone].free(l.PerContact, l.Span, now)
	}
	switch {
	case until <= now:
		return ruling{}
	case l.PerContact == 0:
		return ruling{may: later, reason: ReasonLimit, until: until, limit: l.Use}
	case l.Span >= 24*time.Hour:
		return ruling{may: later, reason: ReasonDailyCap, until: until, own: true}
	}
	return ruling{may: later, reason: ReasonLimit, until: until, own: true}
}

// limited is the rule that no limit is exceeded (promise 15).
func (v *View) limited(f *Flow, now store.Millis) ruling {
	if f.Rules == nil || len(f.Rules.limits) == 0 {
		return ruling{}
	}
	found := ruling{}
	v.askLimits(f, now, func(_ *Limit, r ruling) (more bool) {
		found = r
		return false
	})
	return found
}

// askLimits calls yield with each limit that keeps the attempt from beginning, until that
// returns false.
func (v *View) askLimits(f *Flow, now store.Millis, yield func(*Limit, ruling) (more bool)) {
	key, channel := v.RateKey(f, now), v.channel(f, now)
	flies := v.Rec.Phase == store.PhaseRunning
	for _, l := range f.Rules.limitsAt(f, v.attemptNode(now)) {
		if !l.counts(channel, key) {
			continue
		}
		if r := l.ask(v, now, flies); r.may != allowed && !yield(l, r) {
			return
		}
	}
}

// used returns how much of the limit is used, for a limit for each contact by that of the
// lead.
func (l *Limit) used(v *View, now store.Millis) int {
	switch {
	case l.InFlight > 0:
		return l.Flying
	case l.Starts > 0:
		return l.starts.within(l.Span, now)
	case l.people[v.Phone] != nil:
		return l.people[v.Phone].within(l.Span, now)
	}
	return 0
}

// channel is the type of the lead's next attempt, or of the one in flight.
func (v *View) channel(f *Flow, now store.Millis) workflow.NodeType {
	if !v.Rec.State.InFlight() && v.messageDue(now) {
		return workflow.Message
	}
	return v.NodeType(f)
}

// Counted returns the limits for which an attempt of the lead counts: its next one, or
// the one in flight. Of several with the same Use, it is the one that allows least.
func (v *View) Counted(f *Flow, now store.Millis) []*Limit {
	if f.Rules == nil || len(f.Rules.limits) == 0 {
		return nil
	}
	key, channel := v.RateKey(f, now), v.channel(f, now)
	var list []*Limit
	for _, l := range f.Rules.limitsAt(f, v.attemptNode(now)) {
		if !l.counts(channel, key) {
			continue
		}
		switch i := slices.IndexFunc(list, func(has *Limit) bool { return has.Use == l.Use }); {
		case i < 0:
			list = append(list, l)
		case l.most() < list[i].most():
			list[i] = l
		}
	}
	return list
}

// most is how many attempts the limit allows.
func (l *Limit) most() int { return max(l.InFlight, l.Starts, l.PerContact) }

// Flies reports whether an attempt of the lead is in flight: it counts for limits of
// that kind. A queued retry does not.
func (v *View) Flies() bool {
	return v.Rec.Phase == store.PhaseRunning || v.Rec.Phase == store.PhaseAwaiting
}

// Started notes n starts at a time, of which all but a negative number are taken back.
func (u *Use) Started(phone int64, at store.Millis, n int) {
	w := &u.starts
	if phone != 0 {
		if w = u.people[phone]; w == nil {
			return // it is read when it is needed
		}
	}
	if n < 0 {
		w.take(at, -n)
	} else {
		w.forget(at.Add(-u.Span) - 1)
		w.add(at, n)
	}
}

// Move has a start count as of another time than it did.
func (u *Use) Move(phone int64, from, to store.Millis) {
	w := &u.starts
	if phone != 0 {
		if w = u.people[phone]; w == nil {
			return // it is read from the store when it is needed
		}
	}
	w.take(from, 1)
	w.add(to, 1)
}

// Replace has starts in place of those that are known.
func (u *Use) Replace(starts []store.Start) {
	u.starts = window{}
	for _, s := range starts {
		u.starts.add(s.At, int(s.N))
	}
}

// Know has what is known of a contact's starts.
func (u *Use) Know(phone int64, starts []store.Start) {
	w := &window{}
	for _, s := range starts {
		w.add(s.At, int(s.N))
	}
	if u.people == nil {
		u.people = map[int64]*window{}
	}
	u.people[phone] = w
}

// Outdated returns before when starts do not matter any more, or 0 if that was asked not
// long ago.
func (u *Use) Outdated(now store.Millis) store.Millis {
	if now < u.cleaned.Add(max(u.Span/4, time.Minute)) {
		return 0
	}
	u.cleaned = now
	return now.Add(-u.Span) - 1
}

// People is of how many contacts the starts are known.
func (u *Use) People() int { return len(u.people) }

// Knows reports whether the contact's starts are known.
func (u *Use) Knows(phone int64) bool { return u.people[phone] != nil }

// Forget drops what is known of contacts none of whose starts matters any more; they are
// read again when they are needed.
func (u *Use) Forget(now store.Millis) {
	for phone, w := range u.people {
		if w.forget(now.Add(-u.Span) - 1); w.count == 0 {
			delete(u.people, phone)
		}
	}
}

// limitsAt returns the limits that may hold at a node.
func (r *Rules) limitsAt(f *Flow, node int32) []*Limit {
	at := r.limits[f.Row.Seq]
	if int(node) >= len(at) {
		return nil
	}
	return at[node]
}

// SetLimits has the limits of a workflow in force there, and those that are in force
// everywhere. It returns the Uses that are new: what is used of them is not known yet.
func (r *Rules) SetLimits(f *Flow, everywhere []workflow.Limit) (fresh []*Use) {
	def := f.Graph.Definition()
	at := make([][]*Limit, len(def.Nodes))
	any := false
	for node := range def.Nodes {
		add := func(scope Scope, name string, limits []workflow.Limit) {
			for _, l := range limits {
				key := limitKey(name, &l)
				use := r.uses[key]
				if use == nil {
					use = &Use{Key: key, Span: time.Duration(l.Per)}
					if r.uses == nil {
						r.uses = map[string]*Use{}
					}
					r.uses[key] = use
					fresh = append(fresh, use)
				}
				at[node] = append(at[node], &Limit{l, use, scope})
				any = true
			}
		}
		if def.Nodes[node].Type.Action() {
			add(Everywhere, "", everywhere)
			add(OfWorkflow, limitScope(f, ""), def.Limits)
			add(OfNode, limitScope(f, def.Nodes[node].ID), def.Nodes[node].Limits)
		}
	}
	if !any || !f.Exists() {
		delete(r.limits, f.Row.Seq)
		return fresh
	}
	if r.limits == nil {
		r.limits = map[int64][][]*Limit{}
	}
	r.limits[f.Row.Seq] = at
	return fresh
}

// DropUses forgets what is used of limits that are in force nowhere any more: nothing
// counts for them, so it would be wrong when such a limit comes back.
func (r *Rules) DropUses() {
	inForce := map[*Use]bool{}
	for _, nodes := range r.limits {
		for _, limits := range nodes {
			for _, l := range limits {
				inForce[l.Use] = true
			}
		}
	}
	maps.DeleteFunc(r.uses, func(_ string, u *Use) bool { return !inForce[u] })
}

// Counts reports whether the limit of a Use is in force somewhere.
func (r *Rules) Counts(u *Use) bool { return r.uses[u.Key] == u }

// SharedUses returns the keys of the limits that all engines use together, in order.
func (r *Rules) SharedUses() []string {
	keys := map[string]bool{}
	for _, nodes := range r.limits {
		for _, limits := range nodes {
			for _, l := range limits {
				if l.PerContact == 0 {
					keys[l.Key] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// UseFor returns the Use of a limit of a node, of a workflow if node is "", or of all
// workflows if f is nil. It returns nil if the limit is not in force.
func (r *Rules) UseFor(l *workflow.Limit, f *Flow, node string) *Use {
	return r.uses[limitKey(limitScope(f, node), l)]
}

// limitScope names where a limit holds.
func limitScope(f *Flow, node string) string {
	switch {
	case f == nil:
		return ""
	case node == "":
		return "w" + strconv.FormatInt(f.Row.Seq, 10)
	}
	return "w" + strconv.FormatInt(f.Row.Seq, 10) + "/" + node
}

// Used returns how much of a limit is used now, and when it allows one more: 0 if it does
// now, or if that is when one ends. For a limit for each contact both are 0.
func (u *Use) Used(l *workflow.Limit, now store.Millis) (used int, opens store.Millis) {
	switch {
	case l.InFlight > 0:
		return u.Flying, 0
	case l.Starts > 0:
		for _, m := range u.starts.marks {
			if m.at >= now.Add(-u.Span) {
				used += m.n
			}
		}
		if opens = u.starts.free(l.Starts, u.Span, now); opens <= now {
			opens = 0
		}
	}
	return used, opens
}

// UseOf returns the Use with that key, or nil.
func (r *Rules) UseOf(key string) *Use { return r.uses[key] }

// LimitKeys returns the keys of limits for all workflows, without those for each contact.
func LimitKeys(everywhere []workflow.Limit) map[string]bool {
	keys := map[string]bool{}
	for i := range everywhere {
		if everywhere[i].PerContact == 0 {
			keys[limitKey("", &everywhere[i])] = true
		}
	}
	return keys
}

// limitKey names what a limit counts, without how much it allows.
func limitKey(scope string, l *workflow.Limit) string {
	kind := "in_flight"
	switch {
	case l.Starts > 0:
		kind = "starts"
	case l.PerContact > 0:
		kind = "per_contact"
	}
	return strings.Join([]string{scope, string(l.Channel), l.RateKey, kind, time.Duration(l.Per).String()}, "|")
}

// Limits reports whether any limit holds in the workflow.
func (r *Rules) Limits(f *Flow) bool { return r.limits[f.Row.Seq] != nil }

// Limiting reports whether any limit is in force.
func (r *Rules) Limiting() bool { return len(r.limits) > 0 }
