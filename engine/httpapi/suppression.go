package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

type suppressionParam string

// Schema describes the parameter.
func (suppressionParam) Schema(huma.Registry) *huma.Schema {
	return idSchema("sup_", "the suppression's id")
}

// newSuppressionBody documents the body that suppresses a person.
type newSuppressionBody struct {
	PhoneNumber *string `json:"phone_number,omitempty" doc:"E.164; this or external_id is required, and with both either holds"`
	ExternalID  *string `json:"external_id,omitempty" doc:"your own name for the person; at most 256 bytes"`
	Linked      *bool   `json:"linked,omitempty" doc:"also suppress the numbers and ids of leads that share one with it"`
	WorkflowID  *string `json:"workflow_id,omitempty" doc:"holds in this workflow only"`
	Channel     *string `json:"channel,omitempty" doc:"holds for steps of this node type only: voice_call, message or application"`
	Reason      *string `json:"reason,omitempty" doc:"at most 1,024 bytes"`
	Actor       *string `json:"actor,omitempty" doc:"who asks; at most 1,024 bytes"`
	ExpiresAt   *string `json:"expires_at,omitempty" format:"date-time" doc:"when it ends by itself; in the future"`
}

type suppressionBody struct {
	ID          string     `json:"id"`
	PhoneNumber *string    `json:"phone_number"`
	ExternalID  *string    `json:"external_id"`
	WorkflowID  *string    `json:"workflow_id" doc:"null: all workflows"`
	Channel     *string    `json:"channel" doc:"null: all channels"`
	Reason      *string    `json:"reason"`
	Actor       *string    `json:"actor"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	LiftedAt    *time.Time `json:"lifted_at"`
	LiftedBy    *string    `json:"lifted_by"`
	LiftReason  *string    `json:"lift_reason"`
}

// suppressedBody is the answer to a suppression.
type suppressedBody struct {
	suppressionBody
	Leads  []contactLeadBody `json:"leads" doc:"those that it removed or, with a channel, that skip its steps from now on"`
	Linked []suppressionBody `json:"linked" doc:"the suppressions of linked numbers and ids"`
}

// suppressedAlreadyBody documents an answer with 200: to a suppression that was on record
// already, or to a file, of which it has the fields.
type suppressedAlreadyBody struct {
	ID           string            `json:"id,omitempty"`
	PhoneNumber  *string           `json:"phone_number,omitempty" nullable:"true"`
	ExternalID   *string           `json:"external_id,omitempty" nullable:"true"`
	WorkflowID   *string           `json:"workflow_id,omitempty" nullable:"true"`
	Channel      *string           `json:"channel,omitempty" nullable:"true"`
	Reason       *string           `json:"reason,omitempty" nullable:"true"`
	Actor        *string           `json:"actor,omitempty" nullable:"true"`
	CreatedAt    *time.Time        `json:"created_at,omitempty"`
	ExpiresAt    *time.Time        `json:"expires_at,omitempty" nullable:"true"`
	LiftedAt     *time.Time        `json:"lifted_at,omitempty" nullable:"true"`
	LiftedBy     *string           `json:"lifted_by,omitempty" nullable:"true"`
	LiftReason   *string           `json:"lift_reason,omitempty" nullable:"true"`
	Leads        []contactLeadBody `json:"leads,omitempty"`
	Linked       []suppressionBody `json:"linked,omitempty"`
	Added        *int              `json:"added,omitempty" doc:"of a file"`
	Unchanged    *int              `json:"unchanged,omitempty" doc:"of a file: on record already"`
	Rejected     *int              `json:"rejected,omitempty" doc:"of a file"`
	LeadsRemoved *int              `json:"leads_removed,omitempty" doc:"of a file"`
	Errors       []rowErrorBody    `json:"errors,omitempty" doc:"of a file: the first 1,000 rejected rows"`
}

// suppressedFileBody says what came of a file of suppressions.
type suppressedFileBody struct {
	Added        int            `json:"added"`
	Unchanged    int            `json:"unchanged" doc:"on record already"`
	Rejected     int            `json:"rejected"`
	LeadsRemoved int            `json:"leads_removed"`
	Errors       []rowErrorBody `json:"errors" doc:"the first 1,000 rejected rows"`
}

func viewSuppression(s lead.Suppression) suppressionBody {
	out := suppressionBody{
		ID: s.ID.String(), PhoneNumber: optional(s.PhoneNumber), ExternalID: optional(s.ExternalID), Channel: optional(s.Channel),
		Reason: optional(s.Reason), Actor: optional(s.Actor), CreatedAt: s.CreatedAt.UTC(), ExpiresAt: when(s.ExpiresAt),
		LiftedAt: when(s.LiftedAt), LiftedBy: optional(s.LiftedBy), LiftReason: optional(s.LiftReason),
	}
	if !s.WorkflowID.IsZero() {
		out.WorkflowID = optional(s.WorkflowID.String())
	}
	return out
}

type listSuppressionsInput struct {
	PhoneNumber string      `query:"phone_number" doc:"only those of this number"`
	ExternalID  string      `query:"external_id" doc:"only those of exactly this id"`
	WorkflowID  string      `query:"workflow_id" doc:"only those for this workflow alone"`
	Channel     string      `query:"channel" doc:"only those for this node type alone"`
	Active      flagParam   `query:"active" doc:"true: only those that hold now; false: only those that do not any more"`
	Limit       limitParam  `query:"limit" empty:"default"`
	Cursor      cursorParam `query:"cursor" empty:"default"`
}

type suppressionInput struct {
	ID suppressionParam `path:"id"`
}

type liftInput struct {
	ID     suppressionParam `path:"id"`
	Reason string           `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor  string           `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
}

// suppressInput are parameters that are for files: they hold for all rows.
type suppressInput struct {
	WorkflowID string      `query:"workflow_id" doc:"of a file: holds in this workflow only"`
	Channel    string      `query:"channel" doc:"of a file: holds for steps of this node type only"`
	Reason     string      `query:"reason" empty:"default" doc:"of a file: why, for rows that do not say"`
	Actor      string      `query:"actor" empty:"default" doc:"of a file: who asks"`
	ExpiresAt  momentParam `query:"expires_at" doc:"of a file: when it ends by itself, for rows that do not say"`
	DryRun     flagParam   `query:"dry_run" doc:"of a file: say what would be added, removed and rejected, and write nothing"`
	Region     string      `query:"region" doc:"of a file: read phone numbers without a leading + as those of this country, such as US"`
}

type suppressOutput struct {
	Status int
	Body   any
}

func (h *Handler) suppressionRoutes() {
	body := jsonBody[newSuppressionBody]()
	body[csvType] = bodyDoc{func(huma.Registry) *huma.Schema {
		return &huma.Schema{Type: "string", Description: "A header line with a column phone_number or external_id; reason and expires_at are optional."}
	}}
	body[multipartType] = bodyDoc{func(huma.Registry) *huma.Schema {
		return &huma.Schema{
			Type: "object", Required: []string{"file"},
			Properties: map[string]*huma.Schema{"file": {Type: "string", Description: "the CSV file"}},
		}
	}}
	register(h, operation{
		method: "POST", path: "/suppressions", id: "suppress", tag: tagPeople, status: http.StatusCreated, within: "body",
		summary: "Do not contact a person, or a file of them",
		description: "Once this is answered no new attempt starts for the person within the scope, and the person cannot be enrolled there " +
			"until it is lifted or has expired. The person's leads are removed in the same commit, queued retries dropped.",
		body: body,
		also: map[int]answer{
			http.StatusCreated: {"The suppression is new.", "", reflect.TypeFor[suppressedBody]()},
			http.StatusOK:      {"It was on record already and is unchanged; or what became of the file.", "", reflect.TypeFor[suppressedAlreadyBody]()},
		},
		refused: map[int]string{
			http.StatusNotFound:            "There is no such workflow.",
			http.StatusUnprocessableEntity: "The body is faulty, or the file has no column phone_number or external_id.",
		},
	}, h.suppress)
	register(h, operation{
		method: "GET", path: "/suppressions", id: "list-suppressions", tag: tagPeople, within: "query",
		summary: "List suppressions", description: "The newest first.",
	}, h.listSuppressions)
	none := map[int]string{http.StatusNotFound: "There is no such suppression."}
	register(h, operation{
		method: "GET", path: "/suppressions/{id}", id: "get-suppression", tag: tagPeople, summary: "Get a suppression", refused: none,
	}, h.getSuppression)
	register(h, operation{
		method: "DELETE", path: "/suppressions/{id}", id: "lift-suppression", tag: tagPeople, within: "query",
		summary: "Lift a suppression", description: "It stays on record. Leads that it removed stay removed.",
		refused: map[int]string{
			http.StatusNotFound: none[http.StatusNotFound], http.StatusConflict: "It was lifted already, or has expired.",
		},
	}, h.lift)
}

func (h *Handler) suppress(ctx context.Context, in *suppressInput) (*suppressOutput, error) {
	x := exchangeOf(ctx)
	kind, params, err := contentType(x.request, jsonType, csvType, multipartType)
	if err != nil {
		return nil, err
	}
	if kind != jsonType {
		all, options, err := h.readFileScope(in)
		if err != nil {
			return nil, err
		}
		report, err := h.suppressFile(ctx, x, kind, params, all, options)
		return &suppressOutput{http.StatusOK, report}, err
	}
	if in.DryRun != "" || in.Region != "" {
		return nil, faulty(ofFilesOnly(in.DryRun, in.Region))
	}
	if *in != (suppressInput{}) {
		return nil, faulty([]fault{{"query", "workflow_id, channel, reason, actor and expires_at are for files; put them into the body"}})
	}
	s, err := h.readSuppression(x)
	if err != nil {
		return nil, err
	}
	done, err := h.eng.Suppress(ctx, s)
	if err != nil {
		return nil, err
	}
	out := suppressedBody{suppressionBody: viewSuppression(done.Suppression), Leads: viewContactLeads(done.Leads), Linked: []suppressionBody{}}
	for _, also := range done.Linked {
		out.Linked = append(out.Linked, viewSuppression(also))
	}
	status := http.StatusCreated
	if !done.New {
		status = http.StatusOK
	}
	return &suppressOutput{status, out}, nil
}

// readSuppression reads a suppression, and names what is wrong with the body and with
// what is in it together.
func (h *Handler) readSuppression(x *exchange) (s engine.Suppress, err error) {
	data, err := h.readJSON(x, h.config.MaxBody)
	if err != nil {
		return s, err
	}
	o := readObject(data, "phone_number", "external_id", "linked", "workflow_id", "channel", "reason", "actor", "expires_at")
	s.PhoneNumber, s.ExternalID = o.nonEmpty("phone_number", len(data)), o.nonEmpty("external_id", len(data))
	s.Channel = workflow.NodeType(o.nonEmpty("channel", len(data)))
	s.Linked, s.ExpiresAt = o.flag("linked"), o.moment("expires_at")
	s.Reason, s.Actor = o.reasons()
	if text := o.nonEmpty("workflow_id", len(data)); text != "" && o.faults == nil {
		if s.WorkflowID, err = lead.ParseWorkflowID(text); err != nil {
			return s, err
		}
	}
	return s, o.with(h.eng.CheckSuppress(s))
}

// ofFilesOnly names the parameters that a request has without a file.
func ofFilesOnly(dryRun flagParam, region string) []fault {
	var q queryReader
	for name, text := range map[string]string{"dry_run": string(dryRun), "region": region} {
		if text != "" {
			q.fault(name, "is for files; leave it out")
		}
	}
	return q.sorted()
}

// readFileScope reads what holds for all rows of a file.
func (h *Handler) readFileScope(in *suppressInput) (s engine.Suppress, options []engine.SuppressOption, err error) {
	var q queryReader
	options = q.rowOptions(in.DryRun, in.Region)
	s = engine.Suppress{Channel: workflow.NodeType(in.Channel), Reason: in.Reason, Actor: in.Actor, ExpiresAt: q.moment("expires_at", in.ExpiresAt)}
	s.WorkflowID = parse(&q, "workflow_id", in.WorkflowID, "a workflow's id", lead.ParseWorkflowID)
	one := s
	one.ExternalID = "x" // as each row will name somebody
	return s, options, q.with(h.eng.CheckSuppress(one))
}

// suppressFile suppresses the persons in a CSV file as it comes in.
func (h *Handler) suppressFile(ctx context.Context, x *exchange, kind string, params map[string]string, all engine.Suppress, options []engine.SuppressOption) (*suppressedFileBody, error) {
	f, err := h.receive(x, kind, params)
	if err != nil {
		return nil, err
	}
	// As for leads, a connection that breaks must not decide on the rows that came in.
	report, err := h.eng.SuppressCSV(context.WithoutCancel(ctx), f.file, all, options...)
	if err = f.cut(err); err != nil {
		p := h.uploadProblem(ctx, f, err)
		if report.Added+report.Unchanged+report.Rejected > 0 {
			p.Detail += fmt.Sprintf("; %s before that added, %d rejected", count(report.Added, "suppression"), report.Rejected)
		} else {
			p.Detail += "; nobody was suppressed"
		}
		p.Added, p.Rejected = &report.Added, &report.Rejected
		h.log.LogAttrs(ctx, slog.LevelWarn, "leadflow: upload ended early", slog.Int("added", report.Added), slog.Int("rejected", report.Rejected),
			slog.Int("status", p.Status), slog.String("request_id", x.id))
		return nil, p
	}
	out := &suppressedFileBody{report.Added, report.Unchanged, report.Rejected, report.LeadsRemoved, make([]rowErrorBody, len(report.Errors))}
	for i, e := range report.Errors {
		out.Errors[i] = rowErrorBody{e.Row, e.Line, e.Message}
	}
	return out, nil
}

func (h *Handler) listSuppressions(ctx context.Context, in *listSuppressionsInput) (*output[page[suppressionBody]], error) {
	var q queryReader
	limit := q.limit(in.Limit)
	filter := engine.SuppressionFilter{
		PhoneNumber: phoneText(in.PhoneNumber), ExternalID: in.ExternalID, Channel: workflow.NodeType(in.Channel), Limit: limit + 1,
	}
	filter.WorkflowID = parse(&q, "workflow_id", in.WorkflowID, "a workflow's id", lead.ParseWorkflowID)
	if in.Active != "" {
		filter.Active = q.flag("active", in.Active)
		filter.Inactive = !filter.Active
	}
	if place := q.cursor("suppressions", in.Cursor); place != "" {
		id, err := lead.ParseSuppressionID(place)
		if err != nil {
			q.badCursor()
		}
		filter.After = id
	}
	if q.faults != nil {
		_, err := h.eng.Suppressions(ctx, engine.SuppressionFilter{
			PhoneNumber: filter.PhoneNumber, ExternalID: in.ExternalID, Channel: filter.Channel, Limit: 1,
		})
		return nil, q.with(err)
	}
	found, err := h.eng.Suppressions(ctx, filter)
	if err != nil && !errors.Is(err, lead.ErrNotFound) { // no workflow: none are for it
		return nil, err
	}
	return reply(pageOf(found, limit, viewSuppression, func(s lead.Suppression) *string { return newCursor("suppressions", s.ID.String()) })), nil
}

func (h *Handler) getSuppression(ctx context.Context, in *suppressionInput) (*output[suppressionBody], error) {
	id, err := lead.ParseSuppressionID(string(in.ID))
	if err != nil {
		return nil, err
	}
	s, err := h.eng.Suppression(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(viewSuppression(s)), nil
}

func (h *Handler) lift(ctx context.Context, in *liftInput) (*output[suppressionBody], error) {
	id, err := lead.ParseSuppressionID(string(in.ID))
	if err != nil {
		return nil, err
	}
	s, err := h.eng.Lift(ctx, id, engine.Reason(in.Reason), engine.Actor(in.Actor))
	if err != nil {
		return nil, err
	}
	return reply(viewSuppression(s)), nil
}
