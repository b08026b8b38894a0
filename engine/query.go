package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Reads go past the loop, straight to the store, and see what is on disk.

// find returns a lead of a workflow, or an error that matches lead.ErrNotFound
// when there is no such workflow, no such lead, or the lead is in another
// workflow.
func (e *Engine) find(ctx context.Context, workflow lead.WorkflowID, id lead.ID) (*core.Flow, store.Lead, error) {
	f, err := e.run.Flow(workflow)
	if err != nil {
		return nil, store.Lead{}, err
	}
	found, err := e.store.Lead(ctx, id.Seq())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, found, run.LeadNotFound(workflow, id)
	case err != nil:
		return nil, found, run.ReadFailed(err)
	case found.Contact.ID != id || found.Workflow != f.Row.Seq:
		return nil, found, run.LeadNotFound(workflow, id)
	}
	return f, found, nil
}

// Lead returns a lead of a workflow. The error of an unknown workflow, an
// unknown lead and a lead of another workflow matches lead.ErrNotFound.
func (e *Engine) Lead(ctx context.Context, workflow lead.WorkflowID, id lead.ID) (lead.Lead, error) {
	f, found, err := e.find(ctx, workflow, id)
	if err != nil {
		return lead.Lead{}, err
	}
	return viewLead(f, &found)
}

// onlyRows reports whether an error of the store is about rows that it left out,
// which keep nobody from reading the others.
func onlyRows(err error) bool {
	var rows store.RowErrors
	return errors.As(err, &rows)
}

func viewLead(f *core.Flow, found *store.Lead) (lead.Lead, error) {
	view, err := core.Read(found.Record, f)
	if err != nil {
		return lead.Lead{}, err
	}
	person, _ := core.Person(&found.Contact) // without metadata that cannot be read
	return core.Lead(f, &view, &found.Contact, *person), nil
}

// LeadFilter selects leads of a workflow. Its zero value selects all.
type LeadFilter struct {
	States      []lead.State // any of them
	Node        string       // at this node
	PhoneNumber string       // as Enroll would read it
	After       lead.ID      // only leads enrolled after this one: the last of the page before
	Offset      int          // how many to pass over
	Limit       int          // at most so many; 0 for all
}

func (e *Engine) leadQuery(f *core.Flow, filter LeadFilter) (store.LeadQuery, error) {
	q := store.LeadQuery{
		Workflow: f.Row.Seq, States: filter.States, Offset: filter.Offset, Limit: filter.Limit, After: filter.After.Seq(),
	}
	var faults []lead.FieldError
	fault := func(location, message string) {
		faults = append(faults, lead.FieldError{Location: location, Message: message})
	}
	if filter.Node != "" {
		node, ok := f.Graph.Index(filter.Node)
		if !ok {
			fault("node_id", fmt.Sprintf("the workflow has no node %q", filter.Node))
		}
		q.Node = &node
	}
	if filter.PhoneNumber != "" {
		phone, err := lead.NormalizePhone(filter.PhoneNumber, e.config.Region)
		if err != nil {
			fault("phone_number", err.Error())
		}
		q.Phone = lead.PhoneDigits(phone)
	}
	if filter.Limit < 0 {
		fault("limit", "must not be negative")
	}
	if filter.Offset < 0 {
		fault("offset", "must not be negative")
	}
	if faults != nil {
		return q, &lead.InvalidError{Subject: "filter", Faults: faults}
	}
	return q, nil
}

// Leads returns the leads of a workflow that match, in the order in which they
// were enrolled. The next page begins after the last lead of this one. Of a lead
// that cannot be read whole, as after damage to the file, it has what can be read,
// without metadata; [Engine.Lead] says what is wrong with it.
func (e *Engine) Leads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter) ([]lead.Lead, error) {
	f, err := e.run.Flow(workflow)
	if err != nil {
		return nil, err
	}
	q, err := e.leadQuery(f, filter)
	if err != nil {
		return nil, err
	}
	found, err := e.store.Leads(ctx, q)
	if err != nil && !onlyRows(err) {
		return nil, run.ReadFailed(err)
	}
	out := make([]lead.Lead, 0, len(found))
	for i := range found {
		l, err := viewLead(f, &found[i])
		if err != nil {
			l = core.Readable(f, &found[i])
		}
		out = append(out, l)
	}
	return out, nil
}

// CountLeads returns how many leads match, whatever the filter's After, Offset
// and Limit.
func (e *Engine) CountLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter) (int64, error) {
	f, err := e.run.Flow(workflow)
	if err != nil {
		return 0, err
	}
	q, err := e.leadQuery(f, filter)
	if err != nil {
		return 0, err
	}
	n, err := e.store.CountLeads(ctx, q)
	if err != nil {
		return 0, run.ReadFailed(err)
	}
	return n, nil
}

// pageSize is how many leads AllLeads holds at a time.
const pageSize = 500

// AllLeads iterates over the leads of a workflow that match, in the order in
// which they were enrolled and in constant memory. It sees each as it is when
// its page is read. An error ends the iteration.
func (e *Engine) AllLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter) iter.Seq2[lead.Lead, error] {
	return func(yield func(lead.Lead, error) bool) {
		left := filter.Limit
		for {
			filter.Limit = pageSize
			if left > 0 {
				filter.Limit = min(left, pageSize)
			}
			page, err := e.Leads(ctx, workflow, filter)
			if err != nil {
				yield(lead.Lead{}, err)
				return
			}
			for _, l := range page {
				if !yield(l, nil) {
					return
				}
			}
			if left -= len(page); len(page) < filter.Limit || left == 0 {
				return
			}
			filter.After, filter.Offset = page[len(page)-1].ID, 0
		}
	}
}

// History returns every step of a lead, in the order in which the lead came to
// them: those that are over, those that were cancelled, the one that it is at,
// and the messages that wait beside it. Errors are those of Lead.
func (e *Engine) History(ctx context.Context, workflow lead.WorkflowID, id lead.ID) ([]lead.Step, error) {
	f, _, err := e.find(ctx, workflow, id)
	if err != nil {
		return nil, err
	}
	found, rows, payloads, err := e.store.History(ctx, id.Seq())
	switch {
	case errors.Is(err, store.ErrNotFound): // deleted since
		return nil, run.LeadNotFound(workflow, id)
	case err != nil:
		return nil, run.ReadFailed(err)
	}
	view, err := core.Read(found.Record, f)
	if err != nil {
		return nil, err
	}
	return core.History(f, &view, id, rows, payloads)
}

// CallFilter selects entries of the call log. Zero fields select all.
type CallFilter struct {
	WorkflowID  lead.WorkflowID
	LeadID      lead.ID
	PhoneNumber string // as Enroll would read it
	Status      lead.StepStatus
	From, To    time.Time // From <= StartedAt < To
	After       CallCursor
	Limit       int // at most so many; 0 for all
}

// CallCursor is a place in the call log; its zero value is the beginning.
type CallCursor int64

// Calls returns the entries of the call log that match, in the order in which
// the attempts were begun, and the place after the last of them. Entries stay
// when their lead is final and when their workflow is deleted; a workflow or a
// lead that never was has none.
func (e *Engine) Calls(ctx context.Context, filter CallFilter) ([]lead.Call, CallCursor, error) {
	q := store.CallQuery{
		Lead: filter.LeadID.Seq(), Status: filter.Status, From: store.MillisOf(filter.From),
		To: store.MillisOf(filter.To), After: int64(filter.After), Limit: filter.Limit,
	}
	if filter.PhoneNumber != "" {
		phone, err := lead.NormalizePhone(filter.PhoneNumber, e.config.Region)
		if err != nil {
			return nil, filter.After, &lead.InvalidError{
				Subject: "filter", Faults: []lead.FieldError{{Location: "phone_number", Message: err.Error()}},
			}
		}
		q.Phone = lead.PhoneDigits(phone)
	}
	if !filter.WorkflowID.IsZero() {
		seq, ok := e.run.SeqOf(filter.WorkflowID) // a deleted one too
		if !ok {
			return []lead.Call{}, filter.After, nil
		}
		q.Workflow = seq
	}
	rows, err := e.store.Calls(ctx, q)
	if err != nil && !onlyRows(err) {
		return nil, filter.After, run.ReadFailed(err)
	}
	out, cursor := make([]lead.Call, 0, len(rows)), filter.After
	for _, row := range rows {
		cursor = CallCursor(row.Seq)
		if !filter.LeadID.IsZero() && row.LeadID != filter.LeadID {
			continue
		}
		out = append(out, lead.Call{
			CallID: row.CallID, StepID: core.StepID(row.Entered, row.LeadID, row.Visit), Attempt: int(row.Attempt),
			LeadID: row.LeadID, WorkflowID: row.WorkflowID, NodeID: row.NodeID,
			PhoneNumber: lead.PhoneFromDigits(row.Phone), Status: row.Status, Outcome: row.Outcome,
			StartedAt: row.Started.Time(), EndedAt: row.Ended.Time(), Error: row.Error, Data: validJSON(row.Data),
		})
	}
	return out, cursor, nil
}

// validJSON returns data that can be written into an answer: a damaged entry must
// not keep anybody from reading the others.
func validJSON(data []byte) []byte {
	if len(data) > 0 && !json.Valid(data) {
		return nil
	}
	return data
}
