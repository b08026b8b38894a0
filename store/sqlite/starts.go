package sqlite

import (
	"context"
	"fmt"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table starts.
const (
	putStartText      = `INSERT INTO starts (key, at, phone, n) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`
	startsText        = `SELECT key, phone, at, n FROM starts WHERE key = ? AND at >= ? AND phone = 0 ORDER BY at`
	startsOfPhoneText = `
		SELECT key, phone, at, n FROM starts INDEXED BY starts_phone WHERE key = ? AND at >= ? AND phone = ? AND phone <> 0 ORDER BY at`
	forgetStartsText = `DELETE FROM starts WHERE key = ? AND at < ?`
)

func startRow(at store.Millis) store.RowError { return store.RowError{Kind: "start", Key: int64(at)} }

func (w *writer) putStart(s *store.Start) error {
	err := s.Check()
	if err != nil {
		err = fmt.Errorf("%w: %w", errContent, err)
	} else {
		_, err = w.insertStart.text(s.Key).ints(int64(s.At), s.Phone, int64(s.N)).exec()
	}
	return unwritten(startRow(s.At), err)
}

func scanStart(from row, s *store.Start) error {
	err := from.scan(&s.Key, &s.Phone, (*int64)(&s.At), &s.N)
	return named(startRow(s.At), err)
}

// Starts implements [store.LoopReader].
func (s *Store) Starts(ctx context.Context, q store.StartQuery) ([]store.Start, error) {
	text, args := startsText, []any{q.Key, int64(q.Since)}
	if q.Phone != 0 {
		text, args = startsOfPhoneText, append(args, q.Phone)
	}
	return read(ctx, s, s.lanes.facts, "starts", rows(scanStart, text, args...))
}
