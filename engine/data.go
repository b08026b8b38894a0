package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf16"
)

// This file checks the data of handlers and callbacks, which the store keeps as
// JSON.

// encodeData returns data as a JSON object in UTF-8, nil for none.
func encodeData(data any) ([]byte, error) {
	if data == nil {
		return nil, nil
	}
	text, err := encode(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("data cannot be written as JSON: %w", err)
	case string(text) == "{}" || string(text) == "null":
		return nil, nil
	case text[0] != '{':
		return nil, fmt.Errorf("data must be a JSON object; a value of type %T is %s", data, kindOf(text))
	}
	if err := checkJSON(text); err != nil {
		return nil, fmt.Errorf("data %w", err)
	}
	return text, nil
}

// encode returns v as JSON that others can read, whatever a json.RawMessage in v has.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return readable(text), err
}

// readable returns a copy of valid JSON that others can read: in UTF-8, and without an
// escape of half a surrogate pair, for which strict readers refuse the whole document.
func readable(text []byte) []byte {
	text = bytes.ToValidUTF8(text, []byte("\ufffd")) // a copy
	replaceLoneSurrogates(text)
	return text
}

// replaceLoneSurrogates writes \ufffd in place of each escaped surrogate of valid JSON
// that is not part of a pair, as encoding/json does when it decodes.
func replaceLoneSurrogates(text []byte) {
	const size = len(`\ud800`)
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		r := escaped(text[i:])
		switch {
		case !utf16.IsSurrogate(r):
			i++ // what is escaped may be a backslash
		case utf16.DecodeRune(r, escaped(text[i+size:])) != unicode.ReplacementChar:
			i += 2*size - 1
		default:
			i += copy(text[i:], `\ufffd`) - 1
		}
	}
}

// escaped returns the UTF-16 code of the \u escape at the beginning of text, or -1.
func escaped(text []byte) rune {
	if len(text) < len(`\ud800`) || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	code, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(code)
}

// kindOf names the type of a JSON value that is not an object.
func kindOf(text []byte) string {
	switch c := text[0]; c {
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	default:
		return "a number"
	}
}

// maxDepth is how deep arrays and objects may be nested in JSON that is kept.
// encoding/json reads 10,000 levels, and the store keeps this JSON inside of other
// JSON.
const maxDepth = 1000

// checkJSON reports why valid JSON cannot be kept: everything that reads it must still
// be able to, years later.
func checkJSON(text []byte) error {
	if len(text) > MaxData {
		return fmt.Errorf("has %d bytes as JSON, more than %d", len(text), MaxData)
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("is nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		case c == '-' || '0' <= c && c <= '9':
			n := numberLen(text[i:])
			if err := checkNumber(text[i : i+n]); err != nil {
				return err
			}
			i += n - 1
		}
	}
	return nil
}

// numberLen returns the length in bytes of the number at the beginning of text.
func numberLen(text []byte) int {
	for i, c := range text {
		if c != '+' && c != '-' && c != '.' && c != 'e' && c != 'E' && (c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}

// checkNumber refuses a number that does not fit into a float64, because conditions
// read numbers as float64.
func checkNumber(text []byte) error {
	if len(text) < 300 && !bytes.ContainsAny(text, "eE") {
		return nil // less than the largest float64, which is near 1.8e308
	}
	if _, err := strconv.ParseFloat(string(text), 64); err != nil {
		return fmt.Errorf("has the number %s, which is out of range; the largest is about 1.8e308", clip(string(text), 40))
	}
	return nil
}
