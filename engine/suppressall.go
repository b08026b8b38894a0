package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
)

// SuppressReport is the result of SuppressAll and SuppressCSV.
type SuppressReport struct {
	Added        int `json:"added"`     // suppressions; with Suppress.Linked more than rows
	Unchanged    int `json:"unchanged"` // rows whose suppression was on record already
	Rejected     int `json:"rejected"`
	LeadsRemoved int `json:"leads_removed"` // or removed when their step in flight has ended
	// Errors names the rejected rows in order, the first MaxRowErrors of them.
	Errors []RowError `json:"errors"`
}

// suppressChunkSize is how many suppressions go into one request.
const suppressChunkSize = 500

// SuppressAll suppresses a stream of persons in constant memory, a few hundred in a
// commit: while one part is being written, the next is read and checked. An element that
// comes with an error, or that Suppress would refuse, is rejected; the others are on disk
// when it returns. It reads the stream on the goroutine of its caller.
//
// The report says what is on disk, also when SuppressAll returns an error because the
// store failed; no element after the last one of the report was suppressed then. But when
// ctx has ended, up to a thousand after that one may have been. It is safe to suppress the
// same stream again.
func (e *Engine) SuppressAll(ctx context.Context, persons iter.Seq2[Suppress, error]) (SuppressReport, error) {
	row := 0
	return e.suppressAll(ctx, persons, func() (int, int) { row++; return row, 0 })
}

// suppressChunk is a group of persons who are suppressed in one commit.
type suppressChunk struct {
	list     []*run.Suppressing
	request  *run.SuppressRequest
	rejected []RowError // the rows among them that were rejected
}

func (e *Engine) suppressAll(ctx context.Context, persons iter.Seq2[Suppress, error], at func() (row, line int)) (SuppressReport, error) {
	report := SuppressReport{Errors: []RowError{}}
	ahead, filling := &suppressChunk{}, &suppressChunk{} // ahead is being written
	turn := func() error {
		next := filling
		filling = &suppressChunk{}
		var failed error
		if len(next.list) > 0 {
			next.request, failed = e.run.Suppress(ctx, next.list)
		}
		before := ahead
		if ahead = next; failed != nil {
			ahead = &suppressChunk{}
		}
		if err := e.settle(ctx, before, &report); err != nil {
			return err
		}
		return e.why(failed)
	}
	var failed error
	for s, err := range persons {
		row, line := at()
		var asked *run.Suppressing
		if err == nil {
			asked, err = e.suppressing(s)
		}
		if err == nil && !s.WorkflowID.IsZero() {
			_, err = e.run.Flow(s.WorkflowID) // or the whole chunk would be refused
		}
		if err != nil {
			filling.rejected = append(filling.rejected, RowError{Row: row, Line: line, Message: rowMessage(err)})
		} else {
			filling.list = append(filling.list, asked)
		}
		if len(filling.list)+len(filling.rejected) == suppressChunkSize {
			if failed = turn(); failed != nil {
				break
			}
		}
	}
	if failed == nil {
		failed = turn()
	}
	// After a failure, too: it was sent before the failure was known, and may be on disk.
	if err := e.settle(ctx, ahead, &report); failed == nil {
		failed = err
	}
	return report, failed
}

// settle waits until a chunk is on disk, and reports it.
func (e *Engine) settle(ctx context.Context, c *suppressChunk, report *SuppressReport) error {
	if c.request != nil {
		if err := c.request.Wait(ctx); err != nil {
			return e.why(err)
		}
	}
	report.Rejected += len(c.rejected)
	report.Errors = append(report.Errors, c.rejected[:min(len(c.rejected), MaxRowErrors-len(report.Errors))]...)
	for _, s := range c.list {
		if s.Fresh {
			report.Added++
		} else {
			report.Unchanged++
		}
		report.Added += len(s.Also)
		if s.Asked.Channel == "" { // else they skip its steps
			report.LeadsRemoved += len(s.Leads)
		}
	}
	return nil
}

// SuppressCSV suppresses the persons in the rows of a CSV file, as SuppressAll does. The
// first record names the columns: phone_number or external_id, at least one of them, and
// optionally reason and expires_at, a time in RFC 3339 or a date. Other columns are
// ignored. A row needs a number or an id. Encodings, separators and other names of columns
// are those of EnrollCSV.
//
// defaults has the scope of all rows, and the Reason and ExpiresAt of rows without their
// own; its PhoneNumber and ExternalID must be empty.
//
// A file without one of the two columns, and invalid defaults, are a *lead.InvalidError;
// an unknown workflow is an error that matches lead.ErrNotFound. If r returns an error,
// the rows before it are suppressed and reported, and SuppressCSV returns that error.
func (e *Engine) SuppressCSV(ctx context.Context, r io.Reader, defaults Suppress) (SuppressReport, error) {
	nothing := SuppressReport{Errors: []RowError{}}
	if err := e.checkDefaults(defaults); err != nil {
		return nothing, err
	}
	rows, err := newCSVRows(r, suppressColumns, csvNeeds{"phone_number or external_id", [][]string{phoneNames, externalNames}}, nil)
	if err != nil {
		return nothing, err
	}
	report, err := e.suppressAll(ctx, rows.all(defaults), rows.at)
	return report, errors.Join(err, rows.broken)
}

// checkDefaults checks what all rows of a file have in common.
func (e *Engine) checkDefaults(s Suppress) error {
	if s.PhoneNumber != "" || s.ExternalID != "" {
		return &lead.InvalidError{Subject: "suppression", Faults: []lead.FieldError{{
			Location: "defaults", Message: "must not name a person; the rows of the file do",
		}}}
	}
	s.ExternalID = "a row's"
	if _, err := e.suppressing(s); err != nil || s.WorkflowID.IsZero() {
		return err
	}
	_, err := e.run.Flow(s.WorkflowID)
	return err
}

// suppressColumns are the columns that SuppressCSV reads.
var suppressColumns = []csvColumn[Suppress]{
	{phoneNames, func(s *Suppress, value string) error { s.PhoneNumber = value; return nil }},
	{externalNames, func(s *Suppress, value string) error { s.ExternalID = value; return nil }},
	{[]string{"reason", "reason"}, func(s *Suppress, value string) error {
		if value != "" {
			s.Reason = value
		}
		return nil
	}},
	{[]string{"expires_at", "expiresat", "expires"}, setExpires},
}

// setExpires reads when a suppression ends: a time, or a day, at whose beginning in UTC it
// ends.
func setExpires(s *Suppress, value string) error {
	if value == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil && !at.IsZero() { // zero would be never
			s.ExpiresAt = at
			return nil
		}
	}
	return invalidRow(fmt.Sprintf("expires_at: invalid time %.40q; write it as 2030-12-31T00:00:00Z or 2030-12-31", value))
}
