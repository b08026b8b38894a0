package run

import (
	"context"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Enrolling is an enrollment that was asked for.
type Enrolling struct {
	run     *Runner
	request *request
}

// Enroll asks the loop to enroll the contacts, and does not wait; see Enrolling.Wait.
// Afterwards Contact.Live is set for each contact that was refused.
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
	return &Enrolling{r, q}, nil
}

// Wait waits until the contacts are enrolled and on disk, or refused.
func (e *Enrolling) Wait(ctx context.Context) error { return e.run.answer(ctx, e.request) }

// enroll makes the contacts leads, which may start in the same batch.
func (l *loop) enroll(f *core.Flow, contacts []*Contact) error {
	first, err := l.r.Store.Reserve(context.Background(), store.LeadSequence, len(contacts))
	if err != nil {
		return &storeError{err}
	}
	for i, c := range contacts {
		seq := first + int64(i)
		if c.ID, err = l.r.newLeadID(l.now.Time(), seq); err != nil {
			return err
		}
		c.Seq, c.Enrolled, c.Live = seq, l.now, 0
		e := &entry{fresh: true, state: state{contact: c, view: core.View{Rec: l.newRecord(seq, f, c)}}}
		l.hot[seq] = e
		l.fresh = append(l.fresh, e)
		if err := l.apply(e, core.Enroll{}); err != nil {
			return &storeError{err} // fails the whole batch, which has some of them already
		}
	}
	return nil
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

// random mixes the seed with a number; the mixing is that of SplitMix64
// (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
func (r *Runner) random(n int64) uint64 {
	x := r.Seed + uint64(n)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
