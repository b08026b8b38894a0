package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// contact is a lead's contact, as stored and as handlers and expressions see
// it. It is shared by everything that concerns the lead, so nobody changes it.
type contact struct {
	store.Contact
	Person lead.Contact
	// unreadable says why Person has no metadata although the store has some.
	unreadable error
	live       int64 // the lead that the person has, when enrolling was refused
}

// newContact returns a stored contact as handlers and expressions see it, or one
// that is unreadable.
func newContact(c store.Contact) *contact {
	out := &contact{Contact: c, Person: lead.Contact{
		PhoneNumber: lead.PhoneFromDigits(c.Phone), ExternalID: c.ExternalID, TimeZone: c.TimeZone,
	}}
	if len(c.Metadata) > 0 {
		if err := json.Unmarshal(c.Metadata, &out.Person.Metadata); err != nil {
			out.Person.Metadata = nil
			out.unreadable = &unreadableError{c.Seq, fmt.Errorf("its metadata: %w", err)}
		}
	}
	return out
}

// call is something that is done for a lead away from the loop, and which needs
// the lead's contact: an attempt, or the hooks of a step.
type call interface {
	lead() int64
	// launch has it done. unread says why there is no contact.
	launch(e *Engine, c *contact, unread error)
}

// readAhead is how many contacts are read at once.
const readAhead = 250

// launchUnread reads the contacts of the leads and launches their calls, away
// from the loop.
func (e *Engine) launchUnread(calls []call) {
	read := func() {
		for part := range slices.Chunk(calls, readAhead) {
			seqs := make([]int64, len(part))
			for i, c := range part {
				seqs[i] = c.lead()
			}
			contacts, failed := e.readContacts(seqs)
			for _, c := range part {
				found, err := contacts[c.lead()], failed
				if failed != nil && len(part) > 1 {
					// It may be one of them alone that cannot be read.
					var alone map[int64]*contact
					alone, err = e.readContacts([]int64{c.lead()})
					found = alone[c.lead()]
				}
				switch {
				case found != nil:
					err = found.unreadable
				case err == nil:
					err = &unreadableError{c.lead(), errNoContact}
				}
				c.launch(e, found, err)
			}
		}
	}
	if e.stepped != nil {
		read()
	} else {
		go read()
	}
}

var errNoContact = errors.New("its contact is missing")

// readContacts returns the contacts that there are. Its error is of the store.
func (e *Engine) readContacts(seqs []int64) (map[int64]*contact, error) {
	rows, err := e.store.Contacts(context.Background(), seqs)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]*contact, len(rows))
	for _, row := range rows {
		out[row.Seq] = newContact(row)
	}
	return out, nil
}
