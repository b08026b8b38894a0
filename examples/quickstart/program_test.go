package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// TestProgram runs the program as a process of its own.
func TestProgram(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "quickstart.exe")
	if text, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}

	t.Run("killed twice, it finishes with every lead", func(t *testing.T) {
		t.Parallel()
		db := filepath.Join(t.TempDir(), "q.db")
		p := start(t, binary, "-db", db)
		p.until("opts out")
		p.kill()
		torn := tornAttempts(t, db)

		p = start(t, binary, "-db", db)
		text := p.until("waiting ")
		text += p.until("waiting ") // the second status, a second later
		p.kill()
		expect(t, text, "has 19 leads already")
		expect(t, text, torn...)
		tornAgain := tornAttempts(t, db)

		p = start(t, binary, "-db", db)
		text, code := p.end()
		if code != 0 {
			t.Errorf("exit code %d: %s", code, &p.stderr)
		}
		expect(t, text, tornAgain...)
		if n := strings.Count(text, "REDELIVERED"); n != len(tornAgain) {
			t.Errorf("%d attempts were marked as redelivered, want %d:\n%s", n, len(tornAgain), text)
		}
		if len(torn)+len(tornAgain) == 0 {
			t.Error("two kills interrupted no attempt, while the telephones were ringing")
		}
		checkDatabase(t, db)

		_, report, _ := strings.Cut(text, "\nLEAD ")
		p = start(t, binary, "-db", db)
		if text, code = p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, &p.stderr)
		}
		expect(t, text, "nobody is called again", report)
	})

	t.Run("stopped by a signal, it goes on later", func(t *testing.T) {
		t.Parallel()
		db := filepath.Join(t.TempDir(), "q.db")
		p := start(t, binary, "-db", db)
		p.until("opts out")

		for _, args := range [][]string{{"-db", db}, {"-db", db, "-fresh"}} {
			second := start(t, binary, args...)
			text, code := second.end()
			if code != 1 || text != "" || strings.Count(second.stderr.String(), "\n") != 1 {
				t.Errorf("a second process ended with %d, %q and %q", code, text, second.stderr.String())
			}
			expect(t, second.stderr.String(), "another process has this file open")
		}

		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		text, code := p.end()
		if expect(t, text, "Stopped. Everything is in "+db); code != 130 {
			t.Errorf("exit code %d after an interrupt, want 130: %s", code, &p.stderr)
		}
		if torn := tornAttempts(t, db); len(torn) > 0 {
			t.Errorf("the interrupt cut attempts off: %q", torn)
		}

		p = start(t, binary, "-db", db, "-leads", "other.csv")
		if text, code = p.end(); code != 0 || strings.Contains(text, "REDELIVERED") {
			t.Errorf("exit code %d: %s\n%s", code, &p.stderr, text)
		}
		expect(t, text, "has 19 leads already", "other.csv is not read")
		checkDatabase(t, db)
	})
}

// process is a run of the program.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr bytes.Buffer
}

func start(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), binary, args...)}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// until returns what the program prints up to a line with the words in it.
func (p *process) until(words string) string {
	p.t.Helper()
	var text strings.Builder
	for p.lines.Scan() {
		fmt.Fprintln(&text, p.lines.Text())
		if strings.Contains(p.lines.Text(), words) {
			return text.String()
		}
	}
	p.t.Fatalf("the program ended without %q:\n%s%s", words, text.String(), &p.stderr)
	return ""
}

// end returns what else the program prints, and its exit code.
func (p *process) end() (text string, code int) {
	p.t.Helper()
	var rest strings.Builder
	for p.lines.Scan() {
		fmt.Fprintln(&rest, p.lines.Text())
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return rest.String(), p.cmd.ProcessState.ExitCode()
}

func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.end()
}

// tornAttempts returns the lines that the next run must print: one for each
// attempt whose handler ran when the process was killed.
func tornAttempts(t *testing.T, path string) []string {
	t.Helper()
	var lines []string
	eachLead(t, path, func(_ *engine.Engine, l lead.Lead, steps []lead.Step) {
		for _, s := range steps {
			if s.Status == lead.StepInProgress && s.CallID == "" {
				lines = append(lines, fmt.Sprintf("%-11s %s, attempt %d, is REDELIVERED", name(l.Contact), s.NodeID, len(s.Attempts)))
			}
		}
	})
	return lines
}
