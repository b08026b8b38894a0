package life

import (
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

// Limit is a limit of attempts. A limit of all workflows is in [World.Limits].
type Limit struct {
	workflow.Limit
	node   string  // for which it holds; "" for all
	starts []start // that count for it
}

type start struct {
	at    time.Time
	phone string
}

func newLimits(node string, list []workflow.Limit) (out []*Limit) {
	for _, l := range list {
		out = append(out, &Limit{Limit: l, node: node})
	}
	return out
}

// SetLimits replaces the limits of all workflows. For one that is in force already, and
// only allows more or less, all starts since it came to be count.
func (w *World) SetLimits(list []workflow.Limit) {
	next := newLimits("", list)
	for _, l := range next {
		for _, old := range w.Limits {
			if old.sameBut(l.Limit) {
				l.starts = old.starts
			}
		}
	}
	w.Limits = next
}

func (l *Limit) sameBut(other workflow.Limit) bool {
	return l.Channel == other.Channel && l.RateKey == other.RateKey && l.Per == other.Per &&
		(l.InFlight > 0) == (other.InFlight > 0) && (l.Starts > 0) == (other.Starts > 0)
}

// limitsOf are the limits for which the lead's attempt counts: the next one, or the one in
// flight.
func (w *World) limitsOf(l *Lead, by time.Time) []*Limit {
	node, channel, key := l.attemptNode(by).ID, l.channel(by), w.key(l, by)
	return slices.DeleteFunc(slices.Concat(w.Limits, l.Flow.limits), func(lim *Limit) bool {
		return lim.node != "" && lim.node != node || lim.Channel != "" && lim.Channel != channel || lim.RateKey != "" && lim.RateKey != key
	})
}

// limited: no limit is ever exceeded (promise 15). An attempt that a crash interrupted
// holds its place, and a queued retry holds none. A span holds both of its ends.
func (w *World) limited(l *Lead) ruling {
	return w.limitedBy(l, func(*Limit) bool { return true })
}

// limitedFor is the ruling of the limits for the lead's contact.
func (w *World) limitedFor(l *Lead) ruling {
	return w.limitedBy(l, func(lim *Limit) bool { return lim.PerContact > 0 })
}

func (w *World) limitedBy(l *Lead, such func(*Limit) bool) (strictest ruling) {
	for _, lim := range w.limitsOf(l, w.Now) {
		if !such(lim) {
			continue
		}
		r := ruling{}
		switch {
		case lim.InFlight > 0:
			others := 0
			for _, other := range w.Leads {
				if other != l && other.flies() && slices.Contains(w.limitsOf(other, w.Now), lim) {
					others++
				}
			}
			r = unless(others < lim.InFlight, later)
		case lim.Starts > 0:
			r = lim.span(w.Now, lim.Starts, func(start) bool { return true })
		default:
			r = lim.span(w.Now, lim.PerContact, func(s start) bool { return s.phone == l.Contact.PhoneNumber })
		}
		strictest.may = max(strictest.may, r.may)
		if r.until.After(strictest.until) {
			strictest.until = r.until
		}
	}
	return strictest
}

// span is the ruling of a limit that allows so many of such starts in any span of its
// length.
func (lim *Limit) span(now time.Time, most int, such func(start) bool) ruling {
	per := time.Duration(lim.Per)
	var in []time.Time
	for _, s := range lim.starts {
		if such(s) && !s.at.Before(now.Add(-per)) {
			in = append(in, s.at)
		}
	}
	if len(in) < most {
		return ruling{}
	}
	slices.SortFunc(in, time.Time.Compare)
	return ruling{later, in[len(in)-most].Add(per + time.Millisecond)}
}

// flies reports whether an attempt is in flight, as limits count it.
func (l *Lead) flies() bool {
	return l.Doing == Running || l.Doing == Lost || l.Doing == Awaiting
}

// started counts a delivery of the lead's attempt.
func (w *World) started(l *Lead) {
	for _, lim := range w.limitsOf(l, w.Now) {
		lim.starts = append(slices.Clip(lim.starts), start{w.Now, l.Contact.PhoneNumber})
	}
}

// attemptNode is the node of the lead's attempt: the next one, or the one in flight.
func (l *Lead) attemptNode(by time.Time) *Node {
	if m := l.nextMessage(by); m != nil {
		return m.Node
	}
	return l.At.Node
}

// channel is the type of the lead's attempt: the next one, or the one in flight.
func (l *Lead) channel(by time.Time) workflow.NodeType {
	if l.nextMessage(by) != nil {
		return workflow.Message
	}
	return l.At.nodeType()
}

// nextMessage is the message that is due by then and is the lead's next attempt, or nil.
func (l *Lead) nextMessage(by time.Time) *Step {
	if l.Doing != Resting {
		return nil
	}
	if m := l.Messages(); len(m) > 0 && !m[0].ScheduledAt.After(by) {
		return m[0]
	}
	return nil
}
