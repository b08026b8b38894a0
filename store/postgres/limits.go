package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leadflow-go/leadflow/store"
)

// The row of a limit is locked from when a batch uses it until the batch is committed. All
// batches lock those rows after the leads and the audit trail and before the counts, in
// order of key, so no two wait for one another. Only batches that use limits lock any; and
// those that forget some have all engines locked, so that nobody else is at it.
const (
	useLimitsText    = `SELECT use_limits($1, $2, $3, $4, $5, $6)`
	forgetLimitsText = `WITH gone AS (DELETE FROM limit_starts WHERE key = ANY($1)) DELETE FROM limits WHERE key = ANY($1)`
	limitUseText     = `SELECT l.key, l.flying, s.n, (extract(epoch FROM greatest(l.at, c.now) - s.at) * 1000000)::bigint
		FROM (SELECT clock_timestamp() AS now) c CROSS JOIN limits l LEFT JOIN limit_starts s ON s.key = l.key AND s.key = ANY($1)
		WHERE l.key = ANY($1) ORDER BY l.key, s.at, s.started`
)

// checkLimits looks for what the database would not refuse.
func checkLimits(b *store.Batch) error {
	spans := map[string]time.Duration{}
	for i := range b.Share.Limits {
		u := &b.Share.Limits[i]
		err := u.Check()
		if span, known := spans[u.Key]; err == nil && known && span != u.Span {
			err = fmt.Errorf("%q is used with two spans, %v and %v", u.Key, span, u.Span)
		}
		if err != nil {
			return &store.RowError{Kind: "limit", Seq: u.Lead, Err: err}
		}
		spans[u.Key] = u.Span
	}
	for _, key := range b.Share.ForgetLimits {
		if _, used := spans[key]; used {
			return &store.RowError{Kind: "limit", Err: fmt.Errorf("%q is both used and forgotten", key)}
		}
	}
	if len(b.Share.ForgetLimits) > 0 && !changesFlows(b) {
		return &store.RowError{Kind: "limit", Err: errors.New("a batch that forgets limits must change a workflow or a setting")}
	}
	return nil
}

// limitSum is what a batch uses of one limit.
type limitSum struct {
	key                string // as PostgreSQL has it
	most, flying, base int64
	starts             int32
	span               time.Duration
}

// sumLimits adds up what is used of each limit, but for leads that are refused, in the
// order of the rows.
func sumLimits(list []store.LimitUse, refused map[int64]bool) (sums []*limitSum) {
	of := map[string]*limitSum{}
	for i := range list {
		u := &list[i]
		if refused[u.Lead] {
			continue
		}
		sum := of[u.Key]
		if sum == nil {
			sum = &limitSum{key: *encodeText(u.Key), most: u.Max, span: u.Span}
			of[u.Key], sums = sum, append(sums, sum)
		}
		sum.most, sum.base = min(sum.most, u.Max), max(sum.base, u.Base)
		sum.flying, sum.starts = sum.flying+u.Flying, sum.starts+u.Starts
	}
	slices.SortFunc(sums, func(a, b *limitSum) int { return cmp.Compare(a.key, b.key) })
	return sums
}

// queueLimits queues what the batch uses of limits, but for leads that are refused.
func queueLimits(p *pgx.Batch, sh *store.Share, refused map[int64]bool) {
	if len(sh.ForgetLimits) > 0 {
		keys := make([]*string, len(sh.ForgetLimits))
		for i, key := range sh.ForgetLimits {
			keys[i] = encodeText(key)
		}
		p.Queue(forgetLimitsText, keys)
	}
	sums := sumLimits(sh.Limits, refused)
	if len(sums) == 0 {
		return
	}
	n := len(sums)
	keys, starts := make([]string, n), make([]int32, n)
	most, flying, bases, spans := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, sum := range sums {
		keys[i], starts[i] = sum.key, sum.starts
		most[i], flying[i], bases[i] = sum.most, sum.flying, sum.base
		spans[i] = int64((sum.span + time.Microsecond - 1) / time.Microsecond)
	}
	p.Queue(useLimitsText, keys, most, flying, bases, starts, spans)
}

// limitError is the error of a batch that would exceed a limit.
func limitError(err *pgconn.PgError) error {
	return &store.LimitError{Key: decodeText(&err.Detail)}
}

// LimitUse implements [store.Shared].
func (s *Store) LimitUse(ctx context.Context, keys []string) (states []store.LimitState, err error) {
	encoded := make([]*string, len(keys))
	for i, key := range keys {
		encoded[i] = encodeText(key)
	}
	type entry struct {
		store.LimitState
		store.StartAge
	}
	found, err := list(ctx, s, s.loop, "how much of limits is used", func(row pgx.CollectableRow) (e entry, err error) {
		var key *string
		var n *int32
		var age *int64
		if err = row.Scan(&key, &e.Flying, &n, &age); err == nil && n != nil {
			e.StartAge = store.StartAge{Age: time.Duration(*age) * time.Microsecond, N: *n}
		}
		e.Key = decodeText(key)
		return e, err
	}, limitUseText, encoded)
	for i := range found {
		e := &found[i]
		if len(states) == 0 || states[len(states)-1].Key != e.Key {
			states = append(states, e.LimitState)
		}
		if e.N > 0 {
			last := &states[len(states)-1]
			last.Starts = append(last.Starts, e.StartAge)
		}
	}
	return states, err
}
