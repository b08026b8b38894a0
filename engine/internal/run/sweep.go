package run

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// sweepSize is how many leads of a sweep go into one batch, so that other work fits in.
const sweepSize = 500

// sweep applies an event to many leads of a workflow, one after the other, or deletes
// them if the workflow was deleted. A sweep that a workflow's status requires is
// started again with the engine until nothing is left to do.
type sweep struct {
	query store.LeadQuery // After moves on with every page
	event core.Event      // nil to delete them
	note  store.Audit     // for each lead that is changed; none without an Action
	count int             // leads that were changed, on disk
	given atomic.Bool     // its caller does not wait any more, so it stops
	again []int64         // leads of earlier pages that others changed meanwhile
	waits bool            // its caller waits for attempts that were begun before
	begun begun           // which are these
	last  bool            // there are no more pages
	done  chan struct{}
}

// statusSweep returns the sweep that the status of a workflow requires, or nil. It
// makes the change that each lead needs now: leads of a cancelled workflow are removed;
// in a paused one, leads whose removal is pending drop their queued retries.
func statusSweep(f *core.Flow) *sweep {
	s := &sweep{query: store.LeadQuery{Workflow: f.Row.Seq}, event: core.Advance{}, done: make(chan struct{})}
	switch {
	case f.Row.Deleted:
		s.event = nil
	case f.Row.Status == lead.WorkflowCancelled:
		s.query.States = []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}
	case f.Row.Status == lead.WorkflowPaused:
		s.query.States = []lead.State{lead.PendingRemoval}
	default:
		return nil
	}
	return s
}

func (l *loop) addSweep(s *sweep) { l.sweeps = append(l.sweeps, s) }

// resumeSweeps continues the sweeps that an earlier process did not finish.
func (l *loop) resumeSweeps() error {
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) { // sorted, so that simulations are reproducible
		s := statusSweep(l.flows[seq])
		if s == nil {
			continue
		}
		counts, err := l.r.Store.Counts(context.Background(), seq)
		if err != nil {
			return ReadFailed(err)
		}
		left := int64(0)
		for state, n := range counts {
			if len(s.query.States) == 0 || slices.Contains(s.query.States, state) {
				left += n
			}
		}
		if left > 0 {
			l.addSweep(s)
		}
	}
	return nil
}

// sweepPage applies the first sweep to its next leads, as part of the batch.
func (l *loop) sweepPage() error {
	if len(l.sweeps) == 0 {
		return nil
	}
	s := l.sweeps[0]
	query := s.query
	if query.Limit = sweepSize; s.query.Limit > 0 {
		query.Limit = min(sweepSize, s.query.Limit)
	}
	if len(s.again) > 0 {
		return l.sweepAgain(s)
	}
	page, err := l.r.Store.Sweep(context.Background(), query)
	bad, ofRows := asRowErrors(err)
	if err != nil && !ofRows {
		return &storeError{err}
	}
	l.parkAll(bad)
	read := len(page) + len(bad)
	more := len(page) > 0 && read >= query.Limit && read != s.query.Limit
	var last int64
	if more {
		last = page[len(page)-1].Seq
	}
	for _, row := range bad {
		page = append(page, store.Record{Seq: row.Seq})
	}
	return l.sweepRecords(s, page, func() {
		if s.last = !more; more {
			s.query.After, s.query.Offset = last, 0
			s.query.Limit = max(0, s.query.Limit-read)
		}
	})
}

// sweepAgain applies the sweep to leads of earlier pages.
func (l *loop) sweepAgain(s *sweep) error {
	found, err := l.load(s.again)
	if err != nil {
		return err
	}
	records := make([]store.Record, len(found))
	for i := range found {
		records[i] = found[i].Record
	}
	return l.sweepRecords(s, records, func() {})
}

// sweepRecords applies the sweep to leads, as part of the batch. landed is called when
// that is on disk.
func (l *loop) sweepRecords(s *sweep, records []store.Record, landed func()) error {
	var changed []int64
	for _, rec := range records {
		happened, err := l.sweepOver(s, rec)
		if err != nil {
			return err
		}
		if happened {
			changed = append(changed, rec.Seq)
		}
	}
	b := l.batch
	l.after = append(l.after, func() {
		s.again = s.again[:0]
		for _, seq := range changed {
			if _, stale := slices.BinarySearch(b.done.Stale, seq); stale {
				s.again = append(s.again, seq)
			}
		}
		s.count += len(changed) - len(s.again)
		if landed(); s.last && len(s.again) == 0 || s.given.Load() {
			l.sweeps = l.sweeps[1:]
			close(s.done)
		}
	})
	return nil
}

// sweepOver applies the sweep to one lead, and reports whether it changed the lead.
func (l *loop) sweepOver(s *sweep, rec store.Record) (bool, error) {
	e := l.hot[rec.Seq]
	if s.event == nil {
		l.writes.Forget = append(l.writes.Forget, rec.Seq)
		if e != nil {
			l.after = append(l.after, func() { l.drop(e) })
		}
		return true, nil
	}
	if e == nil && l.broken[rec.Seq] == nil {
		e, _ = l.adopt(rec)
	}
	if e == nil {
		// It can be removed although it cannot be read.
		var err error
		if e, err = l.get(rec.Seq); storeFailed(err) {
			return false, err
		} else if e == nil || err != nil {
			return false, nil // left out, and logged
		}
	}
	// The lead may have changed since it was read, even in this batch.
	err := l.apply(e, s.event)
	var refused *core.Refused
	switch {
	case errors.Is(err, core.ErrUnchanged):
		s.waitFor(l, e)
		return true, nil
	case errors.Is(err, core.ErrNotNow), errors.Is(err, lead.ErrLeadFinal), errors.As(err, &refused):
		return false, nil
	case err == nil && s.note.Action != "":
		l.auditLead(e, s.note)
	}
	if err == nil {
		s.waitFor(l, e)
	}
	return err == nil, l.lasting(e, err)
}

// waitFor has the caller wait for the attempt of a lead.
func (s *sweep) waitFor(l *loop, e *entry) {
	if s.waits {
		s.begun.add(l, e)
	}
}
