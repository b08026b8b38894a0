package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Reads go directly to the store, not through the loop, and see what is on disk.

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
		if found, err = e.meet(err); !errors.Is(err, lead.ErrUnreadable) || found.Contact.Seq == 0 {
			return nil, found, err
		}
	}
	if !core.Names(id, &found.Contact) || found.Workflow != f.Row.Seq {
		return nil, found, run.LeadNotFound(workflow, id)
	}
	return f, found, err
}

// meet turns an error of the store about the rows of one lead into one that matches
// lead.ErrUnreadable, tells of it, and returns what can be read of the lead. Any other
// error says that the store could not be read.
func (e *Engine) meet(err error) (found store.Lead, _ error) {
	var row *store.RowError
	if !errors.As(err, &row) || row.Seq == 0 {
		return found, run.ReadFailed(err)
	}
	if row.Kind == "lead" || row.Kind == "contact" {
		e.run.Meet(row.Seq, row)
	}
	if row.Lead != nil {
		found = *row.Lead
	}
	return found, core.Unreadable(row.Seq, row)
}

// Lead returns a lead of a workflow. For an unknown workflow, an unknown lead or a
// lead of another workflow, the error matches lead.ErrNotFound. A lead that cannot be
// read completely, for example because the file is damaged, has the fields that can be
// read, and says why in Unreadable.
func (e *Engine) Lead(ctx context.Context, workflow lead.WorkflowID, id lead.ID) (lead.Lead, error) {
	f, found, err := e.find(ctx, workflow, id)
	if f == nil {
		return lead.Lead{}, err
	}
	return e.viewLead(f, &found, err), nil
}

// LeadByID returns a lead of any workflow, as Lead does. For an unknown lead, or one
// whose workflow was deleted, the error matches lead.ErrNotFound.
func (e *Engine) LeadByID(ctx context.Context, id lead.ID) (lead.Lead, error) {
	found, err := e.store.Lead(ctx, id.Seq())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		if found, err = e.meet(err); !errors.Is(err, lead.ErrUnreadable) || found.Contact.Seq == 0 {
			return lead.Lead{}, err
		}
	}
	f := e.run.FlowOf(found.Workflow)
	if errors.Is(err, store.ErrNotFound) || !core.Names(id, &found.Contact) || f == nil {
		return lead.Lead{}, &lead.NotFoundError{Kind: "lead", Name: id.String()}
	}
	return e.viewLead(f, &found, err), nil
}

// listLeads reads leads, and with them what can be read of those that are damaged, at
// most q.Limit in all. It tells of the damage.
func (e *Engine) listLeads(ctx context.Context, q store.LeadQuery) ([]foundLead, error) {
	found, err := e.store.Leads(ctx, q)
	var rows store.RowErrors
	if err != nil && !errors.As(err, &rows) {
		return nil, run.ReadFailed(err)
	}
	out := make([]foundLead, 0, len(found)+len(rows))
	for i := range found {
		out = append(out, foundLead{found[i], nil})
	}
	for _, row := range rows {
		damaged, err := e.meet(row)
		state := core.Damaged(damaged.Record, err).Rec.State
		if damaged.Contact.Seq != 0 && (q.States == nil || slices.Contains(q.States, state)) {
			out = append(out, foundLead{damaged, err})
		}
	}
	if len(rows) > 0 {
		slices.SortStableFunc(out, func(a, b foundLead) int {
			if q.Newest {
				a, b = b, a
			}
			return cmp.Compare(a.Seq, b.Seq)
		})
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out, nil
}

// foundLead is a lead, and why it cannot be read completely.
type foundLead struct {
	store.Lead
	err error
}

// viewLead returns what can be read of a lead. failed is why its rows could not be read.
func (e *Engine) viewLead(f *core.Flow, found *store.Lead, failed error) lead.Lead {
	if failed == nil {
		view, err := core.Read(found.Record, f)
		if err == nil {
			view.EndHold(store.MillisOf(e.config.Clock.Now()))
			person, err := core.Person(&found.Contact) // on error without metadata
			out := core.Lead(f, &view, &found.Contact, *person)
			if err != nil {
				e.run.MeetMetadata(found.Seq, err)
				out.Unreadable = err.Error()
			}
			return out
		}
		e.run.Meet(found.Seq, err)
		failed = err
	}
	return core.Readable(f, found, failed)
}

// LeadFilter selects leads of a workflow: those that match every field that is set.
// For readers the zero value selects all; [Engine.RemoveLeads] refuses it, because
// a filter that was left empty by mistake must not remove everybody.
type LeadFilter struct {
	// All says that every lead of the workflow is meant. It is for RemoveLeads, and
	// cannot be combined with States, Node, PhoneNumber or ExternalID.
	All bool

	States      []lead.State // in one of these states; nil for all, an empty list is refused
	Node        string       // at the node with this id
	PhoneNumber string       // as Enroll would read it
	ExternalID  string       // exactly this

	Newest bool    // the newest first
	After  lead.ID // only leads after this one, in the order of the list: the last of the page before
	Offset int     // how many to skip
	Limit  int     // at most this many; 0 for all
}

// selects reports whether the filter says which leads are meant.
func (filter *LeadFilter) selects() bool {
	return filter.States != nil || filter.Node != "" || filter.PhoneNumber != "" || filter.ExternalID != ""
}

func (e *Engine) leadQuery(f *core.Flow, filter LeadFilter) (store.LeadQuery, error) {
	faults := filterFaults{}
	q := store.LeadQuery{
		Workflow: f.Row.Seq, States: faults.states(filter.States), Phone: faults.phone(filter.PhoneNumber, e.config.Region),
		ExternalID: faults.text("external_id", filter.ExternalID),
		Newest:     filter.Newest, After: filter.After.Seq(), Offset: filter.Offset, Limit: filter.Limit,
	}
	if filter.All && filter.selects() {
		faults.add("all", "cannot be combined with states, a node, a phone number or an external id; leave out one or the other")
	}
	if filter.Node != "" {
		node, ok := f.Graph.Index(filter.Node)
		if !ok {
			faults.add("node_id", fmt.Sprintf("the workflow has no node %q", filter.Node))
		}
		q.Node = &node
	}
	faults.notNegative("offset", filter.Offset)
	faults.notNegative("limit", filter.Limit)
	return q, faults.err()
}

// Leads returns the leads of a workflow that match, in the order in which they
// were enrolled, or with Newest in the opposite order. For the next page, set After to the last lead of this one. An unknown
// workflow is an error that matches lead.ErrNotFound, an invalid filter a
// *lead.InvalidError. A lead that cannot be read completely is as [Engine.Lead] returns
// it.
func (e *Engine) Leads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter) ([]lead.Lead, error) {
	f, err := e.run.Flow(workflow)
	if err != nil {
		return nil, err
	}
	q, err := e.leadQuery(f, filter)
	if err != nil {
		return nil, err
	}
	found, err := e.listLeads(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]lead.Lead, len(found))
	for i := range found {
		out[i] = e.viewLead(f, &found[i].Lead, found[i].err)
	}
	return out, nil
}

// CountLeads returns how many leads match. It ignores the filter's After, Offset and
// Limit. Errors are those of Leads.
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

// pageSize is how many leads AllLeads, or calls AllCalls, holds at a time.
const pageSize = 500

// AllLeads iterates over the leads of a workflow that match, in the order of Leads and in
// constant memory. Leads are read in pages, and each is as it
// was when its page was read. An error ends the iteration; errors are those of Leads.
func (e *Engine) AllLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter) iter.Seq2[lead.Lead, error] {
	return func(yield func(lead.Lead, error) bool) {
		filter, left := filter, filter.Limit // an iterator may be used again
		limited := left != 0
		for {
			if filter.Limit = pageSize; limited {
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
			if left -= len(page); len(page) < filter.Limit || limited && left == 0 {
				return
			}
			filter.After, filter.Offset = page[len(page)-1].ID, 0
		}
	}
}

// ContactFilter selects the leads of one person, by PhoneNumber, by ExternalID or,
// when both are set, those that have both. One of them is required.
type ContactFilter struct {
	PhoneNumber string       // as Enroll would read it
	ExternalID  string       // exactly this
	States      []lead.State // in one of these states; nil for all, an empty list is refused
	After       lead.ID      // only leads enrolled before this one: the last of the page before
	Limit       int          // at most this many; 0 for all
}

// ContactLeads returns the leads of one person in all workflows that were not deleted,
// the newest first. A filter with neither a phone number nor an external id, or with
// invalid fields, is a *lead.InvalidError. A lead that cannot be read completely has
// the fields that can be read, as with Leads.
func (e *Engine) ContactLeads(ctx context.Context, filter ContactFilter) ([]lead.Lead, error) {
	faults := filterFaults{}
	q := store.LeadQuery{
		Phone: faults.phone(filter.PhoneNumber, e.config.Region), ExternalID: faults.text("external_id", filter.ExternalID),
		States: faults.states(filter.States), Newest: true, After: filter.After.Seq(),
	}
	if filter.PhoneNumber == "" && filter.ExternalID == "" {
		faults.add("phone_number", "is required unless external_id is given")
	}
	faults.notNegative("limit", filter.Limit)
	if err := faults.err(); err != nil {
		return nil, err
	}
	out := []lead.Lead{}
	for {
		if filter.Limit > 0 {
			q.Limit = filter.Limit - len(out)
		}
		found, err := e.listLeads(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if f := e.run.FlowOf(found[i].Workflow); f != nil {
				out = append(out, e.viewLead(f, &found[i].Lead, found[i].err))
			}
		}
		if q.Limit == 0 || len(found) < q.Limit || len(out) == filter.Limit {
			return out, nil
		}
		q.After = found[len(found)-1].Record.Seq
	}
}

// History returns all steps of a lead, in the order in which the lead came to them:
// those that have ended or were cancelled, the present one, and the scheduled messages
// that wait. Errors are those of Lead; if the lead or one of its steps cannot be read, the
// error matches lead.ErrUnreadable.
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
		_, err = e.meet(err)
		return nil, err
	}
	view, err := core.Read(found.Record, f)
	if err != nil {
		e.run.Meet(found.Seq, err)
		return nil, err
	}
	view.EndHold(store.MillisOf(e.config.Clock.Now()))
	steps, err := core.History(f, &view, id, rows, payloads)
	if err != nil {
		return nil, core.Unreadable(found.Seq, err)
	}
	return steps, nil
}
