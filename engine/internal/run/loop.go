package run

import (
	"errors"
	"math"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

const (
	// maxBatch is how many leads a batch changes before the loop commits it, so that
	// the commit, and all who wait for it, do not take long.
	maxBatch = 2000
	// minShare is how many due leads, and how many starts, a batch takes even if requests
	// have filled it, so that an import does not stop leads that are under way.
	minShare = 200
	// maxSleep bounds how long a jump of the wall clock can go unnoticed.
	maxSleep = 10 * time.Second
	// The loop retries a failed commit after minBackoff, which doubles with each failure
	// in a row up to maxBackoff.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxConflicts is how many times in a row a stale batch is decided again without a
	// back-off, and maxShared the like with pauses where others use the store, too.
	maxConflicts = 3
	maxShared    = 200
)

// loop drives the core. It takes what has come in, has the core decide about each
// entry, has the store write all changes in one commit, and only then answers callers
// and starts handlers. Starts and removals are decided by the same goroutine, one after
// the other, which keeps promise 2. While a batch is being written, the next one is
// decided; see batch.
type loop struct {
	r       *Runner
	turning core.Turn // used for every decision
	flows   map[int64]*core.Flow
	broken  map[int64]error // leads that are left out, and why; see park
	share   *share          // nil if engines cannot share the store

	hot     map[int64]*entry // every lead in memory
	timers  queue            // by the time at which to look at them next
	ready   queue            // due leads that need a free worker
	again   queue            // interrupted attempts that need one, by deadline; they come first
	horizon horizon
	sweeps  []*sweep
	limits  limits
	// starting are starts that count for limits and whose handlers were not called yet.
	starting []starting
	guards   map[int64]*core.Guard // by workflow

	current   *request    // being decided
	counting  bool        // what is counted now is attributed to the lead of a result
	questions []*question // asked in this turn
	requests  []*request  // taken from the inbox, not yet decided
	deferred  []*request  // to be decided when the batch in flight has landed
	results   []result
	draining  bool
	closing   bool
	failures  int // commits that failed in a row
	retryAt   store.Millis

	now    store.Millis
	began  store.Millis
	total  counters // of all batches that took effect
	*batch          // being decided
	spare  []*batch
	flying *batch // being written, nil when none is

	// landing is the batch in flight once it has been written. The writing goroutine
	// takes batches from writer and returns them through landed. A stepped engine has no
	// such goroutine, and writes on its caller's.
	landing *batch
	writer  chan *batch
	landed  chan *batch
}

func newLoop(r *Runner) *loop {
	l := &loop{
		r: r, flows: map[int64]*core.Flow{}, broken: map[int64]error{}, hot: map[int64]*entry{}, horizon: newHorizon(),
		batch: &batch{},
	}
	l.began = l.clock()
	if r.shared != nil {
		l.share = &share{}
	}
	return l
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
		case l.flying != nil: // woken by its landing, or when enough has come in
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

// sleep returns how long there is nothing to do if nothing comes in.
func (l *loop) sleep() time.Duration {
	now := l.clock()
	if l.resting() {
		// The queues may be full of due leads that could not be committed.
		return time.Duration(l.retryAt-now) * time.Millisecond
	}
	if len(l.requests)+len(l.results)+len(l.sweeps) > 0 || l.horizon.wanted(l, now) {
		return 0
	}
	if l.again.Len()+l.ready.Len() > 0 && !l.draining && l.busy() < l.r.Workers {
		return 0 // the batch was full before all free workers had work
	}
	opens := l.limits.nextMessage()
	if len(l.limits.lines) > 0 && !l.draining && l.busy() < l.r.Workers {
		if opens = min(opens, l.limitOpens(now)); opens <= now {
			return 0
		}
		if l.share != nil && !l.limits.reading && l.limits.waiting() {
			opens = min(opens, max(l.limits.readAt, now+1))
		}
	}
	until := min(now.Add(365*24*time.Hour), l.horizon.wantedAt(), l.horizon.opening, opens)
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

// worthDeciding is how many entries must have come in before they are decided while a
// batch is in flight; fewer wait for its landing.
const worthDeciding = 64

// expect tells the inbox how many entries must come in before it wakes the loop.
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
			break // a new request does not shorten the back-off after a failed commit
		}
		if l.flying == nil || !l.full() && len(l.flying.staged) == 0 {
			l.decideBatch()
		}
	case l.landing.err == nil && l.decided() && len(l.deferred)+len(l.sweeps) == 0:
		// The next batch is handed to the writer before this one takes effect, so that
		// the disk does not wait.
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
	if l.draining && l.flying == nil && l.total.live == 0 && len(l.requests)+len(l.results) == 0 && l.handedOver() {
		l.r.drained()
	}
}

// resting reports whether the loop is in the back-off after a failed commit.
func (l *loop) resting() bool { return l.failures > 0 && l.retryAt > l.now }

// decideBatch decides, and has the batch written unless another one is in flight.
func (l *loop) decideBatch() {
	if err := l.decide(); err != nil {
		l.takeBack(l.batch, err)
	} else if l.flying == nil {
		l.takeOff()
	}
}

// takeOff hands the batch to the writer and then, if the batch before it has landed,
// lets that one take effect.
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

// storeError is a failure of the store while deciding: it fails the whole batch, not
// only the request that got it.
type storeError struct{ err error }

func (e *storeError) Error() string { return "engine: store: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

func storeFailed(err error) bool {
	var failed *storeError
	return errors.As(err, &failed)
}

// decide applies everything that has come in, and everything that is due, to the
// entries in memory. An error means that the store could not be read.
func (l *loop) decide() error {
	if len(l.starting) > 0 {
		l.lookAtStarts()
	}
	if err := l.settle(); err != nil {
		return err
	}
	for len(l.requests) > 0 && !l.full() {
		r := l.requests[0]
		l.requests = l.requests[1:]
		l.current, r.leads = r, r.leads[:0]
		err := r.decide(l)
		l.current = nil
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
	if len(l.limits.lines) > 0 {
		if err := l.sendMessages(); err != nil {
			return err
		}
	}
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
	l.limits.reopen()
	defer l.lookAtAccount()
	for !l.draining && l.busy() < l.r.Workers && len(l.touched) < full {
		e, err := l.nextBegin()
		if err != nil {
			return err
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

// nextBegin returns the lead that gets a free worker next, or nil.
func (l *loop) nextBegin() (*entry, error) {
	if e := l.again.first(); e != nil {
		return e, nil
	}
	e := l.ready.first()
	if len(l.limits.lines) == 0 {
		return e, nil
	}
	limited, err := l.nextLimited()
	if limited != nil && (e == nil || limited.at < e.at) {
		l.served(limited)
		return limited, err
	}
	return e, err
}

// begin gives a lead that waits for a worker a free one, if it still needs one.
func (l *loop) begin(e *entry) error {
	if !l.mine(e) {
		l.place(e)
		return nil
	}
	err := l.apply(e, core.Begin{})
	if errors.Is(err, core.ErrNotNow) {
		return l.due(e)
	}
	return l.lasting(e, err)
}

// due acts on a lead whose time has come.
func (l *loop) due(e *entry) error {
	if !l.mine(e) {
		l.place(e)
		return nil
	}
	f := l.flow(e.view.Rec.Workflow)
	if core.Next(&e.view, f, l.now).Kind == core.Change {
		return l.lasting(e, l.apply(e, core.Advance{}))
	}
	if e.free() {
		l.place(e)
	}
	return nil
}

// lasting parks the lead of an error of the core: something in its row is wrong, and
// retrying does not help. It returns only errors of the store.
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

// settle applies the results of handlers and hooks. A result for a lead that a batch
// changes waits until that batch is on disk: for example, it must be certain that a
// deadline has passed before a late answer is refused.
func (l *loop) settle() error {
	results := l.results
	l.results = nil
	for i, r := range results {
		if e := l.hot[r.lead()]; e != nil && e.touched { // by the batch in flight, or by this one
			l.results = append(l.results, r)
			continue
		}
		l.settling = append(l.settling, r)
		before := l.counters
		l.counting = true
		err := r.settle(l)
		l.counting = false
		if e := l.hot[r.lead()]; e != nil {
			if e.touched && l.shares() {
				l.settled = append(l.settled, r)
				e.counted(l.counters, &before)
			}
			err = l.lasting(e, err)
		}
		if err != nil {
			l.results = append(l.results, results[i+1:]...)
			return err
		}
	}
	return nil
}

// close answers the requests that are left with ErrNotRunning, and cancels what still
// runs.
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
