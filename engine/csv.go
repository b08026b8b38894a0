package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine/internal/csvfile"
	"github.com/leadflow-go/leadflow/lead"
)

// EnrollCSV enrolls the rows of a CSV file, as EnrollAll does, in constant
// memory. The first record names the columns: phone_number is required, external_id
// and time_zone are optional. The non-empty values of every other column that has a
// name become metadata, as strings.
//
// The file may be UTF-8 or UTF-16, with or without a byte order mark. Fields may be
// separated by commas, semicolons, tabs or vertical bars, or by the character that a
// first line such as "sep=;" names. Lines may end in LF, CRLF or CR. The three columns
// may also be named Phone Number or phone, External ID, and Time Zone.
//
// An invalid row is rejected, with its number and line, and the others are enrolled. A
// quote that is not closed rejects the line on which it was opened. Rows without any
// value are skipped.
//
// A file without the column phone_number is a *lead.InvalidError, and so is a header
// that cannot be read. If r returns an error, the rows before it are enrolled and
// reported, and EnrollCSV returns that error.
func (e *Engine) EnrollCSV(ctx context.Context, workflow lead.WorkflowID, r io.Reader, options ...EnrollOption) (EnrollReport, error) {
	s := newEnrollment(e, workflow, options)
	if _, err := e.run.Flow(workflow); err != nil {
		return s.report, err
	}
	rows, err := newCSVRows(r)
	if err != nil {
		return s.report, err
	}
	s.at = func() (row, line int) { return rows.row, rows.line }
	report, err := s.run(ctx, rows.contacts())
	return report, errors.Join(err, rows.broken)
}

// maxRow is the most bytes of a row.
const maxRow = MaxData

// csvRows reads contacts from a CSV file.
type csvRows struct {
	reader    *csvfile.Reader
	columns   []string // names; a column named "" is ignored
	phone     int      // the index of the column of phone numbers
	fields    map[int]func(c *lead.Contact, value string)
	row, line int   // of the contact yielded last
	broken    error // why reading ended, unless at the end of the file
}

func newCSVRows(r io.Reader) (*csvRows, error) {
	rows := &csvRows{reader: csvfile.NewReader(r, maxRow)}
	header, err := rows.reader.Header(func(columns []string) bool { return len(columnsNamed(trimmed(columns), phoneNames)) > 0 })
	var parse *csvfile.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, invalidCSV("the file is empty; its first line must name the columns")
	case errors.As(err, &parse):
		return nil, invalidCSV("the header cannot be read: " + parse.Reason.Error())
	case err != nil:
		return nil, fmt.Errorf("engine: read CSV: %w", err)
	}
	if err := rows.setColumns(trimmed(header)); err != nil {
		return nil, err
	}
	rows.reader.IsRow = func(fields []string) bool { return looksLikePhone(fields[rows.phone]) }
	return rows, nil
}

func trimmed(columns []string) []string {
	out := make([]string, len(columns))
	for i, name := range columns {
		out[i] = strings.TrimSpace(name)
	}
	return out
}

// The columns that have a meaning of their own: the exact name first, then names that
// are compared without case, spaces, underscores and hyphens. The first name that a
// column has wins.
var (
	phoneNames    = []string{"phone_number", "phonenumber", "phone"}
	externalNames = []string{"external_id", "externalid"}
	zoneNames     = []string{"time_zone", "timezone"}
)

var plainName = strings.NewReplacer(" ", "", "_", "", "-", "")

// columnsNamed returns the indexes of the columns with the first of the names that
// any column has.
func columnsNamed(columns, names []string) (found []int) {
	for i, name := range names {
		for k, column := range columns {
			if column == name || i > 0 && plainName.Replace(strings.ToLower(column)) == name {
				found = append(found, k)
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// setColumns decides what each column fills.
func (rows *csvRows) setColumns(columns []string) error {
	rows.columns = columns
	rows.fields = map[int]func(c *lead.Contact, value string){}
	seen := make(map[string]bool, len(columns))
	for _, name := range columns {
		if seen[name] && name != "" {
			return invalidCSV(fmt.Sprintf("two columns are named %.40q", name))
		}
		if !utf8.ValidString(name) {
			return invalidCSV(fmt.Sprintf("the name %.40q is not UTF-8; save the file as UTF-8", name))
		}
		seen[name] = true
	}
	for _, field := range []struct {
		names []string
		set   func(c *lead.Contact, value string)
	}{
		{phoneNames, func(c *lead.Contact, value string) { c.PhoneNumber = value }},
		{externalNames, func(c *lead.Contact, value string) { c.ExternalID = value }},
		{zoneNames, func(c *lead.Contact, value string) { c.TimeZone = value }},
	} {
		found := columnsNamed(columns, field.names)
		if len(found) > 1 {
			return invalidCSV(fmt.Sprintf("two columns, %.40q and %.40q, could be %[3]s; rename one of them to %[3]s",
				columns[found[0]], columns[found[1]], field.names[0]))
		}
		for _, i := range found {
			rows.fields[i] = field.set
		}
	}
	phone := columnsNamed(columns, phoneNames)
	if len(phone) == 0 {
		return invalidCSV(fmt.Sprintf("no column %s, Phone Number or phone; the columns are %s", phoneNames[0], clipColumns(columns)))
	}
	rows.phone = phone[0]
	return nil
}

// looksLikePhone reports whether a text could be meant as a phone number.
func looksLikePhone(text string) bool {
	digits := 0
	for _, c := range strings.TrimSpace(text) {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case !strings.ContainsRune("+-./() \u00a0", c):
			return false
		}
	}
	return digits >= 7
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
			record, err := rows.reader.Read()
			var parse *csvfile.ParseError
			var c lead.Contact
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
				c, err = rows.contact(record.Fields)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func (rows *csvRows) contact(record []string) (lead.Contact, error) {
	var c lead.Contact
	for i, value := range record {
		column := rows.columns[i]
		if !utf8.ValidString(value) {
			return c, invalidRow(fmt.Sprintf("column %.40q is not UTF-8; save the file as UTF-8", column))
		}
		value = strings.Clone(strings.TrimSpace(value)) // or it would keep the whole record in memory
		if set := rows.fields[i]; set != nil {
			set(&c, value)
		} else if value != "" && column != "" {
			if c.Metadata == nil {
				c.Metadata = make(map[string]any, len(record)-1)
			}
			c.Metadata[column] = value
		}
	}
	return c, nil
}

// invalidRow is the error for a row from which no contact can be read.
func invalidRow(message string) error {
	return &lead.InvalidError{Faults: []lead.FieldError{{Message: message}}}
}

// rowMessage is the text of a rejected row's error, without the prefix that would be
// the same in every row.
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
		return fmt.Sprintf("%s: lead %s is %s", conflict.Reason, conflict.Lead, conflict.State)
	}
	return strings.TrimPrefix(err.Error(), "lead: ")
}
