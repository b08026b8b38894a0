package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// batch is what one turn of the loop has decided so far.
type batch struct {
	now      store.Millis
	writes   store.Batch
	touched  []*entry
	loaded   []*entry // read from the store for this batch
	fresh    []*entry // enrolled, in the order of writes.Enroll
	staged   map[int64]*flow
	deciding []*request
	settling []result
	launches []*entry // whose run, or hooks, are to be launched
	after    []func() // what else is to happen once the batch is on disk
	counters
}

// counters change with decisions and are put back when a commit fails.
type counters struct {
	running int // entries with a run
	live    int // goroutines whose result is still awaited
	stats   Stats
}

// touch notes that the batch changes e, before it does.
func (l *loop) touch(e *entry) {
	if !e.touched {
		e.touched = true
		e.was = e.view
		l.touched = append(l.touched, e)
	}
}

// get returns the lead with that number, from memory or from the store, or nil
// when there is none.
func (l *loop) get(seq int64) (*entry, error) {
	if e := l.hot[seq]; e != nil {
		return e, nil
	}
	records, err := l.eng.store.Records(context.Background(), []int64{seq})
	if err != nil {
		return nil, &storeError{err}
	}
	if len(records) == 0 {
		return nil, nil
	}
	return l.adopt(records[0])
}

// adopt takes a lead that the store has, and memory has not, into memory, for
// the length of the batch at least.
func (l *loop) adopt(rec store.Record) (*entry, error) {
	x, err := decodeExtra(rec.Extra)
	if err != nil {
		return nil, &storeError{err}
	}
	e := &entry{view: view{rec: rec, extra: x}}
	l.hot[rec.Seq] = e
	l.loaded = append(l.loaded, e)
	return e, nil
}

// flow returns the workflow with that number as the batch has it, or nil.
func (l *loop) flow(seq int64) *flow {
	if f := l.staged[seq]; f != nil {
		return f
	}
	return l.flows[seq]
}

// commit writes what was decided. Nothing of it has happened before it is on
// disk (promise 1).
func (l *loop) commit() (store.Result, error) {
	steps := 0
	for _, e := range l.touched {
		steps += len(e.steps)
	}
	nextStep := int64(0)
	if steps > 0 {
		var err error
		if nextStep, err = l.eng.store.Reserve(context.Background(), store.StepSequence, steps); err != nil {
			return store.Result{}, err
		}
	}
	for _, e := range l.touched {
		for _, s := range e.steps {
			s.Seq, s.Prev = nextStep, e.rec.LastStep
			e.rec.LastStep = nextStep
			nextStep++
			l.writes.Steps = append(l.writes.Steps, s)
		}
		text, err := e.extra.encode()
		if err != nil {
			return store.Result{}, err
		}
		e.rec.Extra, e.rec.Updated = text, l.now
		if e.fresh {
			continue
		}
		e.rec.Version++
		l.writes.Changes = append(l.writes.Changes, store.Change{Before: e.was.rec, After: e.rec})
	}
	for _, e := range l.fresh {
		l.writes.Enroll = append(l.writes.Enroll, store.Enrollment{Record: e.rec, Contact: e.contact.Contact})
	}
	if l.writes.Empty() {
		return store.Result{}, nil
	}
	// The writer's context is its own: one that a caller cancels in the middle of
	// a write would leave the connection busy.
	return l.eng.store.Commit(context.Background(), &l.writes)
}

// publish lets a batch that is on disk take effect.
func (l *loop) publish(done store.Result) {
	if !l.writes.Empty() {
		l.stats.Commits++
	}
	for seq, f := range l.staged {
		l.publishFlow(seq, f)
	}
	for _, refused := range done.Refused {
		e := l.fresh[refused.Index]
		e.contact.live = refused.Live
		l.forgetFresh(e)
	}
	for _, e := range l.touched {
		e.touched, e.fresh, e.steps, e.was = false, false, nil, view{}
		if e.rec.State.Final() {
			l.eng.detached(e.rec.Seq)
		}
		if l.hot[e.rec.Seq] == e {
			l.place(e)
		}
	}
	for _, e := range l.loaded {
		if l.hot[e.rec.Seq] == e {
			l.place(e)
		}
	}
	var unread []call
	for _, e := range l.launches {
		var c call
		switch {
		case e.run != nil && !e.run.launched:
			e.run.launched, c = true, e.run
		case e.hooks != nil && !e.hooks.launched:
			e.hooks.launched, c = true, e.hooks
		default:
			continue
		}
		if e.contact == nil {
			unread = append(unread, c)
		} else {
			c.launch(l.eng, e.contact, nil)
		}
	}
	if len(unread) > 0 {
		l.eng.launchUnread(unread)
	}
	for _, f := range l.after {
		f()
	}
	for _, r := range l.deciding {
		r.answer <- r.refusal
	}
	l.endBatch()
}

// forgetFresh takes a lead out of memory that was not enrolled after all.
func (l *loop) forgetFresh(e *entry) {
	l.stats.LeadsEnrolled--
	if e.rec.State == lead.Completed {
		l.stats.LeadsCompleted--
	}
	if e.run != nil {
		l.stats.StepsStarted--
		l.running--
		l.live--
		e.run = nil
	}
	l.drop(e)
}

// takeBack undoes a batch that the store did not take. What handlers and hooks
// came to is kept for the next batch; callers are told.
func (l *loop) takeBack(err error) {
	conflict := errors.Is(err, store.ErrConflict) && l.failures < maxConflicts
	for _, e := range l.touched {
		fresh := e.fresh
		e.touched, e.fresh, e.steps = false, false, nil
		if fresh {
			e.run, e.hooks = nil, nil
			e.unqueue()
			delete(l.hot, e.rec.Seq)
			continue
		}
		e.view, e.was = e.was, view{}
	}
	if len(l.staged) > 0 {
		// Leads were passed over and let go of as if those workflows had changed.
		l.staged = nil
		l.horizon.rewind()
	}
	if conflict {
		l.reload()
	}
	for _, list := range [][]*entry{l.touched, l.loaded} {
		for _, e := range list {
			if l.hot[e.rec.Seq] == e {
				l.place(e)
			}
		}
	}
	l.results = append(slices.Clone(l.settling), l.results...)
	l.failures++
	if conflict {
		l.requests = append(slices.Clone(l.deciding), l.requests...)
		l.retryAt = l.now
	} else {
		backoff := min(minBackoff<<min(l.failures-1, 10), maxBackoff)
		l.retryAt = l.now.Add(backoff)
		l.eng.log.Error("leadflow: the store refuses to commit; trying again",
			slog.Any("error", err), slog.Int("failures", l.failures), slog.Duration("after", backoff))
		for _, r := range l.deciding {
			r.answer <- fmt.Errorf("engine: nothing was changed: %w", err)
		}
	}
	l.endBatch()
}

// reload reads anew what the batch was decided on, after another engine has
// changed some of it.
func (l *loop) reload() {
	var seqs []int64
	for _, e := range l.touched {
		if l.hot[e.rec.Seq] == e {
			seqs = append(seqs, e.rec.Seq)
		}
	}
	records, err := l.eng.store.Records(context.Background(), seqs)
	if err != nil {
		return // the next commit meets the same conflict, and then backs off
	}
	for _, rec := range records {
		e := l.hot[rec.Seq]
		x, err := decodeExtra(rec.Extra)
		if err != nil {
			continue
		}
		if e.run != nil && (rec.Visit != e.rec.Visit || rec.Attempt != e.rec.Attempt || rec.Phase != store.PhaseRunning) {
			e.run = nil // its result will be late
			l.running--
		}
		e.rec, e.extra = rec, x
	}
}

func (l *loop) endBatch() {
	clear(l.touched)
	clear(l.loaded)
	clear(l.launches)
	l.batch = batch{
		touched:  l.touched[:0],
		loaded:   l.loaded[:0],
		launches: l.launches[:0],
		counters: l.counters,
	}
}
