package engine

import "time"

// Clock tells the time and wakes the engine. A simulation replaces it to play a
// month in seconds. Its methods must be safe for concurrent use.
type Clock interface {
	// Now returns the wall-clock time, by which timers in the store are due. It may
	// jump.
	Now() time.Time
	// AfterFunc calls f, on a goroutine of its own, once d has passed. stop cancels
	// the call and reports whether it came before it.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}
