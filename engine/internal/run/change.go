package run

import (
	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// Change is what a commit has made of a lead.
type Change struct {
	Flow          *core.Flow
	Before, After core.View // Before is the zero View of a lead that is new
	Steps         []store.Step
	Contact       *Contact // nil when it is not in memory
}

// changes returns what the batch has changed, if anybody listens.
func (l *loop) changes(b *batch) []Change {
	if l.r.Listen == nil || len(b.touched) == 0 {
		return nil
	}
	refused := map[*entry]bool{}
	for _, r := range b.done.Refused {
		refused[b.fresh[r.Index]] = true
	}
	list := make([]Change, 0, len(b.touched))
	for i, e := range b.touched {
		if refused[e] {
			continue
		}
		c := Change{Flow: l.flow(e.view.Rec.Workflow), After: e.view, Steps: append([]store.Step(nil), e.steps...), Contact: e.contact}
		if !e.fresh {
			c.Before = b.was[i].view
		}
		list = append(list, c)
	}
	return list
}
