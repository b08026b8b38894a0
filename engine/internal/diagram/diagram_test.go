package diagram

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// graph has boxes of one size, and arrows between them.
func graph(boxes int, arrows ...[2]int) Graph {
	g := Graph{}
	for range boxes {
		g.Boxes = append(g.Boxes, Box{Width: 100, Height: 50})
	}
	for _, a := range arrows {
		g.Arrows = append(g.Arrows, Arrow{From: a[0], To: a[1], Width: 30})
	}
	return g
}

func layout(t *testing.T, g Graph) Layout {
	t.Helper()
	l, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestArrowsLeadDown(t *testing.T) {
	l := layout(t, graph(5, [2]int{0, 1}, [2]int{1, 2}, [2]int{0, 3}, [2]int{3, 2}, [2]int{2, 4}, [2]int{0, 4}))
	for i, want := range []float64{8, 122, 236, 122, 350} {
		if l.Boxes[i].Y != want {
			t.Errorf("box %d is at %v, want y = %v", i, l.Boxes[i], want)
		}
	}
	if l.Boxes[1].X == l.Boxes[3].X {
		t.Error("two boxes of a layer are at the same place")
	}
}

func TestAnArrowOfACycleLeadsUp(t *testing.T) {
	l := layout(t, graph(4, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 1}, [2]int{2, 3}, [2]int{3, 3}))
	way := l.Arrows[2]
	if first, last := way[0], way[len(way)-1]; first.Y <= last.Y || last.Y != l.Boxes[1].Y+50 || first.Y != l.Boxes[2].Y {
		t.Errorf("it leads from %v to %v", first, last)
	}
	if loop := l.Arrows[4]; len(loop) != 2 || loop[0].X != loop[1].X || loop[0].Y <= loop[1].Y {
		t.Errorf("from a box to itself: %v", loop)
	}
}

func TestArrowsThatNeedNotCrossDoNot(t *testing.T) {
	l := &layering{graph: graph(9, [2]int{0, 1}, [2]int{0, 2}, [2]int{0, 3}, [2]int{1, 6}, [2]int{2, 5}, [2]int{3, 4}, [2]int{4, 8}, [2]int{5, 8}, [2]int{6, 7})}
	if err := l.split(); err != nil {
		t.Fatal(err)
	}
	l.order()
	if n := l.crossings(); n != 0 {
		t.Errorf("%d crossings", n)
	}
}

// Boxes of a layer are in order and apart, everything is within the picture, and arrows
// begin and end at their boxes, whatever the graph.
func TestNothingIsOnTopOfAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		boxes := rapid.IntRange(1, 25).Draw(t, "boxes")
		g := graph(boxes)
		for i := range g.Boxes {
			g.Boxes[i].Width = float64(rapid.IntRange(60, 300).Draw(t, "width"))
		}
		for range rapid.IntRange(0, 60).Draw(t, "arrows") {
			box := rapid.IntRange(0, boxes-1)
			g.Arrows = append(g.Arrows, Arrow{From: box.Draw(t, "from"), To: box.Draw(t, "to"), Width: 40})
		}
		l, err := New(g)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range l.Boxes {
			w := g.Boxes[i].Width
			if p.X-w/2 < 0 || p.X+w/2 > l.Width || p.Y < 0 || p.Y+50 > l.Height {
				t.Fatalf("box %d at %v is outside of %v x %v", i, p, l.Width, l.Height)
			}
			for j, q := range l.Boxes[:i] {
				if p.Y == q.Y && abs(p.X-q.X) < (w+g.Boxes[j].Width)/2+gapX-0.01 {
					t.Fatalf("boxes %d and %d are too close: %v, %v", j, i, q, p)
				}
			}
		}
		for i, way := range l.Arrows {
			a := g.Arrows[i]
			first, last := way[0], way[len(way)-1]
			if !touches(first, l.Boxes[a.From], g.Boxes[a.From]) || !touches(last, l.Boxes[a.To], g.Boxes[a.To]) {
				t.Fatalf("arrow %d (%+v) leads from %v to %v", i, a, first, last)
			}
		}
		again, _ := New(g)
		if d := cmp.Diff(l, again); d != "" {
			t.Fatal(d)
		}
	})
}

func touches(s Point, p Point, b Box) bool {
	return abs(s.X-p.X) <= b.Width/2+0.01 && s.Y >= p.Y && s.Y <= p.Y+b.Height
}

func abs(x float64) float64 { return max(x, -x) }

func TestAGraphThatNobodyCouldReadIsRefused(t *testing.T) {
	g := graph(1000)
	for i := 1; i < 1000; i++ {
		g.Arrows = append(g.Arrows, Arrow{From: i - 1, To: i}, Arrow{From: 0, To: i})
	}
	if _, err := New(g); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

func TestNoBoxesAreNoPicture(t *testing.T) {
	if l := layout(t, Graph{}); l.Height > 100 || len(l.Boxes) > 0 {
		t.Errorf("%+v", l)
	}
}

func BenchmarkNew(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	g := graph(50)
	for i := 1; i < 50; i++ {
		g.Arrows = append(g.Arrows, Arrow{From: random.IntN(i), To: i, Width: 40}, Arrow{From: random.IntN(50), To: random.IntN(50), Width: 40})
	}
	for b.Loop() {
		if _, err := New(g); err != nil {
			b.Fatal(err)
		}
	}
}
