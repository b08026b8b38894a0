package csvfile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
)

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// readAll reads a file with a column n of numbers, and says of each row what came
// of it: "ROW/LINE: FIELDS" or "ROW/LINE! REASON".
func readAll(t *testing.T, r io.Reader, most int) (columns []string, rows []string, err error) {
	t.Helper()
	reader := NewReader(r, most)
	if columns, err = reader.Header(func(columns []string) bool { return slices.Contains(columns, "n") }); err != nil {
		return nil, nil, err
	}
	n := slices.Index(columns, "n")
	reader.IsRow = func(fields []string) bool { return isNumber(fields[n]) }
	for {
		record, err := reader.Read()
		var parse *ParseError
		switch {
		case errors.Is(err, io.EOF):
			return columns, rows, nil
		case errors.As(err, &parse):
			rows = append(rows, fmt.Sprintf("%d/%d! %s", parse.Row, parse.Line, parse.Reason))
		case err != nil:
			return columns, rows, err
		default:
			rows = append(rows, fmt.Sprintf("%d/%d: %s", record.Row, record.Line, strings.Join(record.Fields, "·")))
		}
	}
}

func TestReaderReadsTheFilesThatPeopleHave(t *testing.T) {
	const open = `a quote (") is opened and not closed`
	for name, tt := range map[string]struct {
		file string
		want []string
	}{
		"LF":                        {"n,a\n1,x\n2,y\n", []string{"2/2: 1·x", "3/3: 2·y"}},
		"CRLF":                      {"n,a\r\n1,x\r\n2,y\r\n", []string{"2/2: 1·x", "3/3: 2·y"}},
		"CR":                        {"n,a\r1,x\r2,y\r", []string{"2/2: 1·x", "3/3: 2·y"}},
		"CR without an end":         {"n,a\r1,x\r2,y", []string{"2/2: 1·x", "3/3: 2·y"}},
		"CR, then CRLF":             {"n,a\r1,x\r\n2,y\n3,z\r", []string{"2/2: 1·x", "3/3: 2·y", "4/4: 3·z"}},
		"a CR in a text":            {"n,a\n1,x\rx\n2,y\n", []string{"2/2: 1·x\rx", "3/3: 2·y"}},
		"no end of line":            {"n,a\n1,x", []string{"2/2: 1·x"}},
		"blank lines":               {"\n\r\nn,a\n\n1,x\n\n\n2,y\n\n", []string{"2/5: 1·x", "3/8: 2·y"}},
		"blank rows":                {"n,a\n,\n1,x\n \t, \n,,\n2,y\n", []string{"3/3: 1·x", "6/6: 2·y"}},
		"semicolons":                {"n;a,b\n1;x,y\n", []string{"2/2: 1·x,y"}},
		"tabs":                      {"n\ta\n1\tx,;|\n", []string{"2/2: 1·x,;|"}},
		"bars":                      {"n|a\n1|\"x|y\"\n", []string{"2/2: 1·x|y"}},
		"more commas in a column":   {"a,b,c;n\nx,y,z;1\n", []string{"2/2: x,y,z·1"}},
		"one column":                {"n\n1\n2\n", []string{"2/2: 1", "3/3: 2"}},
		"sep=":                      {"sep=;\nn;a\n1;x\n", []string{"2/3: 1·x"}},
		"sep= of another kind":      {"SEP=^\r\nn^a\r\n1^x\r\n", []string{"2/3: 1·x"}},
		"sep= within quotes":        {"\"sep=\t\"\nn\ta\n1\tx\n", []string{"2/3: 1·x"}},
		"a column named sep=n":      {"sep=n\n1\n", []string{"2/2: 1"}},
		"a column named sep":        {"sep=x,n\ny,1\n", []string{"2/2: y·1"}},
		"empty fields at the end":   {"n,a\n1,x,,\n2,y, \n", []string{"2/2: 1·x", "3/3: 2·y"}},
		"empty columns at the end":  {"n,a,,\n1,x,,\n", []string{"2/2: 1·x··"}},
		"a text of several lines":   {"n,a\n1,\"x\r\n\r\ny\"\n2,z\n", []string{"2/2: 1·x\n\ny", "3/5: 2·z"}},
		"quotes within quotes":      {"n,a\n1,\"say \"\"x\"\", y\"\n", []string{`2/2: 1·say "x", y`}},
		"a quoted header":           {"\"n\",\"a\nb\"\n1,x\n", []string{"2/3: 1·x"}},
		"too few fields":            {"n,a\n1\n2,y\n", []string{"2/2! the row has one field, and the header 2", "3/3: 2·y"}},
		"too many fields":           {"n,a\n1,x,z\n2,y\n", []string{"2/2! the row has 3 fields, and the header 2", "3/3: 2·y"}},
		"a quote in a field":        {"n,a\n1,5\" pipe\n2,y\n", []string{"2/2! " + errBareQuote.Error(), "3/3: 2·y"}},
		"text behind a quote":       {"n,a\n1,\"x\" y\n2,y\n", []string{"2/2! " + errQuoteGoes.Error(), "3/3: 2·y"}},
		"an open quote":             {"n,a\n1,\"x\n2,y\n3,z\n", []string{"2/2! " + open, "3/3: 2·y", "4/4: 3·z"}},
		"an open quote at the end":  {"n,a\n1,x\n2,\"", []string{"2/2: 1·x", "3/3! " + open}},
		"an open quote, then pairs": {"n,a\n1,\"x\n2,\"y\"\n3,z\n", []string{"2/2! " + open, "3/3: 2·y", "4/4: 3·z"}},
		"an open quote that a later one closes": {"n,a\n1,\"x\n2,y\n3,z\"\n4,w\n",
			[]string{"2/2! " + open, "3/3: 2·y", "4/4! " + errBareQuote.Error(), "5/5: 4·w"}},
		"two open quotes":                {"n,a\n1,\"x\n2,\"y\n3,z\n", []string{"2/2! " + open, "3/3! " + open, "4/4: 3·z"}},
		"an open quote and blank lines":  {"n,a\n1,\"x\n\n2,y\n", []string{"2/2! " + open, "3/4: 2·y"}},
		"an open quote in the first row": {"a,n\n\"x,1\ny,2\n", []string{"2/2! " + open, "3/3: y·2"}},
		"an open quote in one column":    {"n\n\"1\n2\n3\"\n4\n", []string{"2/2! " + open, "3/3: 2", "4/4! " + errBareQuote.Error(), "5/5: 4"}},
	} {
		for encoding, text := range map[string]string{
			"": tt.file, "UTF-8 with a mark": "\ufeff" + tt.file,
			"UTF-16": inUTF16(tt.file, false, true), "UTF-16, big end first": inUTF16(tt.file, true, true),
			"UTF-16 without a mark": inUTF16(tt.file, false, false), "UTF-16, big end first, without a mark": inUTF16(tt.file, true, false),
		} {
			if strings.HasSuffix(encoding, "a mark") && strings.HasPrefix(encoding, "UTF-16") && len(tt.file) < 2 {
				continue
			}
			for reading, r := range map[string]io.Reader{
				"": strings.NewReader(text), ", byte by byte": iotest.OneByteReader(strings.NewReader(text)), ", with the end": iotest.DataErrReader(strings.NewReader(text)),
			} {
				_, got, err := readAll(t, r, 1000)
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%s, %s%s:\n\t%q, %v\nwant\n\t%q", name, encoding, reading, got, err, tt.want)
				}
			}
		}
	}
}

func inUTF16(text string, big, mark bool) string {
	if mark {
		text = "\ufeff" + text
	}
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if big {
			out = append(out, byte(unit>>8), byte(unit))
		} else {
			out = append(out, byte(unit), byte(unit>>8))
		}
	}
	return string(out)
}

// One unclosed quote in a file of 10,000 rows costs its line, wherever it is, and
// whatever quotes come later.
func TestAnOpenQuoteCostsItsLine(t *testing.T) {
	for name, other := range map[string]string{"no other quotes": "x", "quotes in every row": `"x, y"`, "empty quotes": `""`} {
		for _, at := range []int{0, 1, 5000, 9999} {
			var file strings.Builder
			file.WriteString("n,a\n")
			for i := range 10_000 {
				if i == at {
					fmt.Fprintf(&file, "%d,\"x\n", i)
				} else {
					fmt.Fprintf(&file, "%d,%s\n", i, other)
				}
			}
			_, rows, err := readAll(t, strings.NewReader(file.String()), 1<<20)
			good := 0
			for _, row := range rows {
				if strings.Contains(row, ": ") {
					good++
				}
			}
			if err != nil || len(rows) != 10_000 || good != 9_999 || !strings.HasPrefix(rows[at], fmt.Sprintf("%d/%d! ", at+2, at+2)) {
				t.Errorf("%s, row %d open: %d rows, %d of them good, %v", name, at, len(rows), good, err)
			}
		}
	}
}

func TestARowThatIsTooLongIsPassedOver(t *testing.T) {
	long := strings.Repeat("x", 100)
	file := "n,a\n1," + long + "\n2,y\n3,\"" + strings.Repeat("z\n", 60) + "\"\n4,\"w\n" + long + "\n5,v\n"
	_, rows, err := readAll(t, strings.NewReader(file), 99)
	if err != nil || len(rows) < 5 {
		t.Fatalf("%q, %v", rows, err)
	}
	if !strings.HasPrefix(rows[0], "2/2! the row is too long") || rows[1] != "3/3: 2·y" || !strings.HasPrefix(rows[2], "4/4! a quote") || rows[len(rows)-1] != fmt.Sprintf("%d/67: 5·v", len(rows)+1) {
		t.Errorf("%q", rows)
	}
}

func TestAFileThatBreaksOffEndsWithItsError(t *testing.T) {
	broken := errors.New("connection lost")
	for name, text := range map[string]string{
		"in a row": "n,a\n1,x\n2", "between rows": "n,a\n1,x\n", "in a quote": "n,a\n1,x\n2,\"y\nz\n",
	} {
		_, rows, err := readAll(t, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 1000)
		if !errors.Is(err, broken) || !slices.Equal(rows, []string{"2/2: 1·x"}) {
			t.Errorf("%s: %q, %v", name, rows, err)
		}
	}
	if _, _, err := readAll(t, iotest.ErrReader(broken), 1000); !errors.Is(err, broken) {
		t.Errorf("at once: %v", err)
	}
	if _, _, err := readAll(t, strings.NewReader("\r\n\n"), 1000); !errors.Is(err, io.EOF) {
		t.Errorf("an empty file: %v", err)
	}
	var parse *ParseError
	if _, _, err := readAll(t, strings.NewReader("n,\"a\nb"), 1000); !errors.As(err, &parse) {
		t.Errorf("a header that is not closed: %v", err)
	}
}

// pattern is a file that repeats a text, of any size.
type pattern struct {
	text string
	left int
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for p.left > 0 && n+len(p.text) <= len(b) {
		n += copy(b[n:], p.text)
		p.left--
	}
	return n, nil
}

// Whatever the file, reading takes time in proportion to its size and memory in
// proportion to the largest record.
func TestReadingIsBoundedWhateverTheFile(t *testing.T) {
	const size, most = 1 << 20, 64 << 10
	for name, text := range map[string]string{
		"open quotes": "1,\"x\n", "quotes": "\"\n", "quotes and commas": "\",\",\"\n", "three quotes": "\"\"\"\n", "blank lines": "\n",
		"blank lines within a quote": "1,\"\n\n\n\n\n\n\n\n", "one long line": "x", "commas": ",", "a quote on one line": "\"x", "rows": "1,x\n",
		"open, and pairs": "1,\"\n\"\",2\n\"\",3\n\"\",4\n",
	} {
		t.Run(name, func(t *testing.T) {
			var mem runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&mem)
			before, rows := mem.HeapAlloc, 0
			reader := NewReader(io.MultiReader(strings.NewReader("n,a\n"), &pattern{text, size / len(text)}), most)
			if _, err := reader.Header(func([]string) bool { return true }); err != nil {
				t.Fatal(err)
			}
			reader.IsRow = func(fields []string) bool { return isNumber(fields[0]) }
			highest := uint64(0)
			for {
				_, err := reader.Read()
				var parse *ParseError
				if err != nil && !errors.As(err, &parse) {
					if !errors.Is(err, io.EOF) {
						t.Fatal(err)
					}
					break
				}
				if rows++; rows%50_000 == 1 {
					runtime.GC()
					runtime.ReadMemStats(&mem)
					highest = max(highest, mem.HeapAlloc)
				}
			}
			if grown := int64(highest) - int64(before); highest > 0 && grown > 4<<20 {
				t.Errorf("the heap grew by %d KiB", grown>>10)
			}
			t.Logf("%d rows", rows)
		})
	}
}

// What encoding/csv reads without a fault is read alike.
func FuzzReaderAgainstEncodingCSV(f *testing.F) {
	for _, file := range []string{
		"n,a\n1,x\n", "n,a\r\n1,\"x\r\ny\"\r\n", "n\n\n1\n", "\"n\",\"a\"\"b\"\n1,\"\"\n", "n,a\n\"1\",\"x,y\"\n \" ", "n,a\n1,x\ry\n", "\"\n\"\n", "SEP= ", "\nSEP=0", "\nsep=!",
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		theirs := csv.NewReader(strings.NewReader(file))
		want, err := theirs.ReadAll()
		switch {
		case err != nil, len(want) == 0:
			return
		case strings.ContainsAny(want[0][0]+strings.Join(want[0], ""), ";\t|"), len(file) > 1 && (file[0] == 0 || file[1] == 0):
			return // other separators, and what looks like UTF-16
		case strings.HasPrefix(file, "\ufeff"), strings.HasPrefix(file, "\xff\xfe"), strings.HasPrefix(file, "\xfe\xff"):
			return
		case declared([]byte(strings.TrimSuffix(strings.SplitN(strings.TrimLeft(file, "\r\n"), "\n", 2)[0], "\r"))) != 0:
			return
		case strings.Contains(strings.ReplaceAll(file, "\r\n", "\n"), "\r"):
			return // lines that end in CR
		}
		reader := NewReader(strings.NewReader(file), math.MaxInt)
		header, err := reader.Header(func([]string) bool { return true })
		if err != nil || !slices.Equal(header, want[0]) {
			t.Fatalf("header %q, %v; want %q", header, err, want[0])
		}
		for _, fields := range want[1:] {
			if blank(fields) {
				continue
			}
			got, err := reader.Read()
			if err != nil || !slices.Equal(got.Fields, fields) {
				t.Fatalf("%q, %v; want %q", got.Fields, err, fields)
			}
		}
		if got, err := reader.Read(); !errors.Is(err, io.EOF) {
			t.Fatalf("one row more: %q, %v", got.Fields, err)
		}
	})
}

// Of a file with a fault each line is somewhere: in a row, or named.
func FuzzReaderLosesNoLine(f *testing.F) {
	for _, file := range []string{"1,\"x\n2,y\n3,z\n", "1,\"x\n2,\"y\"\n", "1,x\ry\n\"\n4,\"\"\"\n5,\"\n\n6,z\n"} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, rows []byte) {
		file := append([]byte("n,a\n"), rows...)
		reader := NewReader(bytes.NewReader(file), 200)
		if _, err := reader.Header(func(columns []string) bool { return len(columns) == 2 }); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(file), "\n")
		next := 2
		for row := 2; ; row++ {
			record, err := reader.Read()
			var parse *ParseError
			line := record.Line
			switch {
			case errors.Is(err, io.EOF):
				line = len(lines) + 1
			case errors.As(err, &parse):
				line = parse.Line
			case err != nil:
				t.Fatal(err)
			}
			if line < next {
				t.Fatalf("line %d after line %d", line, next-1)
			}
			for ; next < line; next++ {
				if text := strings.Trim(lines[next-1], ", \r\t\v\f\u0085\u00a0\""); next <= len(lines) && isNumber(text) {
					t.Fatalf("line %d, %q, is lost", next, lines[next-1])
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			next = line + 1
			if parse == nil {
				next += strings.Count(strings.Join(record.Fields, ""), "\n")
			}
		}
	})
}
