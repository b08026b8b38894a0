package engine

import "time"

// Clock tells the time and wakes the engine. A simulation replaces it to play a
// month in seconds. Its methods are called from many goroutines.
type Clock interface {
	// Now returns the wall-clock time. It may jump; timers in the store are due
	// by it.
	Now() time.Time
	// AfterFunc calls f, on a goroutine of its own, once d has passed. The
	// function it returns cancels that and reports whether it did.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}
