package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
)

// writer is the one connection that writes, with its statements prepared. It is
// the driver's own, without database/sql, which would cost a third of the time
// of a commit and has nothing to pool here. A transaction is begun and ended by
// statements too.
type writer struct {
	conn driver.Conn
	all  []*stmt

	begin, commit, rollback *stmt
	checkpointAll           *stmt

	updateLead     [2][2]*stmt // [moves wake][moves state]
	insertLead     *stmt
	findLead       *stmt
	deleteLead     *stmt
	insertLive     *stmt
	findLive       *stmt
	deleteLive     *stmt
	insertContact  *stmt
	deleteContact  *stmt
	addCount       *stmt
	insertStep     *stmt
	deleteSteps    *stmt
	insertCall     *stmt
	updateCall     *stmt
	insertWorkflow *stmt
	updateWorkflow *stmt
	setSequence    *stmt
	maxSequence    *stmt
}

// stmt is a prepared statement of a writer. Whatever a writer does, it does by
// one of its two methods, so how a statement runs is known here alone. Arguments
// are of the types that the driver takes: int64, string, []byte, bool and nil.
type stmt struct {
	prepared driver.Stmt
	text     string
	args     []driver.NamedValue // used again by each call
}

func (s *stmt) named(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return s.args
}

// exec runs the statement and returns how many rows it changed.
func (s *stmt) exec(ctx context.Context, args ...any) (int64, error) {
	result, err := s.prepared.(driver.StmtExecContext).ExecContext(ctx, s.named(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// get reads the first row of a result, which is of integers, into dest and
// reports whether there was one.
func (s *stmt) get(ctx context.Context, args []any, dest ...*int64) (found bool, err error) {
	rows, err := s.prepared.(driver.StmtQueryContext).QueryContext(ctx, s.named(args))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(dest))
	if err := rows.Next(values); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return false, err
	}
	for i, value := range values {
		var ok bool
		if *dest[i], ok = value.(int64); !ok {
			return false, fmt.Errorf("%T instead of an integer from %s", value, s.text)
		}
	}
	return true, nil
}

func newWriter(ctx context.Context, path string, params url.Values) (*writer, error) {
	connector, err := connect(path, params)
	if err != nil {
		return nil, err
	}
	w := &writer{}
	if w.conn, err = connector.Connect(ctx); err != nil {
		return nil, err
	}
	prepare := func(text string) *stmt {
		s := &stmt{text: text}
		if err == nil {
			if s.prepared, err = w.conn.(driver.ConnPrepareContext).PrepareContext(ctx, text); err != nil {
				err = fmt.Errorf("%w in %s", err, text)
				return s
			}
			w.all = append(w.all, s)
		}
		return s
	}
	w.begin = prepare(`BEGIN IMMEDIATE`)
	w.commit = prepare(`COMMIT`)
	w.rollback = prepare(`ROLLBACK`)
	w.checkpointAll = prepare(`PRAGMA wal_checkpoint(TRUNCATE)`)
	for wake := range w.updateLead {
		for state := range w.updateLead[wake] {
			w.updateLead[wake][state] = prepare(updateLeadText(wake == 1, state == 1))
		}
	}
	w.insertLead = prepare(insertLeadText)
	w.findLead = prepare(findLeadText)
	w.deleteLead = prepare(deleteLeadText)
	w.insertLive = prepare(insertLiveText)
	w.findLive = prepare(findLiveText)
	w.deleteLive = prepare(deleteLiveText)
	w.insertContact = prepare(insertContactText)
	w.deleteContact = prepare(deleteContactText)
	w.addCount = prepare(addCountText)
	w.insertStep = prepare(insertStepText)
	w.deleteSteps = prepare(deleteStepsText)
	w.insertCall = prepare(insertCallText)
	w.updateCall = prepare(updateCallText)
	w.insertWorkflow = prepare(insertWorkflowText)
	w.updateWorkflow = prepare(updateWorkflowText)
	w.setSequence = prepare(setSequenceText)
	w.maxSequence = prepare(maxSequenceText)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// checkpoint moves the whole log into the file. That another program reads and
// so keeps some of it is no error.
func (w *writer) checkpoint(ctx context.Context) error {
	var busy, log, moved int64
	_, err := w.checkpointAll.get(ctx, nil, &busy, &log, &moved)
	return err
}

// close ends whatever the connection is in. A statement that is left open would
// keep it open too, and the log with it.
func (w *writer) close() error {
	var errs []error
	for _, s := range w.all {
		errs = append(errs, s.prepared.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// text and blob bind empty values as NULL: the driver allocates for every other
// text.

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
