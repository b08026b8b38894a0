package engine

import (
	"container/heap"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// entry is a lead in the loop's memory. Only the loop touches it.
type entry struct {
	view
	contact *contact // nil until somebody needed it

	// What a batch has decided and the store does not have yet. was is what to go
	// back to if the commit fails.
	touched bool
	// inFlight: by a batch that is being written. Nobody decides on it meanwhile.
	inFlight bool
	fresh    bool // enrolled in this batch
	was      view
	steps    []store.Step // finished in this batch

	// Where the entry waits, if it does: see queue.
	queue *queue
	at    store.Millis
	pos   int
}

// view is the part of an entry that decisions change.
type view struct {
	rec   store.Record
	extra extra
	// run is the handler call of the attempt in flight, nil when none is made by
	// this process.
	run *run
	// hooks is set while hooks of the current step run.
	hooks *hookRun
}

func (e *entry) skipRetries() bool {
	return e.rec.State == lead.PendingRemoval && e.extra.Removal != nil && e.extra.Removal.SkipRetries
}

// wakeAfterWait is when a lead that is not in flight is due next.
func (e *entry) wakeAfterWait() store.Millis {
	if len(e.extra.Messages) > 0 {
		return min(e.rec.Due, e.extra.Messages[0].Due)
	}
	return e.rec.Due
}

// queue holds entries in the order of their time, and of their number where
// times are equal. An entry is in one queue at most.
type queue struct {
	entries []*entry
}

func (q *queue) Len() int { return len(q.entries) }

func (q *queue) Less(i, j int) bool {
	a, b := q.entries[i], q.entries[j]
	return a.at < b.at || a.at == b.at && a.rec.Seq < b.rec.Seq
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
