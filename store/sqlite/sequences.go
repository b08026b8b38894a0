package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table sequences.
const (
	setSequenceText = `
		INSERT INTO sequences (kind, last) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET last = excluded.last`
	// Which no sequence is, and changes each time: what is as it was is not written.
	probeText = `
		INSERT INTO sequences (kind, last) VALUES (0, 1)
		ON CONFLICT DO UPDATE SET last = last + 1`
	// The highest number that was ever on disk, in the order of store.Sequence:
	// that of a row, or what was written before rows were deleted. Nobody gets to
	// 1<<62 by counting: a row with a higher number is a damaged one, after which no
	// number would be left.
	maxSequenceText = `
		WITH found (kind, last) AS (
			SELECT kind, last FROM sequences WHERE last < 1 << 62
			UNION ALL SELECT 1, max(seq) FROM leads WHERE seq < 1 << 62
			UNION ALL SELECT 2, max(seq) FROM steps WHERE seq < 1 << 62
			UNION ALL SELECT 3, max(seq) FROM calls WHERE seq < 1 << 62
			UNION ALL SELECT 4, max(seq) FROM workflows WHERE seq < 1 << 62
			UNION ALL SELECT 5, max(seq) FROM suppressions WHERE seq < 1 << 62)
		SELECT coalesce(max(last) FILTER (WHERE kind = 1), 0), coalesce(max(last) FILTER (WHERE kind = 2), 0),
			coalesce(max(last) FILTER (WHERE kind = 3), 0), coalesce(max(last) FILTER (WHERE kind = 4), 0),
			coalesce(max(last) FILTER (WHERE kind = 5), 0)
		FROM found`
)

const sequenceCount = int(store.SuppressionSequence) + 1

// sequences are the last numbers handed out, indexed by store.Sequence.
type sequences [sequenceCount]atomic.Int64

func (s *sequences) load(w *writer) error {
	var last [sequenceCount]int64
	_, err := w.maxSequence.get(&last[store.LeadSequence], &last[store.StepSequence],
		&last[store.CallSequence], &last[store.WorkflowSequence], &last[store.SuppressionSequence])
	for kind := range last {
		s[kind].Store(last[kind])
	}
	return err
}

// Reserve implements [store.Writer]. It does no I/O and never waits for a
// Commit: the owner of the file is the only one that counts, and reads on
// opening where the last one stopped.
func (s *Store) Reserve(_ context.Context, kind store.Sequence, n int) (first int64, err error) {
	if kind < 1 || int(kind) >= sequenceCount || n < 1 {
		return 0, fmt.Errorf("sqlite: reserve %d of sequence %d: no such thing", n, kind)
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	last := s.last[kind].Add(int64(n))
	if (kind == store.LeadSequence || kind == store.SuppressionSequence) && last > lead.MaxSeq {
		s.last[kind].Add(-int64(n))
		return 0, fmt.Errorf("sqlite: reserve: a file holds at most %d leads and as many suppressions", int64(lead.MaxSeq))
	}
	return last - int64(n) + 1, nil
}

// putSequences writes down what was handed out, before the rows go that would
// tell.
func (t *transaction) putSequences() error {
	for kind := store.LeadSequence; int(kind) < sequenceCount; kind++ {
		if _, err := t.setSequence.ints(int64(kind), t.last[kind].Load()).exec(); err != nil {
			return err
		}
	}
	return nil
}
