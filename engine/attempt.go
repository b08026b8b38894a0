package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
)

// host calls handlers and hooks, on goroutines that the runner starts.
type host struct{ e *Engine }

// Attempt calls the handler and reads its answer.
func (h host) Attempt(c *run.Call) core.Answer {
	handler := h.e.handler(c.Handler)
	if handler == nil {
		return core.Answer{Failed: fmt.Sprintf("the handler %s is not registered", c.Handler), Final: true}
	}
	return read(h.e.call(c, handler, h.attempt(c)))
}

// attempt describes the attempt of a call.
func (h host) attempt(c *run.Call) Attempt {
	a := Attempt{
		engine:     h.e,
		WorkflowID: c.Flow.Row.ID,
		LeadID:     c.Contact.ID,
		StepID:     c.StepID(),
		Contact:    core.ClonePerson(c.Contact.Person),
		Node:       *c.Flow.Graph.Node(c.Rec.Node),
		Number:     int(c.Rec.Attempt),
		Deadline:   c.Rec.Deadline.Time(),

		Redelivered: c.Redelivered,
	}
	a.IdempotencyKey = a.StepID.String() + "/" + strconv.Itoa(a.Number)
	if c.Sending {
		a.Scheduled = &Message{Data: bytes.Clone(c.Data)}
	}
	return a
}

// read returns the answer of a handler that returned a result or an error.
func read(result Result, err error) (answer core.Answer) {
	if err == nil {
		if answer, err = readResult(result); err != nil {
			err = NonRetryable(err) // calling again gives the same
		}
	}
	if err != nil {
		answer = failedAttempt(err)
	}
	return answer
}

// failedAttempt returns the answer of a handler that returned an error.
func failedAttempt(err error) (answer core.Answer) {
	answer.Failed = errorText(err)
	defer func() { _ = recover() }() // errors.As calls methods of it
	var wait *retryError
	var final *finalError
	var notMade *notMadeError
	answer.Final = errors.As(err, &final)
	answer.NotMade = !answer.Final && errors.As(err, &notMade)
	if errors.As(err, &wait) {
		answer.RetryAfter = wait.wait
		if wait.all {
			answer.CoolFor = wait.wait
		}
	}
	return answer
}

// readResult returns the answer of a handler that returned a result, or says what is
// wrong with the result.
func readResult(result Result) (core.Answer, error) {
	answer := core.Answer{InFlight: result.InFlight, CallID: result.CallID}
	if err := checkCallID(result.CallID); err != nil {
		answer.CallID = ""
		return answer, fmt.Errorf("the call id %w", err)
	}
	for _, m := range result.Schedule {
		if len(m.Data) > 0 && !json.Valid(m.Data) {
			return answer, errors.New("the data of a scheduled message is not JSON")
		}
		if err := checkJSON(m.Data); err != nil {
			return answer, fmt.Errorf("the data of a scheduled message %w", err)
		}
		// It is a copy, because the handler may use its slice again.
		answer.Schedule = append(answer.Schedule, core.Scheduled{After: m.After, Data: readable(m.Data)})
	}
	if result.InFlight {
		return answer, nil
	}
	if err := checkOutcome(result.Outcome); err != nil {
		return answer, fmt.Errorf("the outcome %w", err)
	}
	data, err := encodeData(result.Data)
	answer.Outcome, answer.Data = result.Outcome, data
	return answer, err
}

// call calls the handler; a panic of it is a failed attempt, not a dead process.
func (e *Engine) call(c *run.Call, h Handler, a Attempt) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
			e.log.Error("leadflow: a handler panicked", slog.Any("panic", p), slog.String("node", a.Node.ID),
				slog.String("step", a.StepID.String()), slog.String("stack", string(debug.Stack())))
		}
	}()
	switch err := c.Begin(); {
	case errors.Is(err, run.ErrNotHeld), errors.Is(err, run.ErrClosed):
		return Result{}, NotMade(err)
	case err != nil:
		return Result{}, err
	}
	return h.Handle(c.Ctx, a)
}
