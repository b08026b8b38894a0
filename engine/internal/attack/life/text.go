package life

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Writer writes what a reader sees as text, without ids, so that an engine and a [World]
// can be compared, and people can read the difference.
type Writer struct {
	Begun time.Time // moments are written as the time since then
	// Said are the texts of errors that handlers and hooks have returned; all others are
	// written as AnyText. Nil keeps all texts.
	Said []string
}

// After writes a moment.
func (t Writer) After(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Sub(t.Begun).String()
}

func (t Writer) wording(text string) string {
	if text == "" || t.Said == nil || slices.Contains(t.Said, text) {
		return text
	}
	return AnyText
}

// Lead writes a lead, but for when it was updated.
func (t Writer) Lead(l lead.Lead) string {
	text := fmt.Sprintf("%s %s %v %s at %s, next %s, enrolled %s", l.PhoneNumber, l.ExternalID, l.Metadata, l.State, l.Node,
		t.After(l.NextActionAt), t.After(l.EnrolledAt))
	if l.State == lead.Completed {
		text += fmt.Sprintf(", completed %s as %s", t.After(l.CompletedAt), l.Outcome)
	}
	if h := l.Hold; h != nil {
		text += fmt.Sprintf(", held for %q by %q since %s until %s", h.Reason, h.Actor, t.After(h.Since), t.After(h.Until))
	}
	if m := l.Removal; m != nil {
		text += fmt.Sprintf(", removal for %q by %q skipping %t asked %s done %s", m.Reason, m.Actor, m.SkipRetries,
			t.After(m.RequestedAt), t.After(m.RemovedAt))
	}
	return text
}

// History writes steps, one a line.
func (t Writer) History(steps []lead.Step) string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, t.Step(s))
	}
	return strings.Join(lines, "\n")
}

// Step writes a step.
func (t Writer) Step(s lead.Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.NodeID, s.NodeType)
	if s.Scheduled {
		b.WriteString(" scheduled")
	}
	fmt.Fprintf(&b, " %s %q due %s, %s to %s", s.Status, s.Outcome, t.After(s.ScheduledAt), t.After(s.EnteredAt), t.After(s.ExitedAt))
	if s.CallID+s.Error != "" || len(s.Data) > 0 {
		fmt.Fprintf(&b, ", call %q error %q data %s", s.CallID, t.wording(s.Error), s.Data)
	}
	for _, a := range s.Attempts {
		fmt.Fprintf(&b, "; %d %s %s to %s", a.Number, a.Status, t.After(a.StartedAt), t.After(a.EndedAt))
		for _, extra := range []struct {
			text string
			is   bool
		}{
			{"due " + t.After(a.DueAt), !a.DueAt.IsZero()}, {"error " + t.wording(a.Error), a.Error != ""},
			{"call " + a.CallID, a.CallID != ""}, {"redelivered", a.Redelivered},
		} {
			if extra.is {
				b.WriteString(" " + extra.text)
			}
		}
	}
	for _, failure := range s.HookErrors {
		name, text, _ := strings.Cut(failure, ": ")
		b.WriteString("; hook " + name + ": " + t.wording(text))
	}
	return b.String()
}

// Call writes an entry of the call log, with its ids.
func (t Writer) Call(c lead.Call) string {
	return fmt.Sprintf("%s %s %s attempt %d at %s of %s: %s %s to %s call %q error %q data %s", t.After(c.StartedAt), c.PhoneNumber,
		c.LeadID, c.Attempt, c.NodeID, c.StepID, c.Status, c.Outcome, t.After(c.EndedAt), c.CallID, t.wording(c.Error), c.Data)
}
