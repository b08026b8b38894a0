package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// optsOutColumn is the column of the leads file that names the moment at which a person
// opts out; it is empty for most.
const optsOutColumn = "opts_out"

// moment is a situation of a lead in which this program removes it.
type moment struct {
	when    string
	came    func(lead.Step) bool // holds for a step of the lead's history
	options []engine.RemoveOption
}

var moments = map[string]moment{
	"waiting": {
		when: "opts out while waiting",
		came: func(s lead.Step) bool {
			return s.NodeType == string(workflow.Time) && s.Status == lead.StepWaiting
		},
		options: []engine.RemoveOption{engine.Reason("moved to a competitor"), engine.Actor("crm")},
	},
	"live_call": {
		when: "opts out during a live call",
		came: func(s lead.Step) bool {
			return s.NodeType == string(workflow.VoiceCall) && s.Status == lead.StepInProgress && s.CallID != ""
		},
		options: []engine.RemoveOption{engine.Reason("wrong person"), engine.Actor("agent 7")},
	},
	"queued_retry": {
		when:    "opts out while a retry is queued",
		came:    retryQueued,
		options: []engine.RemoveOption{engine.Reason("complaint open"), engine.Actor("support")},
	},
	"no_redial": {
		when:    "opts out while a retry is queued (SkipRetries)",
		came:    retryQueued,
		options: []engine.RemoveOption{engine.Reason("said stop"), engine.Actor("opt-out form"), engine.SkipRetries()},
	},
}

func retryQueued(s lead.Step) bool { return s.Status == lead.StepRetrying }

// watchOptOuts removes every lead whose row says so, each on a goroutine of its own, and
// returns a function that waits for them.
func (q *quickstart) watchOptOuts(ctx context.Context, wf lead.WorkflowID) (wait func(), err error) {
	var all sync.WaitGroup
	notFinal := engine.LeadFilter{States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}}
	for l, err := range q.eng.AllLeads(ctx, wf, notFinal) {
		if err != nil {
			return all.Wait, err
		}
		when, _ := l.Metadata[optsOutColumn].(string)
		if m, ok := moments[when]; ok {
			all.Go(func() {
				if err := q.optOut(ctx, l, m); err != nil && ctx.Err() == nil {
					q.out.event("%-11s cannot opt out: %v", name(l.Contact), err)
				}
			})
		}
	}
	return all.Wait, nil
}

// optOut waits until the lead comes to the moment, removes it from its workflow, and
// waits until it is removed. It uses only the public API: Lead and History to look,
// Remove to ask, Wait for the end.
func (q *quickstart) optOut(ctx context.Context, l lead.Lead, m moment) error {
	when, err := q.await(ctx, l, m)
	if err != nil {
		return err
	}
	removal, err := q.eng.Remove(ctx, l.WorkflowID, l.ID, m.options...)
	if errors.Is(err, lead.ErrLeadFinal) {
		// Only after an interrupted run: nobody was there to see the moment pass.
		q.out.event("%-11s is final already: Remove is refused", name(l.Contact))
		return nil
	}
	if err != nil {
		return err
	}
	q.out.event("%-11s %s: Remove answers %s", name(l.Contact), when, removal.State)
	if removal.State == lead.Removed {
		return nil
	}
	removed, err := removal.Wait(ctx)
	if err != nil {
		return err
	}
	steps, err := q.eng.History(ctx, l.WorkflowID, l.ID)
	if err != nil {
		return err
	}
	took := removed.Removal.RemovedAt.Sub(removed.Removal.RequestedAt)
	q.out.event("%-11s is removed %.1fs later; the step in flight ended: %s", name(l.Contact), took.Seconds(), path(steps))
	return nil
}

// await returns when the moment has come, when the lead is final, or when its removal is
// pending since the last run: calling Remove again is safe then, and returns a Removal
// to wait for.
func (q *quickstart) await(ctx context.Context, l lead.Lead, m moment) (when string, err error) {
	for {
		now, err := q.eng.Lead(ctx, l.WorkflowID, l.ID)
		switch {
		case err != nil:
			return "", err
		case now.State == lead.PendingRemoval:
			return "opted out in the last run; asked again", nil
		}
		steps, err := q.eng.History(ctx, l.WorkflowID, l.ID)
		switch {
		case err != nil:
			return "", err
		case now.State.Final() || slices.ContainsFunc(steps, m.came):
			return m.when, nil
		}
		if err := sleep(ctx, 25*time.Millisecond); err != nil {
			return "", err
		}
	}
}
