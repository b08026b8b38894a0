package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table steps. A lead's steps are found by following
// prev from the one that its record names, back and back. In a damaged file the
// chain may be a circle, or lead to the steps of another.
const (
	insertStepText = `
		INSERT INTO steps (seq, prev, lead, visit, node, kind, status, attempts,
			entered, due, started, exited, outcome, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	deleteStepsText = `
		DELETE FROM steps WHERE seq IN (
			WITH RECURSIVE chain (seq, prev, lead) AS (
				SELECT seq, prev, lead FROM steps WHERE seq = ? AND lead = ?
				UNION ALL
				SELECT s.seq, s.prev, s.lead
				FROM chain JOIN steps s ON s.seq = chain.prev AND s.seq < chain.seq AND s.lead = chain.lead)
			SELECT seq FROM chain)`
	stepColumns = `seq, prev, lead, visit, node, kind, status, attempts, entered, due, started, exited, outcome, detail`
	historyText = `
		WITH RECURSIVE chain AS (
			SELECT * FROM steps WHERE seq = ? AND lead = ?
			UNION ALL
			SELECT s.* FROM chain JOIN steps s ON s.seq = chain.prev AND s.seq < chain.seq AND s.lead = chain.lead)
		SELECT ` + stepColumns + ` FROM chain`
	stepsText = `SELECT ` + stepColumns + ` FROM steps WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq`
)

func (w *writer) putStep(s *store.Step) error {
	_, err := w.insertStep.
		ints(s.Seq, s.Prev, s.Lead, int64(s.Visit), int64(s.Node), int64(s.Kind), int64(s.Status), int64(s.Attempts),
			int64(s.Entered), int64(s.Due), int64(s.Started), int64(s.Exited)).
		text(s.Outcome).blob(s.Detail).exec()
	return unwritten(store.RowError{Kind: "step", Seq: s.Lead, Key: s.Seq}, err)
}

func scanStep(from row, s *store.Step) error {
	err := from.scan(&s.Seq, &s.Prev, &s.Lead, &s.Visit, &s.Node, (*uint8)(&s.Kind), (*uint8)(&s.Status), &s.Attempts,
		(*int64)(&s.Entered), (*int64)(&s.Due), (*int64)(&s.Started), (*int64)(&s.Exited), &s.Outcome, &s.Detail)
	return named(store.RowError{Kind: "step", Seq: s.Lead, Key: s.Seq}, err)
}

// Steps implements [store.LoopReader].
func (s *Store) Steps(ctx context.Context, seqs []int64) ([]store.Step, error) {
	return read(ctx, s, s.lanes.facts, "steps", func(conn *zombiezen.Conn) ([]store.Step, error) {
		return eachAlone(conn, seqs, stepRow, scanStep, stepsText)
	})
}

// History implements [store.HistoryReader].
func (s *Store) History(ctx context.Context, seq int64) (l store.Lead, steps []store.Step, payloads []store.Payload, err error) {
	_, err = read(ctx, s, s.lanes.point, fmt.Sprintf("history of lead %d", seq), func(conn *zombiezen.Conn) ([]struct{}, error) {
		return nil, snapshot(conn, func() error {
			found, err := query(conn, scanLead, leadText, seq)
			if err == nil && len(found) == 0 {
				err = store.ErrNotFound
			}
			if err != nil {
				return alone(err)
			}
			l = found[0]
			var badSteps, badPayloads store.RowErrors
			if steps, err = query(conn, scanStep, historyText, l.LastStep, seq); err != nil && !errors.As(err, &badSteps) {
				return err
			}
			slices.Reverse(steps) // the chain goes back in time
			payloads, err = payloadsOf(conn, seq, nil)
			if err != nil && !errors.As(err, &badPayloads) {
				return err
			}
			if bad := append(badSteps, badPayloads...); bad != nil {
				return bad
			}
			return nil
		})
	})
	var bad store.RowErrors
	if err != nil && !errors.As(err, &bad) {
		return store.Lead{}, nil, nil, err
	}
	return l, steps, payloads, err
}
