package workflow

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

var testNow = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

func testEnv() *Env {
	return &Env{
		Contact: lead.Contact{
			PhoneNumber: "+14155552671", ExternalID: "crm-7", TimeZone: "Europe/Berlin",
			Metadata: map[string]any{
				"age": "42", "score": 7.5, "first name": "Ada", "flag": true, "nothing": nil,
				"tags": []any{"vip", "eu"}, "address": map[string]any{"city": "Berlin"},
				"born": "1990-02-03", "text": "x",
			},
		},
		Steps: map[string]StepResult{
			"first": {
				Outcome: "completed", Status: "completed", Attempts: 2, CallID: "c1",
				Data:      map[string]any{"score": 3.0, "answers": []any{"yes", "no"}},
				EnteredAt: testNow.Add(-2 * time.Hour), ExitedAt: testNow.Add(-time.Hour),
			},
			"first-call": {Outcome: "dnp"},
		},
		Now: testNow.In(time.FixedZone("", 7200)),
	}
}

// branch is a graph of one conditional node, in a workflow whose nodes
// expressions can name.
func branch(t testing.TB, n Node) *Graph {
	t.Helper()
	n.ID = "n"
	d := &Definition{
		Name:  "branch",
		Entry: "first",
		Nodes: []Node{CallNode("first", nil), CallNode("first-call", nil), CallNode("later", nil), n, End("end", Dropped)},
		Edges: []Edge{On("first", "a", "first-call"), On("first", "b", "later"), On("first", "c", "n"), To("n", "end")},
	}
	if n.Type == Conditional {
		d.Edges[3].Label = "true"
	}
	g, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const branchNode = 3

var expressionCases = []struct {
	source string
	want   bool
	err    string // a part of the error
}{
	{`lead.phone_number == "+14155552671"`, true, ""},
	{`lead.external_id == "crm-7" and lead.time_zone startsWith "Europe/"`, true, ""},
	{`metadata.age == "42"`, true, ""},
	{`int(metadata.age) > 41 and float(metadata.age) < 42.5`, true, ""},
	{`metadata.score * 2 == 15`, true, ""},
	{`metadata["first name"] == "Ada"`, true, ""},
	{`metadata.missing == nil`, true, ""},
	{`metadata.nothing == nil`, true, ""},
	{`metadata.missing != "x"`, true, ""},
	{`metadata.address.city == "Berlin"`, true, ""},
	{`metadata.missing?.city == nil`, true, ""},
	{`(metadata.missing ?? 0) > 5`, false, ""},
	{`metadata.flag`, true, ""},
	{`metadata.missing`, false, ""}, // a missing flag is not set
	{`"vip" in metadata.tags`, true, ""},
	{`any(metadata.tags, # == "eu")`, true, ""},
	{`metadata.age in ["41", "42"]`, true, ""},
	{`metadata.text in [metadata.age, lead.external_id, "x"]`, true, ""},
	{`int(metadata.age) in 18..65`, true, ""},
	{`steps.first.outcome == "completed"`, true, ""},
	{`steps["first-call"].outcome == "dnp"`, true, ""},
	{`steps.first.data.score == 3`, true, ""},
	{`steps.first.data.answers[0] == "yes"`, true, ""},
	{`steps.first.attempts == 2 and steps.first.status == "completed" and steps.first.call_id == "c1" and steps.first.error == ""`, true, ""},
	{`steps.later.outcome == ""`, true, ""},
	{`steps.later.data.score == nil`, true, ""},
	{`steps.later.attempts == 0`, true, ""},
	{`now() - steps.first.exited_at == duration("1h")`, true, ""},
	{`now() == date("2026-05-01T09:00:00Z")`, true, ""},
	{`::now() == date("2026-05-01T09:00:00Z")`, true, ""},
	{`now().Location().String() == "UTC"`, true, ""},
	{`now().Hour() == 9 and now().In(timezone(lead.time_zone)).Hour() == 11`, true, ""},
	{`now() + duration("24h") > date("2026-05-02")`, true, ""},
	{`date(metadata.born).Year() == 1990`, true, ""},
	{`"a" + metadata.text + "b" == "axb"`, true, ""},
	{`1 + 2 == 3 and metadata.score + 1 == 8.5`, true, ""},
	{`string(metadata.score) == "7.5" and string(nil) == "" and string(true) == "true"`, true, ""},
	{`let a = int(metadata.age); a > 18 and a < 65`, true, ""},
	{`metadata.text matches "^x+$"`, true, ""},

	{`metadata.missing > 5`, false, "workflow: node n: expression: cannot evaluate nil > a number; where a value may be missing, give it one, as in (metadata.score ?? 0) (column 18)"},
	{`metadata.missing.city == 1`, false, "cannot read city of nil; write ?.city where a value may be missing (column 18)"},
	{`metadata.text`, false, "must give a boolean, but gives a string"},
	{`metadata.tags[7] == 1`, false, "index 7 is out of range; the length is 2"},
	{`date(metadata.text) == now()`, false, `date() cannot convert "x" to a time`},
	{`int(metadata.text) > 1`, false, "column 1"},
	{`string(metadata.tags) == ""`, false, "string() takes a string, a number, a boolean or a time, not an array"},
}

func TestExpressions(t *testing.T) {
	for _, tt := range expressionCases {
		t.Run(tt.source, func(t *testing.T) {
			g := branch(t, If("", tt.source))
			got, err := g.Test(branchNode, testEnv())
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, %v; want %v, %q", got, err, tt.want, tt.err)
			}
			if err != nil && (strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "workflow: ")) {
				t.Errorf("error is no line of this package: %q", err)
			}
			// An environment that knows nothing must not panic, whatever comes of it.
			_, _ = g.Test(branchNode, nil)
		})
	}
}

type boundCase struct{ source, want string }

// boundCases would fill the memory, or the rest of the day.
func boundCases() []boundCase {
	doubling := "let a0 = metadata.text; "
	for i := range 20 {
		doubling += strings.NewReplacer("N", string(rune('a'+i)), "M", string(rune('b'+i))).Replace("let M0 = N0 + N0; ")
	}
	return []boundCase{
		{`repeat("x", 1000000000) == ""`, "function repeat is not available here; the functions are abs, all, any, "},
		{`::repeat("x", 1000000000) == ""`, "function repeat is not available here"},
		{`let f = repeat; f("x", 1000000000) == ""`, "repeat"},
		{`len(toJSON(metadata)) > 1`, "function toJSON is not available"},
		{`metadata.tags | join(",") == ""`, "function join is not available"},
		{`reduce(metadata.tags, #acc + #acc, "x") == ""`, "function reduce is not available"},
		{`::string(metadata.tags) == ""`, "string() takes a string, a number, a boolean or a time, not an array"},
		{`len(sort(1..9)) == 9`, "function sort is not available"},
		{`count(1..1000000000, true) > 1`, "stopped after 100000 steps"},
		{`count(-9223372036854775807..9223372036854775807, true) > 1`, "stopped after 100000 steps"},
		{`all(1..999, all(1..999, all(1..999, true)))`, "stopped after 100000 steps"},
		{`metadata.tags | map(#) == nil`, "function map is not available"},
		{`$env["steps"] == nil`, "$env is not available here"},
		{`$env.steps.x == nil`, "$env is not available here"},
		{"$add(1, 2) == 3", "unknown name $add"},
		{doubling + `u0 == ""`, "stopped after 100000 steps"},
		{strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000), ""},
		{strings.Repeat("not ", 1000) + "true", "is too long"},
		{strings.Repeat("{", 4000), "a map key must be"},
	}
}

func TestExpressionsAreBounded(t *testing.T) {
	for _, tt := range boundCases() {
		_, faults := expression.Compile(tt.source, expression.Bool, func(string) bool { return true })
		got := strings.Join(faults, "\n")
		if faults == nil {
			if _, err := branch(t, If("", tt.source)).Test(branchNode, testEnv()); err != nil {
				got = err.Error()
			}
		}
		if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%.60s: %q, want %q", tt.source, got, tt.want)
		}
	}
}

func TestUntil(t *testing.T) {
	for _, tt := range []struct{ source, want, err string }{
		{`now() + duration("24h")`, "2026-05-02T09:00:00Z", ""},
		{`date("2026-05-01 09:00", "2006-01-02 15:04", lead.time_zone)`, "2026-05-01T07:00:00Z", ""},
		{`date(metadata.born)`, "1990-02-03T00:00:00Z", ""}, // the past: due at once
		{`steps.first.exited_at + duration("1h")`, "2026-05-01T09:00:00Z", ""},
		{`metadata.missing ?? now()`, "2026-05-01T09:00:00Z", ""},
		{`metadata.missing`, "", "workflow: node n: until gives nil, not a time"},
		{`metadata.born`, "", "until gives a string, not a time; date(…) converts a string to a time"},
		{`metadata.score`, "", "until gives a number, not a time"},
		{`date("15:04:05")`, "", "until gives 0000-01-01T15:04:05Z, which is not between the years 1970 and 2261"},
		{`date("9999-01-01")`, "", "which is not between"},
		{`steps.later.exited_at`, "", "which is not between"},
		{`date(metadata.text)`, "", "workflow: node n: until: date() cannot convert \"x\" to a time; write 2026-05-01 or 2026-05-01T09:00:00Z, or give a layout (column 1)"},
	} {
		g := branch(t, WaitUntil("", tt.source))
		got, err := g.Until(branchNode, testEnv(), testNow.Add(time.Minute))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, %v; want error %q", tt.source, got, err, tt.err)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339) != tt.want || got.Location() != time.UTC {
			t.Errorf("%s: %v, %v; want %s", tt.source, got, err, tt.want)
		}
	}
}

// A simulation must not see the machine's clock.
func TestNowIsEnvNow(t *testing.T) {
	g := branch(t, If("", `now() == date("1999-12-31T23:59:59Z")`))
	now := time.Date(2000, 1, 1, 0, 59, 59, 0, time.FixedZone("CET", 3600))
	if got, err := g.Test(branchNode, &Env{Now: now}); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := g.Test(branchNode, &Env{Now: now.Add(1)}); got || err != nil {
		t.Errorf("a nanosecond later: %v, %v", got, err)
	}
}

// A graph is shared by everything that moves leads; the race detector watches.
func TestGraphIsSafeForConcurrentUse(t *testing.T) {
	g := branch(t, If("", `steps.first.outcome == "completed" and any(metadata.tags, # == "vip") and "a" + metadata.text == "ax" and now().Year() == 2026`))
	until := branch(t, WaitUntil("", `now() + duration("1h")`))
	env := testEnv()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if ok, err := g.Test(branchNode, env); !ok || err != nil {
					t.Errorf("%v, %v", ok, err)
					return
				}
				if at, err := until.Until(branchNode, env, testNow); err != nil || !at.Equal(testNow.Add(time.Hour)) {
					t.Errorf("%v, %v", at, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkTest(b *testing.B) {
	env := testEnv()
	b.Run("expression", func(b *testing.B) {
		g := branch(b, If("", `steps.first.outcome == "completed" and int(metadata.age) > 18`))
		for b.Loop() {
			_, _ = g.Test(branchNode, env)
		}
	})
	b.Run("conditions", func(b *testing.B) {
		g := branch(b, IfAll("",
			Condition{Field: "steps.first.outcome", Operator: Equals, Value: "completed"},
			Condition{Field: "metadata.age", Operator: GreaterThan, Value: 18}))
		for b.Loop() {
			_, _ = g.Test(branchNode, env)
		}
	})
}
