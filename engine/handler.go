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

// Handler carries out the step at an action node: it places the call, sends the
// message, talks to the application. Nodes name their handler; see
// [Config].Handlers and [Engine.Handle]. [Typed] makes one that gets the node's
// config decoded.
//
// Handle is called on a goroutine of its own, with no lock held, after the attempt is
// on disk. It is called for many leads concurrently, for one lead one call at a time.
// It may be called again for the same attempt after a crash (promise 9):
// a.IdempotencyKey is then the same, and a.Redelivered is true. A handler that can find
// out what became of the attempt is a [Reconciler].
//
// It answers in one of five ways:
//   - a Result with an Outcome: the step is completed; the outcome names the edge that
//     the lead follows. An empty Outcome means the node type's success outcome:
//     "completed" for voice_call, "success" for message and application.
//   - a Result with InFlight set: the outcome will come by Engine.CompleteStep, or
//     the step fails at a.Deadline.
//   - an error: the attempt failed. The node's retry policy queues the next one;
//     after the last one the outcome is "failed" for voice_call, "failure" for message
//     and application. See [RetryAfter] to wait longer before the next one. The history
//     keeps MaxError bytes of the error's text.
//   - an error made by [NonRetryable]: the step fails, even if attempts are left.
//   - an error made by [NotMade]: nothing was done, so the attempt is not counted.
//
// A panic counts as an error, and its stack is logged.
//
// ctx is cancelled when the deadline passes or when Shutdown's own deadline runs out,
// never by Remove, PauseWorkflow or CancelWorkflow (promise 3). If the step has got its
// outcome in another way meanwhile, what Handle returns changes nothing.
type Handler interface {
	Handle(ctx context.Context, a Attempt) (Result, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, a Attempt) (Result, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, a Attempt) (Result, error) { return f(ctx, a) }

// Attempt describes the attempt that a handler is to make.
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
	// IdempotencyKey identifies the attempt. It is the same if the handler is called
	// again for the attempt; pass it to the provider.
	IdempotencyKey string
	// Redelivered: the handler was called for this attempt before, and the process
	// ended before the outcome was on disk. The call or message may have gone out.
	Redelivered bool
	// Deadline is when the attempt counts as failed, by the engine's clock.
	Deadline time.Time

	engine *Engine
}

// Engine returns the engine that makes the attempt. A handler may call all of its
// methods. It is nil for an Attempt that a test made.
func (a *Attempt) Engine() *Engine { return a.engine }

// Result is a handler's answer.
type Result struct {
	// Outcome names the edge that the lead follows, in UTF-8 of at most 128 bytes;
	// empty means the node type's success outcome.
	Outcome string
	// InFlight: the outcome will come by Engine.CompleteStep. Outcome and Data are
	// ignored.
	InFlight bool
	// CallID is the provider's id of the call; it goes to the history and the call log.
	// If it is not UTF-8 of at most MaxCallID bytes, the step fails.
	CallID string
	// Data goes to the step's history entry, and later conditions see it as
	// steps.<node>.data. It is a map, a struct, a json.RawMessage or any other value
	// that encoding/json writes as an object, in at most MaxData bytes, with no
	// number beyond the range of float64; otherwise the step fails. It is encoded as
	// soon as the handler has returned. nil means no data.
	Data any
	// Schedule queues messages beside the lead's path. They are cancelled when the lead
	// is removed or completed.
	Schedule []Message
}

// MaxData is the most bytes of JSON that a step's data may have.
const MaxData = 1 << 20

// MaxCallID is the most bytes that the provider's id of a call may have.
const MaxCallID = 256

// MaxError is the most bytes that are kept of the text of a handler's or a hook's
// error. What is longer is cut, and ends in "…".
const MaxError = 4 << 10

// MaxScheduled is the most scheduled messages that may wait for one lead.
const MaxScheduled = core.MaxScheduled

// MaxScheduledData is the most bytes of JSON that the data of all scheduled
// messages of a lead may have together.
const MaxScheduledData = core.MaxScheduledData

// Message is a message to be sent later, by the handler named "message", with the
// retry policy of the node whose handler scheduled it. A message that comes due while
// a step of its lead is in flight is sent after that step.
type Message struct {
	After time.Duration   // counted from the return of the handler that schedules it
	Data  json.RawMessage // a JSON value for the handler that sends it, in at most MaxData bytes
}

// InFlight is the answer of a handler whose outcome will come by
// Engine.CompleteStep. callID may be empty.
func InFlight(callID string) Result { return Result{InFlight: true, CallID: callID} }

// NonRetryable wraps an error to say that the step fails without another attempt.
func NonRetryable(err error) error { return &finalError{err} }

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// NotMade wraps an error to say that nothing was done, and that the cause is not the
// lead or its contact: the network is down, the provider refuses every connection, the
// process is out of file descriptors. The attempt is not counted. It is made again
// under the same number and idempotency key, with a back-off that doubles from one
// second to one minute, until it succeeds or fails for another reason. Until the
// back-off has passed, no other attempt with the same rate key begins (see
// [RateKeyer]); the log says so. A pending removal does not wait for it.
//
// Use it only when it is certain that nothing was done: a person who was reached
// already would be called again. For a request over HTTP that is when it never got a
// connection, which net/http/httptrace tells (GotConn); package webhook does so.
func NotMade(err error) error { return &notMadeError{err} }

type notMadeError struct{ err error }

func (e *notMadeError) Error() string { return e.err.Error() }
func (e *notMadeError) Unwrap() error { return e.err }

// RetryAfter wraps an error with the least time to wait before the next attempt, such
// as a Retry-After header gives. The node's retry policy still decides whether there
// is a next attempt.
func RetryAfter(err error, wait time.Duration) error { return &retryError{err: err, wait: wait} }

// RetryAllAfter is RetryAfter for a provider that asks everybody to wait: until then no
// attempt begins that has the same rate key, in any workflow. Those that wait use up no
// attempt. See [Engine.CoolDown].
func RetryAllAfter(err error, wait time.Duration) error {
	return &retryError{err: err, wait: wait, all: true}
}

type retryError struct {
	err  error
	wait time.Duration
	all  bool
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

// Hook is a completion hook: a function that runs when a step that was in flight has
// its outcome.
//
// It is called on a goroutine of its own, with no lock held, at least once per step:
// again if the process ends before the lead has gone on. The lead waits for it, for at
// most Config.HookTimeout. A hook that returns an error, panics or takes longer is
// recorded in the step's history entry, and the lead goes on (promise 4). Only the
// timeout and Shutdown's own deadline cancel ctx.
type Hook struct {
	Name string // required; failures are recorded under it
	Run  func(ctx context.Context, c HookEvent) error
}

// HookEvent describes the step that has its outcome.
type HookEvent struct {
	// Lead is the lead as it was when the step ended: in_step or pending_removal.
	Lead lead.Lead
	// Step has its outcome; ExitedAt is zero, because the hooks are part of the step.
	Step lead.Step

	engine *Engine
}

// Engine returns the engine that runs the hook. The hook may call all of its methods.
// It is nil for a HookEvent that a test made.
func (e *HookEvent) Engine() *Engine { return e.engine }
