package run

import (
	"errors"
	"math"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

const (
	// maxBatch is how many leads a batch changes before the loop commits it, so
	// that nobody waits long behind a crowd.
	maxBatch = 2000
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

// loop feeds the core. It takes what has come in, has the core decide each, has
// the store write all of it in one commit, and only then answers callers and
// starts handlers. Starts and removals are decided by the same goroutine in one
// order, which is what keeps promise 2. While a batch is being written the next
// one is decided; see batch.
type loop struct {
	r       *Runner
	turning core.Turn // used for every decision
	flows   map[int64]*core.Flow
	broken  map[int64]error // leads that are left out, and why; see park

	hot     map[int64]*entry // every lead in memory
	timers  queue            // by when to look at them next
	ready   queue            // due, and in need of a free worker
	again   queue            // before those, attempts to be delivered again, by their deadline
	horizon horizon
	sweeps  []*sweep

	questions []*question // asked in this turn
	requests  []*request  // taken from the inbox, not yet decided
	deferred  []*request  // to be decided when the batch in flight has landed
	results   []result
	draining  bool
	closing   bool
	failures  int // commits that failed in a row
	retryAt   store.Millis

	now    store.Millis
	total  counters // of all batches that took effect
	*batch          // being decided
	spare  []*batch
	flying *batch // being written, nil when none is

	// landing is the batch in flight once it has been written. The goroutine that
	// writes takes batches from writer and returns them by landed; a stepped engine
	// has none, and writes at once.
	landing *batch
	writer  chan *batch
	landed  chan *batch
}

func newLoop(r *Runner) *loop {
	return &loop{
		r: r, flows: map[int64]*core.Flow{}, broken: map[int64]error{}, hot: map[int64]*entry{}, horizon: newHorizon(),
		batch: &batch{},
	}
}

// run turns until stop is closed.
func (l *loop) run(stop <-chan struct{}) {
	l.writer, l.landed = make(chan *batch, 1), make(chan *batch, 1)
	go func() {
		for b := range l.writer {
			b.write(l.r.Store)
			l.landed <- b
		}
	}()
	for {
		l.expect()
		var wake func() bool
		switch d := l.sleep(); {
		case l.flying != nil: // its landing wakes, or enough that comes in
		case d > 0:
			wake = l.r.Clock.AfterFunc(d, l.r.inbox.wake)
		default:
			l.r.inbox.wake()
		}
		select {
		case <-stop:
		case <-l.r.inbox.signal:
		case l.landing = <-l.landed:
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
	if l.resting() {
		// The heap may be full of what could not be committed.
		return time.Duration(l.retryAt-now) * time.Millisecond
	}
	if len(l.requests)+len(l.results)+len(l.sweeps) > 0 || l.horizon.wanted(l, now) {
		return 0
	}
	if l.again.Len()+l.ready.Len() > 0 && !l.draining && l.busy() < l.r.Workers {
		return 0 // the batch was full before the free workers were given work
	}
	until := min(now.Add(365*24*time.Hour), l.horizon.wantedAt(), l.horizon.opening)
	for _, q := range []*queue{&l.timers, &l.again} {
		if e := q.first(); e != nil {
			until = min(until, e.at)
		}
	}
	if l.r.WallClock {
		until = min(until, now.Add(maxSleep))
	}
	return time.Duration(until-now) * time.Millisecond
}

func (l *loop) clock() store.Millis { return store.MillisOf(l.r.Clock.Now()) }

// worthDeciding is how much must have come in to be decided while a batch is in
// flight; what is less waits for its landing.
const worthDeciding = 64

// expect tells the inbox how much must come in before it wakes the loop.
func (l *loop) expect() {
	switch {
	case l.flying == nil:
		l.r.inbox.expect(1)
	case l.full() || len(l.flying.staged) > 0:
		l.r.inbox.expect(math.MaxInt)
	default:
		l.r.inbox.expect(worthDeciding)
	}
}

func (l *loop) full() bool { return len(l.touched) >= maxBatch }

// turn decides, and has what was decided written unless a batch is in flight.
func (l *loop) turn() {
	l.r.inbox.take(l)
	l.now = l.clock()
	if l.flying != nil && l.landing == nil {
		select {
		case l.landing = <-l.landed:
		default:
		}
	}
	switch {
	case l.landing == nil:
		if l.flying == nil && l.resting() && l.r.stepper == nil {
			break // a request that comes in does not hurry a store that fails
		}
		if l.flying == nil || !l.full() && len(l.flying.staged) == 0 {
			l.decideBatch()
		}
	case l.landing.err == nil && l.decided() && len(l.deferred)+len(l.sweeps) == 0:
		// The next batch takes off before this one takes effect, so that the disk
		// does not wait.
		l.takeOff()
	default:
		l.land()
		if !l.resting() {
			l.decideBatch()
		}
	}
	l.horizon.trim(l)
	l.answerQuestions()
	l.r.publishStats(l)
	if l.draining && l.flying == nil && l.total.live == 0 && len(l.requests)+len(l.results) == 0 {
		l.r.drained()
	}
}

// resting reports whether the store failed a moment ago and has not had time to
// recover.
func (l *loop) resting() bool { return l.failures > 0 && l.retryAt > l.now }

// decideBatch decides, and has the batch written unless another one is in flight.
func (l *loop) decideBatch() {
	if err := l.decide(); err != nil {
		l.takeBack(l.batch, err)
	} else if l.flying == nil {
		l.takeOff()
	}
}

// takeOff has what was decided written and then, if a batch has landed, lets that
// take effect.
func (l *loop) takeOff() {
	landed := l.landing
	l.flying, l.landing = nil, nil
	switch err := l.seal(); {
	case err != nil:
		l.takeBack(l.batch, err)
	case l.writes.Empty():
		if landed != nil {
			l.publish(landed)
			landed = nil
		}
		l.publish(l.batch)
	default:
		l.fly()
	}
	if landed != nil {
		l.publish(landed)
	}
	if l.writer == nil && l.landing != nil {
		l.land()
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
	if err := l.settle(); err != nil {
		return err
	}
	for len(l.requests) > 0 && !l.full() {
		r := l.requests[0]
		l.requests = l.requests[1:]
		err := r.decide(l)
		if errors.Is(err, errInFlight) {
			l.deferred = append(l.deferred, r)
			continue
		}
		r.refusal = err
		l.deciding = append(l.deciding, r)
		if storeFailed(err) {
			return err
		}
	}
	if l.flying == nil {
		if err := l.sweepPage(); err != nil {
			return err
		}
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
	for !l.draining && l.busy() < l.r.Workers && len(l.touched) < full {
		e := l.again.first()
		if e == nil {
			e = l.ready.first()
		}
		if e == nil {
			break
		}
		e.unqueue()
		if err := l.begin(e); err != nil {
			return err
		}
	}
	return nil
}

// begin gives a lead that waits for a worker one that is free, if that is still
// what it needs.
func (l *loop) begin(e *entry) error {
	err := l.apply(e, core.Begin{})
	if errors.Is(err, core.ErrNotNow) {
		return l.due(e)
	}
	return l.lasting(e, err)
}

// due acts on a lead whose time has come.
func (l *loop) due(e *entry) error {
	f := l.flow(e.view.Rec.Workflow)
	if core.Next(&e.view, f, l.now).Kind == core.Change {
		return l.lasting(e, l.apply(e, core.Advance{}))
	}
	if e.free() {
		l.place(e)
	}
	return nil
}

// lasting takes an error of the core for what it is: something in the lead's row
// that no trying again mends.
func (l *loop) lasting(e *entry, err error) error {
	if err == nil || storeFailed(err) {
		return err
	}
	l.park(e.seq(), err)
	if !e.touched {
		l.drop(e)
	}
	return nil
}

// settle takes what has come of handlers and hooks. What concerns a lead on which
// something was decided that is not on disk yet waits until it is: whether a
// deadline has passed, say, must be settled before a late answer comes.
func (l *loop) settle() error {
	results := l.results
	l.results = nil
	for i, r := range results {
		if e := l.hot[r.lead()]; e != nil && e.touched { // by the batch in flight, or by this one
			l.results = append(l.results, r)
			continue
		}
		l.settling = append(l.settling, r)
		err := r.settle(l)
		if e := l.hot[r.lead()]; e != nil {
			err = l.lasting(e, err)
		}
		if err != nil {
			l.results = append(l.results, results[i+1:]...)
			return err
		}
	}
	return nil
}

// busy is how many workers have something to do, or will once what was decided
// takes effect.
func (l *loop) busy() int {
	n := l.total.running + l.running
	if l.flying != nil {
		n += l.flying.running
	}
	return n
}

// place puts an entry, on which nothing is being decided, where the loop will
// find it when something must happen, or lets go of it when the store will do.
func (l *loop) place(e *entry) {
	f := l.flow(e.view.Rec.Workflow)
	need := core.Next(&e.view, f, l.now)
	if need.Kind == core.Closed {
		l.horizon.passOver(need.At)
	}
	if !e.held() && (need.Kind == core.Nothing || need.Kind == core.Closed || l.horizon.beyond(&e.view.Rec, need)) {
		l.drop(e)
		return
	}
	switch need.Kind {
	case core.Nothing, core.Closed:
		e.unqueue() // its result comes by the inbox
	case core.Until:
		l.timers.add(e, need.At)
	case core.Worker:
		l.wantWorker(e, need)
	case core.Fact:
		if !e.reading {
			l.ask(e, f)
		}
	case core.Change:
		l.timers.add(e, l.now)
	}
}

// wantWorker has a lead wait for a free worker.
func (l *loop) wantWorker(e *entry, need core.Need) {
	if e.view.Rec.Phase == store.PhaseRunning {
		l.again.add(e, e.view.Rec.Deadline)
	} else {
		l.ready.add(e, need.At)
	}
}

func (l *loop) drop(e *entry) {
	e.unqueue()
	delete(l.hot, e.seq())
}

// close answers whoever still asks, and ends what still runs.
func (l *loop) close() {
	l.closing = true
	if l.flying != nil {
		if l.landing == nil {
			l.landing = <-l.landed
		}
		l.land()
	}
	if l.writer != nil {
		close(l.writer)
	}
	for _, list := range [][]*request{l.deciding, l.requests, l.r.inbox.close()} {
		for _, r := range list {
			r.answer <- ErrNotRunning
		}
	}
	for _, e := range l.hot {
		if e.call != nil {
			e.call.cancel(ErrShutdown)
		}
		if e.hooks != nil {
			e.hooks.cancel(ErrShutdown)
		}
	}
}
