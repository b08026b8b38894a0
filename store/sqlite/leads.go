package sqlite

import (
	"context"
	"fmt"
	"strconv"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table leads; leadquery.go has those that list and count.
const (
	recordColumns = `l.seq, l.workflow, l.version, l.state, l.phase, l.node, l.visit, l.visits, l.attempt,
		l.entered, l.due, l.started, l.deadline, l.wake, l.last_step, l.updated,
		coalesce(l.outcome, ''), l.extra`

	insertLeadText = `
		INSERT INTO leads (version, phase, node, visit, visits, attempt, entered, due, started, deadline,
			last_step, updated, outcome, extra, wake, state, seq, workflow)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	findLeadText   = `SELECT workflow, state, last_step FROM leads WHERE seq = ?`
	deleteLeadText = `DELETE FROM leads WHERE seq = ?`

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
		ORDER BY wake, seq LIMIT ?`
	leadText = `
		SELECT ` + recordColumns + `, ` + contactColumns + `
		FROM leads l JOIN contacts c ON c.seq = l.seq WHERE l.seq = ?`
)

// updateLeadText returns the UPDATE for a change that moves wake, or state, or
// both or, as most do, neither: a column that is not mentioned leaves its
// indexes in peace, whereas one that is set to what it was does not.
func updateLeadText(wake, state bool) string {
	text := `
		UPDATE leads SET version = ?, phase = ?, node = ?, visit = ?, visits = ?, attempt = ?, entered = ?,
			due = ?, started = ?, deadline = ?, last_step = ?, updated = ?, outcome = ?, extra = ?`
	if wake {
		text += `, wake = ?`
	}
	if state {
		text += `, state = ?`
	}
	return text + ` WHERE seq = ? AND version = ?`
}

// record binds what every change of a record sets.
func (s *stmt) record(r *store.Record) *stmt {
	return s.ints(r.Version, int64(r.Phase), int64(r.Node), int64(r.Visit), int64(r.Visits), int64(r.Attempt),
		int64(r.Entered), int64(r.Due), int64(r.Started), int64(r.Deadline), r.LastStep, int64(r.Updated)).
		text(r.Outcome).blob(r.EngineState)
}

// wake binds NULL for a final lead, which keeps it out of the index.
func (s *stmt) wake(m store.Millis) *stmt {
	if m == 0 {
		return s.text("")
	}
	return s.ints(int64(m))
}

func (w *writer) changeRecord(before, after *store.Record) error {
	wake, state := 0, 0
	if before.Wake != after.Wake {
		wake = 1
	}
	if before.State != after.State {
		state = 1
	}
	update := w.updateLead[wake][state].record(after)
	if wake == 1 {
		update.wake(after.Wake)
	}
	if state == 1 {
		update.ints(int64(after.State))
	}
	n, err := update.ints(before.Seq, before.Version).exec()
	if err == nil && n != 1 {
		err = &store.ConflictError{Kind: "lead", Seq: before.Seq}
	}
	return err
}

func (w *writer) putRecord(r *store.Record) error {
	if _, err := w.insertLead.record(r).wake(r.Wake).ints(int64(r.State), r.Seq, r.Workflow).exec(); err != nil {
		return fmt.Errorf("lead %d: %w", r.Seq, err)
	}
	return nil
}

// recordWidth is how many columns recordColumns has.
const recordWidth = 18

func scanRecord(from row, r *store.Record) error {
	var state, phase, node, visit, visits, attempt int64
	from.scan(&r.Seq, &r.Workflow, &r.Version, &state, &phase, &node, &visit, &visits, &attempt,
		(*int64)(&r.Entered), (*int64)(&r.Due), (*int64)(&r.Started), (*int64)(&r.Deadline),
		(*int64)(&r.Wake), &r.LastStep, (*int64)(&r.Updated), &r.Outcome, &r.EngineState)
	r.State, r.Phase, r.Node = lead.State(state), store.Phase(phase), int32(node)
	r.Visit, r.Visits, r.Attempt = int32(visit), int32(visits), int32(attempt)
	return nil
}

func scanEntry(from row, e *store.Lead) error {
	if err := scanRecord(from, &e.Record); err != nil {
		return err
	}
	e.Contact.Seq = e.Seq
	return scanContactAt(from, recordWidth, &e.Contact)
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

// Records implements [store.LeadReader].
func (s *Store) Records(ctx context.Context, seqs []int64) ([]store.Record, error) {
	return read(ctx, s, "leads", scanRecord, recordsText, numbers(seqs))
}

// Due implements [store.LeadReader].
func (s *Store) Due(ctx context.Context, after store.Key, until store.Millis, limit int) ([]store.Record, error) {
	return read(ctx, s, "due leads", scanRecord, dueText, int64(after.Wake), after.Seq, int64(until),
		int64(after.Wake), int64(until), int64(limit))
}

// Lead implements [store.LeadReader].
func (s *Store) Lead(ctx context.Context, seq int64) (store.Lead, error) {
	found, err := read(ctx, s, fmt.Sprintf("lead %d", seq), scanEntry, leadText, seq)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("sqlite: read lead %d: %w", seq, store.ErrNotFound)
	}
	if err != nil {
		return store.Lead{}, err
	}
	return found[0], nil
}
