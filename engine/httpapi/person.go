package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the routes about a person in every workflow.

// contactsPath begins every path with a phone number.
const contactsPath = basePath + "/contacts/"

// phoneParam is a phone number in a path.
type phoneParam string

// Schema describes the parameter.
func (phoneParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Description: "a phone number in E.164; its + may be written %2B", Examples: []any{"+14155552671"}}
}

type contactLeadsInput struct {
	Phone  phoneParam  `path:"phone"`
	Status leadStatus  `query:"status" doc:"only those with this status"`
	Limit  limitParam  `query:"limit" empty:"default"`
	Cursor cursorParam `query:"cursor" empty:"default"`
}

type removeContactInput struct {
	Phone       phoneParam `path:"phone"`
	Reason      string     `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor       string     `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
	SkipRetries flagParam  `query:"skip_retries" doc:"let the attempts in flight finish, but make no further ones"`
}

// contactLeadBody is a lead of a person after a change that concerned the person.
type contactLeadBody struct {
	ID         string     `json:"id"`
	WorkflowID string     `json:"workflow_id"`
	Status     leadStatus `json:"status"`
}

func viewContactLeads(leads []engine.ContactLead) []contactLeadBody {
	out := make([]contactLeadBody, len(leads))
	for i, l := range leads {
		out[i] = contactLeadBody{l.ID.String(), l.WorkflowID.String(), leadStatus(l.State.String())}
	}
	return out
}

// phone reads the phone number in a path, and says what is wrong with it.
func (h *Handler) phone(p phoneParam) (number string, faults []fault) {
	number = phoneText(string(p))
	var invalid *lead.InvalidError
	if errors.As(h.eng.CheckContact(lead.Contact{PhoneNumber: number}), &invalid) {
		for _, f := range invalid.Faults {
			faults = append(faults, fault{"path.phone", f.Message})
		}
	}
	return number, faults
}

func (h *Handler) personRoutes() {
	noPhone := map[int]string{http.StatusUnprocessableEntity: "The path has no phone number, or the request is faulty."}
	register(h, operation{
		method: "GET", path: "/contacts/{phone}/leads", id: "list-contact-leads", tag: tagPeople, within: "query", refused: noPhone,
		summary: "List a person's leads in every workflow", description: "The newest first; none for an unknown number.",
	}, h.contactLeads)
	register(h, operation{
		method: "DELETE", path: "/contacts/{phone}/leads", id: "remove-contact", tag: tagPeople, within: "query", refused: noPhone,
		summary:     "Remove a person from every workflow",
		description: "In one commit, each lead as if it were removed by itself. The person can be enrolled again; a suppression prevents that.",
	}, h.removeContact)
	h.contactSignalRoute()
}

func (h *Handler) contactLeads(ctx context.Context, in *contactLeadsInput) (*output[page[leadBody]], error) {
	var q queryReader
	filter := engine.ContactFilter{}
	filter.PhoneNumber, q.faults = h.phone(in.Phone)
	limit := q.limit(in.Limit)
	filter.Limit = limit + 1
	if in.Status != "" {
		filter.States = []lead.State{parseStatus(&q, string(in.Status), lead.ParseState)}
	}
	if place := q.cursor("contact-leads", in.Cursor); place != "" {
		id, err := lead.ParseID(place)
		if err != nil {
			q.badCursor()
		}
		filter.After = id
	}
	if err := q.problem(); err != nil {
		return nil, err
	}
	found, err := h.eng.ContactLeads(ctx, filter)
	if err != nil {
		return nil, err
	}
	return reply(pageOf(found, limit, viewLead, func(l lead.Lead) *string { return newCursor("contact-leads", l.ID.String()) })), nil
}

// pageOf is a page of a list of which one more than the limit was read.
func pageOf[T, B any](found []T, limit int, view func(T) B, cursor func(T) *string) page[B] {
	out := page[B]{Data: make([]B, min(len(found), limit))}
	for i := range out.Data {
		out.Data[i] = view(found[i])
	}
	if len(found) > limit {
		out.NextCursor = cursor(found[limit-1])
	}
	return out
}

func (h *Handler) removeContact(ctx context.Context, in *removeContactInput) (*output[list[contactLeadBody]], error) {
	var q queryReader
	var phone string
	phone, q.faults = h.phone(in.Phone)
	options := []engine.RemoveOption{engine.Reason(in.Reason), engine.Actor(in.Actor)}
	if q.flag("skip_retries", in.SkipRetries) {
		options = append(options, engine.SkipRetries())
	}
	if err := q.problem(); err != nil {
		return nil, err
	}
	leads, err := h.eng.RemoveContact(ctx, phone, options...)
	if err != nil {
		return nil, err
	}
	return reply(list[contactLeadBody]{Data: viewContactLeads(leads)}), nil
}
