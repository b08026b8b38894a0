package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/lead"
)

// kept is what keeps leads waiting in a simulation, as it is found at the end of hours.
type kept map[keptAt]*keptMost

// keptAt is a node at which leads wait, and why.
type keptAt struct {
	workflow, node string
	reason         engine.WaitReason
}

// keptMost is how many leads wait there.
type keptMost struct {
	most int
	at   time.Time // when most was reached
	sum  int       // of all hours
}

// keptNow counts the leads of a workflow at the end of an hour.
type keptNow struct {
	live           int
	closed, capped int // wait for calling hours, and for limits
}

// mostExplained is how many leads of a workflow are asked in an hour what they wait for;
// of more, leads are taken evenly.
const mostExplained = 2000

// look counts what the leads of a workflow wait for.
func (k kept) look(ctx context.Context, w *enginetest.World, id lead.WorkflowID) (n keptNow, err error) {
	e := w.Engine()
	wf, err := e.Workflow(ctx, id)
	if err != nil {
		return n, err
	}
	n.live = int(wf.Counts[lead.Enrolled] + wf.Counts[lead.InStep] + wf.Counts[lead.PendingRemoval])
	each, i, here := n.live/mostExplained+1, 0, map[keptAt]int{}
	for l, err := range e.AllLeads(ctx, id, engine.LeadFilter{States: []lead.State{lead.Enrolled, lead.InStep}}) {
		if err != nil {
			return n, err
		}
		if i++; i%each != 0 {
			continue
		}
		x, err := e.Explain(ctx, id, l.ID)
		if err != nil {
			return n, err
		}
		switch x.Reason {
		case engine.WaitHours:
			n.closed += each
		case engine.WaitLimit, engine.WaitDailyCap:
			n.capped += each
		default:
			continue
		}
		here[keptAt{wf.Name, x.Node, x.Reason}] += each
	}
	for at, count := range here {
		if k[at] == nil {
			k[at] = &keptMost{}
		}
		m := k[at]
		if m.sum += count; count > m.most {
			m.most, m.at = count, w.Now()
		}
	}
	return n, nil
}

// report says where leads wait, and for what.
func (k kept) report(b *strings.Builder) {
	b.WriteString("\nWhat kept leads waiting:\n")
	list := slices.SortedFunc(maps.Keys(k), func(a, b keptAt) int {
		return cmp.Or(k[b].most-k[a].most, strings.Compare(a.workflow, b.workflow), strings.Compare(a.node, b.node), strings.Compare(string(a.reason), string(b.reason)))
	})
	for _, at := range list {
		cause := map[engine.WaitReason]string{
			engine.WaitHours: "calling hours", engine.WaitLimit: "a limit of attempts", engine.WaitDailyCap: "the limit for each contact",
		}[at.reason]
		fmt.Fprintf(b, "  %s of %s: at most %s wait for %s, first on %s; %s hours of waiting in all\n", printable(at.node), printable(at.workflow),
			thousands(k[at].most), cause, k[at].at.Format("Mon 2006-01-02 15:04"), thousands(k[at].sum))
	}
	if len(list) == 0 {
		b.WriteString("  nothing\n")
	}
}
