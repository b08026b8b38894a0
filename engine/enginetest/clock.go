package enginetest

import (
	"container/heap"
	"sync"
	"time"
)

// clock is the time of a world. It stands still until the world moves it; functions
// given to AfterFunc are called then, on the goroutine that moves it. It is safe for
// concurrent use.
type clock struct {
	mu     sync.Mutex // guards what follows; not held while something is called
	now    time.Time  // a whole millisecond, like all times of the engine
	agenda agenda
	asked  int64
}

// event is something that the clock was asked to call.
type event struct {
	at    int64 // in milliseconds since 1970, which compare faster than time.Time
	order int64 // of AfterFunc, for events at the same time
	f     func()
	off   bool
}

// Now returns the time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// move sets the time, unless it is later already.
func (c *clock) move(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.After(c.now) {
		c.now = to
	}
}

// AfterFunc calls f once d, rounded up to a whole millisecond, has passed.
func (c *clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	const most = 200 * 365 * 24 * time.Hour // so that no sum overflows
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now.Add(min(max(d, 0), most) + time.Millisecond - 1).UnixMilli()
	c.asked++
	e := &event{at: at, order: c.asked, f: f}
	heap.Push(&c.agenda, e)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		was := e.off
		e.off = true
		return !was
	}
}

// next returns the time of the next event, or false if there is none.
func (c *clock) next() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.agenda) > 0 && c.agenda[0].off {
		heap.Pop(&c.agenda)
	}
	if len(c.agenda) == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(c.agenda[0].at).UTC(), true
}

// ring calls what is due.
func (c *clock) ring() {
	for now := c.Now().UnixMilli(); ; {
		e := c.due(now)
		if e == nil {
			return
		}
		e.f()
	}
}

// due takes the next event off the agenda if it is due.
func (c *clock) due(now int64) *event {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.agenda) > 0 && c.agenda[0].at <= now {
		if e := heap.Pop(&c.agenda).(*event); !e.off {
			e.off = true
			return e
		}
	}
	return nil
}

// agenda is a heap of events, in order.
type agenda []*event

func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}

func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is for container/heap.
func (a *agenda) Push(x any) { *a = append(*a, x.(*event)) }

// Pop is for container/heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return e
}
