package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
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
	elements(t, dir+"NONE.SVG")
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
