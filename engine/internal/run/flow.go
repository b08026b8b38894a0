package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// FlowOf returns the workflow with that number, or nil if there is none or it was
// deleted.
func (r *Runner) FlowOf(seq int64) *core.Flow {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if f := r.flows[seq]; f.Exists() {
		return f
	}
	return nil
}

// Flow returns the workflow with that id.
func (r *Runner) Flow(id lead.WorkflowID) (*core.Flow, error) {
	if err := r.Current(); err != nil {
		return nil, err
	}
	r.mu.RLock()
	seq := r.flowSeqs[id]
	f := r.flows[seq]
	r.mu.RUnlock()
	if f.Exists() {
		return f, nil
	}
	return nil, r.noFlow(id, seq)
}

// noFlow is the error for a workflow that does not exist or cannot be read.
func (r *Runner) noFlow(id lead.WorkflowID, seq int64) error {
	if err := r.unreadableFlow(seq); err != nil {
		return err
	}
	return WorkflowNotFound(id)
}

// SeqOf returns the number of a workflow, also of a deleted one.
func (r *Runner) SeqOf(id lead.WorkflowID) (int64, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	seq, ok := r.flowSeqs[id]
	return seq, ok
}

// WorkflowID returns the id of the workflow with that number, also of a deleted one.
func (r *Runner) WorkflowID(seq int64) lead.WorkflowID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if f := r.flows[seq]; f != nil {
		return f.Row.ID
	}
	return lead.WorkflowID{}
}

// Flows returns the workflows, in the order in which they were created.
func (r *Runner) Flows() []*core.Flow {
	r.mu.RLock()
	list := make([]*core.Flow, 0, len(r.flows))
	for _, f := range r.flows {
		if f.Exists() {
			list = append(list, f)
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(list, func(a, b *core.Flow) int { return int(a.Row.Seq - b.Row.Seq) })
	return list
}

// flowByID returns the workflow with that id as the batch has it.
func (l *loop) flowByID(id lead.WorkflowID) (*core.Flow, error) {
	seq, _ := l.r.SeqOf(id)
	if f := l.flow(seq); f.Exists() {
		return f, nil
	}
	return nil, l.r.noFlow(id, seq)
}

// CreateFlow stores a workflow as a draft. text is the definition as JSON.
func (r *Runner) CreateFlow(ctx context.Context, graph *workflow.Graph, def *workflow.Definition, text []byte, note store.Audit) (lead.WorkflowID, error) {
	var seq int64
	var id lead.WorkflowID
	err := r.do(ctx, func(l *loop) error {
		var err error
		if seq == 0 {
			if seq, err = r.Store.Reserve(context.Background(), store.WorkflowSequence, 1); err != nil {
				return &storeError{err}
			}
		}
		if id.IsZero() {
			if id, err = r.newWorkflowID(l.now.Time(), seq); err != nil {
				return err
			}
		}
		l.stage(&core.Flow{Graph: graph, Row: store.Workflow{
			Seq: seq, ID: id, Name: def.Name, Description: def.Description,
			Status: lead.WorkflowDraft, Definition: text, Created: l.now,
		}})
		note.Workflow = seq
		l.audit(note)
		return nil
	})
	if err == nil {
		err = r.agree(ctx)
	}
	return id, err
}

// ChangeFlow replaces a workflow by what change returns. It returns when the new
// status has been applied to the workflow's leads: see statusSweep.
func (r *Runner) ChangeFlow(ctx context.Context, id lead.WorkflowID, note store.Audit, change func(*core.Flow) (*core.Flow, error)) error {
	return r.changeFlow(ctx, id, note, func(_ *loop, f *core.Flow) (*core.Flow, error) { return change(f) })
}

// RedrawFlow gives a workflow another graph, which only a draft without leads can have,
// and then replaces it by what change returns. text is the definition as JSON.
func (r *Runner) RedrawFlow(ctx context.Context, id lead.WorkflowID, graph *workflow.Graph, text []byte, note store.Audit, change func(*core.Flow) (*core.Flow, error)) error {
	return r.changeFlow(ctx, id, note, func(l *loop, f *core.Flow) (*core.Flow, error) {
		leads, err := l.count(f, lead.States()...)
		if err != nil {
			return nil, err
		}
		next, err := f.Redraw(graph, text, leads)
		if err != nil {
			return nil, err
		}
		return change(next)
	})
}

func (r *Runner) changeFlow(ctx context.Context, id lead.WorkflowID, note store.Audit, change func(*loop, *core.Flow) (*core.Flow, error)) error {
	var swept chan struct{}
	var beginning []<-chan struct{}
	err := r.do(ctx, func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		swept, beginning = nil, nil
		now, err := l.flowByID(id)
		if err != nil {
			return err
		}
		next, err := change(l, now)
		if err != nil {
			return err
		}
		l.stage(next)
		note.Workflow = next.Row.Seq
		l.audit(note)
		if next.Row.Status == now.Row.Status && next.Row.Deleted == now.Row.Deleted {
			return nil
		}
		if s := statusSweep(next); s != nil {
			swept = s.done
			l.after = append(l.after, func() { l.addSweep(s) })
		}
		if !next.Active() {
			// When the attempts that are begun in the same batch have been launched.
			l.after = append(l.after, func() {
				beginning = l.beginning(func(f *core.Flow) bool { return f.Row.Seq == next.Row.Seq })
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The handlers of attempts that were begun before are called before this returns, so
	// that none is called after it (promise 17).
	if err := r.awaitAll(ctx, beginning); err != nil {
		return err
	}
	if err := r.agree(ctx); err != nil {
		return err
	}
	if swept == nil {
		return nil
	}
	return r.Await(ctx, swept)
}

// CompleteFlow closes a workflow whose leads are all final.
func (r *Runner) CompleteFlow(ctx context.Context, id lead.WorkflowID, note store.Audit) error {
	return r.changeFlow(ctx, id, note, func(l *loop, f *core.Flow) (*core.Flow, error) {
		next, err := f.Turn(lead.WorkflowCompleted, lead.WorkflowActive, lead.WorkflowPaused)
		if err != nil {
			return nil, err
		}
		live, err := l.count(f, lead.Enrolled, lead.InStep, lead.PendingRemoval)
		if err != nil {
			return nil, err
		}
		if live > 0 {
			return nil, &lead.ConflictError{
				Reason: lead.ErrWorkflowStatus, Workflow: id, State: fmt.Sprintf("%d leads are not final", live),
			}
		}
		return next, nil
	})
}

// DeleteFlow removes a workflow and its enrollments.
func (r *Runner) DeleteFlow(ctx context.Context, id lead.WorkflowID, note store.Audit) error {
	return r.changeFlow(ctx, id, note, func(l *loop, f *core.Flow) (*core.Flow, error) {
		next, err := f.Turn(f.Row.Status, lead.WorkflowDraft, lead.WorkflowCompleted, lead.WorkflowCancelled)
		if err != nil {
			return nil, err
		}
		flying, err := l.count(f, lead.InStep, lead.PendingRemoval)
		if err != nil {
			return nil, err
		}
		if flying > 0 {
			return nil, &lead.ConflictError{Reason: lead.ErrWorkflowStatus, Workflow: id, State: strings.Join([]string{
				f.Row.Status.String(), fmt.Sprintf("%d leads have a step in flight", flying)}, ", ")}
		}
		next.Row.Deleted = true
		return next, nil
	})
}

// count returns how many leads of a workflow are in one of the states, including those
// that this batch enrolls.
func (l *loop) count(f *core.Flow, states ...lead.State) (int64, error) {
	counts, err := l.r.Store.Counts(context.Background(), f.Row.Seq)
	if err != nil {
		return 0, &storeError{err}
	}
	n := int64(0)
	for _, s := range states {
		n += counts[s]
	}
	// Another engine may change it before the batch is on disk.
	l.writes.Share.Expect = append(l.writes.Share.Expect, store.Expectation{Workflow: f.Row.Seq, States: states, Leads: n})
	for _, e := range l.fresh {
		if e.view.Rec.Workflow == f.Row.Seq && slices.Contains(states, e.view.Rec.State) {
			n++
		}
	}
	return n, nil
}

// stage adds f, as the next version of its workflow, to the batch.
func (l *loop) stage(f *core.Flow) {
	next := *f
	next.Row.Version++
	next.Row.Updated = l.now
	next.Rules = l.r.rules
	if l.staged == nil {
		l.staged = map[int64]*core.Flow{}
	}
	l.staged[next.Row.Seq] = &next
	l.writes.Workflows = append(l.writes.Workflows, next.Row)
}

// publishFlow makes the new version of a workflow visible, once it is on disk.
func (l *loop) publishFlow(seq int64, f *core.Flow) {
	before := l.flows[seq]
	l.flows[seq] = f
	l.r.rules.SetLimits(f, l.limits.everywhere) // nothing is used of those that are new
	l.watch(f)
	l.limits.reopen()
	if f.Active() && !before.Active() {
		l.horizon.rewind()
		for _, e := range l.hot {
			if e.view.Rec.Workflow == seq && e.free() {
				l.place(e)
			}
		}
	}
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.flows[seq] = f
	l.r.flowSeqs[f.Row.ID] = seq
}
