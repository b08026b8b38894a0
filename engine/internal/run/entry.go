package run

import (
	"container/heap"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// entry is a lead in the loop's memory. Only the loop touches it.
type entry struct {
	// The queue that the entry is in, if any. These fields come first, beside the lead's
	// number, because queues compare them.
	queue *queue
	at    store.Millis
	pos   int

	state

	// touched: a batch changes the lead, and the store does not have the change yet. If
	// the commit fails, the entry goes back to its state in batch.was.
	touched bool
	// inFlight: that batch is being written, so nothing may be decided on the lead.
	inFlight bool
	fresh    bool         // enrolled in this batch
	steps    []store.Step // finished in this batch
	calls    []store.Call // changes of the call log in this batch

	// added is what the batch counts for the lead, where others use the store, too.
	added counters

	// reading: the lead's expression is being evaluated outside the loop.
	reading bool
}

// state is the part of an entry that decisions change.
type state struct {
	view    core.View
	contact *Contact  // nil until it is needed
	call    *Call     // not nil exactly while view.Running is true
	hooks   *HookCall // not nil exactly while view.Hooking is true
}

// counted attributes to the lead what the batch has counted since before.
func (e *entry) counted(now counters, before *counters) {
	now.sub(before)
	e.added.add(&now)
}

func (e *entry) seq() int64 { return e.view.Rec.Seq }

// person is the lead's contact as expressions see it, nil when it is not in
// memory.
func (e *entry) person() *lead.Contact {
	if e.contact == nil {
		return nil
	}
	return e.contact.Person
}

// held reports whether this process is doing something for the lead, so that it must
// stay in memory.
func (e *entry) held() bool { return e.call != nil || e.hooks != nil || e.reading }

// free reports whether no batch changes the entry.
func (e *entry) free() bool { return !e.touched && !e.inFlight }

// queue holds entries in the order of their time, and of their number where
// times are equal. An entry is in one queue at most.
type queue struct {
	entries []*entry
	limited *limitedQueue // of which it is a part, if any
}

func (q *queue) Len() int { return len(q.entries) }

func (q *queue) Less(i, j int) bool {
	a, b := q.entries[i], q.entries[j]
	return a.at < b.at || a.at == b.at && a.seq() < b.seq()
}

func (q *queue) Swap(i, j int) {
	q.entries[i], q.entries[j] = q.entries[j], q.entries[i]
	q.entries[i].pos, q.entries[j].pos = i, j
}

// Push is for container/heap; callers use add.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.pos = len(q.entries)
	q.entries = append(q.entries, e)
}

// Pop is for container/heap; callers use remove and take.
func (q *queue) Pop() any {
	last := len(q.entries) - 1
	e := q.entries[last]
	q.entries[last] = nil
	q.entries = q.entries[:last]
	return e
}

// add puts e into q, due at at, taking it out of any queue that it is in.
func (q *queue) add(e *entry, at store.Millis) {
	if e.queue == q {
		e.at = at
		heap.Fix(q, e.pos)
		return
	}
	e.unqueue()
	e.queue, e.at = q, at
	heap.Push(q, e)
}

// first returns the entry that is due first, or nil.
func (q *queue) first() *entry {
	if len(q.entries) == 0 {
		return nil
	}
	return q.entries[0]
}

// unqueue takes e out of the queue that it is in, if any.
func (e *entry) unqueue() {
	if e.queue != nil {
		heap.Remove(e.queue, e.pos)
		e.queue = nil
	}
}
