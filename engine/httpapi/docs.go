package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS string

const docsPattern = "GET " + basePath + "/docs"

// docsRoute serves the OpenAPI document as a page for people. The page is one
// piece of HTML with its style in it: no script, and nothing from elsewhere. A browser
// cannot be told to send a token, so the page opens without one.
func (h *Handler) docsRoute() error {
	page, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return fmt.Errorf("docs page: %w", err)
	}
	var text bytes.Buffer
	if err := page.Execute(&text, h.docsPage()); err != nil {
		return fmt.Errorf("docs page: %w", err)
	}
	hash := sha256.Sum256([]byte(docsCSS))
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(hash[:]))
	h.mux.HandleFunc(docsPattern, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(text.Bytes()) // a client that is gone
	})
	return nil
}

// What the page shows.
type (
	docsPage struct {
		Title, Description, Base string
		Style                    template.CSS
		Token                    bool
		Sections                 []docsSection
		Schemas                  []docsSchema
	}
	docsSection struct {
		Name, Description string
		Operations        []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary, Description string
		Open                                   bool
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
				section.Operations = append(section.Operations, docsOperationOf(o))
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

func docsOperationOf(o *huma.Operation) docsOperation {
	out := docsOperation{
		ID: o.OperationID, Method: o.Method, Path: o.Path, Summary: o.Summary, Description: o.Description,
		Open: len(o.Security) == 1 && len(o.Security[0]) == 0,
	}
	for _, p := range o.Parameters {
		out.Params = append(out.Params, docsField{p.Name, p.In, p.Description, p.Required, docsTypeOf(p.Schema)})
	}
	if o.RequestBody != nil {
		out.Bodies = docsMediaOf(o.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		out.Answers = append(out.Answers, docsAnswer{status, r.Description, status < "3", docsMediaOf(r.Content)})
	}
	return out
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
