package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// The picture is XML that can be read, in which what a workflow is called cannot
// do harm, and it shows the hours in which calls were made.
func TestSimulateDrawsACleanPicture(t *testing.T) {
	t.Parallel()
	hostile := `</title><script>alert(1)</script> & \"x\" ]]>`
	dir := files(t, map[string]string{
		"wf.json": strings.Replace(certain, "Certain <things>", hostile, 1), "answers.json": certainAnswers, "none.json": `{
			"name": "No calls", "entry": "end", "nodes": [{"id": "end", "type": "dropped"}], "edges": []}`,
	})
	args := []string{"-answers", dir + "answers.json", "-leads", "1000", "-days", "10", "-enroll-over", "48h"}
	simulate(t, append(args, "-workflow", dir+"wf.json", "-picture", dir+"calls.svg")...)
	if out := simulate(t, "-workflow", dir+"none.json", "-picture", dir+"NONE.SVG"); !strings.Contains(out, "Calls: none.") {
		t.Errorf("%s", out)
	}
	picture := elements(t, dir+"calls.svg")
	for _, want := range []string{
		"title=Calls begun in each hour: " + strings.ReplaceAll(hostile, `\"`, `"`), "text=calls per hour",
		"text=days since Monday 2030-01-07 09:00 UTC", "text=1,000 leads, seed 1; 1,000 calls, at most 1 at once", "text=0", "text=10",
	} {
		if !strings.Contains(picture, "\n"+want+"\n") {
			t.Errorf("no %q in\n%s", want, picture)
		}
	}
	if strings.Contains(picture, "script=") {
		t.Error("the workflow's name became a script")
	}
	// 48 hours with about 21 calls each.
	_, path, _ := strings.Cut(read(t, dir+"calls.svg"), `<path fill="#2f6fab" d="`)
	path, _, _ = strings.Cut(path, `"`)
	if bars := strings.Count(path, "Z"); bars != 48 {
		t.Errorf("%d bars: %s", bars, path)
	}
	if none := elements(t, dir+"NONE.SVG"); !strings.Contains(none, "\ntext=no calls\n") || strings.Contains(picture, "no calls") {
		t.Errorf("calls, or none, are called what they are not:\n%s\n%s", none, picture)
	}
}

// A name that is too long for the picture is cut, and large numbers stand clear
// of the axis's title.
func TestSimulatesPictureHoldsItsTexts(t *testing.T) {
	for _, name := range []string{strings.Repeat("Wide MEMO ", 20), strings.Repeat("長い名前", 30), strings.Repeat("narrow little ", 20)} {
		s := simulation{days: 1, def: &workflow.Definition{Name: name}}
		picture := s.draw(&enginetest.Summary{Calls: enginetest.CallSummary{PerHour: []int{3_000_000}}})
		_, text, _ := strings.Cut(picture, `font-size="18">`)
		text, _, _ = strings.Cut(text, "</text>")
		if kept, ok := strings.CutSuffix(text, "…"); !ok || !strings.HasPrefix("Calls begun in each hour: "+name, kept) || len(text) < 60 || !utf8.ValidString(text) {
			t.Errorf("%q is cut to %q", name, text)
		}
		if !strings.Contains(picture, "<title>Calls begun in each hour: "+name+"</title>") {
			t.Errorf("the whole of %q is nowhere", name)
		}
		label := regexp.MustCompile(`<text x="(\d+)" [^>]*text-anchor="end">3,000,000<`).FindStringSubmatch(picture)
		if label == nil {
			t.Fatalf("no label 3,000,000 in\n%s", picture)
		}
		if end, _ := strconv.Atoi(label[1]); end-len("3,000,000")*8 < 30 {
			t.Errorf("a label that ends at %d runs into the axis's title", end)
		}
	}
	for name, want := range map[string]string{"short": "short", strings.Repeat("a", 10): strings.Repeat("a", 10), strings.Repeat("a", 11): strings.Repeat("a", 9) + "…"} {
		if got := fitting(name, 110); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

var number = regexp.MustCompile(`^-?\d+(\.\d+)?%?$`)

// elements reads a picture and returns the text of each element, on lines; a
// number that is none is a fault.
func elements(t *testing.T, path string) string {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(read(t, path)))
	var b strings.Builder
	b.WriteString("\n")
	name := ""
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			name = token.Name.Local
			for _, a := range token.Attr {
				switch a.Name.Local {
				case "x", "y", "x1", "x2", "y1", "y2", "width", "height":
					if !number.MatchString(a.Value) {
						t.Errorf("%s: %s has %s=%q", path, name, a.Name.Local, a.Value)
					}
				}
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				fmt.Fprintf(&b, "%s=%s\n", name, text)
			}
		}
	}
}

// onlyPicture asserts what calls.svg is, and that nothing lies beside it.
func onlyPicture(t *testing.T, dir, want string) {
	t.Helper()
	there, err := os.ReadDir(dir)
	if err != nil || len(there) != 1 {
		t.Errorf("beside the picture there is something: %v, %v", there, err)
	}
	if got := read(t, dir+"calls.svg"); got != want {
		t.Errorf("the picture is now %q", got)
	}
}

func TestSimulateReplacesThePicture(t *testing.T) {
	t.Parallel()
	wf, dir := files(t, map[string]string{"wf.json": certain}), files(t, map[string]string{"calls.svg": "the last one"})
	simulate(t, "-workflow", wf+"wf.json", "-picture", dir+"calls.svg")
	fresh := files(t, nil) + "fresh.svg"
	simulate(t, "-workflow", wf+"wf.json", "-picture", fresh)
	onlyPicture(t, dir, read(t, fresh))
}
