package workflow

import (
	"slices"
	"testing"
	"time"
)

func TestNeeds(t *testing.T) {
	condition := func(field string) Node { return IfAll("", Condition{Field: field, Operator: Exists}) }
	const first, firstCall, later = 0, 1, 2
	all := []int32{0, 1, 2, 3, 4}
	for _, tt := range []struct {
		node    Node
		steps   []int32
		contact bool
	}{
		{If("", "now().Hour() > 3"), nil, false},
		{If("", "metadata.a == 1"), nil, true},
		{If("", `lead.external_id == ""`), nil, true},
		{If("", `steps.first.outcome == ""`), []int32{first}, false},
		{If("", `steps.later.outcome == "" or steps["first-call"].data.x == 1 and steps.later.attempts > 1`), []int32{firstCall, later}, false},
		{If("", `let s = steps.later; s.outcome == metadata.x`), []int32{later}, true},
		{If("", `steps?.first?.outcome == "x"`), []int32{first}, false},
		{If("", `any(metadata.list, steps.later.outcome == #)`), []int32{later}, true},
		{If("", `len(keys(steps)) == 1 and metadata?.a == 1`), all, true},
		{If("", `steps[metadata.x].outcome == "x"`), all, true},
		{If("", `steps["la" + "ter"].outcome == "x"`), all, false},
		{If("", `any(values(steps), .outcome == "x")`), all, false},
		{If("", `let s = steps; s.later.outcome == "x"`), all, false},
		{If("", `get(steps, "later").outcome == "x"`), all, false},
		{If("", `"later" in steps`), all, false},
		{condition("phone_number"), nil, true},
		{condition("metadata.a"), nil, true},
		{condition("steps.first.outcome"), []int32{first}, false},
		{IfAny("", Condition{Field: "steps.later.data.x", Operator: Exists}, Condition{Field: `steps["first-call"].outcome`, Operator: Exists}), []int32{firstCall, later}, false},
		{Wait("", time.Hour), nil, false},
		{WaitUntil("", "now()"), nil, false},
		{WaitUntil("", "steps.first.exited_at"), []int32{first}, false},
		{WaitUntil("", `metadata.at ?? now()`), nil, true},
	} {
		g := branch(t, tt.node)
		if got := g.ReadsSteps(branchNode); !slices.Equal(got, tt.steps) || g.NeedsSteps(branchNode) != (len(tt.steps) > 0) {
			t.Errorf("%s: reads the steps of %v, want %v", tt.node.Config, got, tt.steps)
		}
		if got := g.NeedsContact(branchNode); got != tt.contact {
			t.Errorf("%s: needs the contact: %v", tt.node.Config, got)
		}
		for i := range int32(g.Len()) {
			if got := g.StepRead(i); got != slices.Contains(tt.steps, i) {
				t.Errorf("%s: the step of node %d is read: %v", tt.node.Config, i, got)
			}
			if i != branchNode && (g.NeedsSteps(i) || g.NeedsContact(i) || !g.Cheap(i)) {
				t.Errorf("%s: node %d evaluates nothing", tt.node.Config, i)
			}
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = g.ReadsSteps(branchNode), g.StepRead(1) }); n > 0 {
			t.Errorf("looking up what is read makes %v allocations", n)
		}
	}
}

func TestCheap(t *testing.T) {
	condition := func(field string, o Operator, value any) Node {
		return IfAll("", Condition{Field: field, Operator: o, Value: value})
	}
	for _, tt := range []struct {
		node Node
		want bool
	}{
		{Wait("", time.Hour), true},
		{If("", `true`), true},
		{If("", `metadata.age == "42"`), true},
		{If("", `metadata.score * 2 > 15 and not (metadata.flag ?? false)`), true},
		{If("", `int(metadata.age) in 18..65`), true},
		{If("", `metadata.country in ["DE", "FR"]`), true},
		{If("", `metadata.a?.b.c == nil ? true : 1 == metadata.n`), true},
		{If("", `steps.first.outcome == "completed" or steps.first.outcome contains "x"`), true},
		{If("", `lead.time_zone startsWith "Europe/" and metadata.x startsWith "a"`), true},
		{If("", `now().Hour() > 9 and now().In(timezone("Europe/Berlin")).Weekday().String() != "Sunday"`), true},
		{If("", `now() - steps.first.exited_at > duration("1h")`), true},
		{If("", `let a = metadata.x; a == 1`), true},
		{WaitUntil("", `now() + duration("24h")`), true},
		{WaitUntil("", `date("2026-05-01 09:00", "2006-01-02 15:04", "Europe/Berlin")`), true},

		{If("", `metadata.a == metadata.b`), false},
		{If("", `metadata.a == steps.first.data.b`), false},
		{If("", `metadata.a in metadata.b`), false},
		{If("", `metadata.a contains "x"`), false},
		{If("", `metadata.a matches "x"`), false},
		{If("", `any(metadata.a, true)`), false},
		{If("", `count([true]) == 1`), false},
		{If("", `len(1..900) == 900`), false},
		{If("", `len(metadata.a) == 1`), false},
		{If("", `metadata.a + metadata.b == "x"`), false},
		{If("", `"a" + metadata.b == "x"`), false},
		{If("", `upper(metadata.a) == "X"`), false},
		{If("", `fromJSON(metadata.a).b == 1`), false},
		{If("", `keys(metadata)[0] == "a"`), false},
		{If("", `median(metadata.a) == 1`), false},
		{If("", `now().In(timezone(lead.time_zone)).Hour() > 9`), false}, // the zone may have to be read from a file
		{If("", `lead == metadata.lead`), false},
		{If("", `let a = metadata.x; let b = metadata.y; a == b`), false},

		{condition("metadata.age", GreaterThan, 18), true},
		{condition("metadata.name", Equals, "Ada"), true},
		{condition("metadata.tags", Contains, "vip"), false},
		{condition("phone_number", Contains, "+1"), true},
		{condition("steps.first.outcome", Contains, "x"), true},
		{condition("steps.first.data", Contains, "x"), false},
		{condition("metadata.tags", Equals, []string{"vip"}), false},
		{IfAny("", Condition{Field: "metadata.a", Operator: Exists}, Condition{Field: "metadata.b", Operator: Contains, Value: 1}), false},
	} {
		if got := branch(t, tt.node).Cheap(branchNode); got != tt.want {
			t.Errorf("%s: cheap %v, want %v", tt.node.Config, got, tt.want)
		}
	}
}
