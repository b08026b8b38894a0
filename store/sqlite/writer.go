package sqlite

import (
	"context"
	"errors"
	"fmt"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// writer is the one connection that writes, with its statements prepared. It is
// one of zombiezen.com/go/sqlite, which binds and steps the same SQLite as the
// driver does, that of modernc.org/sqlite, but with neither a mutex nor an
// allocation for each value that is bound: a commit takes three fifths of the
// time. The price is that one goroutine at a time may use it.
type writer struct {
	conn      *zombiezen.Conn
	mostBytes int // that SQLite takes, in one value and in one row

	begin, commit, rollback *stmt
	checkpointAll           *stmt

	updateLead     [2][2]*stmt // [moves wake][moves spot]
	insertLead     *stmt
	findLead       *stmt
	deleteLead     *stmt
	insertLive     *stmt
	findLive       *stmt
	deleteLive     *stmt
	insertContact  *stmt
	insertExternal *stmt
	deleteExternal *stmt
	updateContact  *stmt
	deleteContact  *stmt
	addCount       *stmt
	dropCounts     *stmt
	recount        *stmt
	insertStep     *stmt
	deleteSteps    *stmt
	insertCall     *stmt
	updateCall     *stmt
	insertPayload  *stmt
	deletePayload  *stmt
	deletePayloads *stmt
	insertWorkflow *stmt
	updateWorkflow *stmt

	insertSuppression, liftSuppression                *stmt
	suppressionsOfPhone, suppressionsOfID, suppressed *stmt
	insertSetting, deleteSetting                      *stmt
	insertAudit, lastAudit                            *stmt
	insertStart, forgetStarts                         *stmt

	setSequence *stmt
	probe       *stmt
	maxSequence *stmt
}

// stmt is a prepared statement of a writer. Its values are bound from left to
// right, and then it is run by exec or get.
type stmt struct {
	prepared *zombiezen.Stmt
	writer   *writer
	bound    int
	err      error // of a value that cannot be bound
}

func (s *stmt) ints(values ...int64) *stmt {
	for _, v := range values {
		s.bound++
		s.prepared.BindInt64(s.bound, v)
	}
	return s
}

// orNull binds 0 as NULL, which keeps a row out of an index.
func (s *stmt) orNull(v int64) *stmt {
	if v == 0 {
		return s.text("")
	}
	return s.ints(v)
}

// text binds empty text as NULL, as blob does empty bytes: most rows have many
// of them.
func (s *stmt) text(v string) *stmt {
	s.bound++
	if v == "" || !s.fits(len(v)) {
		s.prepared.BindNull(s.bound)
	} else {
		s.prepared.BindText(s.bound, v)
	}
	return s
}

func (s *stmt) blob(v []byte) *stmt {
	s.bound++
	if len(v) == 0 || !s.fits(len(v)) {
		s.prepared.BindNull(s.bound)
	} else {
		s.prepared.BindBytes(s.bound, v)
	}
	return s
}

// fits refuses a value that is longer than SQLite takes, before it is copied.
func (s *stmt) fits(n int) bool {
	most := s.writer.mostBytes
	if n > most && s.err == nil {
		s.err = fmt.Errorf("%w: %d bytes in one value, and SQLite takes %d", errContent, n, most)
	}
	return n <= most
}

// step runs the statement up to its first row and reports whether there is one.
func (s *stmt) step() (bool, error) {
	// A value that is not bound would be that of the call before.
	bound, err := s.bound, s.err
	s.bound, s.err = 0, nil
	if want := s.prepared.BindParamCount(); bound != want {
		return false, fmt.Errorf("%d values for the %d of a statement", bound, want)
	}
	if err != nil {
		return false, err
	}
	return s.prepared.Step()
}

// exec runs the statement and returns how many rows it changed.
func (s *stmt) exec() (int, error) {
	_, err := s.step()
	if resetErr := s.prepared.Reset(); err == nil {
		err = resetErr
	}
	if err != nil {
		return 0, err
	}
	return s.writer.conn.Changes(), nil
}

// get reads the first row of a result, which is of integers, into dest and
// reports whether there was one.
func (s *stmt) get(dest ...*int64) (found bool, err error) {
	found, err = s.step()
	if found {
		for i := range dest {
			*dest[i] = s.prepared.ColumnInt64(i)
		}
	}
	if resetErr := s.prepared.Reset(); err == nil {
		err = resetErr
	}
	return found, err
}

// each reads all rows of a result, which are of integers, into dest, one after the other,
// and calls f after each.
func (s *stmt) each(f func(), dest ...*int64) error {
	found, err := s.step()
	for found && err == nil {
		for i := range dest {
			*dest[i] = s.prepared.ColumnInt64(i)
		}
		f()
		found, err = s.prepared.Step()
	}
	if resetErr := s.prepared.Reset(); err == nil {
		err = resetErr
	}
	return err
}

// row has scan read the first row of a result, if there is one.
func (s *stmt) row(scan func(row) error) error {
	found, err := s.step()
	if found {
		err = scan(row{Stmt: s.prepared})
	}
	if resetErr := s.prepared.Reset(); err == nil {
		err = resetErr
	}
	return err
}

func newWriter(path string, opts Options) (_ *writer, err error) {
	conn, err := openConn(path, "rw", zombiezen.OpenReadWrite, writerPragmas(opts))
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, mostBytes: int(conn.Limit(zombiezen.LimitLength, -1))}
	prepare := func(text string) *stmt {
		s := &stmt{writer: w}
		if err == nil {
			s.prepared, err = conn.Prepare(text)
		}
		return s
	}
	w.begin = prepare(`BEGIN IMMEDIATE`)
	w.commit = prepare(`COMMIT`)
	w.rollback = prepare(`ROLLBACK`)
	w.checkpointAll = prepare(`PRAGMA wal_checkpoint(TRUNCATE)`)
	for wake := range w.updateLead {
		for spot := range w.updateLead[wake] {
			w.updateLead[wake][spot] = prepare(updateLeadText(wake == 1, spot == 1))
		}
	}
	w.insertLead = prepare(insertLeadText)
	w.findLead = prepare(findLeadText)
	w.deleteLead = prepare(deleteLeadText)
	w.insertLive = prepare(insertLiveText)
	w.findLive = prepare(findLiveText)
	w.deleteLive = prepare(deleteLiveText)
	w.insertContact = prepare(insertContactText)
	w.insertExternal = prepare(insertExternalText)
	w.deleteExternal = prepare(deleteExternalText)
	w.updateContact = prepare(updateContactText)
	w.deleteContact = prepare(deleteContactText)
	w.addCount = prepare(addCountText)
	w.dropCounts = prepare(dropCountsText)
	w.recount = prepare(recountText)
	w.insertStep = prepare(insertStepText)
	w.deleteSteps = prepare(deleteStepsText)
	w.insertCall = prepare(insertCallText)
	w.updateCall = prepare(updateCallText)
	w.insertPayload = prepare(putPayloadText)
	w.deletePayload = prepare(deletePayloadText)
	w.deletePayloads = prepare(deletePayloadsText)
	w.insertWorkflow = prepare(insertWorkflowText)
	w.updateWorkflow = prepare(updateWorkflowText)
	w.insertSuppression = prepare(insertSuppressionText)
	w.liftSuppression = prepare(liftSuppressionText)
	w.suppressionsOfPhone = prepare(suppressionsOfPhoneText)
	w.suppressionsOfID = prepare(suppressionsOfIDText)
	w.suppressed = prepare(suppressedText)
	w.insertSetting = prepare(putSettingText)
	w.deleteSetting = prepare(deleteSettingText)
	w.insertAudit = prepare(insertAuditText)
	w.lastAudit = prepare(lastAuditText)
	w.insertStart = prepare(putStartText)
	w.forgetStarts = prepare(forgetStartsText)
	w.setSequence = prepare(setSequenceText)
	w.probe = prepare(probeText)
	w.maxSequence = prepare(maxSequenceText)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// start begins a transaction. It waits for other programs as long as ctx says,
// but no longer than busyTimeout.
func (w *writer) start(ctx context.Context) error {
	if ctx.Done() == nil {
		_, err := w.begin.exec()
		return err
	}
	limited, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	w.conn.SetBlockOnBusy() // until it is interrupted
	w.conn.SetInterrupt(limited.Done())
	_, err := w.begin.exec()
	w.conn.SetInterrupt(nil)
	w.conn.SetBusyTimeout(busyTimeout)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", store.ErrBusy, ctx.Err())
	case err != nil && limited.Err() != nil:
		return fmt.Errorf("%w: %s", store.ErrBusy, adviceLocked)
	}
	return err
}

// mayWrite refuses a file that can only be read, which SQLite opens all the
// same. One that another program writes to right now can be written.
func (w *writer) mayWrite() error {
	w.conn.SetBusyTimeout(0)
	defer w.conn.SetBusyTimeout(busyTimeout)
	err := run(w.conn, `UPDATE sequences SET last = last WHERE kind < 0`) // changes nothing
	if zombiezen.ErrCode(err).ToPrimary() == zombiezen.ResultBusy {
		return nil
	}
	return err
}

// checkpoint moves the whole log into the file. That another program reads and
// so keeps some of it is no error.
func (w *writer) checkpoint() error {
	var busy, log, moved int64
	_, err := w.checkpointAll.get(&busy, &log, &moved)
	return err
}

// close ends whatever the connection is in.
func (w *writer) close() error { return w.conn.Close() }
