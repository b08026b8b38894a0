package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"

	"github.com/leadflow-go/leadflow/store"
)

// hookRun is one run of all hooks for one step. All but the last field are set
// before its goroutine starts and never change.
type hookRun struct {
	rec     store.Record
	extra   extra
	flow    *flow
	contact *contact // nil until it is read, which is before the goroutine starts

	ctx    context.Context // the hooks'; lives as long as they run
	cancel context.CancelCauseFunc

	launched bool // the loop's
}

// startHooks queues the hooks of a step whose outcome is on record with this
// batch.
func (l *loop) startHooks(e *entry, f *flow) {
	l.touch(e)
	h := &hookRun{rec: e.rec, extra: e.extra, flow: f, contact: e.contact}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	e.hooks = h
	l.live++
	l.launches = append(l.launches, e)
}

// hooksEnd is what the hooks of a step came to.
type hooksEnd struct {
	run     *hookRun
	contact *contact
	errors  []string
}

func (res *hooksEnd) lead() int64 { return res.run.rec.Seq }

func (res *hooksEnd) settle(l *loop) error {
	l.live--
	e := l.hot[res.run.rec.Seq]
	if e == nil || e.hooks != res.run {
		return nil
	}
	l.touch(e)
	e.hooks = nil
	if e.contact == nil {
		e.contact = res.contact
	}
	l.stats.HookFailures += int64(len(res.errors))
	return l.settleStep(e, l.flow(e.rec.Workflow), *e.extra.Ended, res.errors)
}

func (h *hookRun) lead() int64 { return h.rec.Seq }

func (h *hookRun) launch(e *Engine, c *contact, unread error) {
	h.contact = c
	end := &hooksEnd{run: h, contact: c}
	if unread != nil {
		e.log.Error("leadflow: a lead cannot be read; its hooks are not run", slog.Any("error", unread))
		end.errors = []string{"not run: " + unread.Error()}
		h.cancel(nil)
		e.tell(end)
		return
	}
	e.spawn(func() {
		end.errors = e.runHooks(h)
		h.cancel(nil)
		e.tell(end)
	})
}

// runHooks runs every hook, one after the other, and returns what failed.
// Whatever happens to them, it returns within Config.HookTimeout each (promise
// 4).
func (e *Engine) runHooks(h *hookRun) (failed []string) {
	c := h.contact
	person := store.Lead{Record: h.rec, Contact: c.Contact}
	completion := HookEvent{
		Lead: h.flow.lead(&person, &h.extra, c.Person),
		Step: h.flow.currentStep(&person, &h.extra),
	}
	for _, hook := range e.config.Hooks {
		// Its own, because one that was left behind may still read it.
		completion.Lead.Metadata = maps.Clone(c.Person.Metadata)
		if err := e.runHook(h.ctx, hook, completion); err != nil {
			text := errorText(err)
			failed = append(failed, hook.Name+": "+text)
			e.log.Warn("leadflow: a completion hook failed; the lead goes on without it",
				slog.String("hook", hook.Name), slog.String("step", completion.Step.ID.String()), slog.String("error", text))
		}
	}
	return failed
}

// runHook runs one hook, and leaves it behind when its time is up.
func (e *Engine) runHook(ctx context.Context, hook Hook, c HookEvent) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timedOut := fmt.Errorf("no answer within %s", e.config.HookTimeout)
	if e.stepped != nil {
		return e.stepped.runHook(timedOut, func() error { return e.callHook(ctx, hook, c) })
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

// callHook calls a hook; a panic of it is a failure, not a dead process.
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
