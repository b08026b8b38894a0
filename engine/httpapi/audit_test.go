package httpapi_test

import (
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
)

func TestTheAuditTrailHasWhoAskedOverHTTP(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	const by = "?actor=kim&reason=tidy+up"
	w := "/v1/workflows/" + s.post("/v1/workflows"+by, onlyWait).expect(201).object()["id"].(string)
	s.patch(w+by, `{"name":"other"}`).expect(200)
	for _, turn := range []string{"activate", "pause", "resume"} {
		s.post(w+"/"+turn+by, ``).expect(200)
	}
	s.patch(s.enroll(w, "+14155550001")+by, `{"metadata":{"name":"Ann"}}`).expect(200)
	s.send(request{method: "PUT", path: "/v1/limits" + by, kind: "application/json", body: strings.NewReader(`{"limits":[]}`)}).expect(200)
	s.post(w+"/duplicate"+by, ``).expect(201)
	s.post(w+"/cancel"+by, ``).expect(200)
	s.delete(w + by).expect(200)
	var got []string
	for _, row := range s.get("/v1/audit?actor=kim").expect(200).object()["data"].([]any) {
		a := row.(map[string]any)
		expectFields(t, a, "seq,at,actor,action,reason,phone_number,external_id,workflow_id,lead_id,detail,hash")
		if a["reason"] != "tidy up" {
			t.Errorf("%v", a)
		}
		text := a["action"].(string)
		if d, ok := a["detail"].(map[string]any); ok && d["fields"] != nil {
			text += " " + d["fields"].([]any)[0].(string)
		}
		got = append(got, text)
	}
	const want = "workflow.created, workflow.updated name, workflow.activated, workflow.paused, workflow.resumed, lead.updated metadata, " +
		"limits.changed, workflow.created, workflow.cancelled, workflow.deleted"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("on record are %s\nwant %s", text, want)
	}
	long := strings.Repeat("x", 1025)
	if got := s.post("/v1/workflows?reason="+long+"&actor="+long, onlyWait).expect(422).locations(); strings.Join(got, ",") != "query.actor,query.reason" {
		t.Errorf("faulty are %q", got)
	}
}
