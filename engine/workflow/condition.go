package workflow

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

// Operator says how a condition compares.
type Operator string

// The operators of conditions. The package doc says how each treats numbers,
// times and missing fields.
const (
	Equals      Operator = "equals"
	NotEquals   Operator = "not_equals"
	Exists      Operator = "exists"
	Contains    Operator = "contains"
	GreaterThan Operator = "greater_than"
	LessThan    Operator = "less_than"
)

var operators = []Operator{Equals, NotEquals, Exists, Contains, GreaterThan, LessThan}

// Condition compares a field with a value.
type Condition struct {
	// Field is a path such as "metadata.age", "steps.first.outcome" or "phone_number".
	Field    string   `json:"field"`
	Operator Operator `json:"operator"`
	// Value is any value that can be encoded as JSON. [Exists] needs none; false
	// inverts it.
	Value any `json:"value,omitempty"`
}

const (
	matchAll = "all"
	matchAny = "any"
)

// condition is a Condition that has been checked.
type condition struct {
	field    path
	operator Operator
	value    any // as encoding/json reads it with UseNumber
}

func (r *reader) conditions(location string, raw json.RawMessage, known func(string) bool) []condition {
	var out []condition
	before := len(r.faults)
	r.array(location, raw, MaxConditions, func(location string, raw json.RawMessage) {
		out = append(out, r.condition(location, raw, known))
	})
	if len(out) == 0 && len(r.faults) == before {
		r.fault(location, "must not be empty; write at least one condition")
	}
	return out
}

func (r *reader) condition(location string, raw json.RawMessage, known func(string) bool) condition {
	var name, operator string
	var value json.RawMessage
	before := len(r.faults)
	r.object(location, raw,
		field{"field", r.string(&name)},
		field{"operator", r.string(&operator)},
		field{"value", func(_ string, raw json.RawMessage) { value = raw }},
	)
	if r.broken[location] {
		return condition{}
	}
	c := condition{operator: Operator(operator)}
	if !r.broken[location+".field"] {
		var err error
		if c.field, err = parsePath(name, known); err != nil {
			r.fault(location+".field", "%s", err)
		}
	}
	switch {
	case r.broken[location+".operator"]:
	case operator == "":
		r.fault(location+".operator", "is required; must be one of %s", listOperators())
	case !slices.Contains(operators, c.operator):
		r.fault(location+".operator", "invalid operator %s; must be one of %s", expression.Quote(operator), listOperators())
	}
	if len(r.faults) > before && value == nil {
		return c // without a valid operator, a missing value says nothing
	}
	r.value(location+".value", value, &c)
	return c
}

func (r *reader) value(location string, raw json.RawMessage, c *condition) {
	if raw == nil {
		if c.operator != Exists {
			r.fault(location, "is required; to ask whether a field has a value, use the operator exists")
		}
		return
	}
	value, err := decodeValue(raw)
	if err != nil {
		r.fault(location, "cannot be decoded: %s", expression.Shorten(err.Error()))
		return
	}
	if number, ok := value.(json.Number); ok {
		if _, reading := expression.ReadNumber(number); reading != expression.IsNumber {
			r.fault(location, "number out of range: %s", expression.Clip(string(number)))
			return
		}
	}
	c.value = value
	_, isBool := value.(bool)
	_, isObject := value.(map[string]any)
	_, isList := value.([]any)
	switch c.operator {
	case Exists:
		if !isBool {
			r.fault(location, "must be a boolean for exists, or be left out; false asks whether the field is missing")
		}
	case GreaterThan, LessThan:
		if isBool || isObject || isList {
			r.fault(location, "must be a number or a string for %s, not %s", c.operator, kindOf(raw))
		}
	}
}

func listOperators() string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// test evaluates the condition. Values that cannot be compared as the operator
// asks make it false, except not_equals.
func (c *condition) test(m *expression.Meter, env *Env) bool {
	found, ok := c.field.lookup(m, env)
	switch c.operator {
	case Exists:
		return ok == (c.value != false)
	case NotEquals:
		if _, reading := numberOf(m, found); reading == expression.OutOfRange {
			return false
		}
		return !ok || !equal(m, found, c.value)
	case Equals:
		return ok && equal(m, found, c.value)
	case Contains:
		return ok && contains(m, found, c.value)
	case GreaterThan:
		if !ok {
			return false
		}
		order, ordered := compare(m, found, c.value)
		return ordered && order > 0
	case LessThan:
		if !ok {
			return false
		}
		order, ordered := compare(m, found, c.value)
		return ordered && order < 0
	}
	return false
}

// testAll evaluates the conditions of a node with a budget of their own.
func testAll(n *compiled, env *Env) (holds bool, err error) {
	m := expression.NewMeter()
	defer expression.Catch(&err)
	return testEach(&m, n.conditions, n.one, env), nil
}

// testEach reports whether all of the conditions hold, or one of them.
func testEach(m *expression.Meter, conditions []condition, one bool, env *Env) bool {
	for i := range conditions {
		if conditions[i].test(m, env) == one {
			return one
		}
	}
	return !one
}
