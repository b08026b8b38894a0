package memory

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// Leads implements [store.LeadReader]. Without Phone and ExternalID it scans all leads
// after After until it has found Limit of them.
func (s *Store) Leads(ctx context.Context, q store.LeadQuery) (list []store.Lead, err error) {
	return find(ctx, s, q, func(c *contents, seq int64, row *leadRow) store.Lead {
		return store.Lead{Record: c.record(seq, row), Contact: c.contact(seq)}
	})
}

// Sweep implements [store.LoopReader]. It scans as many leads as Leads does.
func (s *Store) Sweep(ctx context.Context, q store.LeadQuery) ([]store.Record, error) {
	return find(ctx, s, q, (*contents).record)
}

func find[T any](ctx context.Context, s *Store, q store.LeadQuery, read func(*contents, int64, *leadRow) T) (list []T, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read leads: %w", err)
	}
	defer s.stopReading()
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("memory: read leads: %w", err)
	}
	pass := q.Offset
	for seq, row := range c.matching(q) {
		if pass > 0 {
			pass--
			continue
		}
		list = append(list, read(c, seq, row))
		if len(list) == q.Limit {
			break
		}
	}
	return list, nil
}

// CountLeads implements [store.LeadReader]. Without Node, Phone and ExternalID it takes
// constant time; with Node alone it scans all leads.
func (s *Store) CountLeads(ctx context.Context, q store.LeadQuery) (n int64, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return 0, fmt.Errorf("memory: count leads: %w", err)
	}
	defer s.stopReading()
	if err := q.Check(); err != nil {
		return 0, fmt.Errorf("memory: count leads: %w", err)
	}
	if q.Node == nil && q.Phone == 0 && q.ExternalID == "" {
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

// matching yields the leads that match, in order; it ignores Offset and Limit.
func (c *contents) matching(q store.LeadQuery) iter.Seq2[int64, *leadRow] {
	return func(yield func(int64, *leadRow) bool) {
		for seq, row := range c.candidates(q) {
			if (q.Workflow == 0 || row.workflow == q.Workflow) && (q.Node == nil || row.node == *q.Node) &&
				(len(q.States) == 0 || slices.Contains(q.States, row.state)) && !yield(seq, row) {
				return
			}
		}
	}
}

// candidates yields the leads after After in the order of the query; if the query has a
// phone or an external id, only those with it.
func (c *contents) candidates(q store.LeadQuery) iter.Seq2[int64, *leadRow] {
	behind := q.After
	if q.Newest && behind == 0 {
		behind = math.MaxInt64
	}
	var listed []int64
	switch {
	case q.Phone != 0:
		listed = slices.Collect(c.phones.rows(q.Phone))
	case q.ExternalID != "":
		listed = slices.Collect(c.externalIDs.rows(q.ExternalID))
	case q.Newest:
		return c.leads.before(behind)
	default:
		return c.leads.after(behind)
	}
	slices.Sort(listed)
	if q.Newest {
		slices.Reverse(listed)
	}
	return func(yield func(int64, *leadRow) bool) {
		for _, seq := range listed {
			if seq == behind || q.Newest != (seq < behind) ||
				q.Phone != 0 && q.ExternalID != "" && c.contact(seq).ExternalID != q.ExternalID {
				continue
			}
			if !yield(seq, c.leads.row(seq)) {
				return
			}
		}
	}
}
