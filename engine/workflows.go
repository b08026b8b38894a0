package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Workflow is a workflow as a reader sees it at one moment.
type Workflow struct {
	ID          lead.WorkflowID     `json:"id"`
	Name        string              `json:"name"`
	Description string              `json:"description"`
	Status      lead.WorkflowStatus `json:"status"`
	NodeCount   int                 `json:"node_count"`
	EdgeCount   int                 `json:"edge_count"`
	// EnrolledLeads is how many leads the workflow has, final ones among them.
	EnrolledLeads int64 `json:"enrolled_leads"`
	// Counts has the number of leads in each of the five states.
	Counts    map[lead.State]int64 `json:"counts"`
	CreatedAt time.Time            `json:"created_at"`
	UpdatedAt time.Time            `json:"updated_at"`
}

// CreateWorkflow validates the definition as a whole and keeps it as a draft.
// The error of a faulty one is a *lead.InvalidError that names every fault.
func (e *Engine) CreateWorkflow(ctx context.Context, def *workflow.Definition) (Workflow, error) {
	graph, err := workflow.Compile(def)
	if err != nil {
		return Workflow{}, err
	}
	text, err := json.Marshal(def)
	if err != nil {
		return Workflow{}, fmt.Errorf("engine: encode workflow: %w", err)
	}
	var seq int64
	var id lead.WorkflowID
	err = e.do(ctx, func(l *loop) error {
		var err error
		if seq == 0 {
			if seq, err = e.store.Reserve(context.Background(), store.WorkflowSequence, 1); err != nil {
				return &storeError{err}
			}
		}
		if id.IsZero() {
			if id, err = e.newWorkflowID(l.now.Time(), seq); err != nil {
				return err
			}
		}
		l.stage(&flow{graph: graph, row: store.Workflow{
			Seq: seq, ID: id, Name: def.Name, Description: def.Description,
			Status: lead.WorkflowDraft, Definition: text, Created: l.now,
		}})
		return nil
	})
	if err != nil {
		return Workflow{}, err
	}
	return e.Workflow(ctx, id)
}

// stage has the batch write a workflow as f says, in its next version.
func (l *loop) stage(f *flow) {
	f.row.Version++
	f.row.Updated = l.now
	if l.staged == nil {
		l.staged = map[int64]*flow{}
	}
	l.staged[f.row.Seq] = f
	l.writes.Workflows = append(l.writes.Workflows, f.row)
}

// publishFlow makes a workflow known as it now is on disk.
func (l *loop) publishFlow(seq int64, f *flow) {
	if before := l.flows[seq]; f.active() && (before == nil || !before.active()) {
		l.horizon.rewind()
	}
	l.flows[seq] = f
	l.eng.mu.Lock()
	defer l.eng.mu.Unlock()
	l.eng.flows[seq] = f
	l.eng.flowSeqs[f.row.ID] = seq
}

// flowOf returns the workflow with that number, or nil when there is none or it
// is deleted.
func (e *Engine) flowOf(seq int64) *flow {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if f := e.flows[seq]; f != nil && !f.row.Deleted {
		return f
	}
	return nil
}

// flow returns the workflow with that id.
func (e *Engine) flow(id lead.WorkflowID) (*flow, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if f := e.flows[e.flowSeqs[id]]; f != nil && !f.row.Deleted {
		return f, nil
	}
	return nil, workflowNotFound(id)
}

// Workflow returns a workflow, or an error that matches lead.ErrNotFound.
func (e *Engine) Workflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	f, err := e.flow(id)
	if err != nil {
		return Workflow{}, err
	}
	return e.describe(ctx, f)
}

func (e *Engine) describe(ctx context.Context, f *flow) (Workflow, error) {
	counts, err := e.store.Counts(ctx, f.row.Seq)
	if err != nil {
		return Workflow{}, readFailed(err)
	}
	def := f.graph.Definition()
	w := Workflow{
		ID: f.row.ID, Name: f.row.Name, Description: f.row.Description, Status: f.row.Status,
		NodeCount: len(def.Nodes), EdgeCount: len(def.Edges), Counts: map[lead.State]int64{},
		CreatedAt: f.row.Created.Time(), UpdatedAt: f.row.Updated.Time(),
	}
	for _, s := range lead.States() {
		w.Counts[s] = counts[s]
		w.EnrolledLeads += counts[s]
	}
	return w, nil
}

// WorkflowFilter selects workflows. Its zero value selects all.
type WorkflowFilter struct {
	Name   string              // exactly this; "" for all
	Status lead.WorkflowStatus // 0 for all
	After  lead.WorkflowID     // only those created after this one
	Limit  int                 // at most so many; 0 for all
}

// Workflows returns the workflows that match, in the order in which they were
// created.
func (e *Engine) Workflows(ctx context.Context, filter WorkflowFilter) ([]Workflow, error) {
	after := int64(0)
	if !filter.After.IsZero() {
		e.mu.RLock()
		seq, ok := e.flowSeqs[filter.After] // a deleted one too: it may end a page that was read before
		e.mu.RUnlock()
		if !ok {
			return nil, workflowNotFound(filter.After)
		}
		after = seq
	}
	e.mu.RLock()
	var list []*flow
	for seq, f := range e.flows {
		if seq > after && !f.row.Deleted && (filter.Status == 0 || f.row.Status == filter.Status) &&
			(filter.Name == "" || f.row.Name == filter.Name) {
			list = append(list, f)
		}
	}
	e.mu.RUnlock()
	slices.SortFunc(list, func(a, b *flow) int { return int(a.row.Seq - b.row.Seq) })
	if filter.Limit > 0 && len(list) > filter.Limit {
		list = list[:filter.Limit]
	}
	out := make([]Workflow, 0, len(list))
	for _, f := range list {
		w, err := e.describe(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// Definition returns a copy of a workflow's graph, whose Mermaid method draws
// it.
func (e *Engine) Definition(id lead.WorkflowID) (*workflow.Definition, error) {
	f, err := e.flow(id)
	if err != nil {
		return nil, err
	}
	return f.definition(), nil
}

// WorkflowUpdate says what to change of a workflow; nil fields stay.
type WorkflowUpdate struct {
	Name        *string
	Description *string
}

// UpdateWorkflow renames or describes a workflow anew.
func (e *Engine) UpdateWorkflow(ctx context.Context, id lead.WorkflowID, u WorkflowUpdate) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(l *loop, f *flow) error {
		if u.Name != nil {
			f.row.Name = *u.Name
		}
		if u.Description != nil {
			f.row.Description = *u.Description
		}
		return f.definition().Validate()
	})
}

// changeWorkflow has change decide on a copy of the workflow, and keeps the
// copy unless it is refused.
func (e *Engine) changeWorkflow(ctx context.Context, id lead.WorkflowID, change func(l *loop, f *flow) error) (Workflow, error) {
	now, err := e.flow(id)
	if err != nil {
		return Workflow{}, err
	}
	seq := now.row.Seq
	err = e.do(ctx, func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		current := l.flow(seq)
		if current == nil || current.row.Deleted {
			return workflowNotFound(id)
		}
		f := *current
		if err := change(l, &f); err != nil {
			return err
		}
		l.stage(&f)
		return nil
	})
	if err != nil {
		return Workflow{}, err
	}
	return e.Workflow(ctx, id)
}

// DuplicateWorkflow makes a draft with the same graph, named "… (Copy)", and no
// leads.
func (e *Engine) DuplicateWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	def, err := e.Definition(id)
	if err != nil {
		return Workflow{}, err
	}
	def.Name = strings.TrimSpace(def.Name) + " (Copy)"
	return e.CreateWorkflow(ctx, def)
}
