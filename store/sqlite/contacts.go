package sqlite

import (
	"context"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the tables contacts, external_ids and live.
const (
	contactColumns = `c.id, c.phone, c.external_id, c.time_zone, c.metadata, c.enrolled`

	contactsText = `
		SELECT c.seq, ` + contactColumns + ` FROM contacts c
		WHERE c.seq IN (SELECT value FROM json_each(?)) ORDER BY c.seq`

	insertContactText = `
		INSERT INTO contacts (seq, id, phone, external_id, time_zone, metadata, enrolled)
		VALUES (?, ?, ?, ?, ?, ?, ?)`
	updateContactText = `UPDATE contacts SET external_id = ?, time_zone = ?, metadata = ? WHERE seq = ?`
	deleteContactText = `DELETE FROM contacts WHERE seq = ?`

	insertExternalText = `INSERT INTO external_ids (external_id, lead) VALUES (?, ?)`
	deleteExternalText = `
		DELETE FROM external_ids WHERE external_id = (SELECT external_id FROM contacts WHERE seq = ?) AND lead = ?`

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
	if err == nil && c.ExternalID != "" {
		_, err = w.insertExternal.text(c.ExternalID).ints(c.Seq).exec()
	}
	return unwritten(contactRow(c.Seq), err)
}

// changeContact leaves alone what never changes about a contact.
func (w *writer) changeContact(c *store.Contact) error {
	_, err := w.deleteExternal.ints(c.Seq, c.Seq).exec()
	if err == nil {
		var n int
		n, err = w.updateContact.text(c.ExternalID).text(c.TimeZone).blob(c.Metadata).ints(c.Seq).exec()
		if err == nil && n == 0 {
			err = errNoLead
		}
	}
	if err == nil && c.ExternalID != "" {
		_, err = w.insertExternal.text(c.ExternalID).ints(c.Seq).exec()
	}
	return unwritten(contactRow(c.Seq), err)
}

// beLive makes the record's lead, unless it is final, the one that its contact
// has in the workflow, or returns the one that it has.
func (w *writer) beLive(r *store.Record, phone int64) (live int64, err error) {
	if !r.State.Final() {
		n, err := w.insertLive.ints(r.Workflow, phone, r.Seq).exec()
		if err != nil || n == 1 {
			return 0, err
		}
	}
	_, err = w.findLive.ints(r.Workflow, phone).get(&live)
	return live, err
}

// endLive lets the lead's contact be enrolled again.
func (w *writer) endLive(workflow, seq int64) error {
	_, err := w.deleteLive.ints(workflow, seq, seq).exec()
	return err
}

func scanContact(from row, c *store.Contact) error {
	if err := from.scan(&c.Seq); err != nil {
		return named(contactRow(0), err)
	}
	return scanContactAt(from, 1, c)
}

// scanContactAt reads contactColumns, the first of which is column i.
func scanContactAt(from row, i int, c *store.Contact) error {
	return named(contactRow(c.Seq), from.from(i).scan((*[16]byte)(&c.ID), &c.Phone, &c.ExternalID, &c.TimeZone,
		&c.Metadata, (*int64)(&c.Enrolled)))
}

// Contacts implements [store.LoopReader].
func (s *Store) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	return read(ctx, s, s.lanes.facts, "contacts", func(conn *zombiezen.Conn) ([]store.Contact, error) {
		return eachAlone(conn, seqs, contactRow, scanContact, contactsText)
	})
}
