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
func (r *Runner) SetContact(ctx context.Context, workflow lead.WorkflowID, id lead.ID, from store.Contact, to *Contact) (store.Contact, error) {
	var now store.Contact
	err := r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		if !e.contact.says(from) {
			now = e.contact.Contact
			return ErrChanged
		}
		if err := l.apply(e, core.Touch{}); err != nil {
			return e.refusal(err, workflow, id)
		}
		next := *to
		next.Seq, next.ID, next.Enrolled = e.contact.Seq, e.contact.ID, e.contact.Enrolled
		e.contact = &next
		if !e.fresh {
			l.writes.Contacts = append(l.writes.Contacts, next.Contact)
		}
		return nil
	})
	if errors.Is(err, ErrChanged) {
		return now, err
	}
	return store.Contact{}, err // not now: if ctx has ended, the loop may still be setting it
}

// says reports whether two contacts of the same lead are equal.
func (c *Contact) says(other store.Contact) bool {
	return bytes.Equal(c.Metadata, other.Metadata) && c.TimeZone == other.TimeZone && c.ExternalID == other.ExternalID
}
