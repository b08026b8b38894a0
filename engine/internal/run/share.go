package run

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
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
	// notices are those that the loop has not taken note of. The store forgets them.
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
	s.notices = append(s.notices, n.Notices...)
	n.Notices = s.notices
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
	for i := 0; err == nil && i < len(beginning); i++ {
		err = s.run.Await(ctx, beginning[i])
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
	s.notices = done.again
	if s.flows = n.Flows; n.workflows == nil {
		return nil
	}
	for _, begun := range done.beginning {
		if err := s.run.Await(ctx, begun); err != nil {
			return err
		}
	}
	s.seen = n.Flows
	s.soon() // whoever has changed the workflow waits for it
	return nil
}

// noted is what is left to do when the loop has taken note.
type noted struct {
	// beginning are channels that are closed when handlers of attempts that were begun
	// before have been called, in workflows that are not active any more.
	beginning []<-chan struct{}
	// again are notices of leads that a batch is changing. If it is refused, the loop still
	// has the leads as they were.
	again []store.Notice
}

// note takes note of the other engines. It may run again for the same news.
func (l *loop) note(n *news) (done noted, err error) {
	if done.again, err = l.noteLeads(n); err != nil {
		return done, err
	}
	s, rules := l.share, l.r.rules
	alone := len(n.Others) == 0 && len(n.Shards) == store.Shards
	// What was decided before rests on what was known before, and is decided anew.
	outdated := n.Engine != rules.Engine || s.alone && !alone
	if n.workflows != nil {
		outdated = l.noteFlows(n) || outdated
		done.beginning = l.beginning(func(f *core.Flow) bool { return !f.Active() })
	}
	l.behind = l.behind || outdated && l.decided()
	died := n.Engine != rules.Engine
	for _, other := range rules.Others {
		died = died || !slices.Contains(n.Others, other)
	}
	rules.Engine, rules.Others, rules.Newest = n.Engine, n.Others, n.Newest
	if n.workflows != nil {
		if err := l.noteLimits(n.settings); err != nil {
			return done, err
		}
	}
	s.flows, s.alone = n.Flows, alone
	first := len(n.Others) == 0 || n.Engine < n.Others[0]
	var held [store.Shards]bool
	for _, shard := range n.Shards {
		held[shard] = true
	}
	for _, shard := range n.Give {
		held[shard] = false
	}
	gained, gave := false, false
	for shard := range held {
		gained = gained || held[shard] && !s.held[shard]
		gave = gave || !held[shard] && s.held[shard]
	}
	s.held = held
	l.writes.Share.Release = append(l.writes.Share.Release, n.Give...)
	if gained || died {
		// Leads of the shards, and those whose engine has died, are found from the start.
		l.horizon.rewind()
	}
	if gave || died {
		for _, e := range l.hot {
			if e.free() && !e.held() {
				l.place(e)
			}
		}
	}
	s.sweep = s.sweep || died || !s.first
	if s.first = first; first && s.sweep {
		if err := l.resumeSweeps(); err != nil {
			return done, err
		}
		s.sweep = false
	}
	return done, nil
}

// noteLeads reads leads that others have changed. It returns the notices of those that the
// batch changes, too.
func (l *loop) noteLeads(n *news) (again []store.Notice, err error) {
	if l.flying != nil && (n.workflows != nil || len(n.Notices) > 0) {
		return nil, errInFlight // what is being written was decided on what was known before
	}
	var seqs []int64
	seen := map[int64]bool{}
	for i := range n.Notices {
		switch notice := &n.Notices[i]; {
		case notice.Lead == 0:
			l.horizon.back(notice.Wake)
		case !seen[notice.Lead]:
			seen[notice.Lead] = true
			seqs = append(seqs, notice.Lead)
		}
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	found, err := l.load(seqs)
	if err != nil {
		return nil, err
	}
	for i := range found {
		rec := &found[i].Record
		delete(seen, rec.Seq)
		e := l.hot[rec.Seq]
		switch {
		case e == nil && l.flow(rec.Workflow) != nil:
			_, _ = l.adopt(*rec) // else it is left out, and logged
		case e != nil && e.free():
			if l.renew(e, &found[i]) {
				l.place(e)
			}
		case e != nil && e.view.Rec.Version < rec.Version: // the batch will be refused, as stale if nothing else
			again = append(again, store.Notice{Shard: rec.Shard, Lead: rec.Seq})
		}
	}
	for seq := range seen { // deleted
		if e := l.hot[seq]; e != nil && e.free() {
			l.drop(e)
		}
	}
	return again, nil
}

// noteFlows takes note of workflows that others have changed, and reports whether they have.
func (l *loop) noteFlows(n *news) (changed bool) {
	for _, row := range n.left {
		if l.r.unreadableFlow(row.Key) == nil {
			l.r.leaveOut(row.Key, row)
		}
	}
	for _, row := range n.workflows {
		if had := l.flows[row.Seq]; had != nil && had.Row.Version >= row.Version || l.r.unreadableFlow(row.Seq) != nil {
			continue
		}
		f, err := l.r.compile(row)
		if err != nil {
			l.r.leaveOut(row.Seq, err)
			continue
		}
		changed = true
		l.publishFlow(row.Seq, f)
	}
	return changed
}

// compile returns a stored workflow with what this engine adds to it.
func (r *Runner) compile(row store.Workflow) (*core.Flow, error) {
	f, err := core.NewFlow(row)
	if err != nil {
		return nil, err
	}
	f.Rules = r.rules
	if s := row.Status; f.Exists() && (s == lead.WorkflowActive || s == lead.WorkflowPaused) {
		if err := r.check(f); err != nil {
			r.Log.Error("leadflow: another engine has activated a workflow that this one lacks a handler for; "+
				"its leads wait until this engine has the handler, or another one gets them",
				slog.String("workflow", row.ID.String()), slog.Any("error", err))
			f.Missing = true
		}
	}
	return f, nil
}

// mine reports whether the loop acts on a lead by itself.
func (l *loop) mine(e *entry) bool {
	return l.share == nil || e.call != nil || e.hooks != nil || l.share.held[e.view.Rec.Shard]
}

// load reads leads. Those that cannot be read are parked.
func (l *loop) load(seqs []int64) ([]store.Lead, error) {
	found, err := l.r.Store.Load(context.Background(), seqs)
	bad, ok := asRowErrors(err)
	if err != nil && !ok {
		return nil, &storeError{err}
	}
	l.parkAll(bad)
	return found, nil
}

// renew takes over what another engine has made of a lead, and reports whether it has
// made anything. No batch may be changing the entry.
func (l *loop) renew(e *entry, found *store.Lead) bool {
	rec := &found.Record
	was := &e.view.Rec
	if rec.Version == was.Version {
		return false
	}
	view, err := core.Read(*rec, l.flow(rec.Workflow))
	if err != nil {
		l.park(rec.Seq, err)
		l.drop(e)
		return false
	}
	same := rec.Visit == was.Visit && rec.Attempt == was.Attempt && view.Notes.Engine == e.view.Notes.Engine
	if same && rec.Phase == store.PhaseRunning {
		view.Uncalled, view.Asking, view.Asked = e.view.Uncalled, e.view.Asking, e.view.Asked
	}
	if e.call != nil && same && rec.Phase == store.PhaseRunning {
		view.Running = true
	} else if e.call != nil {
		e.call = nil // its result will come too late
		l.total.running--
	}
	if e.hooks != nil && same && rec.Phase == store.PhaseHooks {
		view.Hooking = true
	} else {
		e.hooks = nil
	}
	e.view = view
	if e.contact != nil || e.held() { // else the result of what runs would bring an old one
		if e.contact, err = NewContact(found.Contact); err != nil {
			e.contact = nil // it is read again, with the error, when it is needed
		}
	}
	return true
}

// shares reports whether others use the store, too.
func (l *loop) shares() bool { return l.share != nil && !l.share.alone }

// leaveStale undoes what a batch on disk would have made of leads that the store has left
// out, because others have changed them meanwhile. They are decided on again: what
// concerns them waits for the next batch.
func (l *loop) leaveStale(b *batch) {
	stale := b.done.Stale
	l.unuse(b, func(lead int64) bool {
		_, is := slices.BinarySearch(stale, lead)
		return is
	})
	var left []*entry
	touched, was := b.touched[:0], b.was[:0]
	for i, e := range b.touched {
		if _, is := slices.BinarySearch(stale, e.seq()); !is {
			touched, was = append(touched, e), append(was, b.was[i])
			continue
		}
		b.counters.sub(&e.added)
		e.forgetBatch()
		e.state = b.was[i]
		left = append(left, e)
	}
	clear(b.touched[len(touched):])
	clear(b.was[len(was):])
	b.touched, b.was = touched, was
	for _, r := range b.settled {
		if _, is := slices.BinarySearch(stale, r.lead()); is {
			l.results = append(l.results, r)
		}
	}
	found, err := l.load(stale)
	if err != nil {
		found = nil // the next commit leaves them out again, and they are read then
	}
	gone := map[int64]bool{}
	for _, seq := range stale {
		gone[seq] = err == nil
	}
	for i := range found {
		delete(gone, found[i].Seq)
		if e := l.hot[found[i].Seq]; e != nil {
			l.renew(e, &found[i])
		}
	}
	for _, e := range left {
		switch {
		case gone[e.seq()]:
			l.drop(e)
		case l.hot[e.seq()] == e:
			l.place(e)
		}
	}
}

// stale reports whether the request decided on one of the leads, which are in order.
func (r *request) stale(leads []int64) bool {
	return slices.ContainsFunc(r.leads, func(seq int64) bool {
		_, is := slices.BinarySearch(leads, seq)
		return is
	})
}

// ensure makes certain that an answer about a lead that was decided without a change of
// it, and so without a look at the store, rests on what is in the store. It returns true
// if it does not, and the lead is to be decided on again.
func (l *loop) ensure(e *entry) (again bool, err error) {
	if !l.shares() || !e.free() {
		return false, nil
	}
	found, err := l.load([]int64{e.seq()})
	if err != nil {
		return false, err
	}
	if len(found) == 0 {
		l.drop(e)
		return true, nil
	}
	return l.renew(e, &found[0]), nil
}

// decideOn decides on a lead, nil if there is none.
func (l *loop) decideOn(seq int64, decide func(e *entry) error) error {
	if l.shares() {
		l.current.leads = append(l.current.leads, seq)
	}
	remembered := l.hot[seq] != nil
	e, err := l.get(seq)
	if err != nil {
		return err
	}
	err = decide(e)
	if !remembered || e == nil {
		return err
	}
	again, failed := l.ensure(e)
	switch {
	case failed != nil:
		return failed
	case !again:
		return err
	}
	if e, err = l.get(seq); err != nil {
		return err
	}
	err = decide(e)
	if e != nil && e.free() {
		l.place(e)
	}
	return err
}

// tellOthers adds to the batch what other engines must know of a lead that it changes.
func (l *loop) tellOthers(e *entry, was *core.View) {
	s, w := l.share, &l.writes.Share
	if s == nil {
		return
	}
	rec := &e.view.Rec
	if s.alone {
		return
	}
	if was.Rec.State == lead.PendingRemoval && rec.State.Final() {
		w.Wake = true // somebody may wait for it at another engine
	}
	if runs := was.Notes.Engine; runs != 0 && runs != l.r.rules.Engine && !e.fresh {
		w.Notices = append(w.Notices, store.Notice{Shard: rec.Shard, Engine: runs, Lead: rec.Seq})
	}
	switch {
	case s.held[rec.Shard]:
	case !e.fresh:
		w.Notices = append(w.Notices, store.Notice{Shard: rec.Shard, Lead: rec.Seq})
	case !rec.State.Final():
		for i := range w.Notices {
			if n := &w.Notices[i]; n.Lead == 0 && n.Shard == rec.Shard {
				n.Wake = min(n.Wake, rec.Wake)
				return
			}
		}
		w.Notices = append(w.Notices, store.Notice{Shard: rec.Shard, Wake: rec.Wake})
	}
}

// mostConflicts is how many times in a row a stale batch is decided again before callers
// are told.
func (l *loop) mostConflicts() int {
	if l.share == nil {
		return maxConflicts
	}
	return maxShared
}

// restBehind is the pause before a batch that was decided on workflows that others have
// changed is decided again.
const restBehind = 5 * time.Millisecond

// handedOver reports whether this engine has no shards any more, or cannot give them up
// because the store fails.
func (l *loop) handedOver() bool {
	if l.share == nil || l.r.sharer.failed.Load() {
		return true
	}
	return l.share.held == [store.Shards]bool{}
}

// patience is the pause before a batch that was refused as stale is decided again: none at
// first, then longer ones, so that engines that are at the same leads let one another
// through.
func (l *loop) patience() time.Duration {
	if l.failures < maxConflicts {
		return 0
	}
	return rand.N(time.Millisecond << min(l.failures-maxConflicts, 5))
}

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
			s.run.detached(found[i].Seq)
		}
	}
}

// agree waits until a change of a workflow is in force on all engines.
func (r *Runner) agree(ctx context.Context) error {
	if r.sharer == nil || r.stepper != nil {
		return nil
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		agreed, err := r.sharer.store.Agreed(ctx)
		if err != nil {
			return fmt.Errorf("engine: the workflow was changed, but it is not known whether all engines have taken note: %w", err)
		}
		if agreed {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-r.stopped:
			return ErrNotRunning
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Current returns an error if this engine may be cut off from the store, or has been and
// has not caught up yet, so that what it remembers may not be so any more.
func (r *Runner) Current() error {
	if r.sharer != nil && r.Started() && !r.sharer.store.Held(r.sharer.engine.Load()) {
		return fmt.Errorf("engine: %w: the database has not answered for the time of the lease", store.ErrUnavailable)
	}
	return nil
}
