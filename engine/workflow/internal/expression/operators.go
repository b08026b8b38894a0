package expression

import (
	"math"
	"strings"
	"time"
)

// arithmetic implements + - * / % and **. Two integers give an integer, except
// with / and **. A result that does not fit into 64 bits is an error.
func arithmetic(m *Meter, operator string, a, b any) any {
	m.Step(2)
	if x, ok := a.(int); ok {
		if y, ok := b.(int); ok {
			return integers(operator, x, y)
		}
	}
	x, xok := toNumber(a)
	y, yok := toNumber(b)
	if !xok || !yok {
		return temporal(m, operator, a, b)
	}
	if operator == "%" {
		i, iok := x.Int()
		j, jok := y.Int()
		if !iok || !jok {
			fail("%s takes integers of at most 64 bits, not %s and %s", operator, x, y)
		}
		return integers(operator, int(i), int(j))
	}
	if i, ok := smallInt(x, a); ok {
		if j, ok := smallInt(y, b); ok {
			return integers(operator, i, j)
		}
	}
	return floats(operator, x.float, y.float)
}

// smallInt returns the number if its type counts as an integer in arithmetic.
func smallInt(n Number, v any) (int, bool) {
	switch v.(type) {
	case int, time.Weekday, time.Month:
		return int(n.integer), true
	}
	return 0, false
}

func integers(operator string, a, b int) any {
	result, fits := 0, true
	switch operator {
	case "+":
		result = a + b
		fits = (result > a) == (b > 0) || b == 0
	case "-":
		result = a - b
		fits = (result < a) == (b > 0) || b == 0
	case "*":
		result = a * b
		fits = a == 0 || (result/a == b && !(a == -1 && b == math.MinInt))
	case "%":
		if b == 0 {
			fail("cannot divide %d by 0", a)
		}
		if b != -1 { // the remainder of -1 is 0, and the smallest int divided by -1 does not fit
			result = a % b
		}
	default:
		return floats(operator, float64(a), float64(b))
	}
	if !fits {
		fail("%d %s %d does not fit into 64 bits; use float(…) for larger numbers", a, operator, b)
	}
	return result
}

func floats(operator string, a, b float64) any {
	var result float64
	switch operator {
	case "+":
		result = a + b
	case "-":
		result = a - b
	case "*":
		result = a * b
	case "/":
		if b == 0 {
			fail("cannot divide %v by 0", a)
		}
		result = a / b
	default:
		result = math.Pow(a, b)
	}
	if math.IsInf(result, 0) || math.IsNaN(result) {
		fail("the result of %v %s %v is out of range", a, operator, b)
	}
	return result
}

// temporal implements the arithmetic operators on strings, times and durations.
func temporal(m *Meter, operator string, a, b any) any {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok && operator == "+" {
			m.scan(len(x) + len(y))
			m.Alloc(len(x) + len(y))
			return x + y
		}
	case time.Time:
		switch y := b.(type) {
		case time.Duration:
			switch operator {
			case "+":
				return x.Add(y)
			case "-":
				return x.Add(-y)
			}
		case time.Time:
			if operator == "-" {
				return x.Sub(y)
			}
		}
	case time.Duration:
		switch y := b.(type) {
		case time.Time:
			if operator == "+" {
				return y.Add(x)
			}
		case time.Duration:
			if operator == "+" || operator == "-" {
				return durations(operator, x, y)
			}
		}
		if y, ok := toNumber(b); ok && operator == "*" {
			return times(x, y)
		}
	}
	if x, ok := toNumber(a); ok && operator == "*" {
		if y, ok := b.(time.Duration); ok {
			return times(y, x)
		}
	}
	mismatch(operator, a, b)
	return nil
}

func times(d time.Duration, by Number) time.Duration {
	if product := float64(d) * by.float; math.Abs(product) >= math.MaxInt64 {
		fail("%s * %s is too long for a duration", d, by)
	} else if i, ok := by.Int(); !ok {
		return time.Duration(product)
	} else {
		return d * time.Duration(i)
	}
	return 0
}

// durations adds or subtracts two durations.
func durations(operator string, a, b time.Duration) time.Duration {
	if operator == "-" {
		b = -b
	}
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 {
		fail("%s %s %s is too long for a duration", a, operator, b)
	}
	return sum
}

func negate(m *Meter, v any) any {
	m.Step(1)
	switch x := v.(type) {
	case int:
		return integers("-", 0, x)
	case float64:
		return -x
	case time.Duration:
		return time.Duration(integers("-", 0, int(x)).(int))
	}
	n, ok := toNumber(v)
	if !ok {
		fail("cannot evaluate - %s", Describe(v))
	}
	return -n.float
}

// in implements the operator of that name: an array has an element, an object a key.
func in(m *Meter, element, container any) bool {
	m.Step(1)
	switch c := container.(type) {
	case nil:
		return false
	case []any:
		for _, e := range c {
			m.Step(1)
			if equal(m, m.value(e), element) {
				return true
			}
		}
		return false
	}
	key, ok := element.(string)
	if !ok && !isNil(element) {
		mismatch("in", element, container)
	}
	m.scan(len(key))
	switch c := container.(type) {
	case map[string]any:
		_, ok = c[key]
	case allSteps:
		if ok = c.Steps != nil; ok {
			_, ok = c.Steps.Step(key)
		}
	case *Step:
		_, ok = stepFields[key]
	default:
		mismatch("in", element, container)
	}
	return ok && !isNil(element)
}

// search implements contains, startsWith and endsWith.
func search(m *Meter, operator string, a, b any) bool {
	m.Step(1)
	if isNil(a) || isNil(b) {
		return false
	}
	x, xok := a.(string)
	y, yok := b.(string)
	if !xok || !yok {
		mismatch(operator, a, b)
	}
	switch operator {
	case "startsWith":
		m.scan(len(y))
		return strings.HasPrefix(x, y)
	case "endsWith":
		m.scan(len(y))
		return strings.HasSuffix(x, y)
	}
	m.scan(len(x) + len(y))
	return strings.Contains(x, y)
}

// truth returns v, which must be a boolean; what names it in the message.
func truth(what string, v any) bool {
	b, ok := v.(bool)
	if !ok {
		if isNil(v) {
			fail("%s must be a boolean, not nil; where a value may be missing, give it one, as in (metadata.vip ?? false)", what)
		}
		fail("%s must be a boolean, not %s", what, Describe(v))
	}
	return b
}

// makeRange implements the operator .. as in 1..10.
func makeRange(m *Meter, from, to any) any {
	a, aok := index(from)
	b, bok := index(to)
	if !aok || !bok {
		mismatch("..", from, to)
	}
	if b < a {
		return []any{}
	}
	if b-a < 0 || b-a >= MaxSteps {
		m.Step(MaxSteps + 1)
	}
	n := b - a + 1
	m.Step(n)
	m.Alloc(24 * n)
	list := make([]any, n)
	for i := range list {
		list[i] = a + i
	}
	return list
}

// between implements x in a..b without making the array.
func between(m *Meter, v, from, to any) bool {
	m.Step(1)
	a, aok := index(from)
	b, bok := index(to)
	if !aok || !bok {
		mismatch("..", from, to)
	}
	n, ok := toNumber(v)
	i, whole := n.Int()
	return ok && whole && int64(a) <= i && i <= int64(b)
}

// index returns a value as an int, if it is an integer that fits.
func index(v any) (int, bool) {
	if i, ok := v.(int); ok {
		return i, true
	}
	n, ok := toNumber(v)
	i, whole := n.Int()
	return int(i), ok && whole
}
