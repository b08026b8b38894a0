package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table steps. A lead's steps are found by following
// prev from the one that its record names, back and back: in a damaged file the
// chain may be a circle.
const (
	insertStepText = `
		INSERT INTO steps (seq, prev, lead, visit, node, kind, status, attempts,
			entered, due, started, exited, outcome, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteStepsText = `
		DELETE FROM steps WHERE seq IN (
			WITH RECURSIVE chain (seq, prev) AS (
				SELECT seq, prev FROM steps WHERE seq = ?
				UNION ALL
				SELECT s.seq, s.prev FROM chain JOIN steps s ON s.seq = chain.prev AND s.seq < chain.seq)
			SELECT seq FROM chain)`
	historyText = `
		WITH RECURSIVE chain AS (
			SELECT * FROM steps WHERE seq = ?
			UNION ALL
			SELECT s.* FROM chain JOIN steps s ON s.seq = chain.prev AND s.seq < chain.seq)
		SELECT seq, prev, lead, visit, node, kind, status, attempts,
			entered, due, started, exited, coalesce(outcome, ''), detail
		FROM chain`
)

func (w *writer) putStep(s *store.Step) error {
	_, err := w.insertStep.
		ints(s.Seq, s.Prev, s.Lead, int64(s.Visit), int64(s.Node), int64(s.Kind), int64(s.Status), int64(s.Attempts),
			int64(s.Entered), int64(s.Due), int64(s.Started), int64(s.Exited)).
		text(s.Outcome).blob(s.Detail).exec()
	if err != nil {
		return fmt.Errorf("step %d: %w", s.Seq, err)
	}
	return nil
}

func scanStep(from row, s *store.Step) error {
	var visit, node, kind, status, attempts int64
	from.scan(&s.Seq, &s.Prev, &s.Lead, &visit, &node, &kind, &status, &attempts,
		(*int64)(&s.Entered), (*int64)(&s.Due), (*int64)(&s.Started), (*int64)(&s.Exited), &s.Outcome, &s.Detail)
	s.Visit, s.Node, s.Kind = int32(visit), int32(node), store.StepKind(kind)
	s.Status, s.Attempts = lead.StepStatus(status), int32(attempts)
	return nil
}

// History implements [store.HistoryReader].
func (s *Store) History(ctx context.Context, seq int64) (entry store.Lead, steps []store.Step, err error) {
	if err := s.enter(); err != nil {
		return entry, nil, err
	}
	defer s.leave()
	err = s.readers.use(ctx, func(conn *zombiezen.Conn) (err error) {
		// The two reads are of one moment, because they are in one transaction.
		if err := run(conn, "BEGIN"); err != nil {
			return err
		}
		defer func() {
			conn.SetInterrupt(nil) // it must end, whatever ctx says
			err = errors.Join(err, run(conn, "ROLLBACK"))
		}()
		found, err := query(conn, scanEntry, leadText, seq)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		entry = found[0]
		steps, err = query(conn, scanStep, historyText, entry.LastStep)
		return err
	})
	if err != nil {
		return store.Lead{}, nil, fmt.Errorf("sqlite: read history of lead %d: %w", seq, advised(err))
	}
	slices.Reverse(steps) // the chain goes back in time
	return entry, steps, nil
}
