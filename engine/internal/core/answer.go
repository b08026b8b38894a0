package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/hours"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Reply is the result of a node's expression.
type Reply struct {
	Yes   bool         // of a conditional node
	Until store.Millis // of a time node
	// RateKey is that of an action node; if its expression fails, it is that of the handler.
	RateKey string
	Failed  string // why it could not be evaluated, empty when it could
}

// answer evaluates the expression of the lead's node, if that is cheap and everything
// that it reads is in memory.
func (t *Turn) answer(v *View) (Reply, bool) {
	g, node := t.Flow.Graph, v.Rec.Node
	if g.Node(node).Type == workflow.Split {
		return Reply{}, true
	}
	if !g.Cheap(node) || g.NeedsContact(node) && t.Person == nil {
		return Reply{}, false
	}
	var steps []store.Step
	if reads := g.ReadsSteps(node); len(reads) > 0 {
		if v.Notes.Last == nil && v.Rec.LastStep != 0 {
			return Reply{}, false
		}
		for _, read := range reads {
			fresh := lastOf(t.Steps, read)
			if fresh != nil {
				steps = append(steps, *fresh)
			} else if v.Notes.Last[read] != 0 {
				return Reply{}, false // on disk
			}
		}
	}
	return Evaluate(t.Flow, node, t.Person, steps, t.Now), true
}

// lastOf returns the last result of a visit to the node among the steps.
func lastOf(steps []store.Step, node int32) *store.Step {
	for i := len(steps) - 1; i >= 0; i-- {
		if s := &steps[i]; s.Node == node && isResult(s) {
			return s
		}
	}
	return nil
}

// isResult reports whether an expression sees the step as the result of its node.
func isResult(s *store.Step) bool { return s.Kind == store.StepVisit && s.Status != lead.StepCancelled }

// Asked is what must be read to evaluate the expression of a lead's node.
type Asked struct {
	Visit   int32
	Node    int32
	Contact bool    // its contact
	Steps   []int64 // finished steps, by their numbers
	// History: all of its finished steps, because View.Notes.Last is not known.
	History bool
}

// Ask returns what must be read to evaluate the expression of the lead's node.
func (v *View) Ask(f *Flow) Asked {
	a := Asked{Visit: v.Rec.Visit, Node: v.Rec.Node, Contact: f.Graph.NeedsContact(v.Rec.Node)}
	reads := f.Graph.ReadsSteps(a.Node)
	if len(reads) > 0 && v.Notes.Last == nil && v.Rec.LastStep != 0 {
		a.History = true
		return a
	}
	for _, node := range reads {
		if seq := v.Notes.Last[node]; seq != 0 {
			a.Steps = append(a.Steps, seq)
		}
	}
	slices.Sort(a.Steps)
	return a
}

// LastSteps returns the lead's last result at each node that an expression of
// the workflow reads.
func LastSteps(f *Flow, history []store.Step) map[int32]int64 {
	last := map[int32]int64{}
	for i := range history {
		if s := &history[i]; isResult(s) && f.has(s.Node) && f.Graph.StepRead(s.Node) {
			last[s.Node] = s.Seq
		}
	}
	return last
}

// Evaluate evaluates the expression of a node. steps are those that it reads; of each
// node the last one counts. Errors are part of the reply, so they concern this lead
// only.
func Evaluate(f *Flow, node int32, person *lead.Contact, steps []store.Step, now store.Millis) Reply {
	env := &workflow.Env{Now: now.Time()}
	if person != nil {
		env.Contact = *person
	}
	if f.Graph.NeedsSteps(node) {
		env.Steps = make(map[string]workflow.StepResult, len(steps))
		for i := range steps {
			if err := addResult(env.Steps, f, &steps[i]); err != nil {
				return Reply{Failed: err.Error()}
			}
		}
	}
	switch f.Graph.Node(node).Type {
	case workflow.VoiceCall, workflow.Message, workflow.Application:
		key, err := f.Graph.RateKey(node, env)
		if err != nil {
			return Reply{Failed: err.Error()}
		}
		return Reply{RateKey: key}
	case workflow.Split: // by the lead's number: see leave
		return Reply{}
	case workflow.Conditional:
		yes, err := f.Graph.Test(node, env)
		if err != nil {
			return Reply{Failed: err.Error()}
		}
		return Reply{Yes: yes}
	}
	var until time.Time
	var err error
	if f.Graph.NeedsZone(node) {
		zone := time.UTC
		if names, _ := ZonesOf(f, person); len(names) > 0 {
			if found, err := hours.Load(names[0]); err == nil {
				zone = found
			}
		}
		until, err = f.Graph.Said(node, env, now.Time(), zone)
	} else {
		until, err = f.Graph.Until(node, env, now.Time())
	}
	if err != nil {
		return Reply{Failed: err.Error()}
	}
	return Reply{Until: roundUp(until)}
}

// addResult adds a finished step to those that expressions see.
func addResult(results map[string]workflow.StepResult, f *Flow, s *store.Step) error {
	if !isResult(s) {
		return nil
	}
	if !f.has(s.Node) {
		return fmt.Errorf("core: unexpected data in the store: step %d is at node %d, but the workflow has %d nodes", s.Seq, s.Node, f.Graph.Len())
	}
	id := f.Graph.Node(s.Node).ID
	d, err := decodeDetail(s.Detail)
	if err != nil {
		return fmt.Errorf("core: the step at %s: %w", id, err)
	}
	res := workflow.StepResult{
		Outcome: s.Outcome, Status: s.Status.String(), Attempts: int(s.Attempts), CallID: d.CallID, Error: d.Error,
		EnteredAt: s.Entered.Time(), ExitedAt: s.Exited.Time(),
	}
	if len(d.Data) > 0 {
		if res.Data, err = DecodeObject(d.Data); err != nil {
			return fmt.Errorf("core: the data of the step at %s: %w", id, err)
		}
	}
	results[id] = res
	return nil
}

// DecodeObject decodes a JSON object as expressions and handlers see it: numbers are
// float64, but integers beyond 2^53 are json.Number, because a float64 may not hold them
// exactly.
func DecodeObject(text []byte) (out map[string]any, err error) {
	if !longDigits(text) {
		err = json.Unmarshal(text, &out)
		return out, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err = decoder.Decode(&out); err == nil {
		_, err = plainNumbers(out)
	}
	return out, err
}

// maxExact is the largest integer up to which a float64 holds every integer exactly.
const maxExact = 1 << 53

// longDigits reports whether a text has as many digits in a row as maxExact.
func longDigits(text []byte) bool {
	run := 0
	for _, c := range text {
		if run++; c < '0' || c > '9' {
			run = 0
		} else if run == len("9007199254740992") {
			return true
		}
	}
	return false
}

// plainNumbers replaces, in a value that was decoded with UseNumber, each number
// that is not an integer beyond maxExact by a float64.
func plainNumbers(v any) (_ any, err error) {
	switch v := v.(type) {
	case map[string]any:
		for name, element := range v {
			if v[name], err = plainNumbers(element); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, element := range v {
			if v[i], err = plainNumbers(element); err != nil {
				return nil, err
			}
		}
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err == nil && (n > maxExact || n < -maxExact) || err != nil && !strings.ContainsAny(string(v), ".eE") {
			return v, nil
		}
		return v.Float64()
	}
	return v, nil
}

// ClonePerson returns a copy of the contact with its own metadata map. The values in
// the map are shared.
func ClonePerson(c *lead.Contact) lead.Contact {
	out := *c
	out.Metadata = maps.Clone(c.Metadata)
	return out
}

// roundUp returns the first whole millisecond at or after t, so that no wait ends
// early, clamped to the range of times that a store holds.
func roundUp(t time.Time) store.Millis {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return min(max(store.Millis(ms), 1), store.MaxMillis-1)
}
