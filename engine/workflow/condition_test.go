package workflow

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

func TestConditions(t *testing.T) {
	env := &Env{
		Contact: lead.Contact{
			PhoneNumber: "+14155552671", TimeZone: "Europe/Berlin",
			Metadata: map[string]any{
				"age": 42.0, "text_age": "42", "text_float": " 42.50 ", "code": "007", "int": 42, "uint": uint64(1 << 63),
				"big": json.Number("9007199254740993"), "number": json.Number("1e3"),
				"name": "Ada Lovelace", "empty": "", "null": nil, "yes": true, "text_yes": "TRUE", "no": false,
				"tags": []any{"vip", 7.0, "8"}, "strings": []string{"vip"}, "address": map[string]any{"city": "Berlin", "zip": 10115.0},
				"nested": map[string]any{"list": []any{map[string]any{"a.b": "deep"}}}, "First Name": "Ada",
				"at": "2026-05-01T09:00:00+02:00", "time": testNow, "word": "b", "func": func() {}, "hex": "0x1p4",
			},
		},
		Steps: map[string]StepResult{
			"first":      {Outcome: "completed", Attempts: 2, Data: map[string]any{"score": 3.0}, ExitedAt: testNow},
			"first-call": {},
		},
	}
	for _, tt := range []struct {
		field    string
		operator Operator
		value    string
		want     bool
	}{
		{"phone_number", Equals, `"+14155552671"`, true},
		{"lead.phone_number", Contains, `"+1"`, true},
		{"time_zone", Equals, `"Europe/Berlin"`, true},
		{"external_id", Exists, ``, false},
		{"lead.external_id", Exists, `false`, true},
		{"external_id", Equals, `""`, false},

		{"metadata.age", Equals, `42`, true},
		{"metadata.age", Equals, `"42"`, true},
		{"metadata.age", Equals, `" 42.0"`, true},
		{"metadata.text_age", Equals, `42`, true},
		{"metadata.text_age", Equals, `42.0`, true},
		{"metadata.text_age", Equals, `"42"`, true},
		{"metadata.text_age", Equals, `"42.0"`, false}, // two texts
		{"metadata.code", Equals, `7`, true},
		{"metadata.code", Equals, `"7"`, false},
		{"metadata.text_float", Equals, `42.5`, true},
		{"metadata.int", Equals, `42`, true},
		{"metadata.uint", GreaterThan, `9000000000000000000`, true},
		{"metadata.big", Equals, `9007199254740993`, true},
		{"metadata.big", Equals, `9007199254740992`, false},
		{"metadata.number", Equals, `1000`, true},
		{"metadata.hex", Equals, `16`, false},
		{"metadata.age", NotEquals, `42`, false},
		{"metadata.age", NotEquals, `43`, true},
		{"metadata.name", Equals, `"ada lovelace"`, false},
		{"metadata.name", Equals, `42`, false},
		{"metadata.yes", Equals, `true`, true},
		{"metadata.yes", Equals, `"true"`, true},
		{"metadata.text_yes", Equals, `true`, true},
		{"metadata.yes", Equals, `1`, false},
		{"metadata.no", Equals, `false`, true},
		{"metadata.address", Equals, `{"zip":"10115","city":"Berlin"}`, true},
		{"metadata.address", Equals, `{"zip":10115,"city":"Berlin"}`, true},
		{"metadata.strings", Equals, `["vip"]`, true},
		{"metadata.tags", Equals, `["vip","7",8]`, true},
		{"metadata.tags", Equals, `["vip"]`, false},

		{"metadata.age", Exists, ``, true},
		{"metadata.age", Exists, `true`, true},
		{"metadata.age", Exists, `false`, false},
		{"metadata.missing", Exists, ``, false},
		{"metadata.null", Exists, ``, false},
		{"metadata.empty", Exists, ``, true},
		{"metadata.func", Exists, ``, false},
		{"metadata.no", Exists, ``, true},
		{"metadata.missing", Equals, `"x"`, false},
		{"metadata.missing", NotEquals, `"x"`, true},
		{"metadata.missing", Contains, `"x"`, false},
		{"metadata.missing", GreaterThan, `0`, false},
		{"metadata.missing", LessThan, `0`, false},
		{"metadata.missing.deeper", Exists, ``, false},
		{"metadata.age.deeper", Exists, ``, false},

		{"metadata.name", Contains, `"Love"`, true},
		{"metadata.name", Contains, `"love"`, false},
		{"metadata.text_age", Contains, `2`, true},
		{"metadata.tags", Contains, `"vip"`, true},
		{"metadata.tags", Contains, `7`, true},
		{"metadata.tags", Contains, `8`, true},
		{"metadata.tags", Contains, `"vi"`, false},
		{"metadata.strings", Contains, `"vip"`, true},
		{"metadata.address", Contains, `"city"`, true},
		{"metadata.address", Contains, `"Berlin"`, false},
		{"metadata.age", Contains, `4`, false},

		{"metadata.age", GreaterThan, `41`, true},
		{"metadata.age", GreaterThan, `42`, false},
		{"metadata.text_age", GreaterThan, `9`, true},
		{"metadata.text_age", GreaterThan, `"9"`, true},
		{"metadata.text_float", LessThan, `43`, true},
		{"metadata.big", GreaterThan, `9007199254740992`, true},
		{"metadata.at", LessThan, `"2026-05-01T08:00:00Z"`, true}, // 07:00 UTC
		{"metadata.at", GreaterThan, `"2026-05-01T06:59:59.9Z"`, true},
		{"metadata.time", Equals, `"2026-05-01T09:00:00Z"`, true},
		{"metadata.word", GreaterThan, `"a"`, true},
		{"metadata.word", LessThan, `"a"`, false},
		{"metadata.word", GreaterThan, `5`, true}, // as texts
		{"metadata.yes", GreaterThan, `"a"`, false},
		{"metadata.tags", GreaterThan, `1`, false},
		{"metadata.tags", LessThan, `1`, false},

		{"steps.first.outcome", Equals, `"completed"`, true},
		{`steps["first"].outcome`, Exists, ``, true},
		{"steps.first-call.outcome", Exists, ``, false},
		{"steps.first-call.outcome", NotEquals, `"completed"`, true},
		{"steps.later.outcome", Equals, `""`, false},
		{"steps.later.data.score", Exists, ``, false},
		{"steps.first.data.score", GreaterThan, `2`, true},
		{"steps.first.data", Contains, `"score"`, true},
		{"steps.first.attempts", Equals, `2`, true},
		{"steps.later.attempts", Exists, ``, false},
		{"steps.first.exited_at", LessThan, `"2026-05-01T09:00:01Z"`, true},
		{"steps.later.exited_at", Exists, ``, false},

		{`metadata.nested.list[0]["a.b"]`, Equals, `"deep"`, true},
		{`metadata.nested.list[1]`, Exists, ``, false},
		{`metadata.nested.list.x`, Exists, ``, false},
		{"metadata.First Name", Equals, `"Ada"`, true},
		{`metadata["First Name"]`, Equals, `"Ada"`, true},
	} {
		node := Node{Type: Conditional}
		value := ""
		if tt.value != "" {
			value = `,"value":` + tt.value
		}
		field, _ := json.Marshal(tt.field)
		config(&node, `{"conditions":[{"field":`+string(field)+`,"operator":"`+string(tt.operator)+`"`+value+`}]}`)
		g := branch(t, node)
		if got, err := g.Test(branchNode, env); got != tt.want || err != nil {
			t.Errorf("%s %s %s: %v, %v", tt.field, tt.operator, tt.value, got, err)
		}
		if got, err := g.Test(branchNode, nil); err != nil || got != (tt.operator == NotEquals || tt.value == "false" && tt.operator == Exists) {
			t.Errorf("%s %s %s, nothing known: %v, %v", tt.field, tt.operator, tt.value, got, err)
		}
	}
}

func TestConditionsMatch(t *testing.T) {
	yes := Condition{Field: "metadata.x", Operator: Exists, Value: false}
	no := Condition{Field: "metadata.x", Operator: Exists}
	for _, tt := range []struct {
		node Node
		want bool
	}{
		{IfAll("", yes), true},
		{IfAll("", yes, yes), true},
		{IfAll("", yes, no), false},
		{IfAny("", no, yes), true},
		{IfAny("", no, no), false},
		{Node{Type: Conditional, Config: json.RawMessage(`{"match":"all","conditions":[{"field":"metadata.x","operator":"exists"}]}`)}, false},
	} {
		if got, err := branch(t, tt.node).Test(branchNode, &Env{Now: time.Now()}); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.node.Config, got, err)
		}
	}
}

func TestPaths(t *testing.T) {
	known := func(id string) bool { return id == "a" || id == "a.b" }
	for _, good := range []string{
		"phone_number", "lead.time_zone", `lead["time_zone"]`, "metadata.a", "metadata.a.b[0].c", `metadata["\u00e9 [x]"]`,
		"steps.a.outcome", `steps["a.b"].data["x"][3]`, "steps.a.data",
	} {
		if _, err := parsePath(good, known); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "x", "age", "lead", "lead.age", "lead.phone_number.x", "metadata", "metadata.", ".metadata.a", "metadata..a", "metadata[", "metadata[]",
		"metadata[-1]", "metadata['a']", "metadata[`a`]", `metadata["a]`, `metadata["a"`, "metadata[0", "metadata.a]", "metadata[0]a", `["metadata"].a`,
		"steps", "steps.a", "steps.b.outcome", "steps.a.x", "steps.a.outcome.x", "now", "metadata.a ", "metadata.\na", "$env.a",
	} {
		if p, err := parsePath(bad, known); err == nil {
			t.Errorf("%q is read as %q", bad, p.keys)
		}
	}
}
