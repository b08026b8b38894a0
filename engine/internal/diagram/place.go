package diagram

import (
	"cmp"
	"math"
	"slices"
)

// place finds where the items of each layer stand: near the middle of their neighbours, in
// their order, and apart from each other.
func (l *layering) place() {
	for _, layer := range l.layers {
		x := 0.0
		for _, i := range layer {
			it := &l.items[i]
			it.x = x + it.width/2
			x += it.width + gapX
		}
	}
	for pass := range 2 * passes {
		for i := range l.layers {
			at := i
			if pass%2 == 1 {
				at = len(l.layers) - 1 - i
			}
			l.settle(l.layers[at], pass%2 == 0)
		}
	}
}

// settle moves the items of a layer towards their neighbours in the layer above, or below.
// Items that come too close to each other form a block, which stands where its items want
// to be on average.
func (l *layering) settle(layer []int, above bool) {
	type block struct {
		first, last  int     // places in the layer
		want, weight float64 // where its first item wants to be, times the weight
	}
	offset := make([]float64, len(layer)) // from the first item of the layer, if all stood close
	for k := 1; k < len(layer); k++ {
		a, b := &l.items[layer[k-1]], &l.items[layer[k]]
		offset[k] = offset[k-1] + (a.width+b.width)/2 + gapX
	}
	var blocks []block
	for k, i := range layer {
		it := &l.items[i]
		want, weight := it.x, 0.1
		if near := it.near(above); len(near) > 0 {
			sum := 0.0
			for _, j := range near {
				sum += l.items[j].x
			}
			want, weight = sum/float64(len(near)), 1
			if it.box < 0 {
				weight = 2 // long arrows are to be straight
			}
		}
		b := block{k, k, (want - offset[k]) * weight, weight}
		for len(blocks) > 0 {
			left := blocks[len(blocks)-1]
			if left.want/left.weight < b.want/b.weight {
				break
			}
			b = block{left.first, b.last, left.want + b.want, left.weight + b.weight}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		for k := b.first; k <= b.last; k++ {
			l.items[layer[k]].x = b.want/b.weight + offset[k]
		}
	}
}

func (it *item) near(above bool) []int {
	if above {
		return it.above
	}
	return it.below
}

// layout returns where everything stands, with the upper left corner at 0, 0.
func (l *layering) layout() Layout {
	left, right := math.Inf(1), math.Inf(-1)
	for i := range l.items {
		it := &l.items[i]
		left, right = min(left, it.x-it.width/2), max(right, it.x+it.width/2)
	}
	if len(l.items) == 0 {
		left, right = 0, 0
	}
	// Room at the sides for arrows from a box to itself.
	const side = margin + gapX/2
	out := Layout{Width: right - left + 2*side}
	top := make([]float64, len(l.layers)+1)
	top[0] = margin
	for i, layer := range l.layers {
		height := 0.0
		for _, k := range layer {
			if b := l.items[k].box; b >= 0 {
				height = max(height, l.graph.Boxes[b].Height)
			}
		}
		top[i+1] = top[i] + height + gapY
	}
	out.Height = max(top[len(l.layers)]-gapY, 0) + margin
	at := func(i int) Point { return Point{l.items[i].x - left + side, top[l.items[i].layer]} }
	for i := range l.graph.Boxes {
		out.Boxes = append(out.Boxes, at(i))
	}
	starts, ends := l.ports()
	for i, a := range l.graph.Arrows {
		chain := l.chains[i]
		if chain == nil {
			out.Arrows = append(out.Arrows, l.loop(at(a.From), a.From))
			continue
		}
		height := func(box int) float64 { return l.graph.Boxes[box].Height }
		upper, lower := chain[0], chain[len(chain)-1]
		way := []Point{{at(upper).X + starts[i], at(upper).Y + height(upper)}}
		for _, k := range chain[1 : len(chain)-1] {
			p := at(k)
			way = append(way, p, Point{p.X, top[l.items[k].layer+1] - gapY})
		}
		way = append(way, Point{at(lower).X + ends[i], at(lower).Y})
		if l.turned[i] {
			slices.Reverse(way)
		}
		out.Arrows = append(out.Arrows, way)
	}
	return out
}

// loop is the way of an arrow from a box to itself: out at its side, and in again.
func (l *layering) loop(p Point, box int) []Point {
	b := l.graph.Boxes[box]
	x := p.X + b.Width/2
	return []Point{{x, p.Y + b.Height*2/3}, {x, p.Y + b.Height/3}}
}

// ports returns where each arrow leaves its upper box, and where it enters its lower one,
// from the middle of the box, so that no two arrows of a box are on top of each other.
func (l *layering) ports() (starts, ends []float64) {
	starts, ends = make([]float64, len(l.chains)), make([]float64, len(l.chains))
	out, in := make([][]int, len(l.graph.Boxes)), make([][]int, len(l.graph.Boxes))
	for i, chain := range l.chains {
		if chain != nil {
			out[chain[0]] = append(out[chain[0]], i)
			in[chain[len(chain)-1]] = append(in[chain[len(chain)-1]], i)
		}
	}
	for box := range l.graph.Boxes {
		width := l.graph.Boxes[box].Width
		l.spread(out[box], starts, width, func(chain []int) int { return chain[1] })
		l.spread(in[box], ends, width, func(chain []int) int { return chain[len(chain)-2] })
	}
	return starts, ends
}

// spread sets the ports of the arrows at one side of a box, in the order in which next, the
// item at the other end of each, stands. An arrow gets room by the width of its label.
func (l *layering) spread(arrows []int, ports []float64, width float64, next func(chain []int) int) {
	slices.SortStableFunc(arrows, func(a, b int) int {
		return cmp.Compare(l.items[next(l.chains[a])].x, l.items[next(l.chains[b])].x)
	})
	need := 0.0
	for _, i := range arrows {
		need += l.graph.Arrows[i].Width + jointWidth
	}
	scale := min(1, width/max(need, 1))
	x := -need * scale / 2
	for _, i := range arrows {
		w := (l.graph.Arrows[i].Width + jointWidth) * scale
		ports[i] = x + w/2
		x += w
	}
}
