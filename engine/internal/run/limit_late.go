package run

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// This file is about handlers that are called later than their attempts were committed,
// because a store is slow, or the process was stopped. For the provider the attempt starts
// when it is called, and then the attempts after it would come too soon. So a start counts
// as of now until the handler is called, and from then on as of that time (promise 15).
//
// Where engines share the account of a limit it has the times of commits, and handlers may
// be called later by as much as a lease.

// starting is a start of a limit whose handler was not called yet when the loop looked.
type starting struct {
	call  *Call
	use   *core.Use
	phone int64
	at    store.Millis // as of when it counts
	due   store.Millis // when it was committed, as it is on disk
}

// lateFrom is how much later than its commit a handler is called so that the time is put
// on disk, too. After a restart, others may come that much too soon.
const lateFrom = time.Second

// beginStarts has the loop look when the handlers are called whose attempts the batch
// begins, and that count for limits.
func (l *loop) beginStarts(b *batch) {
	for _, u := range b.used {
		if u.starts <= 0 || l.share != nil && u.phone == 0 {
			continue
		}
		if e := l.hot[u.lead]; e != nil && e.call != nil && !e.call.launched {
			e.call.counts = true
			l.starting = append(l.starting, starting{e.call, u.use, u.phone, u.at, u.at})
		}
	}
}

// lookAtStarts moves starts to when their handlers were called, or to now.
func (l *loop) lookAtStarts() {
	kept := l.starting[:0]
	for _, s := range l.starting {
		began := s.call.began.Load()
		at := store.Millis(began)
		if began == 0 {
			at = l.now
		}
		if began >= 0 && at != s.at && l.r.rules.Counts(s.use) {
			s.use.Move(s.phone, s.at, at)
			s.at = at
		}
		switch {
		case began == 0:
			kept = append(kept, s)
		case s.at >= s.due.Add(lateFrom):
			l.writes.Starts = append(l.writes.Starts, store.Start{Key: s.use.Key, Phone: s.phone, At: s.at, N: 1})
		}
	}
	clear(l.starting[len(kept):])
	l.starting = kept
}
