package run

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file measures how long it takes from an order to stop to silence.

// SilenceBounds are the upper bounds of the classes of Silence.Within.
var SilenceBounds = [...]time.Duration{
	0, time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
}

// Silence is how long it took from orders to stop to the end of the last step in flight;
// see engine.Silence.
type Silence struct {
	Count        int64
	Pending      int
	Sum, Longest time.Duration
	Within       [len(SilenceBounds)]int64
}

func (s *Silence) observe(took time.Duration) {
	took = max(took, 0) // the wall clock may have been set back
	s.Count++
	s.Sum += took
	s.Longest = max(s.Longest, took)
	for i, bound := range SilenceBounds {
		if took <= bound {
			s.Within[i]++
		}
	}
}

// order is an order to stop after which steps of the person are still in flight.
type order struct {
	asked store.Millis
	left  map[int64]bool // the leads whose step in flight has not ended
}

// ordered has it measured, once the batch is on disk, how long it takes until the leads of
// an order to stop are silent. leads are those that the order concerns, also if it is
// decided again because another engine had changed one of them.
func (l *loop) ordered(leads func() []Changed) {
	b, asks, asked := l.batch, l.current, l.now
	l.after = append(l.after, func() {
		if asks.stale(b.done.Stale) {
			return // it is decided again
		}
		o := &order{asked, map[int64]bool{}}
		fresh := false
		for _, c := range leads() {
			fresh = fresh || c.Fresh
			if c.State == lead.PendingRemoval {
				o.left[c.ID.Seq()] = true
			}
		}
		if fresh {
			l.r.measure(o)
		}
	})
}

// measure takes up an order that is on disk.
func (r *Runner) measure(o *order) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(o.left) == 0 {
		r.silence.observe(0)
		return
	}
	r.silence.Pending++
	if r.orders == nil {
		r.orders = map[int64][]*order{}
	}
	for seq := range o.left {
		r.orders[seq] = append(r.orders[seq], o)
		r.detachmentOf(seq, lead.PendingRemoval) // so that it is heard of if another engine ends the step
	}
}

// silent notes that a lead is final since a time. The caller holds r.mu.
func (r *Runner) silent(seq int64, at store.Millis) {
	orders, ok := r.orders[seq]
	if !ok {
		return
	}
	delete(r.orders, seq)
	for _, o := range orders {
		if delete(o.left, seq); len(o.left) == 0 {
			r.silence.Pending--
			r.silence.observe(at.Time().Sub(o.asked.Time()))
		}
	}
}

// inherit measures a removal that an earlier process was asked for, which has ended since.
// It knows of no other leads of the same order.
func (l *loop) inherit(v *core.View) {
	how := v.Notes.Removal
	switch {
	case v.Rec.State != lead.Removed || how == nil || how.Reason == lead.ReasonWorkflowCancelled:
	case how.Engine == l.r.rules.Engine && how.Requested >= l.began, l.r.rules.Lives(how.Engine):
	default:
		l.r.mu.Lock()
		l.r.silence.observe(v.Rec.Updated.Time().Sub(how.Requested.Time()))
		l.r.mu.Unlock()
	}
}
