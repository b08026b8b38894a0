package console

import (
	"net/url"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// workflows lists the workflows.
func (v *visit) workflows(query url.Values) (*table, error) {
	filter := engine.WorkflowFilter{Limit: mostWorkflows + 1}
	if after := v.r.URL.Query().Get("after"); after != "" {
		var err error
		if filter.After, err = lead.ParseWorkflowID(after); err != nil {
			return nil, err
		}
	}
	list, err := v.h.eng.Workflows(v.ctx(), filter)
	if err != nil {
		return nil, err
	}
	t := v.newTable("Workflows", "There is no workflow yet. Create one with POST /v1/workflows, or with leadflow import.", v.ToAPI(query, "workflows"),
		"Workflow", "Status", "#Waiting", "#In a step", "#Removal pending", "#Removed", "#Completed", "#All")
	next := ""
	if len(list) > mostWorkflows {
		list = list[:mostWorkflows]
		next = list[len(list)-1].ID.String()
	}
	for _, w := range list {
		name := strings.TrimSpace(w.Name)
		if name == "" {
			name = w.ID.String()
		}
		t.add(link(name, v.To("workflows", w.ID.String())), badge(w.Status.String()), number(w.Counts[lead.Enrolled]), number(w.Counts[lead.InStep]),
			number(w.Counts[lead.PendingRemoval]), number(w.Counts[lead.Removed]), number(w.Counts[lead.Completed]), number(w.EnrolledLeads))
	}
	v.pages(t, next)
	return v.sort(t), nil
}
