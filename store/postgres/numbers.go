package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// numbers hands out sequence numbers. They are taken from the database in blocks, in
// commits of their own, so that a number is handed out once whatever becomes of the
// process, and hardly any caller waits for the database.
type numbers struct {
	pool *pgxpool.Pool
	of   [store.SuppressionSequence + 1]block
}

type block struct {
	mu         sync.Mutex
	next, last int64 // what is left of the block: next to last
}

// blockSize is how many numbers are taken at a time. What a process does not use of its
// last block nobody will.
var blockSize = [...]int64{store.LeadSequence: 1 << 12, store.StepSequence: 1 << 15, store.CallSequence: 1 << 13, store.WorkflowSequence: 1 << 4,
	store.SuppressionSequence: 1 << 12}

const takeText = `UPDATE sequences SET last = last + $2::bigint WHERE kind = $1 AND last <= $3::bigint - $2::bigint RETURNING last`

// Reserve implements [store.Writer]. It does not wait for a Commit.
func (s *Store) Reserve(ctx context.Context, kind store.Sequence, n int) (first int64, err error) {
	if kind < 1 || kind > store.SuppressionSequence || n < 1 {
		return 0, fmt.Errorf("postgres: reserve: invalid count %d or sequence %d", n, kind)
	}
	if err := s.closed(); err != nil {
		return 0, fmt.Errorf("postgres: reserve: %w", err)
	}
	b := &s.numbers.of[kind]
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == 0 || b.last-b.next+1 < int64(n) {
		size := max(blockSize[kind], int64(n))
		var last int64
		ctx, cancel := context.WithTimeout(ctx, s.silence)
		defer cancel()
		err := s.numbers.pool.QueryRow(ctx, takeText, int16(kind), size, int64(lead.MaxSeq)).Scan(&last)
		if err != nil {
			err = s.failed(err)
			return 0, fmt.Errorf("postgres: reserve: %w", err)
		}
		if b.next == 0 || b.last+1 != last-size+1 { // else it goes on where the block ends
			b.next = last - size + 1
		}
		b.last = last
	}
	first = b.next
	b.next += int64(n)
	return first, nil
}
