package run

import (
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/store"
)

// maxLimited is how many leads of one workflow wait in memory for one limit. The others
// are only on disk.
const maxLimited = 2000

// limits has the leads that wait for limits, and keeps the core's account of what is
// used of the limits (promise 15).
type limits struct {
	everywhere []workflow.Limit // those in force in all workflows
	reading    bool             // the account of all engines is being read
	readAt     store.Millis     // when it may be read again
	heeded     int              // how often what was read was heeded
	lines      []*line          // in the order in which they came to be
	of         map[*core.Use]*line
}

// line is what waits for one limit. Each workflow has a queue of its own, so that none is
// behind another's leads.
type line struct {
	use    *core.Use
	queues []*limitedQueue // in the order of the workflows' numbers
	// closed: no lead was found, in this turn, whose attempt the limit allows. opens is
	// when to look again, unless an attempt ends before; 0 for never.
	closed bool
	opens  store.Millis
}

type limitedQueue struct {
	queue
	workflow int64
	// served is how many attempts it has been given, divided by the workflow's priority:
	// the queue with the least is served next. One that was empty starts where the others
	// are.
	served float64
	// left: leads from this place on were left on disk, because enough wait in memory.
	left bool
	from store.Key
	// message is when a scheduled message of one of the leads is due, or earlier; 0 if none
	// has any. The limit may not count it.
	message store.Millis
}

// wait queues a lead for a limit. It reports false if the lead is to be left on disk.
func (s *limits) wait(e *entry, need core.Need, held bool) bool {
	q := s.line(need.Limit).queueOf(e.view.Rec.Workflow)
	key := e.view.Rec.Key()
	others := q.Len()
	if e.queue == &q.queue {
		others--
	}
	if !held && (q.left && !key.Less(q.from) || others >= maxLimited) {
		if !q.left || key.Less(q.from) {
			q.left, q.from = true, key
		}
		return false // and horizon comes back for its messages
	}
	if need.Message != 0 && (q.message == 0 || need.Message < q.message) {
		q.message = need.Message
	}
	if others == 0 {
		q.catchUp(s.line(need.Limit))
	}
	q.add(e, need.At)
	return true
}

func (s *limits) line(use *core.Use) *line {
	ln := s.of[use]
	if ln == nil {
		if s.of == nil {
			s.of = map[*core.Use]*line{}
		}
		ln = &line{use: use}
		s.of[use], s.lines = ln, append(s.lines, ln)
	}
	return ln
}

// waiting reports whether any lead waits there.
func (ln *line) waiting() bool {
	return slices.ContainsFunc(ln.queues, func(q *limitedQueue) bool { return q.Len() > 0 })
}

func (ln *line) queueOf(workflow int64) *limitedQueue {
	i, ok := slices.BinarySearchFunc(ln.queues, workflow, func(q *limitedQueue, w int64) int { return int(q.workflow - w) })
	if !ok {
		q := &limitedQueue{workflow: workflow}
		q.limited = q
		ln.queues = slices.Insert(ln.queues, i, q)
	}
	return ln.queues[i]
}

// catchUp has a queue that was empty start where the others are, so that it does not get
// everything for a while.
func (q *limitedQueue) catchUp(ln *line) {
	least, any := 0.0, false
	for _, other := range ln.queues {
		if other.Len() > 0 && (!any || other.served < least) {
			least, any = other.served, true
		}
	}
	if any {
		q.served = max(q.served, least)
	}
}

// reopen has all limits looked at again.
func (s *limits) reopen() {
	for _, ln := range s.lines {
		ln.closed, ln.opens = false, 0
	}
}

// nextLimited returns the lead that may begin an attempt and has waited for a limit
// longest, or nil.
func (l *loop) nextLimited() (first *entry, err error) {
	for _, ln := range l.limits.lines {
		e, err := l.nextOf(ln)
		if err != nil {
			return nil, err
		}
		if e != nil && (first == nil || e.at < first.at) {
			first = e
		}
	}
	return first, nil
}

// nextOf returns the lead to which a limit allows an attempt next, or nil.
func (l *loop) nextOf(ln *line) (*entry, error) {
	for !ln.closed {
		var q *limitedQueue
		for _, other := range ln.queues {
			if other.Len() > 0 && (q == nil || other.served < q.served) {
				q = other
			}
		}
		if q == nil {
			return nil, nil
		}
		e := q.first()
		need := core.Next(&e.view, l.flow(e.view.Rec.Workflow), l.now)
		switch {
		case need.Kind == core.Worker:
			return e, nil
		case need.Kind == core.Limited && need.Limit == ln.use:
			ln.closed, ln.opens = true, need.Opens
		default: // something else keeps it from beginning
			e.unqueue()
			if err := l.due(e); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// leaveLimited leaves a lead on disk that waits for a limit; the horizon comes back to it
// when a message of it is due.
func (l *loop) leaveLimited(e *entry, need core.Need) {
	if need.Message != 0 {
		l.horizon.passOver(need.Message)
	}
	l.drop(e)
}

// sendMessages has leads looked at that wait for a limit and have a scheduled message that
// is due.
func (l *loop) sendMessages() error {
	for _, ln := range l.limits.lines {
		for _, q := range ln.queues {
			if q.message == 0 || q.message > l.now {
				continue
			}
			q.message = 0
			for _, e := range slices.Clone(q.entries) {
				e.unqueue()
				if err := l.due(e); err != nil { // back into the queue, unless its message is due
					return err
				}
			}
		}
	}
	return nil
}

// nextMessage is when a scheduled message of a lead that waits for a limit is due.
func (s *limits) nextMessage() store.Millis {
	next := store.MaxMillis
	for _, ln := range s.lines {
		for _, q := range ln.queues {
			if q.message != 0 {
				next = min(next, q.message)
			}
		}
	}
	return next
}

// served notes that a lead that waited for a limit has begun an attempt.
func (l *loop) served(e *entry) {
	if q := e.queue.limited; q != nil {
		q.served += 1 / float64(l.flow(q.workflow).Graph.Priority())
	}
}

// refill has leads read that were left on disk, for queues that have become short.
func (l *loop) refill() {
	for _, ln := range l.limits.lines {
		for _, q := range ln.queues {
			if q.left && q.Len() < maxLimited/4 {
				q.left = false
				l.horizon.back(q.from.Wake)
			}
		}
	}
}

// limitOpens is when a limit for which leads wait allows an attempt again; now if one
// does already.
func (l *loop) limitOpens(now store.Millis) store.Millis {
	opens := store.MaxMillis
	for _, ln := range l.limits.lines {
		switch {
		case !ln.waiting():
		case !ln.closed:
			return now
		case ln.opens != 0:
			opens = min(opens, ln.opens)
		}
	}
	return opens
}
