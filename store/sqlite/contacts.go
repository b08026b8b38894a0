package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the tables contacts and live.
const (
	contactColumns = `c.id, c.phone, coalesce(c.external_id, ''), coalesce(c.time_zone, ''), c.metadata, c.enrolled`

	contactsText = `
		SELECT c.seq, ` + contactColumns + ` FROM contacts c
		WHERE c.seq IN (SELECT value FROM json_each(?)) ORDER BY c.seq`

	insertContactText = `
		INSERT INTO contacts (seq, id, phone, external_id, time_zone, metadata, enrolled)
		VALUES (?, ?, ?, ?, ?, ?, ?)`
	deleteContactText = `DELETE FROM contacts WHERE seq = ?`

	insertLiveText = `INSERT INTO live (workflow, phone, lead) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	findLiveText   = `SELECT lead FROM live WHERE workflow = ? AND phone = ?`
	// The contact may have a later lead by now, whose row stays.
	deleteLiveText = `
		DELETE FROM live
		WHERE workflow = ? AND phone = (SELECT phone FROM contacts WHERE seq = ?) AND lead = ?`
)

func (w *writer) putContact(c *store.Contact) error {
	_, err := w.insertContact.ints(c.Seq).blob(c.ID[:]).ints(c.Phone).
		text(c.ExternalID).text(c.TimeZone).blob(c.Metadata).ints(int64(c.Enrolled)).exec()
	if err != nil {
		return fmt.Errorf("contact of lead %d: %w", c.Seq, err)
	}
	return nil
}

// contactDest is where contactColumns go; the bytes of the id go to id first.
func contactDest(c *store.Contact, id *[]byte) []any {
	return []any{id, &c.Phone, &c.ExternalID, &c.TimeZone, &c.Metadata, (*int64)(&c.Enrolled)}
}

// beLive makes the record's lead the one that its contact has in the workflow,
// or returns the one that it has.
func (w *writer) beLive(r *store.Record, phone int64) (live int64, err error) {
	n, err := w.insertLive.ints(r.Workflow, phone, r.Seq).exec()
	if err != nil || n == 1 {
		return 0, err
	}
	_, err = w.findLive.ints(r.Workflow, phone).get(&live)
	return live, err
}

// endLive lets the lead's contact be enrolled again.
func (w *writer) endLive(workflow, seq int64) error {
	_, err := w.deleteLive.ints(workflow, seq, seq).exec()
	return err
}

// copyID copies the bytes of an id, which are as many in every sound row.
func copyID(id, bytes []byte) error {
	if copy(id, bytes) != len(id) || len(bytes) != len(id) {
		return fmt.Errorf("an id of %d bytes", len(bytes))
	}
	return nil
}

func scanContact(row scanner, c *store.Contact) error {
	var id []byte
	if err := row.Scan(append([]any{&c.Seq}, contactDest(c, &id)...)...); err != nil {
		return err
	}
	return copyID(c.ID[:], id)
}

// Contacts implements [store.LeadReader].
func (s *Store) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, fmt.Errorf("sqlite: read contacts: %w", err)
	}
	rows, err := s.reads.contacts.QueryContext(ctx, string(list))
	return collect("contacts", rows, err, scanContact)
}
