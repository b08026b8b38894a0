package core

import (
	"encoding/json"
	"fmt"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// View is what is known of a lead: what the store keeps, and what this process
// is doing for it. The zero View is a lead that is about to be enrolled.
type View struct {
	Rec   store.Record // its EngineState is Notes as of the last commit
	Notes Notes

	// Running: this process is calling a handler for the attempt in flight.
	Running bool
	// Uncalled: this process has begun the attempt but not called its handler yet,
	// because something that the handler needs could not be read.
	Uncalled bool
	// Asking: the call of Running does not deliver the attempt, but asks the handler what
	// became of it. Asked: that has been answered, and the attempt is to be delivered.
	Asking, Asked bool
	// Hooking: this process is running the hooks of the step.
	Hooking bool
	// Phone is the number of the lead's contact; 0 if it has not been read.
	Phone int64
	open  open // the calling hours that were looked at last
	// Rest: the store could not be read for the lead, and is not read again before this
	// time.
	Rest store.Millis
	// Unreadable, if not nil, is why the lead's rows cannot be read; see Damaged.
	Unreadable error
}

// Read returns the view of a stored lead for which this process does nothing yet. The
// error says what is wrong with the row; it concerns that lead only.
func Read(rec store.Record, f *Flow) (View, error) {
	v := View{Rec: rec}
	notes, err := DecodeNotes(rec.EngineState)
	if err == nil {
		v.Notes = notes
		err = v.check(f)
	}
	if err != nil {
		err = &UnreadableError{rec.Seq, err}
		return Damaged(rec, err), err
	}
	return v, nil
}

// Notes is the part of a lead's record that is kept as JSON, in
// store.Record.EngineState. It is empty for most leads.
type Notes struct {
	// Attempts at the current step that have ended.
	Attempts []Attempt `json:"attempts,omitempty"`
	// Engine is the engine that runs the handler or the hooks of the step; 0 if none does,
	// or if engines cannot share the store.
	Engine int64 `json:"engine,omitempty"`
	// CallID is the provider's id of the attempt in flight.
	CallID string `json:"call_id,omitempty"`
	// CallSeq is the call log entry of the attempt begun last; 0 if it has none.
	CallSeq int64 `json:"call_seq,omitempty"`
	// LastCall is the call log entry of the attempt before that.
	LastCall int64 `json:"last_call,omitempty"`
	// Redelivered: the attempt in flight was delivered again after a crash. Redeliveries
	// is how often it was, or its handler was asked what became of it and has not
	// answered. Parked: that was too often, and it is not delivered again.
	Redelivered  bool  `json:"redelivered,omitempty"`
	Redeliveries int32 `json:"redeliveries,omitempty"`
	Parked       bool  `json:"parked,omitempty"`
	// NotMade is set while the next attempt, or the one in flight, was begun before and
	// not made.
	NotMade *NotMade `json:"not_made,omitempty"`
	// Ended is how the current step ended. It is set while the step's hooks run, or,
	// after a callback, until the handler returns.
	Ended *Ended `json:"ended,omitempty"`
	// Removal is set once removal was asked for.
	Removal *Removal `json:"removal,omitempty"`
	// Hold keeps the lead's steps from starting, until it is released.
	Hold *Held `json:"hold,omitempty"`
	// Barred are the suppressions of the lead's contact for one channel each.
	Barred []Barred `json:"barred,omitempty"`
	// Exit is set once a signal has asked that the lead leaves the workflow when its step
	// in flight has ended. Signals are those that came during the step, for a wait that
	// may come after it.
	Exit    *Exit      `json:"exit,omitempty"`
	Signals []Received `json:"signals,omitempty"`
	// Zones are the time zones whose calling hours hold for the lead, in a workflow that
	// has calling hours.
	Zones []string `json:"zones,omitempty"`
	// RateKey is the rate key of the attempts at the lead's node, if the node has an
	// expression for it.
	RateKey string `json:"rate_key,omitempty"`
	// Messages are scheduled beside the path, the next one first.
	Messages []Message `json:"messages,omitempty"`
	// Sending is the scheduled message that is the current step, and Path the step of
	// the path that waits meanwhile.
	Sending *Message `json:"sending,omitempty"`
	Path    *Wait    `json:"path,omitempty"`
	// Ask: the expression of the lead's node is still to be evaluated.
	Ask bool `json:"ask,omitempty"`
	// Passed is how many nodes the lead has passed without a step or a wait, while
	// Ask is set.
	Passed int `json:"passed,omitempty"`
	// Last is the lead's last finished step at each node that an expression of the
	// workflow reads; nil if that is not known, as for leads that an earlier version
	// enrolled.
	Last map[int32]int64 `json:"last,omitzero"`
}

// Attempt is one that has ended, or that was dropped before it began.
type Attempt struct {
	Number  int32           `json:"n"`
	Due     store.Millis    `json:"due,omitempty"` // if it was never begun
	Started store.Millis    `json:"started,omitempty"`
	Ended   store.Millis    `json:"ended,omitempty"`
	Status  lead.StepStatus `json:"status"`
	Error   string          `json:"error,omitempty"`
	CallID  string          `json:"call_id,omitempty"`
	Again   bool            `json:"again,omitempty"` // delivered again
}

// NotMade describes an attempt that was begun and not made: nothing was done, and the
// lead is not the cause. It is not counted, and is made later under the same number.
type NotMade struct {
	Times   int          `json:"times"` // in a row
	Started store.Millis `json:"started"`
	Error   string       `json:"error"`
	CallSeq int64        `json:"call_seq,omitempty"`
	// Again: it was delivered more than once, and an earlier delivery may have done
	// something.
	Again bool `json:"again,omitempty"`
}

// Ended is how a step, or an attempt, ended.
type Ended struct {
	At      store.Millis    `json:"at"`
	Status  lead.StepStatus `json:"status"` // StepCompleted or StepFailed
	Outcome string          `json:"outcome"`
	Error   string          `json:"error,omitempty"`
	CallID  string          `json:"call_id,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	// Attempt: only the attempt failed; the node's retry policy decides about the step,
	// with Final and RetryAfter as if the handler had returned them.
	Attempt    bool         `json:"attempt,omitempty"`
	Final      bool         `json:"final,omitempty"`
	RetryAfter store.Millis `json:"retry_after,omitempty"` // milliseconds
}

// Removal is a removal that was asked for.
type Removal struct {
	Reason      string       `json:"reason,omitempty"`
	Actor       string       `json:"actor,omitempty"`
	Requested   store.Millis `json:"requested"`
	SkipRetries bool         `json:"skip_retries,omitempty"`
	// Engine is the engine that was asked; 0 if engines cannot share the store.
	Engine int64 `json:"engine,omitempty"`
}

// Message is a message scheduled beside a lead's path. Its data is a store.Payload with
// the lead's number and the visit.
type Message struct {
	Visit   int32        `json:"visit"`
	Node    int32        `json:"node"` // whose handler scheduled it
	Entered store.Millis `json:"entered"`
	Due     store.Millis `json:"due"`
	Size    int          `json:"size,omitempty"` // bytes of the payload; 0 when it has none
	// Data is the data of a message that an earlier version scheduled.
	Data json.RawMessage `json:"data,omitempty"`
}

// Wait is a step of the path that has not started.
type Wait struct {
	Visit   int32        `json:"visit"`
	Node    int32        `json:"node"`
	Entered store.Millis `json:"entered"`
	Due     store.Millis `json:"due"`
}

// Elsewhere reports whether another engine runs the handler or the hooks of the step in
// flight. Then only that engine decides what the step comes to.
func (v *View) Elsewhere(f *Flow) bool {
	return v.Notes.Engine != 0 && !v.Running && !v.Hooking && f.Rules != nil && f.Rules.Lives(v.Notes.Engine)
}

// attribute notes which engine runs the handler or the hooks of the step. was is the view
// before the event.
func (v *View) attribute(f *Flow, was *View) {
	switch {
	case f.Rules == nil:
	case v.Running || v.Hooking:
		v.Notes.Engine = f.Rules.Engine
	case was.Running || was.Hooking, v.Rec.Phase != store.PhaseRunning && v.Rec.Phase != store.PhaseHooks:
		v.Notes.Engine = 0
	}
}

func (n *Notes) empty() bool {
	return n.Attempts == nil && n.Engine == 0 && n.CallID == "" && n.CallSeq == 0 && n.LastCall == 0 && !n.Redelivered && n.Redeliveries == 0 && n.NotMade == nil &&
		!n.Parked && n.Ended == nil &&
		n.Removal == nil && n.Hold == nil && n.Barred == nil && n.Exit == nil && n.Signals == nil && n.Zones == nil && n.RateKey == "" && n.Messages == nil && n.Sending == nil && n.Path == nil && !n.Ask && n.Passed == 0 && n.Last == nil
}

// Encode returns the notes as they are kept, nil when there are none.
func (n *Notes) Encode() ([]byte, error) {
	if n.empty() {
		return nil, nil
	}
	text, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("core: encode lead: %w", err)
	}
	return text, nil
}

// DecodeNotes reads what Encode wrote.
func DecodeNotes(text []byte) (Notes, error) {
	if len(text) == 0 {
		return Notes{}, nil
	}
	var n Notes
	if err := json.Unmarshal(text, &n); err != nil {
		return n, fmt.Errorf("core: decode lead: %w", err)
	}
	return n, nil
}

// endStep clears what belongs to the current step only.
func (n *Notes) endStep() {
	n.Attempts, n.CallID, n.CallSeq, n.LastCall, n.NotMade, n.Ended, n.Sending = nil, "", 0, 0, nil, nil, nil
	n.Redelivered, n.Redeliveries, n.Parked = false, 0, false
}

// skipRetries reports whether removal is pending and no further attempt may be made.
func (v *View) skipRetries() bool {
	return v.Rec.State == lead.PendingRemoval && v.Notes.Removal != nil && v.Notes.Removal.SkipRetries
}

// Stored puts a finished step at the end of the lead's history, under the number
// that the store gave it.
func (v *View) Stored(f *Flow, s *store.Step, seq int64) {
	s.Seq, s.Prev = seq, v.Rec.LastStep
	v.Rec.LastStep = seq
	if v.Notes.Last != nil && v.remembers(f, s) {
		last := make(map[int32]int64, len(v.Notes.Last)+1)
		for node, seq := range v.Notes.Last {
			last[node] = seq
		}
		last[s.Node] = seq
		v.Notes.Last = last
	}
}

// remembers reports whether an expression may read the result of the step.
func (v *View) remembers(f *Flow, s *store.Step) bool {
	return !v.Rec.State.Final() && isResult(s) && f.Graph.StepRead(s.Node)
}

// Detail is the part of a finished step's row that is kept as JSON, in
// store.Step.Detail. It is empty for a step that succeeded at its first attempt and
// returned nothing.
type Detail struct {
	Attempts   []Attempt       `json:"attempts,omitempty"` // nil for one attempt from Started to Exited
	Error      string          `json:"error,omitempty"`
	CallID     string          `json:"call_id,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	HookErrors []string        `json:"hook_errors,omitempty"`
}

func (d *Detail) empty() bool {
	return d.Attempts == nil && d.Error == "" && d.CallID == "" && d.Data == nil && d.HookErrors == nil
}

func (d Detail) encode() ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("core: encode step: %w", err)
	}
	return text, nil
}

func decodeDetail(text []byte) (d Detail, err error) {
	if len(text) > 0 {
		if err = json.Unmarshal(text, &d); err != nil {
			err = fmt.Errorf("core: decode step: %w", err)
		}
	}
	return d, err
}
