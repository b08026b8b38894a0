package postgres

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// PostgreSQL takes no NUL in a text and no bytes that are not UTF-8, and a store gives
// back what it was given. So these bytes, and the mark itself, are written as the mark
// and two hexadecimal digits. Hardly any text has one of them.
const mark = '\x01'

// encodeText returns the text as PostgreSQL takes it; nil for the empty one.
func encodeText(s string) *string {
	if s == "" {
		return nil
	}
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\x01") {
		return &s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == 0 || r == mark {
			b.WriteByte(mark)
			b.WriteString(hex.EncodeToString([]byte{s[i]}))
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	text := b.String()
	return &text
}

// decodeText reads what encodeText wrote.
func decodeText(s *string) string {
	if s == nil {
		return ""
	}
	if strings.IndexByte(*s, mark) < 0 {
		return *s
	}
	var b strings.Builder
	for i := 0; i < len(*s); i++ {
		c := (*s)[i]
		if c == mark && i+2 < len(*s) {
			if raw, err := hex.DecodeString((*s)[i+1 : i+3]); err == nil {
				b.WriteByte(raw[0])
				i += 2
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
