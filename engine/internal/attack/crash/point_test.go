package crash

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
)

// This file has the points at which the child of the crash test kills itself when told
// to, from the decision to the effect. None of them is in production code: a dead
// process leaves behind its file and what the world has seen of it, and a test can
// intercept both. The store is an interface, the disk is behind package disktest, and
// the world consists of handlers, hooks and callers.

// pointEnv makes the child kill itself when it has passed a point so many
// times: "synced 7".
const pointEnv = "LEADFLOW_CRASH_POINT"

// spot is a point, and how many times the child may pass it before it dies
// there.
type spot struct {
	name string
	most int
}

// points are the points, in the order of a batch's life.
var points = []spot{
	{"opening", 12},     // SQLite writes, and no engine runs yet
	{"recovering", 1},   // the engine is about to read what is due
	{"redelivering", 3}, // it has decided to make attempts again that the last kill cut off
	{"redelivered", 3},  // and that is on disk

	{"decided", 40}, // a batch was decided, and nothing of it is written
	{"writing", 200},
	{"written", 40},       // all of it is in the log, and not synced
	{"synced", 40},        // it is, and SQLite does not know
	{"committed", 40},     // nor does the engine
	{"checkpointing", 20}, // a page of the log goes to the file
	{"checkpointed", 1},   // they are synced there, and the log is not begun anew

	{"launched", 20},     // a handler is called, of which nobody has heard
	{"answered", 20},     // and knows what came of it
	{"unanswered", 10},   // others' handlers have been heard of, callers have no answer
	{"acknowledged", 20}, // a caller has, and tells nobody
	{"told", 20},         // or has just done so
	{"hooked", 20},       // a hook is called, of which nobody has heard

	{"sweeping", 2}, // the next leads of a workflow that is cancelled or deleted are read
	{"swept", 2},    // their removal is decided
	{"gone", 2},     // and on disk
}

// point is the point at which this life of the child ends.
type point struct {
	child *child
	name  string
	left  atomic.Int64
}

func newPoint(c *child) *point {
	p := &point{child: c}
	var n int64
	fmt.Sscanf(os.Getenv(pointEnv), "%s %d", &p.name, &n)
	p.left.Store(n)
	return p
}

// pass ends the process if this is where it is to end.
func (p *point) pass(name string) {
	if p.name == name && p.left.Add(-1) == 0 {
		p.child.say(event{Kind: "point", Node: name})
		killSelf()
	}
}

// killSelf ends the process as kill -9 does.
func killSelf() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// watchedDisk has the points in the disk, and logs for the parent what SQLite does.
type watchedDisk struct {
	*disktest.Log
	point *point
	ready atomic.Bool
}

func (d *watchedDisk) Before(op disktest.Op) disktest.Code {
	code := d.Log.Before(op)
	log := strings.HasSuffix(op.File, "-wal")
	if op.Kind == disktest.Write && !d.ready.Load() {
		d.point.pass("opening")
	}
	switch {
	case op.Kind == disktest.Write && log:
		d.point.pass("writing")
	case op.Kind == disktest.Write:
		d.point.pass("checkpointing")
	case op.Kind == disktest.Sync && log:
		d.point.pass("written")
	}
	return code
}

func (d *watchedDisk) After(op disktest.Op) {
	log := strings.HasSuffix(op.File, "-wal")
	if op.Kind == disktest.Sync && log {
		d.point.pass("synced") // before the parent hears of it: a sync that is not over
	}
	d.Log.After(op)
	if op.Kind == disktest.Sync && !log {
		d.point.pass("checkpointed")
	}
}

// watchedStore has the points at the store, and tells the parent of every commit, so
// that the parent can kill the child during one.
type watchedStore struct {
	store.Store
	point    *point
	sweeping atomic.Bool
}

func (s *watchedStore) Due(ctx context.Context, after store.Key, until store.Millis, limit int) ([]store.Record, error) {
	s.point.pass("recovering")
	return s.Store.Due(ctx, after, until, limit)
}

func (s *watchedStore) Sweep(ctx context.Context, q store.LeadQuery) ([]store.Record, error) {
	list, err := s.Store.Sweep(ctx, q)
	s.point.pass("sweeping")
	s.sweeping.Store(len(list) > 0)
	return list, err
}

func (s *watchedStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	s.point.child.say(event{Kind: "commit"})
	again, swept := redelivers(b), s.sweeping.Swap(false)
	pass := func(all, redelivery, sweep string) {
		s.point.pass(all)
		if again {
			s.point.pass(redelivery)
		}
		if swept {
			s.point.pass(sweep)
		}
	}
	pass("decided", "redelivering", "swept")
	res, err := s.Store.Commit(ctx, b)
	if err == nil {
		pass("committed", "redelivered", "gone")
		s.point.child.say(event{Kind: "committed"})
	}
	return res, err
}

// redelivers reports whether a batch makes attempts again.
func redelivers(b *store.Batch) bool {
	for _, c := range b.Changes {
		if c.Before.Phase == store.PhaseRunning && c.After.Phase == store.PhaseRunning &&
			c.Before.Visit == c.After.Visit && c.Before.Attempt == c.After.Attempt && c.After.State != lead.PendingRemoval {
			return true
		}
	}
	return false
}
