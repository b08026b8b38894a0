package run

import (
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// guard watches the outcomes of a workflow's last steps, and pauses the workflow when
// too many of them are bad. It begins anew with the process, and when the workflow is
// resumed.
type guard struct {
	bad   []bool // of the last steps, in a ring
	next  int
	full  bool
	count int // of those that are bad
	asked bool
}

// watch has the workflow guarded as it says, from now on.
func (l *loop) watch(f *core.Flow) {
	g := f.Graph.Guard()
	if g == nil || !f.Active() {
		delete(l.guards, f.Row.Seq)
		return
	}
	if l.guards[f.Row.Seq] == nil {
		if l.guards == nil {
			l.guards = map[int64]*guard{}
		}
		l.guards[f.Row.Seq] = &guard{bad: make([]bool, g.Of)}
	}
}

// guardSteps looks at the steps that a batch has finished.
func (l *loop) guardSteps(b *batch) {
	for _, e := range b.touched {
		g := l.guards[e.view.Rec.Workflow]
		if g == nil || len(e.steps) == 0 {
			continue
		}
		f := l.flow(e.view.Rec.Workflow)
		says := f.Graph.Guard()
		for i := range e.steps {
			if s := &e.steps[i]; s.Attempts > 0 {
				g.add(s.Outcome == says.Outcome)
			}
		}
		if g.full && float64(g.count) > says.Share*float64(len(g.bad)) && !g.asked {
			g.asked = true
			l.pauseGuarded(f, g.count)
		}
	}
}

func (g *guard) add(bad bool) {
	if g.bad[g.next] {
		g.count--
	}
	if g.bad[g.next] = bad; bad {
		g.count++
	}
	if g.next++; g.next == len(g.bad) {
		g.next, g.full = 0, true
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
		l.audit(store.Audit{Action: AuditGuard, Actor: "guard", Reason: says.Outcome, Workflow: seq})
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
