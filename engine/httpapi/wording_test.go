package httpapi_test

import (
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
)

// Messages say what happened, and what to do.
func TestMessagesReadWell(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	detail := func(a answer) string { return a.object()["detail"].(string) }
	upload := func(file string) answer {
		return s.send(request{method: "POST", path: w + "/leads", kind: "text/csv", body: strings.NewReader(file)})
	}
	if got := detail(upload("name,name\n").expect(422)); strings.Contains(got, "0 rows") {
		t.Errorf("a faulty header: %s", got)
	}
	if got := detail(s.send(request{method: "DELETE", path: "/v1/calls"}).expect(405)); got != "DELETE is not possible here; GET and HEAD are" {
		t.Errorf("405: %s", got)
	}
	if got := detail(s.send(request{method: "DELETE", path: w}).expect(409)); !strings.HasSuffix(got, "; cancel the workflow first") {
		t.Errorf("DELETE of an active workflow: %s", got)
	}
}

// Half a surrogate pair in a definition would make strict readers refuse it.
func TestADefinitionIsKeptWithoutHalfSurrogatePairs(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	graph := `"entry":"a","nodes":[{"id":"a","type":"voice_call","config":{"text":"\ud800!"}}],"edges":[]`
	made := s.post("/v1/workflows", `{"name":"x",`+graph+`}`).expect(201).object()
	w := "/v1/workflows/" + made["id"].(string)
	for range 2 {
		if got := string(s.get(w + "/nodes").expect(200).body); !strings.Contains(got, "\ufffd!") && !strings.Contains(got, `\ufffd!`) || strings.Contains(got, `\ud800`) {
			t.Errorf("nodes: %s", got)
		}
		s.send(request{method: "PATCH", path: w, kind: "application/json", body: strings.NewReader("{" + graph + "}")}).expect(200)
	}
}
