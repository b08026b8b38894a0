package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how much of a file has been sent: a bar on a terminal, which
// is written over until the end, and nothing elsewhere.
type progress struct {
	w        io.Writer
	name     string
	total    int64
	live     bool // w is a terminal
	now      func() time.Time
	sent     int64
	begun    time.Time
	drawn    time.Time
	lastText string
}

func newProgress(w io.Writer, name string, total int64) *progress {
	b := &progress{w: w, name: printable(name), total: total, now: time.Now, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		b.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

// redraw is how often the bar is drawn.
const redraw = 100 * time.Millisecond

// Write counts what was sent.
func (b *progress) Write(p []byte) (int, error) {
	b.sent += int64(len(p))
	if now := b.now(); b.live && (now.Sub(b.drawn) >= redraw || b.sent == b.total) {
		b.drawn = now
		b.draw()
	}
	return len(p), nil
}

const barWidth = 30

func (b *progress) draw() {
	share := 1.0
	if b.total > 0 {
		share = min(float64(b.sent)/float64(b.total), 1)
	}
	full := int(share * barWidth)
	text := fmt.Sprintf("%s [%s%s] %3d%%  %s of %s", b.name, strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		int(share*100), byteText(b.sent), byteText(b.total))
	if took := b.now().Sub(b.begun).Seconds(); took >= 1 {
		text += fmt.Sprintf("  %s/s", byteText(int64(float64(b.sent)/took)))
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", text) // to the line's start, and clear it
	b.lastText = text
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
