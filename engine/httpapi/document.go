package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// documentRoutes serves the document that all other routes have made.
func (h *Handler) documentRoutes() error {
	if err := tidy(h.api.OpenAPI()); err != nil {
		return err
	}
	text, err := json.Marshal(h.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	h.mux.HandleFunc("GET "+basePath+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		text := text
		if prefix := mountedAt(r); prefix != "" {
			doc := *h.api.OpenAPI()
			doc.Servers = []*huma.Server{{URL: prefix + basePath}}
			if at, err := json.Marshal(&doc); err == nil { // as it went well above
				text = at
			}
		}
		_, _ = w.Write(text) // a client that is gone
	})
	return h.docsRoutes()
}

var schemaRef = regexp.MustCompile(`"#/components/schemas/([^"]+)"`)

// tidy drops the schemas that nothing refers to: huma registers that of its
// own error model, which we never send. And it opens the objects of answers, as far
// as no body has them too: a later version may add fields, and the clients that are
// generated now must read its answers. A body with a field that its route does not
// know is refused. No list is null.
func tidy(doc *huma.OpenAPI) error {
	schemas := doc.Components.Schemas.Map()
	used, err := referred(doc.Paths, schemas)
	if err != nil {
		return err
	}
	var bodies []*huma.RequestBody
	for _, item := range doc.Paths {
		for _, o := range []*huma.Operation{item.Post, item.Patch, item.Put} {
			if o != nil && o.RequestBody != nil {
				bodies = append(bodies, o.RequestBody)
			}
		}
	}
	sent, err := referred(bodies, schemas)
	if err != nil {
		return err
	}
	for name, s := range schemas {
		if !used[name] {
			delete(schemas, name)
		} else if !sent[name] && s.AdditionalProperties == false {
			s.AdditionalProperties = nil
		}
		for _, p := range s.Properties {
			p.Nullable = p.Nullable && p.Type != huma.TypeArray
		}
	}
	return nil
}

// referred returns the names of the schemas to which a part of a document refers,
// by whatever way.
func referred(part any, schemas map[string]*huma.Schema) (map[string]bool, error) {
	used := map[string]bool{}
	var follow func(part any) error
	follow = func(part any) error {
		text, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("write the OpenAPI document: %w", err)
		}
		for _, ref := range schemaRef.FindAllSubmatch(text, -1) {
			if name := string(ref[1]); !used[name] {
				used[name] = true
				if err := follow(schemas[name]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return used, follow(part)
}

// mountedAt returns the prefix under which a program has mounted the handler,
// as far as the request shows it.
func mountedAt(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	prefix, ok := strings.CutSuffix(path, r.URL.EscapedPath())
	if !ok || !strings.HasPrefix(prefix, "/") || strings.HasPrefix(prefix, "//") {
		return ""
	}
	return prefix
}
