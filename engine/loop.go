package engine

import (
	"errors"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

const (
	// maxBatch is how many leads a batch changes before the loop commits it, so
	// that nobody waits long behind a crowd.
	maxBatch = 1000
	// minShare is how many leads come due, and how many are started, in a batch
	// that others have filled, so that no import holds up who is under way.
	minShare = 200
	// maxSleep bounds how long a jump of the wall clock can go unnoticed.
	maxSleep = 10 * time.Second
	// After a failed commit the loop tries again after this long, doubled at each
	// failure up to the second.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxConflicts is how often in a row a stale batch is decided anew at once.
	maxConflicts = 3
)

// loop is the one writer. It takes what has come in, lets the machine decide
// each, has the store write all of it in one commit, and only then answers
// callers and starts handlers. Starts and removals are decided by the same
// goroutine in one order, which is what keeps promise 2.
type loop struct {
	eng     *Engine
	machine *lead.Machine
	flows   map[int64]*flow

	hot     map[int64]*entry // every lead in memory
	timers  queue            // by when to look at them next
	ready   queue            // due, and in need of a free worker
	again   queue            // before those, attempts to be delivered again, by their deadline
	horizon horizon
	sweeps  []*sweep

	requests []*request // taken from the inbox, not yet decided
	results  []result
	draining bool
	failures int // commits that failed in a row
	retryAt  store.Millis

	batch
}

// run turns until stop is closed.
func (l *loop) run(stop <-chan struct{}) {
	for {
		var wake func() bool
		if d := l.sleep(); d > 0 {
			wake = l.eng.config.Clock.AfterFunc(d, l.eng.inbox.wake)
		} else {
			l.eng.inbox.wake()
		}
		select {
		case <-stop:
		case <-l.eng.inbox.signal:
		}
		if wake != nil {
			wake()
		}
		select {
		case <-stop:
			l.close()
			return
		default:
			l.turn()
		}
	}
}

// sleep returns how long there is nothing to do, unless something comes in.
func (l *loop) sleep() time.Duration {
	now := l.clock()
	if l.failures > 0 {
		// The heap may be full of what could not be committed.
		return time.Duration(l.retryAt-now) * time.Millisecond
	}
	if len(l.requests) > 0 || len(l.sweeps) > 0 || l.horizon.wanted(l, now) {
		return 0
	}
	if l.again.Len()+l.ready.Len() > 0 && !l.draining && l.running < l.eng.config.Workers {
		return 0 // the batch was full before the free workers were given work
	}
	until := min(now.Add(365*24*time.Hour), l.horizon.wantedAt())
	for _, q := range []*queue{&l.timers, &l.again} {
		if e := q.first(); e != nil {
			until = min(until, e.at)
		}
	}
	if _, real := l.eng.config.Clock.(realClock); real {
		until = min(until, now.Add(maxSleep))
	}
	return time.Duration(until-now) * time.Millisecond
}

func (l *loop) clock() store.Millis { return store.MillisOf(l.eng.config.Clock.Now()) }

// turn decides one batch, commits it, and lets it take effect.
func (l *loop) turn() {
	l.eng.inbox.take(l)
	before := l.counters
	l.now = l.clock()
	err := l.decide()
	var done store.Result
	if err == nil {
		done, err = l.commit()
	}
	if err != nil {
		l.counters = before
		l.takeBack(err)
	} else {
		l.failures = 0
		l.publish(done)
	}
	l.horizon.trim(l)
	l.eng.publishStats(l)
	if l.draining && l.live == 0 && len(l.requests) == 0 && len(l.results) == 0 {
		l.eng.drained()
	}
}

// storeError is a failure of the store while deciding: it fails the batch, not
// the request that met it.
type storeError struct{ err error }

func (e *storeError) Error() string { return "engine: store: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

func storeFailed(err error) bool {
	var failed *storeError
	return errors.As(err, &failed)
}

// decide lets everything that has come in, and everything that is due, change
// the entries in memory. An error means that the store could not be read.
func (l *loop) decide() error {
	l.settling, l.results = l.results, nil
	for _, r := range l.settling {
		if err := r.settle(l); err != nil {
			return err
		}
	}
	for len(l.requests) > 0 && len(l.touched) < maxBatch {
		r := l.requests[0]
		l.requests = l.requests[1:]
		l.deciding = append(l.deciding, r)
		if r.refusal = r.decide(l); storeFailed(r.refusal) {
			return r.refusal
		}
	}
	if err := l.sweepPage(); err != nil {
		return err
	}
	if err := l.horizon.fill(l); err != nil {
		return err
	}
	full := max(maxBatch, len(l.touched)+minShare)
	for _, q := range []*queue{&l.timers, &l.again} {
		for len(l.touched) < full {
			e := q.first()
			if e == nil || e.at > l.now {
				break
			}
			e.unqueue()
			if err := l.due(e); err != nil {
				return err
			}
		}
	}
	full = max(maxBatch, len(l.touched)+minShare)
	for !l.draining && l.running < l.eng.config.Workers && len(l.touched) < full {
		e := l.again.first()
		if e == nil {
			e = l.ready.first()
		}
		if e == nil {
			break
		}
		e.unqueue()
		if err := l.launch(e); err != nil {
			return err
		}
	}
	return nil
}

// place puts an entry where the loop will find it when something must happen,
// or lets go of it when the store will do.
func (l *loop) place(e *entry) {
	r := &e.rec
	f := l.flow(r.Workflow)
	switch {
	case r.State.Final() || f == nil || f.row.Deleted:
		l.drop(e)
	case e.run != nil:
		l.timers.add(e, r.Deadline)
	case e.hooks != nil:
		e.unqueue() // its result comes by the inbox
	case parked(r, f, l.now) || l.horizon.beyond(r, f, l.now):
		l.drop(e)
	default:
		l.timers.add(e, r.Wake)
	}
}

func (l *loop) drop(e *entry) {
	e.unqueue()
	delete(l.hot, e.rec.Seq)
}

// close answers whoever still asks, and ends what still runs.
func (l *loop) close() {
	for _, r := range append(l.requests, l.eng.inbox.close()...) {
		r.answer <- ErrNotRunning
	}
	for _, e := range l.hot {
		if e.run != nil {
			e.run.cancel(ErrShutdown)
		}
		if e.hooks != nil {
			e.hooks.cancel(ErrShutdown)
		}
	}
}
