package lead

import (
	"errors"
	"fmt"
	"strings"
)

// The classes of refusal. Every refusal of leadflow matches exactly one of
// them with errors.Is. An HTTP API answers them with 404, 409 and 422. Errors that do
// not refuse a request match none of them: engine.ErrNotRunning, an error of the store,
// a context that ended.
var (
	// ErrNotFound: there is no such workflow, lead, step or suppression.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the lead, step or workflow is in a state that does not allow the
	// request.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the input is invalid; see [InvalidError] for every fault in it.
	ErrInvalid = errors.New("invalid")
)

// ErrUnreadable: what is stored of the lead cannot be read, as when the file is damaged.
// It does not refuse a request, and concerns that lead only, which can still be removed.
var ErrUnreadable = errors.New("lead cannot be read")

// The conflicts that a caller may want to tell apart. Each also matches
// ErrConflict.
var (
	// ErrLeadFinal: the lead is already removed or completed.
	ErrLeadFinal = errors.New("lead is final")
	// ErrContactLive: the contact has a lead in this workflow that is not final.
	ErrContactLive = errors.New("contact is already live in the workflow")
	// ErrWorkflowStatus: the workflow's status does not allow the request.
	ErrWorkflowStatus = errors.New("not possible in the workflow's status")
	// ErrStepFinished: the step already has another outcome.
	ErrStepFinished = errors.New("step already has another outcome")
	// ErrStepNotStarted: the step waits for its due time, so it has no outcome to take.
	ErrStepNotStarted = errors.New("step has not started")
	// ErrSuppressed: the contact is suppressed, so it cannot be enrolled.
	ErrSuppressed = errors.New("contact is suppressed")
	// ErrRemovalPending: the lead is removed when its step in flight has ended.
	ErrRemovalPending = errors.New("removal is pending")
	// ErrNotHeld: the lead is not held, so it cannot be released.
	ErrNotHeld = errors.New("lead is not held")
	// ErrNotActive: the suppression was lifted, or it has expired.
	ErrNotActive = errors.New("suppression is not active any more")
	// ErrOtherAttempt: the attempt that was named is not the one in flight.
	ErrOtherAttempt = errors.New("another attempt is in flight")
)

// NotFoundError says what was not found. It matches ErrNotFound.
type NotFoundError struct {
	Kind string // "workflow", "lead", "step", or "id" for a string that is not an id
	Name string // the id as it was given
	// In is the id of the workflow that was searched for a lead, or empty.
	In string
	// Prefix is what ids of the wanted kind begin with, of a string that is not one.
	Prefix string
}

func (e *NotFoundError) Error() string {
	if e.Kind == "id" {
		return fmt.Sprintf("lead: %q is not an id of the kind that begins with %s", e.Name, e.Prefix)
	}
	if e.In != "" {
		return fmt.Sprintf("lead: no %s %s in workflow %s", e.Kind, e.Name, e.In)
	}
	return fmt.Sprintf("lead: no %s %s", e.Kind, e.Name)
}

// Is reports whether target is ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// ConflictError says which state does not allow the request. It matches
// ErrConflict and its Reason.
type ConflictError struct {
	Reason   error      // ErrLeadFinal, ErrContactLive, …
	Workflow WorkflowID // zero if the conflict is not about a workflow
	Lead     ID         // zero if it is not about a lead; for ErrContactLive the live lead
	Step     StepID     // zero if it is not about a step
	// State is the present state: a lead's state, a workflow's status, or a step's
	// status or outcome.
	State string
}

func (e *ConflictError) Error() string {
	var b strings.Builder
	b.WriteString("lead: ")
	b.WriteString(e.Reason.Error())
	sep := " ("
	part := func(name, value string) {
		fmt.Fprintf(&b, "%s%s %s", sep, name, value)
		sep = ", "
	}
	if !e.Workflow.IsZero() {
		part("workflow", e.Workflow.String())
	}
	if !e.Lead.IsZero() {
		part("lead", e.Lead.String())
	}
	if !e.Step.IsZero() {
		part("step", e.Step.String())
	}
	if e.State != "" {
		part("now", e.State)
	}
	if sep == ", " {
		b.WriteString(")")
	}
	return b.String()
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Unwrap returns the reason.
func (e *ConflictError) Unwrap() error { return e.Reason }

// invalid returns an InvalidError with one fault, which has no location.
func invalid(format string, args ...any) error {
	return &InvalidError{Faults: []FieldError{{Message: fmt.Sprintf(format, args...)}}}
}

// FieldError is one thing wrong with an input: where, and what to do about it.
type FieldError struct {
	Location string `json:"location"` // such as "nodes[2].config.duration" or "phone_number"
	Message  string `json:"message"`
}

func (f FieldError) String() string {
	if f.Location == "" {
		return f.Message
	}
	return f.Location + ": " + f.Message
}

// InvalidError names every fault of an input at once. It matches ErrInvalid.
type InvalidError struct {
	Subject string // "workflow", "contact", …; empty if the message of the only fault says it
	Faults  []FieldError
}

func (e *InvalidError) Error() string {
	if len(e.Faults) == 1 && e.Subject == "" {
		return e.Faults[0].String()
	}
	if len(e.Faults) == 1 {
		return fmt.Sprintf("lead: invalid %s: %s", e.Subject, e.Faults[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "lead: invalid %s, %d faults:", e.Subject, len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n\t" + f.String())
	}
	return b.String()
}

// Is reports whether target is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
