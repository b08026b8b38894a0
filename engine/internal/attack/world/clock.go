package world

import (
	"sync"
	"time"
)

// JumpingClock is the real clock (virtual, in a bubble) with an offset. It is safe for
// concurrent use.
type JumpingClock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the time with the offset.
func (c *JumpingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// AfterFunc calls f when d or ten seconds have passed, whichever is shorter, because the
// engine sleeps no longer on the real clock.
func (c *JumpingClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(min(d, 10*time.Second), f).Stop
}

// Jump moves the clock.
func (c *JumpingClock) Jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
