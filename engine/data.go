package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
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

// encode returns v as JSON in UTF-8, even if a json.RawMessage in v is not UTF-8.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return bytes.ToValidUTF8(text, []byte("\ufffd")), err
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
