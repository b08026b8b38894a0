package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// extra is what a lead's record carries besides its numbers, nil for a lead
// that goes from step to step without a mishap. It is a value: what it refers
// to is never changed in place, so that a copy of it can be gone back to when a
// commit fails.
type extra struct {
	// Attempts at the current step that have ended.
	Attempts []attempt `json:"attempts,omitempty"`
	// CallID is the provider's name for the attempt in flight.
	CallID string `json:"call_id,omitempty"`
	// CallSeq is the call log entry of the attempt begun last; 0 if it has none.
	CallSeq int64 `json:"call_seq,omitempty"`
	// Redelivered: the attempt in flight was delivered again after a crash.
	Redelivered bool `json:"redelivered,omitempty"`
	// Ended is the outcome of the current step while its hooks run, or while a
	// handler has yet to return whose step a callback has completed.
	Ended *ended `json:"ended,omitempty"`
	// Removal is set once removal was asked for.
	Removal *removal `json:"removal,omitempty"`
	// Messages are scheduled beside the path, the next one first.
	Messages []message `json:"messages,omitempty"`
	// Sending is the scheduled message that is the current step, and Path the
	// wait of the path that it interrupts.
	Sending *message `json:"sending,omitempty"`
	Path    *wait    `json:"path,omitempty"`
}

type attempt struct {
	Number  int32           `json:"n"`
	Due     store.Millis    `json:"due,omitempty"` // of one that was never begun
	Started store.Millis    `json:"started,omitempty"`
	Ended   store.Millis    `json:"ended,omitempty"`
	Status  lead.StepStatus `json:"status"`
	Error   string          `json:"error,omitempty"`
	CallID  string          `json:"call_id,omitempty"`
	Again   bool            `json:"again,omitempty"` // delivered again
}

// ended is how a step ended.
type ended struct {
	At      store.Millis    `json:"at"`
	Status  lead.StepStatus `json:"status"` // StepCompleted or StepFailed
	Outcome string          `json:"outcome"`
	Error   string          `json:"error,omitempty"`
	CallID  string          `json:"call_id,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

type removal struct {
	Reason      string       `json:"reason,omitempty"`
	Actor       string       `json:"actor,omitempty"`
	Requested   store.Millis `json:"requested"`
	SkipRetries bool         `json:"skip_retries,omitempty"`
}

type message struct {
	Visit   int32           `json:"visit"`
	Node    int32           `json:"node"` // whose handler scheduled it
	Entered store.Millis    `json:"entered"`
	Due     store.Millis    `json:"due"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// wait is a step of the path that has not started.
type wait struct {
	Visit   int32        `json:"visit"`
	Node    int32        `json:"node"`
	Entered store.Millis `json:"entered"`
	Due     store.Millis `json:"due"`
}

func (x *extra) empty() bool {
	return x.Attempts == nil && x.CallID == "" && x.CallSeq == 0 && !x.Redelivered && x.Ended == nil &&
		x.Removal == nil && x.Messages == nil && x.Sending == nil && x.Path == nil
}

func (x *extra) encode() ([]byte, error) {
	if x.empty() {
		return nil, nil
	}
	text, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("engine: encode lead: %w", err)
	}
	return text, nil
}

func decodeExtra(text []byte) (x extra, err error) {
	if len(text) > 0 {
		if err = json.Unmarshal(text, &x); err != nil {
			err = fmt.Errorf("engine: decode lead: %w", err)
		}
	}
	return x, err
}

// endStep drops what belongs to the current step alone.
func (x *extra) endStep() {
	x.Attempts, x.CallID, x.CallSeq, x.Redelivered, x.Ended, x.Sending = nil, "", 0, false, nil, nil
}

// withMessage returns the messages with m among them, in order of due time.
func withMessage(messages []message, m message) []message {
	i := len(messages)
	for i > 0 && messages[i-1].Due > m.Due {
		i--
	}
	return slices.Insert(slices.Clone(messages), i, m)
}

// detail is what a finished step's row carries besides its numbers, nil for a
// step that succeeded at its first attempt and returned nothing.
type detail struct {
	Attempts   []attempt       `json:"attempts,omitempty"` // when one attempt from Started to Exited doesn't say it
	Error      string          `json:"error,omitempty"`
	CallID     string          `json:"call_id,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	HookErrors []string        `json:"hook_errors,omitempty"`
}

func (d *detail) encode() ([]byte, error) {
	if d.Attempts == nil && d.Error == "" && d.CallID == "" && d.Data == nil && d.HookErrors == nil {
		return nil, nil
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("engine: encode step: %w", err)
	}
	return text, nil
}

func decodeDetail(text []byte) (d detail, err error) {
	if len(text) > 0 {
		if err = json.Unmarshal(text, &d); err != nil {
			err = fmt.Errorf("engine: decode step: %w", err)
		}
	}
	return d, err
}
