package engine

import (
	"context"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Hold says how a lead is held; see [Engine.Hold]. The zero value holds it until it is
// released.
type Hold struct {
	Until  time.Time // when the hold ends by itself; zero for never
	Reason string    // at most 1,024 bytes
	Actor  string    // who asks for it, at most 1,024 bytes
}

func (h Hold) read(faults *filterFaults, now time.Time) core.Held {
	faults.said("reason", h.Reason)
	faults.said("actor", h.Actor)
	faults.future("until", h.Until, now)
	return core.Held{Reason: h.Reason, Actor: h.Actor, Until: store.MillisOf(h.Until)}
}

func (h Hold) audit() store.Audit {
	return store.Audit{Action: run.AuditHold, Actor: h.Actor, Reason: h.Reason}
}

// Hold keeps a lead from going on: an attempt that runs finishes, and then nothing
// starts, a queued retry included, until the lead is released or Hold.Until has come.
// When Hold has returned, no attempt of the lead begins (promise 17). Its state stays what
// it is, and removing it is immediate unless an attempt runs.
//
// A lead that is held already gets the new end, reason and actor. If the workflow or the
// lead is unknown, the error matches lead.ErrNotFound; if the lead is final,
// lead.ErrLeadFinal; if its removal is pending, lead.ErrRemovalPending. Invalid fields
// are a *lead.InvalidError.
func (e *Engine) Hold(ctx context.Context, workflow lead.WorkflowID, id lead.ID, h Hold) (lead.Lead, error) {
	var faults filterFaults
	how := h.read(&faults, e.config.Clock.Now())
	if len(faults) > 0 {
		return lead.Lead{}, &lead.InvalidError{Subject: "hold", Faults: faults}
	}
	return e.changeLead(ctx, workflow, id, core.Hold{How: how}, h.audit())
}

// CheckHold returns nil, or a *lead.InvalidError that names every fault of what Hold would
// be asked.
func (e *Engine) CheckHold(h Hold) error {
	var faults filterFaults
	if h.read(&faults, e.config.Clock.Now()); len(faults) > 0 {
		return &lead.InvalidError{Subject: "hold", Faults: faults}
	}
	return nil
}

// Release ends the hold of a lead. A wait goes on with the time that was left of it when
// the hold began. options are [Reason] and [Actor], for the audit log. If the lead is not
// held, the error matches lead.ErrNotHeld; other errors are those of Hold.
func (e *Engine) Release(ctx context.Context, workflow lead.WorkflowID, id lead.ID, options ...RemoveOption) (lead.Lead, error) {
	how, err := newRemoval(options)
	if err != nil {
		return lead.Lead{}, err
	}
	return e.changeLead(ctx, workflow, id, core.Release{}, store.Audit{Action: run.AuditRelease, Actor: how.Actor, Reason: how.Reason})
}

// changeLead applies an event to a lead, and returns the lead.
func (e *Engine) changeLead(ctx context.Context, workflow lead.WorkflowID, id lead.ID, event core.Event, note store.Audit) (lead.Lead, error) {
	if _, err := e.run.Change(ctx, workflow, id, event, note); err != nil {
		return lead.Lead{}, e.why(err)
	}
	return e.Lead(ctx, workflow, id)
}

// HoldContact holds all leads of a person that are not final, in one commit, each as Hold
// would. Leads whose removal is pending are left out of the result.
func (e *Engine) HoldContact(ctx context.Context, phoneNumber string, h Hold) ([]ContactLead, error) {
	var faults filterFaults
	how := h.read(&faults, e.config.Clock.Now())
	who := e.person(phoneNumber, &faults)
	if len(faults) > 0 {
		return nil, &lead.InvalidError{Subject: "hold", Faults: faults}
	}
	changed, err := e.run.ChangePerson(ctx, who, core.Hold{How: how}, h.audit())
	return contactLeads(changed), e.why(err)
}

// ReleaseContact releases all leads of a person that are held, in one commit, and returns
// them.
func (e *Engine) ReleaseContact(ctx context.Context, phoneNumber string, options ...RemoveOption) ([]ContactLead, error) {
	how, faults := readRemoval(options)
	who := e.person(phoneNumber, (*filterFaults)(&faults))
	if len(faults) > 0 {
		return nil, &lead.InvalidError{Subject: "release", Faults: faults}
	}
	note := store.Audit{Action: run.AuditRelease, Actor: how.Actor, Reason: how.Reason}
	changed, err := e.run.ChangePerson(ctx, who, core.Release{}, note)
	return contactLeads(changed), e.why(err)
}

// HoldLeads holds every lead that matches and is not final, a few hundred in a commit,
// each as Hold would, and returns how many are held. Leads whose removal is pending are
// skipped. As for RemoveLeads, the filter must say which leads are meant.
func (e *Engine) HoldLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter, h Hold) (int, error) {
	var faults filterFaults
	how := h.read(&faults, e.config.Clock.Now())
	return e.changeLeads(ctx, workflow, filter, "hold", faults, core.Hold{How: how}, h.audit())
}

// ReleaseLeads releases every lead that matches and is held, as HoldLeads holds them, and
// returns how many it released.
func (e *Engine) ReleaseLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter, options ...RemoveOption) (int, error) {
	how, faults := readRemoval(options)
	note := store.Audit{Action: run.AuditRelease, Actor: how.Actor, Reason: how.Reason}
	return e.changeLeads(ctx, workflow, filter, "release", faults, core.Release{}, note)
}
