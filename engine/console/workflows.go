package console

import (
	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// mostWorkflows is how many workflows a list shows on one page.
const mostWorkflows = 50

// workflows lists the workflows.
func (v *visit) workflows() (*table, error) {
	q := v.r.URL.Query()
	filter := engine.WorkflowFilter{Limit: mostWorkflows + 1}
	if status := q.Get("status"); status != "" {
		if err := filter.Status.UnmarshalText([]byte(status)); err != nil {
			return nil, err
		}
	}
	if after := q.Get("after"); after != "" {
		var err error
		if filter.After, err = lead.ParseWorkflowID(after); err != nil {
			return nil, err
		}
	}
	list, err := v.h.eng.Workflows(v.ctx(), filter)
	if err != nil {
		return nil, err
	}
	t := v.newTable("Workflows", "There is no workflow here yet. Create one with POST /v1/workflows, or with leadflow import.", v.ToAPI(v.query("status"), "workflows"),
		"Workflow", "Status", "#Waiting", "#In a step", "#Removal pending", "#Removed", "#Completed", "#All")
	next := ""
	if len(list) > mostWorkflows {
		list = list[:mostWorkflows]
		next = list[len(list)-1].ID.String()
	}
	for _, w := range list {
		t.add(link(nameOfWorkflow(w), v.To("workflows", w.ID.String())), badge(w.Status.String()), number(w.Counts[lead.Enrolled]), number(w.Counts[lead.InStep]),
			number(w.Counts[lead.PendingRemoval]), number(w.Counts[lead.Removed]), number(w.Counts[lead.Completed]), number(w.EnrolledLeads))
	}
	v.pages(t, next)
	return v.sort(t), nil
}
