package core

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Flow is a workflow that can run. It never changes, but for Rules; a change of the
// workflow makes a new one.
type Flow struct {
	Row   store.Workflow
	Graph *workflow.Graph
	// RateKeys are those of its nodes, once their handlers are known.
	RateKeys []RateKey
	// Rules are those of the engine, which do change; nil for none.
	Rules *Rules
}

// NewFlow compiles a stored workflow. An expression that an earlier version took and
// this one refuses fails when it is evaluated, and concerns nothing else.
func NewFlow(row store.Workflow) (*Flow, error) {
	var def workflow.Definition
	if err := json.Unmarshal(row.Definition, &def); err != nil {
		return nil, fmt.Errorf("core: workflow %s: %w", row.ID, err)
	}
	if row.Seq < 1 {
		return nil, fmt.Errorf("core: workflow %s has the number %d, which is none", row.ID, row.Seq)
	}
	if s := row.Status; s < lead.WorkflowDraft || s > lead.WorkflowCancelled {
		return nil, fmt.Errorf("core: workflow %s is in no status (%d)", row.ID, s)
	}
	graph, err := workflow.CompileKept(&def)
	if err != nil {
		return nil, fmt.Errorf("core: workflow %s: %w", row.ID, err)
	}
	return &Flow{Row: row, Graph: graph}, nil
}

// Exists reports whether there is such a workflow, for everybody but the sweep
// that forgets the leads of a deleted one.
func (f *Flow) Exists() bool { return f != nil && !f.Row.Deleted }

// Active reports whether leads of the workflow may begin steps.
func (f *Flow) Active() bool { return f.Exists() && f.Row.Status == lead.WorkflowActive }

// Enrollable returns the *lead.ConflictError with which the workflow takes no more
// leads, or nil.
func (f *Flow) Enrollable() error {
	if f.Row.Status.Final() {
		return f.conflict(f.Row.Status.String())
	}
	return nil
}

// Redraw returns the workflow with another graph, whose JSON is text. Only a draft
// can have one, and only while it has no leads, not even removed ones: what is on
// record of a lead names its nodes by their numbers.
func (f *Flow) Redraw(graph *workflow.Graph, text []byte, leads int64) (*Flow, error) {
	next, err := f.Turn(lead.WorkflowDraft, lead.WorkflowDraft)
	switch {
	case err != nil:
		return nil, err
	case leads > 0:
		return nil, f.conflict(fmt.Sprintf("draft, %d leads enrolled", leads))
	}
	next.Graph, next.Row.Definition, next.RateKeys = graph, text, nil
	return next, nil
}

// conflict is the refusal of what the workflow does not allow in its present state.
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

// Turn returns the workflow in another status, or a *lead.ConflictError when it is
// in none of those from which it may come there.
func (f *Flow) Turn(to lead.WorkflowStatus, from ...lead.WorkflowStatus) (*Flow, error) {
	if !slices.Contains(from, f.Row.Status) {
		return nil, f.conflict(f.Row.Status.String())
	}
	next := *f
	next.Row.Status = to
	return &next, nil
}

// remembersSteps reports whether any expression of the workflow reads what came
// of a step.
func (f *Flow) remembersSteps() bool {
	for i := range f.Graph.Len() {
		if f.Graph.StepRead(int32(i)) {
			return true
		}
	}
	return false
}
