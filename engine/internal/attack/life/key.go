package life

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// writeLimits writes what counts for limits.
func (w *World) writeLimits(b *strings.Builder, limits []*Limit) {
	for _, l := range limits {
		fmt.Fprintf(b, "; %s %+v", l.node, l.Limit)
		for _, s := range l.starts {
			if per := time.Duration(l.Per); !s.at.Add(per).Before(w.Now) {
				fmt.Fprintf(b, " %s until %s", s.phone, w.moment(s.at.Add(per)))
			}
		}
	}
}

// Clone returns a copy that shares with w only what no method changes.
func (w *World) Clone() *World {
	c := *w
	c.rests = maps.Clone(w.rests)
	flows := map[*Flow]*Flow{}
	c.Limits = cloneLimits(w.Limits)
	c.Flows = make([]*Flow, len(w.Flows))
	for i, f := range w.Flows {
		copied := *f // its nodes never change
		copied.limits = cloneLimits(f.limits)
		c.Flows[i], flows[f] = &copied, &copied
	}
	c.Leads = make([]*Lead, len(w.Leads))
	for i, l := range w.Leads {
		c.Leads[i] = l.clone(flows[l.Flow])
	}
	c.Suppressions = make([]*Suppression, len(w.Suppressions))
	for i, s := range w.Suppressions {
		copied := *s
		copied.Flow = flows[s.Flow]
		c.Suppressions[i] = &copied
	}
	return &c
}

func cloneLimits(list []*Limit) []*Limit {
	out := make([]*Limit, len(list))
	for i, l := range list {
		copied := *l
		out[i] = &copied
	}
	return out
}

func (l *Lead) clone(f *Flow) *Lead {
	c := *l
	c.Flow, c.hookFails = f, slices.Clone(l.hookFails)
	if l.Removal != nil {
		how := *l.Removal
		c.Removal = &how
	}
	if l.Hold != nil {
		how := *l.Hold
		c.Hold = &how
	}
	c.kept = maps.Clone(l.kept)
	if l.called != nil {
		e := *l.called
		c.called = &e
	}
	c.Steps = make([]*Step, len(l.Steps))
	for i, st := range l.Steps {
		copied := *st
		copied.Attempts, copied.Calls, copied.first = slices.Clone(st.Attempts), slices.Clone(st.Calls), slices.Clone(st.first)
		c.Steps[i] = &copied
		if st == l.At {
			c.At = &copied
		}
		if st == l.interrupted {
			c.interrupted = &copied
		}
	}
	return &c
}

// Key is a text for the state of the world. Worlds with the same key behave in the same
// way and look the same to a reader, except for times in the past, of which the key only
// says that they have passed.
func (w *World) Key() string {
	var b strings.Builder
	fmt.Fprint(&b, w.Draining)
	for _, s := range w.Suppressions {
		fmt.Fprintf(&b, "; %s %s suppressed %q", s.PhoneNumber, s.ExternalID, s.Channel)
		if s.Flow != nil {
			b.WriteString(" in " + s.Flow.Name)
		}
		if !s.active(w.Now) {
			b.WriteString(" no more")
		} else if !s.Expires.IsZero() {
			b.WriteString(" until " + w.moment(s.Expires))
		}
	}
	w.writeLimits(&b, w.Limits)
	for _, f := range w.Flows {
		w.writeLimits(&b, f.limits)
	}
	for _, key := range slices.Sorted(maps.Keys(w.rests)) {
		fmt.Fprint(&b, "; ", key, " rests ", w.moment(w.rests[key].until), " ", w.rests[key].times)
	}
	for _, f := range w.Flows {
		fmt.Fprint(&b, "; ", f.Name, " ", f.Status, " ", f.Deleted)
	}
	for _, l := range w.Leads {
		w.writeKey(&b, l)
	}
	return b.String()
}

func (w *World) writeKey(b *strings.Builder, l *Lead) {
	fmt.Fprintf(b, "\n%s %s %s %q %d/%d", l.Flow.Name, l.Contact.PhoneNumber, l.State, l.Outcome,
		slices.Index(l.Steps, l.At), slices.Index(l.Steps, l.interrupted))
	switch l.Doing {
	case Resting:
	case Running, Lost, Awaiting:
		fmt.Fprintf(b, " %d until %s", l.Doing, w.moment(l.Deadline))
		if l.called != nil {
			fmt.Fprintf(b, " called %+v", *l.called)
		}
	case Retrying:
		fmt.Fprintf(b, " %d at %s", l.Doing, w.moment(l.At.last().DueAt))
	case Hooking:
		fmt.Fprintf(b, " %d hook %d since %s", l.Doing, l.hook, w.moment(l.HookSince.Add(w.HookTimeout)))
	}
	fmt.Fprint(b, " ", l.redelivered, l.parked, l.At.notMade, l.At.again)
	if l.Removal != nil {
		fmt.Fprintf(b, " removal %q %q %t", l.Removal.Reason, l.Removal.Actor, l.Removal.SkipRetries)
	}
	if l.Hold != nil {
		fmt.Fprintf(b, " held %q %q until %s", l.Hold.Reason, l.Hold.Actor, w.moment(l.Hold.Until))
	}
	if l.exits != "" {
		b.WriteString(" exits as " + l.exits)
	}
	for _, name := range slices.Sorted(maps.Keys(l.kept)) {
		fmt.Fprintf(b, " has %s %s", name, l.kept[name])
	}
	for _, st := range l.Steps {
		fmt.Fprintf(b, "; %s %t %s %q %q %q %s %v", st.NodeID, st.Scheduled, st.Status, st.Outcome, st.Error, st.CallID, st.Data, st.HookErrors)
		if !st.Status.Final() {
			b.WriteString(" due " + w.moment(st.ScheduledAt))
		}
		for _, a := range st.Attempts {
			fmt.Fprintf(b, ", %d %s %q %t", a.Number, a.Status, a.Error, a.Redelivered)
		}
	}
}

// moment is a time relative to now.
func (w *World) moment(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !t.After(w.Now):
		return "over"
	}
	return t.Sub(w.Now).String()
}
