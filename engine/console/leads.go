package console

import (
	"net/url"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// leadsView lists leads of a workflow, or of a person.
type leadsView struct {
	Workflows []option
	Statuses  []option
	Nodes     []option
	Phone     string
	External  string
	Order     string
	Matches   string
	Leads     *table // nil until it is clear which leads are meant
}

// option is an entry of a select.
type option struct {
	Value, Text string
	Chosen      bool
}

// pageRows is how many rows a page of a long list has.
const pageRows = 50

// mostOptions is how many workflows a select lists.
const mostOptions = 200

func (h *Handler) leads(v *visit) error {
	q := v.r.URL.Query()
	page := leadsView{Phone: q.Get("phone_number"), External: q.Get("external_id"), Order: q.Get("order")}
	for _, s := range lead.States() {
		page.Statuses = append(page.Statuses, option{s.String(), strings.ReplaceAll(s.String(), "_", " "), q.Get("status") == s.String()})
	}
	var err error
	if page.Workflows, err = v.workflowOptions(q.Get("workflow")); err != nil {
		return err
	}
	switch {
	case q.Get("workflow") != "":
		err = page.ofWorkflow(v, q)
	case page.Phone != "" || page.External != "":
		err = page.ofPerson(v, q)
	}
	if err != nil {
		return err
	}
	return v.renderLive("leads", "Leads", page, liveSeldom)
}

// workflowOptions lists the workflows for a select.
func (v *visit) workflowOptions(chosen string) ([]option, error) {
	flows, err := v.h.eng.Workflows(v.ctx(), engine.WorkflowFilter{Limit: mostOptions})
	if err != nil {
		return nil, err
	}
	var list []option
	found := chosen == ""
	for _, w := range flows {
		id := w.ID.String()
		found = found || id == chosen
		list = append(list, option{id, nameOfWorkflow(w), id == chosen})
	}
	if !found {
		list = append(list, option{chosen, chosen, true})
	}
	return list, nil
}

func nameOfWorkflow(w engine.Workflow) string {
	if name := strings.TrimSpace(w.Name); name != "" {
		return name
	}
	return w.ID.String()
}

func (p *leadsView) ofWorkflow(v *visit, q url.Values) error {
	id, err := lead.ParseWorkflowID(q.Get("workflow"))
	if err != nil {
		return err
	}
	def, err := v.h.eng.Definition(v.ctx(), id)
	if err != nil {
		return err
	}
	for _, n := range def.Nodes {
		name := n.ID
		if n.Label != "" {
			name = n.Label
		}
		p.Nodes = append(p.Nodes, option{n.ID, name, n.ID == q.Get("node_id")})
	}
	filter := engine.LeadFilter{
		Node: q.Get("node_id"), PhoneNumber: p.Phone, ExternalID: p.External, Newest: p.Order != "oldest", Limit: pageRows + 1,
	}
	if err := filterStates(&filter.States, q.Get("status")); err != nil {
		return err
	}
	if after := q.Get("after"); after != "" {
		if filter.After, err = lead.ParseID(after); err != nil {
			return err
		}
	}
	n, err := v.h.eng.CountLeads(v.ctx(), id, filter)
	if err != nil {
		return err
	}
	p.Matches = plural(int(n), "lead matches", "leads match")
	list, err := v.h.eng.Leads(v.ctx(), id, filter)
	if err != nil {
		return err
	}
	p.Leads = v.leadTable(list, false, v.ToAPI(v.query("status", "node_id", "phone_number", "external_id"), "workflows", id.String(), "leads"))
	return nil
}

func (p *leadsView) ofPerson(v *visit, q url.Values) error {
	filter := engine.ContactFilter{PhoneNumber: p.Phone, ExternalID: p.External, Limit: pageRows + 1}
	err := filterStates(&filter.States, q.Get("status"))
	if err != nil {
		return err
	}
	if after := q.Get("after"); after != "" {
		if filter.After, err = lead.ParseID(after); err != nil {
			return err
		}
	}
	list, err := v.h.eng.ContactLeads(v.ctx(), filter)
	if err != nil {
		return err
	}
	json := ""
	if p.Phone != "" && len(list) > 0 {
		json = v.ToAPI(v.query("status"), "contacts", list[0].PhoneNumber, "leads")
	}
	p.Leads = v.leadTable(list, true, json)
	return nil
}

func filterStates(states *[]lead.State, name string) error {
	if name == "" {
		return nil
	}
	s, err := lead.ParseState(name)
	*states = []lead.State{s}
	return err
}

// leadTable lists leads, with those of a person in which workflow.
func (v *visit) leadTable(list []lead.Lead, workflows bool, json string) *table {
	columns := []string{"Person", "External id", "Status", "At", "Next action", "Enrolled", "Last change"}
	if workflows {
		columns = append([]string{"Workflow"}, columns...)
	}
	t := v.newTable("Leads", "No lead matches. Leave a filter out, or enroll somebody with POST /v1/workflows/{id}/leads or leadflow import.", json, columns...)
	next := ""
	if len(list) > pageRows {
		list = list[:pageRows]
		next = list[len(list)-1].ID.String()
	}
	for _, l := range list {
		var cells []cell
		to := v.To("leads", l.ID.String())
		if workflows {
			cells = append(cells, link(v.workflowName(l.WorkflowID), to))
		}
		status := badge(l.State.String())
		switch {
		case l.Unreadable != "":
			status.Note = "cannot be read"
		case l.Hold != nil:
			status.Note = "held"
		case l.Outcome != "":
			status.Note = l.Outcome
		case l.Removal != nil:
			status.Note = l.Removal.Reason
		}
		cells = append(cells, link(l.PhoneNumber, to), text(l.ExternalID), status, text(v.nodeName(l.WorkflowID, l.Node)),
			when(v.atTheirs(l.NextActionAt, v.h.eng.TimeZones(l)), l.NextActionAt), when(v.at(l.EnrolledAt), l.EnrolledAt), when(v.at(l.UpdatedAt), l.UpdatedAt))
		t.add(cells...)
	}
	v.pages(t, next)
	return v.sort(t)
}
