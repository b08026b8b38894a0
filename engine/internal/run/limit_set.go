package run

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// limitsSetting is the name of the setting that has the limits for all workflows.
const limitsSetting = "limits"

// loadLimits has the limits in force that are on disk, with what is used of them.
func (l *loop) loadLimits() error {
	settings, err := l.r.Store.Settings(context.Background())
	if err != nil {
		return ReadFailed(err)
	}
	l.now = l.clock()
	if l.limits.everywhere, err = limitsIn(settings); err != nil {
		return err
	}
	if err := l.limitUse(); err != nil {
		return err
	}
	return l.readAccount()
}

// limitsIn returns the limits for all workflows.
func limitsIn(settings []store.Setting) ([]workflow.Limit, error) {
	for _, s := range settings {
		if s.Name == limitsSetting {
			limits, err := workflow.ParseLimits(s.Value)
			if err != nil {
				err = fmt.Errorf("engine: the limits for all workflows cannot be read: %w", err)
			}
			return limits, err
		}
	}
	return nil, nil
}

// limitUse has the present limits of all workflows in force, and learns what is used of
// those that are new.
func (l *loop) limitUse() error {
	var fresh []*core.Use
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) {
		fresh = append(fresh, l.r.rules.SetLimits(l.flows[seq], l.limits.everywhere)...)
		l.watch(l.flows[seq])
	}
	l.r.rules.DropUses()
	l.limits.lines = slices.DeleteFunc(l.limits.lines, func(ln *line) bool {
		over := !l.r.rules.Counts(ln.use) && !ln.waiting()
		if over {
			delete(l.limits.of, ln.use)
		}
		return over
	})
	if len(fresh) == 0 {
		return nil
	}
	for _, use := range fresh {
		starts, err := l.r.Store.Starts(context.Background(), store.StartQuery{Key: use.Key, Since: l.now.Add(-use.Span)})
		if err != nil {
			return ReadFailed(err)
		}
		for _, s := range starts {
			use.Started(0, s.At, int(s.N))
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) {
		if err := l.countFlying(l.flows[seq], fresh); err != nil {
			return err
		}
	}
	return nil
}

// countFlying counts the attempts of a workflow in flight for limits of which that is not
// known.
func (l *loop) countFlying(f *core.Flow, fresh []*core.Use) error {
	if !f.Exists() {
		return nil
	}
	q := store.LeadQuery{Workflow: f.Row.Seq, States: []lead.State{lead.InStep, lead.PendingRemoval}, Limit: fillSize}
	for {
		page, err := l.r.Store.Sweep(context.Background(), q)
		bad, ok := asRowErrors(err)
		if err != nil && !ok {
			return ReadFailed(err)
		}
		for _, rec := range page {
			view, err := core.Read(rec, f)
			if err != nil || !view.Flies() {
				continue
			}
			for _, lim := range view.Counted(f, l.now) {
				if lim.InFlight > 0 && slices.Contains(fresh, lim.Use) {
					lim.Flying++
					lim.Base++
				}
			}
		}
		if len(page)+len(bad) < q.Limit || len(page) == 0 {
			return nil
		}
		q.After = page[len(page)-1].Seq
	}
}

// SetLimits replaces the limits for all workflows. text is their JSON. When it returns,
// no handler is called any more for an attempt that began under the former ones.
func (r *Runner) SetLimits(ctx context.Context, limits []workflow.Limit, text []byte, note store.Audit) error {
	var beginning []<-chan struct{}
	err := r.do(ctx, func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		beginning = nil
		l.writes.Settings = append(l.writes.Settings, store.Setting{Name: limitsSetting, Value: text})
		l.audit(note)
		l.forgetLimits(limits)
		l.after = append(l.after, func() {
			l.limits.everywhere = limits
			if err := l.limitUse(); err != nil {
				l.r.Log.Error("leadflow: it cannot be read how much of the limits is used", slog.Any("error", err))
			}
			l.wakePutOff()
			l.limits.reopen()
			l.horizon.rewind() // for leads that were left on disk because of a limit that is gone
			beginning = l.beginning(func(*core.Flow) bool { return true })
		})
		return nil
	})
	if err != nil {
		return err // if ctx has ended, the loop may still be deciding
	}
	if err := r.awaitAll(ctx, beginning); err != nil {
		return err
	}
	return r.agree(ctx)
}

// wakePutOff has leads looked at again that wait, on disk, for a time that a limit gave.
func (l *loop) wakePutOff() {
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) {
		if f := l.flows[seq]; f.Exists() && !f.Row.Status.Final() && f.Row.Status != lead.WorkflowDraft {
			l.addSweep(&sweep{
				query: store.LeadQuery{Workflow: seq, States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}},
				event: core.Rewake{}, done: make(chan struct{}),
			})
		}
	}
}

// Limits returns the limits for all workflows.
func (r *Runner) Limits(ctx context.Context) ([]workflow.Limit, error) {
	var limits []workflow.Limit
	err := r.do(ctx, func(l *loop) error {
		limits = slices.Clone(l.limits.everywhere)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return limits, nil
}

// CoolDown has no attempt with a rate key begin before a time.
func (r *Runner) CoolDown(ctx context.Context, key string, until store.Millis) error {
	return r.do(ctx, func(l *loop) error {
		l.r.rules.Close(key, until)
		return nil
	})
}
