package console

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

// censuses keeps the last census, and has another one made in the background when
// somebody looks at figures that have become old. So a page never waits for one.
type censuses struct {
	h   *Handler
	ctx context.Context // ended by Close

	mu     sync.Mutex
	last   *engine.Census
	ended  time.Time // when the last one was made, by the machine's clock
	making chan struct{}
	closed bool
}

const (
	// A census is made anew after so long, or so many times as long as it took.
	censusAge, censusShare = 4 * time.Second, 4
	// censusWait is how long a page waits for the first one, so that a small installation
	// has its figures at once.
	censusWait = 50 * time.Millisecond
)

// get returns the last census, nil if there is none yet.
func (c *censuses) get() *engine.Census {
	c.mu.Lock()
	old := c.last == nil || time.Since(c.ended) > max(censusAge, censusShare*c.last.Took)
	if old && c.making == nil && !c.closed {
		c.making = make(chan struct{})
		go c.make()
	}
	last, making := c.last, c.making
	c.mu.Unlock()
	if last != nil || making == nil {
		return last
	}
	select {
	case <-making:
	case <-time.After(censusWait):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *censuses) make() {
	made, err := c.h.eng.Census(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.last = &made
	} else if c.ctx.Err() == nil {
		c.h.log.Warn("leadflow: the leads cannot be counted for the console", slog.Any("error", err))
	}
	c.ended = time.Now()
	close(c.making)
	c.making = nil
}

// close ends a census that is being made, and waits for that.
func (c *censuses) close() {
	c.mu.Lock()
	c.closed = true
	making := c.making
	c.mu.Unlock()
	if making != nil {
		<-making
	}
}

// asOf says how old a census is, for people.
func (v *visit) asOf(c *engine.Census) string {
	if c == nil {
		return "The leads are being counted."
	}
	return "Counted " + span(max(v.now.Sub(c.At), 0).Truncate(time.Second)) + " ago."
}
