package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// valid is a workflow without a fault, for tests to break one thing in.
func valid() *Definition {
	return &Definition{
		Name:  "Nurture",
		Entry: "call",
		Nodes: []Node{
			CallNode("call", Config{"url": "https://example.com"}).WithRetry(Retry{MaxAttempts: 2, Delay: Duration(time.Minute)}),
			Wait("pause", time.Hour),
			If("ask", `metadata.age == 1`),
			End("won", Converted),
			End("lost", Dropped),
		},
		Edges: []Edge{
			On("call", "completed", "ask"),
			On("call", DefaultLabel, "pause"),
			To("pause", "call"),
			On("ask", "true", "won"),
			On("ask", "false", "lost"),
		},
	}
}

func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *lead.InvalidError
	if !errors.As(err, &invalid) || invalid.Subject != "workflow" {
		t.Fatalf("error is %T (%v), want *lead.InvalidError of a workflow", err, err)
	}
	var out []string
	for _, f := range invalid.Faults {
		out = append(out, f.String())
	}
	return out
}

func config(n *Node, text string) { n.Config = json.RawMessage(text) }

var faultCases = []struct {
	name  string
	spoil func(d *Definition)
	want  []string // each begins a fault, in order
}{
	{"none", func(d *Definition) {}, nil},
	{"missing name", func(d *Definition) { d.Name = " " }, []string{"name: is required"}},
	{"overlong name", func(d *Definition) { d.Name = strings.Repeat("x", MaxName+1) }, []string{"name: is 257 bytes long"}},
	{"name not UTF-8", func(d *Definition) { d.Name = "a\xff" }, []string{"name: must be UTF-8"}},
	{"overlong description", func(d *Definition) { d.Description = strings.Repeat("x", MaxDescription+1) }, []string{"description: is 16385 bytes"}},
	{"no nodes", func(d *Definition) { d.Nodes, d.Edges = nil, nil }, []string{"nodes: must not be empty"}},
	{"too many nodes", func(d *Definition) { d.Nodes = make([]Node, MaxNodes+1) }, []string{"nodes: has 10001 elements; at most 10000"}},
	{"too many edges", func(d *Definition) { d.Edges = make([]Edge, MaxEdges+1) }, []string{"edges: has 50001 elements; at most 50000"}},
	{"missing entry", func(d *Definition) { d.Entry = "" }, []string{"entry: is required"}},
	{"unknown entry", func(d *Definition) { d.Entry = "x" }, []string{`entry: unknown node "x"`}},
	{"empty id", func(d *Definition) { d.Nodes = append(d.Nodes, End("", Dropped)) }, []string{"nodes[5].id: is required"}},
	{"duplicate id", func(d *Definition) { d.Nodes = append(d.Nodes, End("won", Dropped)) }, []string{`nodes[5].id: duplicate id "won": see nodes[3]`}},
	{"overlong id", func(d *Definition) {
		d.Nodes[3].ID = strings.Repeat("x", MaxID+1)
		d.Edges[3].To = d.Nodes[3].ID
	}, []string{"nodes[3].id: is 65 bytes long"}},
	{"ill-formed id", func(d *Definition) { d.Nodes[3].ID, d.Edges[3].To = "w n", "w n" }, []string{`nodes[3].id: invalid id "w n"`}},
	{"overlong label", func(d *Definition) { d.Nodes[0].Label = strings.Repeat("x", MaxLabel+1) }, []string{"nodes[0].label: is 257"}},
	{"missing type", func(d *Definition) { d.Nodes[3].Type = "" }, []string{"nodes[3].type: is required; must be one of voice_call, message,"}},
	{"unknown type", func(d *Definition) { d.Nodes[3].Type = "email" }, []string{`nodes[3].type: invalid type "email"; must be one of voice_call,`}},

	{"edge without from", func(d *Definition) { d.Edges = append(d.Edges, To("", "call")) }, []string{"edges[5].from: is required"}},
	{"edge without to", func(d *Definition) { d.Edges = append(d.Edges, On("call", "x", "")) }, []string{"edges[5].to: is required"}},
	{"edge from an unknown node", func(d *Definition) { d.Edges = append(d.Edges, To("x", "call")) }, []string{`edges[5].from: unknown node "x"`}},
	{"edge to an unknown node", func(d *Definition) { d.Edges = append(d.Edges, On("call", "x", "x")) }, []string{`edges[5].to: unknown node "x"`}},
	{"duplicate edge", func(d *Definition) { d.Edges = append(d.Edges, On("call", "completed", "pause")) }, []string{`edges[5].label: duplicate edge "completed" of node "call": see edges[0]`}},
	{"unreachable node", func(d *Definition) { d.Nodes = append(d.Nodes, End("alone", Dropped)) }, []string{`nodes[5]: node "alone" cannot be reached from the entry "call"`}},
	{"action edge without a label", func(d *Definition) { d.Edges[0].Label = "" }, []string{"edges[0].label: is required"}},
	{"edge label with a space", func(d *Definition) { d.Edges[0].Label = "completed " }, []string{`edges[0].label: invalid label "completed "; it must be UTF-8`}},
	{"edge label with a control character", func(d *Definition) { d.Edges[0].Label = "a\nb" }, []string{`edges[0].label: invalid label "a\nb"; it must`}},
	{"overlong edge label", func(d *Definition) { d.Edges[0].Label = strings.Repeat("x", MaxLabel+1) }, []string{"edges[0].label: is 257"}},
	{"time edge with a label", func(d *Definition) { d.Edges[2].Label = "x" }, []string{"edges[2].label: must be empty: the edge of a time node has no label"}},
	{"time node without an edge", func(d *Definition) { d.Edges = slices.Delete(d.Edges, 2, 3) }, []string{"nodes[1]: a time node must have an edge"}},
	{"time node with two edges", func(d *Definition) { d.Edges = append(d.Edges, To("pause", "won")) }, []string{`edges[5]: time node "pause" has another edge already`}},
	{"conditional with another label", func(d *Definition) { d.Edges[4].Label = "default" }, []string{`edges[4].label: invalid label "default" of an edge of conditional node "ask"; must be one of "true", "false"`}},
	{"conditional without edges", func(d *Definition) {
		d.Nodes, d.Edges = d.Nodes[:3], d.Edges[:3]
	}, []string{`nodes[2]: a conditional node must have an edge "true"`}},
	{"edge out of a terminal", func(d *Definition) { d.Edges = append(d.Edges, On("won", "x", "call")) }, []string{`edges[5]: node "won" is terminal (converted) and cannot have an edge`}},
	{"cycle of conditionals", func(d *Definition) {
		d.Nodes = append(d.Nodes, If("again", "true"))
		d.Edges[4].To = "again"
		d.Edges = append(d.Edges, On("again", "true", "ask"), On("again", "false", "lost"))
	}, []string{"nodes[2]: conditional nodes form an endless cycle: ask → again → ask"}},
	{"two cycles that share a node", func(d *Definition) {
		d.Nodes[3], d.Nodes = If("again", "true"), d.Nodes[:4]
		d.Edges[3].To, d.Edges[4].To = "again", "ask"
		d.Edges = append(d.Edges, On("again", "true", "ask"))
	}, []string{"nodes[2]: conditional nodes form an endless cycle: ask → again → ask"}},
	{"conditional into itself", func(d *Definition) { d.Edges[3].To = "ask"; d.Nodes[3] = d.Nodes[4]; d.Nodes = d.Nodes[:4] },
		[]string{"nodes[2]: conditional nodes form an endless cycle: ask → ask"}},

	{"unknown", func(d *Definition) { d.Nodes[0].Unknown = FailUnknown }, nil},
	{"unknown, the default", func(d *Definition) { d.Nodes[0].Unknown = RedeliverUnknown }, nil},
	{"another unknown", func(d *Definition) { d.Nodes[0].Unknown = "retry" }, []string{`nodes[0].unknown: invalid value "retry"; must be one of redeliver, fail`}},
	{"unknown on a time node", func(d *Definition) { d.Nodes[1].Unknown = FailUnknown }, []string{"nodes[1].unknown: must be left out: a time node has no attempts"}},
	{"handler", func(d *Definition) { d.Nodes[0].Handler = strings.Repeat("a", MaxHandler) }, nil},
	{"ill-formed handler", func(d *Definition) { d.Nodes[0].Handler = "a b" }, []string{`nodes[0].handler: invalid handler name "a b"; use letters, digits,`}},
	{"overlong handler", func(d *Definition) { d.Nodes[0].Handler = strings.Repeat("x", MaxHandler+1) }, []string{"nodes[0].handler: is 65 bytes long"}},
	{"handler on a time node", func(d *Definition) { d.Nodes[1].Handler = "sms" }, []string{"nodes[1].handler: must be left out: a time node has no handler"}},
	{"handler on a terminal", func(d *Definition) { d.Nodes[3].Handler = "sms" }, []string{"nodes[3].handler: must be left out: a converted node has no handler"}},
	{"retry on a time node", func(d *Definition) { d.Nodes[1].Retry = &Retry{} }, []string{"nodes[1].retry: must be left out: a time node has no attempts"}},
	{"timeout on a conditional", func(d *Definition) { d.Nodes[2].Timeout = 1 }, []string{"nodes[2].timeout: must be left out: a conditional node has no step"}},
	{"timeout on a terminal", func(d *Definition) { d.Nodes[3].Timeout = -1 }, []string{"nodes[3].timeout: must be left out: a converted node has no step"}},
	{"negative timeout", func(d *Definition) { d.Nodes[0].Timeout = -1 }, []string{"nodes[0].timeout: is -1ns; must not be negative"}},
	{"endless timeout", func(d *Definition) { d.Nodes[0].Timeout = Duration(MaxDuration) + 1 }, []string{"nodes[0].timeout: is 87600h0m0.000000001s; at most 87600h"}},
	{"no attempts", func(d *Definition) { d.Nodes[0].Retry.MaxAttempts = 0 }, []string{"nodes[0].retry.max_attempts: is 0; must be from 1 to 100"}},
	{"too many attempts", func(d *Definition) { d.Nodes[0].Retry.MaxAttempts = 101 }, []string{"nodes[0].retry.max_attempts: is 101"}},
	{"no delay", func(d *Definition) { d.Nodes[0].Retry.Delay = 0 }, []string{"nodes[0].retry.delay: must be greater than 0"}},
	{"negative delay", func(d *Definition) { d.Nodes[0].Retry.Delay = -1 }, []string{"nodes[0].retry.delay: is -1ns; must not be negative"}},
	{"endless delay", func(d *Definition) { d.Nodes[0].Retry.Delay = math.MaxInt64 }, []string{"nodes[0].retry.delay: is "}},
	{"backoff below 1", func(d *Definition) { d.Nodes[0].Retry.Backoff = 0.5 }, []string{"nodes[0].retry.backoff: is 0.5; must be at least 1"}},
	{"backoff not a number", func(d *Definition) { d.Nodes[0].Retry.Backoff = math.NaN() }, []string{"nodes[0].retry.backoff: is NaN"}},
	{"infinite backoff", func(d *Definition) { d.Nodes[0].Retry.Backoff = math.Inf(1) }, []string{"nodes[0].retry.backoff: is +Inf"}},
	{"max_delay below delay", func(d *Definition) { d.Nodes[0].Retry.MaxDelay = Duration(time.Second) }, []string{"nodes[0].retry.max_delay: is 1s; must not be less than delay, 1m"}},
	{"negative max_delay", func(d *Definition) { d.Nodes[0].Retry.MaxDelay = -1 }, []string{"nodes[0].retry.max_delay: is -1ns; must not"}},

	{"config not JSON", func(d *Definition) { config(&d.Nodes[0], "{") }, []string{"nodes[0].config: invalid JSON"}},
	{"config not encodable", func(d *Definition) { d.Nodes[0] = CallNode("call", Config{"f": func() {}}) },
		[]string{"nodes[0].config: cannot be encoded as JSON: json: unsupported type: func()"}},
	{"config not an object", func(d *Definition) { config(&d.Nodes[0], "[1]") }, []string{"nodes[0].config: must be an object, not an array"}},
	{"overlong config", func(d *Definition) { config(&d.Nodes[0], `{"a":"`+strings.Repeat("x", MaxConfig)+`"}`) }, []string{"nodes[0].config: is 65544 bytes long"}},
	{"config of a terminal", func(d *Definition) { config(&d.Nodes[3], `{"a":1}`) }, []string{"nodes[3].config.a: unknown field; this object has no fields"}},

	{"neither duration nor until", func(d *Definition) { config(&d.Nodes[1], "{}") }, []string{`nodes[1].config: must have duration, such as "48h", or until`}},
	{"no config for a wait", func(d *Definition) { d.Nodes[1].Config = nil }, []string{"nodes[1].config: must have duration"}},
	{"duration and until", func(d *Definition) { config(&d.Nodes[1], `{"duration":"1h","until":"now()"}`) }, []string{"nodes[1].config: cannot have both duration and until"}},
	{"duration of 0", func(d *Definition) { config(&d.Nodes[1], `{"duration":"0s"}`) }, []string{"nodes[1].config.duration: is 0s; must be greater than 0"}},
	{"negative duration", func(d *Definition) { config(&d.Nodes[1], `{"duration":"-1h"}`) }, []string{"nodes[1].config.duration: is -1h; must"}},
	{"endless duration", func(d *Definition) { config(&d.Nodes[1], `{"duration":"87601h"}`) }, []string{"nodes[1].config.duration: is 87601h; must"}},
	{"duration in days", func(d *Definition) { config(&d.Nodes[1], `{"duration":"2d"}`) }, []string{`nodes[1].config.duration: invalid duration "2d"; the units are h, m and s: write "48h"`}},
	{"duration as a number", func(d *Definition) { config(&d.Nodes[1], `{"duration":2}`) }, []string{"nodes[1].config.duration: invalid duration 2; it has no unit"}},
	{"duration of words", func(d *Definition) { config(&d.Nodes[1], `{"duration":"soon"}`) }, []string{`nodes[1].config.duration: invalid duration "soon"`}},
	{"until is no text", func(d *Definition) { config(&d.Nodes[1], `{"until":1}`) }, []string{"nodes[1].config.until: must be a string, not a number"}},
	{"until gives a text", func(d *Definition) { config(&d.Nodes[1], `{"until":"'2026-01-01'"}`) }, []string{"nodes[1].config.until: must give a time, such as now() + duration(\"24h\"), but gives a string; date(…)"}},
	{"until gives a duration", func(d *Definition) { config(&d.Nodes[1], `{"until":"duration('1h')"}`) }, []string{"nodes[1].config.until: must give a time, such as now() + duration(\"24h\"), but gives a duration"}},
	{"unknown key of a wait", func(d *Definition) { config(&d.Nodes[1], `{"duration":"1h","x y":1}`) }, []string{`nodes[1].config["x y"]: unknown field; must be one of duration, until`}},
	{"key twice", func(d *Definition) { config(&d.Nodes[1], `{"duration":"1h","duration":"2h"}`) }, []string{"nodes[1].config.duration: duplicate field"}},

	{"neither expression nor conditions", func(d *Definition) { d.Nodes[2].Config = nil }, []string{"nodes[2].config: must have expression or conditions"}},
	{"expression and conditions", func(d *Definition) {
		config(&d.Nodes[2], `{"expression":"true","conditions":[{"field":"phone_number","operator":"exists"}]}`)
	}, []string{"nodes[2].config: cannot have both expression and conditions"}},
	{"match with an expression", func(d *Definition) { config(&d.Nodes[2], `{"expression":"true","match":"any"}`) }, []string{"nodes[2].config.match: cannot be combined with expression"}},
	{"bad match", func(d *Definition) {
		config(&d.Nodes[2], `{"match":"some","conditions":[{"field":"phone_number","operator":"exists"}]}`)
	}, []string{`nodes[2].config.match: invalid value "some"; must be one of "all", "any"`}},
	{"match no text", func(d *Definition) {
		config(&d.Nodes[2], `{"match":1,"conditions":[{"field":"phone_number","operator":"exists"}]}`)
	}, []string{"nodes[2].config.match: must be a string, not a number"}},
	{"no conditions", func(d *Definition) { config(&d.Nodes[2], `{"conditions":[]}`) }, []string{"nodes[2].config.conditions: must not be empty"}},
	{"conditions no list", func(d *Definition) { config(&d.Nodes[2], `{"conditions":{}}`) }, []string{"nodes[2].config.conditions: must be an array, not an object"}},
	{"condition no object", func(d *Definition) { config(&d.Nodes[2], `{"conditions":["a"]}`) }, []string{"nodes[2].config.conditions[0]: must be an object, not a string"}},
	{"too many conditions", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[`+strings.Repeat("0,", MaxConditions)+`0]}`)
	}, []string{"nodes[2].config.conditions: has 101 elements; at most 100"}},
	{"empty condition", func(d *Definition) { config(&d.Nodes[2], `{"conditions":[{}]}`) },
		[]string{"nodes[2].config.conditions[0].field: is required", "nodes[2].config.conditions[0].operator: is required; must be one of equals,"}},
	{"unknown operator", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[{"field":"metadata.a","operator":"is","value":1}]}`)
	},
		[]string{`nodes[2].config.conditions[0].operator: invalid operator "is"; must be one of equals,`}},
	{"unknown condition key", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[{"field":"metadata.a","operator":"equals","value":1,"values":2}]}`)
	}, []string{"nodes[2].config.conditions[0].values: unknown field; must be one of field, operator, value"}},
	{"no value", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[{"field":"metadata.a","operator":"equals"}]}`)
	},
		[]string{"nodes[2].config.conditions[0].value: is required; to ask whether"}},
	{"exists with a value", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[{"field":"metadata.a","operator":"exists","value":1}]}`)
	},
		[]string{"nodes[2].config.conditions[0].value: must be a boolean for exists"}},
	{"order of a list", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[{"field":"metadata.a","operator":"less_than","value":[1]}]}`)
	}, []string{"nodes[2].config.conditions[0].value: must be a number or a string for less_than, not an array"}},
	{"unknown field root", func(d *Definition) { config(&d.Nodes[2], `{"conditions":[{"field":"age","operator":"exists"}]}`) },
		[]string{`nodes[2].config.conditions[0].field: invalid field "age"; must begin with metadata, steps or lead`}},
	{"unknown step of a condition", func(d *Definition) {
		config(&d.Nodes[2], `{"conditions":[{"field":"steps.x.outcome","operator":"exists"}]}`)
	}, []string{`nodes[2].config.conditions[0].field: unknown node "x"`}},

	{"empty expression", func(d *Definition) { config(&d.Nodes[2], `{"expression":" "}`) }, []string{"nodes[2].config.expression: must not be empty"}},
	{"overlong expression", func(d *Definition) {
		config(&d.Nodes[2], `{"expression":"`+strings.Repeat("true and ", 500)+`true"}`)
	}, []string{"nodes[2].config.expression: is 4504 bytes long; at most 4096"}},
	{"expression of many parts", func(d *Definition) {
		config(&d.Nodes[2], `{"expression":"1`+strings.Repeat("+1", 600)+`==1"}`)
	}, []string{"nodes[2].config.expression: is too long; at most 1000 names"}},
	{"expression no bool", func(d *Definition) { d.Nodes[2] = If("ask", "1 + 1") }, []string{"nodes[2].config.expression: must give a boolean, but gives a number"}},
	{"expression syntax", func(d *Definition) { d.Nodes[2] = If("ask", "metadata.age ==") }, []string{"nodes[2].config.expression: unexpected end of the expression (column 15)"}},
	{"expression syntax on line 2", func(d *Definition) { d.Nodes[2] = If("ask", "true and\n) true") }, []string{`nodes[2].config.expression: unexpected ")" (line 2, column 1)`}},
	{"unknown name", func(d *Definition) { d.Nodes[2] = If("ask", "age > 1") }, []string{"nodes[2].config.expression: unknown name age; the names are lead, metadata, steps and now() (column 1)"}},
	{"unknown field of lead", func(d *Definition) { d.Nodes[2] = If("ask", "lead.age > 1") }, []string{"nodes[2].config.expression: lead has no field age (column 6)"}},
	{"unknown field of a step", func(d *Definition) { d.Nodes[2] = If("ask", "steps.call.result == 'x'") }, []string{"nodes[2].config.expression: a step has no field result (column 12)"}},
	{"unknown steps", func(d *Definition) {
		d.Nodes[2] = If("ask", `steps.x.outcome == "a" or steps["y-z"].outcome == "b" or steps?.w.outcome == "c"`)
	},
		[]string{
			`nodes[2].config.expression: steps.x: the workflow has no node "x" (column 7)`,
			`nodes[2].config.expression: steps.y-z: the workflow has no node "y-z" (column 32)`,
			`nodes[2].config.expression: steps.w: the workflow has no node "w" (column 65)`,
		}},
	{"types that do not compare", func(d *Definition) { d.Nodes[2] = If("ask", `steps.call.outcome > 1`) }, []string{"nodes[2].config.expression: invalid operation: > (mismatched types string and int) (column 20)"}},
}

func TestValidateNamesTheFault(t *testing.T) {
	for _, tt := range faultCases {
		t.Run(tt.name, func(t *testing.T) {
			d := valid()
			tt.spoil(d)
			got := faultsOf(t, d.Validate())
			if len(got) != len(tt.want) {
				t.Fatalf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("fault %d:\n%s\nwant it to begin:\n%s", i, got[i], tt.want[i])
				}
				if strings.Contains(got[i], "\n") || len(got[i]) > 600 {
					t.Errorf("fault is no line: %q", got[i])
				}
			}
			_, err := Compile(d)
			if (err == nil) != (len(got) == 0) {
				t.Errorf("Compile: %v", err)
			}
		})
	}
}

// One definition with every fault that leaves room for the others.
func TestValidateNamesAllFaultsAtOnce(t *testing.T) {
	d := &Definition{
		Entry: "nowhere",
		Nodes: []Node{
			{ID: "", Type: "email"},
			{ID: "a b", Type: VoiceCall, Retry: &Retry{MaxAttempts: 0, Delay: -1, Backoff: 0.1, MaxDelay: -2}, Timeout: -1},
			{ID: "t", Type: Time, Config: json.RawMessage(`{"duration":"2d","until":"1","x":1}`), Timeout: 1, Retry: &Retry{}},
			{ID: "t", Type: Dropped},
			{ID: "c", Type: Conditional, Config: json.RawMessage(`{"expression":"steps.no.outcome == 1","conditions":[{"field":"x","operator":"y","value":null}],"match":"z"}`)},
			{ID: "d", Type: Conditional, Config: json.RawMessage(`{"expression":"true"}`)},
			{ID: "end", Type: Converted, Config: json.RawMessage(`{"x":1}`)},
		},
		Edges: []Edge{
			{From: "", To: "gone"},
			{From: "t", To: "c", Label: "x"},
			{From: "t", To: "c"},
			{From: "c", To: "d", Label: "true"},
			{From: "c", To: "d", Label: "maybe"},
			{From: "d", To: "c", Label: "true"},
			{From: "d", To: "end", Label: "true"},
			{From: "end", To: "t"},
			{From: "a b", To: "t"},
		},
	}
	want := []string{
		"name", "nodes[0].id", "nodes[1].id", "nodes[3].id", "entry",
		"nodes[0].type",
		"nodes[1].timeout", "nodes[1].retry.max_attempts", "nodes[1].retry.delay", "nodes[1].retry.max_delay", "nodes[1].retry.backoff",
		"nodes[2].retry", "nodes[2].timeout", "nodes[2].config.duration", "nodes[2].config.until", "nodes[2].config.x", "nodes[2].config",
		"nodes[4].config.expression", "nodes[4].config.expression",
		"nodes[4].config.conditions[0].field", "nodes[4].config.conditions[0].operator", "nodes[4].config.match", "nodes[4].config",
		"nodes[6].config.x",
		"edges[0].from", "edges[0].to", "edges[1].label", "edges[2]", "edges[4].label", "edges[6].label", "edges[7]", "edges[8].label",
		"nodes[4]",
	}
	err := d.Validate()
	var invalid *lead.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, lead.ErrInvalid) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range invalid.Faults {
		got = append(got, f.Location)
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults:\n%v\nat:\n%q\nwant:\n%q", err, got, want)
	}

	// The same from JSON, behind faults that only JSON can have.
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := strings.Replace(string(text), `{"name":"",`, `{"name":"","name":"","color":1,"description":7,`, 1)
	_, err = Parse([]byte(spoiled))
	got = got[:0]
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	for _, f := range invalid.Faults {
		got = append(got, f.Location)
	}
	if want := append([]string{"name", "color", "description"}, want...); !slices.Equal(got, want) {
		t.Errorf("from JSON: faults at:\n%q\nwant:\n%q", got, want)
	}
}

// A workflow whose nodes are within the limits, each by itself, is refused before
// compiling it takes seconds; and a million faults are not named.
func TestValidateBoundsTheSum(t *testing.T) {
	chain := func(n int, expression string) *Definition {
		d := &Definition{Name: "long", Entry: "n0", Nodes: []Node{End("end", Dropped)}}
		for i := range n {
			d.Nodes = append(d.Nodes, If(fmt.Sprintf("n%d", i), expression))
			d.Edges = append(d.Edges, On(fmt.Sprintf("n%d", i), "true", fmt.Sprintf("n%d", i+1)))
		}
		d.Edges[n-1].To = "end"
		return d
	}
	for _, tt := range []struct {
		d    *Definition
		want []string
	}{
		{chain(MaxExpressions/4000, "true"+strings.Repeat(" ", 3996)), nil},
		{chain(300, "true"+strings.Repeat(" ", 3996)), []string{
			"nodes[66].config.expression: the expressions of this workflow have more than 262144 bytes in total"}},
		{chain(300, `metadata.a matches "(?i)[A-\\x{1041}]"`), []string{
			"nodes[115].config.expression: the patterns of this workflow have more than 10000 parts in total"}},
	} {
		text, err := json.Marshal(tt.d)
		if err != nil {
			t.Fatal(err)
		}
		start := threadTime()
		_, err = Parse(text)
		took := threadTime() - start
		got := faultsOf(t, err)
		if len(got) != len(tt.want) || len(got) > 0 && !strings.HasPrefix(got[0], tt.want[0]) {
			t.Errorf("faults: %.300q; want %q", got, tt.want)
		}
		if took > 5*time.Second {
			t.Errorf("%d bytes of JSON take %v", len(text), took)
		}
	}

	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `"x%d":0,`, i)
	}
	for _, text := range []string{
		`{` + strings.Repeat(`"name":0,`, 20_000) + `"name":0}`,
		`{` + b.String() + `"name":"x"}`,
		`{"nodes":[` + strings.Repeat(`0,`, 2000) + `0]}`,
		`{"nodes":[` + strings.Repeat(`{"type":"conditional","config":{"expression":"x or y or z"}},`, 2000) + `0]}`,
		`{"name":"x","nodes":[{"id":"a","type":"time"}],"edges":[` + strings.Repeat(`{"from":"x","to":"y"},`, 2000) + `{}]}`,
	} {
		_, err := Parse([]byte(text))
		got := faultsOf(t, err)
		if len(got) != maxFaults+1 || got[maxFaults] != "has more than 100 faults; only the first ones are listed" {
			t.Errorf("%.50s: %d faults, the last is %q", text, len(got), got[len(got)-1])
		}
	}
}

// The longest chain that is allowed is walked to its end, and the message about
// it stays short.
func TestValidateAtTheLimits(t *testing.T) {
	d := &Definition{Name: "long", Entry: "n0"}
	for i := range MaxNodes - 1 {
		d.Nodes = append(d.Nodes, If(fmt.Sprintf("n%d", i), "true"))
		d.Edges = append(d.Edges, On(fmt.Sprintf("n%d", i), "true", fmt.Sprintf("n%d", i+1)))
	}
	last := fmt.Sprintf("n%d", MaxNodes-1)
	d.Nodes = append(d.Nodes, If(last, "true"))
	d.Edges = append(d.Edges, On(last, "true", "n0"))
	got := faultsOf(t, d.Validate())
	if len(got) != 1 || !strings.Contains(got[0], "n0 → n1 → ") || !strings.Contains(got[0], "… (9980 more) → n0") {
		t.Errorf("faults: %q", got)
	}
}
