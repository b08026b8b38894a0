package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Engine runs workflows over one store. All methods are safe for concurrent
// use.
type Engine struct {
	config Config
	store  store.Store
	log    *slog.Logger
	inbox  *inbox
	// stepped is set when no goroutine of the engine's own runs the loop.
	stepped *stepper

	// stop asks the loop to end, and idle is closed when an engine that drains
	// has nothing left that runs; stopped is closed when the loop has ended.
	stop, idle, stopped chan struct{}
	drainOnce, stopOnce sync.Once

	mu          sync.RWMutex // guards what follows
	life        life
	flows       map[int64]*flow
	flowSeqs    map[lead.WorkflowID]int64
	detachments map[int64]chan struct{} // of leads whose removal somebody waits for
	stats       Stats
}

// life is how far an engine has come.
type life uint8

const (
	lifeNew life = iota
	lifeRunning
	lifeOver
)

// New returns an engine over the store, with every workflow in it compiled. It
// runs nothing before Start, but may be read from. The store stays the
// caller's, who closes it after Shutdown.
//
// A faulty Config is an error that names every fault.
func New(s store.Store, c Config) (*Engine, error) {
	err := c.validate()
	if s == nil {
		err = errors.Join(errors.New("engine: New needs a store"), err)
	}
	if err != nil {
		return nil, err
	}
	c = c.withDefaults()
	e := &Engine{
		config:      c,
		store:       s,
		log:         c.Logger,
		inbox:       newInbox(),
		stop:        make(chan struct{}),
		idle:        make(chan struct{}),
		stopped:     make(chan struct{}),
		flows:       map[int64]*flow{},
		flowSeqs:    map[lead.WorkflowID]int64{},
		detachments: map[int64]chan struct{}{},
	}
	rows, err := s.Workflows(context.Background())
	if err != nil {
		return nil, readFailed(err)
	}
	for _, row := range rows {
		f, err := newFlow(row)
		if err != nil {
			return nil, err
		}
		e.flows[row.Seq], e.flowSeqs[row.ID] = f, row.Seq
	}
	return e, nil
}

// Start sets the engine going: what came due while no engine ran is done, in
// due order, and attempts that a crash interrupted are made again. ctx bounds
// the start alone. An engine is started once; an engine that has been shut down
// is not started again, make a new one.
//
// It is refused when a workflow that is active or paused has an action node for
// whose type there is no handler.
func (e *Engine) Start(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.life {
	case lifeRunning:
		return nil
	case lifeOver:
		return errors.New("engine: was shut down; make a new one to start again")
	}
	var missing []error
	l := newLoop(e)
	for seq, f := range e.flows {
		l.flows[seq] = f
		if s := f.row.Status; !f.row.Deleted && (s == lead.WorkflowActive || s == lead.WorkflowPaused) {
			if err := e.checkHandlers(f); err != nil {
				missing = append(missing, err)
			}
		}
	}
	if missing != nil {
		return fmt.Errorf("engine: cannot start: %w", errors.Join(missing...))
	}
	if err := l.resumeSweeps(); err != nil {
		return err
	}
	e.inbox.start()
	e.life = lifeRunning
	if e.stepped != nil {
		e.stepped.loop = l
	} else {
		go func() {
			defer close(e.stopped)
			l.run(e.stop)
		}()
	}
	e.log.Info("leadflow: started", slog.Int("workflows", len(e.flows)), slog.Int("workers", e.config.Workers))
	return nil
}

// Shutdown stops the engine: nothing new starts, and it returns when the
// handlers and hooks that run have returned and what they came to is on disk.
// When ctx ends first their contexts are cancelled, with the cause ErrShutdown,
// and ctx's cause is returned; their attempts are made again at the next start.
// Steps that wait for a callback or a retry wait on, in the store.
//
// Calling it again is safe, and so is calling it on an engine that was never
// started. Callbacks are accepted until it returns.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	was := e.life
	e.life = lifeOver
	if was == lifeNew {
		// Before anybody else can see that the engine is over.
		e.stopOnce.Do(func() { close(e.stop); close(e.stopped) })
	}
	e.mu.Unlock()
	if was == lifeNew {
		return nil
	}
	e.drainOnce.Do(func() {
		// Not through do: draining is no decision, and needs no commit.
		e.inbox.drain()
	})
	if e.stepped != nil {
		return e.stepped.shutdown(ctx)
	}
	var err error
	select {
	case <-e.idle:
	case <-e.stopped:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.stopOnce.Do(func() { close(e.stop) })
	<-e.stopped
	if err != nil {
		e.log.Warn("leadflow: stopped before all handlers had returned", slog.Any("error", err))
	} else {
		e.log.Info("leadflow: stopped")
	}
	return err
}

// Health reports whether the engine is alive and its store able to commit, by
// a commit that changes nothing. It waits for the batch before it; ctx bounds
// that.
func (e *Engine) Health(ctx context.Context) error {
	return e.do(ctx, func(l *loop) error {
		l.writes.Ping = true
		return nil
	})
}

// drained tells Shutdown that nothing runs any more.
func (e *Engine) drained() {
	select {
	case <-e.idle:
	default:
		close(e.idle)
	}
}
