package engine

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/store"
)

const (
	// lookahead is how far ahead of its time a sleeping lead is read into memory.
	lookahead = time.Minute
	// fillSize is how many leads are read at once, and with fewer than fillBelow
	// of them waiting in memory the next ones are read.
	fillSize  = 4000
	fillBelow = 4000
	// maxWaiting bounds the leads that wait in memory for their time, and maxReady
	// those that wait for a worker.
	maxWaiting = 16000
	maxReady   = 8000
)

// horizon says which leads memory holds: every lead that is not final and
// stands at or before the cursor in the store's due order, but for those whose
// workflow is not active, and those of a crowd that waits for workers. The rest
// is on disk alone, so that a million sleeping leads cost no memory. Recovery
// after a crash is nothing more than a horizon that starts at the beginning.
type horizon struct {
	cursor store.Key
	// more: the store may have leads right behind the cursor.
	more bool
	// crowded: leads behind the key crowd that wait for a worker are on disk alone,
	// because enough of them wait in memory. A deadline, or the end of a wait,
	// must not queue up behind them (promise 4), so the cursor passes them by.
	crowded bool
	crowd   store.Key
}

func newHorizon() horizon { return horizon{more: true} }

// beyond reports whether a lead is for the store to remember.
func (h *horizon) beyond(r *store.Record, f *flow, now store.Millis) bool {
	return h.cursor.Less(r.Key()) || h.crowded && h.crowd.Less(r.Key()) && needsWorker(r, f, now)
}

// needsWorker reports whether a lead waits for nothing but a free worker.
func needsWorker(r *store.Record, f *flow, now store.Millis) bool {
	switch r.Phase {
	case store.PhaseRetrying:
		return r.Due <= now
	case store.PhaseWaiting:
		return r.Wake <= now && f.has(r.Node) && f.graph.Node(r.Node).Type.Action()
	}
	return false
}

// parked reports whether nothing happens to a lead until its workflow is
// activated, which has the store looked through anew.
func parked(r *store.Record, f *flow, now store.Millis) bool {
	return r.Phase == store.PhaseWaiting && r.Wake <= now && !f.active()
}

// wanted reports whether leads should be read.
func (h *horizon) wanted(l *loop, now store.Millis) bool {
	switch {
	case h.crowdWanted(l):
		return true
	case !h.more:
		return h.wantedAt() <= now
	case l.timers.Len() < fillBelow+l.busy():
		return true
	}
	// What is due on disk does not wait for what is not due in memory.
	first := l.timers.first()
	return h.wantedAt() <= now && (first == nil || first.at > now)
}

// wantedAt is when leads should be read next, if no more are due before the
// cursor.
func (h *horizon) wantedAt() store.Millis {
	if h.more {
		return h.cursor.Wake
	}
	return h.cursor.Wake - store.Millis(lookahead/2/time.Millisecond)
}

// crowdWanted reports whether more of the crowd should be read.
func (h *horizon) crowdWanted(l *loop) bool { return h.crowded && l.ready.Len() < fillBelow/2 }

// fill reads the next leads in due order.
func (h *horizon) fill(l *loop) error {
	if h.crowdWanted(l) {
		if err := h.fillCrowd(l); err != nil {
			return err
		}
	}
	if !h.wanted(l, l.now) {
		return nil
	}
	until := l.now.Add(lookahead)
	records, err := l.eng.store.Due(context.Background(), h.cursor, until, fillSize)
	if err != nil {
		return &storeError{err}
	}
	for i := range records {
		rec := &records[i]
		f := l.flow(rec.Workflow)
		if l.hot[rec.Seq] != nil || f == nil || parked(rec, f, l.now) {
			continue
		}
		if !h.crowded && l.ready.Len() >= fillBelow {
			h.crowded, h.crowd = true, store.Key{Wake: rec.Wake, Seq: rec.Seq - 1}
		}
		if h.crowded && h.crowd.Less(rec.Key()) && needsWorker(rec, f, l.now) {
			continue
		}
		if err := l.hold(rec, f); err != nil && !isUnreadable(err) {
			return err
		}
	}
	if h.more = len(records) == fillSize; h.more {
		h.cursor = records[len(records)-1].Key()
		return nil
	}
	return h.skip(l, until)
}

// fillCrowd reads the next leads of the crowd, in due order.
func (h *horizon) fillCrowd(l *loop) error {
	records, err := l.eng.store.Due(context.Background(), h.crowd, h.cursor.Wake, fillSize)
	if err != nil {
		return &storeError{err}
	}
	for i := range records {
		rec := &records[i]
		f := l.flow(rec.Workflow)
		if l.hot[rec.Seq] != nil || f == nil || parked(rec, f, l.now) {
			continue
		}
		if err := l.hold(rec, f); err != nil && !isUnreadable(err) {
			return err
		}
	}
	if h.crowded = len(records) == fillSize; h.crowded {
		h.crowd = records[len(records)-1].Key()
	}
	return nil
}

// hold takes a lead into memory and has it wait there for a worker, or for its
// time.
func (l *loop) hold(rec *store.Record, f *flow) error {
	e, err := l.adopt(*rec)
	if err != nil {
		return err
	}
	if rec.Phase == store.PhaseWaiting && needsWorker(rec, f, l.now) {
		l.ready.add(e, rec.Wake)
	} else {
		l.timers.add(e, rec.Wake)
	}
	return nil
}

// skip moves the cursor to right before the first lead that is due after
// until, so that an engine with nothing to do does not look again before that.
func (h *horizon) skip(l *loop, until store.Millis) error {
	if end := (store.Key{Wake: until, Seq: math.MaxInt64}); h.cursor.Less(end) {
		h.cursor = end
	}
	next, err := l.eng.store.Due(context.Background(), h.cursor, store.MaxMillis, 1)
	switch {
	case err != nil:
		return &storeError{err}
	case len(next) == 0:
		h.cursor.Wake = store.MaxMillis
	default:
		h.cursor = store.Key{Wake: next[0].Wake - 1, Seq: math.MaxInt64}
	}
	return nil
}

// rewind has the store looked through from the beginning, for leads that were
// passed over when their workflow was not active.
func (h *horizon) rewind() { *h = newHorizon() }

// trim lets go of the leads that come last when too many wait in memory.
func (h *horizon) trim(l *loop) {
	if l.ready.Len() > maxReady {
		last, any := l.letGo(&l.ready, maxReady/2)
		if any && (!h.crowded || last.Less(h.crowd)) {
			h.crowded, h.crowd = true, last
		}
	}
	if l.timers.Len() > maxWaiting+l.busy() {
		if last, any := l.letGo(&l.timers, maxWaiting/2); any {
			if last.Less(h.cursor) {
				h.cursor = last
			}
			h.more = true
		}
	}
}

// letGo keeps the first leads of a queue, in the store's due order, those whose
// handler runs, and those on which something has just been decided. It returns
// where the last one that is kept stands, if it let go of any.
func (l *loop) letGo(q *queue, keep int) (last store.Key, any bool) {
	var waiting []*entry
	for _, e := range q.entries {
		if e.run == nil && !e.touched {
			waiting = append(waiting, e)
		}
	}
	slices.SortFunc(waiting, func(a, b *entry) int {
		switch ka, kb := a.rec.Key(), b.rec.Key(); {
		case ka.Less(kb):
			return -1
		case kb.Less(ka):
			return 1
		}
		return 0
	})
	if len(waiting) <= keep {
		return last, false
	}
	for _, e := range waiting[keep:] {
		l.drop(e)
	}
	return waiting[keep-1].rec.Key(), true
}
