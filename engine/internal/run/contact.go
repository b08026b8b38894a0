package run

import (
	"context"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Contact is a lead's contact, as stored and as handlers and expressions see it. It is
// shared, and must not be changed once the lead is enrolled.
type Contact struct {
	store.Contact
	Person *lead.Contact
	// Live and Suppressed are set when enrolling was refused: the number of the lead that
	// the person has in the workflow, or those of the suppressions that forbid it.
	Live       int64
	Suppressed []int64

	// barred are the suppressions for one channel of which enrolling takes account.
	barred []core.Barred
}

// NewContact returns a stored contact as handlers and expressions see it. The error
// concerns this lead only.
func NewContact(c store.Contact) (*Contact, error) {
	person, err := core.Person(&c)
	if err != nil {
		return nil, err
	}
	return &Contact{Contact: c, Person: person}, nil
}

// readAhead is how many contacts are read in one query.
const readAhead = 250

// contacts reads contacts. The second map has the errors that concern single contacts;
// the last error is the store's.
func (r *Runner) contacts(seqs []int64) (map[int64]*Contact, map[int64]error, error) {
	rows, err := r.Store.Contacts(context.Background(), seqs)
	bad, err := rowErrors(err)
	if err != nil {
		return nil, nil, err
	}
	out := make(map[int64]*Contact, len(rows))
	for _, row := range rows {
		c, err := NewContact(row)
		if err != nil {
			r.MeetMetadata(row.Seq, err)
			bad[row.Seq] = err
			continue
		}
		out[row.Seq] = c
	}
	for _, seq := range seqs {
		if out[seq] == nil && bad[seq] == nil {
			bad[seq] = fmt.Errorf("engine: the contact of lead %d: %w", seq, store.ErrNotFound)
		}
	}
	return out, bad, nil
}

// launch reads the contacts of calls, outside the loop, and launches them.
func (r *Runner) launch(calls []caller) {
	read := func() {
		for part := range slices.Chunk(calls, readAhead) {
			seqs := make([]int64, len(part))
			for i, c := range part {
				seqs[i] = c.lead()
			}
			contacts, bad, failed := r.contacts(seqs)
			for _, c := range part {
				switch err := bad[c.lead()]; {
				case failed != nil:
					c.launch(r, nil, failed, false)
				case err != nil:
					c.launch(r, nil, err, true)
				default:
					c.launch(r, contacts[c.lead()], nil, false)
				}
			}
		}
	}
	if r.stepper != nil {
		read()
	} else {
		go read()
	}
}

// caller is work for a lead outside the loop that needs the lead's contact: an attempt,
// or the hooks of a step.
type caller interface {
	lead() int64
	// launch starts it. unread says why the contact could not be read; broken means that
	// reading it again will not help, because the row is damaged.
	launch(r *Runner, c *Contact, unread error, broken bool)
}

// rowErrors splits an error of the store into the errors of single rows, by number, and
// any other error.
func rowErrors(err error) (map[int64]error, error) {
	bad := map[int64]error{}
	if err == nil {
		return bad, nil
	}
	rows, ok := asRowErrors(err)
	if !ok {
		return nil, err
	}
	for _, row := range rows {
		bad[row.Seq] = row
	}
	return bad, nil
}

// LeadIDs returns the ids of those of the leads that exist, by number.
func (r *Runner) LeadIDs(ctx context.Context, seqs []int64) (map[int64]lead.ID, error) {
	ids := map[int64]lead.ID{}
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	for part := range slices.Chunk(seqs, readAhead) {
		rows, err := r.Store.Contacts(ctx, part)
		if _, err = rowErrors(err); err != nil {
			return nil, ReadFailed(err)
		}
		for _, c := range rows {
			ids[c.Seq] = c.ID
		}
	}
	return ids, nil
}
