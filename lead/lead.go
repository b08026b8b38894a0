package lead

import "time"

// Lead is one enrollment of one contact in one workflow, as a reader sees it
// at one moment.
type Lead struct {
	ID         ID         `json:"id"`
	WorkflowID WorkflowID `json:"workflow_id"`
	Contact
	State State `json:"status"`
	// Node is the id of the node that the lead is at, or was at when it became final.
	Node string `json:"current_node_id"`
	// NextActionAt is when the engine will next act on the lead by itself: start
	// its step, end its wait, try again, send a scheduled message, or give up on
	// a step in flight. Zero for a final lead.
	NextActionAt time.Time `json:"next_action_at,omitzero"`
	// Outcome is how a completed lead ended: "converted", "dropped",
	// [OutcomeNoRoute] or [OutcomeStepLimit]. Empty in every other state.
	Outcome string `json:"outcome,omitempty"`
	// Hold is set while the lead is held.
	Hold *Hold `json:"hold,omitempty"`
	// Removal is set once removal was asked for.
	Removal     *Removal  `json:"removal,omitempty"`
	EnrolledAt  time.Time `json:"enrolled_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	// Unreadable, if not empty, says why the lead cannot be read completely, as when the
	// file is damaged; then it has the fields that can be read. The engine does nothing
	// for it, but it can be removed.
	Unreadable string `json:"unreadable,omitempty"`
}

// The outcomes of a completed lead that did not end at a terminal node.
const (
	// OutcomeNoRoute: a step's outcome had no edge to follow.
	OutcomeNoRoute = "no_route"
	// OutcomeStepLimit: the lead took [MaxVisits] steps.
	OutcomeStepLimit = "step_limit"
	// OutcomeSuppressed is that of a step that did not take place, or had no further
	// attempt, because its contact is suppressed for its channel. No lead ends with it.
	OutcomeSuppressed = "suppressed"
)

// Removal says why and by whom a lead was taken out.
type Removal struct {
	Reason      string    `json:"reason,omitempty"`
	Actor       string    `json:"actor,omitempty"`
	RequestedAt time.Time `json:"requested_at"`
	// RemovedAt is when the lead was detached; zero while removal is pending.
	RemovedAt time.Time `json:"removed_at,omitzero"`
	// SkipRetries: no further attempt of the step in flight is made.
	SkipRetries bool `json:"skip_retries,omitempty"`
}

// ReasonWorkflowCancelled is the Reason of a removal that cancelling the workflow
// caused.
const ReasonWorkflowCancelled = "workflow_cancelled"

// ReasonSuppressed is the Reason of a removal for which no other was given: the contact
// was suppressed, or a step was, and the workflow has no way around it.
const ReasonSuppressed = "suppressed"

// WorkflowStatus is where a workflow is in its own life. The zero value is
// invalid.
type WorkflowStatus uint8

// The statuses of a workflow. Completed and cancelled are final.
const (
	WorkflowDraft     WorkflowStatus = iota + 1 // not started: leads may be enrolled and wait
	WorkflowActive                              // its leads move
	WorkflowPaused                              // steps in flight finish, nothing new starts
	WorkflowCompleted                           // closed after the last lead ended
	WorkflowCancelled                           // stopped for good: every lead ends removed
)

var workflowStatusNames = [...]string{
	WorkflowDraft:     "draft",
	WorkflowActive:    "active",
	WorkflowPaused:    "paused",
	WorkflowCompleted: "completed",
	WorkflowCancelled: "cancelled",
}

// Final reports whether the workflow takes no more leads and starts no more steps.
func (s WorkflowStatus) Final() bool { return s == WorkflowCompleted || s == WorkflowCancelled }

func (s WorkflowStatus) String() string {
	return nameOf(workflowStatusNames[:], s, "WorkflowStatus")
}

// MarshalText writes the status's name. An invalid WorkflowStatus is an error.
func (s WorkflowStatus) MarshalText() ([]byte, error) {
	return marshalName(workflowStatusNames[:], s, "workflow status")
}

// UnmarshalText reads a status's name; the error lists the valid ones.
func (s *WorkflowStatus) UnmarshalText(text []byte) error {
	return unmarshalName(workflowStatusNames[:], s, text, "workflow status")
}
