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

// contact returns the contact of a lead that is there.
func (c *contents) contact(seq int64) store.Contact {
	d := decoder{c.contacts.get(seq)}
	contact := store.Contact{Seq: seq}
	copy(contact.ID[:], d.raw(len(contact.ID)))
	contact.Phone, contact.Enrolled = d.int(), store.Millis(d.int())
	contact.ExternalID, contact.TimeZone, contact.Metadata = d.text(), d.text(), d.blob()
	return contact
}

// phones finds the leads of a phone. Most have one.
type phones struct {
	latest map[int64]int64 // the lead enrolled last, by phone
	before map[int64]int64 // the one of the same phone before it, by lead
}

func newPhones() phones { return phones{make(map[int64]int64), make(map[int64]int64)} }

// leads yields the leads of a phone, the latest first.
func (p *phones) leads(phone int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for seq := p.latest[phone]; seq != 0 && yield(seq); {
			seq = p.before[seq]
		}
	}
}

func (p *phones) add(phone, seq int64) {
	if older, ok := p.latest[phone]; ok {
		p.before[seq] = older
	}
	p.latest[phone] = seq
}

// remove takes away a lead that was added.
func (p *phones) remove(phone, seq int64) {
	older := p.before[seq]
	delete(p.before, seq)
	if p.latest[phone] != seq {
		for newer := range p.leads(phone) {
			if p.before[newer] == seq {
				put(p.before, newer, older)
				return
			}
		}
	}
	put(p.latest, phone, older)
}

// put sets the key's value; 0 is none.
func put(m map[int64]int64, key, value int64) {
	if value == 0 {
		delete(m, key)
	} else {
		m[key] = value
	}
}
