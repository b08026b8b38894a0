package engine

import (
	"context"
	"log/slog"
	"sync"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Engine runs workflows over one store. All methods are safe for concurrent
// use.
type Engine struct {
	config Config
	store  store.Store
	log    *slog.Logger
	run    *run.Runner

	mu       sync.RWMutex // guards handlers
	handlers map[string]Handler
}

// New returns an engine over the store, with every workflow in it compiled. It
// runs nothing before Start, but may be read from. The store stays the
// caller's, who closes it after Shutdown.
//
// A faulty Config is a [lead.InvalidError] that names every fault.
func New(s store.Store, c Config) (*Engine, error) { return newEngine(s, c, false, 0) }

func newEngine(s store.Store, c Config, stepped bool, seed uint64) (*Engine, error) {
	faults := c.faults()
	if s == nil {
		faults = append(faults, lead.FieldError{Location: "store", Message: "is nil"})
	}
	if stepped && c.Clock == nil {
		faults = append(faults, lead.FieldError{Location: "Clock", Message: "is nil; a stepped engine has the time that its caller sets"})
	}
	if faults != nil {
		return nil, &lead.InvalidError{Subject: "engine.Config", Faults: faults}
	}
	c = c.withDefaults()
	e := &Engine{config: c, store: s, log: c.Logger, handlers: c.Handlers}
	_, wall := c.Clock.(realClock)
	var err error
	e.run, err = run.New(run.Config{
		Store: s, Host: host{e}, Clock: c.Clock, Log: c.Logger, Workers: c.Workers, MaxRedeliveries: c.MaxRedeliveries, Hooks: len(c.Hooks) > 0,
		WallClock: wall, Stepped: stepped, Seed: seed,
	})
	return e, err
}

// Start sets the engine going: what came due while no engine ran is done, in
// due order, and attempts that a crash interrupted are made again. ctx bounds
// the start alone. An engine is started once; an engine that has been shut down
// is not started again, make a new one.
//
// It is refused when a workflow that is active or paused has an action node for
// whose type there is no handler.
func (e *Engine) Start(ctx context.Context) error {
	return e.run.Start(ctx, func(f *core.Flow) error {
		f.RateKeys = e.rateKeys(f)
		return e.checkHandlers(f)
	})
}

// Shutdown stops the engine: nothing new starts, and it returns when the
// handlers and hooks that run have returned and what they came to is on disk.
// When ctx ends first their contexts are cancelled, with the cause ErrShutdown,
// and ctx's cause is returned; their attempts are made again at the next start.
// Steps that wait for a callback or a retry wait on, in the store.
//
// Calling it again is safe, and so is calling it on an engine that was never
// started. Callbacks are accepted until it returns.
func (e *Engine) Shutdown(ctx context.Context) error { return e.run.Shutdown(ctx) }

// Health reports whether the engine is alive and its store able to commit, by
// a commit that changes nothing. It waits for the batch before it; ctx bounds
// that.
func (e *Engine) Health(ctx context.Context) error { return e.run.Ping(ctx) }
