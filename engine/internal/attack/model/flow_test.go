package model

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file draws the random inputs of the model test: workflows, contacts, and the
// answers of handlers and hooks.

// drawFlow draws a workflow: a row of one to four nodes, each leading to the
// next, and other edges of actions leading anywhere. So every cycle has an
// action in it. serverTime: see backend.
func drawFlow(t *rapid.T, name string, serverTime bool) (*life.Flow, *workflow.Definition) {
	d := &drawing{T: t, def: &workflow.Definition{Name: name, Entry: "n0"}, serverTime: serverTime}
	row := rapid.IntRange(1, 4).Draw(t, "nodes")
	kinds := []workflow.NodeType{
		workflow.VoiceCall, workflow.Message, workflow.Application, workflow.VoiceCall, workflow.Time, workflow.Conditional, workflow.Time, workflow.Split,
	}
	for _, name := range signals {
		if rapid.IntRange(0, 5).Draw(t, name+" exits") == 0 {
			outcome := rapid.SampledFrom([]string{"converted", "dropped"}).Draw(t, "as")
			d.def.Exits = append(d.def.Exits, workflow.Exit{Signal: name, Outcome: outcome})
		}
	}
	d.def.CallingHours = drawHours(t, "hours")
	d.def.Limits = d.drawLimits("limits", true)
	var ids []string
	for i := range row {
		id := fmt.Sprintf("n%d", i)
		ids = append(ids, id)
		d.def.Nodes = append(d.def.Nodes, workflow.Node{ID: id, Type: rapid.SampledFrom(kinds).Draw(t, id)})
	}
	tests := map[string]life.Test{}
	for i := range row {
		n := &d.def.Nodes[i]
		next := "won"
		if i+1 < row {
			next = ids[i+1]
		}
		onwards := []string{"lost", next} // where a node may lead that takes no time
		switch n.Type {
		case workflow.Time:
			waits := []time.Duration{time.Minute, time.Millisecond, 2 * time.Hour, 48 * time.Hour}
			wait := rapid.SampledFrom(waits).Draw(t, "wait")
			if rapid.Bool().Draw(t, "for a signal") {
				*n = workflow.WaitSignal(n.ID, rapid.SampledFrom(signals).Draw(t, "signal"), wait)
				d.lead(n.ID, workflow.SignalOutcome, rapid.SampledFrom(onwards).Draw(t, "when it comes"))
				d.lead(n.ID, workflow.TimeoutOutcome, next)
				break
			}
			*n = workflow.Wait(n.ID, wait)
			d.lead(n.ID, "", next)
		case workflow.Split:
			*n = workflow.SplitNode(n.ID, map[string]float64{"a": 50, "b": 50})
			d.lead(n.ID, "a", next)
			d.lead(n.ID, "b", rapid.SampledFrom(onwards).Draw(t, n.ID+" b"))
		case workflow.Conditional:
			*n = workflow.If(n.ID, "metadata.vip == true")
			tests[n.ID] = func(l *life.Lead) bool { return l.Contact.Metadata["vip"] == true }
			d.lead(n.ID, "true", next)
			d.edge(n.ID, "false", onwards)
		default:
			d.drawPolicy(n)
			anywhere := append(onwards, ids...)
			d.lead(n.ID, n.Type.SuccessOutcome(), next)
			d.edge(n.ID, n.Type.FailureOutcome(), anywhere)
			d.edge(n.ID, "dnp", anywhere)
			d.edge(n.ID, workflow.DefaultLabel, anywhere)
			// A step that does not take place leads onwards, or a cycle would have no step.
			last := d.def.Edges[len(d.def.Edges)-1]
			if last.From == n.ID && last.Label == workflow.DefaultLabel && !slices.Contains(onwards, last.To) {
				d.lead(n.ID, workflow.SuppressedOutcome, next)
			} else {
				d.edge(n.ID, workflow.SuppressedOutcome, onwards)
			}
		}
	}
	d.addEnds()
	f, err := life.NewFlow(d.def, tests)
	if err != nil {
		t.Fatal(err)
	}
	return f, d.def
}

// drawHours draws calling hours, mostly none. The first are open when a trial begins.
func drawHours(t *rapid.T, label string) *workflow.CallingHours {
	all := []workflow.Day{workflow.Monday, workflow.Tuesday, workflow.Wednesday, workflow.Thursday, workflow.Friday, workflow.Saturday, workflow.Sunday}
	return rapid.SampledFrom([]*workflow.CallingHours{
		nil, nil, nil, nil, nil, nil, nil, nil,
		{Windows: []workflow.Window{{Days: all, From: "22:00", To: "06:30"}}},
		{Windows: []workflow.Window{{Days: all, From: "01:00", To: "03:00"}, {Days: []workflow.Day{workflow.Saturday}, From: "00:00", To: "24:00"}}},
		{Windows: []workflow.Window{{Days: []workflow.Day{workflow.Monday, workflow.Wednesday}, From: "09:00", To: "17:00"}}},
	}).Draw(t, label)
}

// drawLimits draws limits, mostly none.
func (d *drawing) drawLimits(label string, scoped bool) []workflow.Limit {
	if rapid.IntRange(0, 7).Draw(d.T, label) < 7 {
		return nil
	}
	choice := []workflow.Limit{
		{InFlight: 1}, {InFlight: 2},
		{PerContact: 1, Per: workflow.Duration(3 * time.Hour)}, {PerContact: 2, Per: workflow.Duration(25 * time.Hour)},
	}
	if !d.serverTime {
		choice = append(choice, workflow.Limit{Starts: 1, Per: workflow.Duration(10 * time.Minute)}, workflow.Limit{Starts: 3, Per: workflow.Duration(2 * time.Hour)})
	}
	l := rapid.SampledFrom(choice).Draw(d.T, "limit")
	if scoped {
		l.Channel = rapid.SampledFrom([]workflow.NodeType{"", workflow.VoiceCall, workflow.Message}).Draw(d.T, "channel")
	}
	return []workflow.Limit{l}
}

// drawing is a workflow that is being drawn.
type drawing struct {
	*rapid.T
	def        *workflow.Definition
	serverTime bool
}

func (d *drawing) drawPolicy(n *workflow.Node) {
	attempts := rapid.IntRange(1, 3).Draw(d.T, "attempts")
	delay := rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute, time.Hour}).Draw(d.T, "delay")
	timeout := rapid.SampledFrom([]time.Duration{time.Hour, 20 * time.Minute, 3 * time.Hour}).Draw(d.T, "timeout")
	if timeout != workflow.DefaultTimeout {
		*n = n.WithTimeout(timeout)
	}
	n.CallingHours, n.Limits = drawHours(d.T, "hours of "+n.ID), d.drawLimits("limits of "+n.ID, false)
	if rapid.SampledFrom([]bool{false, false, true}).Draw(d.T, "fails when unknown") {
		*n = n.WithUnknown(workflow.FailUnknown)
	}
	if attempts > 1 {
		*n = n.WithRetry(workflow.Retry{MaxAttempts: attempts, Delay: workflow.Duration(delay), Backoff: 2})
	}
}

func (d *drawing) lead(from, label, to string) {
	d.def.Edges = append(d.def.Edges, workflow.Edge{From: from, To: to, Label: label})
}

// edge draws an edge for an outcome, or none.
func (d *drawing) edge(from, outcome string, to []string) {
	if to := rapid.SampledFrom(append([]string{""}, to...)).Draw(d.T, from+" "+outcome); to != "" {
		d.lead(from, outcome, to)
	}
}

// addEnds adds the terminal nodes that edges lead to.
func (d *drawing) addEnds() {
	for _, end := range []workflow.Node{workflow.End("won", workflow.Converted), workflow.End("lost", workflow.Dropped)} {
		if slices.ContainsFunc(d.def.Edges, func(e workflow.Edge) bool { return e.To == end.ID }) {
			d.def.Nodes = append(d.def.Nodes, end)
		}
	}
}

// drawContact draws one of a few people, so that many are enrolled twice.
func drawContact(t *rapid.T) lead.Contact {
	c := lead.Contact{PhoneNumber: drawPhone(t), ExternalID: drawID(t), TimeZone: "UTC"}
	if rapid.Bool().Draw(t, "vip") {
		c.Metadata = map[string]any{"vip": true}
	}
	return c
}

// answer is what a handler returns.
type answer struct {
	life.Answer
	name   string
	panics bool
}

// scored are the only data that are ever drawn, as the history keeps them.
const scored = `{"score":7}`

// dataOf is data as the engine takes it.
func dataOf(text []byte) map[string]any {
	if len(text) == 0 {
		return nil
	}
	return map[string]any{"score": 7}
}

// result is what the engine is told.
func (a answer) result() engine.Result {
	r := engine.Result{Outcome: a.Outcome, InFlight: a.InFlight, CallID: a.CallID, Data: dataOf(a.Data)}
	for _, m := range a.Schedule {
		r.Schedule = append(r.Schedule, engine.Message{After: m.After, Data: m.Data})
	}
	return r
}

// drawAnswer draws what the handler of a lead's attempt returns. It returns NotMade only
// if no other answer is given at the same time, because the effect on others depends on
// the order.
func (w *trial) drawAnswer(l *life.Lead, alone bool) answer {
	names := []string{"ok", "dnp", "odd", "busy", "busy", "later", "final", "panic", "in flight", "in flight"}
	if alone {
		names = append(names, "not made")
	}
	if l.State == lead.PendingRemoval { // what retries then come to is the point
		names = append(names, "busy", "busy", "later", "later")
	}
	a := answer{name: rapid.SampledFrom(names).Draw(w.t, "answer")}
	switch a.name {
	case "ok":
		if rapid.Bool().Draw(w.t, "with data") {
			a.Data, a.CallID = []byte(scored), "call-ok"
		}
	case "dnp", "odd":
		a.Outcome = a.name
	case "busy", "final":
		a.Err, a.Final = "busy", a.name == "final"
	case "later":
		a.Err, a.After = "busy", 90*time.Minute
	case "not made":
		a.Err, a.NotMade = "no route", true
	case "panic":
		a.Err, a.panics = life.AnyText, true
	case "in flight":
		a.InFlight, a.CallID = true, rapid.SampledFrom([]string{"", "call-live"}).Draw(w.t, "call id")
	}
	// Not with limits: a message that comes due while its lead waits for a limit is sent
	// when the limit allows the lead's attempt, and not before, which is a defect.
	if a.Err == "" && len(l.Messages()) < 4 && !w.limits {
		for i := range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(w.t, "messages") {
			a.Schedule = append(a.Schedule, life.Message{
				After: rapid.SampledFrom([]time.Duration{time.Hour, 0, 30 * time.Minute, 26 * time.Hour}).Draw(w.t, "after"),
				Data:  fmt.Appendf(nil, `{"text":%d}`, i),
			})
		}
	}
	return a
}

// drawHookAnswer draws what a hook returns: "" for nothing, life.AnyText for a
// panic.
func drawHookAnswer(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "no such customer", life.AnyText}).Draw(t, "hook")
}

// said are the texts of errors that handlers and hooks give.
var said = []string{"busy", "no route", "no such customer"}
