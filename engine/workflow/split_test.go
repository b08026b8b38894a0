package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

func dealer(t *testing.T, nodes ...Node) *Graph {
	t.Helper()
	d := &Definition{Name: "split", Entry: nodes[0].ID, Nodes: nodes}
	for i, n := range nodes {
		next := "end"
		if i+1 < len(nodes) {
			next = nodes[i+1].ID
		}
		var config struct{ Weights map[string]float64 }
		if err := json.Unmarshal(n.Config, &config); err != nil {
			t.Fatal(err)
		}
		for label := range config.Weights {
			d.Edges = append(d.Edges, On(n.ID, label, next))
		}
	}
	d.Nodes = append(d.Nodes, End("end", Converted))
	g, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// weightings are some that workflows have.
var weightings = []map[string]float64{
	{"a": 50, "b": 50}, {"a": 1, "b": 2}, {"a": 90, "b": 10}, {"a": 0.2, "b": 0.3, "c": 0.5}, {"a": 1, "b": 0, "c": 1}, {"a": 0, "b": 1}, {"only": 3},
	{"a": 99.9, "b": 0.1},
	{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1, "k": 1, "l": 1, "m": 1, "n": 1, "o": 1, "p": 1, "q": 1, "r": 1, "s": 1, "t": 1},
}

// Of any 1000 leads in a row, and of any 1000 whose numbers are equally far apart, each
// edge gets its share within 2%.
func TestSplitDealsAnyThousandLeadsByTheWeights(t *testing.T) {
	const window = 1000
	for w, weights := range weightings {
		sum := 0.0
		for _, weight := range weights {
			sum += weight
		}
		g := dealer(t, SplitNode(fmt.Sprintf("split-%d", w), weights))
		worst := 0.0
		for stride := int64(1); stride <= 64; stride++ {
			for _, from := range []int64{1, 1009*stride - 500, 1 << 40} {
				const leads = 2 * window
				labels := make([]string, leads)
				for i := range labels {
					labels[i] = g.Split(0, from+int64(i)*stride)
				}
				count := map[string]int{}
				for i, label := range labels {
					count[label]++
					if i < window-1 {
						continue
					}
					for label, weight := range weights {
						worst = max(worst, math.Abs(float64(count[label])/window-weight/sum))
					}
					count[labels[i-window+1]]--
				}
			}
		}
		if worst > 0.02 {
			t.Errorf("%v: a share is off by %.4f", weights, worst)
		}
		t.Logf("%v: worst %.4f", weights, worst)
	}
}

func TestSplitGivesNothingToAWeightOfZero(t *testing.T) {
	for _, weights := range []map[string]float64{{"a": 0, "b": 1}, {"a": 1, "b": 0}, {"a": 1, "b": 0, "c": 0.1}} {
		g := dealer(t, SplitNode("s", weights))
		for seq := int64(0); seq < 100_000; seq++ {
			if label := g.Split(0, seq); weights[label] == 0 {
				t.Fatalf("%v: lead %d falls to %q", weights, seq, label)
			}
		}
	}
}

// A lead always falls the same way: in another process, in a copy of the workflow, and
// in any later version of this package, since leads outlive all three.
func TestSplitNeverChanges(t *testing.T) {
	g := dealer(t, SplitNode("ab", map[string]float64{"a": 50, "b": 50}), SplitNode("deal", map[string]float64{"x": 10, "y": 20, "z": 70}))
	var got [2]strings.Builder
	for node := range got {
		for seq := int64(1); seq <= 40; seq++ {
			got[node].WriteString(g.Split(int32(node), seq))
		}
		got[node].WriteString(" " + g.Split(int32(node), math.MaxInt64))
	}
	for node, want := range []string{"aabaaaababaaaaababaaaaabbaabbaabbbabaabb b", "zyzzzxyyzzzyzxzzzzzyzzyzzzzyzzzyzzzyzyzz z"} {
		if got[node].String() != want {
			t.Errorf("node %d deals\n%s, want\n%s", node, &got[node], want)
		}
	}
}

// Split nodes one after the other deal independently: of the leads that fell to a, half
// fall to a at the next one too, whatever the nodes are called.
func TestSplitNodesInARowAreNotCorrelated(t *testing.T) {
	names := []string{"split", "split2", "split-1", "split-2", "a", "b", "s1", "s2", "s3", "ab", "ba", "first", "second", "x.1", "x.2", "0"}
	var nodes []Node
	for _, name := range names {
		nodes = append(nodes, SplitNode(name, map[string]float64{"a": 50, "b": 50}))
	}
	g := dealer(t, nodes...)
	for _, leads := range []int64{1000, 20_000} {
		worst := 0.0
		for i := range names {
			for j := range i {
				pairs := map[string]int64{}
				for seq := int64(1); seq <= leads; seq++ {
					pairs[g.Split(int32(i), seq)+g.Split(int32(j), seq)]++
				}
				for _, pair := range []string{"aa", "ab", "ba", "bb"} {
					off := math.Abs(float64(pairs[pair])/float64(leads) - 0.25)
					worst = max(worst, off)
					if off > 0.04 {
						t.Errorf("%s and %s of %d leads: %s is off by %.3f", names[i], names[j], leads, pair, off)
					}
				}
			}
		}
		t.Logf("%d leads: worst %.4f", leads, worst)
	}
}

func TestFaultsOfSplits(t *testing.T) {
	many := strings.Builder{}
	for i := range 21 {
		fmt.Fprintf(&many, `,"w%d":1`, i)
	}
	const path = "nodes[0].config"
	for _, tt := range []struct {
		config string
		edges  []string
		want   []string
	}{
		{`{"weights":{"a":50,"b":50}}`, []string{"a", "b"}, nil},
		{`{"weights":{"default":1}}`, []string{"default"}, nil},
		{`{"weights":{"a":50,"b":50}}`, []string{"a"}, []string{`nodes[0]: split node "deal" has the weight "b"; add an edge with that label`}},
		{`{"weights":{"a":50,"b":50}}`, nil, []string{`nodes[0]: split node "deal" has the weight "a"`, `nodes[0]: split node "deal" has the weight "b"`}},
		{`{"weights":{"a":1}}`, []string{"a", "c"}, []string{`edges[1].label: invalid label "c" of an edge of split node "deal"; must be a key of its weights: a`}},
		{`{"weights":{"a":1}}`, []string{"a", "a"}, []string{`edges[1].label: duplicate edge "a"`}},
		{`{"weights":{"a":1}}`, []string{"a", ""}, []string{`edges[1].label: invalid label ""`}},
		{`{}`, []string{"a"}, []string{path + `: must have weights, such as`}},
		{`{"weights":null}`, []string{"a"}, []string{path + `: must have weights`}},
		{`{"weights":{}}`, []string{"a"}, []string{path + `.weights: must not be empty`}},
		{`{"weights":[50,50]}`, []string{"a"}, []string{path + `.weights: must be an object, not an array`}},
		{`{"weights":{"a":-1,"b":2}}`, []string{"a", "b"}, []string{path + `.weights.a: is -1; must be from 0 to 1000000000`}},
		{`{"weights":{"a":1e10}}`, []string{"a"}, []string{path + `.weights.a: is 1e+10; must be`}},
		{`{"weights":{"a":0,"b":0}}`, []string{"a", "b"}, []string{path + `.weights: must not all be 0`}},
		{`{"weights":{"a":1,"a":2}}`, []string{"a"}, []string{path + `.weights.a: duplicate field`}},
		{`{"weights":{"a":"50","b":null,"c":1e999}}`, []string{"a"}, []string{
			path + `.weights.a: must be a number, not a string`, path + `.weights.b: must be a number, not null`, path + `.weights.c: number out of range`}},
		{`{"weights":{"":1}}`, []string{"a"}, []string{path + `.weights[""]: the label of an edge must not be empty`}},
		{`{"weights":{"a ":1}}`, []string{"a"}, []string{path + `.weights["a "]: label: invalid value "a "`}},
		{`{"weights":{` + many.String()[1:] + `}}`, nil, []string{path + `.weights: has 21 fields; at most 20 are allowed`}},
		{`{"weights":{"a":1},"seed":1}`, []string{"a"}, []string{path + `.seed: unknown field; must be one of weights`}},
	} {
		d := &Definition{Name: "x", Entry: "deal", Nodes: []Node{{ID: "deal", Type: Split, Config: []byte(tt.config)}, End("end", Converted)}}
		for _, label := range tt.edges {
			d.Edges = append(d.Edges, On("deal", label, "end"))
		}
		if tt.edges == nil {
			d.Nodes = d.Nodes[:1]
		}
		wantFaults(t, tt.config+" "+fmt.Sprintf("%q", tt.edges), d.Validate(), tt.want)
	}
}

// A lead falls the same way each time, so a cycle through split nodes has no end.
func TestACycleOfSplitsAndConditionalsIsRefused(t *testing.T) {
	d := &Definition{Name: "x", Entry: "deal", Nodes: []Node{
		SplitNode("deal", map[string]float64{"a": 1, "b": 1}), If("ask", "metadata.age == 1"), End("end", Converted),
	}, Edges: []Edge{On("deal", "a", "ask"), On("deal", "b", "end"), On("ask", "true", "deal"), On("ask", "false", "end")}}
	wantFaults(t, "a cycle", d.Validate(), []string{"nodes[0]: conditional and split nodes form an endless cycle: deal → ask → deal; put a time node"})
}

func BenchmarkSplit(b *testing.B) {
	d := &Definition{Name: "x", Entry: "deal", Nodes: []Node{SplitNode("deal", map[string]float64{"a": 1, "b": 1}), End("end", Converted)},
		Edges: []Edge{On("deal", "a", "end"), On("deal", "b", "end")}}
	g, err := Compile(d)
	if err != nil {
		b.Fatal(err)
	}
	for seq := int64(0); b.Loop(); seq++ {
		g.Split(0, seq)
	}
}
