package run

import (
	"bytes"
	"context"
	"errors"

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
	err := r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		if !e.contact.says(from) {
			now = e.contact.Contact
			return ErrChanged
		}
		if err := l.apply(e, core.Touch{Person: to.Person}); err != nil {
			return e.refusal(err, workflow, id)
		}
		next := *to
		next.Seq, next.ID, next.Enrolled = e.contact.Seq, e.contact.ID, e.contact.Enrolled
		renamed := next.ExternalID != e.contact.ExternalID
		e.contact = &next
		if !e.fresh {
			l.writes.Contacts = append(l.writes.Contacts, next.Contact)
		}
		l.auditLead(e, note)
		if renamed {
			return l.suppressRenamed(e)
		}
		return nil
	})
	if errors.Is(err, ErrChanged) {
		return now, err
	}
	return store.Contact{}, err // not now: if ctx has ended, the loop may still be setting it
}

// suppressRenamed does to a lead that has a new external id what the suppressions of the
// id say (promise 13).
func (l *loop) suppressRenamed(e *entry) error {
	if e.contact.ExternalID == "" {
		return nil
	}
	list, err := l.activeSuppressions(nil, []string{e.contact.ExternalID})
	if err != nil {
		return err
	}
	for i := range list {
		if s := &list[i]; s.Holds(&e.contact.Contact, e.view.Rec.Workflow) {
			note := store.Audit{Action: AuditRemove, Actor: s.Actor, Reason: s.Reason, Suppression: s.Seq}
			if err := l.changePerson(e, core.SuppressedBy(s), note, changedLeads{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// says reports whether two contacts of the same lead are equal.
func (c *Contact) says(other store.Contact) bool {
	return bytes.Equal(c.Metadata, other.Metadata) && c.TimeZone == other.TimeZone && c.ExternalID == other.ExternalID
}
