package httpapi_test

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheDocumentIsOpenAPI31AndHasEveryRoute(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token, CallbackKey: []byte("0123456789abcdef")}, nil)
	text := s.get("/v1/openapi.json").expect(200).body
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if errs != nil {
		t.Fatal(errs)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
	var parsed struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(text, &parsed); err != nil || !strings.HasPrefix(parsed.OpenAPI, "3.1") {
		t.Fatalf("OpenAPI %q, %v", parsed.OpenAPI, err)
	}
	for _, route := range []string{
		"post /workflows", "get /workflows", "get /workflows/{id}", "patch /workflows/{id}", "get /workflows/{id}/nodes",
		"get /workflows/{id}/edges", "get /workflows/{id}/diagram", "post /workflows/{id}/activate", "post /workflows/{id}/pause",
		"post /workflows/{id}/resume", "post /workflows/{id}/cancel", "post /workflows/{id}/duplicate", "delete /workflows/{id}",
		"post /workflows/{id}/leads", "get /workflows/{id}/leads", "get /workflows/{id}/leads/{lead}",
		"get /workflows/{id}/leads/{lead}/history", "delete /workflows/{id}/leads/{lead}", "post /steps/{step}/complete",
		"patch /workflows/{id}/leads/{lead}", "get /leads/{lead}", "get /calls", "get /healthz",
	} {
		method, path, _ := strings.Cut(route, " ")
		if parsed.Paths[path][method] == nil {
			t.Errorf("the document lacks %s", route)
		}
	}
	if parsed.Components.Schemas["ErrorModel"] != nil {
		t.Error("the document has huma's error model")
	}
}

// Generators take an object of named strings for a form, and nothing else: ogen cannot
// generate additionalProperties, nor a form without a named field.
func TestTheFormOfACallbackIsDocumentedAsGeneratorsTakeIt(t *testing.T) {
	type schema struct {
		Type, Ref            string
		Properties           map[string]schema
		AdditionalProperties json.RawMessage
		PatternProperties    json.RawMessage
		Required             []string
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Schema schema }
			}
		}
	}
	s := newServer(t, httpapi.Config{}, nil)
	if err := json.Unmarshal(s.get("/v1/openapi.json").expect(200).body, &doc); err != nil {
		t.Fatal(err)
	}
	form := doc.Paths["/steps/{step}/complete"]["post"].RequestBody.Content["application/x-www-form-urlencoded"].Schema
	if form.Type != "object" || len(form.Properties) == 0 || form.PatternProperties != nil {
		t.Errorf("the form is no object of named fields: %+v", form)
	}
	if form.AdditionalProperties != nil || form.Required != nil { // false would exclude the fields of other providers
		t.Errorf("the form has additionalProperties %s, and requires %v", form.AdditionalProperties, form.Required)
	}
	for name, field := range form.Properties {
		if field.Type != "string" {
			t.Errorf("%s is %+v, no string", name, field)
		}
	}
}

func TestTheDocsPageIsWholeAndOurs(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	a := s.get("/v1/docs").expect(200)
	page := string(a.body)
	script := `<script src="docs.js" defer></script>`
	if strings.Count(page, script) != 1 {
		t.Errorf("the page lacks %s", script)
	}
	page = strings.Replace(page, script, "", 1)
	if got := s.get("/v1/docs.js").expect(200); got.header.Get("Content-Type") != "text/javascript; charset=utf-8" || len(got.body) == 0 {
		t.Errorf("the script is %d bytes of %s", len(got.body), got.header.Get("Content-Type"))
	}
	if bad := regexp.MustCompile(`(?i)(https?:)?//[a-z]|<script|<link|<img|@import|url\(|javascript:| on\w+=`).FindString(page); bad != "" {
		t.Errorf("the page has %q", bad)
	}
	if csp := a.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "style-src 'sha256-") {
		t.Errorf("the policy is %q", csp)
	}
	for _, want := range []string{
		"/workflows/{id}/leads/{lead}", "Remove a lead from its workflow", "skip_retries", "pending_removal", "NewDefinition",
		"text/csv", "max_attempts", "application/problem&#43;json", "next_cursor", "409",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	// Every link leads to a place on the page.
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `id="`+link[1]+`"`) {
			t.Errorf("#%s leads nowhere", link[1])
		}
	}
}

func TestTheDocsPageSaysHowToGiveTheToken(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token}, nil)
	s.token = "" // as a browser
	page := string(s.get("/v1/docs").expect(200).body)
	if want := "Authorization: Bearer $LEADFLOW_TOKEN"; !strings.Contains(page, want) {
		t.Errorf("the page lacks %q", want)
	}
	if !strings.Contains(page, `action="docs/sign-in"`) || strings.Contains(page, "Sign out") {
		t.Error("nobody can sign in on the page")
	}
	if strings.Contains(page, token) || strings.Contains(page, `href="openapi.json"`) {
		t.Error("the page has the token, or a link that a browser cannot follow")
	}
}

func TestEveryRouteHasAForm(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token}, nil)
	for role, cookie := range map[string]map[string]string{"operator": s.cookie(token), "": nil} {
		a := s.send(request{method: "GET", path: "/v1/docs", header: cookie}).expect(200)
		page := string(a.body)
		if role != "" && !strings.Contains(page, "You are signed in ("+role+")") {
			t.Errorf("the page of the %s does not say so", role)
		}
		var doc struct {
			Paths map[string]map[string]struct{ Parameters []struct{ Name, In string } }
		}
		s.get("/v1/openapi.json").into(&doc)
		for path, methods := range doc.Paths {
			for method, o := range methods {
				_, form, found := strings.Cut(page, `<form data-method="`+strings.ToUpper(method)+`" data-path="`+path+`">`)
				form, _, _ = strings.Cut(form, "</form>")
				for _, p := range o.Parameters {
					found = found && strings.Contains(form, `name="`+p.Name+`" data-in="`+p.In+`"`)
				}
				if !found {
					t.Errorf("%s %s has no form, or one without all parameters: %s", method, path, form)
				}
			}
		}
	}
}
