package memory

import (
	"iter"

	"github.com/leadflow-go/leadflow/store"
)

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

// leadsBy is an index of leads by phone or by external id. Most keys have one lead.
type leadsBy[K comparable] struct {
	latest map[K]int64     // the lead added last, by key
	before map[int64]int64 // the lead added before it with the same key, by lead
}

func newLeadsBy[K comparable]() leadsBy[K] {
	return leadsBy[K]{make(map[K]int64), make(map[int64]int64)}
}

// leads yields the leads of a key, the latest first.
func (l *leadsBy[K]) leads(key K) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for seq := l.latest[key]; seq != 0 && yield(seq); {
			seq = l.before[seq]
		}
	}
}

func (l *leadsBy[K]) add(key K, seq int64) {
	if older, ok := l.latest[key]; ok {
		l.before[seq] = older
	}
	l.latest[key] = seq
}

// remove removes a lead that was added.
func (l *leadsBy[K]) remove(key K, seq int64) {
	older := l.before[seq]
	delete(l.before, seq)
	if l.latest[key] != seq {
		for newer := range l.leads(key) {
			if l.before[newer] == seq {
				put(l.before, newer, older)
				return
			}
		}
	}
	put(l.latest, key, older)
}

// put sets the key's value; 0 deletes the key.
func put[K comparable](m map[K]int64, key K, value int64) {
	if value == 0 {
		delete(m, key)
	} else {
		m[key] = value
	}
}
