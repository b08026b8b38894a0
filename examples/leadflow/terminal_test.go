package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestColorsAreForTerminalsOnly(t *testing.T) {
	if got := (palette{}).status("active") + (palette{}).bad("x") + (palette{}).plain("STATUS"); got != "activexSTATUS" {
		t.Errorf("%q", got)
	}
	on := palette{on: true}
	if got := on.status("active"); got != "\x1b[32mactive\x1b[0m" {
		t.Errorf("%q", got)
	}
	// A table is straight only if each of its cells is longer by as much.
	for _, word := range []string{"active", "cancelled", "draft", "enrolled", "pending_removal", "in_step"} {
		if more := len(on.status(word)) - len(word); more != len(on.plain("STATUS"))-len("STATUS") {
			t.Errorf("%s is longer by %d", word, more)
		}
	}
	none := func(string) string { return "" }
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if paletteFor(file, none).on || paletteFor(&bytes.Buffer{}, none).on {
		t.Error("a file is taken for a terminal")
	}
}

func TestSomebodyAtATerminalIsAsked(t *testing.T) {
	for _, c := range []struct {
		asks, yes bool
		answer    string
		question  bool
		done      bool
	}{
		{asks: false, done: true},
		{asks: true, yes: true, done: true},
		{asks: true, answer: "y\n", question: true, done: true},
		{asks: true, answer: " Yes \n", question: true, done: true},
		{asks: true, answer: "n\n", question: true},
		{asks: true, answer: "\n", question: true},
		{asks: true, answer: "", question: true},
	} {
		var out bytes.Buffer
		p := &program{stdin: strings.NewReader(c.answer), stderr: &out, asks: c.asks}
		err := p.confirm(t.Context(), c.yes, "Sure?")
		if (err == nil) != c.done || (out.String() == "Sure? [y/N] ") != c.question {
			t.Errorf("%+v: %v, %q", c, err, &out)
		}
	}
	// A signal ends the question.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	signals := make(chan os.Signal, 1)
	p := &program{stdin: r, stderr: &bytes.Buffer{}, asks: true, signals: signals}
	ctx, stop := p.interruptible(context.Background())
	defer stop()
	signals <- syscall.SIGINT
	if err := p.confirm(ctx, false, "Sure?"); err == nil || !strings.Contains(err.Error(), "interrupt") {
		t.Errorf("%v", err)
	}
}
