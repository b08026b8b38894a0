package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table calls.
const (
	// The lead's id and phone are taken from its contact.
	insertCallText = `
		INSERT INTO calls (lead_id, phone, lead, workflow, visit, entered, attempt, node_id, status,
			started, ended, call_id, outcome, error, data, seq)
		SELECT id, phone, seq, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM contacts WHERE seq = ?
		ON CONFLICT (seq) DO NOTHING`
	// What was taken from the contact stays, which by now may be forgotten.
	updateCallText = `
		UPDATE calls SET workflow = ?, visit = ?, entered = ?, attempt = ?, node_id = ?, status = ?,
			started = ?, ended = ?, call_id = ?, outcome = ?, error = ?, data = ?
		WHERE seq = ?`
	// %s is the query that finds the entries, in order and not more than wanted.
	callsText = `
		SELECT c.seq, c.lead, c.lead_id, c.workflow, w.id, c.phone, c.visit, c.entered, c.attempt,
			c.node_id, c.status, c.started, c.ended, c.call_id, c.outcome, c.error, c.data
		FROM calls c LEFT JOIN workflows w ON w.seq = c.workflow
		WHERE c.seq IN (%s) ORDER BY c.seq`
)

func (w *writer) putCall(c *store.Call) error {
	bind := func(s *stmt) *stmt {
		return s.ints(c.Workflow, int64(c.Visit), int64(c.Entered), int64(c.Attempt)).text(c.NodeID).
			ints(int64(c.Status), int64(c.Started), int64(c.Ended)).
			text(c.CallID).text(c.Outcome).text(c.Error).blob(c.Data).ints(c.Seq)
	}
	n, err := bind(w.insertCall).ints(c.Lead).exec()
	if err == nil && n == 0 {
		n, err = bind(w.updateCall).exec()
	}
	if err == nil && n == 0 {
		err = errNoLead
	}
	return unwritten(store.RowError{Kind: "call", Seq: c.Lead, Key: c.Seq}, err)
}

func scanCall(from row, c *store.Call) error {
	err := from.scan(&c.Seq, &c.Lead, (*[16]byte)(&c.LeadID), &c.Workflow)
	if err == nil && from.ColumnType(4) != zombiezen.TypeNull { // of no workflow
		err = from.fixed(4, c.WorkflowID[:])
	}
	if err == nil {
		err = from.from(5).scan(&c.Phone, &c.Visit, (*int64)(&c.Entered), &c.Attempt, &c.NodeID, (*uint8)(&c.Status),
			(*int64)(&c.Started), (*int64)(&c.Ended), &c.CallID, &c.Outcome, &c.Error, &c.Data)
	}
	return named(store.RowError{Kind: "call", Seq: c.Lead, Key: c.Seq}, err)
}

// Calls implements [store.CallReader].
func (s *Store) Calls(ctx context.Context, q store.CallQuery) ([]store.Call, error) {
	return read(ctx, s, s.lanes.long, "calls", func(conn *zombiezen.Conn) (list []store.Call, err error) {
		var bad store.RowErrors
		err = snapshot(conn, func() error {
			for page := q; ; {
				text, args := callsQuery(page)
				found, err := query(conn, scanCall, text, args...)
				list = append(list, found...)
				var some store.RowErrors
				if !errors.As(err, &some) {
					return err
				}
				// Rows that cannot be read do not count towards the limit.
				bad = append(bad, some...)
				if q.Limit <= 0 || len(list) == q.Limit || len(found)+len(some) < page.Limit {
					return nil
				}
				page.Limit = q.Limit - len(list)
				page.After = some[len(some)-1].Key
				if n := len(found); n > 0 {
					page.After = max(page.After, found[n-1].Seq)
				}
			}
		})
		if err == nil && bad != nil {
			err = bad
		}
		return list, err
	})
}

// callsQuery goes by the index that leaves the fewest entries to look at, which
// without statistics the planner could not know. All but that over started
// yield them in order of seq.
func callsQuery(q store.CallQuery) (string, []any) {
	index := "NOT INDEXED"
	switch {
	case q.Lead != 0:
		index = "INDEXED BY calls_lead"
	case q.CallID != "":
		index = "INDEXED BY calls_call_id"
	case q.Phone != 0:
		index = "INDEXED BY calls_phone"
	case q.Workflow != 0:
		index = "INDEXED BY calls_workflow"
	case q.From != 0 || q.To != 0:
		index = "INDEXED BY calls_started"
	}
	text := "SELECT seq FROM calls " + index + " WHERE seq > ?"
	args := []any{q.After}
	where := func(wanted bool, condition string, arg any) {
		if wanted {
			text, args = text+" AND "+condition, append(args, arg)
		}
	}
	where(q.Lead != 0, "lead = ?", q.Lead)
	where(q.CallID != "", "call_id = ?", q.CallID)
	where(q.Phone != 0, "phone = ?", q.Phone)
	where(q.Workflow != 0, "workflow = ?", q.Workflow)
	where(q.Status != 0, "status = ?", int64(q.Status))
	if q.From != 0 || q.To != 0 {
		where(true, "started >= ?", int64(q.From))
		if q.To == 0 {
			q.To = math.MaxInt64
		}
		where(true, "started < ?", int64(q.To))
	}
	limit := q.Limit
	if limit <= 0 {
		limit = -1
	}
	return fmt.Sprintf(callsText, text+" ORDER BY seq LIMIT ?"), append(args, limit)
}
