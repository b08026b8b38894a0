package life

import (
	"maps"

	"github.com/leadflow-go/leadflow/lead"
)

// Update sets a key of a lead's metadata, or deletes it where the value is nil. A
// lead that is final stays as it is. Conditions see it from the next decision on, and
// what was decided before keeps the metadata that it was decided on.
func (w *World) Update(l *Lead, key string, value any) error {
	if l.State.Final() {
		return lead.ErrLeadFinal
	}
	next := maps.Clone(l.Contact.Metadata)
	if next == nil {
		next = map[string]any{}
	}
	if next[key] = value; value == nil {
		delete(next, key)
	}
	l.Contact.Metadata = next
	return nil
}
