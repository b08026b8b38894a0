package lead

import "time"

// Suppression is a standing order not to contact a person, within a scope.
type Suppression struct {
	ID SuppressionID `json:"id"`
	// PhoneNumber and ExternalID say whom it is about; when both are set, either holds.
	PhoneNumber string `json:"phone_number,omitempty"`
	ExternalID  string `json:"external_id,omitempty"`
	// WorkflowID and Channel, a node type such as "voice_call", are its scope; when
	// neither is set, it holds everywhere.
	WorkflowID WorkflowID `json:"workflow_id,omitzero"`
	Channel    string     `json:"channel,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	Actor      string     `json:"actor,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	// ExpiresAt is when it ends by itself; zero for never. LiftedAt is when it was
	// lifted, by LiftedBy; zero if it was not.
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	LiftedAt   time.Time `json:"lifted_at,omitzero"`
	LiftedBy   string    `json:"lifted_by,omitempty"`
	LiftReason string    `json:"lift_reason,omitempty"`
}

// Active reports whether the suppression holds at the time now.
func (s *Suppression) Active(now time.Time) bool {
	return s.LiftedAt.IsZero() && (s.ExpiresAt.IsZero() || s.ExpiresAt.After(now))
}

// Hold says that no step of a lead starts until it is released.
type Hold struct {
	Reason string    `json:"reason,omitempty"`
	Actor  string    `json:"actor,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is released
}
