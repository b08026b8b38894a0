// Package diagram lays out a graph of boxes and arrows in layers, from the top down, for a
// picture: the boxes of a layer stand side by side, arrows lead down where they can, and
// cross each other as little as a few passes can achieve (the method of Sugiyama, Tagawa
// and Toda). It is pure arithmetic, and gives the same picture each time.
//
//	layers.go    which layer a box stands in, and the joints of arrows that pass others
//	order.go     the order within each layer
//	place.go     where the boxes stand
//	diagram.go   the graph, and the result
package diagram
