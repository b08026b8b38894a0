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

// Engine runs workflows over one store. All methods are safe for concurrent use,
// except in a [Stepped] engine.
type Engine struct {
	config Config
	store  store.Store
	log    *slog.Logger
	run    *run.Runner

	mu       sync.RWMutex // guards handlers
	handlers map[string]Handler
}

// New returns an engine over the store, with all of its workflows loaded. It runs
// nothing before [Engine.Start]; methods that only read work already. The caller
// closes the store, after Shutdown.
//
// An invalid Config is a [lead.InvalidError] that names every fault. A workflow that
// cannot be read is logged and left out, with its leads.
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

// Start starts the engine: what came due while no engine ran is done, in due order,
// and attempts that a crash interrupted are made again. ctx bounds only the call to
// Start. Starting a running engine again changes nothing; an engine that was shut down
// cannot be started again, make a new one.
//
// Start fails with an error that matches lead.ErrInvalid if a workflow that is active
// or paused has an action node whose handler is not registered.
func (e *Engine) Start(ctx context.Context) error {
	return e.run.Start(ctx, func(f *core.Flow) error {
		f.Handlers = e.handlersOf(f)
		return e.checkHandlers(f)
	})
}

// Shutdown stops the engine: nothing new starts, and Shutdown returns when the
// running handlers and hooks have returned, their results are on disk, and listeners
// have heard all events. If ctx ends first, the contexts of handlers and hooks are
// cancelled with the cause ErrShutdown, and Shutdown returns ctx's cause, within seconds
// also if the store does not answer; their attempts are made again at the next start.
// Steps that wait for a callback or a retry keep waiting, in the store.
//
// Calling it again is safe, and so is calling it on an engine that was never
// started. Callbacks are accepted until it returns.
func (e *Engine) Shutdown(ctx context.Context) error { return e.run.Shutdown(ctx) }

// Health returns nil if the engine runs and its store can commit. It makes a commit
// that changes nothing, and waits for the batch before it; ctx bounds the wait. The
// error is ErrNotRunning, the store's, or ctx's cause.
func (e *Engine) Health(ctx context.Context) error { return e.why(e.run.Ping(ctx)) }
