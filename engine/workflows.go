package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
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
	// EnrolledLeads is how many leads the workflow has, final ones included.
	EnrolledLeads int64 `json:"enrolled_leads"`
	// Counts has the number of leads in each of the five states.
	Counts    map[lead.State]int64 `json:"counts"`
	CreatedAt time.Time            `json:"created_at"`
	UpdatedAt time.Time            `json:"updated_at"`
	// Warnings say what is not wrong with the definition, but cannot be meant.
	Warnings []lead.FieldError `json:"warnings,omitempty"`
}

// CreateWorkflow validates the definition and stores it as a draft. An invalid
// definition is a *lead.InvalidError that names every fault.
func (e *Engine) CreateWorkflow(ctx context.Context, def *workflow.Definition) (Workflow, error) {
	return e.createWorkflow(ctx, def, nil)
}

// createWorkflow makes a draft. detail is what the audit trail says of it.
func (e *Engine) createWorkflow(ctx context.Context, def *workflow.Definition, detail any) (Workflow, error) {
	note, err := noteOf(ctx, run.AuditCreate, detail)
	if err != nil {
		return Workflow{}, err
	}
	def = readableDefinition(def)
	graph, err := workflow.Compile(def)
	if err != nil {
		return Workflow{}, err
	}
	text, err := json.Marshal(def)
	if err != nil {
		return Workflow{}, fmt.Errorf("engine: encode workflow: %w", err)
	}
	id, err := e.run.CreateFlow(ctx, graph, def, text, note)
	if err != nil {
		return Workflow{}, e.why(err)
	}
	return e.Workflow(ctx, id)
}

// readableDefinition returns a copy of a definition whose configs are JSON that others
// can read.
func readableDefinition(def *workflow.Definition) *workflow.Definition {
	if def == nil {
		return nil // Compile refuses it
	}
	def = def.Clone()
	for i := range def.Nodes {
		if c := def.Nodes[i].Config; json.Valid(c) { // Compile refuses others
			def.Nodes[i].Config = readable(c)
		}
	}
	return def
}

// Workflow returns a workflow, or an error that matches lead.ErrNotFound.
func (e *Engine) Workflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	f, err := e.run.Flow(id)
	if err != nil {
		return Workflow{}, err
	}
	return e.describe(ctx, f)
}

func (e *Engine) describe(ctx context.Context, f *core.Flow) (Workflow, error) {
	counts, err := e.store.Counts(ctx, f.Row.Seq)
	if err != nil {
		return Workflow{}, run.ReadFailed(err)
	}
	def := f.Graph.Definition()
	w := Workflow{
		ID: f.Row.ID, Name: f.Row.Name, Description: f.Row.Description, Status: f.Row.Status,
		NodeCount: len(def.Nodes), EdgeCount: len(def.Edges), Counts: map[lead.State]int64{},
		CreatedAt: f.Row.Created.Time(), UpdatedAt: f.Row.Updated.Time(),
		Warnings: f.Graph.Warnings(),
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
	Limit  int                 // at most this many; 0 for all
}

// Workflows returns the workflows that match, in the order in which they were
// created. An unknown After is an error that matches lead.ErrNotFound; a deleted one
// is not an error.
func (e *Engine) Workflows(ctx context.Context, filter WorkflowFilter) ([]Workflow, error) {
	faults := filterFaults{}
	faults.notNegative("limit", filter.Limit)
	if s := filter.Status; s > lead.WorkflowCancelled {
		faults.add("status", fmt.Sprintf("invalid status %d; 0 means any", s))
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	after := int64(0)
	if !filter.After.IsZero() {
		seq, ok := e.run.SeqOf(filter.After) // a deleted one too: it may end a page that was read before
		if !ok {
			return nil, run.WorkflowNotFound(filter.After)
		}
		after = seq
	}
	var list []*core.Flow
	for _, f := range e.run.Flows() {
		if f.Row.Seq > after && (filter.Status == 0 || f.Row.Status == filter.Status) &&
			(filter.Name == "" || f.Row.Name == filter.Name) {
			list = append(list, f)
		}
	}
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

// Definition returns a copy of a workflow's graph; its Mermaid method draws it. For an
// unknown workflow the error matches lead.ErrNotFound.
func (e *Engine) Definition(_ context.Context, id lead.WorkflowID) (*workflow.Definition, error) {
	f, err := e.run.Flow(id)
	if err != nil {
		return nil, err
	}
	return f.Definition(), nil
}

// WorkflowUpdate says what to change in a workflow. Nil fields stay as they are.
type WorkflowUpdate struct {
	Name        *string
	Description *string
	// Graph replaces the whole definition. Its Name and Description are ignored.
	Graph *workflow.Definition
}

// UpdateWorkflow changes the name, the description or the graph of a workflow. An
// invalid one is a *lead.InvalidError that names every fault. The graph can only be
// changed while the workflow is a draft without leads, removed ones included;
// otherwise the error matches lead.ErrWorkflowStatus. For an unknown workflow it
// matches lead.ErrNotFound.
func (e *Engine) UpdateWorkflow(ctx context.Context, id lead.WorkflowID, u WorkflowUpdate) (Workflow, error) {
	note, err := noteOf(ctx, run.AuditUpdate, map[string]any{"fields": u.fields()})
	if err != nil {
		return Workflow{}, err
	}
	change := func(f *core.Flow) (*core.Flow, error) {
		next := *f
		if u.Name != nil {
			next.Row.Name = *u.Name
		}
		if u.Description != nil {
			next.Row.Description = *u.Description
		}
		return &next, next.Definition().Validate()
	}
	if u.Graph == nil {
		return e.changeWorkflow(ctx, id, note, change)
	}
	present, err := e.Definition(ctx, id)
	if err != nil {
		return Workflow{}, err
	}
	def := readableDefinition(u.Graph)
	def.Name, def.Description = present.Name, present.Description
	if u.Name != nil {
		def.Name = *u.Name
	}
	if u.Description != nil {
		def.Description = *u.Description
	}
	graph, err := workflow.Compile(def)
	if err != nil {
		return Workflow{}, err
	}
	text, err := json.Marshal(def)
	if err != nil {
		return Workflow{}, fmt.Errorf("engine: encode workflow: %w", err)
	}
	if err := e.run.RedrawFlow(ctx, id, graph, text, note, change); err != nil {
		return Workflow{}, e.why(err)
	}
	return e.Workflow(ctx, id)
}

// fields names what is to be changed.
func (u *WorkflowUpdate) fields() []string {
	list := []string{}
	for _, f := range []struct {
		name string
		set  bool
	}{{"name", u.Name != nil}, {"description", u.Description != nil}, {"graph", u.Graph != nil}} {
		if f.set {
			list = append(list, f.name)
		}
	}
	return list
}

// turnWorkflow changes the status of a workflow as change says.
func (e *Engine) turnWorkflow(ctx context.Context, id lead.WorkflowID, action string, change func(*core.Flow) (*core.Flow, error)) (Workflow, error) {
	note, err := noteOf(ctx, action, nil)
	if err != nil {
		return Workflow{}, err
	}
	return e.changeWorkflow(ctx, id, note, change)
}

// changeWorkflow replaces a workflow by what change returns.
func (e *Engine) changeWorkflow(
	ctx context.Context, id lead.WorkflowID, note store.Audit, change func(*core.Flow) (*core.Flow, error),
) (Workflow, error) {
	if err := e.run.ChangeFlow(ctx, id, note, change); err != nil {
		return Workflow{}, e.why(err)
	}
	return e.Workflow(ctx, id)
}

// DuplicateWorkflow makes a draft with the same graph and no leads. Its name is that of
// the workflow with " (Copy)" appended. For an unknown workflow the error matches
// lead.ErrNotFound.
func (e *Engine) DuplicateWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	def, err := e.Definition(ctx, id)
	if err != nil {
		return Workflow{}, err
	}
	def.Name = strings.TrimSpace(def.Name) + " (Copy)"
	return e.createWorkflow(ctx, def, map[string]any{"copy_of": id})
}
