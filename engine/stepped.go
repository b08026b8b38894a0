package engine

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
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
var ErrConcurrentUse = run.ErrConcurrentUse

// ErrStalled: what a call to a stepped engine waits for does not happen before
// the clock goes on.
var ErrStalled = run.ErrStalled

// NewStepped returns an engine like that of New, to be driven by its caller.
// The ids that it makes follow from seed.
//
// Its errors are those of New: a missing store, a faulty Config, every fault of
// which is named, a store that cannot be read, and a workflow in it that this
// version cannot run. Config.Clock must be set, because nothing but its caller
// wakes a stepped engine.
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
// Its error is ErrNotRunning or ErrConcurrentUse. A store that fails is no error
// of Settle: the engine tries again later, and Next says when.
func (s *Stepped) Settle() error { return s.run.Settle() }

// Next returns when something is to be done next, or false when that is never,
// unless something comes in. It may be that nothing happens then, because a lead
// is only read ahead of its time; Settle and ask again.
func (s *Stepped) Next() (time.Time, bool) { return s.run.Next() }

// Takes is for a handler or a hook to say that it takes so much of the clock's
// time: its answer reaches the engine that much later than it returns, by a
// function that Config.Clock is given to call. Several calls add up.
func (s *Stepped) Takes(d time.Duration) { s.run.Takes(d) }
