package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// flow is a workflow in memory. It never changes; a change of the workflow
// makes a new one.
type flow struct {
	row   store.Workflow
	graph *workflow.Graph
}

// newFlow compiles a stored workflow.
func newFlow(row store.Workflow) (*flow, error) {
	var def workflow.Definition
	if err := json.Unmarshal(row.Definition, &def); err != nil {
		return nil, fmt.Errorf("engine: workflow %s: %w", row.ID, err)
	}
	graph, err := workflow.Compile(&def)
	if err != nil {
		return nil, fmt.Errorf("engine: workflow %s: %w", row.ID, err)
	}
	return &flow{row: row, graph: graph}, nil
}

func (f *flow) active() bool { return f.row.Status == lead.WorkflowActive && !f.row.Deleted }

// definition returns the workflow's graph under its present name.
func (f *flow) definition() *workflow.Definition {
	def := *f.graph.Definition()
	def.Name, def.Description = f.row.Name, f.row.Description
	def.Nodes, def.Edges = slices.Clone(def.Nodes), slices.Clone(def.Edges)
	return &def
}

// lead returns a lead as readers see it.
func (f *flow) lead(e *store.Lead, x *extra, person lead.Contact) lead.Lead {
	r := &e.Record
	out := lead.Lead{
		ID:         e.Contact.ID,
		WorkflowID: f.row.ID,
		Contact:    person,
		State:      r.State,
		Node:       f.graph.Node(r.Node).ID,
		Outcome:    r.Outcome,
		EnrolledAt: e.Contact.Enrolled.Time(),
		UpdatedAt:  r.Updated.Time(),
	}
	switch r.Phase {
	case store.PhaseWaiting:
		out.NextActionAt = min(r.Due, firstDue(x.Messages)).Time()
	case store.PhaseRetrying:
		out.NextActionAt = r.Due.Time()
	case store.PhaseRunning, store.PhaseAwaiting:
		out.NextActionAt = r.Deadline.Time()
	case store.PhaseHooks:
		out.NextActionAt = x.Ended.At.Time()
	}
	if r.State == lead.Completed {
		out.CompletedAt = r.Updated.Time()
	}
	if m := x.Removal; m != nil {
		out.Removal = &lead.Removal{
			Reason: m.Reason, Actor: m.Actor, RequestedAt: m.Requested.Time(), SkipRetries: m.SkipRetries,
		}
		if r.State == lead.Removed {
			out.Removal.RemovedAt = r.Updated.Time()
		}
	}
	return out
}

func firstDue(messages []message) store.Millis {
	if len(messages) == 0 {
		return store.MaxMillis
	}
	return messages[0].Due
}

// describe fills in what a step is, from its node.
func (f *flow) describe(node int32, scheduled bool) lead.Step {
	n := f.graph.Node(node)
	s := lead.Step{NodeID: n.ID, NodeLabel: n.Label, NodeType: string(n.Type), Scheduled: scheduled}
	if scheduled {
		s.NodeType = string(workflow.Message)
	}
	return s
}

// currentStep returns the step that a lead which is not final is at.
func (f *flow) currentStep(e *store.Lead, x *extra) lead.Step {
	r := &e.Record
	s := f.describe(r.Node, x.Sending != nil)
	s.ID = stepID(r.Entered, e.Contact.ID, r.Visit)
	s.EnteredAt, s.ScheduledAt = r.Entered.Time(), r.Entered.Time()
	switch {
	case x.Sending != nil:
		s.ScheduledAt = x.Sending.Due.Time()
	case r.Phase == store.PhaseWaiting:
		s.ScheduledAt = r.Due.Time()
	}
	s.Attempts = attemptsOf(x.Attempts)
	s.CallID = x.CallID
	switch r.Phase {
	case store.PhaseWaiting:
		s.Status = lead.StepWaiting
	case store.PhaseRunning, store.PhaseAwaiting:
		s.Status = lead.StepInProgress
		s.Attempts = append(s.Attempts, lead.Attempt{
			Number: int(r.Attempt), StartedAt: r.Started.Time(), Status: lead.StepInProgress, CallID: x.CallID,
			Redelivered: x.Redelivered,
		})
		if x.Ended != nil {
			s.Outcome, s.CallID, s.Data = x.Ended.Outcome, cmp.Or(x.Ended.CallID, s.CallID), x.Ended.Data
		}
	case store.PhaseRetrying:
		s.Status = lead.StepRetrying
		s.Attempts = append(s.Attempts, lead.Attempt{Number: int(r.Attempt) + 1, Status: lead.StepWaiting, DueAt: r.Due.Time()})
	case store.PhaseHooks:
		s.Status, s.Outcome, s.Error = x.Ended.Status, x.Ended.Outcome, x.Ended.Error
		s.CallID, s.Data = x.Ended.CallID, x.Ended.Data
	}
	return s
}

// waitingStep returns a step that waits beside the current one: a scheduled
// message, or the wait that a message being sent interrupts.
func (f *flow) waitingStep(id lead.ID, visit, node int32, entered, due store.Millis, scheduled bool, data json.RawMessage) lead.Step {
	s := f.describe(node, scheduled)
	s.ID, s.Status = stepID(entered, id, visit), lead.StepWaiting
	s.EnteredAt, s.ScheduledAt, s.Attempts = entered.Time(), due.Time(), []lead.Attempt{}
	s.Data = data
	return s
}

// finishedStep returns a step of the history.
func (f *flow) finishedStep(id lead.ID, row *store.Step) (lead.Step, error) {
	d, err := decodeDetail(row.Detail)
	if err == nil && !f.has(row.Node) {
		err = errNoNode
	}
	if err != nil {
		return lead.Step{}, &unreadableError{row.Lead, fmt.Errorf("step %d: %w", row.Visit, err)}
	}
	s := f.describe(row.Node, row.Kind == store.StepMessage)
	s.ID = stepID(row.Entered, id, row.Visit)
	s.Status, s.Outcome, s.Error, s.CallID = row.Status, row.Outcome, d.Error, d.CallID
	s.ScheduledAt, s.EnteredAt, s.ExitedAt = row.Due.Time(), row.Entered.Time(), row.Exited.Time()
	s.Data, s.HookErrors = d.Data, d.HookErrors
	s.Attempts = attemptsOf(d.Attempts)
	if d.Attempts == nil && row.Attempts == 1 {
		s.Attempts = append(s.Attempts, lead.Attempt{
			Number: 1, StartedAt: row.Started.Time(), EndedAt: row.Exited.Time(), Status: row.Status, CallID: d.CallID,
		})
	}
	return s, nil
}

func attemptsOf(list []attempt) []lead.Attempt {
	out := make([]lead.Attempt, 0, len(list)+1)
	for _, a := range list {
		out = append(out, lead.Attempt{
			Number: int(a.Number), DueAt: a.Due.Time(), StartedAt: a.Started.Time(), EndedAt: a.Ended.Time(),
			Status: a.Status, Error: a.Error, CallID: a.CallID, Redelivered: a.Again,
		})
	}
	return out
}

// history returns every step of a lead in the order in which the lead came to
// them: those that are over, the one it is at, and those that wait beside it.
func (f *flow) history(e *store.Lead, rows []store.Step) ([]lead.Step, error) {
	x, err := readExtra(f, &e.Record)
	if err != nil {
		return nil, err
	}
	type numbered struct {
		visit int32
		lead.Step
	}
	id := e.Contact.ID
	steps := make([]numbered, 0, len(rows)+1)
	for i := range rows {
		s, err := f.finishedStep(id, &rows[i])
		if err != nil {
			return nil, err
		}
		steps = append(steps, numbered{rows[i].Visit, s})
	}
	if !e.State.Final() {
		steps = append(steps, numbered{e.Visit, f.currentStep(e, &x)})
	}
	if p := x.Path; p != nil {
		steps = append(steps, numbered{p.Visit, f.waitingStep(id, p.Visit, p.Node, p.Entered, p.Due, false, nil)})
	}
	for _, m := range x.Messages {
		steps = append(steps, numbered{m.Visit, f.waitingStep(id, m.Visit, m.Node, m.Entered, m.Due, true, m.Data)})
	}
	slices.SortStableFunc(steps, func(a, b numbered) int { return int(a.visit - b.visit) })
	out := make([]lead.Step, len(steps))
	for i, s := range steps {
		out[i] = s.Step
	}
	return out, nil
}
