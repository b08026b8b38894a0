package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Scheduled is a message that a handler schedules beside the lead's path.
type Scheduled struct {
	After time.Duration
	Data  []byte // a JSON value, or nil
}

// Bounds of the scheduled messages that wait for one lead.
const (
	MaxScheduled     = 100
	MaxScheduledData = 8 << 20 // bytes, of all messages together
)

// schedule queues messages beside the lead's path. If they exceed a bound, it queues
// none of them and says why.
func (t *Turn) schedule(v *View, messages []Scheduled) (failed string) {
	if len(messages) == 0 {
		return ""
	}
	n, r := &v.Notes, &v.Rec
	size := 0
	for _, m := range n.Messages {
		size += m.Size + len(m.Data)
	}
	for _, m := range messages {
		size += len(m.Data)
	}
	switch {
	case len(n.Messages)+len(messages) > MaxScheduled:
		return fmt.Sprintf("more than %d scheduled messages would wait for the lead", MaxScheduled)
	case size > MaxScheduledData:
		return fmt.Sprintf("the scheduled messages of the lead would hold more than %d bytes", MaxScheduledData)
	case int(r.Visits)+len(messages) > lead.MaxVisits:
		return fmt.Sprintf("the lead would take more than %d steps", lead.MaxVisits)
	}
	for _, m := range messages {
		r.Visits++
		if len(m.Data) > 0 {
			t.Payloads = append(t.Payloads, store.Payload{Lead: r.Seq, Visit: r.Visits, Data: m.Data})
		}
		n.Messages = withMessage(n.Messages, Message{
			Visit: r.Visits, Node: r.Node, Entered: t.Now, Due: t.Now.Add(max(m.After, 0)), Size: len(m.Data),
		})
	}
	return ""
}

// withMessage returns a copy of the messages with m added, in order of due time.
func withMessage(messages []Message, m Message) []Message {
	i := len(messages)
	for i > 0 && messages[i-1].Due > m.Due {
		i--
	}
	return slices.Insert(slices.Clone(messages), i, m)
}
