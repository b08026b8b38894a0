package life

import (
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Effect is what a signal did.
type Effect string

// The effects.
const (
	Woken   Effect = "woken"
	Exits   Effect = "exits"
	Kept    Effect = "kept"
	Ignored Effect = "ignored"
)

// Signal gives a signal to a lead. The error is nil or lead.ErrLeadFinal.
func (w *World) Signal(l *Lead, name string, data []byte) (Effect, error) {
	outcome, exits := l.Flow.exits[name]
	switch {
	case l.State.Final():
		return "", lead.ErrLeadFinal
	case l.State == lead.PendingRemoval: // it goes nowhere any more
		return Ignored, nil
	case exits && l.Doing == Resting:
		w.exit(l, outcome)
		return Exits, nil
	case exits:
		if l.exits == "" {
			l.exits = outcome
		}
		return Exits, nil
	case l.Doing != Resting && slices.ContainsFunc(l.Flow.Nodes, func(n *Node) bool { return n.Signal == name }):
		if l.kept = maps.Clone(l.kept); l.kept == nil {
			l.kept = map[string][]byte{}
		}
		l.kept[name] = data
		return Kept, nil
	case l.Doing == Resting && l.At.Node.Signal == name && !l.At.Scheduled:
		w.endWait(l, workflow.SignalOutcome, data)
		return Woken, nil
	}
	return Ignored, nil
}

// exit takes a lead out. The step at which it waits is recorded as cancelled.
func (w *World) exit(l *Lead, outcome string) {
	if l.At.Status == lead.StepWaiting {
		w.over(l.At, lead.StepCancelled, "")
	}
	w.finish(l, outcome)
}

// takeKept ends the lead's wait if a signal for it came during the step before. All that
// was kept is forgotten.
func (w *World) takeKept(l *Lead) (took bool) {
	data, took := l.kept[l.At.Node.Signal]
	l.kept = nil
	if took {
		w.endWait(l, workflow.SignalOutcome, data)
	}
	return took
}
