package console

import (
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// suppressionTable lists suppressions.
func (v *visit) suppressionTable(caption, empty, json string, list []lead.Suppression) *table {
	t := v.newTable(caption, empty, json, "Person", "Scope", "Reason", "By", "Since", "Until", "Details")
	for _, s := range list {
		details := cell{Text: "Details", To: v.To("suppressions", s.ID.String()), Hidden: "of the suppression of " + s.PhoneNumber + s.ExternalID}
		t.add(v.suppressed(s), text(v.scope(s)), text(s.Reason), text(s.Actor), when(v.at(s.CreatedAt), s.CreatedAt), v.until(s), details)
	}
	return v.sort(t)
}

// suppressed names whom a suppression is about.
func (v *visit) suppressed(s lead.Suppression) cell {
	if s.PhoneNumber == "" {
		return cell{Text: s.ExternalID, Note: "external id"}
	}
	c := link(s.PhoneNumber, v.To("people", s.PhoneNumber))
	if s.ExternalID != "" {
		c.Note = "or external id " + s.ExternalID
	}
	return c
}

// scope says where a suppression holds.
func (v *visit) scope(s lead.Suppression) string {
	var parts []string
	if s.Channel != "" {
		parts = append(parts, strings.ReplaceAll(s.Channel, "_", " ")+" steps")
	}
	if !s.WorkflowID.IsZero() {
		parts = append(parts, "in "+v.workflowName(s.WorkflowID))
	}
	if len(parts) == 0 {
		return "everywhere"
	}
	return strings.Join(parts, " ")
}

// until says when a suppression ends, or ended.
func (v *visit) until(s lead.Suppression) cell {
	switch {
	case !s.LiftedAt.IsZero():
		c := when(v.at(s.LiftedAt), s.LiftedAt)
		if c.Note = "lifted"; s.LiftedBy != "" {
			c.Note += " by " + s.LiftedBy
		}
		if s.LiftReason != "" {
			c.Note += ": " + s.LiftReason
		}
		return c
	case s.ExpiresAt.IsZero():
		return text("lifted")
	}
	return when(v.at(s.ExpiresAt), s.ExpiresAt)
}

// suppressionsView lists suppressions, and has a form for a new one.
type suppressionsView struct {
	Phone, External       string
	Workflows, Elsewhere  []option // of the filter, and of the form
	Channels, NewChannels []option
	Which                 []option
	List                  *table
	Done                  string
}

func (h *Handler) suppressions(v *visit) error {
	q := v.r.URL.Query()
	page := suppressionsView{
		Phone: q.Get("phone_number"), External: q.Get("external_id"), Channels: channelOptions(q.Get("channel")), NewChannels: channelOptions(""),
		Which: []option{{"true", "that hold now", q.Get("active") == "true"}, {"false", "lifted or expired", q.Get("active") == "false"}},
		Done:  map[string]string{"added": "The suppression is on record.", "lifted": "The suppression is lifted."}[q.Get("did")],
	}
	filter := engine.SuppressionFilter{
		PhoneNumber: page.Phone, ExternalID: page.External, Channel: workflow.NodeType(q.Get("channel")),
		Active: q.Get("active") == "true", Inactive: q.Get("active") == "false", Limit: pageRows + 1,
	}
	var err error
	if id := q.Get("workflow_id"); id != "" {
		if filter.WorkflowID, err = lead.ParseWorkflowID(id); err != nil {
			return err
		}
	}
	if after := q.Get("after"); after != "" {
		if filter.After, err = lead.ParseSuppressionID(after); err != nil {
			return err
		}
	}
	if page.Workflows, err = v.workflowOptions(q.Get("workflow_id")); err != nil {
		return err
	}
	if page.Elsewhere, err = v.workflowOptions(""); err != nil {
		return err
	}
	list, err := h.eng.Suppressions(v.ctx(), filter)
	if err != nil {
		return err
	}
	next := ""
	if len(list) > pageRows {
		list = list[:pageRows]
		next = list[len(list)-1].ID.String()
	}
	api := v.query("phone_number", "external_id", "workflow_id", "channel", "active")
	page.List = v.suppressionTable("Suppressions", "No suppression matches. Nobody who matches is kept from being contacted.", v.ToAPI(api, "suppressions"), list)
	v.pages(page.List, next)
	return v.renderLive("suppressions", "Suppressions", page, liveSeldom)
}

// addSuppression records a suppression with a scope.
func (h *Handler) addSuppression(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	s := engine.Suppress{
		PhoneNumber: v.value("phone_number"), ExternalID: v.value("external_id"), Linked: v.value("linked") != "",
		Channel: workflow.NodeType(v.value("channel")), Reason: v.value("reason"), Actor: v.actor(),
	}
	var err error
	if s.ExpiresAt, err = v.localTime("expires_at"); err != nil {
		return err
	}
	if id := v.value("workflow_id"); id != "" {
		if s.WorkflowID, err = lead.ParseWorkflowID(id); err != nil {
			return err
		}
	}
	if _, err := h.eng.Suppress(v.ctx(), s); err != nil {
		return err
	}
	return v.redirect(v.To("suppressions") + "?did=added")
}

// suppressionView is one suppression, with the form that lifts it.
type suppressionView struct {
	lead.Suppression
	Who                      string
	Where                    string
	Created, Expires, Lifted moment
	Active                   bool
	ToPerson, JSON           string
}

func (h *Handler) suppression(v *visit) error {
	id, err := lead.ParseSuppressionID(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	s, err := h.eng.Suppression(v.ctx(), id)
	if err != nil {
		return err
	}
	page := suppressionView{
		Suppression: s, Who: s.PhoneNumber, Where: v.scope(s), Created: v.at(s.CreatedAt), Expires: v.at(s.ExpiresAt), Lifted: v.at(s.LiftedAt),
		Active: s.Active(v.now), JSON: v.ToAPI(nil, "suppressions", id.String()),
	}
	if s.PhoneNumber == "" {
		page.Who = s.ExternalID
	} else {
		page.ToPerson = v.To("people", s.PhoneNumber)
	}
	return v.renderLive("suppression", "Suppression of "+page.Who, page, liveSeldom)
}

func (h *Handler) liftSuppression(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	id, err := lead.ParseSuppressionID(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if _, err := h.eng.Lift(v.ctx(), id, engine.Reason(v.value("reason")), engine.Actor(v.actor())); err != nil {
		return err
	}
	return v.redirect(v.To("suppressions", id.String()))
}
