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

// CallFilter selects entries of the call log. Zero fields select all.
type CallFilter struct {
	WorkflowID  lead.WorkflowID
	LeadID      lead.ID
	PhoneNumber string // as Enroll would read it
	CallID      string // the provider's id of the call, exactly
	Status      lead.StepStatus
	From, To    time.Time // From <= StartedAt < To
	After       CallCursor
	Limit       int // at most this many; 0 for all
}

// CallCursor is a position in the call log; its zero value is the beginning.
type CallCursor int64

// Calls returns the entries of the call log that match, in the order in which
// the attempts were begun, and the position after the last of them, for the next
// page. Entries stay when their lead is final and when their workflow is deleted. An
// unknown workflow or lead has no entries, which is no error; an invalid filter is a
// *lead.InvalidError.
func (e *Engine) Calls(ctx context.Context, filter CallFilter) ([]lead.Call, CallCursor, error) {
	faults := filterFaults{}
	q := store.CallQuery{
		Lead: filter.LeadID.Seq(), Phone: faults.phone(filter.PhoneNumber, e.config.Region), CallID: faults.text("call_id", filter.CallID),
		Status: filter.Status, From: store.MillisOf(filter.From), To: store.MillisOf(filter.To),
		After: int64(filter.After), Limit: filter.Limit,
	}
	faults.notNegative("limit", filter.Limit)
	if s := filter.Status; s != 0 && s != lead.StepInProgress && s != lead.StepCompleted && s != lead.StepFailed {
		faults.add("status", fmt.Sprintf("invalid status %s; a call's must be one of %s, %s, %s", s, lead.StepInProgress, lead.StepCompleted, lead.StepFailed))
	}
	if err := faults.err(); err != nil {
		return nil, filter.After, err
	}
	if !filter.WorkflowID.IsZero() {
		seq, ok := e.run.SeqOf(filter.WorkflowID) // a deleted one too
		if !ok {
			return []lead.Call{}, filter.After, nil
		}
		q.Workflow = seq
	}
	rows, err := e.store.Calls(ctx, q)
	var left store.RowErrors
	if err != nil && !errors.As(err, &left) {
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
			StartedAt: core.TimeOf(row.Started), EndedAt: core.TimeOf(row.Ended), Error: row.Error, Data: validJSON(row.Data),
		})
	}
	return out, cursor, nil
}

// AllCalls iterates over the entries of the call log that match, in the order in
// which the attempts were begun and in constant memory. Entries are read in pages,
// and each is as it was when its page was read. An error ends the iteration.
func (e *Engine) AllCalls(ctx context.Context, filter CallFilter) iter.Seq2[lead.Call, error] {
	return func(yield func(lead.Call, error) bool) {
		filter, left := filter, filter.Limit // an iterator may be used again
		limited := left != 0
		for {
			if filter.Limit = pageSize; limited {
				filter.Limit = min(left, pageSize)
			}
			page, after, err := e.Calls(ctx, filter)
			if err != nil {
				yield(lead.Call{}, err)
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if left -= len(page); len(page) < filter.Limit || limited && left == 0 {
				return
			}
			filter.After = after
		}
	}
}

// validJSON returns data, or nil if it is not JSON: a damaged entry must not make the
// whole list unreadable.
func validJSON(data []byte) []byte {
	if len(data) > 0 && !json.Valid(data) {
		return nil
	}
	return data
}
