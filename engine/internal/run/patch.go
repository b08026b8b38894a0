package run

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// ErrChanged: the contact has changed since it was read.
var ErrChanged = errors.New("contact was changed meanwhile")

// SetContact replaces the contact from of a live lead by to; see
// engine.Engine.UpdateLead. If the lead's contact is not from, it returns ErrChanged
// and the present contact, which need not be on disk yet.
func (r *Runner) SetContact(ctx context.Context, workflow lead.WorkflowID, id lead.ID, from store.Contact, to *Contact, note store.Audit) (store.Contact, error) {
	var now store.Contact
	var before begun
	err := r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		before = begun{}
		if !e.contact.says(from) {
			now = e.contact.Contact
			return ErrChanged
		}
		renamed := to.ExternalID != e.contact.ExternalID
		if renamed && l.flying != nil {
			return errInFlight // that batch may have a suppression of the new id
		}
		if err := l.apply(e, core.Touch{Person: to.Person}); err != nil {
			return e.refusal(err, workflow, id)
		}
		next := *to
		next.Seq, next.ID, next.Enrolled = e.contact.Seq, e.contact.ID, e.contact.Enrolled
		e.contact = &next
		if !e.fresh {
			l.writes.Contacts = append(l.writes.Contacts, next.Contact)
		}
		l.auditLead(e, note)
		if renamed {
			err := l.suppressRenamed(e)
			before.add(l, e)
			return err
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrChanged):
		return now, err
	case err != nil:
		return store.Contact{}, err // not now: if ctx has ended, the loop may still be setting it
	}
	return store.Contact{}, before.await(ctx, r)
}

// suppressRenamed does to a lead that has a new external id what the suppressions of its
// contact say now (promise 13), and what those that were of the former id say no more.
func (l *loop) suppressRenamed(e *entry) error {
	l.renamed = append(l.renamed, e)
	c := &e.contact.Contact
	list, stored, err := l.activeSuppressions([]int64{c.Phone}, idsOf(c))
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(s store.Suppression) bool { return !s.Holds(c, e.view.Rec.Workflow) })
	l.expectSuppressions(store.SuppressionExpectation{Phones: []int64{c.Phone}, ExternalIDs: idsOf(c), At: l.now, Seqs: stored})
	for _, b := range e.view.Notes.Barred {
		if slices.ContainsFunc(list, func(s store.Suppression) bool { return s.Seq == b.Suppression }) {
			continue
		}
		if err := l.changePerson(e, core.Unbar{Suppression: b.Suppression}, store.Audit{}, changedLeads{}); err != nil {
			return err
		}
	}
	for i := range list {
		s := &list[i]
		note := store.Audit{Action: AuditRemove, Actor: s.Actor, Reason: s.Reason, Suppression: s.Seq}
		if s.Channel != "" {
			note.Action = "" // it removes nobody
		}
		if err := l.changePerson(e, core.SuppressedBy(s), note, changedLeads{}); err != nil {
			return err
		}
	}
	return nil
}

func idsOf(c *store.Contact) []string {
	if c.ExternalID == "" {
		return nil
	}
	return []string{c.ExternalID}
}

// says reports whether two contacts of the same lead are equal.
func (c *Contact) says(other store.Contact) bool {
	return bytes.Equal(c.Metadata, other.Metadata) && c.TimeZone == other.TimeZone && c.ExternalID == other.ExternalID
}
