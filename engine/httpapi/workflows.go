package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

type workflowInput struct {
	ID workflowParam `path:"id"`
}

type listWorkflowsInput struct {
	Status workflowStatus `query:"status" doc:"only those with this status"`
	Limit  limitParam     `query:"limit" empty:"default"`
	Cursor cursorParam    `query:"cursor" empty:"default"`
}

// page is a part of a list.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor" doc:"for the next page; null on the last"`
}

// list is a list that is not paged.
type list[T any] struct {
	Data []T `json:"data"`
}

type messageBody struct {
	Message string `json:"message"`
}

// workflowPatchBody documents the body of a PATCH.
type workflowPatchBody struct {
	Name        *string         `json:"name,omitempty" doc:"at most 256 bytes"`
	Description *string         `json:"description,omitempty" doc:"at most 16 KiB"`
	Entry       *string         `json:"entry,omitempty" doc:"of a draft without leads, as all that follows"`
	Nodes       []workflow.Node `json:"nodes,omitempty" doc:"all its nodes"`
	Edges       []workflow.Edge `json:"edges,omitempty" doc:"all its edges"`

	TimeZone     *string                `json:"time_zone,omitempty"`
	CallingHours *workflow.CallingHours `json:"calling_hours,omitempty" doc:"null for none"`
	Limits       []workflow.Limit       `json:"limits,omitempty" doc:"all its limits"`
	Exits        []workflow.Exit        `json:"exits,omitempty" doc:"all its exits"`
	Priority     *int                   `json:"priority,omitempty"`
	Guard        *workflow.Guard        `json:"guard,omitempty" doc:"null for none"`
}

var noWorkflow = map[int]string{http.StatusNotFound: "There is no such workflow."}

func (h *Handler) workflowRoutes() {
	register(h, operation{
		method: "POST", path: "/workflows", id: "create-workflow", tag: tagWorkflows, status: http.StatusCreated,
		summary: "Create a workflow", description: "As a draft: leads may be enrolled, and wait until it is activated.",
		body: jsonBody[workflow.Definition](), within: "body",
		refused: map[int]string{http.StatusUnprocessableEntity: "The graph is invalid; every fault is named."},
	}, h.createWorkflow)
	register(h, operation{
		method: "GET", path: "/workflows", id: "list-workflows", tag: tagWorkflows,
		summary: "List workflows", description: "In the order in which they were created.",
	}, h.listWorkflows)
	register(h, operation{
		method: "GET", path: "/workflows/{id}", id: "get-workflow", tag: tagWorkflows,
		summary: "Get a workflow", refused: noWorkflow,
	}, h.getWorkflow)
	register(h, operation{
		method: "PATCH", path: "/workflows/{id}", id: "update-workflow", tag: tagWorkflows,
		summary:     "Change a workflow",
		description: "Its name and description at any time; everything else while it is a draft without leads. What is not sent stays.",
		body:        jsonBody[workflowPatchBody](), within: "body",
		refused: map[int]string{
			http.StatusNotFound: "There is no such workflow.",
			http.StatusConflict: "status was sent, which is changed by activate, pause, resume and cancel; " +
				"or a graph, and the workflow is not a draft, or has leads.",
			http.StatusUnprocessableEntity: "The body is faulty, or the graph with what was sent; every fault is named.",
		},
	}, h.updateWorkflow)
	register(h, operation{
		method: "GET", path: "/workflows/{id}/nodes", id: "list-nodes", tag: tagWorkflows,
		summary: "List the nodes of a workflow", refused: noWorkflow,
	}, h.listNodes)
	register(h, operation{
		method: "GET", path: "/workflows/{id}/edges", id: "list-edges", tag: tagWorkflows,
		summary: "List the edges of a workflow", refused: noWorkflow,
	}, h.listEdges)
	register(h, operation{
		method: "GET", path: "/workflows/{id}/diagram", id: "get-diagram", tag: tagWorkflows,
		summary: "Draw a workflow", description: "As the text of a Mermaid flowchart.", refused: noWorkflow,
		also: map[int]answer{http.StatusOK: {"OK", "text/plain", reflect.TypeFor[string]()}},
	}, h.diagram)
}

func (h *Handler) createWorkflow(ctx context.Context, _ *newWorkflowInput) (*created[workflowBody], error) {
	data, err := h.readJSON(exchangeOf(ctx), workflow.MaxSize)
	if err != nil {
		return nil, err
	}
	def, err := workflow.Parse(data)
	if err != nil {
		return nil, err
	}
	w, err := h.eng.CreateWorkflow(ctx, def)
	if err != nil {
		return nil, err
	}
	return &created[workflowBody]{"workflows/" + w.ID.String(), viewWorkflow(w)}, nil
}

func (h *Handler) listWorkflows(ctx context.Context, in *listWorkflowsInput) (*output[page[workflowBody]], error) {
	var q queryReader
	limit := q.limit(in.Limit)
	filter := engine.WorkflowFilter{Limit: limit + 1}
	filter.Status = parseStatus(&q, string(in.Status), parseWorkflowStatus)
	if place := q.cursor("workflows", in.Cursor); place != "" {
		var err error
		if filter.After, err = lead.ParseWorkflowID(place); err != nil {
			q.badCursor()
		}
	}
	if err := q.problem(); err != nil {
		return nil, err
	}
	found, err := h.eng.Workflows(ctx, filter)
	if errors.Is(err, lead.ErrNotFound) {
		q.badCursor()
		return nil, q.problem()
	}
	if err != nil {
		return nil, err
	}
	out := page[workflowBody]{Data: make([]workflowBody, 0, len(found))}
	for i, w := range found {
		if i == limit {
			out.NextCursor = newCursor("workflows", found[i-1].ID.String())
			break
		}
		out.Data = append(out.Data, viewWorkflow(w))
	}
	return reply(out), nil
}

func parseWorkflowStatus(text string) (status lead.WorkflowStatus, err error) {
	err = status.UnmarshalText([]byte(text))
	return status, err
}

func (h *Handler) getWorkflow(ctx context.Context, in *workflowInput) (*output[workflowBody], error) {
	id, err := lead.ParseWorkflowID(string(in.ID))
	if err != nil {
		return nil, err
	}
	w, err := h.eng.Workflow(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(viewWorkflow(w)), nil
}

func (h *Handler) updateWorkflow(ctx context.Context, in *changeWorkflowInput) (*output[workflowBody], error) {
	id, def, err := h.definition(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	data, err := h.readJSON(exchangeOf(ctx), workflow.MaxSize)
	if err != nil {
		return nil, err
	}
	o := readObject(data, append([]string{"name", "description", "status"}, graphFields...)...)
	if o.sent("status") {
		p := newProblem(http.StatusConflict, "a workflow's status is changed by POST to its activate, pause, resume or cancel")
		p.Code, p.WorkflowID = codeStatusSent, id.String()
		return nil, p
	}
	update := engine.WorkflowUpdate{
		Name: o.text("name", workflow.MaxName), Description: o.text("description", workflow.MaxDescription),
	}
	if slices.ContainsFunc(graphFields, o.sent) {
		update.Graph = o.graph(def)
	}
	if err := o.problem(); err != nil {
		return nil, err
	}
	w, err := h.eng.UpdateWorkflow(ctx, id, update)
	if err != nil {
		return nil, err
	}
	return reply(viewWorkflow(w)), nil
}

// ruleFields are the fields of a workflow that may be left out; null takes one away.
var ruleFields = []string{"time_zone", "calling_hours", "limits", "exits", "priority", "guard"}

// graphFields are the fields of a workflow that can only be changed while it is a
// draft without leads.
var graphFields = append([]string{"entry", "nodes", "edges"}, ruleFields...)

// graph reads the fields of a graph, and takes from def what was not sent.
func (o *object) graph(def *workflow.Definition) *workflow.Definition {
	text, err := json.Marshal(def)
	fields := map[string]json.RawMessage{}
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	for _, name := range append([]string{"name", "description"}, graphFields...) {
		if value, ok := o.value(name); ok || o.null(name) && slices.Contains(ruleFields, name) {
			fields[name] = value
		}
	}
	if err == nil {
		text, err = json.Marshal(fields)
	}
	if err != nil {
		o.fault("", "cannot be read")
		return nil
	}
	next, err := workflow.Parse(text)
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		o.add(located(invalid.Faults, "body"))
	}
	return next
}

// definition returns a workflow's id and graph, or the refusal when there is no
// such workflow. It does no I/O.
func (h *Handler) definition(ctx context.Context, p workflowParam) (lead.WorkflowID, *workflow.Definition, error) {
	id, err := lead.ParseWorkflowID(string(p))
	if err != nil {
		return id, nil, err
	}
	def, err := h.eng.Definition(ctx, id)
	return id, def, err
}

func (h *Handler) listNodes(ctx context.Context, in *workflowInput) (*output[list[nodeBody]], error) {
	_, def, err := h.definition(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := list[nodeBody]{make([]nodeBody, len(def.Nodes))}
	for i, n := range def.Nodes {
		out.Data[i] = viewNode(n)
	}
	return reply(out), nil
}

func (h *Handler) listEdges(ctx context.Context, in *workflowInput) (*output[list[edgeBody]], error) {
	_, def, err := h.definition(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := list[edgeBody]{make([]edgeBody, len(def.Edges))}
	for i, e := range def.Edges {
		out.Data[i] = edgeBody{e.From, e.To, optional(e.Label)}
	}
	return reply(out), nil
}

// textOutput is an answer that is no JSON.
type textOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

func (h *Handler) diagram(ctx context.Context, in *workflowInput) (*textOutput, error) {
	_, def, err := h.definition(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &textOutput{"text/plain; charset=utf-8", []byte(def.Mermaid())}, nil
}
