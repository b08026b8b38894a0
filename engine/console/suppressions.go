package console

import (
	"strings"

	"github.com/leadflow-go/leadflow/lead"
)

// suppressionTable lists suppressions.
func (v *visit) suppressionTable(caption, empty, json string, list []lead.Suppression) *table {
	t := v.newTable(caption, empty, json, "Person", "Scope", "Reason", "By", "Since", "Until")
	for _, s := range list {
		t.add(v.suppressed(s), text(v.scope(s)), text(s.Reason), text(s.Actor), when(v.at(s.CreatedAt), s.CreatedAt), v.until(s))
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
