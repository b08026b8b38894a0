package expression

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

var stringType = reflect.TypeFor[string]()

// function is a function that an expression may call. The number of arguments has
// been checked, and their types as far as they are known before the evaluation.
type function struct {
	// cheap reports whether it takes a microsecond at most for any arguments.
	cheap bool
	// call gets the function's name for messages, such as "len()".
	call func(m *Meter, name string, args []any) any
}

// functions are the functions that are available besides loopFunctions. Those of
// the expression language that build large values are left out: a condition gives a
// boolean and a wait gives a time, and neither needs them.
var functions = map[string]function{
	"len":         {false, length},
	"type":        {true, typeOf},
	"abs":         {true, absolute},
	"ceil":        {true, rounded(math.Ceil)},
	"floor":       {true, rounded(math.Floor)},
	"round":       {true, rounded(math.Round)},
	"int":         {true, toInt},
	"float":       {true, toFloat},
	"string":      {false, toString},
	"max":         {false, extreme(">")},
	"min":         {false, extreme("<")},
	"mean":        {false, mean},
	"median":      {false, median},
	"trim":        {false, trim},
	"trimPrefix":  {false, affix(strings.TrimPrefix)},
	"trimSuffix":  {false, affix(strings.TrimSuffix)},
	"upper":       {false, cased(strings.ToUpper)},
	"lower":       {false, cased(strings.ToLower)},
	"split":       {false, split},
	"indexOf":     {false, find(strings.Index)},
	"lastIndexOf": {false, find(strings.LastIndex)},
	"hasPrefix":   {false, func(m *Meter, _ string, args []any) any { return search(m, "startsWith", args[0], args[1]) }},
	"hasSuffix":   {false, func(m *Meter, _ string, args []any) any { return search(m, "endsWith", args[0], args[1]) }},
	"fromJSON":    {false, fromJSON},
	"fromBase64":  {false, fromBase64},
	"duration":    {true, parseDuration},
	"date":        {false, parseDate},
	"timezone":    {false, timeZone},
	"first":       {true, func(m *Meter, _ string, args []any) any { return elementAt(m, args[0], 0) }},
	"last":        {true, func(m *Meter, _ string, args []any) any { return elementAt(m, args[0], -1) }},
	"get":         {true, get},
	"take":        {true, take},
	"keys":        {false, keys},
	"values":      {false, values},
}

var functionNames = slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(loopFunctions), maps.Keys(functions))))

func (b *builder) function(n *ast.BuiltinNode) evaluator {
	if slices.Contains(loopFunctions, n.Name) {
		return b.loop(n)
	}
	called, ok := functions[n.Name]
	if !ok {
		return b.fault(n, "function %s is not available here; the functions are %s", n.Name, strings.Join(functionNames, ", "))
	}
	if n.Name == "timezone" || n.Name == "date" {
		b.checkZone(n)
	}
	args, at, name := b.buildAll(n.Arguments), n.Location(), n.Name+"()"
	return func(f *frame) any {
		f.Step(2 + len(args))
		f.Alloc(16 * len(args))
		given := make([]any, len(args))
		for i, arg := range args {
			given[i] = arg(f)
		}
		f.at = at
		return called.call(&f.Meter, name, given)
	}
}

// stringArgument returns an argument that must be a string.
func stringArgument(name string, v any) string {
	s, ok := v.(string)
	if !ok {
		fail("%s takes a string, not %s", name, Describe(v))
	}
	return s
}

// listArgument returns an argument that must be an array.
func listArgument(name string, v any) []any {
	list, ok := v.([]any)
	if !ok {
		fail("%s takes an array, not %s", name, Describe(v))
	}
	return list
}

func length(m *Meter, name string, args []any) any {
	switch v := args[0].(type) {
	case string:
		m.scan(len(v))
		return utf8.RuneCountInString(v)
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	case allSteps:
		return v.count()
	}
	fail("%s takes a string, an array or an object, not %s", name, Describe(args[0]))
	return nil
}

func typeOf(_ *Meter, _ string, args []any) any {
	switch v := args[0].(type) {
	case nil:
		return "nil"
	case bool, string, int:
		return fmt.Sprintf("%T", v)
	case Number:
		return "int"
	case float64:
		return "float"
	case []any:
		return "array"
	case map[string]any, *Step, allSteps:
		return "map"
	case *time.Location:
		return "time.Location"
	default:
		return fmt.Sprintf("%T", v) // time.Time, time.Duration, time.Weekday, time.Month
	}
}

// numberArgument returns an argument that must be a number.
func numberArgument(name string, v any) Number {
	n, ok := toNumber(v)
	if !ok {
		fail("%s takes a number, not %s", name, Describe(v))
	}
	return n
}

func absolute(m *Meter, name string, args []any) any {
	if n := numberArgument(name, args[0]); n.float < 0 {
		return negate(m, args[0])
	}
	return args[0]
}

func rounded(round func(float64) float64) func(*Meter, string, []any) any {
	return func(_ *Meter, name string, args []any) any { return round(numberArgument(name, args[0]).float) }
}

// asNumber reads a number, or the string of one.
func asNumber(m *Meter, name string, v any) Number {
	m.Step(10)
	switch v := v.(type) {
	case string:
		m.rewrite(min(len(v), maxNumber))
		n, reading := ParseNumber(v)
		if reading != IsNumber {
			fail("%s cannot convert %s to a number", name, Quote(v))
		}
		return n
	case time.Duration:
		return Integer(int64(v))
	}
	if isNil(v) {
		fail("%s takes a number or a string, not nil; where a value may be missing, give it one, as in int(metadata.age ?? 0)", name)
	}
	n, ok := toNumber(v)
	if !ok {
		fail("%s takes a number or a string, not %s", name, Describe(v))
	}
	return n
}

func toInt(m *Meter, name string, args []any) any {
	n := asNumber(m, name, args[0])
	if i, ok := n.Int(); ok {
		return int(i)
	}
	if text, ok := args[0].(string); ok && !n.whole {
		fail("%s cannot convert %s to an integer; int(float(…)) drops the fraction", name, Quote(text))
	}
	if n.whole || math.Abs(n.float) >= math.MaxInt64 {
		fail("%s: %s does not fit into 64 bits", name, n)
	}
	return int(n.float)
}

func toFloat(m *Meter, name string, args []any) any { return asNumber(m, name, args[0]).float }

func toString(m *Meter, name string, args []any) any {
	m.Alloc(64)
	switch v := args[0].(type) {
	case string:
		return v
	case time.Time:
		m.Step(8)
		return v.Format(time.RFC3339)
	case nil:
		return ""
	case bool:
		return fmt.Sprint(v)
	case float64:
		m.Step(10)
		return fmt.Sprint(v)
	case time.Duration, time.Month, time.Weekday:
		m.Step(10)
		return fmt.Sprint(v)
	}
	n, ok := toNumber(args[0])
	if !ok {
		fail("%s takes a string, a number, a boolean or a time, not %s", name, Describe(args[0]))
	}
	m.Step(10)
	m.Alloc(len(n.digits))
	return n.String()
}

// numbers returns the arguments that are numbers, and the numbers in those that are
// arrays, nested ones included.
func numbers(m *Meter, name string, args, found []any) []any {
	for _, arg := range args {
		m.Step(3)
		v := m.value(arg)
		if list, ok := v.([]any); ok {
			found = numbers(m, name, list, found)
			continue
		}
		if _, ok := toNumber(v); !ok {
			fail("%s takes numbers and arrays of numbers, not %s", name, Describe(v))
		}
		m.Alloc(64) // includes what append copies
		found = append(found, v)
	}
	return found
}

func extreme(operator string) func(*Meter, string, []any) any {
	return func(m *Meter, name string, args []any) (best any) {
		for _, v := range numbers(m, name, args, nil) {
			if c := 0; best != nil {
				if c = order(m, operator, v, best); c == 0 || (c > 0) != (operator == ">") {
					continue
				}
			}
			best = v
		}
		return best
	}
}

func mean(m *Meter, name string, args []any) any {
	found := numbers(m, name, args, nil)
	if len(found) == 0 {
		return 0.0
	}
	var sum float64
	for _, v := range found {
		sum += numberArgument(name, v).float
	}
	return sum / float64(len(found))
}

func median(m *Meter, name string, args []any) any {
	found := numbers(m, name, args, nil)
	n := len(found)
	if n == 0 {
		return 0.0
	}
	m.sort(n)
	m.Alloc(8 * n)
	floats := make([]float64, n)
	for i, v := range found {
		floats[i] = numberArgument(name, v).float
	}
	slices.Sort(floats)
	return (floats[(n-1)/2] + floats[n/2]) / 2
}

// elementAt returns the element of an array at 0 or -1; nil if it is empty.
func elementAt(m *Meter, list any, at int) any {
	elements, ok := list.([]any)
	if !ok || len(elements) == 0 {
		return nil
	}
	return m.value(elements[position(at, len(elements))])
}

func get(m *Meter, name string, args []any) any {
	from, key := args[0], args[1]
	switch v := from.(type) {
	case nil:
		return nil
	case []any:
		if i, ok := index(key); ok && (i >= len(v) || i < -len(v)) {
			return nil
		}
	case map[string]any, *Step, allSteps:
		if _, ok := key.(string); !ok {
			return nil
		}
		if _, ok := v.(*Step); ok && stepFields[key.(string)] == nil {
			return nil
		}
	default:
		fail("%s takes an array or an object, not %s", name, Describe(from))
	}
	return fetch(m, from, key)
}

func take(_ *Meter, name string, args []any) any {
	list := listArgument(name, args[0])
	n, ok := index(args[1])
	if !ok || n < 0 {
		fail("%s takes a number of elements of at least 0, not %s", name, describeCount(args[1]))
	}
	n = min(n, len(list))
	return list[:n:n]
}

func describeCount(v any) string {
	if n, ok := toNumber(v); ok {
		return n.String()
	}
	return Describe(v)
}

func keys(m *Meter, name string, args []any) any {
	var names []string
	switch v := args[0].(type) {
	case map[string]any:
		names = sorted(m, len(v), maps.Keys(v))
	case allSteps:
		names = sorted(m, v.count(), v.ids())
	default:
		fail("%s takes an object, not %s", name, Describe(args[0]))
	}
	m.Step(len(names))
	m.Alloc(32 * len(names))
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return list
}

// values returns the values of an object in the order of their keys.
func values(m *Meter, name string, args []any) any {
	var list []any
	switch v := args[0].(type) {
	case map[string]any:
		m.Alloc(16 * len(v))
		for _, key := range sorted(m, len(v), maps.Keys(v)) {
			m.scan(len(key) + 16)
			list = append(list, v[key])
		}
	case allSteps:
		m.Alloc(224 * v.count())
		for _, id := range sorted(m, v.count(), v.ids()) {
			m.scan(len(id) + 48)
			step := v.step(id)
			list = append(list, &step)
		}
	default:
		fail("%s takes an object, not %s", name, Describe(args[0]))
	}
	if list == nil {
		list = []any{}
	}
	return list
}
