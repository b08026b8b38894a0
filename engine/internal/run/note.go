package run

import (
	"log/slog"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file has what a loop takes note of when other engines have changed something.

// noted is what is left to do when the loop has taken note.
type noted struct {
	// beginning are channels that are closed when handlers of attempts that were begun
	// before have been called: of leads that others have changed or, if they have changed
	// workflows or limits, of all.
	beginning []<-chan struct{}
	// again are notices of leads that a batch is changing. If it is refused, the loop still
	// has the leads as they were.
	again []store.Notice
}

// note takes note of the other engines. It may run again for the same news.
func (l *loop) note(n *news) (done noted, err error) {
	if err := l.noteLeads(n, &done); err != nil {
		return done, err
	}
	s, rules := l.share, l.r.rules
	alone := len(n.Others) == 0 && len(n.Shards) == store.Shards
	// What was decided before rests on what was known before, and is decided anew.
	outdated := n.Engine != rules.Engine || s.alone && !alone
	if n.workflows != nil {
		outdated = l.noteFlows(n) || outdated
		done.beginning = append(done.beginning, l.beginning(func(*core.Flow) bool { return true })...)
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

// noteLeads reads leads that others have changed.
func (l *loop) noteLeads(n *news, done *noted) error {
	if l.flying != nil && (n.workflows != nil || len(n.Notices) > 0) {
		return errInFlight // what is being written was decided on what was known before
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
		return nil
	}
	found, err := l.load(seqs)
	if err != nil {
		return err
	}
	for i := range found {
		rec := &found[i].Record
		delete(seen, rec.Seq)
		e := l.hot[rec.Seq]
		if e != nil {
			if begun := l.beginningOf(e); begun != nil {
				done.beginning = append(done.beginning, begun)
			}
		}
		switch {
		case e == nil && l.flow(rec.Workflow) != nil:
			_, _ = l.adopt(*rec) // else it is left out, and logged
		case e != nil && e.free():
			if l.renew(e, &found[i]) {
				l.place(e)
			}
		case e != nil && e.view.Rec.Version < rec.Version: // the batch will be refused, as stale if nothing else
			done.again = append(done.again, store.Notice{Shard: rec.Shard, Lead: rec.Seq})
		}
	}
	for seq := range seen { // deleted
		if e := l.hot[seq]; e != nil && e.free() {
			l.lose(e)
		}
	}
	return nil
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
