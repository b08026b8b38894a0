package run

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file has what happens to a batch once the store has committed or refused it.

// land lets the batch that has landed take effect, or undoes it.
func (l *loop) land() {
	b := l.landing
	l.flying, l.landing = nil, nil
	if b.err != nil {
		l.takeBack(b, b.err)
	} else {
		l.publish(b)
	}
}

// publish lets a batch that is on disk take effect.
func (l *loop) publish(b *batch) {
	if !b.writes.Empty() {
		l.failures = 0 // an empty batch is not written, so it says nothing about the store
		b.commits++
	}
	if len(b.done.Stale) > 0 {
		l.leaveStale(b)
	}
	changes := l.changes(b)
	if len(l.guards) > 0 {
		l.guardSteps(b)
	}
	for seq, f := range b.staged {
		l.publishFlow(seq, f)
	}
	for _, e := range b.touched {
		e.inFlight = false
	}
	for _, refused := range b.done.Refused {
		e := b.fresh[refused.Index]
		e.contact.Live, e.contact.Suppressed = refused.Live, refused.Suppressed
		l.forgetFresh(b, e)
	}
	l.r.pace.add(l, b)
	for _, e := range b.touched {
		e.forgetBatch()
		if e.view.Rec.State.Final() {
			l.r.detached(e.seq(), e.view.Rec.Updated)
			l.inherit(&e.view)
		}
		if l.hot[e.seq()] == e {
			l.place(e)
		}
	}
	for _, e := range b.loaded {
		// Unless the next batch changes it.
		if l.hot[e.seq()] == e && e.free() {
			l.place(e)
		}
	}
	if !l.closing {
		l.beginStarts(b)
		l.launchCalls(b)
	}
	for _, f := range b.after {
		f()
	}
	l.total.add(&b.counters)
	l.r.publishStats(l) // before the answers, because callers may then read them
	if len(changes) > 0 {
		for _, listener := range l.r.listening() {
			listener.tell(changes)
		}
	}
	for _, r := range b.deciding {
		if r.stale(b.done.Stale) {
			l.requests = append(l.requests, r)
			continue
		}
		r.answer <- r.refusal
	}
	l.over(b)
}

// forgetBatch clears the fields of the entry that belong to a batch.
func (e *entry) forgetBatch() {
	clear(e.steps)
	clear(e.calls)
	e.touched, e.inFlight, e.fresh, e.steps, e.calls, e.added = false, false, false, e.steps[:0], e.calls[:0], counters{}
}

// launchCalls calls the handlers and hooks that the batch begins.
func (l *loop) launchCalls(b *batch) {
	var unread []caller
	for _, e := range b.launches {
		switch {
		case e.call != nil && !e.call.launched:
			e.call.launched = true
			if e.call.Contact = e.contact; e.call.unread() {
				unread = append(unread, e.call)
			} else {
				e.call.launch(l.r, e.contact, nil, false)
			}
		case e.hooks != nil && !e.hooks.launched:
			e.hooks.launched = true
			if e.contact == nil {
				unread = append(unread, e.hooks)
			} else {
				e.hooks.launch(l.r, e.contact, nil, false)
			}
		}
	}
	if len(unread) > 0 {
		l.r.launch(unread)
	}
}

// forgetFresh removes a lead from memory whose enrollment the store refused.
func (l *loop) forgetFresh(b *batch, e *entry) {
	l.unuse(b, func(lead int64) bool { return lead == e.seq() })
	b.stats.Enrolled--
	if e.view.Rec.State == lead.Completed {
		b.stats.Completed--
	}
	if e.call != nil {
		b.stats.StepsStarted--
		b.running--
		b.live--
		e.call = nil
	}
	l.drop(e)
}

// takeBack undoes a batch that the store did not commit. Results of handlers and hooks
// are kept for the next batch. Callers get the error, unless the batch is decided again
// immediately.
func (l *loop) takeBack(b *batch, err error) {
	l.unuse(b, nil)
	for i, e := range b.touched {
		fresh := e.fresh
		e.forgetBatch()
		if fresh {
			e.call, e.hooks = nil, nil
			e.unqueue()
			delete(l.hot, e.seq())
			continue
		}
		e.state = b.was[i]
	}
	if len(b.staged) > 0 {
		// Leads may have been skipped or removed from memory as if those workflows had
		// changed.
		b.staged = nil
		l.horizon.rewind()
	}
	rows, ofRows := asRowErrors(err)
	patience := time.Duration(0)
	again := errors.Is(err, store.ErrConflict) && l.failures < l.mostConflicts()
	if again {
		l.reload(b)
		patience = l.patience()
	}
	if errors.Is(err, store.ErrLimit) && l.failures < maxShared {
		again = true
		l.overLimit(err)
	}
	if errors.Is(err, store.ErrBehind) || errors.Is(err, store.ErrLost) {
		l.r.sharer.soon()
	}
	if errors.Is(err, store.ErrBehind) && l.failures < maxShared {
		again, patience = true, restBehind
	}
	if ofRows && rows[0].Seq != 0 && l.broken[rows[0].Seq] == nil {
		// The store refuses single rows for their content: without their leads the batch
		// can be committed.
		again = true
		for _, row := range rows {
			l.park(row.Seq, row)
			if e := l.hot[row.Seq]; e != nil {
				l.drop(e)
			}
		}
	}
	l.failures++
	for _, list := range [][]*entry{b.touched, b.loaded} {
		for _, e := range list {
			if l.hot[e.seq()] == e && e.free() {
				l.place(e)
			}
		}
	}
	l.results = append(slices.Clone(b.settling), l.results...)
	if again {
		var requests []*request
		for _, r := range b.deciding {
			if r.once {
				r.answer <- err
			} else {
				requests = append(requests, r)
			}
		}
		l.requests = append(requests, l.requests...)
		l.retryAt = l.now.Add(patience)
	} else {
		backoff := min(minBackoff<<min(l.failures-1, 10), maxBackoff)
		l.retryAt = l.now.Add(backoff)
		l.r.Log.Error("leadflow: the store cannot commit; trying again",
			slog.Any("error", err), slog.Int("failures", l.failures), slog.Duration("after", backoff))
		answer := fmt.Errorf("engine: nothing was changed: %w", err)
		if errors.Is(err, store.ErrOutcomeUnknown) {
			answer = fmt.Errorf("engine: %w", err)
		}
		for _, r := range b.deciding {
			r.answer <- answer
		}
	}
	l.over(b)
}

// reload reads the leads of a batch again, after somebody else has changed some of
// them in the store.
func (l *loop) reload(b *batch) {
	var seqs []int64
	for _, e := range b.touched {
		if l.hot[e.seq()] == e {
			seqs = append(seqs, e.seq())
		}
	}
	found, err := l.load(seqs)
	if err != nil {
		return // the next commit has the same conflict, and then the loop backs off
	}
	gone := map[int64]bool{}
	for _, seq := range seqs {
		gone[seq] = true
	}
	for i := range found {
		seq := found[i].Seq
		delete(gone, seq)
		if e := l.hot[seq]; e != nil {
			l.renew(e, &found[i])
		}
	}
	for seq := range gone { // deleted, or left out
		if e := l.hot[seq]; e != nil {
			l.lose(e)
		}
	}
}

// over ends a batch, and queues the requests that had to wait for it.
func (l *loop) over(b *batch) {
	b.reset()
	if b != l.batch {
		l.spare = append(l.spare, b)
	}
	l.requests = append(l.deferred, l.requests...)
	l.deferred = nil
}

// reset empties a batch, to be used again.
func (b *batch) reset() {
	w := &b.writes
	clear(b.touched)
	clear(b.was)
	clear(b.loaded)
	clear(b.fresh)
	clear(b.renamed)
	clear(b.deciding)
	clear(b.settling)
	clear(b.settled)
	clear(b.launches)
	clear(b.after)
	clear(b.used)
	clear(w.Changes)
	clear(w.Enroll)
	clear(w.Steps)
	clear(w.Calls)
	clear(w.Payloads)
	*b = batch{
		touched: b.touched[:0], was: b.was[:0], loaded: b.loaded[:0], fresh: b.fresh[:0], renamed: b.renamed[:0], deciding: b.deciding[:0],
		settling: b.settling[:0], settled: b.settled[:0], launches: b.launches[:0], after: b.after[:0], used: b.used[:0],
		writes: store.Batch{
			Changes: w.Changes[:0], Enroll: w.Enroll[:0], Steps: w.Steps[:0], Calls: w.Calls[:0], Payloads: w.Payloads[:0],
			// The others are rare.
		},
	}
}
