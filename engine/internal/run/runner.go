package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Clock tells the time and wakes the loop; see engine.Clock.
type Clock interface {
	Now() time.Time
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Host calls the user's code. Its methods run outside the loop, on goroutines of their
// own, and are called concurrently.
type Host interface {
	// Attempt calls the handler of an attempt that is on record and returns its answer.
	// It must recover from a panic of the handler.
	Attempt(c *Call) core.Answer
	// Reconcile asks the handler of an attempt that a crash interrupted what became of it.
	// It must recover from a panic of the handler. If it returns an error, the handler was
	// not asked, and is to be asked later.
	Reconcile(c *Call) (core.Answer, error)
	// Hooks runs the completion hooks of a step and returns what failed, each with
	// the hook's name. It returns within a bounded time.
	Hooks(c *HookCall) []string
}

// Config configures a Runner.
type Config struct {
	Store   store.Store
	Host    Host
	Clock   Clock
	Log     *slog.Logger
	Workers int // the most handlers that run at the same time
	// MaxRedeliveries is how often an attempt is delivered again after a crash.
	MaxRedeliveries int
	// Hooks: there are completion hooks.
	Hooks bool
	// WallClock: the clock may jump without notice.
	WallClock bool
	// Stepped: the caller runs the loop, and ids are derived from Seed.
	Stepped bool
	Seed    uint64
}

// Errors about the use of the engine.
var (
	ErrNotRunning    = errors.New("engine: not running; it was not started, or has been shut down")
	ErrConcurrentUse = errors.New("engine: a stepped engine was used by two goroutines at once, or a handler called Settle")
	ErrStalled       = errors.New("engine: a stepped engine waits for something that happens later; advance its clock")
)

// Causes of the cancellation of an attempt's context.
var (
	ErrDeadline = errors.New("engine: the attempt's deadline passed")
	ErrShutdown = errors.New("engine: shut down before the handler returned")
)

// Runner runs leads over one store. All methods are safe for concurrent use.
type Runner struct {
	Config
	inbox   *inbox
	stepper *stepper // nil when the loop has a goroutine

	// stop is closed to end the loop. idle is closed when the runner drains and nothing
	// runs any more; stopped is closed when the loop has ended.
	stop, idle, stopped chan struct{}
	drainOnce, stopOnce sync.Once

	shared store.Shared           // nil if engines cannot share the store
	sharer *sharer                // the same
	check  func(*core.Flow) error // set by Start

	listeners atomic.Pointer[[]*listener] // set under mu

	starting    sync.Mutex      // held by Start
	mu          sync.RWMutex    // guards what follows
	met         map[met]bool    // damage of leads that was told of
	unreadable  map[int64]error // workflows whose rows cannot be read, and why
	life        life
	flows       map[int64]*core.Flow
	rules       *core.Rules // read and changed by the loop alone
	flowSeqs    map[lead.WorkflowID]int64
	detachments map[int64]chan struct{} // for leads whose removal somebody waits for
	orders      map[int64][]*order      // for leads that keep an order to stop from silence
	silence     Silence
	stats       Stats

	pace pace
}

// life is the state of a runner.
type life uint8

const (
	lifeNew life = iota
	lifeRunning
	lifeOver
)

// New returns a runner over the store, with all of its workflows loaded. A workflow that
// cannot be read is logged and left out.
func New(c Config) (*Runner, error) {
	r := &Runner{
		Config:      c,
		inbox:       newInbox(),
		stop:        make(chan struct{}),
		idle:        make(chan struct{}),
		stopped:     make(chan struct{}),
		flows:       map[int64]*core.Flow{},
		rules:       &core.Rules{MaxRedeliveries: int32(min(c.MaxRedeliveries, math.MaxInt32))},
		flowSeqs:    map[lead.WorkflowID]int64{},
		detachments: map[int64]chan struct{}{},
		pace:        pace{since: store.MillisOf(c.Clock.Now())},
	}
	if r.shared, _ = c.Store.(store.Shared); r.shared != nil {
		r.sharer = newSharer(r, r.shared)
	}
	if c.Stepped {
		r.stepper = &stepper{run: r}
	}
	rows, err := c.Store.Workflows(context.Background())
	var left store.RowErrors
	if err != nil && !errors.As(err, &left) {
		return nil, ReadFailed(err)
	}
	r.keepFlows(rows, left)
	return r, nil
}

// keepFlows has the workflows that were read, before the runner starts.
func (r *Runner) keepFlows(rows []store.Workflow, left store.RowErrors) {
	for _, row := range left {
		r.leaveOut(row.Key, row)
	}
	for _, row := range rows {
		if had := r.flows[row.Seq]; had != nil && had.Row.Version >= row.Version || r.unreadableFlow(row.Seq) != nil {
			continue
		}
		f, err := core.NewFlow(row)
		if err != nil {
			r.leaveOut(row.Seq, err)
		}
		r.mu.Lock()
		r.flowSeqs[row.ID] = row.Seq
		if err == nil {
			f.Rules = r.rules
			r.flows[row.Seq] = f
		}
		r.mu.Unlock()
	}
}

// leaveOut excludes a workflow and its leads, because its row cannot be read.
func (r *Runner) leaveOut(seq int64, err error) {
	r.mu.Lock()
	if r.unreadable == nil {
		r.unreadable = map[int64]error{}
	}
	r.unreadable[seq] = fmt.Errorf("engine: the workflow cannot be read, and its leads are left out: %w", err)
	r.mu.Unlock()
	r.Log.Error("leadflow: a workflow cannot be read and is left out with its leads; all others go on. "+
		"Repair its row or restore a backup, and start again", slog.Int64("workflow_seq", seq), slog.Any("error", err))
}

// unreadableFlow returns why the workflow with that number cannot be read, or nil.
func (r *Runner) unreadableFlow(seq int64) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.unreadable[seq]
}

// Start starts the loop. check is called for every active or paused workflow; if it
// returns an error, the runner does not start. Calling Start again is safe.
func (r *Runner) Start(ctx context.Context, check func(*core.Flow) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.starting.Lock()
	defer r.starting.Unlock()
	switch r.lives() {
	case lifeRunning:
		return nil
	case lifeOver:
		return &lead.ConflictError{Reason: errors.New("this engine was shut down; make a new one to start again")}
	}
	var missing []error
	r.check = check
	l := newLoop(r)
	if r.sharer != nil {
		// Before the engine gets any shards, because it may not be able to start.
		if err := r.sharer.begin(ctx); err != nil {
			return err
		}
	}
	for seq, f := range r.flows {
		l.flows[seq] = f
		if s := f.Row.Status; f.Exists() && (s == lead.WorkflowActive || s == lead.WorkflowPaused) {
			if err := check(f); err != nil {
				missing = append(missing, err)
			}
		}
	}
	if missing != nil {
		return fmt.Errorf("engine: cannot start: %w", errors.Join(missing...))
	}
	if r.sharer != nil {
		if err := r.sharer.step(ctx, l, true); err != nil {
			r.sharer.leave()
			return err
		}
	} else if err := l.resumeSweeps(); err != nil {
		return err
	}
	if err := l.loadLimits(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life == lifeOver { // meanwhile
		if r.sharer != nil {
			r.sharer.leave()
		}
		return ErrNotRunning
	}
	r.inbox.start()
	r.life = lifeRunning
	if r.stepper != nil {
		r.stepper.loop = l
	} else {
		go func() {
			defer close(r.stopped)
			l.run(r.stop)
		}()
		if r.sharer != nil {
			go r.sharer.loop()
		}
	}
	r.Log.Info("leadflow: started", slog.Int("workflows", len(r.flows)), slog.Int("workers", r.Workers))
	return nil
}

// Shutdown drains the loop and ends it; see engine.Engine.Shutdown.
func (r *Runner) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	was := r.life
	r.life = lifeOver
	if was == lifeNew {
		// While r.mu is held, so that nobody sees lifeOver before this is done.
		r.stopOnce.Do(func() {
			close(r.stop)
			close(r.stopped)
			if r.sharer != nil {
				close(r.sharer.done)
			}
		})
	}
	r.mu.Unlock()
	if was == lifeNew {
		return nil
	}
	r.drainOnce.Do(r.inbox.drain)
	if r.sharer != nil {
		r.sharer.soon()
	}
	if r.stepper != nil {
		return r.stepper.shutdown(ctx)
	}
	var err error
	select {
	case <-r.idle:
	case <-r.stopped:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.stopOnce.Do(func() { close(r.stop) })
	ended := r.stopped
	if r.sharer != nil {
		ended = r.sharer.done // it ends after the loop
	}
	if err == nil {
		<-ended
		err = r.heard(ctx)
	} else {
		select {
		case <-ended:
		case <-time.After(lastCommit):
		}
	}
	if err != nil {
		r.Log.Warn("leadflow: stopped before all handlers had returned", slog.Any("error", err))
	} else {
		r.Log.Info("leadflow: stopped")
	}
	return err
}

// lastCommit is how long Shutdown waits, after its context has ended, for the commit that
// is under way. When nobody can tell whether that has happened, because the database is
// away, it ends only with the store.
const lastCommit = 5 * time.Second

// Started reports whether Start was called.
func (r *Runner) Started() bool { return r.lives() != lifeNew }

func (r *Runner) lives() life {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.life
}

// drained wakes Shutdown, because nothing runs any more.
func (r *Runner) drained() {
	select {
	case <-r.idle:
	default:
		close(r.idle)
	}
}

// Ping returns nil if the loop runs and the store can commit; it makes a commit that
// changes nothing.
func (r *Runner) Ping(ctx context.Context) error {
	return r.do(ctx, func(l *loop) error {
		l.writes.Ping = true
		return nil
	})
}

// Await waits until done is closed.
func (r *Runner) Await(ctx context.Context, done <-chan struct{}) error {
	if r.stepper != nil {
		if err := r.stepper.await(done); err != nil {
			return err
		}
	}
	select {
	case <-done:
		return nil
	case <-r.stopped:
		return ErrNotRunning
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// WorkflowNotFound is the error for an unknown workflow.
func WorkflowNotFound(id lead.WorkflowID) error {
	return &lead.NotFoundError{Kind: "workflow", Name: id.String()}
}

// LeadNotFound is the error for a lead that the workflow does not have.
func LeadNotFound(workflow lead.WorkflowID, id lead.ID) error {
	return &lead.NotFoundError{Kind: "lead", Name: id.String(), In: workflow.String()}
}

// StepNotFound is the error for an unknown step.
func StepNotFound(id lead.StepID) error {
	return &lead.NotFoundError{Kind: "step", Name: id.String()}
}

// ReadFailed says that the store could not be read.
func ReadFailed(err error) error { return fmt.Errorf("engine: read: %w", err) }
