package lead

import (
	"encoding/json"
	"time"
)

// StepStatus is the status of a step, or of an attempt at one. The zero value is
// invalid.
type StepStatus uint8

// The statuses of steps and attempts. The last three are final.
const (
	// StepWaiting: not started; it waits for its due time, a free worker or an active
	// workflow.
	StepWaiting StepStatus = iota + 1
	// StepInProgress: its handler runs, it waits for its callback, or its
	// completion hooks run.
	StepInProgress
	// StepRetrying: an attempt failed and the next is queued.
	StepRetrying
	// StepCompleted: it has the outcome that its handler, a callback or a condition
	// gave.
	StepCompleted
	// StepFailed: its last attempt failed, or its deadline passed.
	StepFailed
	// StepCancelled: it was scheduled and will never start.
	StepCancelled
)

var stepStatusNames = [...]string{
	StepWaiting:    "waiting",
	StepInProgress: "in_progress",
	StepRetrying:   "retrying",
	StepCompleted:  "completed",
	StepFailed:     "failed",
	StepCancelled:  "cancelled",
}

// Final reports whether the step or attempt can never change again.
func (s StepStatus) Final() bool { return s >= StepCompleted && s <= StepCancelled }

func (s StepStatus) String() string { return nameOf(stepStatusNames[:], s, "StepStatus") }

// MarshalText writes the status's name. An invalid StepStatus is an error.
func (s StepStatus) MarshalText() ([]byte, error) {
	return marshalName(stepStatusNames[:], s, "step status")
}

// UnmarshalText reads a status's name; the error lists the valid ones.
func (s *StepStatus) UnmarshalText(text []byte) error {
	return unmarshalName(stepStatusNames[:], s, text, "step status")
}

// ParseStepStatus reads a status's name, such as "in_progress"; the error is an
// [InvalidError] that lists the valid ones.
func ParseStepStatus(name string) (StepStatus, error) {
	var s StepStatus
	err := s.UnmarshalText([]byte(name))
	return s, err
}

// Step is one entry of a lead's history: one visit to a node, or one message
// that a handler scheduled beside the lead's path.
type Step struct {
	ID        StepID `json:"step_id"`
	NodeID    string `json:"node_id"`
	NodeLabel string `json:"node_label,omitempty"`
	NodeType  string `json:"node_type"`
	// Scheduled marks a message that the handler of NodeID scheduled beside the
	// lead's path.
	Scheduled bool       `json:"scheduled,omitempty"`
	Status    StepStatus `json:"status"`
	Outcome   string     `json:"outcome,omitempty"`
	CallID    string     `json:"call_id,omitempty"`
	Attempts  []Attempt  `json:"attempts"`
	// ScheduledAt is when the step was, or would have been, due.
	ScheduledAt time.Time `json:"scheduled_at,omitzero"`
	// EnteredAt is when the lead arrived at the node.
	EnteredAt time.Time `json:"entered_at"`
	// ExitedAt is when the step ended; zero while it has not.
	ExitedAt time.Time `json:"exited_at,omitzero"`
	// Error says why a failed step failed.
	Error string `json:"error,omitempty"`
	// Data is the JSON object that the handler or the callback returned.
	Data json.RawMessage `json:"data,omitempty"`
	// HookErrors names the completion hooks that failed, hung or panicked.
	HookErrors []string `json:"hook_errors,omitempty"`
}

// Attempt is one try at a step.
type Attempt struct {
	Number int `json:"attempt"` // from 1
	// DueAt is when an attempt that was never begun is, or would have been, due.
	DueAt     time.Time  `json:"due_at,omitzero"`
	StartedAt time.Time  `json:"started_at,omitzero"`
	EndedAt   time.Time  `json:"ended_at,omitzero"`
	Status    StepStatus `json:"status"`
	Error     string     `json:"error,omitempty"`
	CallID    string     `json:"call_id,omitempty"`
	// Redelivered: the handler was called again for this attempt after a crash.
	Redelivered bool `json:"redelivered,omitempty"`
}

// Call is an entry of the call log: one attempt of a voice_call step. It stays
// when the lead is final, and when its workflow is deleted.
type Call struct {
	// CallID is the telephony provider's id of the call, as the handler or the
	// callback gave it.
	CallID      string          `json:"call_id"`
	StepID      StepID          `json:"step_id"`
	Attempt     int             `json:"attempt"`
	LeadID      ID              `json:"lead_id"`
	WorkflowID  WorkflowID      `json:"workflow_id"`
	NodeID      string          `json:"node_id"`
	PhoneNumber string          `json:"phone_number"`
	Status      StepStatus      `json:"status"` // in_progress, completed or failed
	Outcome     string          `json:"outcome,omitempty"`
	StartedAt   time.Time       `json:"started_at"`
	EndedAt     time.Time       `json:"ended_at,omitzero"`
	Error       string          `json:"error,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
}
