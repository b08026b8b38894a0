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

// Scope is what an expression sees of one lead at one moment. It is not modified.
type Scope struct {
	PhoneNumber, ExternalID, TimeZone string

	Metadata map[string]any
	Steps    Steps     // nil means none
	Now      time.Time // in UTC
}

// Steps are the latest steps of the nodes, by node id.
type Steps interface {
	Step(id string) (Step, bool)
	Len() int
	IDs() iter.Seq[string] // in any order
}

// step returns the step of a node, or the zero Step.
func (s *Scope) step(id string) Step {
	if s.Steps == nil {
		return Step{}
	}
	step, _ := s.Steps.Step(id)
	return step
}

// Step is the result of a node's latest step.
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

// types declares the names of Scope to the type checker.
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

// allSteps is the value of the name steps by itself.
//
// The values of an expression are nil, bool, string, int, float64, []any,
// map[string]any, time.Time, time.Duration, *time.Location, time.Month,
// time.Weekday, and
//
//	Number      an integer that does not fit into an int
//	*Step       steps.x by itself
//	allSteps    steps by itself
//	*pattern    a pattern that is written in the expression
//
// Arrays and objects are shared with the metadata and hold what encoding/json
// puts there, so every element is passed through [Meter.value] when it is read.
type allSteps struct{ *Scope }

// value converts what JSON or Go has put into metadata or data to a value of an
// expression. A number that is out of range ends the evaluation.
func (m *Meter) value(v any) any {
	// Where possible v itself is returned: to store an array or a string in another
	// interface value would allocate.
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
		m.Step(5 + min(len(x), maxNumber)/3)
	}
	if n, reading := ReadNumber(v); reading == IsNumber {
		switch i, ok := n.Int(); {
		case ok && int64(int(i)) == i:
			return int(i)
		case n.whole:
			return n
		}
		return n.float
	} else if reading == OutOfRange {
		text, ok := v.(json.Number)
		if !ok {
			text = json.Number(fmt.Sprint(v)) // NaN, or an infinity
		}
		fail("number out of range: %s", Clip(string(text)))
	}
	switch v.(type) {
	case *Step, allSteps, time.Month, time.Weekday, *time.Location:
		return v
	}
	return m.value(m.Plain(v))
}

// Plain returns a Go value as encoding/json would encode and decode it, with
// numbers as [json.Number]; nil if it cannot be encoded.
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

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	locationType = reflect.TypeFor[*time.Location]()
)

// Describe names the type of a value for a message, in terms of JSON and not of Go.
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

// isNil reports whether v is nil, or a nil map or slice.
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

// sorted returns n names in sorted order, so that equal data give equal results.
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
