package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/leadflow-go/leadflow/store"
)

// This file has what happens when a commit did not go through, or may not have.

// reconnect makes another connection to commit on.
func (s *Store) reconnect(ctx context.Context, p *place) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return err
	}
	tag, err := s.conn.Exec(ctx, backendText, p.epoch, s.backend.pid, s.backend.begun)
	if err == nil && tag.RowsAffected() == 0 {
		p.end()
		err = store.ErrLost
	}
	if err != nil {
		s.disconnect()
	}
	return err
}

// outcome finds out whether the batch that was sent last was committed. It locks the row
// that the batch changes: so it waits for the session of before, if that is still at it.
// If the batch has not arrived yet, it never will be committed: the row gets a later
// number. outcome goes on until it knows, or the store is closed.
func (s *Store) outcome(p *place, asked time.Time) (happened bool, err error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout+lockTimeout)
		var batch int64
		var over bool
		if err = s.connect(ctx); err == nil {
			var b pgx.Batch
			b.Queue(outcomeText, p.epoch).QueryRow(func(row pgx.Row) error { return row.Scan(&batch, &over) })
			b.Queue(forestallText, p.epoch, s.batch, s.backend.pid, s.backend.begun)
			err = s.conn.SendBatch(ctx, &b).Close()
		}
		cancel()
		if err == nil {
			if over {
				p.end()
			}
			if batch == s.batch {
				p.extend(asked, s.opts.Lease)
				return true, nil
			}
			if over {
				return false, store.ErrLost
			}
			s.batch++
			return false, nil
		}
		s.disconnect()
		select {
		case <-s.closing:
			return false, fmt.Errorf("%w: %w: %w", store.ErrOutcomeUnknown, ErrClosed, err)
		case <-time.After(pause):
		}
	}
}

// rollback ends a transaction in which there was an error, and returns the error. If that
// fails the connection is of no use any more.
func (s *Store) rollback(ctx context.Context, err error) error {
	if s.conn.IsClosed() {
		return err // and it is found out what became of the transaction
	}
	if _, failed := s.conn.Exec(ctx, "ROLLBACK"); failed != nil {
		s.disconnect()
	}
	return err
}
