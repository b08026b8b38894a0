package workflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// conditionGraph is a graph of one node with as many conditions as there may be,
// each of which has to be looked at; nil if the condition is refused.
func conditionGraph(field, operator, value string) *Graph {
	name, _ := json.Marshal(field)
	op, _ := json.Marshal(operator)
	one := `{"field":` + string(name) + `,"operator":` + string(op)
	if value != "" {
		one += `,"value":` + value
	}
	one += "}"
	n := min(MaxConditions, (MaxConfig-100)/(len(one)+1))
	if n < 1 {
		return nil
	}
	config := `{"match":"any","conditions":[` + strings.Repeat(one+",", n-1) + one + `]}`
	g, err := Compile(&Definition{
		Name: "conditions", Entry: "first",
		Nodes: []Node{{ID: "first", Type: Conditional, Config: json.RawMessage(config)}, End("end", Dropped)},
		Edges: []Edge{On("first", "true", "end")},
	})
	if err != nil {
		return nil
	}
	return g
}

func checkConditionBudget(t *testing.T, g *Graph, env *Env) {
	t.Helper()
	took := checkCost(t, "testing conditions", string(g.Node(0).Config), func() { _, _ = g.Test(0, env) })
	if g.Cheap(0) && !raceEnabled && (took.time > *mostTime/20 || took.bytes > *mostBytes/20) {
		t.Errorf("what counts as cheap takes %v: %.200s", took, g.Node(0).Config)
	}
}

func TestNoConditionIsExpensive(t *testing.T) {
	list := func(element string, n int) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	digits := strings.Repeat("1", 300)
	var object strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&object, `"key%d":%d,`, i, i)
	}
	for name, tt := range map[string]struct{ field, operator, value, metadata string }{
		"numbers of long strings":   {"metadata.a", "contains", `"` + strings.Repeat("1", 60_000) + `"`, `{"a":` + list("2", 500_000) + `}`},
		"long strings of numbers":   {"metadata.a", "contains", "1", `{"a":` + list(`"`+digits+`"`, 3000) + `}`},
		"a list in lists":           {"metadata.a", "contains", list("1", 50), `{"a":` + list(list("1", 49), 10_000) + `}`},
		"lists that are equal":      {"metadata.a", "equals", list("1", 25_000), `{"a":` + list("1", 25_000) + `}`},
		"objects that are equal":    {"metadata.a", "not_equals", `{"a":{"b":` + list(`{"c":1}`, 7000) + `}}`, `{"a":{"a":{"b":` + list(`{"c":1}`, 7000) + `}}}`},
		"a key of a large object":   {"metadata.a.key77", "exists", "false", `{"a":{` + object.String() + `"x":1}}`},
		"a part of a long string":   {"metadata.a", "contains", `"` + strings.Repeat("a", 500) + `b"`, `{"a":"` + strings.Repeat("a", maxMetadata-100) + `"}`},
		"long strings in order":     {"metadata.a", "less_than", `"` + strings.Repeat("a", 600) + `"`, `{"a":"` + strings.Repeat("a", maxMetadata-100) + `"}`},
		"a long string, a boolean":  {"metadata.a", "equals", "true", `{"a":"` + strings.Repeat(" ", maxMetadata-100) + `"}`},
		"a long string, a number":   {"metadata.a", "greater_than", "5", `{"a":"` + strings.Repeat(" ", maxMetadata-100) + `"}`},
		"many strings, a boolean":   {"metadata.a", "contains", "true", `{"a":` + list(`"  tru"`, 100_000) + `}`},
		"a long path":               {"metadata.a" + strings.Repeat("[0]", 300), "exists", "", `{"a":` + nested("[", "1", "]", 300) + `}`},
		"times":                     {"metadata.a", "less_than", `"2026-05-01T09:00:00.000000001+00:00"`, `{"a":"2026-05-01T09:00:00.000000001+00:00"}`},
		"deep lists that are equal": {"metadata.a", "equals", nested("[", "1", "]", 4000), `{"a":` + nested("[", "1", "]", 4000) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			g, env := conditionGraph(tt.field, tt.operator, tt.value), budgetEnv(tt.metadata, false)
			if g == nil || env == nil {
				t.Fatal("the condition or the metadata is refused")
			}
			checkConditionBudget(t, g, env)
		})
	}
}

// FuzzConditionBudget looks for a condition and metadata within the limits that
// take more than is allowed.
func FuzzConditionBudget(f *testing.F) {
	for i, value := range []string{`"1"`, `12.50`, `[1,"2",{"a":true}]`, `{"a":"1"}`, `true`, `"2026-05-01T09:00:00Z"`, `null`} {
		o := string(operators[i%len(operators)])
		f.Add("metadata.a", o, value, `{"a":["1",2,{"a":"1"}],"b":"x"}`, true)
		f.Add("steps.first.data.a", "contains", value, `{"a":"1"}`, true)
		f.Add("metadata.a[0].a", "equals", value, `{"a":{"a":1}}`, i == 0)
	}
	f.Fuzz(func(t *testing.T, field, operator, value, metadata string, grow bool) {
		g, env := conditionGraph(field, operator, value), budgetEnv(metadata, grow)
		if g != nil && env != nil {
			checkConditionBudget(t, g, env)
		}
	})
}
