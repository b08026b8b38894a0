package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

type leadInput struct {
	ID   workflowParam `path:"id"`
	Lead leadParam     `path:"lead"`
}

func (in *leadInput) ids() (workflow lead.WorkflowID, id lead.ID, err error) {
	if workflow, err = lead.ParseWorkflowID(string(in.ID)); err != nil {
		return workflow, id, err
	}
	id, err = lead.ParseID(string(in.Lead))
	return workflow, id, err
}

// enrollInput are the parameters of enrolling; those in the query are for files.
type enrollInput struct {
	ID     workflowParam `path:"id"`
	DryRun flagParam     `query:"dry_run" doc:"of a file: say what would be enrolled and what rejected, and write nothing"`
	Region string        `query:"region" doc:"of a file: read phone numbers without a leading + as those of this country, such as US"`
}

type listLeadsInput struct {
	ID          workflowParam `path:"id"`
	Status      leadStatus    `query:"status" doc:"only those with this status"`
	NodeID      string        `query:"node_id" doc:"only those at this node"`
	PhoneNumber string        `query:"phone_number" doc:"only those of this number"`
	ExternalID  string        `query:"external_id" doc:"only those with exactly this external id"`
	Page        pageParam     `query:"page" empty:"default"`
	Limit       limitParam    `query:"limit" empty:"default"`
	Cursor      cursorParam   `query:"cursor" empty:"default"`
}

// leadsBody is a page of leads.
type leadsBody struct {
	Data       []leadBody `json:"data"`
	Meta       metaBody   `json:"meta"`
	NextCursor *string    `json:"next_cursor" doc:"for the next page; null on the last"`
}

type metaBody struct {
	Page       int   `json:"page"`
	Limit      int   `json:"limit"`
	Total      int64 `json:"total" doc:"how many leads match"`
	TotalPages int64 `json:"totalPages"`
}

type historyBody struct {
	ID         string             `json:"id"`
	WorkflowID string             `json:"workflow_id"`
	History    []historyEntryBody `json:"history"`
}

// newLeadBody documents the body that enrolls one lead.
type newLeadBody struct {
	PhoneNumber string         `json:"phone_number" doc:"E.164"`
	ExternalID  *string        `json:"external_id,omitempty" doc:"your own name for the person; at most 256 bytes"`
	TimeZone    *string        `json:"time_zone,omitempty" doc:"an IANA name such as Europe/Berlin"`
	Metadata    map[string]any `json:"metadata,omitempty" doc:"what expressions and handlers may read"`
}

var noLead = map[int]string{
	http.StatusNotFound: "There is no such workflow, no such lead, or the lead is in another workflow.",
}

func (h *Handler) leadRoutes() {
	body := jsonBody[newLeadBody]()
	body[csvType] = bodyDoc{func(huma.Registry) *huma.Schema {
		return &huma.Schema{Type: "string", Description: "A header line with a column phone_number; the other columns become metadata."}
	}}
	body[multipartType] = bodyDoc{func(huma.Registry) *huma.Schema {
		return &huma.Schema{
			Type: "object", Required: []string{"file"},
			Properties: map[string]*huma.Schema{"file": {Type: "string", Description: "the CSV file"}},
		}
	}}
	register(h, operation{
		method: "POST", path: "/workflows/{id}/leads", id: "enroll-leads", tag: tagLeads, status: http.StatusCreated,
		summary: "Enroll one lead, or a file of them",
		description: "JSON enrolls one lead. CSV, as the body or as the part file of a form, enrolls its good rows and names the bad ones; " +
			"when it ends too early the rows before are enrolled, and the problem says how many.",
		body: body, within: "body",
		also: map[int]answer{
			http.StatusCreated: {"The lead.", "", reflect.TypeFor[leadBody]()},
			http.StatusOK:      {"What became of the file.", "", reflect.TypeFor[uploadBody]()},
		},
		refused: map[int]string{
			http.StatusNotFound:            "There is no such workflow.",
			http.StatusConflict:            "The contact is suppressed or live in this workflow already, or the workflow is final.",
			http.StatusUnprocessableEntity: "The contact is faulty, or the file has no column phone_number.",
		},
	}, h.enroll)
	register(h, operation{
		method: "GET", path: "/workflows/{id}/leads", id: "list-leads", tag: tagLeads, within: "query",
		summary: "List the leads of a workflow", refused: noWorkflow,
		description: "In the order in which they were enrolled, by page or by cursor. A cursor misses and repeats none while leads are enrolled.",
	}, h.listLeads)
	register(h, operation{
		method: "GET", path: "/workflows/{id}/leads/{lead}", id: "get-lead", tag: tagLeads,
		summary: "Get a lead", refused: noLead,
	}, h.getLead)
	register(h, operation{
		method: "GET", path: "/leads/{lead}", id: "get-lead-by-id", tag: tagLeads,
		summary: "Get a lead by its id alone, in whatever workflow it is", refused: map[int]string{http.StatusNotFound: "There is no such lead."},
	}, h.getLeadByID)
	h.updateRoute()
	register(h, operation{
		method: "GET", path: "/workflows/{id}/leads/{lead}/history", id: "get-history", tag: tagLeads,
		summary: "Get a lead's history", description: "Every step in the order in which the lead came to it.", refused: noLead,
	}, h.history)
	h.removalRoute()
	h.holdRoutes()
	h.signalRoute()
	h.explanationRoute()
}

// enrolled is the answer to either kind of enrolling.
type enrolled struct {
	Status   int
	Location string `header:"Location" hidden:"true"`
	Body     any
}

func (h *Handler) enroll(ctx context.Context, in *enrollInput) (*enrolled, error) {
	id, _, err := h.definition(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	kind, params, err := contentType(x.request, jsonType, csvType, multipartType)
	if err != nil {
		return nil, err
	}
	if kind != jsonType {
		var q queryReader
		options := q.rowOptions(in.DryRun, in.Region)
		if err := q.problem(); err != nil {
			return nil, err
		}
		report, err := h.upload(ctx, x, id, kind, params, options)
		return &enrolled{Status: http.StatusOK, Body: report}, err
	}
	if in.DryRun != "" || in.Region != "" {
		return nil, faulty([]fault{{"query", "dry_run and region are for files of leads"}})
	}
	c, err := h.readContact(x)
	if err != nil {
		return nil, err
	}
	l, err := h.eng.Enroll(ctx, id, c)
	if err != nil {
		return nil, err
	}
	return &enrolled{http.StatusCreated, "leads/" + l.ID.String(), viewLead(l)}, nil
}

// rowOptions reads the parameters that say how the rows of a file are read, and whether
// anything is written.
func (q *queryReader) rowOptions(dryRun flagParam, region string) (options []engine.EnrollOption) {
	if q.flag("dry_run", dryRun) {
		options = append(options, engine.DryRun())
	}
	if region != "" {
		var invalid *lead.InvalidError
		if errors.As(lead.CheckRegion(region), &invalid) {
			for _, f := range invalid.Faults {
				q.fault("region", "%s", f.Message)
			}
		}
		options = append(options, engine.InRegion(region))
	}
	return options
}

// readContact reads a contact, and names what is wrong with the body and with
// the contact in it together.
func (h *Handler) readContact(x *exchange) (c lead.Contact, err error) {
	data, err := h.readJSON(x, h.config.MaxBody)
	if err != nil {
		return c, err
	}
	o := readObject(data, "phone_number", "external_id", "time_zone", "metadata")
	for name, to := range map[string]*string{
		"phone_number": &c.PhoneNumber, "external_id": &c.ExternalID, "time_zone": &c.TimeZone,
	} {
		if text := o.text(name, len(data)); text != nil {
			*to = *text
		}
	}
	c.Metadata = o.object("metadata")
	var invalid *lead.InvalidError
	if err := h.eng.CheckContact(c); !o.broken && errors.As(err, &invalid) {
		o.add(located(invalid.Faults, "body"))
	} else if err != nil && !o.broken {
		return c, err
	}
	return c, o.problem()
}

func (h *Handler) listLeads(ctx context.Context, in *listLeadsInput) (*output[leadsBody], error) {
	id, _, err := h.definition(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var q queryReader
	meta := metaBody{Page: q.page(in.Page), Limit: q.limit(in.Limit)}
	filter := engine.LeadFilter{Node: in.NodeID, PhoneNumber: phoneText(in.PhoneNumber), ExternalID: in.ExternalID, Limit: meta.Limit + 1}
	if in.Status != "" {
		filter.States = []lead.State{parseStatus(&q, string(in.Status), lead.ParseState)}
	}
	if in.Cursor != "" {
		if in.Page != "" {
			q.fault("page", "cannot be combined with cursor")
		}
		meta.Page, filter.After = q.leadCursor(in.Cursor)
	} else {
		filter.Offset = (meta.Page - 1) * meta.Limit
	}
	if q.faults != nil { // what the engine would object to is named too
		_, err := h.eng.Leads(ctx, id, engine.LeadFilter{Node: in.NodeID, PhoneNumber: phoneText(in.PhoneNumber), ExternalID: in.ExternalID, Limit: 1})
		return nil, q.with(err)
	}
	found, err := h.eng.Leads(ctx, id, filter)
	if err != nil {
		return nil, err
	}
	if meta.Total, err = h.eng.CountLeads(ctx, id, filter); err != nil {
		return nil, err
	}
	meta.TotalPages = (meta.Total + int64(meta.Limit) - 1) / int64(meta.Limit)
	out := leadsBody{Data: make([]leadBody, 0, len(found)), Meta: meta}
	for i, l := range found {
		if i == meta.Limit {
			out.NextCursor = newCursor("leads", strconv.Itoa(min(meta.Page+1, maxPage))+":"+found[i-1].ID.String())
			break
		}
		out.Data = append(out.Data, viewLead(l))
	}
	return reply(out), nil
}

// leadCursor reads a cursor, which also knows the number of its page.
func (q *queryReader) leadCursor(p cursorParam) (page int, after lead.ID) {
	place := q.cursor("leads", p)
	if place == "" {
		return 1, after
	}
	number, text, _ := strings.Cut(place, ":")
	page, err := strconv.Atoi(number)
	if err == nil {
		after, err = lead.ParseID(text)
	}
	if err != nil || page < 1 || page > maxPage {
		q.badCursor()
		return 1, lead.ID{}
	}
	return page, after
}

func (h *Handler) getLead(ctx context.Context, in *leadInput) (*output[leadBody], error) {
	workflow, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	l, err := h.eng.Lead(ctx, workflow, id)
	if err != nil {
		return nil, err
	}
	return reply(viewLead(l)), nil
}

func (h *Handler) getLeadByID(ctx context.Context, in *struct {
	Lead leadParam `path:"lead"`
}) (*output[leadBody], error) {
	id, err := lead.ParseID(string(in.Lead))
	if err != nil {
		return nil, err
	}
	l, err := h.eng.LeadByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(viewLead(l)), nil
}

func (h *Handler) history(ctx context.Context, in *leadInput) (*output[historyBody], error) {
	workflow, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	steps, err := h.eng.History(ctx, workflow, id)
	if err != nil {
		return nil, err
	}
	out := historyBody{id.String(), workflow.String(), make([]historyEntryBody, len(steps))}
	for i, s := range steps {
		out.History[i] = viewStep(s)
	}
	return reply(out), nil
}
