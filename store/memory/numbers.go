package memory

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// numbers has the last number handed out of each store.Sequence.
type numbers [store.SuppressionSequence + 1]atomic.Int64

// Reserve implements [store.Writer]. It never waits. A number is handed out only once,
// even if it is not used.
func (s *Store) Reserve(ctx context.Context, kind store.Sequence, n int) (first int64, err error) {
	if kind < 1 || kind > store.SuppressionSequence || n < 1 {
		return 0, fmt.Errorf("memory: reserve %d of sequence %d: n must be at least 1, and the sequence from %d to %d", n, kind, store.LeadSequence, store.SuppressionSequence)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("memory: reserve: %w", err)
	}
	if s.closed.Load() {
		return 0, fmt.Errorf("memory: reserve: %w", ErrClosed)
	}
	for sequence := &s.numbers[kind]; ; {
		last := sequence.Load()
		if int64(n) > lead.MaxSeq-last { // the leads' limit is enough for the others
			return 0, fmt.Errorf("memory: reserve: sequence %d has no more than %d numbers", kind, int64(lead.MaxSeq))
		}
		if sequence.CompareAndSwap(last, last+int64(n)) {
			return last + 1, nil
		}
	}
}

// reserved reports whether the number was handed out. Other numbers are refused, because
// tables grow with the largest number in them.
func (n *numbers) reserved(kind store.Sequence, seq int64) bool {
	return seq >= 1 && seq <= n[kind].Load()
}
