package csvfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decoded returns the text in UTF-8 without a byte order mark. What is not UTF-16
// is left as it is.
func decoded(r io.Reader) *bufio.Reader {
	text := bufio.NewReaderSize(r, 32<<10)
	begin, _ := text.Peek(4) // an error comes again when the first line is read
	utf16 := func(order unicode.Endianness, mark int) *bufio.Reader {
		_, _ = text.Discard(mark) // peeked just now
		return bufio.NewReaderSize(transform.NewReader(text, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder()), 32<<10)
	}
	switch {
	case bytes.HasPrefix(begin, []byte("\xef\xbb\xbf")):
		_, _ = text.Discard(3) // peeked just now
	case bytes.HasPrefix(begin, []byte("\xff\xfe")):
		return utf16(unicode.LittleEndian, 2)
	case bytes.HasPrefix(begin, []byte("\xfe\xff")):
		return utf16(unicode.BigEndian, 2)
	// Without a mark the first letters tell, which are ASCII.
	case len(begin) == 4 && begin[0] != 0 && begin[1] == 0 && begin[2] != 0 && begin[3] == 0:
		return utf16(unicode.LittleEndian, 0)
	case len(begin) == 4 && begin[0] == 0 && begin[1] != 0 && begin[2] == 0 && begin[3] != 0:
		return utf16(unicode.BigEndian, 0)
	}
	return text
}

// line is a line of the file, without what ends it.
type line struct {
	text   []byte
	number int // from 1
	// long: it has more bytes than a record may have, and none of them is here.
	long bool
}

// lines reads a file line by line.
type lines struct {
	r      *bufio.Reader
	most   int // bytes of a line
	number int
	ends   string // the characters that end a line; "" before the first line
	failed error
}

// next returns the next line. Its error is that of the file, and io.EOF after the
// last line. A line that an error cut off is not returned.
func (l *lines) next() (line, error) {
	if l.failed != nil {
		return line{}, l.failed
	}
	var text []byte
	size := 0
	finish := func() (line, error) {
		l.number++
		if size > l.most {
			return line{nil, l.number, true}, nil
		}
		return line{bytes.TrimSuffix(text, []byte("\r")), l.number, false}, nil
	}
	for {
		if _, err := l.r.Peek(1); err != nil {
			l.failed = err
			if size > 0 && errors.Is(err, io.EOF) {
				return finish()
			}
			return line{}, err
		}
		part, _ := l.r.Peek(l.r.Buffered())
		end := bytes.IndexAny(part, l.ending())
		if end >= 0 {
			part = part[:end]
		}
		if size += len(part); size <= l.most {
			text = append(text, part...)
		}
		_, _ = l.r.Discard(len(part)) // peeked just now
		if end >= 0 {
			l.endLine()
			return finish()
		}
	}
}

func (l *lines) ending() string {
	if l.ends == "" {
		return "\r\n"
	}
	return l.ends
}

// endLine passes over the end of a line. The first one shows by which characters
// this file's lines end: where they do not end in CR alone, a CR is a part of the
// text, as in encoding/csv.
func (l *lines) endLine() {
	end, _ := l.r.Peek(2)
	if l.ends == "" {
		if l.ends = "\n"; end[0] == '\r' && (len(end) == 1 || end[1] != '\n') {
			l.ends = "\r\n"
		}
		if l.ends == "\n" && end[0] == '\r' {
			_, _ = l.r.Discard(1) // the CR of a CRLF
			end = end[1:]
		}
	}
	if string(end) == "\r\n" {
		_, _ = l.r.Discard(2)
	} else {
		_, _ = l.r.Discard(1)
	}
}
