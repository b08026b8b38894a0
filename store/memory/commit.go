package memory

import (
	"context"
	"fmt"

	"github.com/leadflow-go/leadflow/store"
)

// Commit implements [store.Writer]. It checks the whole batch before it changes
// anything, so that it need never undo a change. It checks ctx once, before it waits
// for readers.
//
// A stale version is a [*store.ConflictError], and a row that cannot be written is
// a [*store.RowError].
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	c, err := s.startWriting(ctx)
	if err != nil {
		return store.Result{}, fmt.Errorf("memory: commit: %w", err)
	}
	defer s.stopWriting()
	p, err := c.plan(b)
	if err != nil {
		return store.Result{}, fmt.Errorf("memory: commit: %w", err)
	}
	c.apply(b, &p)
	return store.Result{Refused: p.refusals}, nil
}

// apply writes a batch that plan has checked, in the order that store.Batch specifies.
func (c *contents) apply(b *store.Batch, p *plan) {
	c.workflows = p.workflows
	for i := range b.Changes {
		c.change(&b.Changes[i].After)
	}
	for i := range b.Enroll {
		if e := &b.Enroll[i]; !p.refused[e.Record.Seq] {
			c.enroll(e)
		}
	}
	for i := range b.Contacts {
		if contact := &b.Contacts[i]; !p.refused[contact.Seq] {
			c.changeContact(contact)
		}
	}
	for i := range b.Steps {
		if step := &b.Steps[i]; !p.refused[step.Lead] {
			c.putStep(step)
		}
	}
	for i := range b.Calls {
		if call := &b.Calls[i]; !p.refused[call.Lead] {
			c.putCall(call)
		}
	}
	for i := range b.Payloads {
		if payload := &b.Payloads[i]; !p.refused[payload.Lead] {
			c.payloads.put(*payload)
		}
	}
	for _, seq := range b.Forget {
		c.forget(seq)
	}
	for i := range b.Suppressions {
		c.putSuppression(&b.Suppressions[i])
	}
	for i := range b.Starts {
		c.putStart(&b.Starts[i])
	}
	for i := range b.ForgetStarts {
		c.forgetStarts(&b.ForgetStarts[i])
	}
	c.putSettings(b.Settings)
	c.putAudits(p.audits)
}

func (c *contents) change(after *store.Record) {
	row := c.leads.row(after.Seq)
	c.due.move(after.Seq, row.wake, after.Wake)
	if row.state != after.State {
		c.counts.add(row.workflow, row.state, -1)
		c.counts.add(row.workflow, after.State, +1)
	}
	row.set(after)
	c.putTail(after)
}

func (c *contents) enroll(e *store.Enrollment) {
	r := &e.Record
	row := c.leads.add(r.Seq)
	row.workflow = r.Workflow
	row.set(r)
	c.putTail(r)
	c.putContact(&e.Contact)
	c.phones.add(e.Contact.Phone, r.Seq)
	c.list(&e.Contact)
	c.due.move(r.Seq, 0, r.Wake)
	c.counts.add(r.Workflow, r.State, +1)
}

// forget deletes the lead, its steps and its payloads; its calls stay.
func (c *contents) forget(seq int64) {
	row := c.leads.row(seq)
	if row == nil {
		return
	}
	c.counts.add(row.workflow, row.state, -1)
	c.due.move(seq, row.wake, 0)
	contact := c.contact(seq)
	c.phones.remove(contact.Phone, seq)
	c.unlist(&contact)
	delete(c.payloads, seq)
	c.dropSteps(row.lastStep)
	c.contacts.drop(seq)
	c.tails.drop(seq)
	c.leads.remove(seq)
}
