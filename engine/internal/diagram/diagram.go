package diagram

import "errors"

// Graph is what is to be laid out.
type Graph struct {
	Boxes  []Box
	Arrows []Arrow
	Entry  int // the box at the top
}

// Box is a box with its size.
type Box struct {
	Width, Height float64
}

// Arrow leads from one box to another, or to the same one. Width is what its label takes
// up beside it.
type Arrow struct {
	From, To int
	Width    float64
}

// Layout is where everything stands.
type Layout struct {
	Width, Height float64
	Boxes         []Point   // the middle of the upper edge of each box
	Arrows        [][]Point // the way of each arrow, from its box to the other; it goes straight up or down through each point
}

// Point is a place in the picture, with y growing downwards.
type Point struct{ X, Y float64 }

// The spaces between things.
const (
	gapX, gapY = 36, 64
	jointWidth = 12 // of the way of an arrow between boxes
	margin     = 8
)

// mostJoints bounds the memory and the time that a layout takes.
const mostJoints = 5000

// ErrTooLarge refuses a graph whose picture nobody could read.
var ErrTooLarge = errors.New("diagram: the graph is too large for a picture")

// New lays out a graph. The error is ErrTooLarge.
func New(g Graph) (Layout, error) {
	l := &layering{graph: g}
	if err := l.split(); err != nil {
		return Layout{}, err
	}
	l.order()
	l.place()
	return l.layout(), nil
}

// Layers returns the layer in which each box stands, 0 for the first: the length of the
// longest way to it that takes no step back.
func Layers(g Graph) []int {
	l := &layering{graph: g}
	l.turned = l.upward()
	return l.longest()
}
