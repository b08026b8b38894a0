package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows how much of a task is done, such as an upload: as a bar on a terminal,
// and not at all elsewhere.
type progress struct {
	w        io.Writer
	name     string
	total    int64
	live     bool                                         // w is a terminal
	text     func(done, total int64, took float64) string // beside the bar; took is in seconds
	now      func() time.Time
	done     int64
	begun    time.Time
	drawn    time.Time
	lastText string
}

func newProgress(w io.Writer, name string, total int64) *progress {
	return &progress{
		w: w, name: printable(name), total: total, live: isTerminal(w), text: bytesDone, now: time.Now, begun: time.Now(),
	}
}

// redraw is how often the bar is drawn.
const redraw = 100 * time.Millisecond

// Write counts what was sent.
func (b *progress) Write(p []byte) (int, error) {
	b.reach(b.done + int64(len(p)))
	return len(p), nil
}

// reach sets how much is done.
func (b *progress) reach(done int64) {
	b.done = done
	if now := b.now(); b.live && (now.Sub(b.drawn) >= redraw || b.done == b.total) {
		b.drawn = now
		b.draw()
	}
}

const barWidth = 30

func (b *progress) draw() {
	share := 1.0
	if b.total > 0 {
		share = min(float64(b.done)/float64(b.total), 1)
	}
	full := int(share * barWidth)
	text := fmt.Sprintf("%s [%s%s] %3d%%  %s", b.name, strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		int(share*100), b.text(b.done, b.total, b.now().Sub(b.begun).Seconds()))
	fmt.Fprintf(b.w, "\r\x1b[K%s", text) // to the line's start, and clear it
	b.lastText = text
}

// bytesDone is the text of a bar that counts bytes.
func bytesDone(done, total int64, took float64) string {
	text := byteText(done) + " of " + byteText(total)
	if took >= 1 {
		text += fmt.Sprintf("  %s/s", byteText(int64(float64(done)/took)))
	}
	return text
}

// end leaves the bar as it is and goes on below it.
func (b *progress) end() {
	if b.live && b.lastText != "" {
		fmt.Fprintln(b.w)
	}
}

// byteText is a number of bytes for people.
func byteText(n int64) string {
	value, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for len(units) > 1 && value >= 999.5 {
		value, units = value/1000, units[1:]
	}
	if value < 10 && units[0] != "B" {
		return fmt.Sprintf("%.1f %s", value, units[0])
	}
	return fmt.Sprintf("%.0f %s", value, units[0])
}
