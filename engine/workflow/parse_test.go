package workflow

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

func TestParseReadsEveryField(t *testing.T) {
	data, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	var plain Definition
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(d)
	want, _ := json.Marshal(plain)
	if string(got) != string(want) {
		t.Errorf("strict reading gives\n%s\nencoding/json\n%s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	body := func(nodes, edges string) string {
		return `{"name":"x","entry":"a","nodes":` + nodes + `,"edges":` + edges + `}`
	}
	const end = `[{"id":"a","type":"dropped"}]`
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"valid", body(end, "[]"), nil},
		{"valid, no edges", `{"name":"x","entry":"a","nodes":` + end + `}`, nil},
		{"valid, null is left out", body(`[{"id":"a","type":"dropped","label":null,"config":null,"retry":null,"timeout":null}]`, "null"), nil},
		{"valid, byte order mark", "\uFEFF" + body(end, "[]"), nil},
		{"syntax behind a byte order mark", "\uFEFF{]", []string{"line 1, column 2: invalid JSON"}},
		{"two byte order marks", "\uFEFF\uFEFF" + body(end, "[]"), []string{"line 1, column 1: invalid JSON"}},
		{"empty", "", []string{"line 1, column 1: invalid JSON: unexpected end of JSON input"}},
		{"syntax", "{\n  \"name\": }", []string{"line 2, column 11: invalid JSON: invalid character '}'"}},
		{"trailing data", body(end, "[]") + " {}", []string{"line 1, column 75: invalid JSON: invalid character '{' after top-level value"}},
		{"nested too deep", strings.Repeat("[", 20000), []string{"line 1, column 10001: invalid JSON: invalid character '[' exceeded max depth"}},
		{"too big", strings.Repeat(" ", MaxSize) + "{}", []string{"is 16777218 bytes of JSON; at most 16777216"}},
		{"no object", "[]", []string{"must be an object, not an array"}},
		{"null", "null", []string{"must be an object, not null"}},
		{"empty object", "{}", []string{"name: is required", "nodes: must not be empty", "entry: is required"}},
		{"unknown fields", `{"name":"x","entry":"a","status":"draft","nodes":[{"id":"a","type":"dropped","Label":1}],"edges":[]}`,
			[]string{"status: unknown field; must be one of name, description, entry, time_zone, calling_hours, limits, exits, priority, guard, nodes, edges", "nodes[0].Label: unknown field; must be one of id, type,"}},
		{"repeated field", `{"name":"x","entry":"b","entry":"a","nodes":` + end + `}`,
			[]string{"entry: duplicate field", `entry: unknown node "b"`}},
		{"wrong types", `{"name":1,"description":[],"entry":{},"nodes":"a","edges":true}`,
			[]string{"name: must be a string, not a number", "description: must be a string, not an array", "entry: must be a string, not an object",
				"nodes: must be an array, not a string", "edges: must be an array, not true"}},
		{"node no object", body(`["a"]`, "[]"), []string{"nodes[0]: must be an object, not a string"}},
		{"node null", body(`[null]`, "[]"), []string{"nodes[0]: must be an object, not null"}},
		{"edge no object", body(end, "[1]"), []string{"edges[0]: must be an object, not a number"}},
		{"wrong types below", body(`[{"id":"a","type":"voice_call","retry":{"max_attempts":"3","delay":30,"backoff":"2","max_delay":"1d","x":1},"timeout":3600,"unknown":true},{"id":5,"type":7,"handler":null},{"id":"c","type":"message","handler":1}]`, `[{"from":1,"to":"a","label":true}]`),
			[]string{
				"nodes[0].retry.max_attempts: must be an integer, not a string", `nodes[0].retry.delay: invalid duration 30; it has no unit: write "30s", "30m" or "30h"`,
				"nodes[0].retry.backoff: must be a number, not a string", `nodes[0].retry.max_delay: invalid duration "1d"; the units are h, m and s: write "24h"`,
				"nodes[0].retry.x: unknown field", "nodes[0].timeout: invalid duration 3600; it has no unit", "nodes[0].unknown: must be a string, not true",
				"nodes[1].id: must be a string, not a number", "nodes[1].type: must be a string, not a number",
				"nodes[2].handler: must be a string, not a number",
				"edges[0].from: must be a string, not a number", "edges[0].label: must be a string, not true",
			}},
		{"numbers out of range", body(`[{"id":"a","type":"voice_call","retry":{"max_attempts":2.5,"delay":"1m","backoff":1e999}}]`, "[]"),
			[]string{"nodes[0].retry.max_attempts: must be an integer, not 2.5", "nodes[0].retry.backoff: number out of range: 1e999"}},
		{"retry no object", body(`[{"id":"a","type":"voice_call","retry":3}]`, "[]"), []string{"nodes[0].retry: must be an object, not a number"}},
		{"too many nodes", body("["+strings.Repeat("0,", MaxNodes)+"0]", "[]"), []string{"nodes: has 10001 elements; at most 10000"}},
		{"a key that is no name", body(`[{"id":"a","type":"dropped","a\nb":1}]`, "[]"), []string{`nodes[0]["a\nb"]: unknown field`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text))
			got := faultsOf(t, err)
			if len(got) != len(tt.want) || slices.ContainsFunc(tt.want, func(want string) bool {
				return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, want) })
			}) {
				t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	if data, err = os.ReadFile("testdata/rules.json"); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, tt := range faultCases {
		d := valid()
		tt.spoil(d)
		if text, err := json.Marshal(d); err == nil && len(text) < 4096 {
			f.Add(text)
		}
	}
	for _, text := range hostile {
		d := valid()
		d.Nodes[0].Label, d.Edges[1].Label = text, text
		if text, err := json.Marshal(d); err == nil {
			f.Add(text)
		}
	}
	for _, source := range []string{
		`[1, 2] | map(# + 1) | any(# > 2)`, `let a = metadata.x; a ?? now() > now()`, `steps["call"]?.data.a.b[0] == "x"`, `if true { 1 } else { 2 } == 1`,
		`metadata.a[1:2] == [1]`, `-metadata.a ** 2 > 1.5e3 ? true : !false`, `"a" not contains 'b' and "a" matches "[" || #`, `all(1..3, {# > 0; true})`,
	} {
		d := valid()
		d.Nodes[2] = If("ask", source)
		d.Nodes[1] = WaitUntil("pause", source)
		if text, err := json.Marshal(d); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(roundTrip)
}

// Whatever is written in an expression, it is refused or it is evaluated, and
// neither panics nor gives an error that is no line.
func FuzzExpression(f *testing.F) {
	for _, tt := range expressionCases {
		f.Add(tt.source)
	}
	for _, tt := range boundCases() {
		f.Add(tt.source)
	}
	known := func(id string) bool { return id == "first" || id == "first-call" || id == "later" }
	f.Fuzz(func(t *testing.T, source string) {
		for _, want := range []expression.Wanted{expression.Bool, expression.Time} {
			p, faults := expression.Compile(source, want, known)
			if (p == nil) == (faults == nil) {
				t.Fatalf("program %v, faults %q", p, faults)
			}
			if p != nil {
				if _, err := evaluate(p, testEnv()); err != nil {
					faults = []string{err.Error()}
				}
				_, _ = evaluate(p, nil)
			}
			for _, fault := range faults {
				if fault == "" || len(fault) > 600 || strings.Contains(fault, "\n") {
					t.Fatalf("message %q", fault)
				}
			}
		}
	})
}
