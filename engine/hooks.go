package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
)

// Hooks runs every hook, one after the other, and returns what failed. It waits at
// most Config.HookTimeout for each of them (promise 4).
func (h host) Hooks(c *run.HookCall) (failed []string) {
	e := h.e
	event := HookEvent{
		engine: e,
		Lead:   core.Lead(c.Flow, &c.View, &c.Contact.Contact, *c.Contact.Person),
		Step:   core.CurrentStep(c.Flow, &c.View, c.Contact.ID),
	}
	for _, hook := range e.config.Hooks {
		// A copy for each hook, because one that timed out may still read it.
		event.Lead.Contact = core.ClonePerson(c.Contact.Person)
		if err := e.runHook(c.Ctx, hook, event); err != nil {
			text := errorText(err)
			failed = append(failed, hook.Name+": "+text)
			e.log.Warn("leadflow: a completion hook failed; the lead goes on without it",
				slog.String("hook", hook.Name), slog.String("step", event.Step.ID.String()), slog.String("error", text))
		}
	}
	return failed
}

// runHook runs one hook, and stops waiting for it after Config.HookTimeout.
func (e *Engine) runHook(ctx context.Context, hook Hook, c HookEvent) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timedOut := fmt.Errorf("no answer within %s", e.config.HookTimeout)
	if e.run.Stepped {
		return e.run.RunHook(e.config.HookTimeout, timedOut, func() error { return e.callHook(ctx, hook, c) })
	}
	stop := e.config.Clock.AfterFunc(e.config.HookTimeout, func() { cancel(timedOut) })
	defer stop()
	done := make(chan error, 1)
	go func() { done <- e.callHook(ctx, hook, c) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// A hook that returned in the same moment counts as done.
		select {
		case err := <-done:
			return err
		default:
			return context.Cause(ctx)
		}
	}
}

// callHook calls a hook, and turns its panic into an error.
func (e *Engine) callHook(ctx context.Context, hook Hook, c HookEvent) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panicked: %v", p)
			e.log.Error("leadflow: a completion hook panicked", slog.Any("panic", p),
				slog.String("hook", hook.Name), slog.String("stack", string(debug.Stack())))
		}
	}()
	return hook.Run(ctx, c)
}
