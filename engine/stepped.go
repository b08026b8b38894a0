package engine

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/store"
)

// Stepped is an engine that its caller drives: it has no goroutine and never sleeps,
// so that what happens, and in which order, depends only on the caller. It is for
// tests and simulations; package enginetest makes both easy. It applies the same rules
// as any other engine.
//
// A method of Engine that changes something does so on the caller's goroutine, and
// returns when the change is in the store. Handlers, hooks and listeners are called
// later, by [Stepped.Settle], one after the other, on the goroutine that calls it; they
// may call every method of the engine but Settle. The time is that of Config.Clock:
// Settle does what is due by it, and [Stepped.Next] says when something will be due.
//
// Only one goroutine at a time may use it, and a handler must not pass it on to
// another one. If the engine notices concurrent use, it returns [ErrConcurrentUse].
type Stepped struct {
	*Engine
}

// ErrConcurrentUse: a stepped engine was used by two goroutines at once, or
// Settle was called by a handler or a hook. What was asked for may still be
// carried out.
var ErrConcurrentUse = run.ErrConcurrentUse

// ErrStalled: a call to a stepped engine waits for something that cannot happen before
// the clock moves.
var ErrStalled = run.ErrStalled

// NewStepped returns an engine like that of New, to be driven by its caller. The
// random bits of the ids that it makes are derived from seed.
//
// Its errors are those of New: a missing store, an invalid Config, with every fault
// named, and a store that cannot be read. Config.Clock is required, because only the
// caller moves the time of a stepped engine.
func NewStepped(s store.Store, c Config, seed uint64) (*Stepped, error) {
	e, err := newEngine(s, c, true, seed)
	if err != nil {
		return nil, err
	}
	return &Stepped{e}, nil
}

// Settle does everything that can be done at the clock's present time: it
// decides what is due, calls the handlers and hooks that this starts, takes
// their answers, and goes on until nothing is left to do.
//
// Its error is ErrNotRunning or ErrConcurrentUse. A failing store is not an error of
// Settle: the engine retries later, and Next says when.
func (s *Stepped) Settle() error { return s.why(s.run.Settle()) }

// Next returns the time at which there is something to do next, or false if there is
// nothing to do until the caller asks for something. Sometimes nothing visible happens
// at that time, because leads are only read into memory; call Settle, and Next again.
func (s *Stepped) Next() (time.Time, bool) { return s.run.Next() }

// Takes is called by a handler or a hook to say how long it takes by the clock: its
// answer reaches the engine that much after it returns, through Config.Clock's
// AfterFunc. Several calls add up.
func (s *Stepped) Takes(d time.Duration) { s.run.Takes(d) }
