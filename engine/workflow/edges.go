package workflow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

// noNode is an index for "none".
const noNode int32 = -1

// edges checks every edge by itself and against its node's other edges, and
// links the compiled nodes.
func (c *checker) edges() {
	type key struct{ from, label string }
	first := make(map[key]int, len(c.d.Edges))
	count := make([]int, len(c.d.Nodes))
	for i := range c.d.Edges {
		e, location := &c.d.Edges[i], at("edges", i)
		from, fromOK := c.end(location+".from", e.From)
		to, toOK := c.end(location+".to", e.To)
		if !fromOK {
			continue
		}
		count[from]++
		nodeType := c.d.Nodes[from].Type
		if !c.label(location, e, from, count[from]) {
			continue
		}
		k := key{e.From, e.Label}
		if j, taken := first[k]; taken {
			c.fault(location+".label", "duplicate edge %s of node %s: see edges[%d]", expression.Quote(e.Label), expression.Quote(e.From), j)
			continue
		}
		first[k] = i
		if !toOK {
			continue
		}
		n := &c.nodes[from]
		if n.ways == nil {
			n.ways = make(map[string]int32)
		}
		n.ways[e.Label] = int32(i)
		if nodeType == Time && !n.awaits {
			n.after = to
			continue
		}
		if n.next == nil {
			n.next = make(map[string]int32)
		}
		n.next[e.Label] = to
	}
	if !c.shapeKnown {
		return
	}
	for i, edges := range count {
		switch t := c.d.Nodes[i].Type; {
		case t == Split && c.nodes[i].split != nil:
			for _, label := range c.nodes[i].split.labels {
				if _, ok := first[key{c.d.Nodes[i].ID, label}]; !ok {
					c.fault(at("nodes", i), "split node %s has the weight %s; add an edge with that label", expression.Quote(c.d.Nodes[i].ID), expression.Quote(label))
				}
			}
		case edges > 0:
		case t == Time && c.nodes[i].awaits:
			c.fault(at("nodes", i), `a time node that waits for a signal must have an edge "%s", an edge "%s", or both`, SignalOutcome, TimeoutOutcome)
		case t == Time:
			c.fault(at("nodes", i), "a time node must have an edge to the node that follows the wait")
		case t == Conditional:
			c.fault(at("nodes", i), `a conditional node must have an edge "true", an edge "false", or both`)
		}
	}
}

// end returns the node at one end of an edge.
func (c *checker) end(location, id string) (int32, bool) {
	i, ok := c.index[id]
	switch {
	case ok:
	case id == "":
		c.fault(location, "is required; name a node")
	case c.shapeKnown:
		c.fault(location, "unknown node %s", expression.Quote(id))
	}
	return i, ok
}

// label reports whether the edge's label is one that its node from can have. nth is the
// edge's number among those of the node, from 1.
func (c *checker) label(location string, e *Edge, from int32, nth int) bool {
	before := len(c.faults)
	t, n := c.d.Nodes[from].Type, &c.nodes[from]
	switch {
	case t == Time && n.awaits:
		if e.Label != SignalOutcome && e.Label != TimeoutOutcome {
			c.fault(location+".label", `invalid label %s of an edge of time node %s, which waits for a signal; must be one of "%s", "%s"`,
				expression.Quote(e.Label), expression.Quote(e.From), SignalOutcome, TimeoutOutcome)
		}
	case t == Split:
		if n.split != nil && !slices.Contains(n.split.labels, e.Label) {
			c.fault(location+".label", "invalid label %s of an edge of split node %s; must be a key of its weights: %s",
				expression.Quote(e.Label), expression.Quote(e.From), expression.Shorten(strings.Join(n.split.labels, ", ")))
		}
	case t.Terminal():
		c.fault(location, "node %s is terminal (%s) and cannot have an edge; remove it", expression.Quote(e.From), t)
	case t == Time && nth > 1:
		c.fault(location, "time node %s has another edge already; it must have exactly one", expression.Quote(e.From))
	case t == Time && e.Label != "":
		c.fault(location+".label", "must be empty: the edge of a time node has no label")
	case t == Conditional && e.Label != "true" && e.Label != "false":
		c.fault(location+".label", `invalid label %s of an edge of conditional node %s; must be one of "true", "false"`, expression.Quote(e.Label), expression.Quote(e.From))
	case t.Action() && e.Label == "":
		c.fault(location+".label", `is required; name an outcome of node %s, or write "%s" for every other outcome`, expression.Quote(e.From), DefaultLabel)
	case len(e.Label) > MaxLabel:
		c.fault(location+".label", "is %d bytes long; at most %d are allowed", len(e.Label), MaxLabel)
	case !plainLabel(e.Label):
		c.fault(location+".label", "invalid label %s; it must be UTF-8 without control characters, and not begin or end with a space", expression.Quote(e.Label))
	}
	return len(c.faults) == before
}

// unreachable finds the nodes that no lead can reach.
func (c *checker) unreachable() {
	entry, ok := c.index[c.d.Entry]
	if !ok {
		return // no node is reachable then, and the entry is the fault
	}
	// All edges count, also those with a fault of their own: its repair will keep
	// most of them.
	targets := make(map[int32][]int32, len(c.d.Nodes))
	for i := range c.d.Edges {
		from, fromOK := c.index[c.d.Edges[i].From]
		if to, toOK := c.index[c.d.Edges[i].To]; fromOK && toOK {
			targets[from] = append(targets[from], to)
		}
	}
	reached := make([]bool, len(c.d.Nodes))
	reached[entry] = true
	for queue := []int32{entry}; len(queue) > 0; queue = queue[1:] {
		for _, to := range targets[queue[0]] {
			if !reached[to] {
				reached[to] = true
				queue = append(queue, to)
			}
		}
	}
	for i := range c.d.Nodes {
		id := c.d.Nodes[i].ID
		if first, ok := c.index[id]; ok && int(first) == i && !reached[i] {
			c.fault(at("nodes", i), "node %s cannot be reached from the entry %s; add an edge or remove the node", expression.Quote(id), expression.Quote(c.d.Entry))
		}
	}
}

// instant returns the labels of the edges that a lead may take as soon as it is at the
// node, nil for a node at which leads wait or act.
func (c *checker) instant(i int32) []string {
	switch {
	case c.d.Nodes[i].Type == Conditional:
		return []string{"true", "false"}
	case c.nodes[i].split != nil:
		return c.nodes[i].split.labels
	}
	return nil
}

// cycles finds cycles of conditional and split nodes only: a lead would go round in one
// forever, at full speed. Of cycles that share a node it names one.
func (c *checker) cycles() {
	const (
		unseen = iota
		onPath
		done
	)
	state := make([]uint8, len(c.d.Nodes))
	var path []int32
	var visit func(i int32)
	visit = func(i int32) {
		state[i] = onPath
		path = append(path, i)
		for _, label := range c.instant(i) {
			to, ok := c.nodes[i].next[label]
			if !ok || c.instant(to) == nil {
				continue
			}
			switch state[to] {
			case unseen:
				visit(to)
			case onPath:
				c.cycle(path, to)
				// A cycle is named once, so that the length of the message is bounded
				// by that of the workflow.
				for _, on := range path {
					state[on] = done
				}
			}
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range c.d.Nodes {
		if c.instant(int32(i)) != nil && state[i] == unseen {
			visit(int32(i))
		}
	}
}

func (c *checker) cycle(path []int32, to int32) {
	for path[0] != to {
		path = path[1:]
	}
	kind := "conditional nodes"
	if slices.ContainsFunc(path, func(on int32) bool { return c.d.Nodes[on].Type == Split }) {
		kind = "conditional and split nodes"
	}
	const most = 20
	var b strings.Builder
	for i, on := range path {
		if i == most {
			fmt.Fprintf(&b, "… (%d more) → ", len(path)-most)
			break
		}
		b.WriteString(expression.Clip(c.d.Nodes[on].ID) + " → ")
	}
	b.WriteString(expression.Clip(c.d.Nodes[to].ID))
	c.fault(at("nodes", int(to)), "%s form an endless cycle: %s; put a time node or an action node between them", kind, b.String())
}
