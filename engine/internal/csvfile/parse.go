package csvfile

import (
	"bytes"
	"errors"
)

// parser takes a record apart, line by line.
type parser struct {
	comma byte
	text  []byte // of all fields, one after the other
	ends  []int  // where each field ends in text
	open  bool   // the record goes on behind the line, within a quote
}

var (
	errOpenQuote  = errors.New(`a quote (") is opened and not closed`)
	errBareQuote  = errors.New(`there is a quote (") inside of a field that does not begin with one`)
	errQuoteGoes  = errors.New(`text follows the quote (") that closes a field`)
	errLongRecord = errors.New("the row is too long")
)

func (p *parser) reset(comma byte) {
	*p = parser{comma: comma, text: p.text[:0], ends: p.ends[:0]}
}

// line takes in the next line of the record, by the rules of encoding/csv.
func (p *parser) line(s []byte) error {
	for {
		switch {
		case p.open: // since a line before
		case len(s) > 0 && s[0] == '"':
			p.open, s = true, s[1:]
		default:
			field, rest, more := bytes.Cut(s, []byte{p.comma})
			if bytes.IndexByte(field, '"') >= 0 {
				return errBareQuote
			}
			p.text = append(p.text, field...)
			p.ends = append(p.ends, len(p.text))
			if !more {
				return nil
			}
			s = rest
			continue
		}
		for p.open {
			field, rest, quote := bytes.Cut(s, []byte{'"'})
			p.text = append(p.text, field...)
			switch {
			case !quote:
				p.text = append(p.text, '\n')
				return nil
			case len(rest) > 0 && rest[0] == '"':
				p.text = append(p.text, '"')
				s = rest[1:]
			default:
				p.open, s = false, rest
			}
		}
		p.ends = append(p.ends, len(p.text))
		if len(s) == 0 {
			return nil
		}
		if s[0] != p.comma {
			return errQuoteGoes
		}
		s = s[1:]
	}
}

// fields returns the fields of the record.
func (p *parser) fields() []string {
	text := string(p.text)
	out := make([]string, len(p.ends))
	begin := 0
	for i, end := range p.ends {
		out[i], begin = text[begin:end], end
	}
	return out
}
