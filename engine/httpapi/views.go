package httpapi

import (
	"encoding/json"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// The objects of the wire. All fields are always there.

type workflowBody struct {
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Description   string         `json:"description"`
	Status        workflowStatus `json:"status"`
	NodeCount     int            `json:"node_count"`
	EdgeCount     int            `json:"edge_count"`
	EnrolledLeads int64          `json:"enrolled_leads" doc:"how many leads the workflow has, final ones among them"`
	Counts        countsBody     `json:"counts" doc:"its leads by status"`
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
	Warnings      []fault        `json:"warnings,omitempty" doc:"what is not wrong with the graph, but cannot be meant; left out if there is nothing"`
}

type countsBody struct {
	Enrolled       int64 `json:"enrolled"`
	InStep         int64 `json:"in_step"`
	PendingRemoval int64 `json:"pending_removal"`
	Removed        int64 `json:"removed"`
	Completed      int64 `json:"completed"`
}

func viewWorkflow(w engine.Workflow) workflowBody {
	return workflowBody{
		ID: w.ID.String(), Name: w.Name, Description: w.Description, Status: workflowStatus(w.Status.String()),
		NodeCount: w.NodeCount, EdgeCount: w.EdgeCount, EnrolledLeads: w.EnrolledLeads,
		Counts: countsBody{
			w.Counts[lead.Enrolled], w.Counts[lead.InStep], w.Counts[lead.PendingRemoval],
			w.Counts[lead.Removed], w.Counts[lead.Completed],
		},
		CreatedAt: w.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(), Warnings: located(w.Warnings, ""),
	}
}

type nodeBody struct {
	ID      string          `json:"id"`
	Type    nodeType        `json:"type"`
	Label   *string         `json:"label"`
	Config  json.RawMessage `json:"config" doc:"an object; what its type or its handler reads"`
	Handler *string         `json:"handler" doc:"the name of its step handler; null: that of its type"`
	Retry   *retryBody      `json:"retry" doc:"null: one attempt"`
	Timeout *string         `json:"timeout" doc:"how long a step may stay in flight; null: 1h"`
	Unknown *string         `json:"unknown" doc:"redeliver or fail: what happens to an attempt when nobody knows what became of it; null: redeliver"`
	// The rules that hold at the node, besides those of the workflow.
	CallingHours *callingHoursBody `json:"calling_hours"`
	Limits       []limitBody       `json:"limits"`
	RateKey      *string           `json:"rate_key" doc:"a name, or an expression that gives one; null: its handler says so"`
}

type callingHoursBody struct {
	_        struct{}     `nullable:"true"`
	Preset   *string      `json:"preset"`
	Windows  []windowBody `json:"windows"`
	Holidays []string     `json:"holidays"`
	Spread   *string      `json:"spread"`
}

type windowBody struct {
	Days []workflow.Day `json:"days"`
	From string         `json:"from"`
	To   string         `json:"to"`
}

type limitBody struct {
	InFlight   *int    `json:"in_flight"`
	Starts     *int    `json:"starts"`
	PerContact *int    `json:"per_contact"`
	Per        *string `json:"per"`
}

type retryBody struct {
	_           struct{} `nullable:"true"`
	MaxAttempts int      `json:"max_attempts"`
	Delay       *string  `json:"delay"`
	Backoff     *float64 `json:"backoff"`
	MaxDelay    *string  `json:"max_delay"`
}

type edgeBody struct {
	From  string  `json:"from"`
	To    string  `json:"to"`
	Label *string `json:"label"`
}

func viewNode(n workflow.Node) nodeBody {
	out := nodeBody{
		ID: n.ID, Type: nodeType(n.Type), Label: optional(n.Label), Config: value(n.Config),
		Handler: optional(n.Handler), Timeout: length(n.Timeout), Unknown: optional(string(n.Unknown)),
		CallingHours: viewHours(n.CallingHours), Limits: make([]limitBody, len(n.Limits)), RateKey: optional(n.RateKey),
	}
	for i, l := range n.Limits {
		out.Limits[i] = viewLimit(l)
	}
	if out.Config == nil {
		out.Config = json.RawMessage(`{}`)
	}
	if r := n.Retry; r != nil {
		out.Retry = &retryBody{MaxAttempts: r.MaxAttempts, Delay: length(r.Delay), MaxDelay: length(r.MaxDelay)}
		if r.Backoff != 0 {
			out.Retry.Backoff = &r.Backoff
		}
	}
	return out
}

func viewLimit(l workflow.Limit) limitBody {
	return limitBody{positive(l.InFlight), positive(l.Starts), positive(l.PerContact), length(l.Per)}
}

func viewHours(h *workflow.CallingHours) *callingHoursBody {
	if h == nil {
		return nil
	}
	out := &callingHoursBody{
		Preset: optional(h.Preset), Windows: make([]windowBody, len(h.Windows)), Holidays: append([]string{}, h.Holidays...), Spread: length(h.Spread),
	}
	for i, w := range h.Windows {
		out.Windows[i] = windowBody(w)
	}
	return out
}

// positive is null for 0, which stands for a limit of another kind.
func positive(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

type leadBody struct {
	ID            string         `json:"id"`
	WorkflowID    string         `json:"workflow_id"`
	PhoneNumber   string         `json:"phone_number" doc:"E.164"`
	ExternalID    *string        `json:"external_id"`
	Metadata      map[string]any `json:"metadata"`
	TimeZone      *string        `json:"time_zone"`
	Status        leadStatus     `json:"status"`
	CurrentNodeID string         `json:"current_node_id"`
	NextActionAt  *time.Time     `json:"next_action_at" doc:"when the engine will next act on the lead by itself; null for a final lead"`
	Outcome       *string        `json:"outcome" doc:"of a completed lead"`
	Hold          *holdBody      `json:"hold" doc:"null unless it is held"`
	Removal       *removalBody   `json:"removal" doc:"null until removal is asked for"`
	EnrolledAt    time.Time      `json:"enrolled_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
	CompletedAt   *time.Time     `json:"completed_at"`
	Unreadable    *string        `json:"unreadable,omitempty" doc:"only of a lead that cannot be read completely: why. It can be removed"`
}

type holdBody struct {
	_      struct{}   `nullable:"true"`
	Until  *time.Time `json:"until" doc:"null: until it is released"`
	Reason *string    `json:"reason"`
	Actor  *string    `json:"actor"`
	Since  time.Time  `json:"since"`
}

type removalBody struct {
	_           struct{}   `nullable:"true"`
	Reason      *string    `json:"reason"`
	Actor       *string    `json:"actor"`
	RequestedAt time.Time  `json:"requested_at"`
	RemovedAt   *time.Time `json:"removed_at" doc:"null while removal is pending"`
	SkipRetries bool       `json:"skip_retries" doc:"no further attempt of the step in flight is made"`
}

func viewLead(l lead.Lead) leadBody {
	out := leadBody{
		ID: l.ID.String(), WorkflowID: l.WorkflowID.String(), PhoneNumber: l.PhoneNumber,
		ExternalID: optional(l.ExternalID), Metadata: l.Metadata, TimeZone: optional(l.TimeZone),
		Status: leadStatus(l.State.String()), CurrentNodeID: l.Node, NextActionAt: when(l.NextActionAt),
		Outcome: optional(l.Outcome), EnrolledAt: l.EnrolledAt.UTC(), UpdatedAt: l.UpdatedAt.UTC(),
		CompletedAt: when(l.CompletedAt), Unreadable: optional(l.Unreadable),
	}
	if out.Metadata == nil {
		out.Metadata = map[string]any{}
	}
	if b := l.Hold; b != nil {
		out.Hold = &holdBody{Until: when(b.Until), Reason: optional(b.Reason), Actor: optional(b.Actor), Since: b.Since.UTC()}
	}
	if r := l.Removal; r != nil {
		out.Removal = &removalBody{
			Reason: optional(r.Reason), Actor: optional(r.Actor), RequestedAt: r.RequestedAt.UTC(),
			RemovedAt: when(r.RemovedAt), SkipRetries: r.SkipRetries,
		}
	}
	return out
}

type historyEntryBody struct {
	StepID      string          `json:"step_id"`
	NodeID      string          `json:"node_id"`
	NodeLabel   *string         `json:"node_label"`
	NodeType    string          `json:"node_type"`
	Status      stepStatus      `json:"status"`
	Outcome     *string         `json:"outcome"`
	CallID      *string         `json:"call_id"`
	Attempts    []attemptBody   `json:"attempts"`
	ScheduledAt *time.Time      `json:"scheduled_at" doc:"when the step was, or would have been, due"`
	EnteredAt   time.Time       `json:"entered_at"`
	ExitedAt    *time.Time      `json:"exited_at"`
	Data        json.RawMessage `json:"data" doc:"what the handler or the callback returned; of a scheduled message what its handler is given"`
	Error       *string         `json:"error" doc:"why a failed step failed"`
	Scheduled   bool            `json:"scheduled" doc:"a message beside the lead's path, scheduled by a handler of the node"`
	HookErrors  []string        `json:"hook_errors" doc:"completion hooks that failed, hung or panicked"`
}

type attemptBody struct {
	Attempt     int        `json:"attempt" doc:"counts from 1"`
	StartedAt   *time.Time `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	Status      stepStatus `json:"status"`
	Error       *string    `json:"error"`
	CallID      *string    `json:"call_id"`
	DueAt       *time.Time `json:"due_at" doc:"when an attempt that was never begun is, or would have been, due"`
	Redelivered bool       `json:"redelivered" doc:"the handler was called again for it, after a crash"`
}

func viewStep(s lead.Step) historyEntryBody {
	out := historyEntryBody{
		StepID: s.ID.String(), NodeID: s.NodeID, NodeLabel: optional(s.NodeLabel), NodeType: s.NodeType,
		Status: stepStatus(s.Status.String()), Outcome: optional(s.Outcome), CallID: optional(s.CallID),
		Attempts: make([]attemptBody, len(s.Attempts)), ScheduledAt: when(s.ScheduledAt), EnteredAt: s.EnteredAt.UTC(),
		ExitedAt: when(s.ExitedAt), Data: value(s.Data), Error: optional(s.Error), Scheduled: s.Scheduled, HookErrors: s.HookErrors,
	}
	for i, a := range s.Attempts {
		out.Attempts[i] = attemptBody{
			Attempt: a.Number, StartedAt: when(a.StartedAt), EndedAt: when(a.EndedAt), Status: stepStatus(a.Status.String()),
			Error: optional(a.Error), CallID: optional(a.CallID), DueAt: when(a.DueAt), Redelivered: a.Redelivered,
		}
	}
	if out.HookErrors == nil {
		out.HookErrors = []string{}
	}
	return out
}

type callBody struct {
	CallID      *string         `json:"call_id" doc:"the telephony provider's id, once it is known"`
	StepID      string          `json:"step_id"`
	Attempt     int             `json:"attempt"`
	LeadID      string          `json:"lead_id"`
	WorkflowID  string          `json:"workflow_id"`
	NodeID      string          `json:"node_id"`
	PhoneNumber string          `json:"phone_number"`
	Status      callStatus      `json:"status"`
	Outcome     *string         `json:"outcome"`
	StartedAt   time.Time       `json:"started_at"`
	EndedAt     *time.Time      `json:"ended_at"`
	Error       *string         `json:"error"`
	Data        json.RawMessage `json:"data"`
}

func viewCall(c lead.Call) callBody {
	return callBody{
		CallID: optional(c.CallID), StepID: c.StepID.String(), Attempt: c.Attempt, LeadID: c.LeadID.String(),
		WorkflowID: c.WorkflowID.String(), NodeID: c.NodeID, PhoneNumber: c.PhoneNumber, Status: callStatus(c.Status.String()),
		Outcome: optional(c.Outcome), StartedAt: c.StartedAt.UTC(), EndedAt: when(c.EndedAt), Error: optional(c.Error), Data: value(c.Data),
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func length(d workflow.Duration) *string {
	if d == 0 {
		return nil
	}
	return optional(d.String())
}

// value keeps an empty text from standing where a JSON value must.
func value(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return nil
	}
	return data
}
