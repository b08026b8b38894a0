package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestADraftsGraphCanBeReplaced(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	draft := "/v1/workflows/" + s.post("/v1/workflows", onlyWait).expect(201).object()["id"].(string)

	// A part of it, with what is there already.
	s.patch(draft, `{"nodes":[{"id":"wait","type":"time","config":{"duration":"1h"}},{"id":"done","type":"dropped"}],"description":"new"}`).expect(200)
	nodes := s.get(draft + "/nodes").expect(200).object()["data"].([]any)
	if node := nodes[1].(map[string]any); len(nodes) != 2 || node["type"] != "dropped" {
		t.Errorf("nodes %v", nodes)
	}
	// The whole.
	w := s.patch(draft, `{"name":"One","entry":"a","nodes":[{"id":"a","type":"converted"}],"edges":[]}`).expect(200).object()
	if w["name"] != "One" || w["description"] != "new" || w["node_count"] != 1.0 || w["edge_count"] != 0.0 {
		t.Errorf("%v", w)
	}

	got := s.patch(draft, `{"name":7,"entry":"b","nodes":[{"id":"a","type":"flying"}],"status":null}`).expect(409).object()
	if got["code"] != "status_sent" {
		t.Errorf("%v", got)
	}
	faults := s.patch(draft, `{"name":7,"entry":"b","nodes":[{"id":"a","type":"flying"}]}`).expect(422).locations()
	for _, want := range []string{"body.name", "body.entry", "body.nodes[0].type"} {
		if !slices.Contains(faults, want) {
			t.Errorf("no fault at %s among %q", want, faults)
		}
	}
	graph := `{"entry":"a","nodes":[{"id":"a","type":"dropped"}],"edges":[]}`
	s.patch(noWorkflow, graph).expect(404)
	s.patch(draft, onlyWait).expect(200)

	s.enroll(draft, "+14155550101")
	if got := s.patch(draft, graph).expect(409).object(); got["code"] != "workflow_status" || got["state"] != "draft, 1 leads enrolled" {
		t.Errorf("with a lead: %v", got)
	}
	s.patch(draft, `{"name":"Two"}`).expect(200)
	s.post(draft+"/activate", "").expect(200)
	if got := s.patch(draft, graph).expect(409).object(); got["state"] != "active" {
		t.Errorf("once it is active: %v", got)
	}
}

// What a workflow says of hours, limits and signals is changed as its nodes are, and
// stays when something else is.
func TestADraftsRulesAreKeptAndReplaced(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	draft := "/v1/workflows/" + s.post("/v1/workflows", `{"name":"Rules","entry":"call","time_zone":"Asia/Tokyo","priority":3,
		"calling_hours":{"preset":"us","spread":"10m"},"limits":[{"in_flight":50}],"exits":[{"signal":"paid","outcome":"converted"}],
		"guard":{"outcome":"failed","share":0.2,"of":100},
		"nodes":[{"id":"call","type":"voice_call","rate_key":"line-1","limits":[{"starts":2,"per":"1m"}],
			"calling_hours":{"windows":[{"days":["mon"],"from":"09:00","to":"17:00"}],"holidays":["2026-12-25"]}}]}`).expect(201).object()["id"].(string)
	node := s.get(draft + "/nodes").expect(200).object()["data"].([]any)[0]
	if diff := cmp.Diff(map[string]any{
		"id": "call", "type": "voice_call", "label": nil, "config": map[string]any{}, "handler": nil, "retry": nil, "timeout": nil, "unknown": nil, "rate_key": "line-1",
		"limits": []any{map[string]any{"in_flight": nil, "starts": 2.0, "per_contact": nil, "per": "1m"}},
		"calling_hours": map[string]any{"preset": nil, "spread": nil, "holidays": []any{"2026-12-25"},
			"windows": []any{map[string]any{"days": []any{"mon"}, "from": "09:00", "to": "17:00"}}},
	}, node); diff != "" {
		t.Errorf("the node (-want +got):\n%s", diff)
	}

	definition := func() *workflow.Definition {
		id, err := lead.ParseWorkflowID(draft[len("/v1/workflows/"):])
		if err != nil {
			t.Fatal(err)
		}
		def, err := s.eng.Definition(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return def
	}
	want := definition()
	if want.TimeZone != "Asia/Tokyo" || want.Priority != 3 || want.CallingHours == nil || want.Guard == nil || len(want.Limits) != 1 || len(want.Exits) != 1 {
		t.Errorf("created: %+v", want)
	}
	s.patch(draft, `{"edges":[],"description":"new"}`).expect(200)
	want.Description = "new"
	if diff := cmp.Diff(want, definition()); diff != "" {
		t.Errorf("another field was changed (-want +got):\n%s", diff)
	}
	s.patch(draft, `{"time_zone":null,"priority":5,"calling_hours":null,"limits":[],"exits":[],"guard":null}`).expect(200)
	want.TimeZone, want.Priority, want.CallingHours, want.Limits, want.Exits, want.Guard = "", 5, nil, nil, nil, nil
	if diff := cmp.Diff(want, definition(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the rules were replaced (-want +got):\n%s", diff)
	}
	faults := s.patch(draft, `{"time_zone":"Mars","calling_hours":{"windows":[]},"priority":0}`).expect(422).locations()
	for _, want := range []string{"body.time_zone", "body.calling_hours.windows", "body.priority"} {
		if !slices.Contains(faults, want) {
			t.Errorf("no fault at %s among %q", want, faults)
		}
	}

	copied := s.post(draft+"/duplicate", "").expect(201).object()["id"].(string)
	draft = "/v1/workflows/" + copied
	want.Name = "Rules (Copy)"
	if diff := cmp.Diff(want, definition(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
}

func TestAWorkflowComesWithWhatCannotBeMeant(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	const mon, tue = `"calling_hours":{"windows":[{"days":["mon"],"from":"09:00","to":"17:00"}]}`, `"calling_hours":{"windows":[{"days":["tue"],"from":"09:00","to":"17:00"}]}`
	made := s.post("/v1/workflows", `{"name":"Odd","entry":"a",`+mon+`,"nodes":[{"id":"a","type":"message",`+tue+`},{"id":"b","type":"dropped"}],
		"edges":[{"from":"a","label":"default","to":"b"}]}`).expect(201).object()
	for what, o := range map[string]map[string]any{
		"made": made, "activated": s.post("/v1/workflows/"+made["id"].(string)+"/activate", ``).expect(200).object(),
	} {
		if got := fmt.Sprint(o["warnings"]); !strings.HasPrefix(got, "[map[location:nodes[0].calling_hours message:have no time in common with those of the workflow") {
			t.Errorf("%s: %s", what, got)
		}
	}
}
