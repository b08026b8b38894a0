package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// Leads implements [store.LeadReader]. Without Phone it looks at every lead
// behind After until it has found enough.
func (s *Store) Leads(ctx context.Context, q store.LeadQuery) (list []store.Lead, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read leads: %w", err)
	}
	defer s.stopReading()
	pass := q.Offset
	for seq, row := range c.matching(q) {
		if pass > 0 {
			pass--
			continue
		}
		list = append(list, store.Lead{Record: c.record(seq, row), Contact: c.contact(seq)})
		if len(list) == q.Limit {
			break
		}
	}
	return list, nil
}

// CountLeads implements [store.LeadReader]. Without Node and Phone it takes the
// same short time whatever the count; with Node alone it looks at every lead.
func (s *Store) CountLeads(ctx context.Context, q store.LeadQuery) (n int64, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return 0, fmt.Errorf("memory: count leads: %w", err)
	}
	defer s.stopReading()
	if q.Node == nil && q.Phone == 0 {
		for state, k := range c.counts.of(q.Workflow) {
			if len(q.States) == 0 || slices.Contains(q.States, state) {
				n += k
			}
		}
		return n, nil
	}
	q.After = 0
	for range c.matching(q) {
		n++
	}
	return n, nil
}

// matching yields the leads that match, in order, whatever Offset and Limit.
func (c *contents) matching(q store.LeadQuery) iter.Seq2[int64, *leadRow] {
	return func(yield func(int64, *leadRow) bool) {
		for seq, row := range c.candidates(q) {
			if row.workflow == q.Workflow && (q.Node == nil || row.node == *q.Node) &&
				(len(q.States) == 0 || slices.Contains(q.States, row.state)) && !yield(seq, row) {
				return
			}
		}
	}
}

// candidates yields the leads behind After, of the phone if one is asked for.
func (c *contents) candidates(q store.LeadQuery) iter.Seq2[int64, *leadRow] {
	if q.Phone == 0 {
		return c.leads.after(q.After)
	}
	return func(yield func(int64, *leadRow) bool) {
		for _, seq := range slices.Sorted(c.phones.leads(q.Phone)) {
			if seq > q.After && !yield(seq, c.leads.row(seq)) {
				return
			}
		}
	}
}
