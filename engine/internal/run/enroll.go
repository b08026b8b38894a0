package run

import (
	"context"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Enrolling is an enrollment that was asked for.
type Enrolling struct {
	run      *Runner
	workflow lead.WorkflowID
	contacts []*Contact
	request  *request
}

// Enroll asks the loop to enroll the contacts, and does not wait; see Enrolling.Wait.
// Afterwards Contact.Live or Contact.Suppressed is set for each contact that was refused.
func (r *Runner) Enroll(ctx context.Context, workflow lead.WorkflowID, contacts []*Contact) (*Enrolling, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := r.Current(); err != nil {
		return nil, err
	}
	q := &request{answer: make(chan error, 1), decide: func(l *loop) error {
		f, err := l.flowByID(workflow)
		if err == nil {
			err = f.Enrollable()
		}
		if err != nil {
			return err
		}
		return l.enroll(f, contacts)
	}}
	if !r.inbox.ask(q) {
		return nil, ErrNotRunning
	}
	return &Enrolling{r, workflow, contacts, q}, nil
}

// maxBarred is how often a contact is enrolled again because there are more suppressions
// for one channel than enrolling took account of.
const maxBarred = 100

// Wait waits until the contacts are enrolled and on disk, or refused.
func (e *Enrolling) Wait(ctx context.Context) error {
	for range maxBarred {
		if err := e.run.answer(ctx, e.request); err != nil {
			return err
		}
		again, err := e.run.admit(ctx, e.contacts)
		if err != nil || len(again) == 0 {
			return err
		}
		next, err := e.run.Enroll(ctx, e.workflow, again)
		if err != nil {
			return err
		}
		*e = *next
	}
	return nil
}

// admit returns those of the contacts that were refused because of suppressions that
// forbid one channel only: such a person can be enrolled, and the lead takes note of them.
func (r *Runner) admit(ctx context.Context, contacts []*Contact) (again []*Contact, err error) {
	for _, c := range contacts {
		if len(c.Suppressed) == 0 {
			continue
		}
		found, err := r.Store.Suppressions(ctx, store.SuppressionQuery{Seqs: c.Suppressed})
		if err != nil {
			return nil, ReadFailed(err)
		}
		if slices.ContainsFunc(found, func(s store.Suppression) bool { return s.Channel == "" }) {
			continue
		}
		for _, s := range found {
			c.barred = append(c.barred, core.Barred{Suppression: s.Seq, Channel: s.Channel, Until: s.Expires})
		}
		c.Suppressed = nil
		again = append(again, c)
	}
	return again, nil
}

// knows returns the numbers of the suppressions of which enrolling takes account.
func (c *Contact) knows() []int64 {
	var list []int64
	for _, b := range c.barred {
		list = append(list, b.Suppression)
	}
	return list
}

// enroll makes the contacts leads, which may start in the same batch.
func (l *loop) enroll(f *core.Flow, contacts []*Contact) error {
	if err := l.stillBarred(contacts); err != nil {
		return err
	}
	first, err := l.r.Store.Reserve(context.Background(), store.LeadSequence, len(contacts))
	if err != nil {
		return &storeError{err}
	}
	for i, c := range contacts {
		seq := first + int64(i)
		c.Live = 0
		if c.Suppressed = l.stagedSuppressions(f, c); c.Suppressed != nil {
			continue
		}
		if c.ID, err = l.r.newLeadID(l.now.Time(), seq); err != nil {
			return err
		}
		c.Seq, c.Enrolled = seq, l.now
		e := &entry{fresh: true, state: state{contact: c, view: core.View{Rec: l.newRecord(seq, f, c)}}}
		l.hot[seq] = e
		l.fresh = append(l.fresh, e)
		if err := l.apply(e, core.Enroll{Barred: c.barred}); err != nil {
			return &storeError{err} // fails the whole batch, which has some of them already
		}
	}
	return nil
}

// stillBarred drops from what the contacts' leads are to take account of the suppressions
// that were lifted meanwhile.
func (l *loop) stillBarred(contacts []*Contact) error {
	for _, c := range contacts {
		if len(c.barred) == 0 {
			continue
		}
		if l.flying != nil {
			return errInFlight // that batch may lift one
		}
		list, _, err := l.activeSuppressions([]int64{c.Phone}, idsOf(&c.Contact))
		if err != nil {
			return err
		}
		c.barred = slices.DeleteFunc(c.barred, func(b core.Barred) bool {
			return !slices.ContainsFunc(list, func(s store.Suppression) bool { return s.Seq == b.Suppression })
		})
		l.expectSuppressions(store.SuppressionExpectation{Seqs: c.knows()})
	}
	return nil
}

// stagedSuppressions returns the numbers of the suppressions in this batch that forbid
// enrolling. Those on disk are for the store to look at.
func (l *loop) stagedSuppressions(f *core.Flow, c *Contact) (list []int64) {
	for i := range l.writes.Suppressions {
		if s := &l.writes.Suppressions[i]; s.Active(l.now) && s.Holds(&c.Contact, f.Row.Seq) && !slices.Contains(c.knows(), s.Seq) {
			list = append(list, s.Seq)
		}
	}
	return list
}

func (l *loop) newRecord(seq int64, f *core.Flow, c *Contact) store.Record {
	rec := store.Record{Seq: seq, Workflow: f.Row.Seq}
	if l.share != nil {
		rec.Shard = store.ShardOf(c.Phone)
	}
	return rec
}

// newLeadID returns a new random id or, in a stepped engine, one derived from the seed.
func (r *Runner) newLeadID(at time.Time, seq int64) (lead.ID, error) {
	if r.Stepped {
		return lead.IDFrom(at, seq, r.random(seq)), nil
	}
	return lead.NewID(at, seq)
}

func (r *Runner) newWorkflowID(at time.Time, seq int64) (lead.WorkflowID, error) {
	if r.Stepped {
		return lead.WorkflowIDFrom(at, seq, r.random(-seq)), nil
	}
	return lead.NewWorkflowID()
}

func (r *Runner) newSuppressionID(at time.Time, seq int64) (lead.SuppressionID, error) {
	if r.Stepped {
		return lead.SuppressionIDFrom(at, seq, r.random(seq^1<<40)), nil
	}
	return lead.NewSuppressionID(at, seq)
}

// random mixes the seed with a number; the mixing is that of SplitMix64
// (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
func (r *Runner) random(n int64) uint64 {
	x := r.Seed + uint64(n)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
