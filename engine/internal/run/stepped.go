package run

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/store"
)

// This file runs the loop of a stepped engine.

// Settle does everything that can be done at the clock's present time; see
// engine.Stepped.
func (r *Runner) Settle() error {
	d := r.stepper
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

// Next returns when there is something to do next; see engine.Stepped.
func (r *Runner) Next() (time.Time, bool) {
	d := r.stepper
	if !d.running() {
		return time.Time{}, false
	}
	l := d.loop
	switch now := l.clock(); {
	case d.called < len(d.queue) || d.ready():
		return now.Time(), true
	case !l.resting() && l.timers.Len()+l.again.Len() == 0 && !l.horizon.more && l.horizon.opening == store.MaxMillis && l.horizon.cursor.Wake == store.MaxMillis && l.limitOpens(now) == store.MaxMillis:
		return time.Time{}, false
	default:
		return now.Add(l.sleep()).Time(), true
	}
}

// Takes adds to the time that the running handler or hook takes.
func (r *Runner) Takes(d time.Duration) { r.stepper.took += max(d, 0) }

// RunHook calls a hook of a stepped engine, and returns the error late if the hook says
// that it takes longer than most.
func (r *Runner) RunHook(most time.Duration, late error, hook func() error) error {
	d := r.stepper
	before := d.took
	d.took = 0
	err := hook()
	if d.took > most {
		d.took, err = most, late
	}
	d.took += before
	return err
}

// stepper stands in for the goroutines of an engine.
type stepper struct {
	run  *Runner
	loop *loop // nil before Start

	turning, settling atomic.Bool
	facts             []func()      // expressions to be evaluated
	queue             []func()      // handlers, hooks and listeners to be called, in order
	called            int           // how many of the queue have been called
	took              time.Duration // the time that the running one says it takes
}

// spawn has f called outside the loop: on a goroutine or, in a stepped engine, by
// Settle.
func (r *Runner) spawn(f func()) {
	if r.stepper == nil {
		go f()
		return
	}
	r.stepper.queue = append(r.stepper.queue, f)
}

// tell sends the result of a handler or of hooks to the loop.
func (r *Runner) tell(end result) {
	if d := r.stepper; d != nil && d.took > 0 {
		r.Clock.AfterFunc(d.took, func() { r.inbox.tell(end) })
		return
	}
	r.inbox.tell(end)
}

func (d *stepper) running() bool {
	select {
	case <-d.run.stopped:
		return false
	default:
		return d.loop != nil
	}
}

// ready reports whether the loop has something to do now.
func (d *stepper) ready() bool { return len(d.run.inbox.signal) > 0 || d.loop.sleep() <= 0 }

func (d *stepper) turn() error {
	if !d.running() {
		return ErrNotRunning
	}
	if !d.turning.CompareAndSwap(false, true) {
		return ErrConcurrentUse
	}
	defer d.turning.Store(false)
	for {
		select {
		case <-d.run.inbox.signal:
		default:
		}
		if s := d.run.sharer; s != nil && s.stepWanted(d.loop) {
			if err := s.step(context.Background(), d.loop, !d.run.inbox.drains()); err != nil {
				return err
			}
		}
		d.loop.turn()
		if len(d.facts) == 0 {
			return nil
		}
		facts := d.facts
		d.facts = nil
		for _, read := range facts {
			read()
		}
	}
}

// decide runs the loop until a request in the inbox has its answer.
func (d *stepper) decide(r *request) error {
	for len(r.answer) == 0 {
		if err := d.turn(); err != nil {
			return err
		}
	}
	return nil
}

// settle runs the loop, and what the loop starts, until done or until nothing is left
// to do. Everything that one turn of the loop starts is called before the next turn,
// which takes all of the answers in one batch.
func (d *stepper) settle(done func() bool) (bool, error) {
	if d.turning.Load() {
		return false, ErrConcurrentUse
	}
	for !done() {
		switch {
		case d.called < len(d.queue):
			d.callNext()
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

// callNext calls the next handler, hooks or listener. If it waits for something else in
// the engine, another one may be called inside of it.
func (d *stepper) callNext() {
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
	over, err := d.settle(func() bool { return closed(done) || closed(d.run.stopped) })
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

// shutdown ends an engine that drains. It returns an error if ctx has ended, or if
// something still runs that needs the clock to advance.
func (d *stepper) shutdown(ctx context.Context) error {
	if !d.running() {
		return nil
	}
	err := context.Cause(ctx)
	if err == nil {
		err = d.await(d.run.idle)
		for err == nil && d.called < len(d.queue) {
			d.callNext() // listeners, since nothing else is left
		}
	}
	d.run.stopOnce.Do(func() { close(d.run.stop) })
	d.queue, d.called = nil, 0
	d.loop.close()
	close(d.run.stopped)
	return err
}
