package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// place is an engine's place among the others: a row of engines that is not over. Its
// lease runs by the clock of the database, and is extended by every commit and by every
// Sync; and by itself while there is neither.
//
// What keeps an engine that has lost its place from writing is not the lease, though,
// but the row: each commit updates the row of its own epoch, where it is not over, in
// its transaction. A takeover sets that to over. So either the commit was first, and the
// takeover waits for it, or the takeover was, and the commit finds no row and does
// nothing.
type place struct {
	epoch int64
	until atomic.Pointer[time.Time] // when the lease ends at the earliest; nil once it was given up
	lost  chan struct{}             // closed when the place is lost
	once  sync.Once
}

// end notes that the place is lost.
func (p *place) end() { p.once.Do(func() { close(p.lost) }) }

func (p *place) ended() bool {
	select {
	case <-p.lost:
		return true
	default:
		return false
	}
}

const (
	newestText = `SELECT coalesce(max(epoch), 0) FROM engines`
	joinText   = `INSERT INTO engines (epoch, name, until, backend, begun) VALUES ($1, $2, clock_timestamp() + $3, $4, $5)`
	// Epochs are never used again, so the newest row stays whatever its age.
	forgetEnginesText = `DELETE FROM engines WHERE epoch < $1 AND over AND until < clock_timestamp() - interval '30 days'`
	renewText         = `UPDATE engines SET until = clock_timestamp() + $2 WHERE epoch = $1 AND NOT over`
	backendText       = `UPDATE engines SET backend = $2, begun = $3 WHERE epoch = $1 AND NOT over`
	releaseText       = `WITH e AS (UPDATE engines SET over = true, until = clock_timestamp() WHERE epoch = $1 AND NOT over)
		DELETE FROM notices WHERE engine = $1`
)

// join gets a place. The caller has the right to write.
func (s *Store) join(ctx context.Context) error {
	for {
		asked := time.Now()
		var newest int64
		if err := s.conn.QueryRow(ctx, newestText).Scan(&newest); err != nil {
			return err
		}
		p := &place{epoch: newest + 1, lost: make(chan struct{})}
		_, err := s.conn.Exec(ctx, joinText, p.epoch, s.opts.Name, s.opts.Lease, s.backend.pid, s.backend.begun)
		if codeOf(err) == uniqueViolation { // another one was faster
			continue
		}
		if err != nil {
			return err
		}
		p.extend(asked, s.opts.Lease)
		s.batch = 0
		s.place.Store(p)
		if _, err = s.conn.Exec(ctx, forgetEnginesText, p.epoch); err == nil {
			_, err = s.conn.Exec(ctx, dropNoticesText)
		}
		return err
	}
}

// extend notes that the lease was extended, by what was sent at that time.
func (p *place) extend(asked time.Time, by time.Duration) {
	until := asked.Add(by)
	for {
		was := p.until.Load()
		if was != nil && !was.Before(until) || p.until.CompareAndSwap(was, &until) {
			return
		}
	}
}

// left is how long the lease is surely held. The monotonic clock stands still while the
// machine is suspended, and the wall clock may be set, so the shorter time counts.
func (p *place) left() time.Duration {
	until := p.until.Load()
	if until == nil {
		return 0
	}
	now := time.Now()
	return min(until.Sub(now), until.Round(0).Sub(now.Round(0)))
}

// held reports whether nobody can have taken the place by now.
func (p *place) held() bool { return !p.ended() && p.left() > 0 }

// Held implements [store.Shared]. After a process was stopped for longer than its lease
// it says no before anything was heard of the database.
func (s *Store) Held(engine int64) bool {
	p := s.place.Load()
	return (engine == 0 || engine == p.epoch) && p.held()
}

// renew keeps the lease while nothing else does, on a connection that no commit holds
// up.
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
		p := s.place.Load()
		if p.left() > s.opts.Lease*3/4 || p.ended() {
			timer.Reset(every) // a commit or a Sync was faster; or it is for Sync to get a new one
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), every)
		asked := time.Now()
		tag, err := s.control.Exec(ctx, renewText, p.epoch, s.opts.Lease)
		cancel()
		switch {
		case err == nil && tag.RowsAffected() == 0:
			p.end()
			timer.Reset(every)
		case err == nil:
			p.extend(asked, s.opts.Lease)
			timer.Reset(every)
		default:
			_ = s.failed(err)
			timer.Reset(every / 10)
		}
	}
}

// release gives up the place, so that the others need not wait for the end of the lease.
func (s *Store) release() error {
	p := s.place.Load()
	if p.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	p.until.Store(nil)
	if _, err := s.control.Exec(ctx, releaseText, p.epoch); err != nil {
		return errors.Join(errors.New("the place could not be given up: the other engines take over when the lease has run out"), err)
	}
	return s.wakeOthers(ctx)
}

// rejoin gets a new place if this one is lost.
func (s *Store) rejoin(ctx context.Context) error {
	if !s.place.Load().ended() {
		return nil
	}
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.writing }()
	if err := s.closed(); err != nil {
		return err
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	if err := s.join(ctx); err != nil {
		s.disconnect()
		return err
	}
	return nil
}
