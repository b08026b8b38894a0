package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page, its style and its script
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leadflow-go/leadflow/engine/signin"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS string

//go:embed docs.js
var docsJS string

const (
	docsPath    = basePath + "/docs"
	docsPattern = "GET " + docsPath

	docsScriptPattern  = "GET " + docsPath + ".js"
	docsSignInPattern  = "POST " + docsPath + "/sign-in"
	docsSignOutPattern = "POST " + docsPath + "/sign-out"
)

// docsRoutes serve the OpenAPI document as a page for people, with a form for each route.
// The page has nothing from elsewhere. It opens without a token, because it says nothing of
// anybody; people sign in on it to try routes.
func (h *Handler) docsRoutes() error {
	pages, err := h.docsPages()
	if err != nil {
		return fmt.Errorf("docs page: %w", err)
	}
	hash := sha256.Sum256([]byte(docsCSS))
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(hash[:]))
	show := func(w http.ResponseWriter, status int, page []byte) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
		w.WriteHeader(status)
		_, _ = w.Write(page) // a client that is gone
	}
	h.mux.HandleFunc(docsPattern, func(w http.ResponseWriter, r *http.Request) {
		role, _ := h.access.roleOf(r)
		show(w, http.StatusOK, pages[docsState{role: role}])
	})
	h.mux.HandleFunc(docsScriptPattern, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = io.WriteString(w, docsJS) // a client that is gone
	})
	if !h.access.needed() {
		return nil
	}
	h.mux.HandleFunc(docsSignInPattern, func(w http.ResponseWriter, r *http.Request) {
		if h.access.origins.Check(r) != nil {
			show(w, http.StatusForbidden, pages[docsState{wrong: true}])
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, h.config.MaxBody)
		_, err := h.access.sessions.SignIn(w, r, r.PostFormValue("token"), "")
		var many *signin.TooManyError
		switch {
		case errors.As(err, &many):
			w.Header().Set("Retry-After", strconv.Itoa(int(many.RetryAfter/time.Second)))
			show(w, http.StatusTooManyRequests, pages[docsState{many: true}])
		case err != nil:
			show(w, http.StatusUnauthorized, pages[docsState{wrong: true}])
		default:
			backToDocs(w)
		}
	})
	h.mux.HandleFunc(docsSignOutPattern, func(w http.ResponseWriter, r *http.Request) {
		if h.access.origins.Check(r) == nil {
			h.access.sessions.SignOut(w, r)
		}
		backToDocs(w)
	})
	return nil
}

// backToDocs leads from a form of the page to the page, wherever the handler is mounted.
func backToDocs(w http.ResponseWriter) {
	w.Header().Set("Location", "../docs")
	w.WriteHeader(http.StatusSeeOther)
}

// docsState is what differs from one view of the page to another.
type docsState struct {
	role        signin.Role
	wrong, many bool // what became of signing in
}

// docsPages returns the page for every state.
func (h *Handler) docsPages() (map[docsState][]byte, error) {
	t, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, err
	}
	states := []docsState{{role: signin.Operator}}
	if h.access.needed() {
		states = append(states, docsState{}, docsState{role: signin.Reader}, docsState{wrong: true}, docsState{many: true})
	}
	page, pages := h.docsPage(), map[docsState][]byte{}
	for _, state := range states {
		page.Script, page.OpenAPI, page.Forms = "docs.js", "openapi.json", "docs"
		if state.wrong || state.many { // the page answers its form, one level down
			page.Script, page.OpenAPI, page.Forms = "../docs.js", "../openapi.json", "../docs"
		}
		page.SignedIn = state.role != signin.Nobody
		page.Role, page.Wrong, page.Many = state.role.String(), state.wrong, state.many
		var text bytes.Buffer
		if err := t.Execute(&text, page); err != nil {
			return nil, err
		}
		pages[state] = text.Bytes()
	}
	return pages, nil
}

// What the page shows.
type (
	docsPage struct {
		Title, Description, Base string
		Style                    template.CSS
		Token                    bool
		SignedIn, Wrong, Many    bool
		Role                     string
		// Addresses, from the page's own.
		Script, OpenAPI, Forms string
		Sections               []docsSection
		Schemas                []docsSchema
	}
	docsSection struct {
		Name, Description string
		Operations        []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary, Description string
		Open                                   bool
		Example                                string // of a JSON body
		File                                   string // the content type of a body that is a file; "" for none
		Params                                 []docsField
		Bodies                                 []docsMedia
		Answers                                []docsAnswer
	}
	docsMedia struct {
		ContentType, Description string
		Type                     docsType
	}
	docsAnswer struct {
		Status, Description string
		Good                bool
		Media               []docsMedia
	}
	docsField struct {
		Name, In, Description string
		Required              bool
		Type                  docsType
	}
	docsSchema struct {
		Name, Description string
		Fields            []docsField
		Values            []any // of an enumeration
	}
	// docsType is a type in words, with the schema that it names.
	docsType struct{ Before, Link, After string }
)

func (h *Handler) docsPage() docsPage {
	doc := h.api.OpenAPI()
	page := docsPage{
		Title: doc.Info.Title, Description: doc.Info.Description, Base: basePath,
		Style: template.CSS(docsCSS), Token: h.config.Token != "",
	}
	for _, tag := range doc.Tags {
		section := docsSection{Name: tag.Name, Description: tag.Description}
		for _, o := range h.operations {
			if slices.Contains(o.Tags, tag.Name) {
				section.Operations = append(section.Operations, h.docsOperationOf(o))
			}
		}
		page.Sections = append(page.Sections, section)
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		page.Schemas = append(page.Schemas, docsSchema{name, schemas[name].Description, docsFields(schemas[name]), schemas[name].Enum})
	}
	return page
}

func (h *Handler) docsOperationOf(o *huma.Operation) docsOperation {
	out := docsOperation{
		ID: o.OperationID, Method: o.Method, Path: o.Path, Summary: o.Summary, Description: o.Description,
		Open: len(o.Security) == 1 && len(o.Security[0]) == 0,
	}
	for _, p := range o.Parameters {
		out.Params = append(out.Params, docsField{p.Name, p.In, p.Description, p.Required, docsTypeOf(p.Schema)})
	}
	if o.RequestBody != nil {
		out.Bodies = docsMediaOf(o.RequestBody.Content)
		if json := o.RequestBody.Content[jsonType]; json != nil {
			out.Example = h.docsExample(json.Schema)
		}
		if o.RequestBody.Content["text/csv"] != nil {
			out.File = "text/csv"
		}
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		out.Answers = append(out.Answers, docsAnswer{status, r.Description, status < "3", docsMediaOf(r.Content)})
	}
	return out
}

// docsExample returns a JSON body with the fields that are required, to begin with.
func (h *Handler) docsExample(s *huma.Schema) string {
	text, err := json.MarshalIndent(h.docsValue(s, 0), "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

func (h *Handler) docsValue(s *huma.Schema, depth int) any {
	const deepest = 4
	switch {
	case s == nil || depth > deepest:
		return nil
	case s.Ref != "":
		return h.docsValue(h.api.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref), depth+1)
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		out := map[string]any{}
		for _, name := range s.Required {
			out[name] = h.docsValue(s.Properties[name], depth+1)
		}
		return out
	case huma.TypeArray:
		return []any{}
	case huma.TypeBoolean:
		return false
	case huma.TypeInteger, huma.TypeNumber:
		return 0
	case huma.TypeString:
		return ""
	}
	return nil
}

func docsMediaOf(content map[string]*huma.MediaType) []docsMedia {
	var out []docsMedia
	for _, contentType := range slices.Sorted(maps.Keys(content)) {
		s := content[contentType].Schema
		m := docsMedia{ContentType: contentType, Type: docsTypeOf(s)}
		if s != nil {
			m.Description = s.Description
		}
		out = append(out, m)
	}
	return out
}

func docsFields(s *huma.Schema) []docsField {
	var out []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		out = append(out, docsField{
			Name: name, Description: p.Description, Required: slices.Contains(s.Required, name), Type: docsTypeOf(p),
		})
	}
	return out
}

// docsTypeOf says in words what a schema allows.
func docsTypeOf(s *huma.Schema) docsType {
	switch {
	case s == nil:
		return docsType{Before: "any"}
	case s.Ref != "":
		return docsType{Link: s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]}
	case s.Type == "array":
		t := docsTypeOf(s.Items)
		t.Before = "list of " + t.Before
		return t
	case len(s.Enum) > 0:
		names := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			names[i] = fmt.Sprint(v)
		}
		return docsType{Before: strings.Join(names, " | ")}
	case s.Type == "":
		return docsType{Before: "any"}
	}
	words := s.Type
	switch {
	case s.Format == "date-time":
		words = "time"
	case s.Minimum != nil && s.Maximum != nil:
		words += fmt.Sprintf(" %.0f..%.0f", *s.Minimum, *s.Maximum)
	}
	if s.Default != nil {
		words += fmt.Sprintf(", default %v", s.Default)
	}
	if s.Nullable {
		words += " or null"
	}
	return docsType{Before: words}
}
