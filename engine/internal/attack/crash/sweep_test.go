package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// This file adds workflows of many leads that are cancelled or deleted during the crash
// test, so that kills come in the middle of that.

// doomed is such a workflow, as the parent knows it.
type doomed struct {
	name   string // the start of its contacts' external ids too
	delete bool   // rather than cancelled; it is a draft
	acked  bool   // its end

	id   lead.WorkflowID // in the file, zero when it is not there
	over bool            // likewise: its end has begun
	left int             // and so many leads are to go
	done bool            // none is left, and all that went were looked at
}

const (
	doomedLeads = 700 // of which a sweep takes two batches
	doomedCalls = 20  // of them are in flight
)

// doom makes a workflow, enrolls its leads, and ends it.
func (c *child) doom(ctx context.Context, name string, deletes bool) error {
	made, err := c.eng.CreateWorkflow(ctx, &workflow.Definition{
		Name: name, Entry: "which",
		Nodes: []workflow.Node{
			workflow.If("which", `metadata.call == true`),
			workflow.CallNode("call", nil).WithTimeout(400 * time.Millisecond),
			workflow.Wait("wait", time.Hour),
			workflow.End("end", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("which", "true", "call"), workflow.On("which", "false", "wait"),
			workflow.On("call", workflow.DefaultLabel, "wait"), workflow.To("wait", "end"),
		},
	})
	if err == nil && !deletes {
		_, err = c.eng.ActivateWorkflow(ctx, made.ID)
	}
	if err != nil {
		return err
	}
	errs := make([]error, doomedLeads)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			_, errs[i] = c.eng.Enroll(ctx, made.ID, lead.Contact{
				PhoneNumber: fmt.Sprintf("+1415%07d", 5_000_000+i), ExternalID: fmt.Sprint(name, "/", i),
				Metadata: map[string]any{"call": i%(doomedLeads/doomedCalls) == 0},
			})
		})
	}
	if all.Wait(); errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	return c.end(ctx, made.ID, deletes)
}

func (c *child) end(ctx context.Context, id lead.WorkflowID, deletes bool) error {
	if deletes {
		return c.eng.DeleteWorkflow(ctx, id)
	}
	_, err := c.eng.CancelWorkflow(ctx, id)
	return err
}

// doom has the child doom a workflow, or end the ones that a kill has kept from
// their end.
func (r *run) doom() {
	for _, d := range r.doomed {
		if !d.acked && !d.over && !d.id.IsZero() {
			r.commandOf(d.id, command{Kind: "end", Delete: d.delete}, d.ended(r))
		}
	}
	if !strings.HasPrefix(r.planned.point, "sweeping ") && !strings.HasPrefix(r.planned.point, "swept ") &&
		!strings.HasPrefix(r.planned.point, "gone ") {
		return
	}
	d := &doomed{name: fmt.Sprint("doomed", len(r.doomed)), delete: r.rand("doom", r.round).IntN(2) == 0}
	r.doomed = append(r.doomed, d)
	r.command(command{Kind: "doom", Name: d.name, Delete: d.delete}, d.ended(r))
}

func (d *doomed) ended(r *run) func(event) {
	return func(ev event) {
		if ev.Error != "" {
			r.fault("%s cannot come to its end: %s", d.name, ev.Error)
		}
		d.acked = true
	}
}

// isDoomed answers for a contact of a workflow that is doomed, whose call nobody
// ever answers.
func (r *run) isDoomed(ev event) bool {
	name, _, _ := strings.Cut(ev.Contact, "/")
	for _, d := range r.doomed {
		if d.name != name {
			continue
		}
		if ev.Kind == "dispatch" && (d.acked || d.over && !ev.Redelivered) {
			r.fault("a handler is called for %s, whose workflow has ended", ev.Contact)
		}
		do := "ok"
		if ev.Kind == "dispatch" {
			do = "in flight"
		}
		r.send(command{Kind: "answer", ID: ev.ID, Do: do})
		return true
	}
	return false
}

// surveyDoomed compares the doomed workflows in the file with what was
// acknowledged and with what the file had before: what has ended stays so, and
// fewer and fewer leads are left.
func (r *run) surveyDoomed(ctx context.Context, s *sqlite.Store, eng *engine.Engine) error {
	flows, err := s.Workflows(ctx)
	if err != nil {
		return err
	}
	rows := map[string]store.Workflow{}
	for _, f := range flows {
		rows[f.Name] = f
	}
	for _, d := range r.doomed {
		row, ok := rows[d.name]
		over := row.Status == lead.WorkflowCancelled || row.Deleted
		switch {
		case !ok && (d.acked || !d.id.IsZero()):
			r.fault("%s is no longer in the file", d.name)
		case !over && (d.acked || d.over):
			r.fault("%s has ended, and is %s in the file", d.name, row.Status)
		}
		if !ok {
			continue
		}
		counts, err := s.Counts(ctx, row.Seq)
		if err != nil {
			return err
		}
		left := counts[lead.Enrolled] + counts[lead.InStep]
		if d.delete {
			left += counts[lead.PendingRemoval] + counts[lead.Removed] + counts[lead.Completed]
		}
		switch {
		case d.over && int(left) > d.left, left > 0 && d.acked:
			r.fault("%s has ended, and has %d leads left: %v", d.name, left, counts)
		case d.over && r.planned.last && left+counts[lead.PendingRemoval] > 0:
			r.fault("%s has not come to its end: %v", d.name, counts)
		}
		d.id, d.over, d.left = row.ID, over, int(left)
		if !over || left+counts[lead.PendingRemoval] > 0 || d.done {
			continue
		}
		d.done = true
		r.figures.doomed++
		if err := r.surveyRemoved(ctx, s, eng, d, row.Seq); err != nil {
			return err
		}
	}
	return nil
}

// surveyRemoved looks at the leads of a workflow that has come to its end.
func (r *run) surveyRemoved(ctx context.Context, s *sqlite.Store, eng *engine.Engine, d *doomed, seq int64) error {
	leads, err := s.Leads(ctx, store.LeadQuery{Workflow: seq})
	if err != nil {
		return err
	}
	if d.delete && len(leads) > 0 || !d.delete && len(leads) > doomedLeads {
		r.fault("%s has %d leads at its end", d.name, len(leads))
		return nil
	}
	for _, l := range leads {
		view, err := eng.Lead(ctx, d.id, l.Contact.ID)
		if err != nil {
			return err
		}
		steps, err := eng.History(ctx, d.id, l.Contact.ID)
		if err != nil {
			return err
		}
		if view.State != lead.Removed || view.Removal == nil || view.Removal.Reason != lead.ReasonWorkflowCancelled ||
			l.Wake != 0 || !view.NextActionAt.IsZero() {
			r.fault("%s, whose workflow was cancelled, is %+v", l.Contact.ExternalID, view)
		}
		if last := steps[len(steps)-1]; last.Status != lead.StepCancelled {
			r.fault("%s: what was cancelled is not in its history, but %+v", l.Contact.ExternalID, last)
		}
	}
	return nil
}
