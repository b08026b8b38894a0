package run

import (
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// watch has the workflow guarded as it says, from now on.
func (l *loop) watch(f *core.Flow) {
	g := f.Graph.Guard()
	if g == nil || !f.Active() {
		delete(l.guards, f.Row.Seq)
		return
	}
	if l.guards[f.Row.Seq] == nil {
		if l.guards == nil {
			l.guards = map[int64]*core.Guard{}
		}
		l.guards[f.Row.Seq] = core.NewGuard(g)
	}
}

// guardSteps looks at the steps that a batch has finished.
func (l *loop) guardSteps(b *batch) {
	for _, e := range b.touched {
		g := l.guards[e.view.Rec.Workflow]
		if g == nil || len(e.steps) == 0 {
			continue
		}
		for i := range e.steps {
			if count, tripped := g.Watch(&e.steps[i]); tripped {
				l.pauseGuarded(l.flow(e.view.Rec.Workflow), count)
			}
		}
	}
}

// pauseGuarded pauses a workflow in the next batch.
func (l *loop) pauseGuarded(f *core.Flow, count int) {
	seq, says := f.Row.Seq, f.Graph.Guard()
	l.requests = append(l.requests, &request{answer: make(chan error, 1), decide: func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		next, err := l.flow(seq).Turn(lead.WorkflowPaused, lead.WorkflowActive)
		if err != nil {
			return nil // somebody was faster
		}
		l.stage(next)
		l.audit(store.Audit{Action: AuditPause, Actor: "guard", Reason: says.Outcome, Workflow: seq})
		l.after = append(l.after, func() {
			if s := statusSweep(next); s != nil {
				l.addSweep(s)
			}
			l.r.Log.Error("leadflow: a workflow was paused by its guard: too many of its last steps had a bad outcome; "+
				"find the cause and resume it",
				slog.String("workflow", next.Row.ID.String()), slog.String("outcome", says.Outcome),
				slog.Int("steps", count), slog.Int("of", says.Of))
			for _, listener := range l.r.listening() {
				listener.tell([]Change{{Flow: next, Guarded: count}})
			}
		})
		return nil
	}})
}
