package sqlite

import (
	"cmp"
	"context"
	"maps"
	"slices"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table node_counts.
const (
	addCountText = `
		INSERT INTO node_counts (workflow, node, state, n) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n`
	// As the rows of leads say, for a workflow of which one was damaged.
	dropCountsText = `DELETE FROM node_counts WHERE workflow = ?`
	recountText    = `
		INSERT INTO node_counts SELECT workflow, node, spot & 7, count(*) FROM leads
		WHERE workflow = ? AND node >= 0 AND spot & 7 BETWEEN 1 AND 5 GROUP BY 1, 2, 3`
	countsText = `SELECT node, state, n FROM node_counts WHERE workflow = ? AND n > 0 ORDER BY node, state`
)

type countKey struct {
	workflow int64
	node     int32
	state    lead.State
}

func countKeyOf(r *store.Record) countKey { return countKey{r.Workflow, r.Node, r.State} }

// countDeltas is what a batch adds to the counts. A thousand leads of one
// workflow come to a handful of rows.
type countDeltas struct {
	n map[countKey]*int64
	// recent are the two that were added to last: in a batch many leads go from one
	// node to the next.
	recent [2]struct {
		key countKey
		n   *int64
	}
	fresh map[int64]bool // the workflows that are counted anew; nil if none is
}

func (d *countDeltas) anew(workflow int64) {
	if d.fresh == nil {
		d.fresh = make(map[int64]bool)
	}
	d.fresh[workflow] = true
}

func (d *countDeltas) add(key countKey, n int64) {
	for i := range d.recent {
		if r := &d.recent[i]; r.key == key && r.n != nil {
			*r.n += n
			return
		}
	}
	if d.n == nil {
		d.n = make(map[countKey]*int64)
	}
	sum := d.n[key]
	if sum == nil {
		sum = new(int64)
		d.n[key] = sum
	}
	*sum += n
	d.recent[1] = d.recent[0]
	d.recent[0].key, d.recent[0].n = key, sum
}

func (t *transaction) putCounts() error {
	keys := slices.SortedFunc(maps.Keys(t.counts.n), func(a, b countKey) int {
		return cmp.Or(cmp.Compare(a.workflow, b.workflow), cmp.Compare(a.node, b.node), cmp.Compare(a.state, b.state))
	})
	for _, key := range keys {
		if n := *t.counts.n[key]; n != 0 && !t.counts.fresh[key.workflow] {
			if _, err := t.addCount.ints(key.workflow, int64(key.node), int64(key.state), n).exec(); err != nil {
				return err
			}
		}
	}
	for workflow := range t.counts.fresh {
		for _, s := range []*stmt{t.dropCounts, t.recount} {
			if _, err := s.ints(workflow).exec(); err != nil {
				return err
			}
		}
	}
	return nil
}

func scanCount(from row, c *store.NodeCount) error {
	return from.scan(&c.Node, (*uint8)(&c.State), &c.N)
}

// Counts implements [store.LoopReader] and [store.LeadReader]. It has connections
// of its own, because an engine's loop and users both ask.
func (s *Store) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	list, err := s.NodeCounts(ctx, workflow)
	if err != nil {
		return nil, err
	}
	counts := make(map[lead.State]int64)
	for _, c := range list {
		counts[c.State] += c.N
	}
	return counts, nil
}

// NodeCounts implements [store.LeadReader].
func (s *Store) NodeCounts(ctx context.Context, workflow int64) ([]store.NodeCount, error) {
	return read(ctx, s, s.lanes.counts, "counts", func(conn *zombiezen.Conn) ([]store.NodeCount, error) {
		return query(conn, scanCount, countsText, workflow)
	})
}
