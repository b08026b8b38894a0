package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file decides on leads in a transaction of the program's own, outside the loop: the
// version of a lead's row tells whether it was decided on the present one. What is to
// happen to the lead next is for the engine that has its shard.

// EnrollTx makes the contact a lead, when the program commits. Afterwards Contact.Live is
// set if it was refused.
func (r *Runner) EnrollTx(ctx context.Context, tx store.Tx, id lead.WorkflowID, c *Contact) (*core.Flow, store.Record, error) {
	f, err := r.flowIn(ctx, tx, id)
	if err == nil {
		err = f.Enrollable()
	}
	if err != nil {
		return nil, store.Record{}, err
	}
	seq, err := r.Store.Reserve(ctx, store.LeadSequence, 1)
	if err != nil {
		return nil, store.Record{}, err
	}
	now := r.Clock.Now()
	if c.ID, err = r.newLeadID(now, seq); err != nil {
		return nil, store.Record{}, err
	}
	c.Seq, c.Enrolled = seq, store.MillisOf(now)
	rec := store.Record{Seq: seq, Workflow: f.Row.Seq, Shard: store.ShardOf(c.Phone)}
	for tries := 1; ; tries++ {
		c.Live, c.Suppressed = 0, nil
		b, err := r.decideIn(ctx, f, core.View{Rec: rec}, c.Person, core.Enroll{Barred: c.barred})
		if err != nil {
			return nil, rec, err
		}
		after := b.Changes[0].After
		b.Changes = nil
		b.Enroll = []store.Enrollment{{Record: after, Contact: c.Contact, Knows: c.knows()}}
		b.Share.Notices = []store.Notice{{Shard: rec.Shard, Wake: after.Wake}}
		if knows := c.knows(); knows != nil {
			b.Share.Suppressed = []store.SuppressionExpectation{{Seqs: knows}}
		}
		done, err := tx.Write(ctx, b)
		if errors.Is(err, store.ErrConflict) && tries < maxBarred { // one was lifted; which are left is found anew
			c.barred = nil
			continue
		}
		if err != nil {
			return nil, after, err
		}
		for _, refused := range done.Refused {
			c.Live, c.Suppressed = refused.Live, refused.Suppressed
		}
		again, err := r.admit(ctx, []*Contact{c})
		if err != nil || len(again) == 0 || tries == maxBarred {
			return f, after, err
		}
	}
}

// staleTries is how often a lead that others change meanwhile is decided on again.
const staleTries = 20

// RemoveTx takes a lead out of a workflow, when the program commits. It returns the state
// that the lead has then.
func (r *Runner) RemoveTx(ctx context.Context, tx store.Tx, workflow lead.WorkflowID, id lead.ID, how core.Removal) (lead.State, error) {
	f, err := r.flowIn(ctx, tx, workflow)
	if err != nil {
		return 0, err
	}
	for tries := 1; ; tries++ {
		found, err := tx.Load(ctx, []int64{id.Seq()})
		if err != nil {
			return 0, err
		}
		if len(found) == 0 || found[0].Contact.ID != id || found[0].Workflow != f.Row.Seq {
			return 0, LeadNotFound(workflow, id)
		}
		view, err := core.Read(found[0].Record, f)
		if err != nil {
			return 0, fmt.Errorf("engine: %w", err)
		}
		person, _ := core.Person(&found[0].Contact) // a lead can be removed although its metadata cannot be read
		b, err := r.decideIn(ctx, f, view, person, core.Remove{How: how})
		switch {
		case errors.Is(err, core.ErrUnchanged):
			return view.Rec.State, nil
		case err != nil:
			return 0, (&entry{state: state{view: view}}).refusal(err, workflow, id)
		}
		b.Share.Notices = []store.Notice{{Shard: view.Rec.Shard, Lead: id.Seq()}}
		if runs := view.Notes.Engine; runs != 0 {
			b.Share.Notices = append(b.Share.Notices, store.Notice{Engine: runs, Lead: id.Seq()})
		}
		_, err = tx.Write(ctx, b)
		if errors.Is(err, store.ErrConflict) && tries < staleTries {
			continue
		}
		return b.Changes[0].After.State, err
	}
}

// flowIn returns a workflow of which this engine has the version that the transaction
// sees.
func (r *Runner) flowIn(ctx context.Context, tx store.Tx, id lead.WorkflowID) (*core.Flow, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		f, err := r.Flow(id)
		if err != nil {
			return nil, err
		}
		version, err := tx.Workflow(ctx, f.Row.Seq)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, WorkflowNotFound(id)
		case err != nil:
			return nil, err
		case version == f.Row.Version:
			return f, nil
		case pause > time.Second:
			return nil, fmt.Errorf("engine: this engine has not read the newest version of workflow %s yet; try again: %w", id, store.ErrUnavailable)
		}
		r.sharer.soon()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// decideIn applies an event to a lead, and returns what is to be written.
func (r *Runner) decideIn(ctx context.Context, f *core.Flow, view core.View, person *lead.Contact, event core.Event) (*store.Batch, error) {
	// Which engines live is for the loop to know: an engine that runs the step in flight
	// is taken to live, and if it does not, its leads are looked at again anyway.
	apart := *f
	apart.Rules = &core.Rules{Engine: -1}
	now := store.MillisOf(r.Clock.Now())
	t := core.Turn{Now: now, Flow: &apart, Hooks: r.Config.Hooks, Person: person}
	next, err := t.Apply(view, event)
	if err != nil {
		return nil, err
	}
	if next.Hooking && !view.Hooking { // for the engine that has the shard
		next.Hooking, next.Notes.Engine = false, 0
	}
	if len(t.Steps) > 0 {
		first, err := r.Store.Reserve(ctx, store.StepSequence, len(t.Steps))
		if err != nil {
			return nil, err
		}
		for i := range t.Steps {
			next.Stored(f, &t.Steps[i], first+int64(i))
		}
	}
	text, err := next.Notes.Encode()
	if err != nil {
		return nil, err
	}
	next.Rec.EngineState, next.Rec.Updated = text, now
	if view.Rec.Version > 0 {
		next.Rec.Version++
	}
	return &store.Batch{
		Changes: []store.Change{{Before: view.Rec, After: next.Rec}}, Steps: t.Steps, Calls: t.Calls, Payloads: t.Payloads,
	}, nil
}
