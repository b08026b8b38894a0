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
	// maxWaiting bounds the leads that wait in memory.
	maxWaiting = 16000
)

// horizon says which leads memory holds: every lead that is not final and
// stands at or before the cursor in the store's due order, but for those whose
// workflow is not active. The rest is on disk alone, so that a million sleeping
// leads cost no memory. Recovery after a crash is nothing more than a horizon
// that starts at the beginning.
type horizon struct {
	cursor store.Key
	// more: the store may have leads right behind the cursor.
	more bool
}

func newHorizon() horizon { return horizon{more: true} }

// beyond reports whether a lead at that key is for the store to remember.
func (h *horizon) beyond(k store.Key) bool { return h.cursor.Less(k) }

// wanted reports whether leads should be read.
func (h *horizon) wanted(l *loop, now store.Millis) bool {
	if h.more && l.timers.Len()+l.ready.Len() < fillBelow+l.running {
		return true
	}
	// What is due on disk does not wait for what is not due in memory.
	first := l.timers.first()
	return h.wantedAt(l) <= now && (!h.more || first == nil || first.at > now)
}

// wantedAt is when leads should be read next, if memory does not run short of
// them before that.
func (h *horizon) wantedAt(l *loop) store.Millis {
	switch {
	case !h.more:
		return h.cursor.Wake - store.Millis(lookahead/2/time.Millisecond)
	case l.ready.Len() >= fillBelow:
		return store.MaxMillis // when they have become fewer
	}
	return h.cursor.Wake
}

// fill reads the next leads in due order.
func (h *horizon) fill(l *loop) error {
	if !h.wanted(l, l.now) {
		return nil
	}
	until := l.now.Add(lookahead)
	records, err := l.eng.store.Due(context.Background(), h.cursor, until, fillSize)
	if err != nil {
		return &storeError{err}
	}
	for _, rec := range records {
		if l.hot[rec.Seq] != nil {
			continue
		}
		f := l.flow(rec.Workflow)
		if f == nil || rec.Phase == store.PhaseWaiting && rec.Wake <= l.now && !f.active() {
			continue
		}
		e, err := l.adopt(rec)
		if err != nil {
			return err
		}
		l.timers.add(e, rec.Wake)
	}
	if h.more = len(records) == fillSize; h.more {
		h.cursor = records[len(records)-1].Key()
		return nil
	}
	return h.skip(l, until)
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

// trim lets go of the leads that are due last when too many wait in memory.
func (h *horizon) trim(l *loop) {
	if l.timers.Len()+l.ready.Len() <= maxWaiting+l.running {
		return
	}
	var waiting []*entry
	for _, q := range []*queue{&l.timers, &l.ready} {
		for _, e := range q.entries {
			if e.run == nil {
				waiting = append(waiting, e)
			}
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
	keep := maxWaiting / 2
	if last := waiting[keep-1].rec.Key(); last.Less(h.cursor) {
		h.cursor = last
	}
	h.more = true
	for _, e := range waiting[keep:] {
		l.drop(e)
	}
}
