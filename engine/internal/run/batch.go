package run

import (
	"context"
	"errors"
	"log/slog"
	"math"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// batch is a set of decisions that are to be written in one commit and have not taken
// effect yet. One batch is decided while the one before it is written, so that the disk
// need not wait for decisions. The two have no lead in common: a lead that the batch
// being written changes is not decided on until that batch has landed (the commit has
// succeeded or failed), so each batch can be undone by itself.
type batch struct {
	writes   store.Batch
	touched  []*entry
	was      []state  // the states of touched before the batch
	loaded   []*entry // read from the store for this batch
	fresh    []*entry // enrolled, in the order of writes.Enroll
	renamed  []*entry // whose contacts have got other external ids
	staged   map[int64]*core.Flow
	deciding []*request
	settling []result
	settled  []result // those of them that have changed a lead, where others use the store, too
	launches []*entry // whose call, or hooks, are to be started
	after    []func() // to be called once the batch is on disk
	used     []used   // what it changes in the use of limits
	at       store.Millis
	behind   bool // some of it was decided before the loop took note of other workflows
	counters      // what the batch adds to the loop's

	// The result of the commit.
	done store.Result
	err  error
}

// decided reports whether there is anything in the batch.
func (b *batch) decided() bool {
	return len(b.touched)+len(b.loaded)+len(b.deciding)+len(b.settling)+len(b.after) > 0 || !b.writes.Empty()
}

// errInFlight: the batch that is being written changes what the request is about. The
// request is decided when that batch has landed.
var errInFlight = errors.New("engine: changed by the batch in flight")

// touch notes that the batch changes e, before it does.
func (l *loop) touch(e *entry) {
	if !e.touched {
		e.touched = true
		l.touched = append(l.touched, e)
		l.was = append(l.was, e.state)
	}
}

// apply applies an event to a lead, as part of the batch. The error is the core's; then
// nothing has changed.
func (l *loop) apply(e *entry, event core.Event) error {
	rec := &e.view.Rec
	f := l.flow(rec.Workflow)
	before := counters{}
	if l.shares() {
		before = l.counters
	}
	t := &l.turning
	t.Now, t.Flow, t.Hooks, t.Person = l.now, f, l.r.Config.Hooks, e.person()
	t.Steps, t.Calls, t.Payloads, t.Stats = e.steps, e.calls, l.writes.Payloads, l.stats
	view, err := t.Apply(e.view, event)
	if err != nil {
		return err
	}
	if l.r.rules.Limiting() {
		l.countUse(e, f, &view, event)
	}
	l.touch(e)
	if view.Notes.Parked && !e.view.Notes.Parked {
		l.r.Log.Error("leadflow: the process ended too often during an attempt; its lead is parked until its step times out, "+
			"is completed by CompleteStep, or the lead is removed",
			slog.String("lead", l.r.name(rec.Seq)), slog.Int("attempt", int(rec.Attempt)), slog.String("node", f.Graph.Node(rec.Node).ID))
	}
	e.steps, e.calls, l.writes.Payloads, l.stats = t.Steps, t.Calls, t.Payloads, t.Stats
	e.view = view
	if e.call != nil && !view.Running {
		l.releaseCall(e, event)
	}
	if e.call == nil && view.Running {
		l.startCall(e, f)
	}
	switch {
	case e.hooks == nil && view.Hooking:
		l.startHooks(e, f)
	case e.hooks != nil && !view.Hooking:
		e.hooks = nil
	}
	if l.shares() && !l.counting {
		e.counted(l.counters, &before)
	}
	l.follow(e, f)
	return nil
}

// releaseCall frees the worker of a lead's handler. If the handler still runs, its
// context is cancelled once the batch is on disk.
func (l *loop) releaseCall(e *entry, event core.Event) {
	c := e.call
	e.call = nil
	l.running--
	switch event.(type) {
	case *core.Answer, core.NotCalled:
	default: // it may never return, so it is not waited for
		l.live--
		l.after = append(l.after, func() {
			if e.call == c {
				return // the change was left out as stale
			}
			c.abandoned = true
			c.cancel(ErrDeadline)
		})
	}
}

// follow queues a lead that was decided on for further decisions in the same batch;
// place queues it anew when the batch is on disk.
func (l *loop) follow(e *entry, f *core.Flow) {
	if !l.mine(e) {
		e.unqueue() // its engine goes on with it
		return
	}
	switch need := core.Next(&e.view, f, l.now); need.Kind {
	case core.Worker, core.Limited:
		switch {
		case e.fresh && l.r.rules.Limits(f):
			e.unqueue() // the store may refuse it, and must not have a start of it that was none
		case need.Kind == core.Worker:
			l.wantWorker(e, need)
		default:
			l.limits.wait(e, need, true)
		}
	case core.Change:
		l.timers.add(e, l.now)
	default:
		e.unqueue()
	}
}

// get returns the lead with that number, from memory or from the store, with its
// contact, or nil if there is none. A lead that cannot be read takes no event but its
// removal: see core.Damaged. A request returns the error errInFlight as it is.
func (l *loop) get(seq int64) (*entry, error) {
	e := l.hot[seq]
	switch {
	case e != nil && e.inFlight:
		return nil, errInFlight
	case e != nil && e.contact != nil:
		return e, nil
	}
	found, err := l.r.Store.Load(context.Background(), []int64{seq})
	rows, ok := asRowErrors(err)
	switch {
	case err != nil && !ok:
		return nil, &storeError{err}
	case ok && rows[0].Lead == nil:
		l.park(seq, rows[0])
		return nil, l.broken[seq]
	case ok:
		if rows[0].Kind == "lead" { // and not only its contact
			l.park(seq, rows[0])
		}
		found = []store.Lead{*rows[0].Lead}
	case len(found) == 0:
		return nil, nil
	}
	if e == nil {
		if e, err = l.adopt(found[0].Record); err != nil {
			if l.flow(found[0].Workflow) == nil {
				return nil, err
			}
			e = l.keep(core.Damaged(found[0].Record, err))
		}
	}
	if l.share != nil && e.free() && e.view.Unreadable == nil {
		l.renew(e, &found[0])
	}
	if e.contact, err = NewContact(found[0].Contact); err != nil {
		// A lead can be removed although its metadata cannot be read.
		l.r.MeetMetadata(seq, err)
		person, _ := core.Person(&found[0].Contact)
		e.contact = &Contact{Contact: found[0].Contact, Person: person}
	}
	return e, nil
}

// adopt takes a lead from the store into memory, at least until the batch is on disk.
// Its error concerns this lead only.
func (l *loop) adopt(rec store.Record) (*entry, error) {
	if err := l.broken[rec.Seq]; err != nil {
		return nil, err
	}
	if err := l.r.unreadableFlow(rec.Workflow); err != nil {
		l.broken[rec.Seq] = err // New logged the workflow's error once for all of its leads
		return nil, err
	}
	view, err := core.Read(rec, l.flow(rec.Workflow))
	if err != nil {
		l.park(rec.Seq, err)
		return nil, err
	}
	return l.keep(view), nil
}

// keep takes a lead into memory.
func (l *loop) keep(view core.View) *entry {
	e := &entry{state: state{view: view}}
	l.hot[view.Rec.Seq] = e
	l.loaded = append(l.loaded, e)
	return e
}

// park excludes a lead until the engine is started again, because its row cannot be
// read or written. All others go on.
func (l *loop) park(seq int64, err error) {
	if l.broken[seq] == nil {
		l.broken[seq] = core.Unreadable(seq, err)
		l.r.Meet(seq, err)
	}
}

// flow returns the workflow with that number as the batch has it, or nil.
func (l *loop) flow(seq int64) *core.Flow {
	if f := l.staged[seq]; f != nil {
		return f
	}
	return l.flows[seq]
}

// fly hands the sealed batch to the writer. It takes effect only once it is on disk
// (promise 1).
func (l *loop) fly() {
	b := l.batch
	for _, e := range b.touched {
		e.inFlight = true
		e.unqueue()
	}
	l.flying = b
	if n := len(l.spare); n > 0 {
		l.batch, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		l.batch = &batch{}
	}
	if l.writer != nil {
		l.writer <- b
	} else {
		b.write(l.r.Store)
		l.landing = b
	}
}

// write commits the batch.
func (b *batch) write(s store.Store) {
	// Not a caller's context: cancelling it in the middle of a write would leave the
	// connection busy.
	b.done, b.err = s.Commit(context.Background(), &b.writes)
}

// seal turns the decisions of the batch into rows.
func (l *loop) seal() error {
	if s := l.share; s != nil {
		l.writes.Share.Engine, l.writes.Share.Flows, l.writes.Share.Partial = l.r.rules.Engine, s.flows, l.shares()
		if l.behind {
			l.writes.Share.Flows = math.MaxInt64 // so it is refused
		}
	}
	steps, calls := 0, 0
	for _, e := range l.touched {
		steps += len(e.steps)
		if e.view.Notes.CallSeq == core.PendingCall {
			calls++
		}
	}
	l.at = l.now
	l.sealStarts()
	nextStep, nextCall := int64(0), int64(0)
	var err error
	if steps > 0 {
		if nextStep, err = l.r.Store.Reserve(context.Background(), store.StepSequence, steps); err != nil {
			return err
		}
	}
	if calls > 0 {
		if nextCall, err = l.r.Store.Reserve(context.Background(), store.CallSequence, calls); err != nil {
			return err
		}
	}
	for at, e := range l.touched {
		rec, f := &e.view.Rec, l.flow(e.view.Rec.Workflow)
		for i := range e.steps {
			e.view.Stored(f, &e.steps[i], nextStep)
			nextStep++
		}
		l.writes.Steps = append(l.writes.Steps, e.steps...)
		if len(e.calls) > 0 {
			l.sealCalls(e, &nextCall)
		}
		l.tellOthers(e, &l.was[at].view)
		text, err := e.view.Notes.Encode()
		if err != nil {
			return err
		}
		rec.EngineState, rec.Updated = text, l.now
		if e.fresh {
			continue
		}
		rec.Version++
		was := &l.was[at].view
		l.writes.Changes = append(l.writes.Changes, store.Change{Before: was.Rec, After: *rec, Repair: was.Unreadable != nil})
	}
	for _, e := range l.fresh {
		l.writes.Enroll = append(l.writes.Enroll, store.Enrollment{Record: e.view.Rec, Contact: e.contact.Contact, Knows: e.contact.knows()})
	}
	return nil
}

// sealCalls gives the attempt that was begun its number in the call log.
func (l *loop) sealCalls(e *entry, next *int64) {
	if e.view.Notes.CallSeq == core.PendingCall {
		e.view.Notes.CallSeq = *next
		for i := range e.calls {
			if e.calls[i].Seq == core.PendingCall {
				e.calls[i].Seq = *next
			}
		}
		*next++
	}
	l.writes.Calls = append(l.writes.Calls, e.calls...)
}
