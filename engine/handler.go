package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Handler does the real thing at action nodes: it places the call, sends the
// message, talks to the application. Nodes name their handler; see
// [Config].Handlers and [Engine.Handle]. [Typed] makes one that gets the node's
// config decoded.
//
// Handle is called on a goroutine of its own, with nothing held, after the
// attempt is on record. It may be called again for the same attempt after a
// crash (promise 9): a.IdempotencyKey is then the same and a.Redelivered set.
//
// It answers in one of five ways:
//   - a Result with an Outcome: the step is done; the outcome names the edge that
//     the lead follows. An empty Outcome means the type's good one: "completed" for
//     a voice_call, "success" for the others.
//   - a Result with InFlight set: the outcome will come by Engine.CompleteStep, or
//     a.Deadline ends the step.
//   - an error: the attempt failed. The node's retry policy queues the next one;
//     after the last the outcome is "failed" ("failure" for message and
//     application). See [RetryAfter] to wait longer before the next one. The history
//     keeps MaxError bytes of its text.
//   - an error made by [NonRetryable]: the step failed, whatever attempts are left.
//   - an error made by [NotMade]: nothing was done, so the attempt is not counted.
//
// A panic is an error, and its stack is logged.
//
// ctx is cancelled when the deadline passes or when Shutdown's own deadline
// runs out, never by Remove, Pause or Cancel (promise 3). What Handle returns
// after the step has got its outcome otherwise changes nothing.
type Handler interface {
	Handle(ctx context.Context, a Attempt) (Result, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, a Attempt) (Result, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, a Attempt) (Result, error) { return f(ctx, a) }

// Attempt is what a handler is asked to do.
type Attempt struct {
	WorkflowID lead.WorkflowID
	LeadID     lead.ID
	StepID     lead.StepID
	// Contact is the person; Metadata is the handler's own copy (of the map, not
	// of what is in it).
	Contact lead.Contact
	// Node is the node visited; read-only.
	Node workflow.Node
	// Scheduled is the message to send when this is not a visit to Node but a
	// message that Node's handler scheduled; nil otherwise.
	Scheduled *Message
	// Number counts the attempts at the step, from 1.
	Number int
	// IdempotencyKey names the attempt; it is the same when the attempt is
	// delivered again.
	IdempotencyKey string
	// Redelivered: the attempt was begun before, and the process ended before its
	// outcome was on record. Whatever it did may have been done.
	Redelivered bool
	// Deadline is when the attempt counts as failed, by the engine's clock.
	Deadline time.Time

	engine *Engine
}

// Engine returns the engine that makes the attempt, all of whose methods a
// handler may call. It is nil for an Attempt that a test made.
func (a *Attempt) Engine() *Engine { return a.engine }

// Result is a handler's answer.
type Result struct {
	Outcome  string
	InFlight bool
	// CallID is the provider's name for the call; it goes to the history and the
	// call log. One that is not UTF-8 of at most MaxCallID bytes fails the step.
	CallID string
	// Data goes to the step's history entry and is what later conditions see as
	// steps.<node>.data. It is a map, a struct, a json.RawMessage or any other value
	// that encoding/json writes as an object, in at most MaxData bytes, with no
	// number beyond a float64's range; else the step fails. It is encoded as soon as
	// the handler has returned. nil is no data.
	Data any
	// Schedule queues messages beside the lead's path. They are timers of the
	// lead: removing or completing it cancels them.
	Schedule []Message
}

// MaxData is the most bytes of JSON that a step's data may have.
const MaxData = 1 << 20

// MaxCallID is the most bytes that the provider's name for a call may have.
const MaxCallID = 256

// MaxError is the most bytes that are kept of the text of a handler's or a hook's
// error. What is longer is cut, and ends in "…".
const MaxError = 4 << 10

// MaxScheduled is how many scheduled messages a lead can have waiting.
const MaxScheduled = core.MaxScheduled

// MaxScheduledData is the most bytes of JSON that the data of all scheduled
// messages of a lead may have together.
const MaxScheduledData = core.MaxScheduledData

// Message is a message to be sent later, by the handler of message nodes, with
// the retry policy of the node whose handler scheduled it. A message that comes
// due while a step of its lead is in flight is sent after that step.
type Message struct {
	After time.Duration   // from the answer of the handler that schedules it
	Data  json.RawMessage // a JSON value for the handler that sends it
}

// InFlight is the answer of a handler whose outcome will come by
// Engine.CompleteStep. callID may be empty.
func InFlight(callID string) Result { return Result{InFlight: true, CallID: callID} }

// NonRetryable marks an error as final: the step fails without another attempt.
func NonRetryable(err error) error { return &finalError{err} }

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// NotMade marks an error with the news that nothing was done, through no fault of
// the lead's or of whom it calls: the network is down, the provider refuses every
// connection, the process is out of file descriptors. The attempt is not counted:
// it is made later under the same number and key, after a second at first and then
// less and less often, up to once a minute, for as long as that takes. No other
// attempt with its rate key begins meanwhile (see [RateKeyer]), and the log says so.
// A lead whose removal is pending does not wait for that, and is removed.
//
// A handler must be sure: whoever may have been reached already would be called
// again.
func NotMade(err error) error { return &notMadeError{err} }

type notMadeError struct{ err error }

func (e *notMadeError) Error() string { return e.err.Error() }
func (e *notMadeError) Unwrap() error { return e.err }

// RetryAfter marks an error with the least time to wait before the next
// attempt, such as a Retry-After header gave. Whether there is a next attempt
// remains for the node's policy to say.
func RetryAfter(err error, wait time.Duration) error { return &retryError{err, wait} }

type retryError struct {
	err  error
	wait time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// Causes of the cancellation of a handler's context, for context.Cause.
var (
	// ErrDeadline: the attempt's deadline passed.
	ErrDeadline = run.ErrDeadline
	// ErrShutdown: Shutdown's own deadline ran out before the handler returned.
	ErrShutdown = run.ErrShutdown
)

// Hook is a function that runs when a step that was in flight has its outcome.
//
// It is called on a goroutine of its own, with nothing held, at least once per
// step: again if the process ends before the lead has gone on. A hook that
// returns an error, panics, or takes longer than Config.HookTimeout is
// recorded in the step's history entry and holds nothing up (promise 4). Only
// the timeout, and Shutdown's own deadline, cancel ctx.
type Hook struct {
	Name string // by which its failures are recorded
	Run  func(ctx context.Context, c HookEvent) error
}

// HookEvent is what a hook is told.
type HookEvent struct {
	// Lead as it was when the step ended: in_step, or pending_removal.
	Lead lead.Lead
	// Step with its outcome, and without an ExitedAt.
	Step lead.Step

	engine *Engine
}

// Engine returns the engine that runs the hook, all of whose methods the hook may
// call. It is nil for a HookEvent that a test made.
func (e *HookEvent) Engine() *Engine { return e.engine }
