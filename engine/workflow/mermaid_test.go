package workflow

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// hostile are texts that people and attackers write into labels.
var hostile = []string{
	`end`, `say "hi"`, "a[b](c){d}<e>|f|", "line\nbreak\r\nand\ttab", "`code` and \"`**md**`\"", `#quot;&lt;&#35;`, `%% comment`,
	`</br><script>alert(1)</script>`, `--> n0`, `"]:::x;click n0 "javascript:alert(1)"`, "1. first", "- item", "_a_ *b* a_b v1.2 e-mail",
	"\u202eright to left\u200b", "日本語 Übung ☎", "\xff\xfe", "subgraph", "style x:#fff; ", " ", "",
}

func hostileDefinition() *Definition {
	d := &Definition{Name: "hostile", Entry: hostile[0]}
	for _, text := range hostile {
		d.Nodes = append(d.Nodes, Node{ID: text, Type: VoiceCall, Label: text})
		d.Edges = append(d.Edges, Edge{From: hostile[0], To: text, Label: text})
	}
	d.Nodes = append(d.Nodes, Node{ID: `x"]`, Type: `y"]`})
	for _, text := range hostile {
		d.Exits = append(d.Exits, Exit{Signal: text, Outcome: text})
	}
	d.Edges = append(d.Edges, Edge{From: "unknown", To: "end"})
	return d
}

func TestMermaidGolden(t *testing.T) {
	read, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	full, err := Parse(read)
	if err != nil {
		t.Fatal(err)
	}
	for name, draw := range map[string]func() string{
		"rules": ruled(t).Mermaid, "full": full.Mermaid, "hostile": hostileDefinition().Mermaid,
		"tally": func() string { return full.MermaidTally(tallyOf(full)) },
	} {
		file := filepath.Join("testdata", name+".mmd")
		got := draw()
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: run go test -update if this is right:\n%s", file, got)
		}
		if again := draw(); again != got {
			t.Errorf("%s: not the same twice", name)
		}
	}
}

// tallyOf counts something at each node but the first, and on each edge but the
// first.
func tallyOf(d *Definition) *Tally {
	t := &Tally{Entered: 1000}
	for i := range d.Nodes {
		t.Here = append(t.Here, i)
	}
	for i := range d.Edges {
		t.Edges = append(t.Edges, 100*i)
	}
	return t
}

func TestATallyOfAnotherWorkflowIsDrawnAsFarAsItGoes(t *testing.T) {
	d := hostileDefinition()
	if got, want := d.MermaidTally(&Tally{}), strings.Replace(d.Mermaid(), "start -->", `start -->|"0"|`, 1); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

var mermaidLine = regexp.MustCompile(`^    (n\d+(\[|\(\[|\{\{?|\(\(\()"[^"]*"(\]|\]\)|\}\}?|\)\)\))|n\d+ --> n\d+|n\d+ -->\|"[^"]*"\| n\d+|start\(\( \)\)|start --> n\d+|exit\d+\(\(\("[^"]*"\)\)\)|start -\.->\|"[^"]*"\| exit\d+)$`)

// No label may leave its quotes: each line has one of the few forms that the
// package writes, and between the quotes stands nothing that Mermaid or a
// browser reads as more than text.
func TestMermaidLabelsCannotEscape(t *testing.T) {
	text := hostileDefinition().Mermaid()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "flowchart TD" || len(lines) != 1+len(hostile)+1+2+len(hostile)-2+1+1+2*(len(hostile)-1) {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
	entity := regexp.MustCompile(`#\d+;`)
	for _, line := range lines[1:] {
		if !mermaidLine.MatchString(line) {
			t.Errorf("line %q", line)
		}
		for i, inside := range strings.Split(line, `"`) {
			if i%2 == 1 {
				inside = entity.ReplaceAllString(strings.Replace(inside, "<br/>", "", 1), "")
				if strings.ContainsAny(inside, "\"`<>&#;[](){}|*%:\\\n\r\t\u202e\u200b") {
					t.Errorf("unescaped: %q", line)
				}
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	data, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, data)
	if data, err = os.ReadFile("testdata/rules.json"); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, data)
}

// roundTrip checks that what parses is valid, compiles, and is the same when it
// is written and read again.
func roundTrip(t *testing.T, data []byte) {
	t.Helper()
	d, err := Parse(data)
	if err != nil {
		_ = faultsOf(t, err)
		return
	}
	if err := d.Validate(); err != nil {
		t.Fatalf("parsed, but: %v", err)
	}
	g, err := Compile(d)
	if err != nil {
		t.Fatalf("parsed, but does not compile: %v", err)
	}
	first, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(first)
	if err != nil {
		t.Fatalf("%v\nof what was written:\n%s", err, first)
	}
	second, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Fatalf("written\n%s\nand again\n%s", first, second)
	}
	if d.Mermaid() != again.Mermaid() {
		t.Fatal("the diagrams differ")
	}
	for i := range int32(g.Len()) {
		// Whatever comes of it, nothing panics.
		_, _ = g.Test(i, testEnv())
		_, _ = g.Until(i, testEnv(), testNow)
		_, _ = g.RetryDelay(i, 1)
		if !g.Node(i).Type.Terminal() && g.Timeout(i) <= 0 {
			t.Fatal("no timeout")
		}
	}
}
