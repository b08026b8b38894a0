package store

import (
	"errors"
	"fmt"
)

// ErrConflict: a batch was decided on something that has changed since.
var ErrConflict = errors.New("store: stale version")

// ConflictError names a record that has another version than the batch was
// decided on. It matches ErrConflict.
type ConflictError struct {
	// Kind is "lead" or "workflow"; or "contact": then Seq is that of a lead that the contact
	// has and the batch was decided without; or "suppression": then that one was added or
	// lifted.
	Kind string
	Seq  int64
}

func (e *ConflictError) Error() string {
	if e.Kind == "contact" {
		return fmt.Sprintf("store: the contact has another lead, %d", e.Seq)
	}
	return fmt.Sprintf("store: stale version of %s %d", e.Kind, e.Seq)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ErrNotFound: a reader was asked for one thing and there is none.
var ErrNotFound = errors.New("store: not found")

// ErrBusy: another program holds the store, so that nothing can be written, or
// read, for now. The same call may succeed later.
var ErrBusy = errors.New("store: in use by another program")

// ErrUnavailable: the store cannot be written or read, whatever is asked of it: its
// file is gone, its database cannot be reached, another process has its place.
var ErrUnavailable = errors.New("store: unavailable")

// RowError is one row that the store refuses to write, or cannot read, because
// of what is in it. It says nothing of any other row: what concerns other leads
// goes on.
type RowError struct {
	// Kind is "workflow", "lead", "contact", "step", "call", "payload", "suppression",
	// "start", "setting", "audit" or "limit".
	Kind string
	// Seq is the number of the lead that the row belongs to; 0 if it belongs to
	// none, or that cannot be read either.
	Seq int64
	// Key is the row's own: the Seq of a workflow, lead, contact, step, call, suppression
	// or audit entry, the Visit of a payload, the At of a start; 0 of a setting or
	// a limit.
	Key int64
	// Lead is what can be read of the lead, from a reader of whole leads; nil if that is
	// nothing. Fields that cannot be read are zero, and Node is -1.
	Lead *Lead
	Err  error // what is wrong
}

func (e *RowError) Error() string {
	switch e.Kind {
	case "workflow", "lead":
		return fmt.Sprintf("%s %d: %v", e.Kind, e.Key, e.Err)
	case "contact":
		return fmt.Sprintf("contact of lead %d: %v", e.Key, e.Err)
	case "payload":
		return fmt.Sprintf("payload of lead %d, visit %d: %v", e.Seq, e.Key, e.Err)
	case "setting":
		return fmt.Sprintf("setting: %v", e.Err)
	case "limit":
		return fmt.Sprintf("use of a limit: %v", e.Err)
	}
	if e.Seq == 0 {
		return fmt.Sprintf("%s %d: %v", e.Kind, e.Key, e.Err)
	}
	return fmt.Sprintf("%s %d of lead %d: %v", e.Kind, e.Key, e.Seq, e.Err)
}

// Unwrap returns Err.
func (e *RowError) Unwrap() error { return e.Err }

// RowErrors are the rows that a reader had to leave out of its answer, in the
// order in which it met them. See the package comment.
type RowErrors []*RowError

func (e RowErrors) Error() string {
	switch len(e) {
	case 0:
		return "no rows left out"
	case 1:
		return e[0].Error()
	}
	return fmt.Sprintf("%v (the first of %d rows that cannot be read)", e[0], len(e))
}

// Unwrap returns the errors of the rows.
func (e RowErrors) Unwrap() []error {
	list := make([]error, len(e))
	for i, row := range e {
		list[i] = row
	}
	return list
}
