package life

import "github.com/leadflow-go/leadflow/lead"

// Remove is the table's remove. The error is nil or lead.ErrLeadFinal.
func (w *World) Remove(l *Lead, how lead.Removal) error {
	switch l.State {
	case lead.Enrolled:
		how.RequestedAt = w.Now
		l.Removal = &how
		w.detach(l)
	case lead.InStep:
		how.RequestedAt = w.Now
		l.State, l.Removal = lead.PendingRemoval, &how
	case lead.PendingRemoval:
		// A second request can only add SkipRetries.
		l.Removal.SkipRetries = l.Removal.SkipRetries || how.SkipRetries
	default:
		return lead.ErrLeadFinal
	}
	w.drop(l)
	return nil
}
