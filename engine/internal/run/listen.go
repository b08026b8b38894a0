package run

import (
	"context"
	"slices"
	"sync"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// Change is what a commit has made of a lead, or that the lead cannot be read.
type Change struct {
	Flow          *core.Flow
	Before, After core.View    // Before is the zero View of a lead that is new
	Steps         []store.Step // that are over
	Contact       *Contact     // nil when it is not in memory
	// Unreadable is why the lead cannot be read, and is left alone from now on. Of
	// such a change only After.Rec.Seq and Contact are set, the latter where it can be.
	Unreadable error
}

// MaxBehind is how many changes a listener may be behind; it misses what comes
// beyond.
const MaxBehind = 10_000

// listener hears of changes, away from the loop, one batch after the other.
type listener struct {
	run  *Runner
	hear func(changes []Change, missed int)

	mu      sync.Mutex
	queue   []Change
	missed  int           // changes after those in the queue
	ended   bool          // it hears nothing more
	working chan struct{} // closed when it has heard all; nil while it has nothing to hear
}

// Listen has hear called with what commits change, in order, away from the loop
// and never by two goroutines at once; missed counts changes after those, of which
// it was too slow to hear. stop ends that.
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

// listening returns who hears of changes.
func (r *Runner) listening() []*listener {
	if list := r.listeners.Load(); list != nil {
		return *list
	}
	return nil
}

// tell adds changes to what the listener is to hear. It does not wait.
func (l *listener) tell(changes []Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	room := MaxBehind - len(l.queue)
	if l.missed > 0 { // what it misses is a single gap, until it has caught up
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

// work has the listener hear all that there is.
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

// changes returns what the batch has changed, if anybody listens.
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

// ReadContacts reads the contacts that changes lack, of leads that were not in
// memory. The error is the store's; a contact that cannot be read stays nil.
func (r *Runner) ReadContacts(changes []Change) error {
	var seqs []int64
	for _, c := range changes {
		if c.Contact == nil {
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
