package memory

import (
	"context"
	"fmt"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// putCall writes an entry of the call log. What the entry has from the lead's contact
// is taken when it is first written, and kept, because the lead may be deleted later.
func (c *contents) putCall(from *store.Call) {
	call := *from
	if old := c.calls.get(call.Seq); old != nil {
		d := decoder{old}
		first := d.callHead(call.Seq)
		call.Lead, call.LeadID, call.Phone = first.Lead, first.LeadID, first.Phone
	} else {
		contact := c.contact(call.Lead)
		call.LeadID, call.Phone = contact.ID, contact.Phone
	}
	b := appendInts(c.bytes[:0], call.Lead, call.Workflow, call.Phone, int64(call.Status), int64(call.Started))
	b = append(b, call.LeadID[:]...)
	b = appendInts(b, int64(call.Visit), int64(call.Entered-call.Started), int64(call.Attempt), int64(call.Ended-call.Started))
	for _, text := range []string{call.NodeID, call.CallID, call.Outcome, call.Error} {
		b = appendText(b, text)
	}
	c.bytes = appendText(b, call.Data)
	c.calls.put(call.Seq, c.bytes)
}

// callHead reads the fields that a query may select by and those that never change.
func (d *decoder) callHead(seq int64) store.Call {
	call := store.Call{Seq: seq}
	call.Lead, call.Workflow, call.Phone = d.int(), d.int(), d.int()
	call.Status, call.Started = lead.StepStatus(d.int()), store.Millis(d.int())
	copy(call.LeadID[:], d.raw(len(call.LeadID)))
	return call
}

// callRest reads the fields that follow those of callHead.
func (d *decoder) callRest(call *store.Call) {
	call.Visit, call.Entered = int32(d.int()), call.Started+store.Millis(d.int())
	call.Attempt, call.Ended = int32(d.int()), call.Started+store.Millis(d.int())
	call.NodeID, call.CallID, call.Outcome, call.Error = d.text(), d.text(), d.text(), d.text()
	call.Data = d.blob()
}

// Calls implements [store.CallReader]. It scans all entries after After until it has
// found Limit of them.
func (s *Store) Calls(ctx context.Context, q store.CallQuery) (list []store.Call, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read calls: %w", err)
	}
	defer s.stopReading()
	for seq, entry := range c.calls.after(q.After) {
		d := decoder{entry}
		call := d.callHead(seq)
		if !wanted(&q, &call) {
			continue
		}
		d.callRest(&call)
		if q.CallID != "" && call.CallID != q.CallID {
			continue
		}
		if i, found := findWorkflow(c.workflows, call.Workflow); found {
			call.WorkflowID = c.workflows[i].ID
		}
		if list = append(list, call); len(list) == q.Limit {
			break
		}
	}
	return list, nil
}

func wanted(q *store.CallQuery, call *store.Call) bool {
	return (q.Lead == 0 || call.Lead == q.Lead) &&
		(q.Phone == 0 || call.Phone == q.Phone) &&
		(q.Workflow == 0 || call.Workflow == q.Workflow) &&
		(q.Status == 0 || call.Status == q.Status) &&
		(q.From == 0 || call.Started >= q.From) &&
		(q.To == 0 || call.Started < q.To)
}
