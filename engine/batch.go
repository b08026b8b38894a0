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

// batch is what the loop has decided and not yet let take effect. One is being
// decided while the one before it is written, so that the disk waits for no
// decision. The two have no lead in common: one that a batch in flight changes
// is left alone until that has landed, so either can be taken back by itself.
type batch struct {
	writes   store.Batch
	touched  []*entry
	loaded   []*entry // read from the store for this batch
	fresh    []*entry // enrolled, in the order of writes.Enroll
	staged   map[int64]*flow
	deciding []*request
	settling []result
	launches []*entry // whose run, or hooks, are to be launched
	after    []func() // what else is to happen once the batch is on disk
	counters          // what the batch adds to the loop's

	// What writing it came to.
	done store.Result
	err  error
}

// counters change with decisions.
type counters struct {
	running int // entries with a run
	live    int // goroutines whose result is still awaited
	stats   Stats
}

// decided reports whether there is anything in the batch.
func (b *batch) decided() bool {
	return len(b.touched)+len(b.loaded)+len(b.deciding)+len(b.settling)+len(b.after) > 0 || !b.writes.Empty()
}

func (c *counters) add(d *counters) {
	c.running += d.running
	c.live += d.live
	c.stats.add(&d.stats)
}

// errInFlight: what is to be decided on is being changed by the batch in
// flight. The request is decided when that has landed.
var errInFlight = errors.New("engine: changed by the batch in flight")

// touch notes that the batch changes e, before it does.
func (l *loop) touch(e *entry) {
	if !e.touched {
		e.touched = true
		e.was = e.view
		l.touched = append(l.touched, e)
	}
}

// get returns the lead with that number, from memory or from the store, or nil
// when there is none. errInFlight is for the request to return.
func (l *loop) get(seq int64) (*entry, error) {
	if e := l.hot[seq]; e != nil {
		if e.inFlight {
			return nil, errInFlight
		}
		return e, nil
	}
	leads, err := l.eng.store.Load(context.Background(), []int64{seq})
	if err != nil {
		return nil, &storeError{err}
	}
	if len(leads) == 0 {
		return nil, nil
	}
	return l.adopt(leads[0].Record)
}

// adopt takes a lead that the store has, and memory has not, into memory, for
// the length of the batch at least.
func (l *loop) adopt(rec store.Record) (*entry, error) {
	x, err := decodeExtra(rec.EngineState)
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

// fly hands what was decided, and is sealed, to the store. Nothing of it has
// happened before it is on disk (promise 1).
func (l *loop) fly() {
	b := l.batch
	for _, e := range b.touched {
		e.inFlight = true
		e.unqueue()
	}
	l.flying = b
	if n := len(l.free); n > 0 {
		l.batch, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.batch = &batch{}
	}
	if l.writer != nil {
		l.writer <- b
	} else {
		b.write(l.eng.store)
		l.landing = b
	}
}

// write commits the batch.
func (b *batch) write(s store.Store) {
	// The writer's context is its own: one that a caller cancels in the middle of
	// a write would leave the connection busy.
	b.done, b.err = s.Commit(context.Background(), &b.writes)
}

// seal makes what was decided into rows.
func (l *loop) seal() error {
	steps := 0
	for _, e := range l.touched {
		steps += len(e.steps)
	}
	nextStep := int64(0)
	if steps > 0 {
		var err error
		if nextStep, err = l.eng.store.Reserve(context.Background(), store.StepSequence, steps); err != nil {
			return err
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
			return err
		}
		e.rec.EngineState, e.rec.Updated = text, l.now
		if e.fresh {
			continue
		}
		e.rec.Version++
		l.writes.Changes = append(l.writes.Changes, store.Change{Before: e.was.rec, After: e.rec})
	}
	for _, e := range l.fresh {
		l.writes.Enroll = append(l.writes.Enroll, store.Enrollment{Record: e.rec, Contact: e.contact.Contact})
	}
	return nil
}

// land lets the batch that has landed take effect, or takes it back.
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
	l.failures = 0
	if !b.writes.Empty() {
		b.stats.Commits++
	}
	for seq, f := range b.staged {
		l.publishFlow(seq, f)
	}
	for _, e := range b.touched {
		e.inFlight = false
	}
	for _, refused := range b.done.Refused {
		e := b.fresh[refused.Index]
		e.contact.live = refused.Live
		l.forgetFresh(b, e)
	}
	for _, e := range b.touched {
		e.touched, e.fresh, e.steps, e.was = false, false, nil, view{}
		if e.rec.State.Final() {
			l.eng.detached(e.rec.Seq)
		}
		if l.hot[e.rec.Seq] == e {
			l.place(e)
		}
	}
	for _, e := range b.loaded {
		// Unless the batch after this one has something to do with it.
		if l.hot[e.rec.Seq] == e && !e.touched && !e.inFlight {
			l.place(e)
		}
	}
	if !l.closing {
		l.launchCalls(b)
	}
	for _, f := range b.after {
		f()
	}
	l.total.add(&b.counters)
	for _, r := range b.deciding {
		r.answer <- r.refusal
	}
	l.over(b)
}

// launchCalls has the handlers and hooks called that the batch begins.
func (l *loop) launchCalls(b *batch) {
	var unread []call
	for _, e := range b.launches {
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
}

// forgetFresh takes a lead out of memory that was not enrolled after all.
func (l *loop) forgetFresh(b *batch, e *entry) {
	b.stats.LeadsEnrolled--
	if e.rec.State == lead.Completed {
		b.stats.LeadsCompleted--
	}
	if e.run != nil {
		b.stats.StepsStarted--
		b.running--
		b.live--
		e.run = nil
	}
	l.drop(e)
}

// takeBack undoes a batch that the store did not take. What handlers and hooks
// came to is kept for the next batch; callers are told, unless the batch was
// only stale.
func (l *loop) takeBack(b *batch, err error) {
	for _, e := range b.touched {
		fresh := e.fresh
		e.touched, e.fresh, e.inFlight, e.steps = false, false, false, nil
		if fresh {
			e.run, e.hooks = nil, nil
			e.unqueue()
			delete(l.hot, e.rec.Seq)
			continue
		}
		e.view, e.was = e.was, view{}
	}
	if len(b.staged) > 0 {
		// Leads were passed over and let go of as if those workflows had changed.
		b.staged = nil
		l.horizon.rewind()
	}
	stale := errors.Is(err, store.ErrConflict) && l.failures < maxConflicts
	if stale {
		l.reload(b)
	}
	l.failures++
	for _, list := range [][]*entry{b.touched, b.loaded} {
		for _, e := range list {
			if l.hot[e.rec.Seq] == e && !e.touched && !e.inFlight {
				l.place(e)
			}
		}
	}
	l.results = append(slices.Clone(b.settling), l.results...)
	if stale {
		l.requests = append(slices.Clone(b.deciding), l.requests...)
		l.retryAt = l.now
	} else {
		backoff := min(minBackoff<<min(l.failures-1, 10), maxBackoff)
		l.retryAt = l.now.Add(backoff)
		l.eng.log.Error("leadflow: the store refuses to commit; trying again",
			slog.Any("error", err), slog.Int("failures", l.failures), slog.Duration("after", backoff))
		for _, r := range b.deciding {
			r.answer <- fmt.Errorf("engine: nothing was changed: %w", err)
		}
	}
	l.over(b)
}

// reload reads anew what the batch was decided on, after another engine has
// changed some of it.
func (l *loop) reload(b *batch) {
	var seqs []int64
	for _, e := range b.touched {
		if l.hot[e.rec.Seq] == e {
			seqs = append(seqs, e.rec.Seq)
		}
	}
	leads, err := l.eng.store.Load(context.Background(), seqs)
	if err != nil {
		return // the next commit meets the same conflict, and then backs off
	}
	for i := range leads {
		rec := leads[i].Record
		e := l.hot[rec.Seq]
		x, err := decodeExtra(rec.EngineState)
		if err != nil {
			continue
		}
		if e.run != nil && (rec.Visit != e.rec.Visit || rec.Attempt != e.rec.Attempt || rec.Phase != store.PhaseRunning) {
			e.run = nil // its result will be late
			l.total.running--
		}
		e.rec, e.extra = rec, x
	}
}

// over ends a batch, and lets what had to wait for it be decided.
func (l *loop) over(b *batch) {
	b.reset()
	if b != l.batch {
		l.free = append(l.free, b)
		l.requests = append(l.deferred, l.requests...)
		l.deferred = nil
	}
}

// reset empties a batch, to be used again.
func (b *batch) reset() {
	clear(b.touched)
	clear(b.loaded)
	clear(b.fresh)
	clear(b.deciding)
	clear(b.settling)
	clear(b.launches)
	clear(b.after)
	clear(b.writes.Changes)
	clear(b.writes.Enroll)
	clear(b.writes.Steps)
	*b = batch{
		touched: b.touched[:0], loaded: b.loaded[:0], fresh: b.fresh[:0], deciding: b.deciding[:0],
		settling: b.settling[:0], launches: b.launches[:0], after: b.after[:0],
		writes: store.Batch{Changes: b.writes.Changes[:0], Enroll: b.writes.Enroll[:0], Steps: b.writes.Steps[:0]},
	}
}
