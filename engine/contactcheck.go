package engine

import "github.com/leadflow-go/leadflow/lead"

// CheckContact returns the *lead.InvalidError with which Enroll would refuse
// the contact for what is in it, or nil. It enrolls nobody: it is for a caller
// that knows of other faults in the same input and wants to name them all at
// once.
func (e *Engine) CheckContact(c lead.Contact) error {
	_, err := e.prepare(c, e.config.Region)
	return err
}
