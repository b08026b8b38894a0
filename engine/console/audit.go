package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// auditView lists who asked for what.
type auditView struct {
	Phone, Actor, From, To string
	Workflows              []option
	Entries                *table
}

func (h *Handler) audit(v *visit) error {
	q := v.r.URL.Query()
	page := auditView{Phone: q.Get("phone_number"), Actor: q.Get("actor"), From: q.Get("from"), To: q.Get("to")}
	filter := engine.AuditFilter{PhoneNumber: page.Phone, Actor: page.Actor, Newest: true, Limit: pageRows + 1}
	api := v.query("phone_number", "workflow_id", "lead_id", "actor")
	var err error
	if id := q.Get("workflow_id"); id != "" {
		if filter.WorkflowID, err = lead.ParseWorkflowID(id); err != nil {
			return err
		}
	}
	if id := q.Get("lead_id"); id != "" {
		if filter.LeadID, err = lead.ParseID(id); err != nil {
			return err
		}
	}
	for name, to := range map[string]*time.Time{"from": &filter.From, "to": &filter.To} {
		if *to, err = v.parseTime(name, q.Get(name)); err != nil {
			return err
		}
		if !to.IsZero() {
			api.Set(name, to.UTC().Format(time.RFC3339))
		}
	}
	if after := q.Get("after"); after != "" {
		if filter.After, err = strconv.ParseInt(after, 10, 64); err != nil {
			return errNoPage
		}
	}
	if page.Workflows, err = v.workflowOptions(q.Get("workflow_id")); err != nil {
		return err
	}
	list, err := h.eng.Audit(v.ctx(), filter)
	if err != nil {
		return err
	}
	page.Entries = v.auditTable(list, api)
	return v.renderLive("audit", "Audit", page, liveSeldom)
}

// auditTable lists entries of the audit trail.
func (v *visit) auditTable(list []engine.AuditEntry, api url.Values) *table {
	t := v.newTable("Who asked for what", "No entry matches. Entries are made when somebody removes, holds, releases, signals or suppresses.",
		v.ToAPI(api, "audit"), "When", "What", "Who", "Person", "Where", "Reason", "#Entry")
	next := ""
	if len(list) > pageRows {
		list = list[:pageRows]
		next = strconv.FormatInt(list[len(list)-1].Seq, 10)
	}
	for _, a := range list {
		person := text(a.ExternalID)
		if a.PhoneNumber != "" {
			person = link(a.PhoneNumber, v.To("people", a.PhoneNumber))
		}
		where := text("everywhere")
		switch {
		case !a.LeadID.IsZero() && !a.WorkflowID.IsZero():
			where = link("the lead in "+v.workflowName(a.WorkflowID), v.To("leads", a.LeadID.String()))
		case !a.WorkflowID.IsZero():
			where = link(v.workflowName(a.WorkflowID), v.To("workflows", a.WorkflowID.String()))
		}
		t.add(when(v.at(a.At), a.At), text(actionWords(a.Action)), text(a.Actor), person, where, text(a.Reason), number(a.Seq))
	}
	v.pages(t, next)
	return v.sort(t)
}

// actionWords writes an action for people: "lead.removal_requested" as "lead: removal
// requested".
func actionWords(action string) string {
	return strings.ReplaceAll(strings.Replace(action, ".", ": ", 1), "_", " ")
}
