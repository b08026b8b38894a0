package httpapi_test

import (
	"slices"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
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
