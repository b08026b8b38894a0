package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

// asking is a workflow that is called, waits until the appointment, and asks.
const asking = `{
  "name": "Asking", "entry": "call",
  "nodes": [
    {"id": "call", "type": "voice_call"},
    {"id": "rest", "type": "time", "config": {"until": "date(metadata.appointment)"}},
    {"id": "rich", "type": "conditional", "config": {"expression": "int(metadata.income) > 1000"}},
    {"id": "pro", "type": "conditional", "config": {"conditions": [
      {"field": "metadata.First plan", "operator": "equals", "value": "pro"},
      {"field": "steps[\"call\"].data.score", "operator": "greater_than", "value": 5}]}},
    {"id": "late", "type": "conditional", "config": {"expression": "now().Year() >= 2100"}},
    {"id": "here", "type": "conditional", "config": {"expression": "lead.time_zone == \"Asia/Tokyo\""}},
    {"id": "won", "type": "converted"}
  ],
  "edges": [
    {"from": "call", "label": "default", "to": "rest"},
    {"from": "rest", "to": "rich"},
    {"from": "rich", "label": "true", "to": "pro"}, {"from": "rich", "label": "false", "to": "pro"},
    {"from": "pro", "label": "true", "to": "late"}, {"from": "pro", "label": "false", "to": "late"},
    {"from": "late", "label": "true", "to": "here"}, {"from": "late", "label": "false", "to": "here"},
    {"from": "here", "label": "true", "to": "won"}, {"from": "here", "label": "false", "to": "won"}
  ]
}`

// A condition that is the same for everybody tests nothing, and the report says
// so, and which values it lacks.
func TestSimulateNamesConditionsThatTestNothing(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": asking, "answers.json": `{
		"nodes": {"call": {"data": {"score": [1, 2]}}},
		"metadata": {"appointment": ["2030-01-08T00:00:00Z"], "income": ["a lot", "200"], "First plan": ["pro"]}}`})
	out := simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"answers.json")
	for _, want := range []string{
		"\n  pro   conditional  1,000   -         true 0.0%, false 100.0%\n",
		"%, could not be evaluated ",
		" of 1,000 visits, and leads went on as if it were false: ",
		`; it reads metadata.income: give values under "metadata" in the --answers file.`,
		"\n" + `pro was false at all 1,000 visits; it reads metadata["First plan"] and steps.call.data.score: ` +
			`give values under "metadata" and "nodes.call.data" in the --answers file.` + "\n",
		"\nlate was false at all 1,000 visits; it is now().Year() >= 2100.\n",
		"\nhere was false at all 1,000 visits; it reads lead.time_zone.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	// Nobody knows an appointment.
	out = simulate(t, "-workflow", dir+"wf.json")
	for _, want := range []string{
		"\nrest did not know until when to wait at 1,000 of 1,000 visits: ",
		`; it reads metadata.appointment: give values under "metadata" in the --answers file.`,
		"\n  rich  conditional  0       -         -\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// The workflow that the README of the repository has played is played with values for its condition.
func TestSimulateTakesBothWaysAtTheQuickstartsCondition(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../quickstart/workflow.json")
	if err != nil {
		t.Fatal(err)
	}
	if readme := read(t, "../../README.md"); !strings.Contains(readme, "\ngo run ./examples/leadflow simulate -workflow examples/quickstart/workflow.json\n") {
		t.Error("the README plays another one")
	}
	out := simulate(t, "-workflow", path)
	if strings.Contains(out, `true<br/>0"`) || strings.Contains(out, "at all") || !strings.Contains(out, "  converted  ") {
		t.Errorf("one way was not taken:\n%s", out)
	}
	var printed struct {
		Nodes    map[string]map[string]any
		Metadata map[string][]any
		RemoveOn []string `json:"remove_on"`
	}
	if err := json.Unmarshal([]byte(simulate(t, "-workflow", path, "-print-answers")), &printed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]any{"plan": {"pro", nil}}, printed.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if printed.RemoveOn == nil || printed.Nodes["guide"]["data"] == nil {
		t.Errorf("remove_on and data are not there to be filled in: %v", printed)
	}
}

func TestReadsAreFoundInExpressionsAndConditions(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`{"expression": "metadata.plan == \"pro\" and 3 != metadata.size or metadata.plan in [\"a\", \"pro\"]"}`,
			`metadata.plan["pro","a"] metadata.size[3]`},
		{`{"expression": "metadata[\"first name\"] != \"\" and metadata?.address?.city == \"Rome\""}`, `metadata["first name"][""] metadata.addressnull`},
		{`{"expression": "steps.call.data.score.total > 3 and steps.call.outcome == \"sent\" and len(steps) > 0"}`,
			`steps.call.data.scorenull steps.call.outcome["sent"]`},
		{`{"expression": "let m = metadata; m.plan == \"pro\" and now() > now()"}`, ``},
		{`{"conditions": [{"field": "metadata.a b", "operator": "not_equals", "value": true}, {"field": "metadata[\"c.d\"].e", "operator": "exists"},
			{"field": "time_zone", "operator": "equals", "value": "UTC"}]}`, `metadata["a b"][true] metadata["c.d"]null lead.time_zone["UTC"]`},
	} {
		def := &workflow.Definition{Nodes: []workflow.Node{{ID: "if", Type: workflow.Conditional, Config: []byte(c.config)}}}
		var got []string
		for _, n := range readsOf(def)["if"].names {
			values, _ := json.Marshal(n.values)
			got = append(got, n.String()+string(values))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s\ngives %s\nwant  %s", c.config, text, c.want)
		}
	}
}

// An outcome that a condition asks for is made up only where an edge takes it on;
// in a file of answers it may stand all the same.
func TestSimulateMakesUpNoOutcomeWithoutAnEdge(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": `{"name": "Odd", "entry": "call",
		"nodes": [{"id": "call", "type": "voice_call", "retry": {"max_attempts": 9, "delay": "1m"}},
			{"id": "odd", "type": "conditional", "config": {"expression": "steps.call.outcome == \"odd\""}}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "label": "completed", "to": "odd"}, {"from": "odd", "label": "true", "to": "won"}, {"from": "odd", "label": "false", "to": "won"}]}`,
		"odd.json": `{"nodes": {"call": {"outcomes": {"odd": 1}}}}`})
	out := simulate(t, "-workflow", dir+"wf.json")
	if !strings.Contains(out, "\n  converted           1,000  100.0%\n") || !strings.Contains(out, "odd was false at all 1,000 visits") {
		t.Errorf("%s", out)
	}
	if out = simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"odd.json"); !strings.Contains(out, "\n  no_route            1,000  100.0%") {
		t.Errorf("%s", out)
	}
}

// What said and rate_key read is made up too.
func TestSimulateMakesUpWhatSaidAndRateKeysRead(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": `{"name": "Said", "entry": "call",
		"nodes": [{"id": "call", "type": "voice_call", "rate_key": "metadata.line"}, {"id": "rest", "type": "time", "config": {"said": "steps.call.data.when"}},
			{"id": "text", "type": "message", "rate_key": "sms.line"}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "to": "rest", "label": "default"}, {"from": "rest", "to": "text"}, {"from": "text", "to": "won", "label": "default"}]}`})
	var got answers
	if err := json.Unmarshal([]byte(simulate(t, "-workflow", dir+"wf.json", "-print-answers")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]any{"line": {nil}}, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]any{"when": {"tomorrow 4 PM", nil}}, got.Nodes["call"].Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if out := simulate(t, "-workflow", dir+"wf.json", "-leads", "50"); !strings.Contains(out, "  converted ") {
		t.Errorf("nobody converts:\n%s", out)
	}
}
