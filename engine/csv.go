package engine

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/lead"
)

// The columns of a CSV file that have a meaning of their own.
const (
	phoneColumn    = "phone_number"
	externalColumn = "external_id"
	zoneColumn     = "time_zone"
)

// EnrollCSV enrolls the rows of a CSV file, as EnrollAll does, in constant
// memory. The first record names the columns: phone_number is required, and
// every other column becomes metadata, as text, where it is not empty; those
// named external_id and time_zone also fill the contact's fields of that name.
// Bad rows are rejected by number and the good ones enrolled.
//
// A file without the column is a *lead.InvalidError. An error of r ends the
// reading: the rows before it are enrolled and reported.
func (e *Engine) EnrollCSV(ctx context.Context, workflow lead.WorkflowID, r io.Reader, options ...EnrollOption) (EnrollReport, error) {
	s := newEnrollment(e, workflow, 1, options)
	if _, err := e.run.Flow(workflow); err != nil {
		return s.report, err
	}
	rows, err := newCSVRows(r)
	if err != nil {
		return s.report, err
	}
	report, err := s.run(ctx, rows.contacts())
	return report, errors.Join(err, rows.broken)
}

// csvRows reads contacts from a CSV file.
type csvRows struct {
	reader  *csv.Reader
	limit   *rowLimit
	columns []string
	broken  error // what ended the reading, but for the end of the file
}

func newCSVRows(r io.Reader) (*csvRows, error) {
	limit := &rowLimit{r: r, left: maxRow}
	text := bufio.NewReader(limit)
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(3) // peeked just now
	}
	rows := &csvRows{reader: csv.NewReader(text), limit: limit}
	rows.reader.ReuseRecord = true
	header, err := rows.reader.Read()
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, invalidCSV("the file is empty; its first line must name the columns")
	case errors.As(err, &parse):
		return nil, invalidCSV("the header cannot be read: " + parse.Err.Error())
	case errors.Is(err, errLongRow):
		return nil, invalidCSV("the header " + err.Error())
	case err != nil:
		return nil, fmt.Errorf("engine: read CSV: %w", err)
	}
	for _, name := range header {
		rows.columns = append(rows.columns, strings.TrimSpace(name))
	}
	if !slices.Contains(rows.columns, phoneColumn) {
		return nil, invalidCSV(fmt.Sprintf("no column %s among %s", phoneColumn, clipColumns(rows.columns)))
	}
	seen := make(map[string]bool, len(rows.columns))
	for _, name := range rows.columns {
		if seen[name] {
			return nil, invalidCSV(fmt.Sprintf("two columns are named %q", name))
		}
		seen[name] = true
	}
	return rows, nil
}

// maxRow is the most bytes of a row; the reader's buffer comes on top. Without
// a limit a quote that is never closed would gather the rest of the file in
// memory.
const maxRow = MaxData

var errLongRow = fmt.Errorf("has more than %d bytes; perhaps a quote is not closed", maxRow)

// rowLimit is what a file is read through. It fails when more than left bytes
// are asked of it for one row, and once it has failed it keeps failing: a row
// that is cut off there must not be taken for one that ends.
type rowLimit struct {
	r      io.Reader
	left   int
	failed error
}

func (l *rowLimit) Read(p []byte) (n int, err error) {
	if l.failed != nil {
		return 0, l.failed
	}
	if l.left <= 0 {
		l.failed = errLongRow
		return 0, l.failed
	}
	n, l.failed = l.r.Read(p)
	l.left -= n
	return n, l.failed
}

// clipColumns lists column names for a message.
func clipColumns(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%.40q and %d more", names[:most], len(names)-most)
	}
	return fmt.Sprintf("%.40q", names)
}

func invalidCSV(message string) error {
	return &lead.InvalidError{Subject: "CSV file", Faults: []lead.FieldError{{Location: "header", Message: message}}}
}

func (rows *csvRows) contacts() iter.Seq2[lead.Contact, error] {
	return func(yield func(lead.Contact, error) bool) {
		for {
			rows.limit.left = maxRow
			record, err := rows.reader.Read()
			var parse *csv.ParseError
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errLongRow):
				rows.broken = &lead.InvalidError{Subject: "CSV file", Faults: []lead.FieldError{{Location: "row", Message: err.Error()}}}
				return
			case errors.As(err, &parse):
				if !yield(lead.Contact{}, parse.Err) {
					return
				}
				continue
			case err != nil:
				rows.broken = fmt.Errorf("engine: read CSV: %w", err)
				return
			}
			if !yield(rows.contact(record)) {
				return
			}
		}
	}
}

func (rows *csvRows) contact(record []string) (lead.Contact, error) {
	var c lead.Contact
	for i, value := range record {
		if !utf8.ValidString(value) {
			return c, fmt.Errorf("column %s is not UTF-8", rows.columns[i])
		}
		value = strings.Clone(strings.TrimSpace(value))
		column := rows.columns[i]
		switch column {
		case phoneColumn:
			c.PhoneNumber = value
			continue
		case externalColumn:
			c.ExternalID = value
		case zoneColumn:
			c.TimeZone = value
		}
		if value != "" && column != "" {
			if c.Metadata == nil {
				c.Metadata = make(map[string]any, len(record)-1)
			}
			c.Metadata[column] = value
		}
	}
	return c, nil
}

// rowMessage is the text of a rejected row's error, without the words that say
// what every row is.
func rowMessage(err error) string {
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		parts := make([]string, len(invalid.Faults))
		for i, f := range invalid.Faults {
			parts[i] = f.String()
		}
		return strings.Join(parts, "; ")
	}
	var conflict *lead.ConflictError
	if errors.As(err, &conflict) && !conflict.Lead.IsZero() {
		return fmt.Sprintf("%s, as %s (%s)", conflict.Reason, conflict.Lead, conflict.State)
	}
	return strings.TrimPrefix(err.Error(), "lead: ")
}
