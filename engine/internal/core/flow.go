package core

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Flow is a workflow that can run. It never changes, except for what Rules points to; a
// change of the workflow makes a new Flow.
type Flow struct {
	Row   store.Workflow
	Graph *workflow.Graph
	// Handlers are those of its nodes, set when the workflow is active or paused.
	Handlers []Handlers
	// Missing: this engine lacks one of its handlers, which another engine has.
	Missing bool
	// Rules are those of the engine, which do change; nil for none.
	Rules *Rules
}

// Handlers is what is known of a node's handlers: Visit of the one for visits to the
// node, Message of the one for messages that it scheduled.
type Handlers struct{ Visit, Message Handler }

// Handler is what is known of a handler at a node.
type Handler struct {
	// RateKey names what its attempts share with those at other nodes, such as a
	// provider.
	RateKey string
	// Reconciles: it can be asked what became of an attempt that a crash interrupted.
	Reconciles bool
}

// NewFlow compiles a stored workflow. An expression that an earlier version accepted
// and this one does not fails when it is evaluated, and has no other effect.
func NewFlow(row store.Workflow) (*Flow, error) {
	var def workflow.Definition
	if err := json.Unmarshal(row.Definition, &def); err != nil {
		return nil, fmt.Errorf("core: workflow %s: %w", row.ID, err)
	}
	if row.Seq < 1 {
		return nil, fmt.Errorf("core: workflow %s has the invalid number %d; must be at least 1", row.ID, row.Seq)
	}
	if s := row.Status; s < lead.WorkflowDraft || s > lead.WorkflowCancelled {
		return nil, fmt.Errorf("core: workflow %s has the invalid status %d", row.ID, s)
	}
	graph, err := workflow.CompileKept(&def)
	if err != nil {
		return nil, fmt.Errorf("core: workflow %s: %w", row.ID, err)
	}
	return &Flow{Row: row, Graph: graph}, nil
}

// Exists reports whether f is a workflow that was not deleted. A deleted one is kept
// only until its leads are deleted.
func (f *Flow) Exists() bool { return f != nil && !f.Row.Deleted }

// Active reports whether leads of the workflow may begin steps.
func (f *Flow) Active() bool { return f.Exists() && f.Row.Status == lead.WorkflowActive }

// Enrollable returns nil, or a *lead.ConflictError if no lead can be enrolled in the
// workflow.
func (f *Flow) Enrollable() error {
	if f.Row.Status.Final() {
		return f.conflict(f.Row.Status.String())
	}
	return nil
}

// Redraw returns the workflow with another graph, whose JSON is text. It must be a
// draft without leads, not even removed ones, because the rows of a lead name nodes by
// their numbers in the graph.
func (f *Flow) Redraw(graph *workflow.Graph, text []byte, leads int64) (*Flow, error) {
	next, err := f.Turn(lead.WorkflowDraft, lead.WorkflowDraft)
	switch {
	case err != nil:
		return nil, err
	case leads > 0:
		return nil, f.conflict(fmt.Sprintf("draft, %d leads enrolled", leads))
	}
	next.Graph, next.Row.Definition, next.Handlers = graph, text, nil
	return next, nil
}

// conflict is the error for what the workflow does not allow in its present state.
func (f *Flow) conflict(state string) error {
	return &lead.ConflictError{Reason: lead.ErrWorkflowStatus, Workflow: f.Row.ID, State: state}
}

func (f *Flow) cancelled() bool { return f.Row.Status == lead.WorkflowCancelled }

// Definition returns a copy of the workflow's graph under its present name.
func (f *Flow) Definition() *workflow.Definition {
	def := f.Graph.Definition()
	def.Name, def.Description = f.Row.Name, f.Row.Description
	return def
}

// Turn returns the workflow in the status to, or a *lead.ConflictError unless its
// present status is one of from.
func (f *Flow) Turn(to lead.WorkflowStatus, from ...lead.WorkflowStatus) (*Flow, error) {
	if !slices.Contains(from, f.Row.Status) {
		return nil, f.conflict(f.Row.Status.String())
	}
	next := *f
	next.Row.Status = to
	return &next, nil
}

// remembersSteps reports whether any expression of the workflow reads the result of a
// step.
func (f *Flow) remembersSteps() bool {
	for i := range f.Graph.Len() {
		if f.Graph.StepRead(int32(i)) {
			return true
		}
	}
	return false
}
