package engine

import (
	"context"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// RemoveContact takes a person out of every workflow, in one commit, each lead as Remove
// would. It returns the leads that it removed, or that are removed when their step in
// flight has ended; none if the person has no lead that is not final. It does not keep
// the person from being enrolled again; [Engine.Suppress] does.
//
// An invalid phone number, and options that are invalid, are a *lead.InvalidError.
func (e *Engine) RemoveContact(ctx context.Context, phoneNumber string, options ...RemoveOption) ([]ContactLead, error) {
	how, faults := readRemoval(options)
	who := e.person(phoneNumber, (*filterFaults)(&faults))
	if len(faults) > 0 {
		return nil, &lead.InvalidError{Subject: "removal", Faults: faults}
	}
	changed, err := e.run.ChangePerson(ctx, who, core.Remove{How: how}, store.Audit{Action: run.AuditRemove, Actor: how.Actor, Reason: how.Reason})
	return contactLeads(changed), e.why(err)
}

// person reads the phone number of a person.
func (e *Engine) person(phoneNumber string, faults *filterFaults) run.Person {
	if phoneNumber == "" {
		faults.add("phone_number", "is required")
	}
	return run.Person{Phone: faults.phone(phoneNumber, e.config.Region)}
}
