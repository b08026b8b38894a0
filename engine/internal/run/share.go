package run

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// This file is about engines that share a store. Every one decides on any lead when it
// is asked to: the version of the lead's row tells whether it was decided on the present
// one. By itself, a loop acts on a lead only if it has the lead's shard, or runs a
// handler or hooks for the lead. What it does to other leads it tells their engines of
// by a notice in the same batch.

// share is what the loop knows of the other engines.
type share struct {
	held  [store.Shards]bool
	alone bool  // no other engine has a place, and this one has all shards
	first bool  // no other engine has an older place
	sweep bool  // sweeps of others are to be resumed, if this engine is the first
	flows int64 // the changes of workflows by others that the loop has taken note of
}

// news is what the loop is to take note of.
type news struct {
	store.Membership
	workflows []store.Workflow // all of them, if others have changed some, or nil
	settings  []store.Setting  // then all of them, too
	left      store.RowErrors
}

// sharer calls Sync again and again, and has the loop take note of what it says.
type sharer struct {
	run    *Runner
	store  store.Shared
	poke   chan struct{} // Sync is to be called now
	engine atomic.Int64  // the place that the loop has taken note of, with the workflows as they were then or later
	flows  int64         // that the loop has taken note of
	seen   int64         // that are in force: handlers of attempts begun before have been called
	// notices are those that the loop is to take note of again. The store has forgotten them.
	notices []store.Notice
	calm    bool // the engine drains, and begins no attempts any more
	failed  atomic.Bool
	done    chan struct{} // closed when it has ended
}

func newSharer(r *Runner, s store.Shared) *sharer {
	return &sharer{run: r, store: s, poke: make(chan struct{}, 1), done: make(chan struct{})}
}

// soon has Sync called now.
func (s *sharer) soon() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// ask calls Sync, and reads the workflows if others have changed them.
func (s *sharer) ask(ctx context.Context, take bool) (n news, err error) {
	if n.Membership, err = s.store.Sync(ctx, take, s.seen); err != nil {
		return n, err
	}
	n.Notices = slices.Concat(s.notices, n.Notices)
	if n.Engine != s.engine.Load() {
		s.seen = 0 // it counted for the place of before
	}
	if n.Engine != s.engine.Load() || n.Flows != s.flows {
		rows, err := s.store.Workflows(ctx)
		if bad, ok := asRowErrors(err); ok {
			n.left = bad
		} else if err != nil {
			return n, err
		}
		n.workflows = append([]store.Workflow{}, rows...)
		if n.settings, err = s.store.Settings(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}

// begin gets the engine a place, and reads the workflows anew.
func (s *sharer) begin(ctx context.Context) error {
	n, err := s.ask(ctx, false)
	if err != nil {
		return ReadFailed(err)
	}
	s.engine.Store(n.Engine)
	s.flows, s.seen = n.Flows, n.Flows
	s.run.keepFlows(n.workflows, n.left)
	return nil
}

// step calls Sync once, for a loop that does not run or that its caller runs.
func (s *sharer) step(ctx context.Context, l *loop, take bool) error {
	n, err := s.ask(ctx, take)
	if err != nil {
		return ReadFailed(err)
	}
	noted, err := l.note(&n)
	if err != nil {
		return err
	}
	s.engine.Store(n.Engine)
	s.flows, s.seen, s.notices = n.Flows, n.Flows, noted.again
	s.store.Noted()
	return nil
}

// stepWanted reports whether step should be called.
func (s *sharer) stepWanted(l *loop) bool {
	select {
	case <-s.poke:
	case <-s.store.Woken():
	default:
		return !l.share.alone
	}
	return true
}

// loop is the goroutine of the sharer, until the runner has stopped.
func (s *sharer) loop() {
	defer close(s.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.run.stopped
		cancel()
	}()
	var next time.Duration
	for {
		timer := time.NewTimer(next)
		select {
		case <-s.run.stopped:
		case <-timer.C:
		case <-s.poke:
		case <-s.store.Woken():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		var err error
		if s.run.inbox.drains() && !s.calm {
			err = s.calmDown(ctx)
		}
		if err == nil {
			var n news
			if n, err = s.ask(ctx, !s.calm); err == nil {
				err = s.tell(ctx, n)
			}
			next = n.Next
		}
		s.failed.Store(err != nil)
		if err != nil {
			next = retrySync
			continue
		}
		s.awaited(ctx)
	}
}

// calmDown waits until the handlers of all attempts that were begun before the engine
// drains have been called. Until then it takes part, so that a change of a workflow waits
// for it (promise 17).
func (s *sharer) calmDown(ctx context.Context) error {
	var beginning []<-chan struct{}
	err := s.run.pose(ctx, &request{answer: make(chan error, 1), decide: func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		l.after = append(l.after, func() { beginning = l.beginning(func(*core.Flow) bool { return true }) })
		return nil
	}})
	if err == nil {
		err = s.run.awaitAll(ctx, beginning)
	}
	s.calm = err == nil
	return err
}

// leave gives up the shards of an engine that could not start.
func (s *sharer) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	m, err := s.store.Sync(ctx, false, 0)
	if err == nil && len(m.Give) > 0 {
		_, err = s.store.Commit(ctx, &store.Batch{Share: store.Share{Release: m.Give}})
	}
	if err != nil {
		s.run.Log.Error("leadflow: this engine could not start, and cannot give up its leads; close its store, or start it again", slog.Any("error", err))
	}
}

// leaveTimeout bounds the time that leave takes.
const leaveTimeout = 5 * time.Second

// retrySync is the pause after a Sync that failed.
const retrySync = 250 * time.Millisecond

// tell has the loop take note, and waits until what follows is on disk.
func (s *sharer) tell(ctx context.Context, n news) error {
	var done noted
	// If others change more before the batch is on disk it is refused, and only a Sync can
	// tell what they have changed.
	err := s.run.pose(ctx, &request{once: true, answer: make(chan error, 1), decide: func(l *loop) (err error) {
		done, err = l.note(&n)
		return err
	}})
	if err != nil {
		return err
	}
	s.engine.Store(n.Engine)
	s.flows = n.Flows
	if err := s.run.awaitAll(ctx, done.beginning); err != nil {
		return err
	}
	s.notices = done.again
	s.store.Noted()
	if slices.ContainsFunc(n.Notices, func(n store.Notice) bool { return n.Engine != 0 }) {
		s.soon() // whoever has stopped a person whom this engine calls waits for it
	}
	if n.workflows == nil {
		return nil
	}
	s.seen = n.Flows
	s.soon() // whoever has changed the workflow waits for it
	return nil
}

// restBehind is the pause before a batch that was decided on workflows that others have
// changed is decided again.
const restBehind = 5 * time.Millisecond

// awaited looks for removals that other engines have carried out and callers wait for.
func (s *sharer) awaited(ctx context.Context) {
	s.run.mu.RLock()
	var seqs []int64
	for seq := range s.run.detachments {
		if seqs = append(seqs, seq); len(seqs) == readAhead {
			break
		}
	}
	s.run.mu.RUnlock()
	if len(seqs) == 0 {
		return
	}
	found, err := s.store.Load(ctx, seqs)
	if _, ok := asRowErrors(err); err != nil && !ok {
		return // and are looked for again
	}
	for i := range found {
		if found[i].State.Final() {
			s.run.detached(found[i].Seq, found[i].Updated)
		}
	}
}

// agree waits until a change of a workflow is in force on all engines.
func (r *Runner) agree(ctx context.Context) error {
	if r.sharer == nil || r.stepper != nil {
		return nil
	}
	return r.poll(ctx, func() (bool, error) {
		agreed, err := r.shared.Agreed(ctx)
		if err != nil {
			err = fmt.Errorf("engine: the workflow was changed, but it is not known whether all engines have taken note: %w", err)
		}
		return agreed, err
	})
}

// Current returns an error if this engine may be cut off from the store, or has been and
// has not caught up yet, so that what it remembers may not be so any more.
func (r *Runner) Current() error {
	if r.sharer != nil && r.Started() && !r.sharer.store.Held(r.sharer.engine.Load()) {
		return fmt.Errorf("engine: %w: the database has not answered for the time of the lease", store.ErrUnavailable)
	}
	return nil
}
