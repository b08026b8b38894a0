package sqlite

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table counts.
const (
	addCountText = `
		INSERT INTO counts (workflow, state, n) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n`
	countsText = `SELECT state, n FROM counts WHERE workflow = ? AND n > 0`
)

type countKey struct {
	workflow int64
	state    lead.State
}

// countDeltas is what a batch adds to the counts. A thousand leads of one
// workflow come to a handful of rows.
type countDeltas map[countKey]int64

func (d *countDeltas) add(workflow int64, state lead.State, n int64) {
	if *d == nil {
		*d = make(countDeltas)
	}
	(*d)[countKey{workflow, state}] += n
}

func (t *transaction) putCounts() error {
	keys := slices.SortedFunc(maps.Keys(t.counts), func(a, b countKey) int {
		return cmp.Or(cmp.Compare(a.workflow, b.workflow), cmp.Compare(a.state, b.state))
	})
	for _, key := range keys {
		if n := t.counts[key]; n != 0 {
			if _, err := t.addCount.ints(key.workflow, int64(key.state), n).exec(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Counts implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	type count struct{ state, n int64 }
	list, err := read(ctx, s, s.lanes.loop, "counts", rows(func(from row, c *count) error {
		return from.scan(&c.state, &c.n)
	}, countsText, workflow))
	if err != nil {
		return nil, err
	}
	counts := make(map[lead.State]int64, len(list))
	for _, c := range list {
		counts[lead.State(c.state)] = c.n
	}
	return counts, nil
}

// sumCounts answers a count of leads by state alone.
func (s *Store) sumCounts(ctx context.Context, q store.LeadQuery) (sum int64, err error) {
	counts, err := s.Counts(ctx, q.Workflow)
	if err != nil {
		return 0, err
	}
	for state, n := range counts {
		if len(q.States) == 0 || slices.Contains(q.States, state) {
			sum += n
		}
	}
	return sum, nil
}
