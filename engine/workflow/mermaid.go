package workflow

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Mermaid returns the workflow as the text of a Mermaid flowchart. Equal
// definitions give equal text. Nodes are named by their numbers, and everything that
// a person wrote is escaped, so that no label can change the chart. An invalid
// definition is drawn as far as possible.
func (d *Definition) Mermaid() string { return d.chart(nil) }

// Tally counts the leads that went through a workflow.
type Tally struct {
	// Entered is how many began at the entry.
	Entered int
	// Edges is how often a lead took each edge, by the edge's index.
	Edges []int
	// Here is how many leads are at each node or ended there, by the node's index.
	Here []int
}

// MermaidTally is Mermaid with numbers: on each edge how often it was taken (also
// 0), and in each node how many leads are or ended there.
func (d *Definition) MermaidTally(t *Tally) string { return d.chart(t) }

func (d *Definition) chart(t *Tally) string {
	index := make(map[string]int, len(d.Nodes))
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if _, taken := index[n.ID]; !taken {
			index[n.ID] = i
		}
		left, right := shape(n.Type)
		text := caption(n)
		if t != nil && i < len(t.Here) && t.Here[i] > 0 {
			text += fmt.Sprintf("<br/>%d leads", t.Here[i])
			if t.Here[i] == 1 {
				text = strings.TrimSuffix(text, "s")
			}
		}
		fmt.Fprintf(&b, "    n%d%s\"%s\"%s\n", i, left, text, right)
	}
	if entry, ok := index[d.Entry]; ok {
		b.WriteString("    start(( ))\n")
		arrow := "-->"
		if t != nil {
			arrow = fmt.Sprintf("-->|\"%d\"|", t.Entered)
		}
		fmt.Fprintf(&b, "    start %s n%d\n", arrow, entry)
	}
	d.chartExits(&b, index)
	for i := range d.Edges {
		e := &d.Edges[i]
		from, fromOK := index[e.From]
		to, toOK := index[e.To]
		if !fromOK || !toOK {
			continue
		}
		text := escape(e.Label)
		if t != nil && i < len(t.Edges) {
			if text != "" {
				text += "<br/>"
			}
			text += strconv.Itoa(t.Edges[i])
		}
		if text == "" {
			fmt.Fprintf(&b, "    n%d --> n%d\n", from, to)
		} else {
			fmt.Fprintf(&b, "    n%d -->|\"%s\"| n%d\n", from, text, to)
		}
	}
	return b.String()
}

// chartExits draws each exit as an end of its own, with a dotted line from the start
// because a lead may take it anywhere.
func (d *Definition) chartExits(b *strings.Builder, index map[string]int) {
	if _, ok := index[d.Entry]; !ok {
		return
	}
	for i, e := range d.Exits {
		if e.Signal == "" || e.Outcome == "" {
			continue
		}
		fmt.Fprintf(b, "    exit%d(((\"%s\")))\n    start -.->|\"%s\"| exit%d\n", i, escape(e.Outcome), escape("signal "+e.Signal), i)
	}
}

func shape(t NodeType) (left, right string) {
	switch {
	case t == Time:
		return "([", "])"
	case t == Conditional:
		return "{", "}"
	case t == Split:
		return "{{", "}}"
	case t.Terminal():
		return "(((", ")))"
	}
	return "[", "]"
}

// caption is the node's label, or its id, above its type.
func caption(n *Node) string {
	name := n.Label
	if strings.TrimSpace(name) == "" {
		name = n.ID
	}
	if name == string(n.Type) || name == "" {
		return escape(string(n.Type))
	}
	return escape(name) + "<br/>" + escape(string(n.Type))
}

// escape makes a text safe inside the quotes of a Mermaid text. Letters and
// digits stay as they are. Everything that could end the quotes, begin an
// entity, or be read as HTML or Markdown becomes an entity code; see "Entity
// codes to escape characters" in Mermaid's flowchart syntax.
func escape(text string) string {
	runes := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	alphanumeric := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	var b strings.Builder
	for i, r := range runes {
		switch {
		case alphanumeric(i), r == ' ', r == ',':
			b.WriteRune(r)
		case (r == '_' || r == '-' || r == '.') && alphanumeric(i-1) && alphanumeric(i+1):
			// Elsewhere they can be emphasis, or the mark of a list.
			b.WriteRune(r)
		case unicode.IsSpace(r), unicode.Is(unicode.C, r):
			b.WriteByte(' ')
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}
