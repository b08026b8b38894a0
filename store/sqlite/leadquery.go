package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

const (
	// %s is the query that finds the leads, in order and not more than wanted, so
	// that those that are passed over cost no more than an entry of an index.
	leadsText = `
		SELECT ` + recordColumns + `, ` + contactColumns + `
		FROM leads l LEFT JOIN contacts c ON c.seq = l.seq WHERE l.seq IN (%s) ORDER BY l.seq`
	sweepText      = `SELECT ` + recordColumns + ` FROM leads l WHERE l.seq IN (%s) ORDER BY l.seq`
	countLeadsText = `SELECT count(*) FROM (%s)`

	// A phone, or an external id, has a lead or a few.
	leadsByPhoneText = `
		SELECT c.seq FROM contacts c INDEXED BY contacts_phone CROSS JOIN leads l ON l.seq = c.seq
		WHERE c.phone = ?`
	leadsByExternalIDText = `
		SELECT c.seq FROM contacts c INDEXED BY contacts_external_id CROSS JOIN leads l ON l.seq = c.seq
		WHERE c.external_id = ?`
	// One for each state: within a state the index is in order of seq, and SQLite
	// merges the states without sorting.
	leadsByStateText = `
		SELECT l.seq FROM leads l INDEXED BY leads_state WHERE l.workflow = ? AND l.state = ?`
)

// Leads implements [store.LeadReader].
func (s *Store) Leads(ctx context.Context, q store.LeadQuery) ([]store.Lead, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("sqlite: read leads: %w", err)
	}
	text, args := leadsQuery(leadsText, q)
	return read(ctx, s, s.lanes.long, "leads", rows(scanLead, text, args...))
}

// Sweep implements [store.LoopReader].
func (s *Store) Sweep(ctx context.Context, q store.LeadQuery) ([]store.Record, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("sqlite: read leads: %w", err)
	}
	text, args := leadsQuery(sweepText, q)
	return read(ctx, s, s.lanes.loop, "leads", rows(scanRecord, text, args...))
}

// CountLeads implements [store.LeadReader]. Without Node, Phone and ExternalID it
// takes the same short time whatever the count.
func (s *Store) CountLeads(ctx context.Context, q store.LeadQuery) (int64, error) {
	if err := q.Check(); err != nil {
		return 0, fmt.Errorf("sqlite: count leads: %w", err)
	}
	if q.Node == nil && q.Phone == 0 && q.ExternalID == "" {
		return s.sumCounts(ctx, q)
	}
	text, args := countQuery(q)
	found, err := read(ctx, s, s.lanes.long, "how many leads", rows(func(from row, n *int64) error {
		return from.scan(n)
	}, text, args...))
	if err != nil {
		return 0, err
	}
	return found[0], nil
}

func leadsQuery(text string, q store.LeadQuery) (string, []any) {
	m := matchLeads(q)
	m.page(q.Newest, q.Offset, q.Limit)
	if q.Newest {
		text += " DESC"
	}
	return fmt.Sprintf(text, m.text()), m.args
}

func countQuery(q store.LeadQuery) (string, []any) {
	q.After, q.Newest = 0, false
	m := matchLeads(q)
	return fmt.Sprintf(countLeadsText, m.text()), m.args
}

func matchLeads(q store.LeadQuery) *match {
	states := slices.Compact(slices.Sorted(slices.Values(q.States)))
	m := &match{}
	after := func(column string) {
		switch {
		case !q.Newest:
			m.where(true, column+" > ?", q.After)
		case q.After == 0:
			m.where(true, column+" < ?", int64(math.MaxInt64))
		default:
			m.where(true, column+" < ?", q.After)
		}
	}
	if q.Phone != 0 || q.ExternalID != "" {
		if q.Phone != 0 {
			m.or(leadsByPhoneText, q.Phone)
			m.where(q.ExternalID != "", "c.external_id = ?", q.ExternalID)
		} else {
			m.or(leadsByExternalIDText, q.ExternalID)
		}
		after("c.seq")
		m.where(q.Workflow != 0, "l.workflow = ?", q.Workflow)
		if len(states) > 0 {
			marks := strings.Repeat(", ?", len(states))[2:]
			args := make([]any, len(states))
			for i, state := range states {
				args[i] = int64(state)
			}
			m.where(true, "l.state IN ("+marks+")", args...)
		}
		m.whereNode(q.Node)
		return m
	}
	if len(states) == 0 {
		states = lead.States()
	}
	for _, state := range states {
		m.or(leadsByStateText, q.Workflow, int64(state))
		after("l.seq")
		m.whereNode(q.Node)
	}
	return m
}

// match is a query for sequence numbers, made from parts with their arguments.
type match struct {
	parts []string
	args  []any
}

func matching(part string, args ...any) *match { return &match{parts: []string{part}, args: args} }

// or adds another way to match.
func (m *match) or(part string, args ...any) {
	if len(m.parts) > 0 {
		m.parts = append(m.parts, " UNION ALL ")
	}
	m.parts = append(m.parts, part)
	m.args = append(m.args, args...)
}

// where narrows the way that was added last, if the condition is wanted.
func (m *match) where(wanted bool, condition string, args ...any) {
	if wanted {
		m.parts = append(m.parts, " AND "+condition)
		m.args = append(m.args, args...)
	}
}

func (m *match) whereNode(node *int32) {
	if node != nil {
		m.where(true, "l.node = ?", int64(*node))
	}
}

// page puts the matches in order and leaves out those beyond a page; a limit of
// 0 is none.
func (m *match) page(newest bool, offset, limit int) {
	if limit <= 0 {
		limit = -1
	}
	order := " ORDER BY 1"
	if newest {
		order += " DESC"
	}
	m.parts = append(m.parts, order+" LIMIT ? OFFSET ?")
	m.args = append(m.args, limit, max(offset, 0))
}

func (m *match) text() string { return strings.Join(m.parts, "") }
