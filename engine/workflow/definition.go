package workflow

import (
	"encoding/json"
	"slices"
	"time"
)

// NodeType says what happens to a lead at a node.
type NodeType string

// The node types.
const (
	VoiceCall   NodeType = "voice_call"  // action: a call
	Message     NodeType = "message"     // action: a message
	Application NodeType = "application" // action: anything else
	Time        NodeType = "time"        // waits
	Conditional NodeType = "conditional" // branches on what is known of the lead
	Split       NodeType = "split"       // deals leads by weights
	Converted   NodeType = "converted"   // terminal
	Dropped     NodeType = "dropped"     // terminal
)

// nodeTypes lists the types in the order in which messages name them.
var nodeTypes = []NodeType{VoiceCall, Message, Application, Time, Conditional, Split, Converted, Dropped}

// Action reports whether a step handler runs at nodes of the type.
func (t NodeType) Action() bool { return t == VoiceCall || t == Message || t == Application }

// Terminal reports whether a lead that reaches a node of the type completes,
// with the type as its outcome.
func (t NodeType) Terminal() bool { return t == Converted || t == Dropped }

// SuccessOutcome returns the outcome of a step whose handler returned neither an
// outcome nor an error: "completed" for a call, "success" for the other actions,
// "" for other types.
func (t NodeType) SuccessOutcome() string {
	switch t {
	case VoiceCall:
		return "completed"
	case Message, Application:
		return "success"
	}
	return ""
}

// FailureOutcome returns the outcome of a step whose last attempt failed or
// whose deadline passed: "failed" for a call, "failure" for the other actions,
// "" for other types.
func (t NodeType) FailureOutcome() string {
	switch t {
	case VoiceCall:
		return "failed"
	case Message, Application:
		return "failure"
	}
	return ""
}

// DefaultLabel is the label of the edge that an action node's lead takes when
// no edge names its outcome.
const DefaultLabel = "default"

// The outcomes of a time node that waits for a signal, which are the labels of its edges.
const (
	SignalOutcome  = "signal"  // the signal came
	TimeoutOutcome = "timeout" // it did not come in time
)

// SuppressedOutcome is the outcome of a step that a suppression of its channel kept
// from starting.
const SuppressedOutcome = "suppressed"

// DefaultOtherwise is how long a time node waits if it cannot understand what was said,
// and its config does not have otherwise.
const DefaultOtherwise = 24 * time.Hour

// DefaultTimeout is how long a step may stay in flight if its node has no timeout.
const DefaultTimeout = time.Hour

// The limits of a definition. No workflow that a person drew exceeds them; a larger
// one is more likely an attack or an accident.
const (
	MaxSize        = 16 << 20 // bytes of JSON that Parse reads
	MaxNodes       = 10_000
	MaxEdges       = 50_000
	MaxName        = 256       // bytes of a workflow's name
	MaxDescription = 16 << 10  // bytes
	MaxID          = 64        // bytes of a node's id
	MaxHandler     = 64        // bytes of the name of a node's handler
	MaxLabel       = 256       // bytes of a node's or an edge's label
	MaxConfig      = 64 << 10  // bytes of a node's config
	MaxExpression  = 4 << 10   // bytes of an expression
	MaxExpressions = 256 << 10 // bytes of all the expressions of a workflow together
	MaxPatterns    = 10_000    // parts of all the patterns of a workflow together; a pattern has about one for each letter
	MaxConditions  = 100       // of one conditional node
	MaxAttempts    = 100
	MaxWindows     = 100                  // of calling hours
	MaxHolidays    = 1000                 // of calling hours
	MaxSpread      = 24 * time.Hour       // of calling hours
	MaxLimits      = 100                  // of a workflow, of a node, and of all workflows together
	MaxLimit       = 1_000_000            // attempts that a limit allows
	MaxLimitSpan   = 366 * 24 * time.Hour // the span of a limit
	MaxRateKey     = 256                  // bytes
	MaxExits       = 100
	MaxSignal      = 64 // bytes of a signal's name
	MaxPriority    = 1_000_000
	MaxGuard       = 10_000 // steps that a guard looks at
	MaxWeights     = 20     // of a split node
	MaxWeight      = 1e9    // each
	// MaxDuration bounds every duration, and the waits that [Graph.RetryDelay]
	// returns, so that a due time can always be stored: ten years.
	MaxDuration = 87600 * time.Hour
)

// Definition is a workflow as a person writes it. It is plain data; [Compile] turns
// it into a graph that can run.
type Definition struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Entry       string `json:"entry"` // the id of the node at which leads begin
	// TimeZone is the IANA name of the time zone for leads whose own is unknown and
	// whose phone number does not tell; "" means UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// CallingHours hold for all attempts; nil for none. Those of a node hold as well.
	CallingHours *CallingHours `json:"calling_hours,omitempty"`
	// Limits hold for all attempts together. Those of a node hold as well.
	Limits []Limit `json:"limits,omitempty"`
	// Exits are the signals that complete a lead, each named once.
	Exits []Exit `json:"exits,omitempty"`
	// Priority weighs the workflow's share of limits that it shares with other
	// workflows: 1 to [MaxPriority]; 0 means 1.
	Priority int `json:"priority,omitempty"`
	// Guard pauses the workflow when too much goes wrong; nil for never.
	Guard *Guard `json:"guard,omitempty"`
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// Node is a place in a workflow.
type Node struct {
	// ID names the node in edges, expressions and histories: letters, digits, _, - and ".".
	ID   string   `json:"id"`
	Type NodeType `json:"type"`
	// Label is for people; optional.
	Label string `json:"label,omitempty"`
	// Config is a JSON object. That of an action node is for its handler; the package
	// doc says what the other types read.
	Config json.RawMessage `json:"config,omitempty"`
	// Handler is the name of the step handler that runs at an action node: letters,
	// digits, _, - and ".", at most [MaxHandler] bytes. "" means the handler with the
	// name of the type, such as "voice_call".
	Handler string `json:"handler,omitempty"`
	// Retry says when a failed attempt at an action is repeated; nil means never.
	Retry *Retry `json:"retry,omitempty"`
	// Timeout is how long a step of an action may stay in flight before it
	// counts as failed; 0 means [DefaultTimeout].
	Timeout Duration `json:"timeout,omitempty"`
	// Unknown says what happens to an attempt that a crash interrupted and whose
	// handler cannot tell what became of it; "" means [RedeliverUnknown].
	Unknown Unknown `json:"unknown,omitempty"`
	// CallingHours hold for attempts at the node, besides those of the workflow.
	CallingHours *CallingHours `json:"calling_hours,omitempty"`
	// Limits hold for attempts at the node, besides those of the workflow.
	Limits []Limit `json:"limits,omitempty"`
	// RateKey names what attempts at an action node share with others, such as a line or
	// an account, for limits and for the pause that a provider asks for. "" means that
	// the handler says so. It is a name (letters, digits, _, - and "."), or else an
	// expression that gives one; what begins with lead., metadata. or steps. is an
	// expression.
	RateKey string `json:"rate_key,omitempty"`
}

// Unknown is what happens to an attempt at an action of which nobody knows whether it
// took place, because the process ended during it.
type Unknown string

// The values of Unknown.
const (
	RedeliverUnknown Unknown = "redeliver" // it is made again, so a phone may ring twice
	FailUnknown      Unknown = "fail"      // the step fails, without another attempt
)

// unknowns lists the values in the order in which messages name them.
var unknowns = []Unknown{RedeliverUnknown, FailUnknown}

// HandlerName returns the name of the step handler that runs at the node: its
// Handler, or else its type. It is "" for a node that is not an action.
func (n *Node) HandlerName() string {
	switch {
	case !n.Type.Action():
		return ""
	case n.Handler != "":
		return n.Handler
	}
	return string(n.Type)
}

// Edge leads from one node to another.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Label is the outcome that takes the edge: any outcome of an action node, or
	// [DefaultLabel] for all others; "true" or "false" of a conditional node; a key of
	// the weights of a split node; [SignalOutcome] or [TimeoutOutcome] of a time node
	// that waits for a signal; empty for any other time node.
	Label string `json:"label,omitempty"`
}

// Retry says how often an action is attempted, and how long the waits between
// attempts are: Delay, then Delay*Backoff, then Delay*Backoff*Backoff, and so
// on, each at most MaxDelay.
type Retry struct {
	MaxAttempts int      `json:"max_attempts"` // 1 to [MaxAttempts], the first included
	Delay       Duration `json:"delay"`
	Backoff     float64  `json:"backoff,omitempty"`   // at least 1; 0 means 1
	MaxDelay    Duration `json:"max_delay,omitempty"` // 0 means [MaxDuration]
}

// Clone returns a copy that shares no memory with d.
func (d *Definition) Clone() *Definition {
	c := *d
	c.CallingHours = d.CallingHours.clone()
	c.Limits = slices.Clone(d.Limits)
	c.Exits = slices.Clone(d.Exits)
	if d.Guard != nil {
		guard := *d.Guard
		c.Guard = &guard
	}
	c.Nodes = slices.Clone(d.Nodes)
	c.Edges = slices.Clone(d.Edges)
	for i := range c.Nodes {
		c.Nodes[i] = c.Nodes[i].Clone()
	}
	return &c
}

// Clone returns a copy that shares no memory with n.
func (n *Node) Clone() Node {
	c := *n
	c.Config = slices.Clone(n.Config)
	c.CallingHours = n.CallingHours.clone()
	c.Limits = slices.Clone(n.Limits)
	if n.Retry != nil {
		retry := *n.Retry
		c.Retry = &retry
	}
	return c
}
