package life

import (
	"maps"

	"github.com/leadflow-go/leadflow/lead"
)

// Update sets a key of a lead's metadata, or deletes it if the value is nil. A final
// lead is not changed. Conditions see the change from the next decision on; earlier
// decisions stay.
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
