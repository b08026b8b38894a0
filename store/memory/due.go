package memory

import (
	"context"
	"fmt"

	"github.com/tidwall/btree"

	"github.com/leadflow-go/leadflow/store"
)

// dueIndex has the keys of all leads that are not final, in order. Most steps do not
// change it: see [store.Record.Wake].
type dueIndex struct{ *btree.BTreeG[store.Key] }

func newDueIndex() dueIndex {
	return dueIndex{btree.NewBTreeGOptions(store.Key.Less, btree.Options{NoLocks: true})}
}

// move moves a lead's key; a wake of zero means that it has no key.
func (x dueIndex) move(seq int64, from, to store.Millis) {
	if from == to {
		return
	}
	if from != 0 {
		x.Delete(store.Key{Wake: from, Seq: seq})
	}
	if to != 0 {
		x.Set(store.Key{Wake: to, Seq: seq})
	}
}

// Due implements [store.LoopReader].
func (s *Store) Due(ctx context.Context, after store.Key, until store.Millis, limit int) (list []store.Record, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read due leads: %w", err)
	}
	defer s.stopReading()
	c.due.Ascend(after, func(key store.Key) bool {
		if key.Wake > until || len(list) >= limit {
			return false
		}
		if key != after {
			list = append(list, c.record(key.Seq, c.leads.row(key.Seq)))
		}
		return true
	})
	return list, nil
}
