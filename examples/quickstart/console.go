package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// console writes what happens, a line each. On a terminal a status line stands
// below and is written over; elsewhere the status is a line a second.
type console struct {
	w    io.Writer
	live bool // w is a terminal

	mu     sync.Mutex // guards what follows, and keeps lines whole
	began  time.Time
	status string    // what the status line of a terminal shows
	next   time.Time // when the next status is due elsewhere
}

func newConsole(w io.Writer) *console {
	c := &console{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		c.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return c
}

// printf writes whole lines, above the status line.
func (c *console) printf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(fmt.Sprintf(format, args...))
}

// event writes a line with the time since the program began.
func (c *console) event(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(c.stamp(fmt.Sprintf(format, args...)) + "\n")
}

// setStatus sets the status.
func (c *console) setStatus(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch now := time.Now(); {
	case c.live:
		c.status = c.stamp(text)
		c.write("")
	case !now.Before(c.next):
		c.next = now.Add(time.Second)
		c.write(c.stamp(text) + "\n")
	}
}

// endStatus removes the status line.
func (c *console) endStatus() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = ""
	c.write("")
}

func (c *console) stamp(text string) string {
	return fmt.Sprintf("%5.1fs  %s", time.Since(c.began).Seconds(), text)
}

// write is called with mu held.
func (c *console) write(lines string) {
	if c.live {
		lines = "\r\x1b[K" + lines + c.status // to the line's start, and clear it
	}
	io.WriteString(c.w, lines)
}
