package enginetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the texts that failing assertions print.

const clockLayout = "2006-01-02 15:04:05.000"

// report describes the world: what is needed to repeat it, and its present state.
func (w *World) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the world: seed %d, began %s, it is %s", w.config.Seed, w.config.Start.UTC().Format(clockLayout), w.clock.Now().Format(clockLayout))
	if next, ok := w.eng.Next(); ok {
		fmt.Fprintf(&b, ", more is due %s", next.Format(clockLayout))
	} else {
		b.WriteString(", nothing is due")
	}
	list, err := w.eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil {
		fmt.Fprintf(&b, "\n\t%v", err)
	}
	for _, wf := range list {
		fmt.Fprintf(&b, "\n\tworkflow %q (%s) is %s", wf.Name, wf.ID, wf.Status)
		for _, s := range lead.States() {
			if n := wf.Counts[s]; n > 0 {
				fmt.Fprintf(&b, ", %d %s", n, s)
			}
		}
	}
	return b.String()
}

// story describes what happened to a lead, in order of time, and the world.
func (w *World) story(id lead.ID) string {
	l, err := w.find(id)
	if err != nil {
		return fmt.Sprintf("lead %s: %v\n%s", id, err, w.report())
	}
	steps, err := w.eng.History(context.Background(), l.WorkflowID, id)
	if err != nil {
		return fmt.Sprintf("lead %s: %v\n%s", id, err, w.report())
	}
	var lines chronicle
	lines.add(l.EnrolledAt, "enrolled")
	for _, s := range steps {
		lines.addStep(&s)
	}
	if r := l.Removal; r != nil {
		lines.add(r.RequestedAt, "REMOVAL asked for%s%s", prefixed(" by ", r.Actor), prefixed(": ", r.Reason))
		lines.add(r.RemovedAt, "removed")
	}
	lines.add(l.CompletedAt, "completed with outcome %s", l.Outcome)
	if !l.NextActionAt.IsZero() {
		lines.add(l.NextActionAt, "(next)")
	}
	who := l.PhoneNumber + prefixed(", ", l.ExternalID)
	return fmt.Sprintf("lead %s (%s) is %s at %s:\n%s%s", id, who, l.State, l.Node, lines.String(), w.report())
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// chronicle is a list of lines of text, each with its time.
type chronicle []chronicleLine

type chronicleLine struct {
	at   time.Time
	text string
}

func (c *chronicle) add(at time.Time, format string, args ...any) {
	if !at.IsZero() {
		*c = append(*c, chronicleLine{at, fmt.Sprintf(format, args...)})
	}
}

func (c *chronicle) addStep(s *lead.Step) {
	name := stepName(s)
	if s.Status == lead.StepCancelled {
		c.add(s.ExitedAt, "%s CANCELLED, was due %s", name, s.ScheduledAt.Format(clockLayout))
		return
	}
	if s.Scheduled {
		c.add(s.EnteredAt, "%s scheduled, due %s", name, s.ScheduledAt.Format(clockLayout))
	}
	for _, a := range s.Attempts {
		again := ""
		if a.Redelivered {
			again = ", made again after a crash"
		}
		c.add(a.StartedAt, "%s attempt %d begun%s", name, a.Number, again)
		switch {
		case a.Status == lead.StepCancelled:
			c.add(a.EndedAt, "%s attempt %d CANCELLED, was due %s", name, a.Number, a.DueAt.Format(clockLayout))
		case a.Status == lead.StepFailed:
			c.add(a.EndedAt, "%s attempt %d failed: %s", name, a.Number, cmp.Or(a.Error, s.Error))
		case !a.DueAt.IsZero():
			c.add(a.DueAt, "%s attempt %d is due", name, a.Number)
		}
	}
	for _, e := range s.HookErrors {
		c.add(s.ExitedAt, "%s hook %s", name, e)
	}
	switch t := workflow.NodeType(s.NodeType); {
	case t.Terminal():
		c.add(s.ExitedAt, "%s is reached", name)
	case !s.ExitedAt.IsZero() && t == workflow.Time:
		c.add(s.ExitedAt, "%s is over%s", name, prefixed(": ", s.Error))
	case !s.ExitedAt.IsZero():
		c.add(s.ExitedAt, "%s came to %s%s", name, cmp.Or(s.Outcome, s.Status.String()), prefixed(": ", s.Error))
	case s.Status == lead.StepWaiting && !s.Scheduled:
		c.add(s.EnteredAt, "%s waits until %s", name, s.ScheduledAt.Format(clockLayout))
	}
}

// String returns the lines in order of time.
func (c chronicle) String() string {
	slices.SortStableFunc(c, func(a, b chronicleLine) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, line := range c {
		fmt.Fprintf(&b, "\t%s  %s\n", line.at.Format(clockLayout), line.text)
	}
	return b.String()
}

// stepName is the name of a step in assertions and in their messages.
func stepName(s *lead.Step) string {
	if s.Scheduled {
		return s.NodeID + scheduledSuffix
	}
	return s.NodeID
}
