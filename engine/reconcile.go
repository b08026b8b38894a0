package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
)

// Reconciler is a Handler that can tell what became of an attempt, usually by asking the
// provider about its idempotency key. Handlers that must not reach a person twice should
// be one.
type Reconciler interface {
	// Reconcile tells what became of an attempt during which the process ended, or lost
	// its store to another process. It is called before the attempt would be delivered
	// again, which depends on the answer:
	//
	//   - [Happened]: what Handle would have returned. A failed attempt is retried by the
	//     node's retry policy, and a Result with InFlight set means that the outcome will
	//     come by Engine.CompleteStep; otherwise the step fails at a.Deadline.
	//   - [NeverHappened]: Handle is called for the attempt, with a.Redelivered set.
	//   - The zero Fate, any error and a panic: unknown. The node's field unknown decides:
	//     Handle is called, with a.Redelivered set (workflow.RedeliverUnknown, the
	//     default), or the step fails (workflow.FailUnknown). It then fails without a
	//     retry, which would reach the person a second time, too. The error is logged and,
	//     if the step fails, part of the step's error.
	//
	// a is as Handle would get it: the same IdempotencyKey and Number, and Redelivered is
	// true. Handle is called only if the attempt may still be made: not after its
	// deadline, after a removal with SkipRetries, or while the workflow is paused. If the
	// process ends meanwhile, Reconcile is called again; that counts as a redelivery for
	// Config.MaxRedeliveries. It is not called for attempts that wait for a callback or a
	// retry, nor for those whose deadline has passed.
	//
	// Reconcile is called like Handle: on a goroutine of its own, with no lock held, for
	// many leads concurrently; it takes up one of Config.Workers. The lead waits for it,
	// and so does a pending removal. ctx is cancelled at a.Deadline, when the step fails
	// and the answer is dropped, and when Shutdown's own deadline runs out. If a callback
	// gives the step its outcome meanwhile, that outcome counts.
	//
	// A handler that is not a Reconciler knows nothing: its attempts are unknown.
	Reconcile(ctx context.Context, a Attempt) (Fate, error)
}

// Fate is what became of an attempt. Its zero value is: unknown.
type Fate struct {
	kind   fateKind
	result Result
	err    error
}

type fateKind uint8

const (
	fateUnknown fateKind = iota
	fateHappened
	fateNever
)

// Happened is the fate of an attempt that was made: r and err are what Handle would have
// returned. While the outcome is still to come, r is InFlight(callID).
func Happened(r Result, err error) Fate { return Fate{fateHappened, r, err} }

// NeverHappened is the fate of an attempt that was not made. Be certain: the attempt is
// then made. That the provider does not know the key is enough only if it would know
// it as soon as Handle's request had reached it.
func NeverHappened() Fate { return Fate{kind: fateNever} }

// Reconcile asks the handler what became of an attempt, and reads its answer.
func (h host) Reconcile(c *run.Call) (core.Answer, error) {
	reconciler, ok := h.e.handler(c.Handler).(Reconciler)
	if !ok {
		return core.Answer{Unknown: true}, nil
	}
	a := h.attempt(c)
	a.Redelivered = true
	if err := c.Begin(); err != nil {
		return core.Answer{}, err
	}
	fate, err := h.e.reconcile(c, reconciler, a)
	switch {
	case err != nil:
		text := clip(errorText(err), MaxError/2) // the core adds to it
		h.e.log.Warn("leadflow: a handler cannot tell what became of an attempt during which the process ended",
			slog.String("step", a.StepID.String()), slog.Int("attempt", a.Number), slog.String("node", a.Node.ID),
			slog.String("error", text))
		return core.Answer{Unknown: true, Failed: text}, nil
	case fate.kind == fateHappened:
		return read(fate.result, fate.err), nil
	}
	return core.Answer{Never: fate.kind == fateNever, Unknown: fate.kind == fateUnknown}, nil
}

// reconcile calls the handler's Reconcile; a panic of it is an error.
func (e *Engine) reconcile(c *run.Call, r Reconciler, a Attempt) (fate Fate, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("Reconcile panicked: %v", p)
			e.log.Error("leadflow: the Reconcile method of a handler panicked", slog.Any("panic", p), slog.String("node", a.Node.ID),
				slog.String("step", a.StepID.String()), slog.String("stack", string(debug.Stack())))
		}
	}()
	return r.Reconcile(c.Ctx, a)
}
