package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// spotOf is where a lead is found in lists: 8 times its place plus its state. The place
// is the node plus 1, or 0 while a handler or a hook of its step runs.
func spotOf(r *store.Record) int64 {
	place := int64(r.Node) + 1
	if r.Phase == store.PhaseRunning || r.Phase == store.PhaseHooks {
		place = 0
	}
	return 8*place + int64(r.State)
}

// where builds a condition and its arguments.
type where struct {
	text []string
	args []any
}

// add adds a clause in which each %s is the number of an argument.
func (w *where) add(clause string, args ...any) {
	numbers := make([]any, len(args))
	for i, arg := range args {
		w.args = append(w.args, arg)
		numbers[i] = fmt.Sprintf("$%d", len(w.args))
	}
	w.text = append(w.text, fmt.Sprintf(clause, numbers...))
}

// number and says add that a column has a value, unless that is 0 or empty.
func (w *where) number(column string, n int64) {
	if n != 0 {
		w.add(column+" = %s", n)
	}
}

func (w *where) says(column, text string) {
	if text != "" {
		w.add(column+" = %s", encodeText(text))
	}
}

func (w *where) String() string {
	if len(w.text) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.text, " AND ")
}

// leads adds what a query asks of leads, but for the page.
func (w *where) leads(q *store.LeadQuery) {
	w.number("l.workflow", q.Workflow)
	switch {
	case q.Node != nil: // those that wait at the node, and those on the move
		var at, moving []int64
		for _, state := range statesOf(q) {
			at = append(at, 8*(int64(*q.Node)+1)+int64(state))
			moving = append(moving, int64(state))
		}
		w.add("(l.spot = ANY(%s) OR l.spot = ANY(%s) AND l.node = %s)", at, moving, *q.Node)
	case len(q.States) > 0:
		var states []int64
		for _, state := range q.States {
			states = append(states, int64(state))
		}
		w.add("l.spot & 7 = ANY(%s)", states)
	}
	w.number("c.phone", q.Phone)
	w.says("c.external_id", q.ExternalID)
}

func statesOf(q *store.LeadQuery) []lead.State {
	if len(q.States) > 0 {
		return q.States
	}
	return lead.States()
}

// find reads what matches the query.
func find[T any](ctx context.Context, s *Store, pool *pgxpool.Pool, q store.LeadQuery, scan func(pgx.CollectableRow) (T, error), text string) ([]T, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("postgres: read leads: %w", err)
	}
	var w where
	w.leads(&q)
	order, column := " ORDER BY l.seq", "l.seq"
	if text == recordsText && (q.Phone != 0 || q.ExternalID != "") {
		text += "JOIN contacts c ON c.seq = l.seq "
	}
	if q.Newest {
		order += " DESC"
		if q.After == 0 {
			q.After = math.MaxInt64
		}
		w.add(column+" < %s", q.After)
	} else if q.After != 0 {
		w.add(column+" > %s", q.After)
	}
	text += w.String() + order
	if q.Limit > 0 {
		text += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	if q.Offset > 0 {
		text += fmt.Sprintf(" OFFSET %d", q.Offset)
	}
	return list(ctx, s, pool, "leads", scan, text, w.args...)
}

// Leads implements [store.LeadReader].
func (s *Store) Leads(ctx context.Context, q store.LeadQuery) ([]store.Lead, error) {
	return find(ctx, s, s.readers, q, scanLead, leadsText)
}

// CountLeads implements [store.LeadReader]. Without Phone and ExternalID it takes the
// same short time whatever the count.
func (s *Store) CountLeads(ctx context.Context, q store.LeadQuery) (int64, error) {
	if err := q.Check(); err != nil {
		return 0, fmt.Errorf("postgres: count leads: %w", err)
	}
	var w where
	text := "SELECT count(*) FROM leads l JOIN contacts c ON c.seq = l.seq "
	if q.Phone == 0 && q.ExternalID == "" {
		text = "SELECT coalesce(sum(n), 0)::bigint FROM node_counts "
		w.add("workflow = %s", q.Workflow)
		if q.Node != nil {
			w.add("node = %s", *q.Node)
		}
		if len(q.States) > 0 {
			var states []int16
			for _, state := range q.States {
				states = append(states, int16(state))
			}
			w.add("state = ANY(%s)", states)
		}
	} else {
		w.leads(&q)
	}
	return one(ctx, s, s.readers, "count of leads", pgx.RowTo[int64], text+w.String(), w.args...)
}

const callsText = `SELECT k.seq, k.lead, k.lead_id, k.workflow, w.id, k.phone, k.visit, k.entered, k.attempt, k.node_id, k.status, k.started, k.ended,
	k.call_id, k.outcome, k.error, k.data FROM calls k LEFT JOIN workflows w ON w.seq = k.workflow `

// Calls implements [store.CallReader].
func (s *Store) Calls(ctx context.Context, q store.CallQuery) ([]store.Call, error) {
	var w where
	for column, value := range map[string]int64{"workflow": q.Workflow, "lead": q.Lead, "phone": q.Phone, "status": int64(q.Status)} {
		if value != 0 {
			w.add("k."+column+" = %s", value)
		}
	}
	w.says("k.call_id", q.CallID)
	if q.From != 0 {
		w.add("k.started >= %s", int64(q.From))
	}
	if q.To != 0 {
		w.add("k.started < %s", int64(q.To))
	}
	if q.After != 0 {
		w.add("k.seq > %s", q.After)
	}
	text := callsText + w.String() + " ORDER BY k.seq"
	if q.Limit > 0 {
		text += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	return list(ctx, s, s.readers, "calls", scanCall, text, w.args...)
}

func scanCall(row pgx.CollectableRow) (c store.Call, err error) {
	var id, workflow []byte
	var node, call, outcome, text *string
	err = row.Scan(&c.Seq, &c.Lead, &id, &c.Workflow, &workflow, &c.Phone, &c.Visit, (*int64)(&c.Entered), &c.Attempt, &node, &c.Status,
		(*int64)(&c.Started), (*int64)(&c.Ended), &call, &outcome, &text, &c.Data)
	if err == nil {
		err = copyID(c.LeadID[:], id)
	}
	if err == nil && workflow != nil {
		err = copyID(c.WorkflowID[:], workflow)
	}
	c.NodeID, c.CallID, c.Outcome, c.Error = decodeText(node), decodeText(call), decodeText(outcome), decodeText(text)
	return c, err
}
