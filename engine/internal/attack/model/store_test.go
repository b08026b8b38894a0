package model

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// backend is a kind of store for the model test to run over.
type backend struct {
	name string
	// data returns how to open a store with data of its own, for one trial. The
	// store is opened anew after each crash, and what was committed must be in it.
	data func(t *rapid.T) func() (store.Store, error)
	// trials is how many there are in a short run.
	trials int
	// locked is what opening the same data twice is refused with (promise 12); nil
	// for a store that nobody else could open.
	locked error
	// serverTime: the store counts the starts in a span by the time of its server, which
	// is not that of a trial, so limits of starts are not drawn. The attack engines has them.
	serverTime bool
}

// backends: a store is added to the model test by a line here.
var backends = []backend{
	{"sqlite", sqliteData, 80, sqlite.ErrLocked, false},
	{"memory", memoryData, 300, nil, false},
	{"postgres", postgresData, 15, nil, true},
}

// postgresData keeps its lease for good: the time of a trial is not the server's.
func postgresData(t *rapid.T) func() (store.Store, error) {
	const never = 1_000_000 * time.Hour
	o := postgres.Options{Schema: pgtest.Schema(t), Lease: never, Poll: never, NoListen: true}
	return func() (store.Store, error) { return postgres.Open(context.Background(), pgtest.URL(), o) }
}

func memoryData(*rapid.T) func() (store.Store, error) {
	st, opened := memory.New(), false
	return func() (_ store.Store, err error) {
		if opened {
			st, err = st.Reopen()
		}
		opened = true
		return st, err
	}
}

func sqliteData(t *rapid.T) func() (store.Store, error) {
	folder := folder(t)
	return func() (store.Store, error) {
		// A power cut is not what is tested here, and syncing takes time.
		return sqlite.Open(context.Background(), filepath.Join(folder, "leads.db"), sqlite.Options{Synchronous: sqlite.Normal})
	}
}

// fate is what happens to the next commit.
type fate int

const (
	fatePass       fate = iota
	fateStale           // refused as stale, as if another engine had been faster: it is decided anew
	fateRefused         // refused by a disk that has a fault just now
	fateLostBefore      // the process dies before it is on disk
	fateLostAfter       // the process dies when it is on disk, before anybody knows
)

func (f fate) String() string {
	return [...]string{"passes", "is stale", "is refused", "dies before commit", "dies after commit"}[f]
}

func (f fate) deadly() bool { return f == fateLostBefore || f == fateLostAfter }

// gate is between an engine and its store. It can delay commits, and decide the fate of
// the next one. A dead gate lets nothing be written, which is like killing the engine.
type gate struct {
	store.Store

	mu       sync.Mutex
	held     chan struct{} // commits wait until it is closed; nil when they need not
	wait     int           // how many wait
	next     fate
	dead     bool
	enrolled *enrollments
	// accepted: the store has taken a batch that was stale.
	accepted bool
}

var (
	errDead = errors.New("the process is dead")
	errDisk = errors.New("the disk is gone")
)

// sharedGate is the gate of a store that engines can share.
type sharedGate struct {
	*gate
	shared store.Shared
}

// through returns the gate as the engine gets it.
func (g *gate) through() store.Store {
	if s, ok := g.Store.(store.Shared); ok {
		return sharedGate{g, s}
	}
	return g
}

func (g sharedGate) Held(engine int64) bool                   { return g.shared.Held(engine) }
func (g sharedGate) Woken() <-chan struct{}                   { return g.shared.Woken() }
func (g sharedGate) Agreed(ctx context.Context) (bool, error) { return g.shared.Agreed(ctx) }
func (g sharedGate) Noted()                                   { g.shared.Noted() }
func (g sharedGate) Heeded(ctx context.Context, notices []store.Notice) (bool, error) {
	return g.shared.Heeded(ctx, notices)
}
func (g sharedGate) LimitUse(ctx context.Context, keys []string) ([]store.LimitState, error) {
	return g.shared.LimitUse(ctx, keys)
}
func (g sharedGate) Engines(ctx context.Context) ([]store.EngineInfo, error) {
	return g.shared.Engines(ctx)
}

func (g sharedGate) Sync(ctx context.Context, take bool, seen int64) (store.Membership, error) {
	g.mu.Lock()
	dead := g.dead
	g.mu.Unlock()
	if dead {
		return store.Membership{}, errDead
	}
	return g.shared.Sync(ctx, take, seen)
}

// hold has commits wait.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
}

// pass lets the commit that waits go on, and has the next one wait.
func (g *gate) pass() {
	g.release()
	g.hold()
}

// waits reports whether a commit waits.
func (g *gate) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wait > 0
}

// release lets commits that wait go on.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held = nil
	}
}

// doom decides the fate of the next commit, and returns what it would have
// been: of the last one too, if there was none since.
func (g *gate) doom(f fate) (before fate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, g.next = g.next, f
	return before
}

// kill has nothing reach the store from now on.
func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
}

func (g *gate) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	g.mu.Lock()
	held := g.held
	g.wait++
	g.mu.Unlock()
	if held != nil {
		<-held
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait--
	if g.dead {
		return store.Result{}, errDead
	}
	f := g.next
	if b.Ping && len(b.Changes)+len(b.Enroll)+len(b.Workflows) == 0 {
		f = fatePass // the commit that held the loop up
	} else {
		g.next = fatePass
	}
	switch f {
	case fateStale:
		_, err := g.Store.Commit(ctx, staleBatch(b))
		g.accepted = g.accepted || !errors.Is(err, store.ErrConflict)
		return store.Result{}, &store.ConflictError{Kind: "lead", Seq: 1}
	case fateRefused:
		return store.Result{}, errDisk
	case fateLostBefore:
		g.dead = true
		return store.Result{}, errDead
	}
	done, err := g.Store.Commit(ctx, b)
	if err == nil {
		g.enrolled.note(b, done.Refused)
	}
	if f == fateLostAfter {
		g.dead = true
		return store.Result{}, errDead
	}
	return done, err
}

// staleBatch returns the batch as one that was decided on what has changed since, in
// its last change, so that the store must undo all that comes before.
func staleBatch(b *store.Batch) *store.Batch {
	out := *b
	if n := len(b.Changes); n > 0 {
		out.Changes = slices.Clone(b.Changes)
		out.Changes[n-1].Before.Version--
		out.Changes[n-1].After.Version--
		return &out
	}
	// Nothing in it can be stale but a change of no lead.
	out.Changes = []store.Change{{
		Before: store.Record{Seq: math.MaxInt32, Version: 1, State: lead.Enrolled},
		After:  store.Record{Seq: math.MaxInt32, Version: 2, State: lead.Enrolled},
	}}
	return &out
}
