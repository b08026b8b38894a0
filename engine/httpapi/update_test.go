package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// eventually waits until cond holds.
func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it has not come to that within a minute")
		}
	}
}

func TestALeadIsFoundByItsIDAlone(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	for _, w := range []string{s.active(onlyWait), s.active(onlyWait)} {
		path := s.enroll(w, "+14155550001")
		alone := s.get("/v1" + path[strings.LastIndex(path, "/leads/"):]).expect(200)
		if full := s.get(path).expect(200); string(alone.body) != string(full.body) {
			t.Errorf("by its id alone\n\t%s, else\n\t%s", alone, full)
		}
	}
}

func TestLeadsAreListedByExternalID(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	s.upload(w+"/leads", "phone_number,external_id\n+14155550001,crm-1\n+14155550002,crm-12\n+14155550003,crm-1\n+14155550004,\n").expect(200)
	for query, want := range map[string]string{
		"external_id=crm-1": "+14155550001 +14155550003", "external_id=crm-1&phone_number=%2B14155550003": "+14155550003",
		"external_id=crm": "", "external_id=CRM-1": "",
	} {
		page := s.get(w + "/leads?" + query).expect(200).object()
		if got := strings.Join(ids(page, "phone_number"), " "); got != want || page["meta"].(map[string]any)["total"] != float64(len(strings.Fields(want))) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got, _ := walk(s, w+"/leads?limit=1&external_id=crm-1", "phone_number"); len(got) != 2 {
		t.Errorf("by cursor: %v", got)
	}
}

func TestCallsAreListedByCallID(t *testing.T) {
	s := newServer(t, httpapi.Config{}, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		return engine.InFlight("call-" + a.Contact.PhoneNumber[8:]), nil
	})
	w := s.active(callWaitText)
	for _, phone := range []string{"+14155550001", "+14155550002"} {
		s.enroll(w, phone)
	}
	eventually(t, func() bool { return len(ids(s.get("/v1/calls?call_id=call-0001").object(), "step_id")) == 1 })
	eventually(t, func() bool { return len(ids(s.get("/v1/calls?call_id=call-0002").object(), "step_id")) == 1 })
	for query, want := range map[string]string{"call-0001": "+14155550001", "call-000": "", "call-0003": ""} {
		if got := strings.Join(ids(s.get("/v1/calls?call_id="+query).expect(200).object(), "phone_number"), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestALeadIsUpdated(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	l := w + "/leads/" + s.post(w+"/leads", `{"phone_number":"+14155550001","external_id":"crm-1","time_zone":"Europe/Berlin",
		"metadata":{"id":9007199254740993,"a":{"b":1,"c":2},"list":[1,2]}}`).expect(201).object()["id"].(string)
	before := s.get(l).object()
	check := func(a answer, metadata string, external, zone any) {
		t.Helper()
		got := a.expect(200).object()
		if string(s.get(l).body) != string(a.body) {
			t.Errorf("answered %s, then %s", a, s.get(l))
		}
		if got["external_id"] != external || got["time_zone"] != zone || got["phone_number"] != "+14155550001" ||
			got["status"] != "enrolled" || got["next_action_at"] != before["next_action_at"] {
			t.Errorf("got %s", a)
		}
		id, err := lead.ParseID(l[strings.LastIndexByte(l, '/')+1:])
		if err != nil {
			t.Fatal(err)
		}
		found, err := s.store.Lead(context.Background(), id.Seq())
		if err != nil || string(found.Contact.Metadata) != metadata {
			t.Errorf("kept is %s, %v, want %s", found.Contact.Metadata, err, metadata)
		}
	}
	check(s.patch(l, `{}`), `{"a":{"b":1,"c":2},"id":9007199254740993,"list":[1,2]}`, "crm-1", "Europe/Berlin")
	check(s.patch(l, `{"metadata":{"a":{"b":null,"d":12345678901234567890},"list":[3]},"time_zone":"Asia/Tokyo"}`),
		`{"a":{"c":2,"d":12345678901234567890},"id":9007199254740993,"list":[3]}`, "crm-1", "Asia/Tokyo")
	check(s.send(request{method: "PATCH", path: l, kind: "application/merge-patch+json",
		body: strings.NewReader(`{"metadata":{"a":null,"list":null,"id":null},"time_zone":null,"external_id":"crm-2"}`)}), ``, "crm-2", nil)
	check(s.patch(l, `{"external_id":null}`), ``, nil, nil)
	check(s.patch(l, `{"metadata":{}}`), ``, nil, nil)

	big := strings.Repeat("x", engine.MaxData*2/3)
	s.patch(l, `{"metadata":{"a":"`+big+`"}}`).expect(200)
	if got := s.patch(l, `{"metadata":{"b":"`+big+`"}}`).expect(422).locations(); len(got) != 1 || got[0] != "body.metadata" {
		t.Errorf("metadata that is too much: %v", got)
	}
}

func TestACallbackReportsAFailedAttempt(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	w := s.active(callWaitText) // two attempts, half an hour apart
	entry := func(l string) map[string]any {
		return s.get(l + "/history").expect(200).object()["history"].([]any)[0].(map[string]any)
	}
	say := func(l, body, status string, attempts int) map[string]any {
		t.Helper()
		path := "/v1/steps/" + entry(l)["step_id"].(string) + "/complete"
		s.post(path, body).expect(200)
		var e map[string]any
		eventually(t, func() bool { // the handler may not have returned yet
			e = entry(l)
			return e["status"] == status
		})
		if got := len(e["attempts"].([]any)); got != attempts {
			t.Errorf("%s: %d attempts, want %d", body, got, attempts)
		}
		return e
	}
	first := s.enroll(w, "+14155550001")
	<-steps
	e := say(first, `{"error":"busy","call_id":"call-1","attempt":1,"final":false}`, "retrying", 2)
	if a := e["attempts"].([]any)[0].(map[string]any); a["error"] != "busy" || a["status"] != "failed" || a["call_id"] != "call-1" {
		t.Errorf("the attempt is %v", a)
	}
	say(first, `{"outcome":"completed"}`, "completed", 1) // the call was made after all

	second := s.enroll(w, "+14155550002")
	<-steps
	e = say(second, `{"error":"later","retry_after":"3h"}`, "retrying", 2)
	due := e["attempts"].([]any)[1].(map[string]any)["due_at"].(string)
	at, err := time.Parse(time.RFC3339, due)
	begun, beganErr := time.Parse(time.RFC3339, e["attempts"].([]any)[0].(map[string]any)["started_at"].(string))
	if err != nil || beganErr != nil || at.Sub(begun) < 3*time.Hour {
		t.Errorf("begun at %s, due again at %s, want three hours", begun, at)
	}

	third := s.enroll(w, "+14155550003")
	<-steps
	e = say(third, `{"error":"no such number","final":true}`, "failed", 1)
	if e["outcome"] != "failed" || e["error"] != "no such number" {
		t.Errorf("the step is %v", e)
	}
}

func TestANodeNamesItsHandler(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.draft(`{"name":"Text","entry":"a","nodes":[{"id":"a","type":"message","handler":"sms"},{"id":"b","type":"message"}],
		"edges":[{"from":"a","to":"b","label":"success"}]}`)
	nodes := s.get(w + "/nodes").expect(200).object()["data"].([]any)
	if a, b := nodes[0].(map[string]any), nodes[1].(map[string]any); a["handler"] != "sms" || b["handler"] != nil {
		t.Errorf("handlers are %v and %v", a["handler"], b["handler"])
	}
	if _, there := nodes[1].(map[string]any)["handler"]; !there {
		t.Error("the field is not always there")
	}
}
