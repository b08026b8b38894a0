package run

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

const (
	// lookahead is how far ahead of its time a sleeping lead is read into memory.
	lookahead = time.Minute
	// fillSize is how many leads are read in one query. The next ones are read when fewer
	// than fillBelow wait in memory.
	fillSize  = 4000
	fillBelow = 4000
	// maxWaiting bounds the leads that wait in memory for their time, and maxReady
	// those that wait for a worker.
	maxWaiting = 16000
	maxReady   = 8000
)

// horizon determines which leads are in memory: those that are not final and come at
// or before the cursor in the store's due order. It skips leads whose workflow is not
// active, leads whose rate key is closed, and, while the horizon is crowded, leads that
// wait for a worker. All others are only on disk, so that a million sleeping leads take
// no memory. Recovery after a crash is a horizon that starts at the beginning.
type horizon struct {
	cursor store.Key
	// more: the store may have leads directly after the cursor.
	more bool
	// crowded: leads after the key crowd that wait for a worker are only on disk,
	// because enough of them wait in memory. The cursor moves on past them, because
	// deadlines and ends of waits must not queue up behind them (promise 4).
	crowded bool
	crowd   store.Key
	// opening is when to read the store from the beginning again, for leads that were
	// skipped because their rate key was closed until then.
	opening store.Millis
}

func newHorizon() horizon { return horizon{more: true, opening: store.MaxMillis} }

// passOver skips a lead that is due and cannot begin before until, and comes back to it
// then. Any number of leads can be skipped; they are only on disk meanwhile.
func (h *horizon) passOver(until store.Millis) { h.opening = min(h.opening, until) }

// beyond reports whether a lead need not be in memory.
func (h *horizon) beyond(r *store.Record, need core.Need) bool {
	return h.cursor.Less(r.Key()) || h.crowded && h.crowd.Less(r.Key()) && crowds(r, need)
}

// crowds reports whether a lead only waits for a free worker. Attempts that a crash
// interrupted do not count, because they have deadlines.
func crowds(r *store.Record, need core.Need) bool {
	return need.Kind == core.Worker && r.Phase != store.PhaseRunning
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
	// Leads that are due on disk must not wait for leads in memory that are not.
	first := l.timers.first()
	return h.wantedAt() <= now && (first == nil || first.at > now)
}

// wantedAt is when leads should be read next, unless that is now.
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
	if h.opening <= l.now {
		h.rewind()
	}
	l.refill()
	if h.crowdWanted(l) {
		if err := h.fillCrowd(l); err != nil {
			return err
		}
	}
	if !h.wanted(l, l.now) {
		return nil
	}
	until := l.now.Add(lookahead)
	records, more, err := l.readDue(h.cursor, until)
	if err != nil {
		return err
	}
	for i := range records {
		rec := &records[i]
		view, need, ok := l.look(rec)
		if !ok {
			continue
		}
		if !h.crowded && l.ready.Len() >= fillBelow {
			h.crowded, h.crowd = true, store.Key{Wake: rec.Wake, Seq: rec.Seq - 1}
		}
		if h.crowded && h.crowd.Less(rec.Key()) && crowds(rec, need) {
			continue
		}
		l.hold(view, need)
	}
	if h.more = more; h.more {
		h.cursor = records[len(records)-1].Key()
		return nil
	}
	return h.skip(l, until)
}

// readDue reads the next leads in due order, and reports whether there may be more
// directly after them. Leads whose rows cannot be read are parked.
func (l *loop) readDue(after store.Key, until store.Millis) (records []store.Record, more bool, err error) {
	records, err = l.r.Store.Due(context.Background(), after, until, fillSize)
	bad, ok := asRowErrors(err)
	if err != nil && !ok {
		return nil, false, &storeError{err}
	}
	l.parkAll(bad)
	return records, len(records) > 0 && len(records)+len(bad) >= fillSize, nil
}

func (l *loop) parkAll(bad store.RowErrors) {
	for _, row := range bad {
		l.park(row.Seq, row)
	}
}

// look returns a lead that was read in due order, and what it needs. ok is false if the
// lead is in memory already, cannot be read, or needs nothing now, for example because
// its workflow is not active; rewind comes back to the latter.
func (l *loop) look(rec *store.Record) (view core.View, need core.Need, ok bool) {
	f := l.flow(rec.Workflow)
	if l.hot[rec.Seq] != nil || f == nil || l.broken[rec.Seq] != nil || l.share != nil && !l.share.held[rec.Shard] {
		return view, need, false
	}
	view, err := core.Read(*rec, f)
	if err != nil {
		l.park(rec.Seq, err)
		return view, need, false
	}
	need = core.Next(&view, f, l.now)
	if need.Kind == core.Closed {
		l.horizon.passOver(need.At)
	}
	return view, need, need.Kind != core.Nothing && need.Kind != core.Closed
}

// fillCrowd reads the next leads of the crowd, in due order.
func (h *horizon) fillCrowd(l *loop) error {
	records, more, err := l.readDue(h.crowd, h.cursor.Wake)
	if err != nil {
		return err
	}
	for i := range records {
		if view, need, ok := l.look(&records[i]); ok {
			l.hold(view, need)
		}
	}
	if h.crowded = more; h.crowded {
		h.crowd = records[len(records)-1].Key()
	}
	return nil
}

// hold takes a lead into memory and queues it there.
func (l *loop) hold(view core.View, need core.Need) {
	e := l.keep(view)
	switch need.Kind {
	case core.Until:
		l.timers.add(e, need.At)
	case core.Worker:
		l.wantWorker(e, need)
	case core.Limited:
		if !l.limits.wait(e, need, false) {
			l.leaveLimited(e, need)
		}
	default:
		l.timers.add(e, l.now)
	}
}

// skip moves the cursor directly before the first lead that is due after until, so that
// an idle engine does not read the store before that time.
func (h *horizon) skip(l *loop, until store.Millis) error {
	if end := (store.Key{Wake: until, Seq: math.MaxInt64}); h.cursor.Less(end) {
		h.cursor = end
	}
	for limit := 1; ; limit *= 2 {
		next, err := l.r.Store.Due(context.Background(), h.cursor, store.MaxMillis, limit)
		bad, ofRows := asRowErrors(err)
		if err != nil && !ofRows {
			return &storeError{err}
		}
		l.parkAll(bad)
		switch {
		case len(next) > 0:
			h.cursor = store.Key{Wake: next[0].Wake - 1, Seq: math.MaxInt64}
			return nil
		case len(bad) < limit:
			h.cursor.Wake = store.MaxMillis
			return nil
		}
	}
}

// rewind has the store read from the beginning again, for leads that were skipped.
func (h *horizon) rewind() { *h = newHorizon() }

// back has leads read again that wake at that time or later.
func (h *horizon) back(wake store.Millis) {
	before := store.Key{Wake: wake - 1, Seq: math.MaxInt64}
	if before.Less(h.cursor) {
		h.cursor, h.more = before, true
	}
	if h.crowded && before.Less(h.crowd) {
		h.crowd = before
	}
}

// trim removes the last leads from memory when too many wait there.
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

// letGo removes leads of a queue from memory. It keeps the first ones in the store's
// due order, those for which something runs, and those that a batch changes. It returns
// the key of the last of the first ones, and whether it removed any.
func (l *loop) letGo(q *queue, keep int) (last store.Key, any bool) {
	var waiting []*entry
	for _, e := range q.entries {
		if !e.held() && e.free() {
			waiting = append(waiting, e)
		}
	}
	slices.SortFunc(waiting, func(a, b *entry) int {
		switch ka, kb := a.view.Rec.Key(), b.view.Rec.Key(); {
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
	return waiting[keep-1].view.Rec.Key(), true
}
