package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

const (
	insertStartsText = `INSERT INTO starts (key, at, phone, n) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::int[])`
	forgetStartsText = `DELETE FROM starts WHERE key = $1 AND at < $2`
	startsText       = `SELECT at, sum(n)::int FROM starts WHERE key = $1 AND at >= $2 AND phone = 0 GROUP BY at ORDER BY at`
	// The condition is that of the index.
	startsOfPhoneText = `SELECT at, sum(n)::int FROM starts WHERE key = $1 AND at >= $2 AND phone = $3 AND phone <> 0 GROUP BY at ORDER BY at`
)

// queueStarts queues what is appended to the log of starts. No two engines wait for one
// another there, since every row is a new one.
func queueStarts(p *pgx.Batch, b *store.Batch) {
	if len(b.Starts) > 0 {
		var keys []*string
		var at, phones []int64
		var ns []int32
		for i := range b.Starts {
			s := &b.Starts[i]
			keys, at, phones, ns = append(keys, encodeText(s.Key)), append(at, int64(s.At)), append(phones, s.Phone), append(ns, s.N)
		}
		p.Queue(insertStartsText, keys, at, phones, ns)
	}
	for _, f := range b.ForgetStarts {
		p.Queue(forgetStartsText, encodeText(f.Key), int64(f.Before))
	}
}

// Starts implements [store.LoopReader].
func (s *Store) Starts(ctx context.Context, q store.StartQuery) ([]store.Start, error) {
	text, args := startsText, []any{encodeText(q.Key), int64(q.Since)}
	if q.Phone != 0 {
		text, args = startsOfPhoneText, append(args, q.Phone)
	}
	return list(ctx, s, s.loop, "starts", func(row pgx.CollectableRow) (store.Start, error) {
		found := store.Start{Key: q.Key, Phone: q.Phone}
		err := row.Scan((*int64)(&found.At), &found.N)
		return found, err
	}, text, args...)
}
