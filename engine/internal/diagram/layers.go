package diagram

// item is a box, or the joint of an arrow in a layer that it passes.
type item struct {
	box   int // -1 for a joint
	layer int
	width float64
	x     float64 // of its middle
	pos   int     // in its layer
	// Its neighbours in the layers above and below.
	above, below []int
}

// layering is a graph whose arrows lead from each layer to the next.
type layering struct {
	graph  Graph
	items  []item  // the boxes first
	layers [][]int // items by layer, in order
	chains [][]int // the items of each arrow from top to bottom; nil for one from a box to itself
	turned []bool  // arrows that lead up
}

// split finds the layer of each box, and gives arrows joints where they pass layers.
func (l *layering) split() error {
	boxes := l.graph.Boxes
	l.turned = l.upward()
	layer := l.longest()
	layers := 0
	for i, b := range boxes {
		l.items = append(l.items, item{box: i, layer: layer[i], width: b.Width})
		layers = max(layers, layer[i]+1)
	}
	l.layers = make([][]int, layers)
	for i := range boxes {
		l.layers[layer[i]] = append(l.layers[layer[i]], i)
	}
	l.chains = make([][]int, len(l.graph.Arrows))
	for i, a := range l.graph.Arrows {
		if a.From == a.To {
			continue
		}
		from, to := l.ends(i)
		chain := []int{from}
		for at := layer[from] + 1; at < layer[to]; at++ {
			if len(l.items) > len(boxes)+mostJoints {
				return ErrTooLarge
			}
			joint := len(l.items)
			l.items = append(l.items, item{box: -1, layer: at, width: jointWidth})
			l.layers[at] = append(l.layers[at], joint)
			chain = append(chain, joint)
		}
		l.chains[i] = append(chain, to)
	}
	for _, chain := range l.chains {
		for i := 1; i < len(chain); i++ {
			upper, lower := chain[i-1], chain[i]
			l.items[upper].below = append(l.items[upper].below, lower)
			l.items[lower].above = append(l.items[lower].above, upper)
		}
	}
	return nil
}

// ends returns the upper and the lower box of an arrow.
func (l *layering) ends(arrow int) (upper, lower int) {
	a := l.graph.Arrows[arrow]
	if l.turned[arrow] {
		return a.To, a.From
	}
	return a.From, a.To
}

// upward finds the arrows that close a cycle, seen from the entry: they lead up.
func (l *layering) upward() []bool {
	const fresh, open, done = 0, 1, 2
	turned, state := make([]bool, len(l.graph.Arrows)), make([]int, len(l.graph.Boxes))
	out := make([][]int, len(l.graph.Boxes))
	for i, a := range l.graph.Arrows {
		out[a.From] = append(out[a.From], i)
	}
	type visit struct{ box, next int }
	walk := func(start int) {
		stack := []visit{{start, 0}} // of its own: a graph may be deep
		state[start] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(out[top.box]) {
				state[top.box] = done
				stack = stack[:len(stack)-1]
				continue
			}
			arrow := out[top.box][top.next]
			top.next++
			switch to := l.graph.Arrows[arrow].To; state[to] {
			case open:
				turned[arrow] = true
			case fresh:
				state[to] = open
				stack = append(stack, visit{to, 0})
			}
		}
	}
	if len(l.graph.Boxes) > 0 {
		walk(l.graph.Entry)
	}
	for i := range l.graph.Boxes {
		if state[i] == fresh {
			walk(i)
		}
	}
	return turned
}

// longest returns for each box the length of the longest way to it.
func (l *layering) longest() []int {
	layer, waits := make([]int, len(l.graph.Boxes)), make([]int, len(l.graph.Boxes))
	out := make([][]int, len(l.graph.Boxes))
	for i, a := range l.graph.Arrows {
		if a.From != a.To {
			from, to := l.ends(i)
			out[from] = append(out[from], to)
			waits[to]++
		}
	}
	var ready []int
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		from := ready[0]
		ready = ready[1:]
		for _, to := range out[from] {
			layer[to] = max(layer[to], layer[from]+1)
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return layer
}
