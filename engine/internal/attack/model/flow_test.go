package engine_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file draws what the model test works with: workflows, contacts, and what
// handlers and hooks answer.

// drawFlow draws a workflow: a row of one to four nodes, each leading to the
// next, and other edges of actions leading anywhere. So every circle has an
// action in it.
func drawFlow(t *rapid.T, name string) *specFlow {
	f := &specFlow{name: name, status: lead.WorkflowDraft, entry: "n0", nodes: map[string]*specNode{}}
	row := rapid.IntRange(1, 4).Draw(t, "nodes")
	kinds := []workflow.NodeType{
		workflow.VoiceCall, workflow.Message, workflow.Application, workflow.VoiceCall, workflow.Time, workflow.Conditional,
	}
	for i := range row {
		n := &specNode{id: fmt.Sprintf("n%d", i), edges: map[string]string{}}
		n.kind = rapid.SampledFrom(kinds).Draw(t, n.id)
		f.add(n)
	}
	for i := range row {
		n := f.order[i]
		next := "won"
		if i+1 < row {
			next = f.order[i+1].id
		}
		onwards := []string{"lost", next} // where a node may lead that takes no time
		switch {
		case n.kind == workflow.Time:
			n.wait = rapid.SampledFrom([]time.Duration{time.Minute, time.Millisecond, 2 * time.Hour, 48 * time.Hour}).Draw(t, "wait")
			n.edges[""] = next
		case n.kind == workflow.Conditional:
			n.edges["true"] = next
			n.edge(t, "false", onwards)
		default:
			n.attempts = rapid.IntRange(1, 3).Draw(t, "attempts")
			n.delay = rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute, time.Hour}).Draw(t, "delay")
			n.timeout = rapid.SampledFrom([]time.Duration{time.Hour, 20 * time.Minute, 3 * time.Hour}).Draw(t, "timeout")
			n.edges[n.kind.SuccessOutcome()] = next
			anywhere := onwards
			for _, other := range f.order[:row] {
				anywhere = append(anywhere, other.id)
			}
			n.edge(t, n.kind.FailureOutcome(), anywhere)
			n.edge(t, "dnp", anywhere)
			n.edge(t, workflow.DefaultLabel, anywhere)
		}
	}
	f.addEnds()
	return f
}

func (f *specFlow) add(n *specNode) {
	f.nodes[n.id] = n
	f.order = append(f.order, n)
}

// edge draws an edge for an outcome, or none.
func (n *specNode) edge(t *rapid.T, outcome string, to []string) {
	if to := rapid.SampledFrom(append([]string{""}, to...)).Draw(t, n.id+" "+outcome); to != "" {
		n.edges[outcome] = to
	}
}

// addEnds adds the terminal nodes that edges lead to.
func (f *specFlow) addEnds() {
	for _, end := range []specNode{{id: "won", kind: workflow.Converted}, {id: "lost", kind: workflow.Dropped}} {
		if slices.ContainsFunc(f.order, func(n *specNode) bool {
			for _, to := range n.edges {
				if to == end.id {
					return true
				}
			}
			return false
		}) {
			f.add(&end)
		}
	}
}

// definition is the workflow as the engine takes it.
func (f *specFlow) definition() *workflow.Definition {
	def := &workflow.Definition{Name: f.name, Entry: f.entry}
	for _, n := range f.order {
		var node workflow.Node
		switch {
		case n.kind == workflow.Time:
			node = workflow.Wait(n.id, n.wait)
		case n.kind == workflow.Conditional:
			node = workflow.If(n.id, "metadata.vip == true")
		case n.kind.Terminal():
			node = workflow.End(n.id, n.kind)
		default:
			node = workflow.Node{ID: n.id, Type: n.kind}
			if n.timeout != workflow.DefaultTimeout {
				node = node.WithTimeout(n.timeout)
			}
			if n.attempts > 1 {
				node = node.WithRetry(workflow.Retry{MaxAttempts: n.attempts, Delay: workflow.Duration(n.delay), Backoff: 2})
			}
		}
		def.Nodes = append(def.Nodes, node)
		for _, label := range slices.Sorted(maps.Keys(n.edges)) { // so that a seed gives one definition
			def.Edges = append(def.Edges, workflow.Edge{From: n.id, To: n.edges[label], Label: label})
		}
	}
	return def
}

// drawContact draws one of a few people, so that many are enrolled twice.
func drawContact(t *rapid.T) lead.Contact {
	c := lead.Contact{PhoneNumber: fmt.Sprintf("+1415555267%d", rapid.IntRange(1, 6).Draw(t, "person"))}
	if rapid.Bool().Draw(t, "vip") {
		c.Metadata = map[string]any{"vip": true}
	}
	return c
}

// drawAnswer draws what the handler of a lead's attempt returns.
func (w *trial) drawAnswer(l *specLead) modelAnswer {
	names := []string{"ok", "dnp", "odd", "busy", "busy", "later", "final", "panic", "in flight", "in flight"}
	if l.state == lead.PendingRemoval { // what retries then come to is the point
		names = append(names, "busy", "busy", "later", "later")
	}
	a := modelAnswer{name: rapid.SampledFrom(names).Draw(w.t, "answer")}
	switch a.name {
	case "ok":
		if rapid.Bool().Draw(w.t, "with data") {
			a.result.Data = map[string]any{"score": 7}
			a.result.CallID = "call-ok"
		}
	case "dnp", "odd":
		a.result.Outcome = a.name
	case "busy", "final":
		a.err, a.final = "busy", a.name == "final"
	case "later":
		a.err, a.after = "busy", 90*time.Minute
	case "panic":
		a.err, a.panics = anyText, true
	case "in flight":
		a.result = engine.InFlight(rapid.SampledFrom([]string{"", "call-live"}).Draw(w.t, "call id"))
	}
	if a.err == "" && len(l.messages()) < 4 {
		for i := range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(w.t, "messages") {
			a.result.Schedule = append(a.result.Schedule, engine.Message{
				After: rapid.SampledFrom([]time.Duration{time.Hour, 0, 30 * time.Minute, 26 * time.Hour}).Draw(w.t, "after"),
				Data:  fmt.Appendf(nil, `{"text":%d}`, i),
			})
		}
	}
	return a
}

// drawHookAnswer draws what a hook returns: "" for nothing, anyText for a panic.
func drawHookAnswer(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "no such customer", anyText}).Draw(t, "hook")
}

// modelData is data as the history keeps it.
func modelData(data map[string]any) []byte {
	if len(data) == 0 {
		return nil
	}
	return []byte(`{"score":7}`) // the only data that is ever drawn
}
