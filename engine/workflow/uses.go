package workflow

import "slices"

// uses says what the expression or the conditions of a node read, and whether they
// are cheap.
type uses struct {
	contact bool    // lead.* or metadata.*
	reads   []int32 // the nodes whose steps are read, in order
	cheap   bool
}

// findUses determines the uses of each node.
func (g *Graph) findUses() {
	g.read = make([]bool, len(g.nodes))
	var all []int32
	for i := range g.nodes {
		n := &g.nodes[i]
		p := n.expression
		switch {
		case p == nil:
			n.reads, n.contact, n.cheap = g.conditionUses(n.conditions)
		case p.AllSteps:
			if all == nil {
				for j := range g.nodes {
					all = append(all, int32(j))
				}
			}
			n.reads, n.contact, n.cheap = all, p.Contact, p.Cheap
		default:
			n.reads, n.contact, n.cheap = g.indices(p.Steps), p.Contact, p.Cheap
		}
		n.cheap = n.cheap && !n.said // understanding takes longer
		for _, j := range n.reads {
			g.read[j] = true
		}
	}
}

func (g *Graph) conditionUses(conditions []condition) (reads []int32, contact, cheap bool) {
	cheap = true
	var ids []string
	for i := range conditions {
		c := &conditions[i]
		if c.field.root == rootSteps {
			ids = append(ids, c.field.keys[0])
		} else {
			contact = true
		}
		cheap = cheap && c.cheap()
	}
	return g.indices(ids), contact, cheap
}

// indices returns the indexes of nodes, sorted, each once.
func (g *Graph) indices(ids []string) []int32 {
	var out []int32
	for _, id := range ids {
		if i, ok := g.index[id]; ok {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}

// cheap reports whether the condition takes a few microseconds at most for any data.
// Searching a string or an array, and comparing arrays and objects, takes time in
// proportion to their size.
func (c *condition) cheap() bool {
	switch c.value.(type) {
	case []any, map[string]any:
		return false
	}
	return c.operator != Contains || c.field.bounded()
}

// bounded reports whether the field's value is a short string or a number.
func (p path) bounded() bool {
	return p.root == rootLead || p.root == rootSteps && p.keys[1] != "data" && p.keys[1] != "error"
}

// NeedsSteps reports whether [Graph.Test] or [Graph.Until] of the node reads
// Env.Steps; [Graph.ReadsSteps] returns of which nodes.
func (g *Graph) NeedsSteps(i int32) bool { return len(g.nodes[i].reads) > 0 }

// NeedsContact reports whether [Graph.Test] or [Graph.Until] of the node reads
// Env.Contact.
func (g *Graph) NeedsContact(i int32) bool { return g.nodes[i].contact }

// ReadsSteps returns the nodes whose results in Env.Steps [Graph.Test] or
// [Graph.Until] of node i may read, in ascending order. These are all nodes if the
// expression computes an id, as in steps[metadata.x], or uses steps as a whole. The
// slice belongs to the graph and must not be modified.
func (g *Graph) ReadsSteps(i int32) []int32 { return g.nodes[i].reads }

// StepRead reports whether any expression or condition of the graph may read the
// result of node i, so that its last result has to be kept for each lead.
func (g *Graph) StepRead(i int32) bool { return g.read[i] }

// Cheap reports whether [Graph.Test] and [Graph.Until] of the node take some
// microseconds at most for any data: comparisons of fields with values, without
// loops, patterns, or anything whose cost grows with metadata or data. Evaluating
// other nodes can take their whole budget, 2 to 3 ms. It is true for nodes that
// evaluate nothing.
func (g *Graph) Cheap(i int32) bool { return g.nodes[i].cheap }
