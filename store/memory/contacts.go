package memory

import "github.com/leadflow-go/leadflow/store"

func (c *contents) putContact(from *store.Contact) {
	b := append(c.bytes[:0], from.ID[:]...)
	b = appendInts(b, from.Phone, int64(from.Enrolled))
	b = appendText(appendText(appendText(b, from.ExternalID), from.TimeZone), from.Metadata)
	c.bytes = b
	c.contacts.put(from.Seq, b)
}

// contact returns the contact of a lead that exists.
func (c *contents) contact(seq int64) store.Contact {
	d := decoder{c.contacts.get(seq)}
	contact := store.Contact{Seq: seq}
	copy(contact.ID[:], d.raw(len(contact.ID)))
	contact.Phone, contact.Enrolled = d.int(), store.Millis(d.int())
	contact.ExternalID, contact.TimeZone, contact.Metadata = d.text(), d.text(), d.blob()
	return contact
}

// changeContact sets the fields of a contact that may change.
func (c *contents) changeContact(to *store.Contact) {
	contact := c.contact(to.Seq)
	if contact.ExternalID != to.ExternalID {
		c.unlist(&contact)
		contact.ExternalID = to.ExternalID
		c.list(&contact)
	}
	contact.TimeZone, contact.Metadata = to.TimeZone, to.Metadata
	c.putContact(&contact)
}

// list adds the contact's lead to the index of external ids, if it has one.
func (c *contents) list(contact *store.Contact) {
	if contact.ExternalID != "" {
		c.externalIDs.add(contact.ExternalID, contact.Seq)
	}
}

func (c *contents) unlist(contact *store.Contact) {
	if contact.ExternalID != "" {
		c.externalIDs.remove(contact.ExternalID, contact.Seq)
	}
}
