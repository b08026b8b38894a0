package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// documentRoutes serves the document that all other routes have made.
func (h *Handler) documentRoutes() error {
	if err := prune(h.api.OpenAPI()); err != nil {
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
	return h.docsRoute()
}

var schemaRef = regexp.MustCompile(`"#/components/schemas/([^"]+)"`)

// prune drops the schemas that nothing refers to: huma registers that of its
// own error model, which we never send.
func prune(doc *huma.OpenAPI) error {
	schemas := doc.Components.Schemas.Map()
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
	if err := follow(doc.Paths); err != nil {
		return err
	}
	maps.DeleteFunc(schemas, func(name string, _ *huma.Schema) bool { return !used[name] })
	return nil
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
