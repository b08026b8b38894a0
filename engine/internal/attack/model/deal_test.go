package model

import (
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// enrollments are the leads that the store took, by workflow and phone number: whose
// enrollment is not acknowledged has a number all the same, by which split nodes deal.
type enrollments struct {
	flows map[lead.WorkflowID]int64
	last  map[enrollmentKey]int64
}

type enrollmentKey struct{ workflow, phone int64 }

func (e *enrollments) note(b *store.Batch, refused []store.Refusal) {
	if e.last == nil {
		e.flows, e.last = map[lead.WorkflowID]int64{}, map[enrollmentKey]int64{}
	}
	for _, f := range b.Workflows {
		e.flows[f.ID] = f.Seq
	}
	for i := range b.Enroll {
		r := &b.Enroll[i]
		if slices.ContainsFunc(refused, func(r store.Refusal) bool { return r.Index == i }) {
			continue
		}
		e.last[enrollmentKey{r.Record.Workflow, r.Contact.Phone}] = r.Record.Seq
	}
}

// deal is the outcome of a lead at a split node. That the shares are those of the weights
// is tested elsewhere; this tests that a lead always falls the same way.
func (w *trial) deal(l *life.Lead, n *life.Node) string {
	seq := l.ID.Seq()
	switch {
	case !l.ID.IsZero():
	case !w.fresh.IsZero():
		seq = w.fresh.Seq()
	default:
		phone := lead.PhoneDigits(l.Contact.PhoneNumber)
		w.gate.mu.Lock()
		seq = w.enrolled.last[enrollmentKey{w.enrolled.flows[l.Flow.ID], phone}]
		w.gate.mu.Unlock()
	}
	i := slices.Index(l.Flow.Nodes, n)
	return w.graphs[l.Flow].Split(int32(i), seq)
}
