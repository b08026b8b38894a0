package diagram

import (
	"cmp"
	"slices"
)

// passes is how often the layers are put in order, downwards and upwards in turn.
const passes = 16

// order puts the items of each layer in an order in which few arrows cross.
func (l *layering) order() {
	l.number()
	best, least := l.copyLayers(), l.crossings()
	for pass := range passes {
		if least == 0 {
			break
		}
		for i := range l.layers {
			at := i
			if pass%2 == 1 {
				at = len(l.layers) - 1 - i
			}
			l.sortLayer(at, pass%2 == 0)
		}
		if n := l.crossings(); n < least {
			best, least = l.copyLayers(), n
		}
	}
	l.layers = best
	l.number()
}

func (l *layering) copyLayers() [][]int {
	list := make([][]int, len(l.layers))
	for i := range l.layers {
		list[i] = slices.Clone(l.layers[i])
	}
	return list
}

// number notes the place of each item in its layer.
func (l *layering) number() {
	for _, layer := range l.layers {
		for pos, i := range layer {
			l.items[i].pos = pos
		}
	}
}

// sortLayer puts the items of a layer in the order of the middles of their neighbours in
// the layer above, or below.
func (l *layering) sortLayer(at int, above bool) {
	middle := make(map[int]float64, len(l.layers[at]))
	for _, i := range l.layers[at] {
		it := &l.items[i]
		near := it.below
		if above {
			near = it.above
		}
		middle[i] = float64(it.pos)
		if len(near) > 0 {
			sum := 0
			for _, j := range near {
				sum += l.items[j].pos
			}
			middle[i] = float64(sum) / float64(len(near))
		}
	}
	slices.SortStableFunc(l.layers[at], func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
	for pos, i := range l.layers[at] {
		l.items[i].pos = pos
	}
}

// crossings counts how many arrows cross.
func (l *layering) crossings() int {
	n := 0
	for _, layer := range l.layers[:max(len(l.layers)-1, 0)] {
		var ends []int // the lower ends, in the order of the upper ones
		for _, i := range layer {
			from := len(ends)
			for _, j := range l.items[i].below {
				ends = append(ends, l.items[j].pos)
			}
			slices.Sort(ends[from:])
		}
		n += inversions(ends)
	}
	return n
}

// inversions counts the pairs that are not in order, and sorts the list.
func inversions(list []int) int {
	if len(list) < 2 {
		return 0
	}
	half := len(list) / 2
	left, right := slices.Clone(list[:half]), slices.Clone(list[half:])
	n := inversions(left) + inversions(right)
	for i := range list {
		if len(right) == 0 || len(left) > 0 && left[0] <= right[0] {
			list[i], left = left[0], left[1:]
		} else {
			n += len(left)
			list[i], right = right[0], right[1:]
		}
	}
	return n
}
