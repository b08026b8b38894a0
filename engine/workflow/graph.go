package workflow

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// Graph is a compiled workflow. Its nodes are identified by their index in the
// definition.
// It is immutable and safe for concurrent use. Its methods panic for an index
// that is out of range.
type Graph struct {
	def      *Definition
	entry    int32
	index    map[string]int32
	nodes    []compiled
	handlers []string // their names, sorted
	read     []bool   // by node: whether its steps are read by some node
}

// compiled is a node as validation compiled it.
type compiled struct {
	next  map[string]int32 // by the label of the edge
	after int32            // the node after a wait

	wait       Duration            // of a time node; 0 means that expression gives the time
	expression *expression.Program // of a time or a conditional node
	conditions []condition         // of a conditional node without an expression
	refused    string              // why the node's expression cannot be compiled, of a workflow that is kept
	one        bool                // one true condition is enough
	uses
}

// Compile validates a definition and returns its graph, which shares no memory
// with it. The error is that of [Definition.Validate].
func Compile(d *Definition) (*Graph, error) { return compile(d, false) }

// CompileKept compiles a definition that was valid when it was taken in. An
// expression in it that is refused by now, because the rules have become stricter,
// is no fault: [Graph.Test] and [Graph.Until] of its node return an error that says
// why, and everything else of the workflow goes on.
func CompileKept(d *Definition) (*Graph, error) { return compile(d, true) }

func compile(d *Definition, kept bool) (*Graph, error) {
	if d == nil {
		return nil, invalid([]lead.FieldError{{Message: "is nil"}})
	}
	c := &checker{d: d.Clone(), kept: kept}
	c.check()
	if len(c.faults) > 0 {
		return nil, invalid(c.faults)
	}
	g := &Graph{def: c.d, entry: c.index[c.d.Entry], index: c.index, nodes: c.nodes}
	for i := range c.d.Nodes {
		if name := c.d.Nodes[i].HandlerName(); name != "" {
			g.handlers = append(g.handlers, name)
		}
	}
	slices.Sort(g.handlers)
	g.handlers = slices.Compact(g.handlers)
	g.findUses()
	return g, nil
}

// Definition returns a copy of what the graph was compiled from, which the
// caller may change. It costs time and memory in proportion to the workflow's
// size; [Graph.Nodes] and [Graph.EdgeCount] cost nothing.
func (g *Graph) Definition() *Definition { return g.def.Clone() }

// Nodes yields the graph's nodes with their indexes. They are the graph's own
// and must not be changed.
func (g *Graph) Nodes() iter.Seq2[int32, *Node] {
	return func(yield func(int32, *Node) bool) {
		for i := range g.def.Nodes {
			if !yield(int32(i), &g.def.Nodes[i]) {
				return
			}
		}
	}
}

// EdgeCount returns the number of edges.
func (g *Graph) EdgeCount() int { return len(g.def.Edges) }

// Entry returns the node at which leads begin.
func (g *Graph) Entry() int32 { return g.entry }

// Len returns the number of nodes.
func (g *Graph) Len() int { return len(g.nodes) }

// Node returns a node. It must not be changed.
func (g *Graph) Node(i int32) *Node { return &g.def.Nodes[i] }

// Index returns the node with the id.
func (g *Graph) Index(id string) (int32, bool) {
	i, ok := g.index[id]
	return i, ok
}

// Next returns the node to which an outcome leads: along the edge with that label,
// or else along the default edge. It reports false if there is neither.
func (g *Graph) Next(i int32, outcome string) (int32, bool) {
	next := g.nodes[i].next
	to, ok := next[outcome]
	if !ok {
		to, ok = next[DefaultLabel]
	}
	return to, ok
}

// After returns the node that follows a time node. It reports false for a node
// of another type.
func (g *Graph) After(i int32) (int32, bool) {
	after := g.nodes[i].after
	return after, after != noNode
}

// Timeout returns how long a step of the node may stay in flight.
func (g *Graph) Timeout(i int32) time.Duration {
	if d := g.def.Nodes[i].Timeout; d > 0 {
		return time.Duration(d)
	}
	return DefaultTimeout
}

// FailsUnknown reports whether a step of the node fails when nobody knows what became
// of an attempt that a crash interrupted.
func (g *Graph) FailsUnknown(i int32) bool { return g.def.Nodes[i].Unknown == FailUnknown }

// RetryDelay returns how long to wait before the next attempt when so many (1 or
// more) have failed, or false if no attempt is left.
func (g *Graph) RetryDelay(i int32, failed int) (time.Duration, bool) {
	r := g.def.Nodes[i].Retry
	if r == nil || failed >= r.MaxAttempts {
		return 0, false
	}
	most := time.Duration(MaxDuration)
	if r.MaxDelay > 0 {
		most = time.Duration(r.MaxDelay)
	}
	if r.Backoff <= 1 || failed <= 1 {
		return min(time.Duration(r.Delay), most), true
	}
	// In floating point, so that an overflow gives infinity and not a negative wait.
	delay := float64(r.Delay) * math.Pow(r.Backoff, float64(failed-1))
	if delay >= float64(most) {
		return most, true
	}
	return time.Duration(delay), true
}

// Test evaluates a conditional node. It returns an error for a node of another type,
// and when the evaluation fails: it compares what cannot be compared, for example,
// or exceeds its budget (the error then wraps [ErrBudget]). Its errors match
// [lead.ErrInvalid]. A nil env means that
// nothing is known of the lead.
func (g *Graph) Test(i int32, env *Env) (bool, error) {
	n := &g.nodes[i]
	switch {
	case g.def.Nodes[i].Type != Conditional:
		return false, g.failed(i, errors.New("is not a conditional node"))
	case n.refused != "":
		return false, g.failed(i, fmt.Errorf("expression: %s", n.refused))
	case n.expression == nil:
		holds, err := testAll(n, env)
		if err != nil {
			return false, g.failed(i, fmt.Errorf("conditions: %w", err))
		}
		return holds, nil
	}
	result, err := evaluate(n.expression, env)
	if err != nil {
		return false, g.failed(i, fmt.Errorf("expression: %w", err))
	}
	return result == true, nil
}

// The range of years in which a wait may end. Other times cannot be stored as
// nanoseconds in 64 bits, and are mistakes rather than plans.
const firstYear, lastYear = 1970, 2261

// Until returns when a wait that begins now ends, in UTC: after the node's duration,
// or at the time that its expression gives, which may be in the past. It returns an
// error for a node of another type, and when the evaluation fails (see [Graph.Test])
// or gives anything but a time between the years 1970 and 2261.
func (g *Graph) Until(i int32, env *Env, now time.Time) (time.Time, error) {
	n := &g.nodes[i]
	switch {
	case g.def.Nodes[i].Type != Time:
		return time.Time{}, g.failed(i, errors.New("is not a time node"))
	case n.refused != "":
		return time.Time{}, g.failed(i, fmt.Errorf("until: %s", n.refused))
	case n.expression == nil:
		return now.Add(time.Duration(n.wait)).UTC(), nil
	}
	result, err := evaluate(n.expression, env)
	if err != nil {
		return time.Time{}, g.failed(i, fmt.Errorf("until: %w", err))
	}
	until, ok := result.(time.Time)
	switch {
	case !ok:
		err := fmt.Errorf("until gives %s, not a time", expression.Describe(result))
		if _, ok := result.(string); ok {
			err = fmt.Errorf("%w; date(…) converts a string to a time", err)
		}
		return time.Time{}, g.failed(i, err)
	case until.UTC().Year() < firstYear || until.UTC().Year() > lastYear:
		return time.Time{}, g.failed(i, fmt.Errorf("until gives %s, which is not between the years %d and %d",
			until.UTC().Format(time.RFC3339), firstYear, lastYear))
	}
	return until.UTC(), nil
}

// failed says that a node cannot be evaluated.
func (g *Graph) failed(i int32, err error) error {
	return &evaluationError{g.def.Nodes[i].ID, err}
}

// evaluationError is what Test and Until return: the node and what is known of the
// lead do not fit together.
type evaluationError struct {
	node string
	err  error
}

func (e *evaluationError) Error() string { return fmt.Sprintf("workflow: node %s: %v", e.node, e.err) }

// Is reports whether target is ErrInvalid.
func (e *evaluationError) Is(target error) bool { return target == lead.ErrInvalid }

func (e *evaluationError) Unwrap() error { return e.err }

// HandlerNames returns the names of the handlers that the graph's action nodes
// need, sorted, each once.
func (g *Graph) HandlerNames() []string { return slices.Clone(g.handlers) }
