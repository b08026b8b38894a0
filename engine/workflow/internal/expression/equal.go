package expression

import (
	"cmp"
	"strings"
	"time"
)

// equal implements ==: numbers by value, times by instant, arrays and objects
// element by element. Values of different types are not equal.
func equal(m *Meter, a, b any) bool {
	m.Step(1)
	switch a := a.(type) {
	case nil:
		return isNil(b)
	case string:
		b, ok := b.(string)
		if !ok || len(a) != len(b) {
			return false
		}
		m.scan(len(a))
		return a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case int:
		if b, ok := b.(int); ok {
			return a == b
		}
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	case time.Duration:
		b, ok := b.(time.Duration)
		return ok && a == b
	case *time.Location:
		b, ok := b.(*time.Location)
		return ok && a.String() == b.String()
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return isNil(a) && isNil(b)
		}
		for i := range a {
			if !equal(m, m.value(a[i]), m.value(b[i])) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return isNil(a) && isNil(b)
		}
		// Every entry is compared, also after a difference: the iteration order of a
		// map changes from run to run, and the cost must not.
		same := true
		for key, value := range a {
			m.scan(len(key) + 48)
			other, ok := b[key]
			same = ok && equal(m, m.value(value), m.value(other)) && same
		}
		return same
	case *Step:
		b, ok := b.(*Step)
		return ok && equalSteps(m, a, b)
	case allSteps:
		_, ok := b.(allSteps)
		return ok // there is only one
	}
	x, xok := toNumber(a)
	y, yok := toNumber(b)
	return xok && yok && x.Compare(y) == 0
}

func equalSteps(m *Meter, a, b *Step) bool {
	m.scan(len(a.Error) + 200)
	return a.Outcome == b.Outcome && a.Status == b.Status && a.Attempts == b.Attempts && a.CallID == b.CallID &&
		a.Error == b.Error && a.EnteredAt.Equal(b.EnteredAt) && a.ExitedAt.Equal(b.ExitedAt) && equal(m, a.Data, b.Data)
}

// toNumber returns v as a number, if it is one. Weekdays count from Sunday, 0, and
// months from January, 1.
func toNumber(v any) (Number, bool) {
	switch v := v.(type) {
	case time.Weekday:
		return Integer(int64(v)), true
	case time.Month:
		return Integer(int64(v)), true
	case time.Duration:
		return Number{}, false
	}
	n, reading := ReadNumber(v)
	return n, reading == IsNumber
}

// order implements <, <=, > and >=.
func order(m *Meter, operator string, a, b any) int {
	m.Step(1)
	switch a := a.(type) {
	case int:
		if b, ok := b.(int); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			m.scan(min(len(a), len(b)))
			return strings.Compare(a, b)
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	case time.Duration:
		if b, ok := b.(time.Duration); ok {
			return cmp.Compare(a, b)
		}
	}
	x, xok := toNumber(a)
	y, yok := toNumber(b)
	if !xok || !yok {
		mismatch(operator, a, b)
	}
	return x.Compare(y)
}

// mismatch ends the evaluation: an operator cannot be applied to these values.
func mismatch(operator string, a, b any) {
	message := "cannot evaluate %s %s %s"
	switch {
	case isNil(a) || isNil(b):
		message += "; where a value may be missing, give it one, as in (metadata.score ?? 0)"
	case isString(a) && isNumeric(b) || isNumeric(a) && isString(b):
		message += "; int(…) and float(…) convert a string to a number"
	}
	fail(message, Describe(a), operator, Describe(b))
}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}

func isNumeric(v any) bool {
	_, ok := toNumber(v)
	return ok
}
