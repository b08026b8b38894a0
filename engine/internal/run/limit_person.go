package run

import (
	"context"
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// learnPerson reads, outside the loop, what the limits need to know of a lead's contact.
func (l *loop) learnPerson(e *entry, use *core.Use) {
	e.reading = true
	e.unqueue()
	q := &personRead{seq: e.seq(), phone: e.view.Phone, use: use, since: l.now.Add(-use.Span)}
	if e.contact != nil {
		q.phone = e.contact.Phone
	}
	if use.People() > maxPeople {
		use.Forget(l.now)
	}
	l.total.live++
	read := func() {
		q.read(l.r)
		l.r.inbox.tell(q)
	}
	if l.r.stepper != nil {
		l.r.stepper.facts = append(l.r.stepper.facts, read)
	} else {
		go read()
	}
}

// maxPeople is how many contacts of a limit are known before those without a recent start
// are forgotten.
const maxPeople = 50000

// knowPerson learns what the limits need to know of a lead's contact.
func (l *loop) knowPerson(e *entry, f *core.Flow) error {
	e.view.Phone = e.contact.Phone
	for _, lim := range e.view.Counted(f, l.now) {
		if lim.PerContact == 0 || lim.Knows(e.view.Phone) {
			continue
		}
		starts, err := l.r.Store.Starts(context.Background(), store.StartQuery{Key: lim.Key, Phone: e.view.Phone, Since: l.now.Add(-lim.Span)})
		if err != nil {
			return &storeError{err}
		}
		lim.Know(e.view.Phone, starts)
	}
	return nil
}

// personRead is what is known of a contact's starts.
type personRead struct {
	seq    int64
	phone  int64
	use    *core.Use
	since  store.Millis
	starts []store.Start
	failed error
	bad    bool // reading again does not help
}

func (q *personRead) read(r *Runner) {
	ctx := context.Background()
	if q.phone == 0 {
		rows, err := r.Store.Contacts(ctx, []int64{q.seq})
		_, q.bad = asRowErrors(err)
		if err != nil || len(rows) == 0 {
			q.failed, q.bad = err, q.bad || err == nil
			return
		}
		q.phone = rows[0].Phone
	}
	q.starts, q.failed = r.Store.Starts(ctx, store.StartQuery{Key: q.use.Key, Phone: q.phone, Since: q.since})
}

func (q *personRead) lead() int64 { return q.seq }

func (q *personRead) settle(l *loop) error {
	l.live--
	e := l.hot[q.seq]
	switch {
	case e == nil:
		return nil
	case q.bad:
		e.reading = false
		l.park(q.seq, q.failed)
		l.drop(e)
		return nil
	case q.failed != nil:
		l.r.Log.Error("leadflow: it cannot be read how often a contact was attempted; trying again", slog.Any("error", q.failed))
		e.reading, e.view.Rest = false, l.now.Add(restFact)
		l.place(e)
		return nil
	}
	e.reading, e.view.Rest = false, 0
	e.view.Phone = q.phone
	if !q.use.Knows(q.phone) { // else there is more to know by now
		q.use.Know(q.phone, q.starts)
	}
	if e.free() {
		l.place(e)
	}
	return nil
}
