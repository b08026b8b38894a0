package memory

import (
	"bytes"
	"encoding/binary"
)

// Entries of a pack consist of varints, which are shorter for smaller numbers (so a
// time is written as its distance from another time), and of texts behind their
// lengths.

func appendInts(b []byte, list ...int64) []byte {
	for _, n := range list {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// decoder reads an entry from its beginning.
type decoder struct{ rest []byte }

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.rest)
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) raw(n int) []byte {
	raw := d.rest[:n]
	d.rest = d.rest[n:]
	return raw
}

func (d *decoder) sized() []byte {
	n, size := binary.Uvarint(d.rest)
	d.rest = d.rest[size:]
	return d.raw(int(n))
}

func (d *decoder) text() string { return string(d.sized()) }

// blob returns a copy, nil if it is empty.
func (d *decoder) blob() []byte {
	if b := d.sized(); len(b) > 0 {
		return bytes.Clone(b)
	}
	return nil
}
