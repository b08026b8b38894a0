package expression

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"time"
)

// Scope is what an expression sees of one lead at one moment. It is only read.
type Scope struct {
	PhoneNumber, ExternalID, TimeZone string

	Metadata map[string]any
	Steps    Steps     // nil: none
	Now      time.Time // in UTC
}

// Steps are the latest steps of the nodes, by node id.
type Steps interface {
	Step(id string) (Step, bool)
	Len() int
	IDs() iter.Seq[string] // in any order
}

// step returns the step of a node, the zero Step if there is none.
func (s *Scope) step(id string) Step {
	if s.Steps == nil {
		return Step{}
	}
	step, _ := s.Steps.Step(id)
	return step
}

// Step is what came of a node's latest step.
type Step struct {
	Outcome   string         `expr:"outcome"`
	Data      map[string]any `expr:"data"`
	Status    string         `expr:"status"`
	Attempts  int            `expr:"attempts"`
	CallID    string         `expr:"call_id"`
	Error     string         `expr:"error"`
	EnteredAt time.Time      `expr:"entered_at"`
	ExitedAt  time.Time      `expr:"exited_at"`
}

// types is Scope in the shape that the type check reads.
type types struct {
	Lead     leadType         `expr:"lead"`
	Metadata map[string]any   `expr:"metadata"`
	Steps    map[string]Step  `expr:"steps"`
	Now      func() time.Time `expr:"now"`
}

type leadType struct {
	PhoneNumber string `expr:"phone_number"`
	ExternalID  string `expr:"external_id"`
	TimeZone    string `expr:"time_zone"`
}

// leadFields are the fields of leadType, by name.
var leadFields = map[string]func(s *Scope) string{
	"phone_number": func(s *Scope) string { return s.PhoneNumber },
	"external_id":  func(s *Scope) string { return s.ExternalID },
	"time_zone":    func(s *Scope) string { return s.TimeZone },
}

// stepFields are the fields of Step, by name.
var stepFields = map[string]func(s *Step) any{
	"outcome":    func(s *Step) any { return s.Outcome },
	"data":       func(s *Step) any { return s.Data },
	"status":     func(s *Step) any { return s.Status },
	"attempts":   func(s *Step) any { return s.Attempts },
	"call_id":    func(s *Step) any { return s.CallID },
	"error":      func(s *Step) any { return s.Error },
	"entered_at": func(s *Step) any { return s.EnteredAt },
	"exited_at":  func(s *Step) any { return s.ExitedAt },
}

// Values. An expression reckons with nil, bool, string, int, float64, []any,
// map[string]any, time.Time, time.Duration, *time.Location, time.Month,
// time.Weekday and these:
//
//	Number      a whole number that does not fit into an int
//	*Step       of steps.x, where it is not one of its fields that is read
//	allSteps    of steps, where it is not one of its nodes that is read
//	pattern     of a pattern that is written in the expression
//
// A []any and a map[string]any come from JSON and are shared: they hold what
// encoding/json has put there, so that an element goes through value before it
// is reckoned with.
type allSteps struct{ *Scope }

// value makes a value of what JSON or Go has put into metadata or data.
func (m *Meter) value(v any) any {
	// What is returned is v itself where it can be: to put a list or a string into
	// another interface would allocate.
	switch x := v.(type) {
	case nil, bool, string, int, float64, time.Time, time.Duration:
		if f, ok := v.(float64); ok && math.IsNaN(f-f) {
			break // not a number, or infinite
		}
		return v
	case []any:
		if x == nil {
			return nil
		}
		return v
	case map[string]any:
		if x == nil {
			return nil
		}
		return v
	case json.Number:
		m.rewrite(min(len(x), maxNumber))
	}
	if n, reading := ReadNumber(v); reading == IsNumber {
		switch i, ok := n.Int(); {
		case ok && int64(int(i)) == i:
			return int(i)
		case n.whole:
			return n
		}
		return n.float
	} else if reading == Unreadable {
		text, ok := v.(json.Number)
		if !ok {
			text = json.Number(fmt.Sprint(v)) // NaN, or an infinity
		}
		fail("%s cannot be used as a number: it is too large, too close to 0 or too long", Clip(string(text)))
	}
	switch v.(type) {
	case *Step, allSteps, time.Month, time.Weekday, *time.Location:
		return v
	}
	return m.value(m.Plain(v))
}

// Plain makes of a Go value what encoding/json makes of it, with each number as
// a [json.Number]; nil of what cannot be written as JSON.
func (m *Meter) Plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	plain, err := m.decode(data)
	if err != nil {
		return nil
	}
	return plain
}

// description of types for messages, in words that do not need Go.

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	locationType = reflect.TypeFor[*time.Location]()
)

// Describe names a value's type.
func Describe(v any) string {
	if _, ok := v.(Number); ok {
		return "a number"
	}
	return describeType(reflect.TypeOf(v))
}

func describeType(t reflect.Type) string {
	switch t {
	case nil:
		return "nil"
	case timeType:
		return "a time"
	case durationType:
		return "a duration"
	case locationType:
		return "a time zone"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "an object"
	case reflect.Func:
		return "a function"
	case reflect.Interface:
		return "any value"
	}
	return "a number"
}

// isNil reports whether v is nothing, or a map or list that is not there.
func isNil(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return v == nil
	case []any:
		return v == nil
	}
	return false
}

// count returns how many steps there are.
func (s allSteps) count() int {
	if s.Steps == nil {
		return 0
	}
	return s.Steps.Len()
}

// ids returns the ids of the nodes that have a step.
func (s allSteps) ids() iter.Seq[string] {
	if s.Steps == nil {
		return func(func(string) bool) {}
	}
	return s.Steps.IDs()
}

// sorted returns names, of which there are n, in an order that is the same each
// time, so that equal data give equal results.
func sorted(m *Meter, n int, names iter.Seq[string]) []string {
	m.sort(4 * n)
	m.Alloc(16 * n)
	out := make([]string, 0, n)
	for name := range names {
		m.scan(len(name))
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
