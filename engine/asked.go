package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/leadflow-go/leadflow/store"
)

type askedKey struct{}

// AskedBy returns a context that tells the audit trail who asks, and why: options are
// [Actor] and [Reason]. It is for the methods that have no such options of their own:
// those that change a workflow, UpdateLead, SetLimits, and, but for the Reason, Signal
// and SignalContact. A text of more than 1,024 bytes has these return a
// *lead.InvalidError.
func AskedBy(ctx context.Context, options ...RemoveOption) context.Context {
	return context.WithValue(ctx, askedKey{}, options)
}

// noteOf returns the entry of the audit trail for what ctx asks for. detail is what was
// asked for, or nil; it must hold nothing of a person, because entries are never deleted.
func noteOf(ctx context.Context, action string, detail any) (store.Audit, error) {
	options, _ := ctx.Value(askedKey{}).([]RemoveOption)
	how, err := newRemoval(options)
	if err != nil {
		return store.Audit{}, err
	}
	a := store.Audit{Action: action, Actor: how.Actor, Reason: how.Reason}
	if detail == nil {
		return a, nil
	}
	if a.Detail, err = json.Marshal(detail); err != nil {
		err = fmt.Errorf("engine: encode an audit entry: %w", err)
	}
	return a, err
}
