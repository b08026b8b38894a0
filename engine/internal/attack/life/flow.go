package life

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Flow is a workflow.
type Flow struct {
	Name    string
	ID      lead.WorkflowID // the zero value until an attack sets it
	Status  lead.WorkflowStatus
	Deleted bool
	Entry   string
	Nodes   []*Node // as the definition lists them

	byID   map[string]*Node
	exits  map[string]string // the outcomes of leads that signals take out
	hours  windows
	limits []*Limit // those of its nodes, too
}

// Node is a node of a workflow.
type Node struct {
	ID      string
	Type    workflow.NodeType
	Wait    time.Duration // of a time node; the time-out of one that waits for a signal
	Signal  string        // that a time node waits for
	Timeout time.Duration // of each attempt at a step
	Edges   map[string]string
	// FailsUnknown: an attempt that a crash interrupted is not made again.
	FailsUnknown bool

	retry   workflow.Retry
	test    Test
	weights map[string]float64 // of a split node
	hours   windows
}

// Test says whether a conditional node is true for a lead.
type Test func(l *Lead) bool

// NewFlow reads a definition independently of package workflow, so that a fault there is
// noticed. It evaluates no expressions: tests has a function for each conditional node,
// by the node's id. The flow is a draft.
func NewFlow(def *workflow.Definition, tests map[string]Test) (*Flow, error) {
	f := &Flow{Name: def.Name, Status: lead.WorkflowDraft, Entry: def.Entry, byID: map[string]*Node{}, exits: map[string]string{}}
	for _, e := range def.Exits {
		f.exits[e.Signal] = e.Outcome
	}
	f.limits = newLimits("", def.Limits)
	var err error
	if f.hours, err = newWindows(def.CallingHours); err != nil {
		return nil, err
	}
	for _, d := range def.Nodes {
		n := &Node{ID: d.ID, Type: d.Type, Timeout: time.Duration(d.Timeout), Edges: map[string]string{}, test: tests[d.ID],
			FailsUnknown: d.Unknown == "fail"}
		if n.Timeout == 0 {
			n.Timeout = workflow.DefaultTimeout
		}
		if d.Retry != nil {
			n.retry = *d.Retry
		}
		f.limits = append(f.limits, newLimits(d.ID, d.Limits)...)
		if n.hours, err = newWindows(d.CallingHours); err != nil {
			return nil, err
		}
		switch d.Type {
		case workflow.Time:
			var config struct {
				Duration workflow.Duration
				Signal   string
			}
			if err := json.Unmarshal(d.Config, &config); err != nil || config.Duration == 0 {
				return nil, fmt.Errorf("life: node %s: the wait is not a duration: %s, %v", d.ID, d.Config, err)
			}
			n.Wait, n.Signal = time.Duration(config.Duration), config.Signal
		case workflow.Split:
			var config struct{ Weights map[string]float64 }
			if err := json.Unmarshal(d.Config, &config); err != nil || len(config.Weights) == 0 {
				return nil, fmt.Errorf("life: node %s has no weights: %s, %v", d.ID, d.Config, err)
			}
			n.weights = config.Weights
		case workflow.Conditional:
			if n.test == nil {
				return nil, fmt.Errorf("life: node %s has no test", d.ID)
			}
		}
		f.Nodes = append(f.Nodes, n)
		f.byID[d.ID] = n
	}
	for _, e := range def.Edges {
		f.byID[e.From].Edges[e.Label] = e.To
	}
	return f, nil
}

// Node returns the node with the id, or nil.
func (f *Flow) Node(id string) *Node { return f.byID[id] }

func (f *Flow) active() bool { return f.Status == lead.WorkflowActive && !f.Deleted }

// next is where an outcome leads: along its own edge, else along the default one
// (promise 10).
func (n *Node) next(outcome string) (string, bool) {
	to, ok := n.Edges[outcome]
	if !ok {
		to, ok = n.Edges[workflow.DefaultLabel]
	}
	return to, ok
}

// Attempts is how many attempts are made at a step of the node, at most.
func (n *Node) Attempts() int { return max(1, n.retry.MaxAttempts) }

// Delay is the least time between the end of a failed attempt, counted from 1, and the
// next one.
func (n *Node) Delay(attempt int) time.Duration {
	delay := float64(n.retry.Delay)
	for range attempt - 1 {
		delay *= max(1, n.retry.Backoff)
	}
	if most := time.Duration(n.retry.MaxDelay); most > 0 {
		return min(time.Duration(delay), most)
	}
	return time.Duration(delay)
}
