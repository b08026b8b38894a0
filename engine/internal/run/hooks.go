package run

import (
	"context"
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/internal/core"
)

// HookCall is one run of all hooks for one step. All but the last field are set
// before its goroutine starts and never change.
type HookCall struct {
	Ctx     context.Context // the hooks', for this run only
	View    core.View
	Flow    *core.Flow
	Contact *Contact

	cancel   context.CancelCauseFunc
	launched bool // used by the loop only
}

// startHooks queues the hooks of a step whose outcome is on record with this
// batch.
func (l *loop) startHooks(e *entry, f *core.Flow) {
	h := &HookCall{View: e.view, Flow: f, Contact: e.contact}
	h.Ctx, h.cancel = context.WithCancelCause(context.Background())
	e.hooks = h
	l.live++
	l.launches = append(l.launches, e)
}

func (h *HookCall) lead() int64 { return h.View.Rec.Seq }

// launch runs the hooks on a goroutine of their own, unless the contact could not be
// read.
func (h *HookCall) launch(r *Runner, c *Contact, unread error, _ bool) {
	h.Contact = c
	end := &hooksEnd{run: h}
	if unread != nil {
		r.Log.Error("leadflow: a lead cannot be read; its hooks are not run", slog.Any("error", unread))
		end.errors = []string{"not run: " + unread.Error()}
		h.cancel(nil)
		r.inbox.tell(end)
		return
	}
	r.spawn(func() {
		end.errors = r.Host.Hooks(h)
		h.cancel(nil)
		r.tell(end)
	})
}

// hooksEnd is the result of the hooks of a step.
type hooksEnd struct {
	run    *HookCall
	errors []string
}

func (end *hooksEnd) lead() int64 { return end.run.lead() }

func (end *hooksEnd) settle(l *loop) error {
	l.live--
	e := l.hot[end.lead()]
	if e == nil || e.hooks != end.run {
		return nil
	}
	if e.contact == nil {
		e.contact = end.run.Contact
	}
	return l.apply(e, core.HooksEnded{Errors: end.errors})
}
