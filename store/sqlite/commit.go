package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Commit writes the batch in one transaction. ctx bounds the wait for another
// Commit and for the locks of other programs, the latter 10 seconds at most.
// From there on ctx is not looked at: an interrupted statement can leave the
// connection busy, and a commit of which nobody knows whether it took place
// helps no one.
//
// A stale version is a [*store.ConflictError]; a row that SQLite does not take
// for what is in it, such as a text of a gigabyte, is a [*store.RowError]; a lock
// that another program holds is [store.ErrBusy]; a file that was removed, renamed
// or replaced is [ErrFileGone]. After any error nothing of the
// batch is kept, and the next Commit starts afresh. One thing can come between: if
// it was the sync that failed, and the process ends before another Commit
// succeeds, then the next owner of the file may find the batch there, whole.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	result, err := s.commit(ctx, b)
	if err != nil {
		return store.Result{}, fmt.Errorf("sqlite: commit: %w", advised(err))
	}
	return result, nil
}

func (s *Store) commit(ctx context.Context, b *store.Batch) (result store.Result, err error) {
	if err := s.enter(); err != nil {
		return result, err
	}
	defer s.leave()
	if err := s.startWriting(ctx); err != nil {
		return result, err
	}
	defer s.stopWriting()
	if b.Empty() {
		return result, nil
	}

	if err := s.checkFile(); err != nil {
		return result, err
	}
	if s.writer == nil {
		s.files.log = nil
		if s.writer, err = newWriter(s.path, s.opts); err != nil {
			return result, err
		}
	}
	t := transaction{writer: s.writer, last: &s.last, suppressed: &s.suppressed}
	defer func() {
		if err != nil {
			s.rollback()
		}
	}()
	if err := t.start(ctx); err != nil {
		return result, err
	}
	if err := s.checkLog(); err != nil {
		return result, err
	}
	if err := t.write(b); err != nil {
		return result, err
	}
	if _, err := t.commit.exec(); err != nil { // promise 1: it is synced here
		return result, err
	}
	return store.Result{Refused: t.refusals}, nil
}

// startWriting waits until nobody else writes.
func (s *Store) startWriting(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) stopWriting() { <-s.writing }

// rollback makes the writer fit for the next commit. After some errors SQLite
// has rolled back by itself, so that ROLLBACK fails too: then, and whenever else
// it fails, the connection goes, and its transaction with it. What closing it
// says adds nothing to the error that led here.
func (s *Store) rollback() {
	if _, err := s.writer.rollback.exec(); err != nil {
		s.writer.close()
		s.writer = nil
	}
}

// transaction is one batch being written.
type transaction struct {
	*writer
	last       *sequences
	suppressed *suppressed
	counts     countDeltas
	refusals   []store.Refusal
	refused    map[int64]bool // by the Seq of the lead; nil if there are none
}

// write applies the batch in the order that store.Batch promises.
func (t *transaction) write(b *store.Batch) error {
	for i := range b.Workflows {
		if err := t.putWorkflow(&b.Workflows[i]); err != nil {
			return err
		}
	}
	for _, i := range bySeq(b.Changes) {
		if err := t.change(&b.Changes[i]); err != nil {
			return err
		}
	}
	for i := range b.Enroll {
		if err := t.enroll(i, &b.Enroll[i]); err != nil {
			return err
		}
	}
	for i := range b.Contacts {
		if contact := &b.Contacts[i]; !t.refused[contact.Seq] {
			if err := t.changeContact(contact); err != nil {
				return err
			}
		}
	}
	for i := range b.Steps {
		if step := &b.Steps[i]; !t.refused[step.Lead] {
			if err := t.putStep(step); err != nil {
				return err
			}
		}
	}
	for i := range b.Calls {
		if call := &b.Calls[i]; !t.refused[call.Lead] {
			if err := t.putCall(call); err != nil {
				return err
			}
		}
	}
	for i := range b.Payloads {
		if payload := &b.Payloads[i]; !t.refused[payload.Lead] {
			if err := t.putPayload(payload); err != nil {
				return err
			}
		}
	}
	for _, seq := range b.Forget {
		if err := t.forget(seq); err != nil {
			return err
		}
	}
	if len(b.Forget) > 0 {
		if err := t.putSequences(); err != nil {
			return err
		}
	}
	for i := range b.Suppressions {
		if err := t.putSuppression(&b.Suppressions[i]); err != nil {
			return err
		}
	}
	for i := range b.Starts {
		if err := t.putStart(&b.Starts[i]); err != nil {
			return err
		}
	}
	for _, f := range b.ForgetStarts {
		if _, err := t.forgetStarts.text(f.Key).ints(int64(f.Before)).exec(); err != nil {
			return err
		}
	}
	for i := range b.Settings {
		if err := t.putSetting(&b.Settings[i]); err != nil {
			return err
		}
	}
	if err := t.putAudits(b.Audit); err != nil {
		return err
	}
	if b.Ping {
		if _, err := t.probe.exec(); err != nil {
			return err
		}
	}
	return t.putCounts()
}

// bySeq returns the indices of changes in the order of the leads' keys, in
// which SQLite walks through the table once.
func bySeq(changes []store.Change) []int {
	order := make([]int, len(changes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Compare(changes[i].Before.Seq, changes[j].Before.Seq)
	})
	return order
}

func (t *transaction) change(c *store.Change) error {
	before, after := &c.Before, &c.After
	if err := t.changeRecord(c); err != nil {
		return err
	}
	if c.Repair {
		t.counts.anew(after.Workflow)
	}
	if from, to := countKeyOf(before), countKeyOf(after); from != to {
		t.counts.add(from, -1)
		t.counts.add(to, +1)
	}
	if (before.State != after.State || c.Repair) && after.State.Final() {
		return t.endLive(after.Workflow, after.Seq)
	}
	return nil
}

func (t *transaction) enroll(index int, e *store.Enrollment) error {
	suppressed, err := t.suppressedBy(e)
	if err != nil {
		return err
	}
	if suppressed != nil {
		t.refuse(e.Record.Seq, store.Refusal{Index: index, Suppressed: suppressed})
		return nil
	}
	live, err := t.beLive(&e.Record, e.Contact.Phone)
	if err != nil {
		return err
	}
	if live != 0 {
		t.refuse(e.Record.Seq, store.Refusal{Index: index, Live: live})
		return nil
	}
	if err := t.putRecord(&e.Record); err != nil {
		return err
	}
	t.counts.add(countKeyOf(&e.Record), +1)
	return t.putContact(&e.Contact)
}

func (t *transaction) refuse(seq int64, r store.Refusal) {
	if t.refused == nil {
		t.refused = make(map[int64]bool)
	}
	t.refused[seq] = true
	t.refusals = append(t.refusals, r)
}

// forget deletes the lead, its steps and its payloads; its calls stay.
func (t *transaction) forget(seq int64) error {
	var workflow, node, spot, last int64
	found, err := t.findLead.ints(seq).get(&workflow, &node, &spot, &last)
	if err != nil || !found {
		return err
	}
	t.counts.add(countKey{workflow, int32(node), lead.State(spot & spotStates)}, -1)
	if err := t.endLive(workflow, seq); err != nil { // needs the contact
		return err
	}
	for _, deletion := range []*stmt{
		t.deleteSteps.ints(last, seq),
		t.deletePayloads.ints(payloadKey(seq, 0), payloadKey(seq, lead.MaxVisits)),
		t.deleteExternal.ints(seq, seq), // needs the contact
		t.deleteContact.ints(seq),
		t.deleteLead.ints(seq),
	} {
		if _, err := deletion.exec(); err != nil {
			return err
		}
	}
	return nil
}
