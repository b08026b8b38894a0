package httpapi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

type auditInput struct {
	PhoneNumber string      `query:"phone_number" doc:"only those about this number"`
	WorkflowID  string      `query:"workflow_id" doc:"only those about this workflow, which may be deleted"`
	LeadID      string      `query:"lead_id" doc:"only those about this lead"`
	Actor       string      `query:"actor" doc:"only those that exactly this one asked for"`
	From        momentParam `query:"from" doc:"only those then or later"`
	To          momentParam `query:"to" doc:"only those before"`
	Limit       limitParam  `query:"limit" empty:"default"`
	Cursor      cursorParam `query:"cursor" empty:"default"`
}

type auditBody struct {
	Seq         int64           `json:"seq" doc:"counts the entries, from 1"`
	At          time.Time       `json:"at"`
	Actor       *string         `json:"actor"`
	Action      string          `json:"action"`
	Reason      *string         `json:"reason"`
	PhoneNumber *string         `json:"phone_number"`
	ExternalID  *string         `json:"external_id"`
	WorkflowID  *string         `json:"workflow_id"`
	LeadID      *string         `json:"lead_id"`
	Detail      json.RawMessage `json:"detail" doc:"null, or an object: the fields that an update names, the workflow that was copied, the new limits"`
	Hash        string          `json:"hash" doc:"SHA-256 over the hash of the entry before and this entry"`
}

func (h *Handler) auditRoute() {
	register(h, operation{
		method: "GET", path: "/audit", id: "list-audit", tag: tagService, within: "query",
		summary: "List who asked for what, when and why", description: "In the order in which it happened.",
	}, h.audit)
}

func (h *Handler) audit(ctx context.Context, in *auditInput) (*output[page[auditBody]], error) {
	var q queryReader
	limit := q.limit(in.Limit)
	filter := engine.AuditFilter{PhoneNumber: phoneText(in.PhoneNumber), Actor: in.Actor, Limit: limit + 1}
	filter.WorkflowID = parse(&q, "workflow_id", in.WorkflowID, "a workflow's id", lead.ParseWorkflowID)
	filter.LeadID = parse(&q, "lead_id", in.LeadID, "a lead's id", lead.ParseID)
	filter.From, filter.To = q.period(in.From, in.To)
	filter.After = q.numberCursor("audit", in.Cursor)
	if q.faults != nil {
		_, err := h.eng.Audit(ctx, engine.AuditFilter{PhoneNumber: filter.PhoneNumber, Actor: in.Actor, Limit: 1})
		return nil, q.with(err)
	}
	found, err := h.eng.Audit(ctx, filter)
	if err != nil {
		return nil, err
	}
	return reply(pageOf(found, limit, viewAudit, func(a engine.AuditEntry) *string { return newCursor("audit", strconv.FormatInt(a.Seq, 10)) })), nil
}

func viewAudit(a engine.AuditEntry) auditBody {
	out := auditBody{
		Seq: a.Seq, At: a.At.UTC(), Actor: optional(a.Actor), Action: a.Action, Reason: optional(a.Reason),
		PhoneNumber: optional(a.PhoneNumber), ExternalID: optional(a.ExternalID), Detail: a.Detail, Hash: hex.EncodeToString(a.Hash[:]),
	}
	if !a.WorkflowID.IsZero() {
		out.WorkflowID = optional(a.WorkflowID.String())
	}
	if !a.LeadID.IsZero() {
		out.LeadID = optional(a.LeadID.String())
	}
	return out
}
