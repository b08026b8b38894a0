package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// SignalEffect is what a signal did to a lead.
type SignalEffect string

// The effects of a signal.
const (
	SignalWoken   = SignalEffect(core.EffectWoken)   // a wait for it has ended
	SignalExits   = SignalEffect(core.EffectExits)   // the lead completes, now or when its step in flight has ended
	SignalKept    = SignalEffect(core.EffectKept)    // a step is in flight; if a wait for it follows, that ends immediately
	SignalIgnored = SignalEffect(core.EffectIgnored) // nothing waits for it
)

// String returns the effect as it is on the wire.
func (e SignalEffect) String() string { return string(e) }

// MaxSignalData bounds the data of a signal, in bytes of JSON.
const MaxSignalData = 16 << 10

// Signal tells a lead that something has happened outside, such as a payment. A time node
// that waits for a signal of that name ends, with the outcome "signal" and the data, and
// an exit of the workflow for that name completes the lead. While a step is in flight the
// step goes on: the lead leaves after it, or the signal is kept for a wait that comes
// directly after it, also across a crash.
//
// data is any value that marshals to a JSON object, or nil. An invalid name or data is a
// *lead.InvalidError. If the workflow or the lead is unknown, the error matches
// lead.ErrNotFound; if the lead is final, lead.ErrLeadFinal.
func (e *Engine) Signal(ctx context.Context, wf lead.WorkflowID, id lead.ID, name string, data any) (SignalEffect, error) {
	event, err := readSignal(name, data, nil)
	if err != nil {
		return "", err
	}
	note, err := noteOfSignal(ctx, name)
	if err != nil {
		return "", err
	}
	effect, err := e.run.Change(ctx, wf, id, event, note)
	return SignalEffect(effect), e.why(err)
}

// SignalledLead is what a signal did to a lead of a person.
type SignalledLead struct {
	ID         lead.ID         `json:"id"`
	WorkflowID lead.WorkflowID `json:"workflow_id"`
	Effect     SignalEffect    `json:"effect"`
}

// SignalContact gives a signal to all leads of a person that are not final, in one
// commit, and says what it did to each.
func (e *Engine) SignalContact(ctx context.Context, phoneNumber, name string, data any) ([]SignalledLead, error) {
	var faults filterFaults
	who := e.person(phoneNumber, &faults)
	event, err := readSignal(name, data, faults)
	if err != nil {
		return nil, err
	}
	note, err := noteOfSignal(ctx, name)
	if err != nil {
		return nil, err
	}
	changed, err := e.run.ChangePerson(ctx, who, event, note)
	if err != nil {
		return nil, e.why(err)
	}
	out := make([]SignalledLead, len(changed))
	for i, c := range changed {
		out[i] = SignalledLead{c.ID, c.Workflow, SignalEffect(c.Effect)}
	}
	return out, nil
}

// noteOfSignal returns the entry of the audit trail for a signal, whose reason is its name.
func noteOfSignal(ctx context.Context, name string) (store.Audit, error) {
	note, err := noteOf(ctx, run.AuditSignal, nil)
	note.Reason = name
	return note, err
}

// readSignal checks a signal. faults are those found before.
func readSignal(name string, data any, faults filterFaults) (core.Signal, error) {
	var invalid *lead.InvalidError
	if errors.As(workflow.CheckSignal(name), &invalid) {
		for _, fault := range invalid.Faults {
			faults.add("name", fault.Message)
		}
	}
	text, err := encodeData(data)
	switch {
	case err != nil:
		faults.add("data", err.Error())
	case len(text) > MaxSignalData:
		faults.add("data", fmt.Sprintf("has more than %d bytes", MaxSignalData))
	}
	if len(faults) > 0 {
		return core.Signal{}, &lead.InvalidError{Subject: "signal", Faults: faults}
	}
	return core.Signal{Name: name, Data: text}, nil
}
