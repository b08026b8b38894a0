package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fatih/color"
	"golang.org/x/term"
)

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// palette colors words for a terminal; the zero palette does not change them.
type palette struct{ on bool }

// paletteFor returns the palette for a stream.
func paletteFor(stream any, env func(string) string) palette {
	return palette{isTerminal(stream) && env("NO_COLOR") == "" && env("TERM") != "dumb"}
}

func (p palette) in(text string, of color.Attribute) string {
	if !p.on {
		return text
	}
	c := color.New(of)
	c.EnableColor()
	return c.Sprint(text)
}

func (p palette) bad(text string) string { return p.in(text, color.FgRed) }

// plain pads a header to the width that a table gives to a colored word.
func (p palette) plain(text string) string { return p.in(text, color.Reset+39) }

// statusColors are those of the statuses of workflows, leads, steps and calls.
var statusColors = map[string]color.Attribute{
	"active": color.FgGreen, "completed": color.FgGreen, "valid": color.FgGreen,
	"in_step": color.FgCyan, "in_progress": color.FgCyan,
	"paused": color.FgYellow, "pending_removal": color.FgYellow, "retrying": color.FgYellow,
	"cancelled": color.FgRed, "failed": color.FgRed, "removed": color.FgRed, "invalid": color.FgRed,
}

// status colors a status.
func (p palette) status(text string) string {
	of, ok := statusColors[text]
	if !ok {
		return p.plain(text)
	}
	return p.in(text, of)
}

// errDeclined: the user was asked and did not say yes.
var errDeclined = &codeError{exitFailed, errors.New("nothing was done")}

// confirm asks the user before an action that cannot be undone, if there is a terminal.
// yes is the answer given on the command line.
func (p *program) confirm(ctx context.Context, yes bool, question string) error {
	if yes || !p.asks {
		return nil
	}
	fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // reading does not end with ctx; the process does
		line, _ := bufio.NewReader(p.stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errDeclined
	case <-ctx.Done():
		fmt.Fprintln(p.stderr)
		return context.Cause(ctx)
	}
}
