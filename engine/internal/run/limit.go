package run

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
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
	lines      []*line          // in the order in which they came to be
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
		return false
	}
	if others == 0 {
		q.catchUp(s.line(need.Limit))
	}
	q.add(e, need.At)
	return true
}

func (s *limits) line(use *core.Use) *line {
	for _, ln := range s.lines {
		if ln.use == use {
			return ln
		}
	}
	ln := &line{use: use}
	s.lines = append(s.lines, ln)
	return ln
}

func (ln *line) queueOf(workflow int64) *limitedQueue {
	i, ok := slices.BinarySearchFunc(ln.queues, workflow, func(q *limitedQueue, w int64) int { return int(q.workflow - w) })
	if !ok {
		ln.queues = slices.Insert(ln.queues, i, &limitedQueue{workflow: workflow})
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

// served notes that a lead that waited for a limit has begun an attempt.
func (l *loop) served(e *entry) {
	for _, ln := range l.limits.lines {
		for _, q := range ln.queues {
			if e.queue == &q.queue {
				q.served += 1 / float64(l.flow(q.workflow).Graph.Priority())
				return
			}
		}
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
		waiting := slices.ContainsFunc(ln.queues, func(q *limitedQueue) bool { return q.Len() > 0 })
		switch {
		case !waiting:
		case !ln.closed:
			return now
		case ln.opens != 0:
			opens = min(opens, ln.opens)
		}
	}
	return opens
}

// used is a change of what is used of a limit, by a lead in a batch.
type used struct {
	lead   int64
	use    *core.Use
	max    int64 // that the limit allows; the smallest of those with the same use
	flying int
	starts int
	phone  int64 // of a start that counts for a contact
}

// countUse keeps account of the limits for which a change of a lead counts. It is called
// when the core has decided the change, and e.view is as it was before.
func (l *loop) countUse(e *entry, f *core.Flow, after *core.View, event core.Event) {
	flew, flies := e.view.Flies(), after.Flies()
	_, begins := event.(core.Begin)
	delivers := begins && after.Running && !after.Asking
	if flew == flies && !delivers {
		return
	}
	note := func(u used) {
		u.lead = e.seq()
		u.use.Flying += u.flying
		if u.starts != 0 {
			u.use.Started(u.phone, l.now, u.starts)
		}
		l.used = append(l.used, u)
	}
	if flew && !flies {
		for _, lim := range e.view.Counted(f, l.now) {
			if lim.InFlight > 0 {
				note(used{use: lim.Use, max: int64(lim.InFlight), flying: -1})
			}
		}
		return
	}
	for _, lim := range after.Counted(f, l.now) {
		switch {
		case lim.InFlight > 0 && !flew:
			note(used{use: lim.Use, max: int64(lim.InFlight), flying: 1})
		case lim.Starts > 0 && delivers:
			note(used{use: lim.Use, max: int64(lim.Starts), starts: 1})
		case lim.PerContact > 0 && delivers:
			note(used{use: lim.Use, starts: 1, phone: after.Phone})
		}
	}
}

// unuse takes back what a batch has counted for leads, all of them if such is nil.
func (l *loop) unuse(b *batch, such func(lead int64) bool) {
	kept := b.used[:0]
	for _, u := range b.used {
		if such != nil && !such(u.lead) {
			kept = append(kept, u)
			continue
		}
		u.use.Flying -= u.flying
		if u.starts != 0 {
			u.use.Started(u.phone, b.at, -u.starts)
		}
	}
	b.used = kept
}

// sealStarts adds the starts that count for limits to the batch.
func (l *loop) sealStarts() {
	if l.share != nil {
		l.sealShared()
	}
	for _, u := range l.used {
		if u.starts == 0 || l.share != nil && u.phone == 0 {
			continue
		}
		i := slices.IndexFunc(l.writes.Starts, func(s store.Start) bool { return u.phone == 0 && s.Phone == 0 && s.Key == u.use.Key })
		if i >= 0 {
			l.writes.Starts[i].N += int32(u.starts)
			continue
		}
		l.writes.Starts = append(l.writes.Starts, store.Start{Key: u.use.Key, Phone: u.phone, At: l.now, N: int32(u.starts)})
		if before := u.use.Outdated(l.now); before != 0 {
			l.writes.ForgetStarts = append(l.writes.ForgetStarts, store.ForgetStarts{Key: u.use.Key, Before: before})
		}
	}
}

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
		return &storeError{q.failed}
	}
	e.reading = false
	e.view.Phone = q.phone
	if !q.use.Knows(q.phone) { // else there is more to know by now
		q.use.Know(q.phone, q.starts)
	}
	if e.free() {
		l.place(e)
	}
	return nil
}

// limitsSetting is the name of the setting that has the limits for all workflows.
const limitsSetting = "limits"

// loadLimits has the limits in force that are on disk, with what is used of them.
func (l *loop) loadLimits() error {
	settings, err := l.r.Store.Settings(context.Background())
	if err != nil {
		return ReadFailed(err)
	}
	l.now = l.clock()
	for _, s := range settings {
		if s.Name == limitsSetting {
			if l.limits.everywhere, err = workflow.ParseLimits(s.Value); err != nil {
				return fmt.Errorf("engine: the limits for all workflows cannot be read: %w", err)
			}
		}
	}
	if err := l.limitUse(); err != nil {
		return err
	}
	return l.readAccount()
}

// limitUse has the present limits of all workflows in force, and learns what is used of
// those that are new.
func (l *loop) limitUse() error {
	var fresh []*core.Use
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) {
		fresh = append(fresh, l.r.rules.SetLimits(l.flows[seq], l.limits.everywhere)...)
		l.watch(l.flows[seq])
	}
	l.r.rules.DropUses()
	l.limits.lines = slices.DeleteFunc(l.limits.lines, func(ln *line) bool {
		return !l.r.rules.Counts(ln.use) && !slices.ContainsFunc(ln.queues, func(q *limitedQueue) bool { return q.Len() > 0 })
	})
	if len(fresh) == 0 {
		return nil
	}
	for _, use := range fresh {
		starts, err := l.r.Store.Starts(context.Background(), store.StartQuery{Key: use.Key, Since: l.now.Add(-use.Span)})
		if err != nil {
			return ReadFailed(err)
		}
		for _, s := range starts {
			use.Started(0, s.At, int(s.N))
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) {
		if err := l.countFlying(l.flows[seq], fresh); err != nil {
			return err
		}
	}
	return nil
}

// countFlying counts the attempts of a workflow in flight for limits of which that is not
// known.
func (l *loop) countFlying(f *core.Flow, fresh []*core.Use) error {
	if !f.Exists() {
		return nil
	}
	q := store.LeadQuery{Workflow: f.Row.Seq, States: []lead.State{lead.InStep, lead.PendingRemoval}, Limit: fillSize}
	for {
		page, err := l.r.Store.Sweep(context.Background(), q)
		bad, ok := asRowErrors(err)
		if err != nil && !ok {
			return ReadFailed(err)
		}
		for _, rec := range page {
			view, err := core.Read(rec, f)
			if err != nil || !view.Flies() {
				continue
			}
			for _, lim := range view.Counted(f, l.now) {
				if lim.InFlight > 0 && slices.Contains(fresh, lim.Use) {
					lim.Flying++
					lim.Base++
				}
			}
		}
		if len(page)+len(bad) < q.Limit || len(page) == 0 {
			return nil
		}
		q.After = page[len(page)-1].Seq
	}
}

// SetLimits replaces the limits for all workflows. text is their JSON. When it returns,
// no handler is called any more for an attempt that began under the former ones.
func (r *Runner) SetLimits(ctx context.Context, limits []workflow.Limit, text []byte) error {
	var beginning []<-chan struct{}
	err := r.do(ctx, func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		beginning = nil
		l.writes.Settings = append(l.writes.Settings, store.Setting{Name: limitsSetting, Value: text})
		l.forgetLimits(limits)
		l.after = append(l.after, func() {
			l.limits.everywhere = limits
			if err := l.limitUse(); err != nil {
				l.r.Log.Error("leadflow: it cannot be read how much of the limits is used", slog.Any("error", err))
			}
			l.wakePutOff()
			l.limits.reopen()
			l.horizon.rewind() // for leads that were left on disk because of a limit that is gone
			beginning = l.beginning(func(*core.Flow) bool { return true })
		})
		return nil
	})
	if err != nil {
		return err // if ctx has ended, the loop may still be deciding
	}
	for _, begun := range beginning {
		if err := r.Await(ctx, begun); err != nil {
			return err
		}
	}
	return r.agree(ctx)
}

// wakePutOff has leads looked at again that wait, on disk, for a time that a limit gave.
func (l *loop) wakePutOff() {
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) {
		if f := l.flows[seq]; f.Exists() && !f.Row.Status.Final() && f.Row.Status != lead.WorkflowDraft {
			l.addSweep(&sweep{
				query: store.LeadQuery{Workflow: seq, States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}},
				event: core.Rewake{}, done: make(chan struct{}),
			})
		}
	}
}

// Limits returns the limits for all workflows.
func (r *Runner) Limits(ctx context.Context) ([]workflow.Limit, error) {
	var limits []workflow.Limit
	err := r.do(ctx, func(l *loop) error {
		limits = slices.Clone(l.limits.everywhere)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return limits, nil
}

// CoolDown has no attempt with a rate key begin before a time.
func (r *Runner) CoolDown(ctx context.Context, key string, until store.Millis) error {
	return r.do(ctx, func(l *loop) error {
		l.r.rules.Close(key, until)
		return nil
	})
}
