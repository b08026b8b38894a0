package workflow

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/hours"
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
	handlers []string        // their names, sorted
	read     []bool          // by node: whether its steps are read by some node
	signals  map[string]bool // those for which a time node waits

	anyHours, anyLimits bool
	warnings            []lead.FieldError
}

// compiled is a node as validation compiled it.
type compiled struct {
	next  map[string]int32 // by the label of the edge
	after int32            // the node after a wait
	ways  map[string]int32 // the numbers of the edges, by their labels

	wait      Duration // of a time node; 0 means that expression gives the time
	awaits    bool     // a time node that waits for signal, at most that long
	signal    string
	said      bool     // a time node whose expression gives what was said about when
	otherwise Duration // how long it waits if that cannot be understood

	split  *split         // of a split node
	hours  []*hours.Hours // the workflow's and the node's
	limits []*Limit       // the workflow's that hold here, and the node's

	expression *expression.Program // of a time or a conditional node, or the rate key of an action node
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
	g.findRules(c)
	g.findWarnings()
	for i := range g.nodes {
		if n := &g.nodes[i]; n.awaits {
			if g.signals == nil {
				g.signals = map[string]bool{}
			}
			g.signals[n.signal] = true
		}
	}
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

// Edge returns the number, in the definition, of the edge along which an outcome leads:
// the one with that label, or else the default edge, or the one of a node that has no
// outcomes. It reports false if there is none.
func (g *Graph) Edge(i int32, outcome string) (int32, bool) {
	ways := g.nodes[i].ways
	if g.nodes[i].after != noNode {
		outcome = ""
	}
	edge, ok := ways[outcome]
	if !ok {
		edge, ok = ways[DefaultLabel]
	}
	return edge, ok
}

// Ways yields the edges that leave the node, by their labels, with the nodes to which
// they lead, in the order of the definition.
func (g *Graph) Ways(i int32) iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		for j := range g.def.Edges {
			if e := &g.def.Edges[j]; e.From == g.def.Nodes[i].ID && !yield(e.Label, g.index[e.To]) {
				return
			}
		}
	}
}

// After returns the node that follows a time node. It reports false for a node of
// another type, and for one that waits for a signal, which has outcomes; see
// [Graph.Awaits].
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
