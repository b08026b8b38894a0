package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Stepped is an engine that its caller drives: it has no goroutine and waits
// for nothing, so that what happens, and in which order, depends on the caller
// alone. It is for tests and simulations; package enginetest makes both easy.
// Everything that decides is that of any other engine.
//
// A method of Engine that changes something decides it on the caller's
// goroutine and returns when it is in the store. Handlers and hooks are not
// called then but by [Stepped.Settle], one after the other, on the goroutine that
// calls it; they may call every method of the engine but Settle. Time is
// Config.Clock's: Settle does what is due by it, and [Stepped.Next] says when
// something will be.
//
// One goroutine at a time may use it, and a handler must not pass it on to
// another. Where the engine notices that two do, it refuses with
// [ErrConcurrentUse].
type Stepped struct {
	*Engine
}

// ErrConcurrentUse: a stepped engine was used by two goroutines at once, or
// Settle was called by a handler or a hook. What was asked for may still be
// carried out.
var ErrConcurrentUse = errors.New("engine: a stepped engine was used by two goroutines at once, or settled by a handler")

// ErrStalled: what a call to a stepped engine waits for does not happen before
// the clock goes on.
var ErrStalled = errors.New("engine: a stepped engine waits for what only happens later; let its clock go on")

// NewStepped returns an engine like that of New, to be driven by its caller.
// The ids that it makes follow from seed.
//
// Its errors are those of New: a missing store, a faulty Config, every fault of
// which is named, a store that cannot be read, and a workflow in it that this
// version cannot run. Config.Clock must be set, because nothing but its caller
// wakes a stepped engine.
func NewStepped(s store.Store, c Config, seed uint64) (*Stepped, error) {
	e, err := New(s, c)
	if c.Clock == nil {
		err = errors.Join(err, errors.New("engine: config: Clock is nil; a stepped engine has the time that its caller sets"))
	}
	if err != nil {
		return nil, err
	}
	e.stepped = &stepper{eng: e, seed: seed}
	return &Stepped{e}, nil
}

// Settle does everything that can be done at the clock's present time: it
// decides what is due, calls the handlers and hooks that this starts, takes
// their answers, and goes on until nothing is left to do.
//
// Its error is ErrNotRunning or ErrConcurrentUse. A store that fails is no error
// of Settle: the engine tries again later, and Next says when.
func (s *Stepped) Settle() error {
	d := s.stepped
	if !d.running() {
		return ErrNotRunning
	}
	if !d.settling.CompareAndSwap(false, true) {
		return ErrConcurrentUse
	}
	defer d.settling.Store(false)
	_, err := d.settle(func() bool { return false })
	return err
}

// Next returns when something is to be done next, or false when that is never,
// unless something comes in. It may be that nothing happens then, because a lead
// is only read ahead of its time; Settle and ask again.
func (s *Stepped) Next() (time.Time, bool) {
	d := s.stepped
	if !d.running() {
		return time.Time{}, false
	}
	l := d.loop
	switch now := l.clock(); {
	case d.called < len(d.queue) || d.ready():
		return now.Time(), true
	case l.failures == 0 && l.timers.Len()+l.again.Len() == 0 && !l.horizon.more && l.horizon.cursor.Wake == store.MaxMillis:
		return time.Time{}, false
	default:
		return now.Add(l.sleep()).Time(), true
	}
}

// Takes is for a handler or a hook to say that it takes so much of the clock's
// time: its answer reaches the engine that much later than it returns, by a
// function that Config.Clock is given to call. Several calls add up.
func (s *Stepped) Takes(d time.Duration) { s.stepped.took += max(d, 0) }

// stepper stands in for the goroutines of an engine.
type stepper struct {
	eng  *Engine
	seed uint64
	loop *loop // nil before Start

	turning, settling atomic.Bool
	queue             []func()      // handlers and hooks to be called, in order
	called            int           // how many of the queue have been
	took              time.Duration // as the one that runs says
}

// spawn has f called away from the loop: on a goroutine, or by the caller of a
// stepped engine.
func (e *Engine) spawn(f func()) {
	if e.stepped == nil {
		go f()
		return
	}
	e.stepped.queue = append(e.stepped.queue, f)
}

// tell has the loop know what a handler or a hook came to.
func (e *Engine) tell(r result) {
	if d := e.stepped; d != nil && d.took > 0 {
		e.config.Clock.AfterFunc(d.took, func() { e.inbox.tell(r) })
		return
	}
	e.inbox.tell(r)
}

func (d *stepper) running() bool {
	select {
	case <-d.eng.stopped:
		return false
	default:
		return d.loop != nil
	}
}

// ready reports whether the loop of another engine would turn now.
func (d *stepper) ready() bool { return len(d.eng.inbox.signal) > 0 || d.loop.sleep() <= 0 }

func (d *stepper) turn() error {
	if !d.running() {
		return ErrNotRunning
	}
	if !d.turning.CompareAndSwap(false, true) {
		return ErrConcurrentUse
	}
	defer d.turning.Store(false)
	select {
	case <-d.eng.inbox.signal:
	default:
	}
	d.loop.turn()
	return nil
}

// decide turns until a request that is in the inbox has its answer.
func (d *stepper) decide(r *request) error {
	for len(r.answer) == 0 {
		if err := d.turn(); err != nil {
			return err
		}
	}
	return nil
}

// settle turns, and calls what the turns launch, until done or until nothing is
// left to do. All that a turn launched is called before the next one, which
// takes all of their answers in one batch.
func (d *stepper) settle(done func() bool) (bool, error) {
	if d.turning.Load() {
		return false, ErrConcurrentUse
	}
	for !done() {
		switch {
		case d.called < len(d.queue):
			d.run()
		case d.ready():
			if err := d.turn(); err != nil {
				return false, err
			}
		default:
			return false, nil
		}
	}
	return true, nil
}

// run calls the next handler, or hooks. One that waits for something else in
// the engine may have another one called inside of it.
func (d *stepper) run() {
	f := d.queue[d.called]
	d.queue[d.called] = nil
	if d.called++; d.called == len(d.queue) {
		d.queue, d.called = d.queue[:0], 0
	}
	outer := d.took
	d.took = 0
	defer func() { d.took = outer }()
	f()
}

// await settles until done is closed.
func (d *stepper) await(done <-chan struct{}) error {
	over, err := d.settle(func() bool { return closed(done) || closed(d.eng.stopped) })
	if err == nil && !over {
		err = ErrStalled
	}
	return err
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// runHook calls a hook, which is late when it says that it takes longer than
// hooks have.
func (d *stepper) runHook(late error, hook func() error) error {
	before := d.took
	d.took = 0
	err := hook()
	if most := d.eng.config.HookTimeout; d.took > most {
		d.took, err = most, late
	}
	d.took += before
	return err
}

// shutdown ends an engine that drains: when all that runs is over or, with an
// error, before that, because ctx has ended or the clock would have to go on.
func (d *stepper) shutdown(ctx context.Context) error {
	if !d.running() {
		return nil
	}
	err := context.Cause(ctx)
	if err == nil {
		err = d.await(d.eng.idle)
	}
	d.eng.stopOnce.Do(func() { close(d.eng.stop) })
	d.queue, d.called = nil, 0
	d.loop.close()
	close(d.eng.stopped)
	return err
}

// newLeadID and newWorkflowID give fresh ids, or those that a simulation's seed
// leads to.

func (e *Engine) newLeadID(at time.Time, seq int64) (lead.ID, error) {
	if e.stepped != nil {
		return lead.IDFrom(at, seq, e.stepped.random(seq)), nil
	}
	return lead.NewID(at, seq)
}

func (e *Engine) newWorkflowID(at time.Time, seq int64) (lead.WorkflowID, error) {
	if e.stepped != nil {
		return lead.WorkflowIDFrom(at, seq, e.stepped.random(-seq)), nil
	}
	return lead.NewWorkflowID()
}

// random mixes the seed with a number; the mixing is that of SplitMix64
// (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
func (d *stepper) random(n int64) uint64 {
	x := d.seed + uint64(n)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
