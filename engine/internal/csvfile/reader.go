package csvfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Reader reads the records of a file. It is not safe for concurrent use.
type Reader struct {
	// IsRow, if set, tells of the fields of one line whether they could be a row. It
	// tells a text of several lines from rows that a quote which is not closed would
	// swallow, up to the next quote.
	IsRow func(fields []string) bool

	lines   lines
	most    int
	comma   byte
	columns int // of the header; 0 before it is read
	row     int

	ahead  []line // read, and not yet behind us
	record parser
	alone  parser // of a single line
}

// Record is a row of the file.
type Record struct {
	Fields []string // as many as the header has
	Row    int      // counts records, the header being 1; blank lines do not count
	Line   int      // of the file, on which the row begins, from 1
}

// ParseError says why a row cannot be read. The next call of Read goes on after
// its line.
type ParseError struct {
	Row, Line int
	Reason    error
}

func (e *ParseError) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *ParseError) Unwrap() error { return e.Reason }

// NewReader returns a reader of a file whose records have at most so many bytes.
func NewReader(r io.Reader, most int) *Reader {
	return &Reader{lines: lines{r: decoded(r), most: most}, most: most}
}

// separators are what stands between the fields of files.
const separators = ",;\t|"

// Header reads the first record, and finds out what separates the fields: what
// "sep=" in a first line says, else that of the usual separators by which the
// header makes sense to the caller, or else has most columns. It must be called
// first, and once. Its error is a *ParseError, one of the file, or io.EOF.
func (r *Reader) Header(sensible func(columns []string) bool) ([]string, error) {
	choice := separators
	first, err := r.line(0)
	if err != nil {
		return nil, err
	}
	if comma := declared(first.text); comma != 0 {
		choice = string(comma)
		r.ahead = r.ahead[1:]
	}
	var best []string
	var faulty error
	length := 0
	for _, comma := range []byte(choice) {
		r.comma = comma
		columns, n, err := r.parse()
		var parse *ParseError
		switch {
		case errors.As(err, &parse):
			if faulty == nil {
				faulty = err
			}
		case err != nil:
			return nil, err
		case best == nil || sensible(columns) && !sensible(best) || sensible(columns) == sensible(best) && len(columns) > len(best):
			best, length, choice = columns, n, string(comma)
		}
	}
	if best == nil {
		return nil, faulty
	}
	r.comma, r.columns, r.row = choice[0], len(best), 1
	r.ahead = r.ahead[length:]
	return best, nil
}

// declared returns the separator that a line such as "sep=;" declares, as Excel
// writes and reads it, or 0. No separator is a letter or a digit.
func declared(text []byte) byte {
	text = bytes.Trim(text, `"`)
	if len(text) != 5 || !strings.EqualFold(string(text[:4]), "sep=") {
		return 0
	}
	switch c := text[4]; {
	case c >= 0x80, c == '"', c == '=', '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z':
		return 0
	default:
		return c
	}
}

// Read returns the next row that is not empty: one all of whose fields are blank
// counts, and is passed over. Its error is a *ParseError, after which there may be
// more, one of the file, or io.EOF.
func (r *Reader) Read() (Record, error) {
	for {
		fields, n, err := r.parse()
		var parse *ParseError
		if err != nil && !errors.As(err, &parse) {
			return Record{}, err
		}
		r.row++
		at := r.ahead[0].number
		r.ahead = r.ahead[n:]
		if parse != nil {
			parse.Row = r.row
			return Record{}, parse
		}
		if blank(fields) {
			continue
		}
		if len(fields) != r.columns {
			return Record{}, &ParseError{r.row, at, fmt.Errorf("the row has %s, and the header %d", count(len(fields)), r.columns)}
		}
		return Record{fields, r.row, at}, nil
	}
}

func count(fields int) string {
	if fields == 1 {
		return "one field"
	}
	return fmt.Sprintf("%d fields", fields)
}

func blank(fields []string) bool {
	for _, f := range fields {
		if strings.TrimSpace(f) != "" {
			return false
		}
	}
	return true
}

// line returns the i-th line that is ahead.
func (r *Reader) line(i int) (line, error) {
	for len(r.ahead) <= i {
		next, err := r.lines.next()
		if err != nil {
			return line{}, err
		}
		if len(r.ahead) == 0 && len(next.text) == 0 && !next.long {
			continue // between records
		}
		r.ahead = append(r.ahead, next)
	}
	return r.ahead[i], nil
}

// lineCost is what a line is taken to cost beside its bytes, so that very many
// empty ones cost no more memory than a record may.
const lineCost = 64

// parse takes the next record apart, and returns of how many of the lines ahead it
// is: of one, if that cannot be read.
func (r *Reader) parse() (fields []string, n int, err error) {
	for len(r.ahead) > 0 && len(r.ahead[0].text) == 0 && !r.ahead[0].long {
		r.ahead = r.ahead[1:] // within a quote that turned out to be none
	}
	first, err := r.line(0)
	if err != nil {
		return nil, 0, err
	}
	fault := func(reason error) ([]string, int, error) {
		return nil, 1, &ParseError{Line: first.number, Reason: reason}
	}
	if first.long {
		return fault(fmt.Errorf("%w: more than %d bytes", errLongRecord, r.most))
	}
	r.record.reset(r.comma)
	if err := r.record.line(first.text); err != nil {
		return fault(err)
	}
	size := len(first.text)
	for n = 1; r.record.open; n++ {
		next, err := r.line(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		size += len(next.text) + lineCost
		if err != nil || next.long || size > r.most || r.record.line(next.text) != nil {
			return fault(errOpenQuote)
		}
	}
	fields = r.trim(r.record.fields())
	if n > 1 && r.columns > 0 && (len(fields) != r.columns || r.swallowed(r.ahead[1:n])) {
		return fault(errOpenQuote)
	}
	return fields, n, nil
}

// swallowed reports whether one of the lines could be a row.
func (r *Reader) swallowed(inner []line) bool {
	for _, l := range inner {
		r.alone.reset(r.comma)
		if r.IsRow == nil || r.alone.line(l.text) != nil || r.alone.open {
			continue
		}
		if fields := r.trim(r.alone.fields()); len(fields) == r.columns && r.IsRow(fields) {
			return true
		}
	}
	return false
}

// trim drops empty fields behind the last column, which spreadsheets write.
func (r *Reader) trim(fields []string) []string {
	for r.columns > 0 && len(fields) > r.columns && strings.TrimSpace(fields[len(fields)-1]) == "" {
		fields = fields[:len(fields)-1]
	}
	return fields
}
