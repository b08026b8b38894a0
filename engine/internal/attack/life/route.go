package life

import (
	"fmt"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// enter takes a lead to a node, and on through conditions, until it waits or ends.
func (w *World) enter(l *Lead, node string) {
	n := l.Flow.byID[node]
	l.At = w.visit(l, n)
	switch {
	case n.Type == workflow.Time:
		l.At.ScheduledAt = w.Now.Add(n.Wait)
		w.takeKept(l)
	case n.Type.Action():
		l.kept = nil
		w.passOver(l, w.Now)
	case n.Type == workflow.Split:
		if outcome := w.Deal(l, n); n.weights[outcome] > 0 {
			w.decided(l, outcome)
		} // else it is none that leads on, and the lead stays, which no engine does
	case n.Type.Terminal():
		w.over(l.At, lead.StepCompleted, string(n.Type))
		w.finish(l, string(n.Type))
	case n.Type == workflow.Conditional && !w.Asks:
		w.branch(l)
	}
}

// branch takes a lead on from a condition.
func (w *World) branch(l *Lead) { w.decided(l, fmt.Sprint(l.At.Node.test(l))) }

// decided takes a lead on from a condition with the outcome.
func (w *World) decided(l *Lead, outcome string) {
	n := l.At.Node
	w.over(l.At, lead.StepCompleted, outcome)
	if next, ok := n.next(outcome); ok {
		w.enter(l, next)
	} else {
		w.finish(l, lead.OutcomeNoRoute)
	}
}

// endWait takes a lead whose wait is over to the next node. Only a wait for a signal has
// an outcome.
func (w *World) endWait(l *Lead, outcome string, data []byte) {
	if l.At.Node.Signal == "" {
		outcome = ""
	}
	l.At.Data = data
	w.over(l.At, lead.StepCompleted, outcome)
	w.enter(l, l.At.Node.Edges[outcome])
}

// complete is the table's complete: the hooks have run, and the lead goes on or, if its
// removal is pending, is removed.
func (w *World) complete(l *Lead) {
	if l.State == lead.InStep {
		w.sweepOne(l) // the sweep has not reached the lead yet
	}
	st := l.At
	st.ExitedAt, st.HookErrors = w.Now, l.hookFails
	l.Doing = Resting
	if l.interrupted != nil {
		l.At, l.interrupted = l.interrupted, nil
		if l.State == lead.PendingRemoval {
			w.detach(l)
			return
		}
		l.State = lead.Enrolled
		if l.exits != "" {
			w.exit(l, l.exits)
		} else if !w.takeKept(l) {
			w.Alone(l, w.Now) // the wait may be over already
		}
		return
	}
	next, ok := st.Node.next(st.Outcome)
	switch {
	case l.State == lead.PendingRemoval:
		if ok { // the next node is recorded as cancelled
			n := l.Flow.byID[next]
			cancelled := w.visit(l, n)
			cancelled.ScheduledAt = w.Now.Add(n.Wait)
			w.over(cancelled, lead.StepCancelled, "")
		}
		w.detach(l)
	case l.exits != "":
		w.exit(l, l.exits)
	case !ok && st.Outcome == lead.OutcomeSuppressed:
		l.State = lead.Enrolled
		w.noWayRound(l)
	case !ok:
		w.finish(l, lead.OutcomeNoRoute)
	default:
		l.State = lead.Enrolled
		w.enter(l, next)
	}
}

// finish: enrolled → completed.
func (w *World) finish(l *Lead, outcome string) {
	l.Outcome = outcome
	w.end(l, lead.Completed)
}

// detach: → removed. The lead's wait is recorded as cancelled.
func (w *World) detach(l *Lead) {
	if l.At.Status == lead.StepWaiting {
		w.over(l.At, lead.StepCancelled, "")
	}
	l.Removal.RemovedAt = w.Now
	w.end(l, lead.Removed)
}

// end cancels the scheduled messages of a final lead and clears its timers (promise 5).
func (w *World) end(l *Lead, state lead.State) {
	l.State, l.Finished, l.Hold = state, w.Now, nil
	for _, m := range l.Messages() {
		w.over(m, lead.StepCancelled, "")
	}
}
