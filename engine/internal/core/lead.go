package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Lead returns a lead as readers see it.
func Lead(f *Flow, v *View, c *store.Contact, person lead.Contact) lead.Lead {
	r := &v.Rec
	out := lead.Lead{
		ID:           IDOf(c),
		WorkflowID:   f.Row.ID,
		Contact:      person,
		State:        r.State,
		Outcome:      r.Outcome,
		NextActionAt: TimeOf(v.DueAt()),
		EnrolledAt:   TimeOf(c.Enrolled),
		UpdatedAt:    TimeOf(r.Updated),
	}
	if f.has(r.Node) {
		out.Node = f.Graph.Node(r.Node).ID
	}
	if r.State == lead.Completed {
		out.CompletedAt = TimeOf(r.Updated)
	}
	if h := v.Notes.Hold; h != nil {
		out.Hold = &lead.Hold{Reason: h.Reason, Actor: h.Actor, Since: TimeOf(h.Since), Until: TimeOf(h.Until)}
	}
	out.Removal = v.removal()
	return out
}

// removal returns the removal of the lead as readers see it, nil if none was asked for.
func (v *View) removal() *lead.Removal {
	m := v.Notes.Removal
	if m == nil {
		return nil
	}
	out := &lead.Removal{Reason: m.Reason, Actor: m.Actor, RequestedAt: TimeOf(m.Requested), SkipRetries: m.SkipRetries}
	if v.Rec.State == lead.Removed {
		out.RemovedAt = TimeOf(v.Rec.Updated)
	}
	return out
}

// Person returns a stored contact as handlers and expressions see it. If the metadata
// cannot be read, it returns the contact without it, and an error that concerns this
// lead only.
func Person(c *store.Contact) (*lead.Contact, error) {
	out := &lead.Contact{PhoneNumber: lead.PhoneFromDigits(c.Phone), ExternalID: c.ExternalID, TimeZone: c.TimeZone}
	if len(c.Metadata) > 0 {
		var err error
		if out.Metadata, err = DecodeObject(c.Metadata); err != nil {
			out.Metadata = nil
			return out, &UnreadableError{c.Seq, fmt.Errorf("its metadata: %w", err)}
		}
	}
	return out, nil
}

// StepID returns the id of a lead's step.
func StepID(entered store.Millis, id lead.ID, visit int32) lead.StepID {
	return lead.NewStepID(entered.Time(), id, visit)
}

// describe returns a step with the fields that come from its node.
func describe(f *Flow, node int32, scheduled bool) lead.Step {
	if !f.has(node) {
		return lead.Step{Scheduled: scheduled} // the row is damaged
	}
	n := f.Graph.Node(node)
	s := lead.Step{NodeID: n.ID, NodeLabel: n.Label, NodeType: string(n.Type), Scheduled: scheduled}
	if scheduled {
		s.NodeType = string(workflow.Message)
	}
	return s
}

// CurrentStep returns the present step of a lead that is not final.
func CurrentStep(f *Flow, v *View, id lead.ID) lead.Step {
	r, n := &v.Rec, &v.Notes
	s := describe(f, r.Node, n.Sending != nil)
	s.ID = StepID(r.Entered, id, r.Visit)
	s.EnteredAt, s.ScheduledAt = TimeOf(r.Entered), TimeOf(r.Entered)
	switch {
	case n.Sending != nil:
		s.ScheduledAt = TimeOf(n.Sending.Due)
	case r.Phase == store.PhaseWaiting:
		s.ScheduledAt = TimeOf(r.Due)
	}
	s.Attempts = attemptsOf(n.Attempts)
	s.CallID = n.CallID
	switch r.Phase {
	case store.PhaseWaiting:
		s.Status = lead.StepWaiting
	case store.PhaseRunning, store.PhaseAwaiting:
		s.Status = lead.StepInProgress
		s.Attempts = append(s.Attempts, lead.Attempt{
			Number: int(r.Attempt), StartedAt: TimeOf(r.Started), Status: lead.StepInProgress, CallID: n.CallID,
			Redelivered: n.Redelivered,
		})
		if n.Parked {
			s.Attempts[len(s.Attempts)-1].Error = v.parked()
		}
		if n.Ended != nil && !n.Ended.Attempt {
			s.Outcome, s.CallID, s.Data = n.Ended.Outcome, cmp.Or(n.Ended.CallID, s.CallID), n.Ended.Data
		}
	case store.PhaseRetrying:
		s.Status = lead.StepRetrying
		next := lead.Attempt{Number: int(r.Attempt) + 1, Status: lead.StepWaiting, DueAt: TimeOf(r.Due)}
		if n.NotMade != nil {
			next.Error, next.Redelivered = n.NotMade.Error, n.NotMade.Again
		}
		s.Attempts = append(s.Attempts, next)
	case store.PhaseHooks:
		s.Status, s.Outcome, s.Error = n.Ended.Status, n.Ended.Outcome, n.Ended.Error
		s.CallID, s.Data = n.Ended.CallID, n.Ended.Data
	}
	return s
}

// waitingStep returns a step that waits beside the current one: a scheduled message,
// or the wait of the path while a message is being sent.
func waitingStep(f *Flow, id lead.ID, w Wait, scheduled bool, data json.RawMessage) lead.Step {
	s := describe(f, w.Node, scheduled)
	s.ID, s.Status = StepID(w.Entered, id, w.Visit), lead.StepWaiting
	s.EnteredAt, s.ScheduledAt, s.Attempts = TimeOf(w.Entered), TimeOf(w.Due), []lead.Attempt{}
	s.Data = data
	return s
}

// FinishedStep returns a step of the history. payload is the data of a scheduled
// message that was not sent.
func FinishedStep(f *Flow, id lead.ID, row *store.Step, payload json.RawMessage) (lead.Step, error) {
	d, err := decodeDetail(row.Detail)
	if err != nil {
		return lead.Step{}, err
	}
	s := describe(f, row.Node, row.Kind == store.StepMessage)
	s.ID = StepID(row.Entered, id, row.Visit)
	s.Status, s.Outcome, s.Error, s.CallID = row.Status, row.Outcome, d.Error, d.CallID
	s.ScheduledAt, s.EnteredAt, s.ExitedAt = TimeOf(row.Due), TimeOf(row.Entered), TimeOf(row.Exited)
	s.Data, s.HookErrors = d.Data, d.HookErrors
	if row.Status == lead.StepCancelled && s.Data == nil {
		s.Data = payload
	}
	s.Attempts = attemptsOf(d.Attempts)
	if d.Attempts == nil && row.Attempts == 1 {
		s.Attempts = append(s.Attempts, lead.Attempt{
			Number: 1, StartedAt: TimeOf(row.Started), EndedAt: TimeOf(row.Exited), Status: row.Status, CallID: d.CallID,
		})
	}
	return s, nil
}

func attemptsOf(list []Attempt) []lead.Attempt {
	out := make([]lead.Attempt, 0, len(list)+1)
	for _, a := range list {
		out = append(out, lead.Attempt{
			Number: int(a.Number), DueAt: TimeOf(a.Due), StartedAt: TimeOf(a.Started), EndedAt: TimeOf(a.Ended),
			Status: a.Status, Error: a.Error, CallID: a.CallID, Redelivered: a.Again,
		})
	}
	return out
}

// History returns all steps of a lead in the order in which the lead came to them:
// the finished ones, the present one, and those that wait beside it. payloads are the
// data of its scheduled messages.
func History(f *Flow, v *View, id lead.ID, rows []store.Step, payloads []store.Payload) ([]lead.Step, error) {
	type numbered struct {
		visit int32
		lead.Step
	}
	data := make(map[int32]json.RawMessage, len(payloads))
	for _, p := range payloads {
		data[p.Visit] = p.Data
	}
	steps := make([]numbered, 0, len(rows)+1)
	for i := range rows {
		s, err := FinishedStep(f, id, &rows[i], data[rows[i].Visit])
		if err != nil {
			return nil, err
		}
		steps = append(steps, numbered{rows[i].Visit, s})
	}
	if !v.Rec.State.Final() {
		steps = append(steps, numbered{v.Rec.Visit, CurrentStep(f, v, id)})
	}
	if p := v.Notes.Path; p != nil {
		steps = append(steps, numbered{p.Visit, waitingStep(f, id, *p, false, nil)})
	}
	for _, m := range v.Notes.Messages {
		text := m.Data
		if text == nil {
			text = data[m.Visit]
		}
		w := Wait{Visit: m.Visit, Node: m.Node, Entered: m.Entered, Due: m.Due}
		steps = append(steps, numbered{m.Visit, waitingStep(f, id, w, true, text)})
	}
	slices.SortStableFunc(steps, func(a, b numbered) int { return int(a.visit - b.visit) })
	out := make([]lead.Step, len(steps))
	for i, s := range steps {
		out[i] = s.Step
	}
	return out, nil
}
