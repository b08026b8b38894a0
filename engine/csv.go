package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
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
	nothing := EnrollReport{WorkflowID: workflow, Errors: []RowError{}}
	if _, err := e.run.Flow(workflow); err != nil {
		return nothing, err
	}
	rows, err := newContactRows(r)
	if err != nil {
		return nothing, err
	}
	report, err := e.enrollRows(ctx, workflow, rows.all(lead.Contact{}), rows.at, options)
	return report, errors.Join(err, rows.broken)
}

// maxRow is the most bytes of a row.
const maxRow = MaxData

// csvRows reads a T from each row of a CSV file.
type csvRows[T any] struct {
	reader  *csvfile.Reader
	columns []string // names; a column named "" is ignored
	set     map[int]func(t *T, value string) error
	// other sets the value of a column that has no meaning of its own; nil ignores it.
	other     func(t *T, column, value string)
	row, line int   // of the value yielded last
	broken    error // why reading ended, unless at the end of the file
}

// csvColumn is a column that has a meaning: its names, and what sets its value.
type csvColumn[T any] struct {
	names []string
	set   func(t *T, value string) error
}

// csvNeeds says which columns a file must have one of.
type csvNeeds struct {
	text  string
	names [][]string
}

func (needs csvNeeds) met(columns []string) bool {
	return slices.ContainsFunc(needs.names, func(names []string) bool { return columnsNamed(columns, names) != nil })
}

func newCSVRows[T any](r io.Reader, known []csvColumn[T], needs csvNeeds, other func(t *T, column, value string)) (*csvRows[T], error) {
	rows := &csvRows[T]{reader: csvfile.NewReader(r, maxRow), set: map[int]func(t *T, value string) error{}, other: other}
	header, err := rows.reader.Header(func(columns []string) bool { return needs.met(trimmed(columns)) })
	var parse *csvfile.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, invalidCSV("the file is empty; its first line must name the columns")
	case errors.As(err, &parse):
		return nil, invalidCSV("the header cannot be read: " + parse.Reason.Error())
	case err != nil:
		return nil, fmt.Errorf("engine: read CSV: %w", err)
	}
	rows.columns = trimmed(header)
	if err := rows.setColumns(known); err != nil {
		return nil, err
	}
	if !needs.met(rows.columns) {
		return nil, invalidCSV(fmt.Sprintf("no column %s; the columns are %s", needs.text, clipColumns(rows.columns)))
	}
	if phone := columnsNamed(rows.columns, phoneNames); phone != nil {
		rows.reader.IsRow = func(fields []string) bool { return looksLikePhone(fields[phone[0]]) }
	}
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

// contactColumns are the columns that EnrollCSV reads, but for those that become metadata.
var contactColumns = []csvColumn[lead.Contact]{
	{phoneNames, func(c *lead.Contact, value string) error { c.PhoneNumber = value; return nil }},
	{externalNames, func(c *lead.Contact, value string) error { c.ExternalID = value; return nil }},
	{zoneNames, func(c *lead.Contact, value string) error { c.TimeZone = value; return nil }},
}

func newContactRows(r io.Reader) (*csvRows[lead.Contact], error) {
	return newCSVRows(r, contactColumns, csvNeeds{phoneNames[0] + ", Phone Number or phone", [][]string{phoneNames}}, setMetadata)
}

func setMetadata(c *lead.Contact, column, value string) {
	if value == "" {
		return
	}
	if c.Metadata == nil {
		c.Metadata = map[string]any{}
	}
	c.Metadata[column] = value
}

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
func (rows *csvRows[T]) setColumns(known []csvColumn[T]) error {
	seen := make(map[string]bool, len(rows.columns))
	for _, name := range rows.columns {
		if seen[name] && name != "" && rows.other != nil {
			return invalidCSV(fmt.Sprintf("two columns are named %.40q", name))
		}
		if !utf8.ValidString(name) {
			return invalidCSV(fmt.Sprintf("the name %.40q is not UTF-8; save the file as UTF-8", name))
		}
		seen[name] = true
	}
	for _, field := range known {
		found := columnsNamed(rows.columns, field.names)
		if len(found) > 1 {
			return invalidCSV(fmt.Sprintf("two columns, %.40q and %.40q, could be %[3]s; rename one of them to %[3]s",
				rows.columns[found[0]], rows.columns[found[1]], field.names[0]))
		}
		for _, i := range found {
			rows.set[i] = field.set
		}
	}
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

// at returns where the value yielded last was.
func (rows *csvRows[T]) at() (row, line int) { return rows.row, rows.line }

// all yields what is read from each row, which begins as first.
func (rows *csvRows[T]) all(first T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			record, err := rows.reader.Read()
			var parse *csvfile.ParseError
			t := first
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
				err = rows.read(&t, record.Fields)
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

func (rows *csvRows[T]) read(t *T, record []string) error {
	for i, value := range record {
		column, set := rows.columns[i], rows.set[i]
		if set == nil && (rows.other == nil || column == "") {
			continue
		}
		if !utf8.ValidString(value) {
			return invalidRow(fmt.Sprintf("column %.40q is not UTF-8; save the file as UTF-8", column))
		}
		value = strings.Clone(strings.TrimSpace(value)) // or it would keep the whole record in memory
		if set == nil {
			rows.other(t, column, value)
		} else if err := set(t, value); err != nil {
			return err
		}
	}
	return nil
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
