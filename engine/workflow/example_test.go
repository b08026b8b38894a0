package workflow_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func nurture() *workflow.Definition {
	return &workflow.Definition{
		Name:  "Nurture",
		Entry: "first",
		Nodes: []workflow.Node{
			workflow.CallNode("first", workflow.Config{"url": "https://example.com/call"}).
				WithLabel("Call them").
				WithTimeout(2 * time.Hour).
				WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(30 * time.Minute), Backoff: 2}),
			workflow.Wait("pause", 48*time.Hour),
			workflow.If("adult", `int(metadata.age ?? "0") >= 18`),
			workflow.End("won", workflow.Converted),
			workflow.End("lost", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("first", "completed", "adult"),
			workflow.On("first", workflow.DefaultLabel, "pause"),
			workflow.To("pause", "first"),
			workflow.On("adult", "true", "won"),
			workflow.On("adult", "false", "lost"),
		},
	}
}

func ExampleCompile() {
	g, err := workflow.Compile(nurture())
	if err != nil {
		fmt.Println(err)
		return
	}
	next, _ := g.Next(g.Entry(), "completed")
	adult, err := g.Test(next, &workflow.Env{
		Contact: lead.Contact{Metadata: map[string]any{"age": "42"}},
	})
	fmt.Println(g.Node(next).ID, adult, err)

	next, _ = g.Next(g.Entry(), "dnp") // no edge of its own: the default
	until, err := g.Until(next, nil, time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC))
	fmt.Println(g.Node(next).ID, until.Format(time.RFC3339), err)
	// Output:
	// adult true <nil>
	// pause 2026-05-03T09:00:00Z <nil>
}

func ExampleParse() {
	_, err := workflow.Parse([]byte(`{
		"name": "Nurture",
		"entry": "first",
		"nodes": [
			{"id": "first", "type": "voice_call"},
			{"id": "pause", "type": "time", "config": {"duration": "2d"}},
			{"id": "won", "type": "converted"}
		],
		"edges": [
			{"from": "first", "to": "pause"},
			{"from": "pause", "to": "wonn"}
		]
	}`))
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		for _, fault := range invalid.Faults {
			fmt.Println(fault)
		}
	}
	// Output:
	// nodes[1].config.duration: invalid duration "2d"; the units are h, m and s: write "48h"
	// edges[0].label: is required; name an outcome of node "first", or write "default" for every other outcome
	// edges[1].to: unknown node "wonn"
	// nodes[2]: node "won" cannot be reached from the entry "first"; add an edge or remove the node
}

func ExampleDefinition_Validate() {
	d := nurture()
	d.Entry = "frist"
	d.Nodes[2] = workflow.If("adult", `metadata.age >= "18" and steps.second.outcome == "completed"`)
	fmt.Println(d.Validate())
	// Output:
	// lead: invalid workflow, 2 faults:
	// 	entry: unknown node "frist"
	// 	nodes[2].config.expression: steps.second: the workflow has no node "second" (column 32)
}

func ExampleDefinition_Mermaid() {
	fmt.Print(nurture().Mermaid())
	// Output:
	// flowchart TD
	//     n0["Call them<br/>voice_call"]
	//     n1(["pause<br/>time"])
	//     n2{"adult<br/>conditional"}
	//     n3((("won<br/>converted")))
	//     n4((("lost<br/>dropped")))
	//     start(( ))
	//     start --> n0
	//     n0 -->|"completed"| n2
	//     n0 -->|"default"| n1
	//     n1 --> n0
	//     n2 -->|"true"| n3
	//     n2 -->|"false"| n4
}

func ExampleIfAny() {
	d := &workflow.Definition{
		Name:  "Branch",
		Entry: "big",
		Nodes: []workflow.Node{
			workflow.IfAny("big",
				workflow.Condition{Field: "metadata.employees", Operator: workflow.GreaterThan, Value: 500},
				workflow.Condition{Field: "metadata.tags", Operator: workflow.Contains, Value: "vip"},
			),
			workflow.End("yes", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.On("big", "true", "yes")},
	}
	g, err := workflow.Compile(d)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, metadata := range []map[string]any{
		{"employees": "1200"}, // as CSV has it
		{"employees": 12, "tags": []any{"vip"}},
		{},
	} {
		fmt.Println(g.Test(g.Entry(), &workflow.Env{Contact: lead.Contact{Metadata: metadata}}))
	}
	// Output:
	// true <nil>
	// true <nil>
	// false <nil>
}

// Nine in the morning of the next day where the lead lives, or where the office is when a
// lead has no time zone. The day is that of the lead too: in Tokyo it is tomorrow already.
func ExampleWaitUntil() {
	d := &workflow.Definition{
		Name:  "Tomorrow at nine",
		Entry: "night",
		Nodes: []workflow.Node{
			workflow.WaitUntil("night", `
				let zone = lead.time_zone != "" ? lead.time_zone : "America/New_York";
				let tomorrow = now().In(timezone(zone)).AddDate(0, 0, 1);
				date(tomorrow.Format("2006-01-02") + " 09:00", "2006-01-02 15:04", zone)`),
			workflow.End("done", workflow.Dropped),
		},
		Edges: []workflow.Edge{workflow.To("night", "done")},
	}
	g, err := workflow.Compile(d)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 3, 28, 20, 30, 0, 0, time.UTC) // in Berlin the clocks change in the night
	for _, zone := range []string{"Europe/Berlin", "Asia/Tokyo", ""} {
		until, err := g.Until(g.Entry(), &workflow.Env{Now: now, Contact: lead.Contact{TimeZone: zone}}, now)
		fmt.Printf("%q: %v, %v\n", zone, until, err)
	}
	// Output:
	// "Europe/Berlin": 2026-03-29 07:00:00 +0000 UTC, <nil>
	// "Asia/Tokyo": 2026-03-30 00:00:00 +0000 UTC, <nil>
	// "": 2026-03-29 13:00:00 +0000 UTC, <nil>
}

// A call between nine and five on a working day, in the time zone of each lead, or in
// that of the office where a lead has none.
func ExampleIf() {
	d := &workflow.Definition{
		Name:  "Office hours",
		Entry: "open",
		Nodes: []workflow.Node{
			workflow.If("open", `
				let local = now().In(timezone(lead.time_zone != "" ? lead.time_zone : "America/New_York"));
				local.Hour() in 9..16 and int(local.Weekday()) in 1..5`),
			workflow.CallNode("call", nil),
			workflow.WaitUntil("wait", `now() + duration("15m")`),
			workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("open", "true", "call"),
			workflow.On("open", "false", "wait"),
			workflow.To("wait", "open"),
			workflow.On("call", workflow.DefaultLabel, "done"),
		},
	}
	g, err := workflow.Compile(d)
	if err != nil {
		fmt.Println(err)
		return
	}
	friday := time.Date(2026, 5, 1, 14, 30, 0, 0, time.UTC)
	for _, zone := range []string{"Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles", ""} {
		open, err := g.Test(g.Entry(), &workflow.Env{Now: friday, Contact: lead.Contact{TimeZone: zone}})
		fmt.Printf("%q: %v, %v\n", zone, open, err)
	}
	// Output:
	// "Europe/Berlin": true, <nil>
	// "Asia/Tokyo": false, <nil>
	// "America/Los_Angeles": false, <nil>
	// "": true, <nil>
}

// An evaluation that would delay everybody else is stopped.
func ExampleErrBudget() {
	d := &workflow.Definition{
		Name:  "Common interests",
		Entry: "common",
		Nodes: []workflow.Node{
			workflow.If("common", `any(metadata.interests, # in metadata.offers)`),
			workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.On("common", "true", "done")},
	}
	g, err := workflow.Compile(d)
	if err != nil {
		fmt.Println(err)
		return
	}
	interests, offers := make([]any, 20_000), make([]any, 20_000)
	for i := range interests {
		interests[i], offers[i] = i, -i-1
	}
	_, err = g.Test(g.Entry(), &workflow.Env{
		Contact: lead.Contact{Metadata: map[string]any{"interests": interests, "offers": offers}},
	})
	fmt.Println(errors.Is(err, workflow.ErrBudget))
	fmt.Println(err)
	// Output:
	// true
	// workflow: node common: expression: stopped after 100000 steps, the most that one evaluation may take (column 27)
}
