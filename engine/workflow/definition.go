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
	Converted   NodeType = "converted"   // terminal
	Dropped     NodeType = "dropped"     // terminal
)

// nodeTypes lists the types in the order in which messages name them.
var nodeTypes = []NodeType{VoiceCall, Message, Application, Time, Conditional, Converted, Dropped}

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
	Nodes       []Node `json:"nodes"`
	Edges       []Edge `json:"edges"`
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
	// [DefaultLabel] for all others; "true" or "false" of a conditional node; empty
	// for a time node.
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
	if n.Retry != nil {
		retry := *n.Retry
		c.Retry = &retry
	}
	return c
}
