package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The schema has one owner at a time: who has the row of owners with the highest epoch,
// while that is not over. The owner's lease runs by the clock of the database. It is
// renewed by every commit, and between them every third of its time.
//
// What keeps an owner of before from writing is not the lease, though, but the row: each
// commit updates the row of its own epoch, where it is not over, in its transaction.
// A takeover sets that to over. So either the commit was first, and the takeover waits
// for it, or the takeover was, and the commit finds no row and does nothing.
type lease struct {
	epoch int64
	until atomic.Int64  // by the monotonic clock since start: the lease is surely held until then
	lost  chan struct{} // closed when another process has taken over
	once  sync.Once
}

// end notes that another process has taken over.
func (l *lease) end() { l.once.Do(func() { close(l.lost) }) }

func (l *lease) ended() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// started is what times of the monotonic clock are counted from.
var started = time.Now()

const (
	// What is over, whoever ended it, or has not been heard of for its lease.
	currentText = `SELECT epoch, name, over OR until < clock_timestamp(), greatest(0, extract(epoch FROM until - clock_timestamp())), backend, begun
		FROM owners ORDER BY epoch DESC LIMIT 1`
	// A process that was stopped in the middle of a transaction holds locks for as long
	// as its session lives. Who may connect as a user may end that user's sessions.
	terminateText = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2`
	overText      = `UPDATE owners SET over = true WHERE epoch = $1`
	beginText     = `INSERT INTO owners (epoch, name, until, backend, begun) VALUES ($1, $2, clock_timestamp() + $3, $4, $5)`
	forgetOwners  = `DELETE FROM owners WHERE epoch < $1 AND until < clock_timestamp() - interval '30 days'`
	renewText     = `UPDATE owners SET until = clock_timestamp() + $2 WHERE epoch = $1 AND NOT over`
	backendText   = `UPDATE owners SET backend = $2, begun = $3 WHERE epoch = $1 AND NOT over`
	releaseText   = `UPDATE owners SET over = true, until = clock_timestamp() WHERE epoch = $1`
)

// acquire makes this the owner of the schema.
func (s *Store) acquire(ctx context.Context) error {
	asked := time.Since(started)
	var epoch int64
	var name string
	var over bool
	var left float64
	var old backend
	err := s.conn.QueryRow(ctx, currentText).Scan(&epoch, &name, &over, &left, &old.pid, &old.begun)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return err
	case !over:
		return fmt.Errorf("%w: %s, whose lease runs for another %.1f s unless it is renewed", ErrLocked, name, left)
	default:
		if _, err := s.conn.Exec(ctx, terminateText, old.pid, old.begun); err != nil {
			return err
		}
	}
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, overText, epoch); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, beginText, epoch+1, s.opts.Name, s.opts.Lease, s.backend.pid, s.backend.begun)
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation { // somebody was faster
		return fmt.Errorf("%w, which took over just now", ErrLocked)
	}
	if err != nil {
		return err
	}
	s.lease.epoch = epoch + 1
	s.lease.extend(asked, s.opts.Lease)
	_, err = s.conn.Exec(ctx, forgetOwners, s.lease.epoch)
	return err
}

// extend notes that the lease was renewed, by what was sent at that time.
func (l *lease) extend(asked, by time.Duration) {
	until := int64(asked + by)
	for {
		was := l.until.Load()
		if was >= until || l.until.CompareAndSwap(was, until) {
			return
		}
	}
}

// Held reports whether this is surely still the owner: nobody can have taken over by
// now. After a process was stopped for longer than its lease it says no before anything
// was heard of the database. See store.Owner.
func (s *Store) Held() bool {
	return !s.lease.ended() && int64(time.Since(started)) < s.lease.until.Load()
}

// Lost returns a channel that is closed when another process has taken over, as far as
// that was noticed: from then on every Commit fails with [ErrLost].
func (s *Store) Lost() <-chan struct{} { return s.lease.lost }

// renew keeps the lease while nothing is committed, on a connection that no commit
// holds up.
func (s *Store) renew() {
	every := s.opts.Lease / 3
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), every)
		asked := time.Since(started)
		tag, err := s.loop.Exec(ctx, renewText, s.lease.epoch, s.opts.Lease)
		cancel()
		switch {
		case err == nil && tag.RowsAffected() == 0:
			s.lease.end()
			return
		case err == nil:
			s.lease.extend(asked, s.opts.Lease)
			timer.Reset(every)
		default:
			_ = s.failed(err)
			timer.Reset(every / 10)
		}
	}
}

// release ends the lease, so that the next owner need not wait.
func (s *Store) release() error {
	if s.lease.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	s.lease.until.Store(math.MinInt64)
	if _, err := s.loop.Exec(ctx, releaseText, s.lease.epoch); err != nil {
		return fmt.Errorf("postgres: close: the next owner has to wait for the end of the lease: %w", err)
	}
	return nil
}
