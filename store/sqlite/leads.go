package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table leads; leadquery.go has those that list and count.
const (
	recordColumns = `l.seq, l.workflow, l.version, l.spot, l.phase, l.node, l.visit, l.visits, l.attempt,
		l.entered, l.due, l.started, l.deadline, l.wake, l.last_step, l.updated, l.outcome, l.extra`

	insertLeadText = `
		INSERT INTO leads (version, phase, node, visit, visits, attempt, entered, due, started, deadline,
			last_step, updated, outcome, extra, wake, spot, seq, workflow)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	findLeadText   = `SELECT workflow, node, spot, last_step FROM leads WHERE seq = ?`
	deleteLeadText = `DELETE FROM leads WHERE seq = ?`

	// A lead without a contact is found, so that it can be told.
	loadText = `
		SELECT ` + recordColumns + `, ` + contactColumns + ` FROM leads l LEFT JOIN contacts c ON c.seq = l.seq
		WHERE l.seq IN (SELECT value FROM json_each(?)) ORDER BY l.seq`
	recordsText = `
		SELECT ` + recordColumns + ` FROM leads l
		WHERE l.seq IN (SELECT value FROM json_each(?)) ORDER BY l.seq`
	// The leads of the moment to go on after, and those of later moments: SQLite
	// would look for (wake, seq) > (?, ?) by wake alone, and pass over all that are
	// due at the same moment, which after an import is everybody, for each page.
	dueText = `
		SELECT ` + recordColumns + ` FROM leads l WHERE l.wake = ? AND l.seq > ? AND l.wake <= ?
		UNION ALL
		SELECT ` + recordColumns + ` FROM leads l WHERE l.wake > ? AND l.wake <= ?
		ORDER BY wake, seq`
	// Without the rows themselves, for when one of them is on a damaged page.
	dueKeysText = `
		SELECT l.wake, l.seq FROM leads l WHERE l.wake = ? AND l.seq > ? AND l.wake <= ?
		UNION ALL
		SELECT l.wake, l.seq FROM leads l WHERE l.wake > ? AND l.wake <= ?
		ORDER BY wake, seq`
	leadText = `
		SELECT ` + recordColumns + `, ` + contactColumns + `
		FROM leads l LEFT JOIN contacts c ON c.seq = l.seq WHERE l.seq = ?`
)

// updateLeadText returns the UPDATE for a change that moves wake, or spot, or
// both or, as most do, neither: a column that is not mentioned leaves its
// indexes in peace, whereas one that is set to what it was does not.
func updateLeadText(wake, spot bool) string {
	text := `
		UPDATE leads SET version = ?, phase = ?, node = ?, visit = ?, visits = ?, attempt = ?, entered = ?,
			due = ?, started = ?, deadline = ?, last_step = ?, updated = ?, outcome = ?, extra = ?`
	if wake {
		text += `, wake = ?`
	}
	if spot {
		text += `, spot = ?`
	}
	return text + ` WHERE seq = ? AND version = ?`
}

// A spot is where a lead is found in lists: its state in the lower bits, and its
// node plus 1 above them, or 0 while it is on the move, because a handler or a
// hook of its step runs.
const (
	spotStateBits = 3
	spotStates    = 1<<spotStateBits - 1
)

func spotAt(node int32, state lead.State) int64 {
	return (int64(node)+1)<<spotStateBits | int64(state)
}

func spotOnTheMove(state lead.State) int64 { return spotAt(-1, state) }

func spotOf(r *store.Record) int64 {
	if r.Phase == store.PhaseRunning || r.Phase == store.PhaseHooks {
		return spotOnTheMove(r.State)
	}
	return spotAt(r.Node, r.State)
}

// record binds what every change of a record sets.
func (s *stmt) record(r *store.Record) *stmt {
	return s.ints(r.Version, int64(r.Phase), int64(r.Node), int64(r.Visit), int64(r.Visits), int64(r.Attempt),
		int64(r.Entered), int64(r.Due), int64(r.Started), int64(r.Deadline), r.LastStep, int64(r.Updated)).
		text(r.Outcome).blob(r.EngineState)
}

// wake binds NULL for a final lead, which keeps it out of the index.
func (s *stmt) wake(m store.Millis) *stmt { return s.orNull(int64(m)) }

func (w *writer) changeRecord(c *store.Change) error {
	before, after := &c.Before, &c.After
	wake, spot := 0, 0
	if before.Wake != after.Wake || c.Repair {
		wake = 1
	}
	if spotOf(before) != spotOf(after) || c.Repair {
		spot = 1
	}
	update := w.updateLead[wake][spot].record(after)
	if wake == 1 {
		update.wake(after.Wake)
	}
	if spot == 1 {
		update.ints(spotOf(after))
	}
	n, err := update.ints(before.Seq, before.Version).exec()
	if err == nil && n != 1 {
		return &store.ConflictError{Kind: "lead", Seq: before.Seq}
	}
	return unwritten(leadRow(before.Seq), err)
}

func (w *writer) putRecord(r *store.Record) error {
	_, err := w.insertLead.record(r).wake(r.Wake).ints(spotOf(r), r.Seq, r.Workflow).exec()
	return unwritten(leadRow(r.Seq), err)
}

// recordWidth is how many columns recordColumns has.
const recordWidth = 18

func scanRecord(from row, r *store.Record) error {
	var wake orZero
	var spot int64
	r.Node = -1
	err := from.scan(&r.Seq, &r.Workflow, &r.Version, &spot, (*uint8)(&r.Phase), &r.Node, &r.Visit, &r.Visits,
		&r.Attempt, (*int64)(&r.Entered), (*int64)(&r.Due), (*int64)(&r.Started), (*int64)(&r.Deadline),
		&wake, &r.LastStep, (*int64)(&r.Updated), &r.Outcome, &r.EngineState)
	r.Wake, r.State = store.Millis(wake), lead.State(spot&spotStates)
	if err == nil {
		err = possible(r, spot)
	}
	return named(leadRow(r.Seq), err)
}

// possible returns an error if the record says what no record can.
func possible(r *store.Record, spot int64) error {
	switch {
	case r.State < lead.Enrolled || r.State > lead.Completed:
		return fmt.Errorf("%w: spot is %d, which has no state", errSenseless, spot)
	case r.Phase < store.PhaseWaiting || r.Phase > store.PhaseEnded:
		return fmt.Errorf("%w: phase is %d", errSenseless, uint8(r.Phase))
	case spot != spotOf(r):
		return fmt.Errorf("%w: spot is %d, and node %d in phase %d", errSenseless, spot, r.Node, r.Phase)
	case r.State.Final() != (r.Wake == 0):
		return fmt.Errorf("%w: state is %v, and wake is %d", errSenseless, r.State, r.Wake)
	}
	return nil
}

func scanLead(from row, l *store.Lead) error {
	err := scanRecord(from, &l.Record)
	l.Contact.Seq = l.Seq
	if failed := scanContactAt(from, recordWidth, &l.Contact); err == nil {
		err = failed
	}
	var bad *store.RowError
	if err != nil && errors.As(err, &bad) {
		found := *l
		bad.Lead = &found
	}
	return err
}

// numbers are seqs as an argument of a query.
func numbers(seqs []int64) string {
	text := []byte{'['}
	for i, seq := range seqs {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, seq, 10)
	}
	return string(append(text, ']'))
}

// sorted returns seqs in order, each once.
func sorted(seqs []int64) []int64 { return slices.Compact(slices.Sorted(slices.Values(seqs))) }

// Load implements [store.LoopReader].
func (s *Store) Load(ctx context.Context, seqs []int64) ([]store.Lead, error) {
	return read(ctx, s, s.lanes.loop, "leads", func(conn *zombiezen.Conn) ([]store.Lead, error) {
		return eachAlone(conn, seqs, leadRow, scanLead, loadText)
	})
}

// Due implements [store.LoopReader].
func (s *Store) Due(ctx context.Context, after store.Key, until store.Millis, limit int) ([]store.Record, error) {
	return read(ctx, s, s.lanes.loop, "due leads", func(conn *zombiezen.Conn) ([]store.Record, error) {
		list, err := queryUpTo(conn, limit, scanRecord, dueText, dueArgs(after, until)...)
		if damaged(err) {
			return dueAlone(conn, after, until, limit)
		}
		return list, err
	})
}

func dueArgs(after store.Key, until store.Millis) []any {
	return []any{int64(after.Wake), after.Seq, int64(until), int64(after.Wake), int64(until)}
}

// dueAlone is Due for a file with a damaged page: the keys come from the index,
// and each row in a query of its own.
func dueAlone(conn *zombiezen.Conn, after store.Key, until store.Millis, limit int) (list []store.Record, err error) {
	var bad store.RowErrors
	for len(list) < limit {
		keys, err := queryUpTo(conn, limit-len(list), scanKey, dueKeysText, dueArgs(after, until)...)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			break
		}
		after = keys[len(keys)-1]
		for _, key := range keys {
			found, err := eachAlone(conn, []int64{key.Seq}, leadRow, scanRecord, recordsText)
			var some store.RowErrors
			if errors.As(err, &some) {
				bad = append(bad, some...)
			} else if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
	}
	if bad != nil {
		return list, bad
	}
	return list, nil
}

func scanKey(from row, key *store.Key) error {
	*key = store.Key{Wake: store.Millis(from.ColumnInt64(0)), Seq: from.ColumnInt64(1)}
	return nil
}

// scanSeq reads a number out of an index, where there is nothing else.
func scanSeq(from row, seq *int64) error {
	*seq = from.ColumnInt64(0)
	return nil
}

// Lead implements [store.LeadReader].
func (s *Store) Lead(ctx context.Context, seq int64) (store.Lead, error) {
	found, err := read(ctx, s, s.lanes.point, fmt.Sprintf("lead %d", seq), func(conn *zombiezen.Conn) ([]store.Lead, error) {
		found, err := query(conn, scanLead, leadText, seq)
		return found, alone(err)
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("sqlite: read lead %d: %w", seq, store.ErrNotFound)
	}
	if err != nil {
		return store.Lead{}, err
	}
	return found[0], nil
}
