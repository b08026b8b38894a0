package run

import (
	"bytes"
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// ErrChanged: the contact is not the one that the change was made of.
var ErrChanged = errors.New("contact was changed meanwhile")

// SetContact gives a live lead another contact in place of the one that it was
// made of; see engine.Engine.UpdateLead. With ErrChanged it returns the contact that
// the lead has, which need not be on disk yet.
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
	return store.Contact{}, err // the loop may be at it still, if ctx has ended
}

// says reports whether the contact says the same as another of its lead.
func (c *Contact) says(other store.Contact) bool {
	return bytes.Equal(c.Metadata, other.Metadata) && c.TimeZone == other.TimeZone && c.ExternalID == other.ExternalID
}
