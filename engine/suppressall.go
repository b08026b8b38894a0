package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine/internal/csvfile"
	"github.com/leadflow-go/leadflow/engine/internal/run"
)

// SuppressReport is the result of SuppressAll and SuppressCSV.
type SuppressReport struct {
	Added        int `json:"added"`
	Unchanged    int `json:"unchanged"` // on record already
	Rejected     int `json:"rejected"`
	LeadsRemoved int `json:"leads_removed"` // or removed when their step in flight has ended
	// Errors names the rejected rows in order, the first MaxRowErrors of them.
	Errors []RowError `json:"errors"`
}

// suppressChunkSize is how many suppressions go into one request.
const suppressChunkSize = 500

// SuppressAll suppresses a stream of persons in constant memory, a few hundred in a
// commit, each as Suppress would. An element that comes with an error, or that Suppress
// would refuse, is rejected; the others are on disk when it returns. It reads the stream
// on the goroutine of its caller.
//
// If it returns an error, because ctx has ended or the store failed, the report has what is
// on disk; running it again on the same stream is safe.
func (e *Engine) SuppressAll(ctx context.Context, persons iter.Seq2[Suppress, error]) (SuppressReport, error) {
	row := 0
	return e.suppressAll(ctx, persons, func() (int, int) { row++; return row, 0 })
}

func (e *Engine) suppressAll(ctx context.Context, persons iter.Seq2[Suppress, error], at func() (row, line int)) (SuppressReport, error) {
	report := SuppressReport{Errors: []RowError{}}
	reject := func(row, line int, err error) {
		report.Rejected++
		if len(report.Errors) < MaxRowErrors {
			report.Errors = append(report.Errors, RowError{Row: row, Line: line, Message: rowMessage(err)})
		}
	}
	var chunk []*run.Suppressing
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		err := e.run.Suppress(ctx, chunk)
		if err != nil {
			return e.why(err)
		}
		for _, s := range chunk {
			if s.Fresh {
				report.Added++
			} else {
				report.Unchanged++
			}
			report.Added += len(s.Also)
			report.LeadsRemoved += len(s.Leads)
		}
		chunk = chunk[:0]
		return nil
	}
	for s, err := range persons {
		row, line := at()
		var asked *run.Suppressing
		if err == nil {
			asked, err = e.suppressing(s)
		}
		if err != nil {
			reject(row, line, err)
			continue
		}
		if chunk = append(chunk, asked); len(chunk) == suppressChunkSize {
			if err := flush(); err != nil {
				return report, err
			}
		}
	}
	return report, flush()
}

// SuppressCSV suppresses the persons in the rows of a CSV file, as SuppressAll does. The
// first record names the columns: phone_number or external_id, at least one of them, and
// optionally reason and expires_at, a time in RFC 3339 or a date. Other columns are
// ignored. A row needs a number or an id. Encodings and separators are those of EnrollCSV.
// defaults has the scope, and the reason and the actor of rows without one.
//
// A file without one of the two columns is a *lead.InvalidError.
func (e *Engine) SuppressCSV(ctx context.Context, r io.Reader, defaults Suppress) (SuppressReport, error) {
	rows := &suppressRows{reader: csvfile.NewReader(r, maxRow), defaults: defaults}
	if err := rows.header(); err != nil {
		return SuppressReport{Errors: []RowError{}}, err
	}
	report, err := e.suppressAll(ctx, rows.all(), func() (int, int) { return rows.row, rows.line })
	return report, errors.Join(err, rows.broken)
}

// suppressRows reads suppressions from a CSV file.
type suppressRows struct {
	reader   *csvfile.Reader
	defaults Suppress
	set      map[int]func(s *Suppress, value string) error // by column

	row, line int   // of the one yielded last
	broken    error // why reading ended, unless at the end of the file
}

var (
	reasonNames  = []string{"reason"}
	expiresNames = []string{"expires_at", "expiresat", "expires"}
)

func (rows *suppressRows) header() error {
	header, err := rows.reader.Header(func(columns []string) bool {
		return len(columnsNamed(trimmed(columns), phoneNames))+len(columnsNamed(trimmed(columns), externalNames)) > 0
	})
	var parse *csvfile.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return invalidCSV("the file is empty; its first line must name the columns")
	case errors.As(err, &parse):
		return invalidCSV("the header cannot be read: " + parse.Reason.Error())
	case err != nil:
		return fmt.Errorf("engine: read CSV: %w", err)
	}
	columns := trimmed(header)
	rows.set = map[int]func(s *Suppress, value string) error{}
	who := 0
	for _, field := range []struct {
		names []string
		set   func(s *Suppress, value string) error
	}{
		{phoneNames, func(s *Suppress, value string) error { s.PhoneNumber = value; return nil }},
		{externalNames, func(s *Suppress, value string) error { s.ExternalID = value; return nil }},
		{reasonNames, func(s *Suppress, value string) error {
			if value != "" {
				s.Reason = value
			}
			return nil
		}},
		{expiresNames, setExpires},
	} {
		found := columnsNamed(columns, field.names)
		if len(found) > 1 {
			return invalidCSV(fmt.Sprintf("two columns, %.40q and %.40q, could be %[3]s; rename one of them to %[3]s",
				columns[found[0]], columns[found[1]], field.names[0]))
		}
		for _, i := range found {
			rows.set[i] = field.set
			if field.names[0] == phoneNames[0] || field.names[0] == externalNames[0] {
				who++
			}
		}
	}
	if who == 0 {
		return invalidCSV(fmt.Sprintf("no column %s or %s; the columns are %s", phoneNames[0], externalNames[0], clipColumns(columns)))
	}
	return nil
}

// setExpires reads when a suppression ends: a time, or a day, at whose beginning in UTC it
// ends.
func setExpires(s *Suppress, value string) error {
	if value == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			s.ExpiresAt = at
			return nil
		}
	}
	return invalidRow(fmt.Sprintf("expires_at: invalid time %.40q; write it as 2030-12-31T00:00:00Z or 2030-12-31", value))
}

func (rows *suppressRows) all() iter.Seq2[Suppress, error] {
	return func(yield func(Suppress, error) bool) {
		for {
			record, err := rows.reader.Read()
			var parse *csvfile.ParseError
			s := rows.defaults
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.As(err, &parse):
				rows.row, rows.line = parse.Row, parse.Line
				err = invalidRow(err.Error())
			case err != nil:
				rows.broken = fmt.Errorf("engine: read CSV: %w", err)
				return
			default:
				rows.row, rows.line = record.Row, record.Line
				err = rows.read(&s, record.Fields)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

func (rows *suppressRows) read(s *Suppress, fields []string) error {
	for i, value := range fields {
		set := rows.set[i]
		if set == nil {
			continue
		}
		if !utf8.ValidString(value) {
			return invalidRow("is not UTF-8; save the file as UTF-8")
		}
		if err := set(s, strings.Clone(strings.TrimSpace(value))); err != nil {
			return err
		}
	}
	return nil
}
