package enginetest

import (
	"container/heap"
	"time"
)

// clock is the time of a world. It stands still until the world moves it, and
// what it was asked to call is called then, on the goroutine that moves it.
type clock struct {
	now    time.Time // a whole millisecond, like all times of the engine
	agenda agenda
	asked  int64
}

// event is something that the clock was asked to call.
type event struct {
	at    int64 // in milliseconds since 1970, by which it is faster to compare
	order int64 // of those at the same time, the one asked for first comes first
	f     func()
	off   bool
}

// Now returns the time.
func (c *clock) Now() time.Time { return c.now }

// AfterFunc has f called once d has passed, rounded up to a whole millisecond.
func (c *clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	const most = 200 * 365 * 24 * time.Hour // so that no sum overflows
	at := c.now.Add(min(max(d, 0), most) + time.Millisecond - 1).UnixMilli()
	c.asked++
	e := &event{at: at, order: c.asked, f: f}
	heap.Push(&c.agenda, e)
	return func() bool {
		was := e.off
		e.off = true
		return !was
	}
}

// next returns when something is to be called next.
func (c *clock) next() (time.Time, bool) {
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
	for now := c.now.UnixMilli(); len(c.agenda) > 0 && c.agenda[0].at <= now; {
		e := heap.Pop(&c.agenda).(*event)
		if !e.off {
			e.off = true
			e.f()
		}
	}
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
