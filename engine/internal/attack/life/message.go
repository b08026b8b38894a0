package life

import (
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Message is a message to be sent later.
type Message struct {
	After time.Duration
	Data  []byte
}

// schedule queues messages beside the lead's path.
func (w *World) schedule(l *Lead, messages []Message) {
	for _, m := range messages {
		st := w.visit(l, l.At.Node)
		st.Scheduled, st.NodeType, st.Text = true, string(workflow.Message), m.Data
		st.ScheduledAt = w.Now.Add(m.After)
	}
}

// Messages are those that are scheduled for a lead, the next one first.
func (l *Lead) Messages() []*Step {
	var out []*Step
	for _, st := range l.Steps {
		if st.Scheduled && st.Status == lead.StepWaiting {
			out = append(out, st)
		}
	}
	slices.SortStableFunc(out, func(a, b *Step) int { return a.ScheduledAt.Compare(b.ScheduledAt) })
	return out
}

// messageDue is the message that is due by that time, or nil. It comes before the next
// step of the path.
func (w *World) messageDue(l *Lead, by time.Time) *Step {
	return l.nextMessage(by)
}
