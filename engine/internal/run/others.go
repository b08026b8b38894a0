package run

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file has how a loop decides on leads that other engines may change meanwhile.

// mine reports whether the loop acts on a lead by itself.
func (l *loop) mine(e *entry) bool {
	return l.share == nil || e.call != nil || e.hooks != nil || l.share.held[e.view.Rec.Shard]
}

// load reads leads. Those that cannot be read are parked.
func (l *loop) load(seqs []int64) ([]store.Lead, error) {
	found, err := l.r.Store.Load(context.Background(), seqs)
	bad, ok := asRowErrors(err)
	if err != nil && !ok {
		return nil, &storeError{err}
	}
	l.parkAll(bad)
	return found, nil
}

// renew takes over what another engine has made of a lead, and reports whether it has
// made anything. No batch may be changing the entry.
func (l *loop) renew(e *entry, found *store.Lead) bool {
	rec := &found.Record
	was := &e.view.Rec
	if rec.Version == was.Version {
		return false
	}
	view, err := core.Read(*rec, l.flow(rec.Workflow))
	if err != nil {
		l.park(rec.Seq, err)
		l.lose(e)
		return false
	}
	same := rec.Visit == was.Visit && rec.Attempt == was.Attempt && view.Notes.Engine == e.view.Notes.Engine
	if same && rec.Phase == store.PhaseRunning {
		view.Uncalled, view.Asking, view.Asked = e.view.Uncalled, e.view.Asking, e.view.Asked
	}
	if e.call != nil && same && rec.Phase == store.PhaseRunning {
		view.Running = true
	} else {
		l.forsake(e)
	}
	if e.hooks != nil && same && rec.Phase == store.PhaseHooks {
		view.Hooking = true
	} else {
		e.hooks = nil
	}
	e.view = view
	if e.contact != nil || e.held() { // else the result of what runs would bring an old one
		if e.contact, err = NewContact(found.Contact); err != nil {
			e.contact = nil // it is read again, with the error, when it is needed
		}
	}
	return true
}

// forsake gives up the handler of an attempt that another engine has taken over or ended:
// its result will come too late, so nobody waits for it. It is not cut, and its context
// ends at its deadline as if nothing had happened.
func (l *loop) forsake(e *entry) {
	c := e.call
	if c == nil {
		return
	}
	e.call = nil
	l.total.running--
	l.total.live--
	c.abandoned = true
	if left := time.Duration(c.Rec.Deadline-l.now) * time.Millisecond; left > 0 {
		l.r.Clock.AfterFunc(left, func() { c.cancel(ErrDeadline) })
	} else {
		c.cancel(ErrDeadline)
	}
}

// lose removes a lead from memory that has been deleted or cannot be read any more.
func (l *loop) lose(e *entry) {
	l.forsake(e)
	l.drop(e)
}

// shares reports whether others use the store, too.
func (l *loop) shares() bool { return l.share != nil && !l.share.alone }

// leaveStale undoes what a batch on disk would have made of leads that the store has left
// out, because others have changed them meanwhile. They are decided on again: what
// concerns them waits for the next batch.
func (l *loop) leaveStale(b *batch) {
	stale := b.done.Stale
	l.unuse(b, func(lead int64) bool {
		_, is := slices.BinarySearch(stale, lead)
		return is
	})
	var left []*entry
	touched, was := b.touched[:0], b.was[:0]
	for i, e := range b.touched {
		if _, is := slices.BinarySearch(stale, e.seq()); !is {
			touched, was = append(touched, e), append(was, b.was[i])
			continue
		}
		b.counters.sub(&e.added)
		e.forgetBatch()
		e.state = b.was[i]
		left = append(left, e)
	}
	clear(b.touched[len(touched):])
	clear(b.was[len(was):])
	b.touched, b.was = touched, was
	for _, r := range b.settled {
		if _, is := slices.BinarySearch(stale, r.lead()); is {
			l.results = append(l.results, r)
		}
	}
	found, err := l.load(stale)
	if err != nil {
		found = nil // the next commit leaves them out again, and they are read then
	}
	gone := map[int64]bool{}
	for _, seq := range stale {
		gone[seq] = err == nil
	}
	for i := range found {
		delete(gone, found[i].Seq)
		if e := l.hot[found[i].Seq]; e != nil {
			l.renew(e, &found[i])
		}
	}
	for _, e := range left {
		switch {
		case gone[e.seq()]:
			l.lose(e)
		case l.hot[e.seq()] == e:
			l.place(e)
		}
	}
}

// stale reports whether the request decided on one of the leads, which are in order.
func (r *request) stale(leads []int64) bool {
	return slices.ContainsFunc(r.leads, func(seq int64) bool {
		_, is := slices.BinarySearch(leads, seq)
		return is
	})
}

// ensure makes certain that an answer about a lead that was decided without a change of
// it, and so without a look at the store, rests on what is in the store. It returns true
// if it does not, and the lead is to be decided on again.
func (l *loop) ensure(e *entry) (again bool, err error) {
	if !l.shares() || !e.free() {
		return false, nil
	}
	found, err := l.load([]int64{e.seq()})
	if err != nil {
		return false, err
	}
	if len(found) == 0 {
		l.lose(e)
		return true, nil
	}
	return l.renew(e, &found[0]), nil
}

// decideOn decides on a lead, nil if there is none.
func (l *loop) decideOn(seq int64, decide func(e *entry) error) error {
	if l.shares() {
		l.current.leads = append(l.current.leads, seq)
	}
	remembered := l.hot[seq] != nil
	e, err := l.get(seq)
	if err != nil {
		return err
	}
	err = decide(e)
	if !remembered || e == nil {
		return err
	}
	again, failed := l.ensure(e)
	switch {
	case failed != nil:
		return failed
	case !again:
		return err
	}
	if e, err = l.get(seq); err != nil {
		return err
	}
	err = decide(e)
	if e != nil && e.free() {
		l.place(e)
	}
	return err
}

// tellOthers adds to the batch what other engines must know of a lead that it changes.
func (l *loop) tellOthers(e *entry, was *core.View) {
	s, w := l.share, &l.writes.Share
	if s == nil {
		return
	}
	rec := &e.view.Rec
	if s.alone {
		return
	}
	if was.Rec.State == lead.PendingRemoval && rec.State.Final() {
		w.Wake = true // somebody may wait for it at another engine
	}
	if runs := was.Notes.Engine; runs != 0 && runs != l.r.rules.Engine && !e.fresh {
		w.Notices = append(w.Notices, store.Notice{Shard: rec.Shard, Engine: runs, Lead: rec.Seq})
	}
	switch {
	case s.held[rec.Shard]:
	case !e.fresh:
		w.Notices = append(w.Notices, store.Notice{Shard: rec.Shard, Lead: rec.Seq})
	case !rec.State.Final():
		for i := range w.Notices {
			if n := &w.Notices[i]; n.Lead == 0 && n.Shard == rec.Shard {
				n.Wake = min(n.Wake, rec.Wake)
				return
			}
		}
		w.Notices = append(w.Notices, store.Notice{Shard: rec.Shard, Wake: rec.Wake})
	}
}

// mostConflicts is how many times in a row a stale batch is decided again before callers
// are told.
func (l *loop) mostConflicts() int {
	if l.share == nil {
		return maxConflicts
	}
	return maxShared
}

// handedOver reports whether this engine has no shards any more, or cannot give them up
// because the store fails.
func (l *loop) handedOver() bool {
	if l.share == nil || l.r.sharer.failed.Load() {
		return true
	}
	return l.share.held == [store.Shards]bool{}
}

// patience is the pause before a batch that was refused as stale is decided again: none at
// first, then longer ones, so that engines that are at the same leads let one another
// through.
func (l *loop) patience() time.Duration {
	if l.failures < maxConflicts {
		return 0
	}
	return rand.N(time.Millisecond << min(l.failures-maxConflicts, 5))
}
