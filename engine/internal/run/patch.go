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
var ErrChanged = errors.New("engine: the contact has changed meanwhile")

// SetContact gives a live lead another contact in place of the one that it was
// made of; see engine.Engine.UpdateLead.
func (r *Runner) SetContact(ctx context.Context, workflow lead.WorkflowID, id lead.ID, from store.Contact, to *Contact) error {
	return r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		has := &e.contact.Contact
		if !bytes.Equal(has.Metadata, from.Metadata) || has.TimeZone != from.TimeZone || has.ExternalID != from.ExternalID {
			return ErrChanged
		}
		if err := l.apply(e, core.Touch{}); err != nil {
			return e.refusal(err, workflow, id)
		}
		next := *to
		next.Seq, next.ID, next.Enrolled = has.Seq, has.ID, has.Enrolled
		e.contact = &next
		if !e.fresh {
			l.writes.Contacts = append(l.writes.Contacts, next.Contact)
		}
		return nil
	})
}
