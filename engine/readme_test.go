package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
)

// block returns the first fenced block of the README in that language.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```"+language+"\n")
	body, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("the README has no %s block", language)
	}
	return body
}

func TestREADMEsProgramRuns(t *testing.T) {
	dir := t.TempDir()
	program, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte(block(t, "go")), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", binary, program)
	build.Dir = ".." // the module that the imports are of
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(binary)
	run.Dir = dir
	out, err := run.Output()
	if want := block(t, "text"); err != nil || string(out) != want {
		t.Errorf("it prints\n%s(%v), want\n%s", out, err, want)
	}
}

func TestREADMEsDiagramIsTheMachine(t *testing.T) {
	if got, want := block(t, "mermaid"), lead.Diagram(); got != want {
		t.Errorf("the README has\n%swant\n%s", got, want)
	}
}

// The README shows a part of Example_callbacks, which is tested.
func TestREADMEsCallbacksAreTheExample(t *testing.T) {
	text, err := os.ReadFile("example_callback_test.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n// Handle begins a call.")
	part, _, closed := strings.Cut(rest, "```")
	if !ok || !closed || !strings.Contains(string(text), "// Handle begins a call."+part) {
		t.Error("the README's handler with callbacks differs from example_callback_test.go")
	}
}
