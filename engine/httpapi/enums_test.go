package httpapi_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
)

// schema is as much of a schema as the tests look at.
type schema struct {
	Ref                  string `json:"$ref"`
	Enum                 []string
	Constants            []string `json:"x-enum-varnames"`
	AdditionalProperties any
	Properties           map[string]schema
	Items                *schema
}

// document reads the OpenAPI document.
func document(t testing.TB, s *server) (schemas map[string]schema, paths map[string]map[string]docOperation) {
	t.Helper()
	var doc struct {
		Paths      map[string]map[string]docOperation
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(s.get("/v1/openapi.json").expect(200).body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Components.Schemas, doc.Paths
}

type docOperation struct {
	Parameters []struct {
		Name, In string
		Schema   schema
	}
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	}
	Responses map[string]any
}

// A generator in Go makes constants of values and types of schemas, all in one package.
// workflow_status and the status of a Workflow had the same name once.
func TestEveryValueOfAnEnumerationHasANameOfItsOwn(t *testing.T) {
	schemas, _ := document(t, newServer(t, httpapi.Config{}, nil))
	taken := map[string]string{}
	for name := range schemas {
		taken[name] = "schema " + name
	}
	enums := 0
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := schemas[name]
		if s.Enum == nil {
			for field, p := range s.Properties {
				if len(p.Enum) > 1 {
					t.Errorf("%s.%s is an enumeration without a schema of its own", name, field)
				}
			}
			continue
		}
		enums++
		if len(s.Constants) != len(s.Enum) {
			t.Errorf("%s has the values %q and the names %q", name, s.Enum, s.Constants)
		}
		for _, c := range s.Constants {
			if taken[c] != "" {
				t.Errorf("%s of %s is also a name of %s", c, name, taken[c])
			}
			taken[c] = name
		}
	}
	if want := 10; enums != want {
		t.Errorf("%d enumerations, want %d", enums, want)
	}
}

func TestAnswersAreOpenAndBodiesAreNot(t *testing.T) {
	schemas, paths := document(t, newServer(t, httpapi.Config{}, nil))
	closed := []string{"NewDefinition", "NewNode", "NewEdge", "NewRetry", "NewCallingHours", "NewWindow", "NewLimit", "NewExit", "NewGuard", "NewLead", "LeadPatch", "WorkflowPatch", "Outcome",
		"NewHold", "Release", "NewSuppression", "NewSignal", "NewLimits"}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if got := schemas[name].AdditionalProperties == false; got != slices.Contains(closed, name) {
			t.Errorf("%s refuses further fields: %t", name, got)
		}
	}
	for path, item := range paths {
		for method, o := range item {
			if body, ok := o.RequestBody.Content["application/json"]; ok && !slices.Contains(closed, strings.TrimPrefix(body.Schema.Ref, "#/components/schemas/")) {
				t.Errorf("%s %s takes %s", method, path, body.Schema.Ref)
			}
		}
	}
}
