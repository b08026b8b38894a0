package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// operation is a route: what its document says that its types don't.
type operation struct {
	method, path string
	id           string // names it in the document
	tag          string
	summary      string
	description  string
	status       int // of success; 0 for 200
	// also are further answers that are no refusals.
	also map[int]answer
	// refused says when the route is refused, by status.
	refused map[int]string
	// within is where the engine's faulty input lies in the request.
	within string
	// body are the request's bodies by content type.
	body     map[string]bodyDoc
	bodyless bool // the body may be left out
	open     bool // needs no token
}

// answer documents an answer.
type answer struct {
	description string
	contentType string // empty for JSON
	body        reflect.Type
}

// bodyDoc documents a request's body.
type bodyDoc struct {
	schema func(huma.Registry) *huma.Schema
}

// describe begins the document.
func (h *Handler) describe() {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	registry.RegisterTypeAlias(reflect.TypeFor[workflow.Duration](), reflect.TypeFor[durationText]())
	registry.RegisterTypeAlias(reflect.TypeFor[workflow.NodeType](), reflect.TypeFor[nodeType]())
	registry.RegisterTypeAlias(reflect.TypeFor[workflow.Unknown](), reflect.TypeFor[unknownPolicy]())
	registry.RegisterTypeAlias(reflect.TypeFor[workflow.Day](), reflect.TypeFor[weekday]())
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "leadflow",
			Version: "1.0.0",
			Description: "Moves leads through multi-step outreach workflows, and takes one out safely while everything else runs on. " +
				"Refusals are RFC 9457 problems; times are RFC 3339 in UTC; durations are Go durations such as 48h.",
		},
		Components: &huma.Components{Schemas: registry},
		Tags: []*huma.Tag{
			{Name: tagWorkflows, Description: "Graphs that leads move through, and whether they do."},
			{Name: tagLeads, Description: "One enrollment each of one contact in one workflow."},
			{Name: tagSteps, Description: "Outcomes of what is in flight, and the call log."},
			{Name: tagPeople, Description: "A person in every workflow, and whom not to contact."},
			{Name: tagService, Description: "Whether it works, and how to use it."},
		},
	}
	if h.config.Token != "" {
		doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
			"token": {Type: "http", Scheme: "bearer", Description: "The token that the server was set up with."},
			"signature": {
				Type: "apiKey", In: "query", Name: "sig",
				Description: "In the URL of a step's callback: completes that step and nothing else.",
			},
		}
	}
	// Input is read by our own decoders, because huma's stop short of naming every
	// fault and its refusals are of another form; so huma never refuses anything.
	h.api = humago.NewWithPrefix(h.mux, basePath, huma.Config{
		OpenAPI:       doc,
		Formats:       huma.DefaultFormats,
		DefaultFormat: "application/json",
	})
}

const (
	tagWorkflows = "Workflows"
	tagLeads     = "Leads"
	tagSteps     = "Steps and calls"
	tagPeople    = "People"
	tagService   = "Service"
)

// schemaName names a schema after its type, without the Body that our types
// have behind their names, and apart from types of package workflow.
func schemaName(t reflect.Type, hint string) string {
	name := strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "Body")
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[workflow.Definition]().PkgPath() && t.Kind() == reflect.Struct {
		return "New" + name
	}
	return name
}

// register makes a route of handle and adds it to the document.
func register[I, O any](h *Handler, op operation, handle func(context.Context, *I) (*O, error)) {
	o := huma.Operation{
		Method: op.method, Path: op.path, OperationID: op.id, Tags: []string{op.tag},
		Summary: op.summary, Description: op.description, DefaultStatus: op.status,
		SkipValidateParams: true, SkipValidateBody: true,
		Responses: map[string]*huma.Response{},
	}
	registry := h.api.OpenAPI().Components.Schemas
	for status, a := range op.also {
		o.Responses[strconv.Itoa(status)] = a.document(registry)
	}
	h.security(&o, op)
	for status, when := range h.refusals(op) {
		o.Responses[strconv.Itoa(status)] = answer{
			description: when, contentType: problemType, body: reflect.TypeFor[problem](),
		}.document(registry)
	}
	known := parametersOf(reflect.TypeFor[I]())
	huma.Register(h.api, o, func(ctx context.Context, in *I) (*O, error) {
		x := exchangeOf(ctx)
		faults := known.faults(x.request)
		ctx, long := askedBy(ctx, in)
		faults = append(faults, long...)
		if op.body == nil {
			more, err := h.refuseBody(x, op.method)
			if err != nil {
				return nil, err
			}
			faults = append(faults, more...)
		}
		if faults != nil {
			return nil, faulty(faults)
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, h.refusal(ctx, err, op.within)
		}
		return out, nil
	})
	added := operationAt(h.api.OpenAPI().Paths[op.path], op.method)
	if op.body != nil { // only now: huma would read a body that it knew of
		content := map[string]*huma.MediaType{}
		for contentType, b := range op.body {
			content[contentType] = &huma.MediaType{Schema: b.schema(registry)}
		}
		added.RequestBody = &huma.RequestBody{Required: !op.bodyless, Content: content}
	}
	h.operations = append(h.operations, added)
}

func operationAt(item *huma.PathItem, method string) *huma.Operation {
	switch method {
	case http.MethodPost:
		return item.Post
	case http.MethodPatch:
		return item.Patch
	case http.MethodPut:
		return item.Put
	case http.MethodDelete:
		return item.Delete
	}
	return item.Get
}

func (h *Handler) security(o *huma.Operation, op operation) {
	switch {
	case h.config.Token == "":
	case op.open:
		o.Security = []map[string][]string{{}}
	case op.method+" "+basePath+op.path == completePattern && len(h.config.CallbackKey) > 0:
		o.Security = []map[string][]string{{"token": {}}, {"signature": {}}}
	default:
		o.Security = []map[string][]string{{"token": {}}}
	}
}

// refusals adds to a route's own refusals those that any route can meet.
func (h *Handler) refusals(op operation) map[int]string {
	all := map[int]string{
		http.StatusUnprocessableEntity: "A parameter is faulty.",
		http.StatusInternalServerError: "Something went wrong inside.",
		http.StatusServiceUnavailable:  "The engine is not running, or another program has the database locked; then Retry-After says when to try again.",
	}
	if h.config.Token != "" && !op.open {
		all[http.StatusUnauthorized] = "The token is missing or wrong."
		if op.method != http.MethodGet {
			all[http.StatusForbidden] = "The token may only read, or another site has made the request."
		}
	}
	if op.body != nil || op.method == http.MethodPost {
		all[http.StatusBadRequest] = "The body ended early."
		all[http.StatusRequestEntityTooLarge] = "The body is too large."
	}
	if op.body != nil {
		all[http.StatusUnsupportedMediaType] = "The body is of another type."
	}
	for status, when := range op.refused {
		all[status] = when
	}
	return all
}

func (a answer) document(registry huma.Registry) *huma.Response {
	contentType := a.contentType
	if contentType == "" {
		contentType = "application/json"
	}
	schema := registry.Schema(a.body, true, "")
	return &huma.Response{
		Description: a.description,
		Content:     map[string]*huma.MediaType{contentType: {Schema: schema}},
	}
}

// jsonBody documents a JSON body of type T.
func jsonBody[T any]() map[string]bodyDoc {
	return map[string]bodyDoc{jsonType: {func(r huma.Registry) *huma.Schema {
		return r.Schema(reflect.TypeFor[T](), true, "")
	}}}
}

// output is an answer of one JSON body.
type output[T any] struct{ Body T }

func reply[T any](body T) *output[T] { return &output[T]{body} }

// created is the answer of a route that made something.
type created[T any] struct {
	Location string `header:"Location" doc:"the new resource, relative to the request"`
	Body     T
}
