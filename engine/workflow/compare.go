package workflow

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

// The comparisons of conditions. Metadata comes from JSON, from CSV, where
// everything is a string, or from Go, so that a value's type depends on the way
// by which it arrived; these functions look past it. Each charges a meter for its
// work.

// decodeValue reads JSON, numbers with all their digits.
func decodeValue(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return value, nil
}

// plainValue returns the value as one of nil, bool, string, a number that
// expression.ReadNumber knows, []any and map[string]any. Values of other types
// become what JSON makes of them; those that JSON cannot write become nil.
func plainValue(m *expression.Meter, v any) any {
	switch x := v.(type) {
	case nil, bool, string, json.Number, int, int32, int64, uint, uint32, uint64, float32, float64, []any:
		return v
	case map[string]any:
		if x == nil {
			return nil
		}
		return v
	case time.Time:
		return x.Format(time.RFC3339Nano)
	}
	return m.Plain(v)
}

// numberOf reads v as a number if it is one or is the string of one.
func numberOf(m *expression.Meter, v any) (expression.Number, expression.Reading) {
	if text, ok := v.(string); ok {
		m.Step(4 + min(len(text), 400)/4)
		return expression.ParseNumber(text)
	}
	m.Step(4)
	return expression.ReadNumber(v)
}

// longestTime is how long a string may be that is read as a time, true or false.
const longestTime = 64

// equal compares numbers by value, also with the string of a number, and true and
// false also with their string; two strings byte by byte; arrays and objects
// element by element.
func equal(m *expression.Meter, a, b any) bool {
	m.Step(1)
	a, b = plainValue(m, a), plainValue(m, b)
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		if y, ok := b.(string); ok {
			m.Step(min(len(x), len(y)) / 16)
			return x == y // "007" and "7" are different codes
		}
		if _, ok := b.(bool); ok {
			return equal(m, b, a)
		}
	case bool:
		switch y := b.(type) {
		case bool:
			return x == y
		case string:
			return len(y) <= longestTime && strings.EqualFold(strings.TrimSpace(y), strconv.FormatBool(x))
		}
		return false
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(m, x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		// Every entry is compared, also after a difference: the iteration order of a
		// map changes from run to run, and the cost must not.
		same := true
		for key, value := range x {
			m.Step(4 + len(key)/16)
			other, ok := y[key]
			same = ok && equal(m, value, other) && same
		}
		return same
	}
	x, xread := numberOf(m, a)
	y, yread := numberOf(m, b)
	return xread == expression.IsNumber && yread == expression.IsNumber && x.Compare(y) == 0
}

// contains looks for a part of a string, an element of an array, or a key of an object.
func contains(m *expression.Meter, container, part any) bool {
	part = plainValue(m, part)
	switch c := plainValue(m, container).(type) {
	case string:
		text, ok := scalarText(part)
		m.Step(1 + (len(c)+len(text))/16)
		return ok && strings.Contains(c, text)
	case []any:
		for _, element := range c {
			if equal(m, element, part) {
				return true
			}
		}
	case map[string]any:
		key, ok := scalarText(part)
		m.Step(4 + len(key)/16)
		_, found := c[key]
		return ok && found
	}
	return false
}

// compare orders two values: as numbers if both are, or are the string of, one;
// as times if both are RFC 3339 strings; else as strings, byte by byte. It
// reports false for what has no order: true, false, arrays, objects, nil, and a
// number that is out of range.
func compare(m *expression.Meter, a, b any) (int, bool) {
	a, b = plainValue(m, a), plainValue(m, b)
	x, xread := numberOf(m, a)
	y, yread := numberOf(m, b)
	switch {
	case xread == expression.OutOfRange || yread == expression.OutOfRange:
		return 0, false
	case xread == expression.IsNumber && yread == expression.IsNumber:
		return x.Compare(y), true
	}
	s, sok := scalarText(a)
	t, tok := scalarText(b)
	_, abool := a.(bool)
	_, bbool := b.(bool)
	if !sok || !tok || abool || bbool {
		return 0, false
	}
	m.Step(20 + min(len(s), len(t))/16)
	if len(s) <= longestTime && len(t) <= longestTime {
		from, err1 := time.Parse(time.RFC3339, strings.TrimSpace(s))
		to, err2 := time.Parse(time.RFC3339, strings.TrimSpace(t))
		if err1 == nil && err2 == nil {
			return from.Compare(to), true
		}
	}
	return strings.Compare(s, t), true
}

// scalarText returns a string, a number, true or false as a string.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return string(v), true
	}
	n, reading := expression.ReadNumber(v)
	return n.String(), reading == expression.IsNumber
}
