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

// SuppressAll suppresses a stream of persons in constant memory, a few hundred in a
// commit: while one part is being written, the next is read and checked. An element that
// comes with an error, or that Suppress would refuse, is rejected; the others are on disk
// when it returns. It reads the stream on the goroutine of its caller.
//
// The report says what is on disk, also when SuppressAll returns an error because the
// store failed; no element after the last one of the report was suppressed then. But when
// ctx has ended, up to a thousand after that one may have been. It is safe to suppress the
// same stream again.
func (e *Engine) SuppressAll(ctx context.Context, persons iter.Seq2[Suppress, error], options ...SuppressOption) (SuppressReport, error) {
	return e.suppressRows(ctx, persons, counted(), options)
}

// suppressingRows is the state of one SuppressAll or SuppressCSV.
type suppressingRows struct {
	eng *Engine
	rowOptions
	report    SuppressReport
	rehearsal *run.Rehearsal // nil unless it is a dry run
}

func (e *Engine) suppressRows(
	ctx context.Context, persons iter.Seq2[Suppress, error], at func() (row, line int), options []SuppressOption,
) (SuppressReport, error) {
	s := &suppressingRows{eng: e, report: SuppressReport{Errors: []RowError{}}}
	var err error
	if s.rowOptions, err = e.newRowOptions(options); err != nil {
		return s.report, err
	}
	if s.dryRun {
		s.rehearsal = run.NewRehearsal()
	}
	err = inChunks(ctx, persons, at, func() rowChunk[Suppress] { return &suppressChunk{suppressingRows: s} })
	return s.report, err
}

// suppressChunk is a group of persons who are suppressed in one commit.
type suppressChunk struct {
	*suppressingRows
	list    []*run.Suppressing
	request *run.SuppressRequest
	fates   []suppressFate // of all rows of the chunk, rejected ones too
}

// suppressFate is the result of a row: an error, or its suppression.
type suppressFate struct {
	row, line int
	err       error
	asked     *run.Suppressing
}

func (c *suppressChunk) add(row, line int, s Suppress, err error) {
	var asked *run.Suppressing
	if err == nil {
		asked, err = c.eng.suppressing(s, c.region)
	}
	if err == nil && !s.WorkflowID.IsZero() {
		_, err = c.eng.run.Flow(s.WorkflowID) // or the whole chunk would be refused
	}
	c.fates = append(c.fates, suppressFate{row, line, err, asked})
	if err == nil {
		c.list = append(c.list, asked)
	}
}

func (c *suppressChunk) send(ctx context.Context) (err error) {
	if len(c.list) > 0 {
		c.request, err = c.eng.run.Suppress(ctx, c.list, c.rehearsal)
	}
	return c.eng.why(err)
}

func (c *suppressChunk) settle(ctx context.Context) error {
	if c.request != nil {
		if err := c.request.Wait(ctx); err != nil {
			return c.eng.why(err)
		}
	}
	r := &c.report
	for _, f := range c.fates {
		var done Suppressed
		switch s := f.asked; {
		case f.err != nil:
			r.Rejected++
			r.Errors = appendRowError(r.Errors, f.row, f.line, f.err)
		default:
			if s.Fresh {
				r.Added++
			} else {
				r.Unchanged++
			}
			r.Added += len(s.Also)
			for _, l := range s.Leads {
				if l.Fresh && s.Asked.Channel == "" { // else they skip its steps
					r.LeadsRemoved++
				}
			}
			if c.onSuppressed != nil {
				done = c.eng.suppressed(s)
			}
		}
		if c.onSuppressed != nil {
			c.onSuppressed(f.row, done, f.err)
		}
		if c.onRow != nil {
			c.onRow(f.row, lead.ID{}, f.err)
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
func (e *Engine) SuppressCSV(ctx context.Context, r io.Reader, defaults Suppress, options ...SuppressOption) (SuppressReport, error) {
	nothing := SuppressReport{Errors: []RowError{}}
	if err := e.checkDefaults(defaults); err != nil {
		return nothing, err
	}
	rows, err := newCSVRows(r, suppressColumns, csvNeeds{"phone_number or external_id", [][]string{phoneNames, externalNames}}, nil)
	if err != nil {
		return nothing, err
	}
	report, err := e.suppressRows(ctx, rows.all(defaults), rows.at, options)
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
	if _, err := e.suppressing(s, e.config.Region); err != nil || s.WorkflowID.IsZero() {
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
