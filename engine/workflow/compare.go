package workflow

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// The comparisons of conditions. Metadata comes from JSON, from CSV, where all
// is text, or from Go, so that a value's type depends on the way by which it
// came; these look past it.

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

// plainValue returns the value as one of nil, bool, string, json.Number, the
// number types that number knows, []any and map[string]any. Values of other
// types become what JSON makes of them; those that JSON cannot write become nil.
func plainValue(v any) any {
	switch v := v.(type) {
	case nil, bool, string, json.Number, int, int32, int64, uint, uint32, uint64, float32, float64, []any:
		return v
	case map[string]any:
		if v == nil {
			return nil
		}
		return v
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	plain, err := decodeValue(data)
	if err != nil {
		return nil
	}
	return plain
}

// numeric is a number; whole ones keep all their digits.
type numeric struct {
	whole   bool
	integer int64
	float   float64
}

// number returns v as a number if it is one.
func number(v any) (numeric, bool) {
	switch v := v.(type) {
	case int:
		return numeric{true, int64(v), float64(v)}, true
	case int32:
		return numeric{true, int64(v), float64(v)}, true
	case int64:
		return numeric{true, v, float64(v)}, true
	case uint:
		return unsigned(uint64(v)), true
	case uint32:
		return unsigned(uint64(v)), true
	case uint64:
		return unsigned(v), true
	case float32:
		return fraction(float64(v)), true
	case float64:
		return fraction(v), true
	case json.Number:
		return numberFromText(string(v))
	}
	return numeric{}, false
}

func unsigned(v uint64) numeric {
	if v > math.MaxInt64 {
		return numeric{float: float64(v)}
	}
	return numeric{true, int64(v), float64(v)}
}

func fraction(v float64) numeric {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return numeric{true, int64(v), v}
	}
	return numeric{float: v}
}

// numberFromText reads a decimal number, as CSV has it.
func numberFromText(text string) (numeric, bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.Trim(text, "+-.0123456789eE") != "" { // ParseFloat also takes hex, "inf" and "nan"
		return numeric{}, false
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return numeric{true, i, float64(i)}, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return numeric{}, false
	}
	return fraction(f), true
}

// numberOf returns v as a number if it is one or is the text of one.
func numberOf(v any) (numeric, bool) {
	if text, ok := v.(string); ok {
		return numberFromText(text)
	}
	return number(v)
}

func (a numeric) compare(b numeric) int {
	if a.whole && b.whole {
		return cmp.Compare(a.integer, b.integer)
	}
	return cmp.Compare(a.float, b.float)
}

// equal compares numbers by value, also with the text of a number, and true and
// false also with their text; two texts byte by byte; lists and objects element
// by element.
func equal(a, b any) bool {
	a, b = plainValue(a), plainValue(b)
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		if y, ok := b.(string); ok {
			return x == y // 007 and 7 are two codes
		}
		if _, ok := b.(bool); ok {
			return equal(b, a)
		}
	case bool:
		switch y := b.(type) {
		case bool:
			return x == y
		case string:
			return strings.EqualFold(strings.TrimSpace(y), strconv.FormatBool(x))
		}
		return false
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for key, value := range x {
			if other, ok := y[key]; !ok || !equal(value, other) {
				return false
			}
		}
		return true
	}
	x, xok := numberOf(a)
	y, yok := numberOf(b)
	return xok && yok && x.compare(y) == 0
}

// contains looks for a part of a text, an element of a list, or a key of an object.
func contains(container, part any) bool {
	part = plainValue(part)
	switch c := plainValue(container).(type) {
	case string:
		text, ok := scalarText(part)
		return ok && strings.Contains(c, text)
	case []any:
		for _, element := range c {
			if equal(element, part) {
				return true
			}
		}
	case map[string]any:
		key, ok := scalarText(part)
		_, found := c[key]
		return ok && found
	}
	return false
}

// compare orders two values: as numbers if both are, or are the text of, one; as
// times if both are RFC 3339 texts; else as texts, byte by byte. It reports
// false for what has no order: true, false, lists, objects, nil.
func compare(a, b any) (int, bool) {
	a, b = plainValue(a), plainValue(b)
	x, xok := numberOf(a)
	y, yok := numberOf(b)
	if xok && yok {
		return x.compare(y), true
	}
	s, sok := scalarText(a)
	t, tok := scalarText(b)
	_, abool := a.(bool)
	_, bbool := b.(bool)
	if !sok || !tok || abool || bbool {
		return 0, false
	}
	from, err1 := time.Parse(time.RFC3339, strings.TrimSpace(s))
	to, err2 := time.Parse(time.RFC3339, strings.TrimSpace(t))
	if err1 == nil && err2 == nil {
		return from.Compare(to), true
	}
	return strings.Compare(s, t), true
}

// scalarText returns a text, a number, true or false as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return string(v), true
	}
	n, ok := number(v)
	if !ok {
		return "", false
	}
	if n.whole {
		return strconv.FormatInt(n.integer, 10), true
	}
	return strconv.FormatFloat(n.float, 'f', -1, 64), true
}
