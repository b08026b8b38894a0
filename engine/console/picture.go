package console

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/diagram"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// picture is a workflow's graph as it is drawn.
type picture struct {
	Width, Height string
	Nodes         []drawnNode
	Edges         []drawnEdge
}

type drawnNode struct {
	X, Y, Width, Height string
	Middle              string // x of its text
	Lines               [4]string
	Name, Type, To      string
	Class               string
	Says                string // for those who do not see it
	Rows                [4]string
}

type drawnEdge struct {
	Path         string
	Label, Count string
	LabelX       string
	LabelY       string
	CountY       string
	Class        string
}

// The size of a node in a picture, and about how wide a letter is at most.
const (
	nodeHeight = 88
	nodeWide   = 170
	nodeWidest = 240
	letterWide = 7.4
)

// draw lays out a workflow's graph, with what is known of each node and edge. It returns nil
// if the graph is too large for a picture.
func (v *visit) draw(id lead.WorkflowID, def *workflow.Definition, counts map[string]map[lead.State]int64, census *engine.WorkflowCensus, passes engine.Passes) *picture {
	g := diagram.Graph{}
	index := map[string]int{}
	for i := range def.Nodes {
		n := &def.Nodes[i]
		index[n.ID] = i
		g.Boxes = append(g.Boxes, diagram.Box{Width: nodeWide, Height: nodeHeight})
		g.Boxes[i].Width = min(max(nodeWide, letterWide*float64(utf8.RuneCountInString(nodeLabel(n)))+28), nodeWidest)
	}
	g.Entry = index[def.Entry]
	labels := make([]float64, len(def.Nodes))
	for _, e := range def.Edges {
		width := letterWide * float64(min(utf8.RuneCountInString(e.Label), 18))
		g.Arrows = append(g.Arrows, diagram.Arrow{From: index[e.From], To: index[e.To], Width: width})
		labels[index[e.From]] += width + 12
	}
	for i := range g.Boxes { // so that the labels stand beside each other
		g.Boxes[i].Width = max(g.Boxes[i].Width, min(labels[i], 600))
	}
	at, err := diagram.New(g)
	if err != nil {
		return nil
	}
	p := &picture{Width: fixed(at.Width), Height: fixed(at.Height)}
	for i := range def.Nodes {
		p.Nodes = append(p.Nodes, v.drawNode(id, &def.Nodes[i], at.Boxes[i], g.Boxes[i], counts[def.Nodes[i].ID], census))
	}
	most := int64(1)
	for _, n := range passes.Edges {
		most = max(most, n)
	}
	for i, e := range def.Edges {
		n := int64(0)
		if i < len(passes.Edges) {
			n = passes.Edges[i]
		}
		p.Edges = append(p.Edges, drawEdge(at.Arrows[i], e, n, most))
	}
	return p
}

func (v *visit) drawNode(id lead.WorkflowID, n *workflow.Node, at diagram.Point, box diagram.Box, counts map[lead.State]int64, census *engine.WorkflowCensus) drawnNode {
	here, ended := live(counts), counts[lead.Removed]+counts[lead.Completed]
	out := drawnNode{
		X: fixed(at.X - box.Width/2), Y: fixed(at.Y), Width: fixed(box.Width), Height: fixed(box.Height), Middle: fixed(at.X),
		Name: fitting(nodeLabel(n), box.Width-20), Type: words(string(n.Type)), To: v.To("leads") + "?workflow=" + id.String() + "&node_id=" + escape(n.ID),
		Rows: [4]string{fixed(at.Y + 21), fixed(at.Y + 41), fixed(at.Y + 60), fixed(at.Y + 77)},
	}
	switch {
	case n.Type.Terminal():
		out.Class = "terminal"
	case n.Type.Action():
		out.Class = "action"
	default:
		out.Class = "control"
	}
	out.Lines = [4]string{out.Name, thousands(here) + " here", out.Type}
	if n.Type.Terminal() {
		out.Lines[1] = thousands(ended) + " ended"
	}
	says := fmt.Sprintf("%s, %s: %s here now, %s ended here", nodeLabel(n), out.Type, thousands(here), thousands(ended))
	if census != nil {
		if c := census.Nodes[n.ID]; c != nil {
			out.Lines[2] = fitting(reasonsText(c.Reasons), (box.Width-16)*1.12)
			out.Class += " busy"
			says += "; " + reasonsText(c.Reasons) + "; the oldest for " + span(v.now.Sub(c.Since))
			out.Lines[3] = "oldest for " + span(v.now.Sub(c.Since))
		}
	}
	out.Says = says
	return out
}

// drawEdge draws an arrow through its points, with its label where it begins.
func drawEdge(way []diagram.Point, e workflow.Edge, n, most int64) drawnEdge {
	first, last := way[0], way[len(way)-1]
	var path strings.Builder
	fmt.Fprintf(&path, "M%s %s", fixed(first.X), fixed(first.Y))
	if len(way) == 2 && first.X == last.X && e.From == e.To { // from a node to itself
		fmt.Fprintf(&path, "c26 6 26 %s 2 %s", fixed(last.Y-first.Y-6), fixed(last.Y-first.Y))
	} else {
		for i := 1; i < len(way); i++ {
			a, b := way[i-1], way[i]
			if i == len(way)-1 { // room for the head
				if b.Y > a.Y {
					b.Y -= 5
				} else {
					b.Y += 5
				}
			}
			bend := (b.Y - a.Y) / 2
			fmt.Fprintf(&path, "C%s %s %s %s %s %s", fixed(a.X), fixed(a.Y+bend), fixed(b.X), fixed(b.Y-bend), fixed(b.X), fixed(b.Y))
		}
	}
	down := 15.0
	if last.Y < first.Y {
		down = -10
	}
	out := drawnEdge{
		Path: path.String(), Label: fitting(e.Label, 18*letterWide), LabelX: fixed(first.X + 4), LabelY: fixed(first.Y + down), CountY: fixed(first.Y + down + 14),
		Class: "w1",
	}
	if n > 0 {
		out.Count = thousands(n)
		switch share := float64(n) / float64(most); {
		case share > 0.5:
			out.Class = "w4"
		case share > 0.15:
			out.Class = "w3"
		default:
			out.Class = "w2"
		}
	}
	return out
}

// fitting returns as much of a text as fits into a width.
func fitting(text string, width float64) string {
	most := int(width / letterWide)
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:max(most-1, 1)]), " ,") + "…"
}

// depths returns how far each node is from the entry, on the longest way that takes no
// step back.
func depths(def *workflow.Definition) map[string]int {
	g := diagram.Graph{}
	index := map[string]int{}
	for i := range def.Nodes {
		index[def.Nodes[i].ID] = i
		g.Boxes = append(g.Boxes, diagram.Box{})
	}
	g.Entry = index[def.Entry]
	for _, e := range def.Edges {
		g.Arrows = append(g.Arrows, diagram.Arrow{From: index[e.From], To: index[e.To]})
	}
	out := map[string]int{}
	for i, d := range diagram.Layers(g) {
		out[def.Nodes[i].ID] = d
	}
	return out
}

func escape(text string) string { return url.QueryEscape(text) }
