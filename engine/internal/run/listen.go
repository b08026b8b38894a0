package run

import (
	"context"
	"slices"
	"sync"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// Change is how a commit changed a lead, or that the lead cannot be read.
type Change struct {
	Flow          *core.Flow
	Before, After core.View    // Before is zero for a new lead
	Steps         []store.Step // that the commit finished
	Contact       *Contact     // nil if it is not in memory
	// Unreadable, if not nil, is why the lead cannot be read and is left out from now
	// on. Then only After.Rec.Seq is set, and Contact if it can be read.
	Unreadable error
	// Guarded, if not 0, says that the workflow was paused by its guard, because so many of
	// its last steps had the outcome that it names. Then only Flow is set.
	Guarded int
}

// MaxBehind is how many changes are queued for a listener; it misses those that come
// while its queue is full.
const MaxBehind = 10_000

// listener is told of changes, outside the loop, one batch after the other.
type listener struct {
	run  *Runner
	hear func(changes []Change, missed int)

	mu      sync.Mutex
	queue   []Change
	missed  int           // changes after those in the queue
	ended   bool          // it is told nothing more
	working chan struct{} // closed when the queue is empty again; nil while it is
}

// Listen calls hear with the changes of commits, in order, outside the loop and one
// call at a time. missed counts the changes after these that were dropped because hear
// was too slow. stop ends that.
func (r *Runner) Listen(hear func(changes []Change, missed int)) (stop func()) {
	l := &listener{run: r, hear: hear}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setListeners(append(slices.Clone(r.listening()), l))
	return func() {
		r.mu.Lock()
		r.setListeners(slices.DeleteFunc(slices.Clone(r.listening()), func(other *listener) bool { return other == l }))
		r.mu.Unlock()
		l.mu.Lock()
		l.ended, l.queue, l.missed = true, nil, 0
		l.mu.Unlock()
	}
}

func (r *Runner) setListeners(list []*listener) { r.listeners.Store(&list) }

// listening returns the listeners.
func (r *Runner) listening() []*listener {
	if list := r.listeners.Load(); list != nil {
		return *list
	}
	return nil
}

// tell queues changes for the listener. It does not wait.
func (l *listener) tell(changes []Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	room := MaxBehind - len(l.queue)
	if l.missed > 0 { // it misses everything until it has caught up, so that there is one gap
		room = 0
	}
	room = min(room, len(changes))
	l.queue = append(l.queue, changes[:room]...)
	l.missed += len(changes) - room
	if l.working == nil {
		l.working = make(chan struct{})
		l.run.spawn(l.work)
	}
}

// work calls the listener until its queue is empty.
func (l *listener) work() {
	for {
		l.mu.Lock()
		changes, missed := l.queue, l.missed
		l.queue, l.missed = nil, 0
		if len(changes) == 0 && missed == 0 {
			close(l.working)
			l.working = nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for part := range slices.Chunk(changes, readAhead) {
			l.mu.Lock()
			ended := l.ended
			l.mu.Unlock()
			if !ended {
				l.hear(part, 0)
			}
		}
		if missed > 0 {
			l.hear(nil, missed)
		}
	}
}

// heard waits until listeners have heard everything.
func (r *Runner) heard(ctx context.Context) error {
	for _, l := range r.listening() {
		l.mu.Lock()
		working := l.working
		l.mu.Unlock()
		if working == nil {
			continue
		}
		select {
		case <-working:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// changes returns the changes that the batch has made, if there are listeners.
func (l *loop) changes(b *batch) []Change {
	if len(l.r.listening()) == 0 || len(b.touched) == 0 {
		return nil
	}
	refused := map[*entry]bool{}
	for _, r := range b.done.Refused {
		refused[b.fresh[r.Index]] = true
	}
	list := make([]Change, 0, len(b.touched))
	for i, e := range b.touched {
		if refused[e] {
			continue
		}
		c := Change{Flow: l.flow(e.view.Rec.Workflow), After: e.view, Steps: slices.Clone(e.steps), Contact: e.contact}
		if !e.fresh {
			c.Before = b.was[i].view
		}
		list = append(list, c)
	}
	return list
}

// ReadContacts reads the contacts that are missing in changes because they were not in
// memory. The error is the store's; a contact that cannot be read stays nil.
func (r *Runner) ReadContacts(changes []Change) error {
	var seqs []int64
	for _, c := range changes {
		if c.Contact == nil && c.Guarded == 0 {
			seqs = append(seqs, c.After.Rec.Seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	found, _, err := r.contacts(slices.Compact(slices.Sorted(slices.Values(seqs))))
	if err != nil {
		return err
	}
	for i := range changes {
		if c := &changes[i]; c.Contact == nil {
			c.Contact = found[c.After.Rec.Seq]
		}
	}
	return nil
}
