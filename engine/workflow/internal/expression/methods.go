package expression

import (
	"reflect"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"
)

// method is a method that an expression may call, at a cost of so many steps.
type method struct {
	arguments []reflect.Type
	steps     int
	call      func(m *Meter, on any, args []any) any
}

func timeMethod(get func(t time.Time) any) method {
	return method{nil, 4, func(_ *Meter, on any, _ []any) any { return get(on.(time.Time)) }}
}

func durationMethod(get func(d time.Duration) any) method {
	return method{nil, 1, func(_ *Meter, on any, _ []any) any { return get(on.(time.Duration)) }}
}

// compareTimes returns a method of a time that takes another time.
func compareTimes(get func(a, b time.Time) any) method {
	return method{[]reflect.Type{timeType}, 2, func(_ *Meter, on any, args []any) any {
		return get(on.(time.Time), args[0].(time.Time))
	}}
}

// shiftTime returns a method of a time that takes a duration.
func shiftTime(shift func(t time.Time, d time.Duration) time.Time) method {
	return method{[]reflect.Type{durationType}, 4, func(_ *Meter, on any, args []any) any {
		return shift(on.(time.Time), args[0].(time.Duration))
	}}
}

// shortString returns a method that gives a short string.
func shortString(get func(on any) string) method {
	return method{nil, 8, func(m *Meter, on any, _ []any) any {
		m.Alloc(64)
		return get(on)
	}}
}

var intType = reflect.TypeFor[int]()

// methods are the methods that are available, by type and name. The others of these
// types depend on the machine's time zone, or return something that expressions
// cannot use.
var methods = map[reflect.Type]map[string]method{
	timeType: {
		"Year":       timeMethod(func(t time.Time) any { return t.Year() }),
		"Month":      timeMethod(func(t time.Time) any { return t.Month() }),
		"Day":        timeMethod(func(t time.Time) any { return t.Day() }),
		"Hour":       timeMethod(func(t time.Time) any { return t.Hour() }),
		"Minute":     timeMethod(func(t time.Time) any { return t.Minute() }),
		"Second":     timeMethod(func(t time.Time) any { return t.Second() }),
		"Nanosecond": timeMethod(func(t time.Time) any { return t.Nanosecond() }),
		"Weekday":    timeMethod(func(t time.Time) any { return t.Weekday() }),
		"YearDay":    timeMethod(func(t time.Time) any { return t.YearDay() }),
		"Unix":       timeMethod(func(t time.Time) any { return int(t.Unix()) }),
		"UnixMilli":  timeMethod(func(t time.Time) any { return int(t.UnixMilli()) }),
		"UnixNano":   timeMethod(func(t time.Time) any { return int(t.UnixNano()) }),
		"IsZero":     timeMethod(func(t time.Time) any { return t.IsZero() }),
		"IsDST":      timeMethod(func(t time.Time) any { return t.IsDST() }),
		"UTC":        timeMethod(func(t time.Time) any { return t.UTC() }),
		"Location":   timeMethod(func(t time.Time) any { return t.Location() }),
		"Before":     compareTimes(func(a, b time.Time) any { return a.Before(b) }),
		"After":      compareTimes(func(a, b time.Time) any { return a.After(b) }),
		"Equal":      compareTimes(func(a, b time.Time) any { return a.Equal(b) }),
		"Compare":    compareTimes(func(a, b time.Time) any { return a.Compare(b) }),
		"Sub":        compareTimes(func(a, b time.Time) any { return a.Sub(b) }),
		"Add":        shiftTime(time.Time.Add),
		"Round":      shiftTime(time.Time.Round),
		"Truncate":   shiftTime(time.Time.Truncate),
		"AddDate": {[]reflect.Type{intType, intType, intType}, 4, func(_ *Meter, on any, args []any) any {
			return on.(time.Time).AddDate(args[0].(int), args[1].(int), args[2].(int))
		}},
		"In": {[]reflect.Type{locationType}, 4, func(_ *Meter, on any, args []any) any {
			return on.(time.Time).In(args[0].(*time.Location))
		}},
		"Format": {[]reflect.Type{stringType}, 8, func(m *Meter, on any, args []any) any {
			layout := args[0].(string)
			checkLayout(layout)
			m.Step(len(layout))
			m.Alloc(64 + 8*len(layout))
			return on.(time.Time).Format(layout)
		}},
		"String": shortString(func(on any) string { return on.(time.Time).Format("2006-01-02 15:04:05.999999999 -0700 MST") }),
	},
	durationType: {
		"Hours":        durationMethod(func(d time.Duration) any { return d.Hours() }),
		"Minutes":      durationMethod(func(d time.Duration) any { return d.Minutes() }),
		"Seconds":      durationMethod(func(d time.Duration) any { return d.Seconds() }),
		"Milliseconds": durationMethod(func(d time.Duration) any { return int(d.Milliseconds()) }),
		"Microseconds": durationMethod(func(d time.Duration) any { return int(d.Microseconds()) }),
		"Nanoseconds":  durationMethod(func(d time.Duration) any { return int(d.Nanoseconds()) }),
		"Abs":          durationMethod(func(d time.Duration) any { return d.Abs() }),
		"String":       shortString(func(on any) string { return on.(time.Duration).String() }),
	},
	locationType:                    {"String": shortString(func(on any) string { return on.(*time.Location).String() })},
	reflect.TypeFor[time.Month]():   {"String": shortString(func(on any) string { return on.(time.Month).String() })},
	reflect.TypeFor[time.Weekday](): {"String": shortString(func(on any) string { return on.(time.Weekday).String() })},
}

func (b *builder) method(n *ast.CallNode, callee *ast.MemberNode, name string) evaluator {
	if t := callee.Node.Type(); methods[t] != nil {
		if _, ok := methods[t][name]; !ok {
			return b.fault(n, "%s", noMethod(t, name))
		}
	}
	on, args := b.build(callee.Node), b.buildAll(n.Arguments)
	at := n.Location()
	return func(f *frame) any {
		v := on(f)
		if f.missing {
			return nil
		}
		if callee.Optional && isNil(v) {
			f.missing = true
			return nil
		}
		f.Step(2 + len(args))
		f.Alloc(16 * len(args))
		given := make([]any, len(args))
		for i, arg := range args {
			given[i] = arg(f)
		}
		f.at = at
		t := reflect.TypeOf(v)
		called, ok := methods[t][name]
		if !ok {
			fail("%s", noMethod(t, name))
		}
		f.Step(called.steps)
		checkArguments(name, called.arguments, given)
		return called.call(&f.Meter, v, given)
	}
}

func noMethod(t reflect.Type, name string) string {
	if methods[t] == nil {
		return describeType(t) + " has no method " + Clip(name)
	}
	names := make([]string, 0, len(methods[t]))
	for name := range methods[t] {
		names = append(names, name)
	}
	slices.Sort(names)
	return describeType(t) + " has no method " + Clip(name) + " here; must be one of " + joinNames(names)
}

func checkArguments(name string, want []reflect.Type, given []any) {
	if len(want) != len(given) {
		fail("%s takes %d arguments, not %d", name, len(want), len(given))
	}
	for i, v := range given {
		if want[i] == intType {
			whole, ok := index(v)
			if !ok {
				fail("%s takes an integer, not %s", name, Describe(v))
			}
			given[i] = whole
			continue
		}
		if location, ok := v.(*time.Location); reflect.TypeOf(v) != want[i] || ok && location == nil {
			fail("%s takes %s, not %s", name, describeType(want[i]), Describe(v))
		}
	}
}
