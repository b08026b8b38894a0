package engine

import "github.com/leadflow-go/leadflow/lead"

// CheckContact returns the *lead.InvalidError with which Enroll would refuse an
// invalid contact, or nil. It enrolls nobody. It is for a caller that checks more
// input than the contact and wants to report all faults together.
func (e *Engine) CheckContact(c lead.Contact) error {
	_, err := e.prepare(c, e.config.Region)
	return err
}
