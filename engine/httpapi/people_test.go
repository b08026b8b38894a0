package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

const noSuppression = "/v1/suppressions/sup_01kaqf5y8sf3x8zq0h0m9d2c7r"

// suppress records a suppression and returns its path.
func (s *server) suppress(body string) string {
	s.t.Helper()
	return "/v1/suppressions/" + s.post("/v1/suppressions", body).expect(201).object()["id"].(string)
}

// TestRoutesAboutPeopleRefuseAsTheContractSays has every refusal of the routes about a
// person, holds, signals, explanations and limits.
func TestRoutesAboutPeopleRefuseAsTheContractSays(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	active, other := s.active(onlyWait), s.active(onlyWait)
	waiting, gone, held := s.enroll(active, "+14155550001"), s.enroll(active, "+14155550002"), s.enroll(active, "+14155550003")
	s.delete(gone).expect(200)
	s.post(held+"/hold", "").expect(200)
	leaving := s.enroll(s.active(callWaitText), "+14155550004")
	<-steps
	s.delete(leaving).expect(202)
	elsewhere := other + "/leads/" + waiting[strings.LastIndexByte(waiting, '/')+1:]
	lifted := s.suppress(`{"external_id":"crm-1"}`)
	s.delete(lifted).expect(200)

	const json, csv, form = "application/json", "text/csv", "multipart/form-data; boundary=b"
	const sups = "/v1/suppressions"
	long := strings.Repeat("x", 1025)
	cases := []struct {
		name, method, path, kind, body string
		status                         int
		code                           string
		locations                      []string
	}{
		{name: "suppress: nobody", method: "POST", path: sups, kind: json, body: `{}`, status: 422, locations: []string{"body.phone_number"}},
		{name: "suppress: null", method: "POST", path: sups, kind: json, body: `{"phone_number":null,"external_id":null}`, status: 422, locations: []string{"body.phone_number"}},
		{name: "suppress: an empty number", method: "POST", path: sups, kind: json, body: `{"phone_number":"","external_id":"a"}`, status: 422, locations: []string{"body.phone_number"}},
		{name: "suppress: a blank id", method: "POST", path: sups, kind: json, body: `{"external_id":" "}`, status: 422, locations: []string{"body.external_id"}},
		{name: "suppress: every fault at once", method: "POST", path: sups, kind: json,
			body: `{"phone_number":"555","channel":"fax","reason":7,"actor":"` + long + `","expires_at":"2001-01-01T00:00:00Z","linked":"yes","colour":1}`, status: 422,
			locations: []string{"body.phone_number", "body.channel", "body.reason", "body.actor", "body.expires_at", "body.linked", "body.colour"}},
		{name: "suppress: a channel that is no action", method: "POST", path: sups, kind: json, body: `{"external_id":"a","channel":"time"}`, status: 422, locations: []string{"body.channel"}},
		{name: "suppress: the zero time", method: "POST", path: sups, kind: json, body: `{"external_id":"a","expires_at":"0001-01-01T00:00:00Z"}`, status: 422, locations: []string{"body.expires_at"}},
		{name: "suppress: no time", method: "POST", path: sups, kind: json, body: `{"external_id":"a","expires_at":"soon"}`, status: 422, locations: []string{"body.expires_at"}},
		{name: "suppress: an empty time", method: "POST", path: sups, kind: json, body: `{"external_id":"a","expires_at":""}`, status: 422, locations: []string{"body.expires_at"}},
		{name: "suppress: unknown workflow", method: "POST", path: sups, kind: json, body: `{"external_id":"a","workflow_id":"` + noWorkflow[len("/v1/workflows/"):] + `"}`, status: 404},
		{name: "suppress: no workflow's id", method: "POST", path: sups, kind: json, body: `{"external_id":"a","workflow_id":"7"}`, status: 404},
		{name: "suppress: no JSON", method: "POST", path: sups, kind: json, body: `{`, status: 422, locations: []string{"body"}},
		{name: "suppress: no object", method: "POST", path: sups, kind: json, body: `[]`, status: 422, locations: []string{"body"}},
		{name: "suppress: another type", method: "POST", path: sups, kind: "text/plain", body: `+14155550001`, status: 415},
		{name: "suppress: a file's parameter", method: "POST", path: sups + "?reason=x", kind: json, body: `{"external_id":"a"}`, status: 422, locations: []string{"query"}},
		{name: "suppress: unknown parameter", method: "POST", path: sups + "?dry_run=true", kind: json, body: `{"external_id":"a"}`, status: 422, locations: []string{"query.dry_run"}},
		{name: "file: no column", method: "POST", path: sups, kind: csv, body: "mobile,reason\n1,2\n", status: 422, locations: []string{"body.header"}},
		{name: "file: empty", method: "POST", path: sups, kind: csv, status: 422, locations: []string{"body.header"}},
		{name: "file: two columns", method: "POST", path: sups, kind: csv, body: "phone_number,phone_number\n", status: 422, locations: []string{"body.header"}},
		{name: "file: bad parameters", method: "POST", path: sups + "?workflow_id=7&channel=fax&expires_at=2001-01-01T00:00:00Z&reason=" + long, kind: csv, body: "phone\n", status: 422,
			locations: []string{"query.workflow_id", "query.channel", "query.expires_at", "query.reason"}},
		{name: "file: unknown workflow", method: "POST", path: sups + "?workflow_id=" + noWorkflow[len("/v1/workflows/"):], kind: csv, body: "phone\n+14155550001\n", status: 404},
		{name: "file: a form without file", method: "POST", path: sups, kind: form, body: "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n", status: 422, locations: []string{"body.file"}},
		{name: "file: a form without its end", method: "POST", path: sups, kind: form,
			body: "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nphone_number\n+14155550", status: 422, locations: []string{"body"}},
		{name: "suppressions: bad values, every one named", method: "GET",
			path: sups + "?phone_number=abc&channel=fax&workflow_id=7&active=maybe&limit=0&cursor=x", status: 422,
			locations: []string{"query.phone_number", "query.channel", "query.workflow_id", "query.active", "query.limit", "query.cursor"}},
		{name: "suppressions: empty filters", method: "GET", path: sups + "?phone_number=&external_id=&active=", status: 422,
			locations: []string{"query.phone_number", "query.external_id", "query.active"}},
		{name: "suppressions: another list's cursor", method: "GET", path: sups + "?cursor=Y2FsbHM6NQ", status: 422, locations: []string{"query.cursor"}},
		{name: "suppressions: a misspelled filter", method: "GET", path: sups + "?phone=%2B14155550001", status: 422, locations: []string{"query.phone"}},
		{name: "suppression: unknown", method: "GET", path: noSuppression, status: 404},
		{name: "suppression: no id", method: "GET", path: sups + "/7", status: 404},
		{name: "lift: unknown", method: "DELETE", path: noSuppression, status: 404},
		{name: "lift: no id", method: "DELETE", path: sups + "/" + noLead, status: 404},
		{name: "lift: lifted", method: "DELETE", path: lifted, status: 409, code: "not_active"},
		{name: "lift: a long reason", method: "DELETE", path: lifted + "?reason=" + long, status: 422, locations: []string{"query.reason"}},

		{name: "a person's leads: bad values", method: "GET", path: "/v1/contacts/abc/leads?status=lazy&limit=0&cursor=x", status: 422,
			locations: []string{"path.phone", "query.status", "query.limit", "query.cursor"}},
		{name: "a person's leads: unknown parameter", method: "GET", path: "/v1/contacts/+14155550001/leads?page=2", status: 422, locations: []string{"query.page"}},
		{name: "a person's leads: blank", method: "GET", path: "/v1/contacts/%20/leads", status: 422, locations: []string{"path.phone"}},
		{name: "remove a person: bad values", method: "DELETE", path: "/v1/contacts/12/leads?skip_retries=perhaps", status: 422, locations: []string{"path.phone", "query.skip_retries"}},
		{name: "remove a person: a long reason", method: "DELETE", path: "/v1/contacts/+14155550001/leads?reason=" + long, status: 422, locations: []string{"query.reason"}},
		{name: "remove a person: no wait", method: "DELETE", path: "/v1/contacts/+14155550001/leads?wait=1s", status: 422, locations: []string{"query.wait"}},
		{name: "signal a person: every fault", method: "POST", path: "/v1/contacts/12/signals", kind: json, body: `{"data":[],"actor":"x"}`, status: 422,
			locations: []string{"path.phone", "body.name", "body.data", "body.actor"}},

		{name: "hold: every fault", method: "POST", path: waiting + "/hold", kind: json, body: `{"until":"2001-01-01T00:00:00Z","reason":"` + long + `","actor":1,"for":"1h"}`, status: 422,
			locations: []string{"body.until", "body.reason", "body.actor", "body.for"}},
		{name: "hold: the zero time", method: "POST", path: waiting + "/hold", kind: json, body: `{"until":"0001-01-01T00:00:00Z"}`, status: 422, locations: []string{"body.until"}},
		{name: "hold: no object", method: "POST", path: waiting + "/hold", kind: json, body: `[]`, status: 422, locations: []string{"body"}},
		{name: "hold: another type", method: "POST", path: waiting + "/hold", kind: csv, body: `{}`, status: 415},
		{name: "hold: unknown, and a faulty body", method: "POST", path: active + "/leads/" + noLead + "/hold", kind: json, body: `{"until":1}`, status: 404},
		{name: "hold: in another workflow", method: "POST", path: elsewhere + "/hold", status: 404},
		{name: "hold: final", method: "POST", path: gone + "/hold", status: 409, code: "lead_final"},
		{name: "hold: removal pending", method: "POST", path: leaving + "/hold", status: 409, code: "removal_pending"},
		{name: "release: not held", method: "POST", path: waiting + "/release", status: 409, code: "not_held"},
		{name: "release: final", method: "POST", path: gone + "/release", status: 409},
		{name: "release: in another workflow", method: "POST", path: elsewhere + "/release", status: 404},
		{name: "release: unknown field", method: "POST", path: held + "/release", kind: json, body: `{"until":null}`, status: 422, locations: []string{"body.until"}},
		{name: "release: a long reason", method: "POST", path: held + "/release", kind: json, body: `{"reason":"` + long + `"}`, status: 422, locations: []string{"body.reason"}},
		{name: "signal: no body", method: "POST", path: waiting + "/signals", status: 415},
		{name: "signal: no name", method: "POST", path: waiting + "/signals", kind: json, body: `{}`, status: 422, locations: []string{"body.name"}},
		{name: "signal: null", method: "POST", path: waiting + "/signals", kind: json, body: `{"name":null}`, status: 422, locations: []string{"body.name"}},
		{name: "signal: a long name", method: "POST", path: waiting + "/signals", kind: json, body: `{"name":"` + long + `"}`, status: 422, locations: []string{"body.name"}},
		{name: "signal: much data", method: "POST", path: waiting + "/signals", kind: json, body: `{"name":"paid","data":{"x":"` + strings.Repeat("x", 17<<10) + `"}}`, status: 422, locations: []string{"body.data"}},
		{name: "signal: in another workflow", method: "POST", path: elsewhere + "/signals", kind: json, body: `{"name":"paid"}`, status: 404},
		{name: "signal: unknown, and a faulty body", method: "POST", path: active + "/leads/" + noLead + "/signals", kind: json, body: `{}`, status: 404},
		{name: "signal: final", method: "POST", path: gone + "/signals", kind: json, body: `{"name":"paid"}`, status: 409, code: "lead_final"},
		{name: "explanation: in another workflow", method: "GET", path: elsewhere + "/explanation", status: 404},
		{name: "explanation: no time", method: "GET", path: waiting + "/explanation?at=tomorrow", status: 422, locations: []string{"query.at"}},
		{name: "explanation: unknown parameter", method: "GET", path: waiting + "/explanation?when=x", status: 422, locations: []string{"query.when"}},

		{name: "limits: none", method: "PUT", path: "/v1/limits", kind: json, body: `{}`, status: 422, locations: []string{"body.limits"}},
		{name: "limits: null", method: "PUT", path: "/v1/limits", kind: json, body: `{"limits":null}`, status: 422, locations: []string{"body.limits"}},
		{name: "limits: no array", method: "PUT", path: "/v1/limits", kind: json, body: `{"limits":{}}`, status: 422, locations: []string{"body.limits"}},
		{name: "limits: no body", method: "PUT", path: "/v1/limits", status: 415},
		{name: "limits: every fault", method: "PUT", path: "/v1/limits", kind: json,
			body: `{"limits":[{"in_flight":0},{"in_flight":1,"starts":1},{"starts":1},{"in_flight":1,"channel":"fax"},{"in_flight":1,"max":2}],"limit":1}`, status: 422,
			locations: []string{"body.limit", "body.limits[0].in_flight", "body.limits[1]", "body.limits[2].per", "body.limits[3].channel", "body.limits[4].max"}},
		{name: "limits: a parameter", method: "GET", path: "/v1/limits?channel=voice_call", status: 422, locations: []string{"query.channel"}},
		{name: "limits: another method", method: "POST", path: "/v1/limits", kind: json, body: `{"limits":[]}`, status: 405},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			r := request{method: c.method, path: c.path, kind: c.kind}
			if c.body != "" || c.kind != "" {
				r.body = strings.NewReader(c.body)
			}
			a := s.send(r).expect(c.status)
			if c.code != "" && a.object()["code"] != c.code {
				t.Errorf("code is not %s: %s", c.code, a)
			}
			want := slices.Sorted(slices.Values(c.locations))
			if got := slices.Sorted(slices.Values(a.locations())); !slices.Equal(got, want) {
				t.Errorf("locations\n\t%q, want\n\t%q: %s", got, want, a)
			}
		})
	}
	s.t = t
	// None of it has changed anything.
	if got := s.get(waiting).object(); got["status"] != "enrolled" || got["hold"] != nil {
		t.Errorf("the lead is %v", got)
	}
	if list := s.get("/v1/suppressions").object()["data"].([]any); len(list) != 1 {
		t.Errorf("suppressions %v", list)
	}
	if a := s.get("/v1/limits"); string(a.body) != `{"limits":[]}`+"\n" {
		t.Errorf("limits %s", a)
	}
	s.post(held+"/release", `{"reason":"back","actor":"kim"}`).expect(200)
}

func TestObjectsAboutPeopleHaveTheFieldsOfTheContract(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	const supFields = "id,phone_number,external_id,workflow_id,channel,reason,actor,created_at,expires_at,lifted_at,lifted_by,lift_reason"
	w := s.active(onlyWait)
	calling := s.active(callWaitText)
	path, busy := s.enroll(w, "+14155550001"), s.enroll(calling, "+14155550001")
	<-steps

	l := s.post(path+"/hold", `{"until":"2100-01-01T01:00:00+01:00","reason":"holiday","actor":"kim"}`).expect(200).object()
	hold := l["hold"].(map[string]any)
	expectFields(t, hold, "until,reason,actor,since")
	if hold["until"] != "2100-01-01T00:00:00Z" || l["status"] != "enrolled" {
		t.Errorf("the lead is %v", l)
	}
	x := s.get(path + "/explanation").expect(200).object()
	expectFields(t, x, "id,status,node_id,since,reason,summary,until,blockers,next,removal_would")
	if x["reason"] != "hold" || x["until"] != "2100-01-01T00:00:00Z" {
		t.Errorf("the explanation is %v", x)
	}
	expectFields(t, x["blockers"].([]any)[0].(map[string]any), "kind,detail,until")
	expectFields(t, x["next"].([]any)[0].(map[string]any), "node_id,outcome,at")
	would := x["removal_would"].(map[string]any)
	expectFields(t, would, "status,finishes,cancels")
	expectFields(t, would["cancels"].([]any)[0].(map[string]any), "node_id,due_at")
	if x := s.get(busy + "/explanation").object(); x["reason"] != "callback" || x["removal_would"].(map[string]any)["finishes"].(map[string]any)["node_id"] != "call" {
		t.Errorf("the explanation is %v", x)
	}
	if l := s.post(path+"/release", "").expect(200).object(); l["hold"] != nil {
		t.Errorf("the lead is %v", l)
	}

	const phone = "/v1/contacts/+14155550001"
	signalled := s.post(phone+"/signals", `{"name":"paid","data":{"n":1}}`).expect(200).object()["data"].([]any)
	for _, one := range signalled {
		expectFields(t, one.(map[string]any), "id,workflow_id,effect")
	}
	if one := s.post(path+"/signals", `{"name":"paid"}`).expect(200).object(); len(signalled) != 2 || len(one) != 2 || one["effect"] != "ignored" {
		t.Errorf("signalled %v and %v", signalled, one)
	}

	a := s.post("/v1/suppressions", `{"phone_number":"+14155550001","external_id":"crm-1","reason":"stop","actor":"kim","expires_at":"2100-01-01T00:00:00Z"}`).expect(201)
	sup := a.object()
	expectFields(t, sup, supFields+",leads")
	status := map[any]any{}
	for _, one := range sup["leads"].([]any) {
		one := one.(map[string]any)
		expectFields(t, one, "id,workflow_id,status")
		status[one["workflow_id"]] = one["status"]
	}
	if status[w[len("/v1/workflows/"):]] != "removed" || status[calling[len("/v1/workflows/"):]] != "pending_removal" || len(status) != 2 {
		t.Errorf("the leads are %v", sup["leads"])
	}
	same := s.post("/v1/suppressions", `{"phone_number":"+14155550001","external_id":"crm-1","expires_at":"2100-01-01T00:00:00Z","reason":"another"}`).expect(200).object()
	expectFields(t, same, supFields+",leads")
	if same["id"] != sup["id"] || same["reason"] != "stop" || len(same["leads"].([]any)) != 0 {
		t.Errorf("the same again is %v", same)
	}
	if l := s.get(path).object(); l["removal"].(map[string]any)["skip_retries"] != true {
		t.Errorf("the lead is %v", l)
	}
	x = s.get(path + "/explanation").object()
	if x["reason"] != "final" || len(x["blockers"].([]any))+len(x["next"].([]any)) != 0 || x["until"] != nil || x["removal_would"] != nil {
		t.Errorf("the explanation of a final lead is %v", x)
	}
	lifted := s.delete("/v1/suppressions/" + sup["id"].(string) + "?reason=mistake&actor=lee").expect(200).object()
	expectFields(t, lifted, supFields)
	if lifted["lifted_by"] != "lee" || lifted["lift_reason"] != "mistake" || lifted["lifted_at"] == nil {
		t.Errorf("lifted: %v", lifted)
	}
	s.enroll(w, "+14155550001")
}

func TestEnrollingNamesTheSuppressionBeforeALiveLead(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	calling, other := s.active(callWaitText), s.active(onlyWait)
	s.enroll(calling, "+14155550001")
	<-steps
	s.suppress(`{"phone_number":"+14155550001","workflow_id":"` + calling[len("/v1/workflows/"):] + `"}`)
	if a := s.post(calling+"/leads", `{"phone_number":"+14155550001"}`).expect(409); a.object()["code"] != "suppressed" {
		t.Errorf("enrolling who is suppressed and still in a call: %s", a)
	}
	o := s.upload(calling+"/leads", "phone_number\n+14155550001\n+14155550002\n").expect(200).object()
	if o["leads_enrolled"] != 1.0 || !strings.Contains(o["errors"].([]any)[0].(map[string]any)["message"].(string), "suppressed") {
		t.Errorf("the file: %v", o)
	}
	s.enroll(other, "+14155550001")                                                       // out of its scope
	s.suppress(`{"phone_number":"+14155550003","channel":"voice_call"}`)                  // which keeps nobody out
	s.suppress(`{"phone_number":"+14155550004","expires_at":"2100-01-01T00:00:00.000Z"}`) // which does
	s.enroll(other, "+14155550003")
	if a := s.post(other+"/leads", `{"phone_number":"+14155550004"}`).expect(409); a.object()["code"] != "suppressed" {
		t.Errorf("%s", a)
	}
}

func TestSuppressionsAreListedByPageAndFilter(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)[len("/v1/workflows/"):]
	var ids []string
	for i := range 5 {
		ids = append(ids, s.suppress(fmt.Sprintf(`{"phone_number":"+1415555000%d"}`, i)))
	}
	ids = append(ids, s.suppress(`{"external_id":"crm-1","workflow_id":"`+w+`","channel":"message"}`))
	s.delete(ids[4]).expect(200)
	newest := slices.Clone(ids)
	slices.Reverse(newest)
	for query, want := range map[string][]string{
		"": newest, "active=true": {ids[5], ids[3], ids[2], ids[1], ids[0]}, "active=false": {ids[4]},
		"phone_number=%2B14155550002": {ids[2]}, "phone_number=+14155550002": {ids[2]}, "external_id=crm-1": {ids[5]}, "external_id=crm": nil,
		"workflow_id=" + w: {ids[5]}, "channel=message": {ids[5]}, "channel=voice_call": nil,
		"workflow_id=" + noWorkflow[len("/v1/workflows/"):]: nil,
	} {
		for _, limit := range []int{1, 2, 100} {
			var got []string
			for next := ""; ; {
				o := s.get(fmt.Sprintf("/v1/suppressions?limit=%d&%s%s", limit, query, next)).expect(200).object()
				for _, one := range o["data"].([]any) {
					got = append(got, "/v1/suppressions/"+one.(map[string]any)["id"].(string))
				}
				cursor, more := o["next_cursor"].(string)
				if !more || len(got) > len(ids) {
					break
				}
				next = "&cursor=" + cursor
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q by %d: %q, want %q", query, limit, got, want)
			}
		}
	}
}

func TestAPersonsLeadsAreListedAndRemovedInEveryWorkflow(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	first, second, calling := s.active(onlyWait), s.active(onlyWait), s.active(callWaitText)
	old := s.enroll(first, "+14155550001")
	s.delete(old).expect(200)
	newer, busy := s.enroll(second, "+14155550001"), s.enroll(calling, "+14155550001")
	<-steps
	stranger := s.enroll(first, "+14155550002")
	var got []string
	for next := ""; ; {
		o := s.get("/v1/contacts/%2B14155550001/leads?limit=1" + next).expect(200).object()
		for _, one := range o["data"].([]any) {
			l := one.(map[string]any)
			got = append(got, "/v1/workflows/"+l["workflow_id"].(string)+"/leads/"+l["id"].(string))
		}
		cursor, more := o["next_cursor"].(string)
		if !more || len(got) > 3 {
			break
		}
		next = "&cursor=" + cursor
	}
	if !slices.Equal(got, []string{busy, newer, old}) {
		t.Errorf("listed %q", got)
	}
	if o := s.get("/v1/contacts/+14155550001/leads?status=removed").expect(200).object(); len(o["data"].([]any)) != 1 {
		t.Errorf("the removed ones are %v", o)
	}
	o := s.delete("/v1/contacts/%2B14155550001/leads?reason=stop&actor=kim&skip_retries=true").expect(200).object()
	if data := o["data"].([]any); len(data) != 2 || len(o) != 1 {
		t.Errorf("removed %v", o)
	}
	for path, want := range map[string]string{newer: "removed", busy: "pending_removal", stranger: "enrolled"} {
		if l := s.get(path).object(); l["status"] != want || want != "enrolled" && l["removal"].(map[string]any)["actor"] != "kim" {
			t.Errorf("%v, want %s", l, want)
		}
	}
	s.enroll(second, "+14155550001") // a removal keeps nobody out
}

func TestAFileOfSuppressionsIsTakenInEveryForm(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	s.enroll(w, "+14155550001")
	expect := func(a answer, added, unchanged, rejected, removed float64) {
		t.Helper()
		o := a.expect(200).object()
		if o["added"] != added || o["unchanged"] != unchanged || o["rejected"] != rejected || o["leads_removed"] != removed || len(o) != 5 {
			t.Errorf("the answer is %s", a)
		}
		if errs := o["errors"].([]any); len(errs) != int(rejected) {
			t.Errorf("the errors are %v", errs)
		} else if rejected > 0 && errs[0].(map[string]any)["row"] != 3.0 {
			t.Errorf("the errors are %v", errs)
		}
	}
	const national = "phone\n4155550001\n4155550009\n1\n"
	dry := func(query string) map[string]any {
		return s.upload("/v1/suppressions"+query, national).expect(200).object()
	}
	if o := dry("?dry_run=true&region=US"); o["added"] != 2.0 || o["leads_removed"] != 1.0 || o["rejected"] != 1.0 {
		t.Errorf("a dry run says %v", o)
	}
	if o := dry("?dry_run=true"); o["added"] != 0.0 || o["rejected"] != 3.0 {
		t.Errorf("without a region: %v", o)
	}
	if got := s.upload("/v1/suppressions?dry_run=perhaps&region=UK", national).expect(422).locations(); !slices.Equal(got, []string{"query.dry_run", "query.region"}) {
		t.Errorf("faults at %q", got)
	}
	if list := s.get("/v1/suppressions").object()["data"].([]any); len(list) != 0 {
		t.Errorf("dry runs have added %v", list)
	}
	const file = "external_id,phone_number,reason,expires_at\ncrm-1,+14155550001,stop,\n,555,,\n,+14155550002,,2100-01-01T00:00:00Z\n"
	expect(s.upload("/v1/suppressions", file), 2, 0, 1, 1)
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n" + file + "\r\n--b--\r\n"
	expect(s.send(request{method: "POST", path: "/v1/suppressions", kind: "multipart/form-data; boundary=b", body: strings.NewReader(part)}), 0, 2, 1, 0)
	expect(s.upload("/v1/suppressions?channel=message&reason=list&actor=kim&expires_at=2100-01-01T00:00:00Z&workflow_id="+w[len("/v1/workflows/"):], "phone\n+14155550001\n"), 1, 0, 0, 0)
	list := s.get("/v1/suppressions").object()["data"].([]any)
	if newest := list[0].(map[string]any); newest["channel"] != "message" || newest["actor"] != "kim" || newest["reason"] != "list" || newest["expires_at"] != "2100-01-01T00:00:00Z" || len(list) != 3 {
		t.Errorf("suppressions %v", list)
	}
}

func TestAFileOfSuppressionsThatEndsEarlySaysWhatItAdded(t *testing.T) {
	s := newServer(t, httpapi.Config{MaxUpload: 1 << 10}, nil)
	file := "phone_number\n+14155550001\n555\n" + strings.Repeat("\n", 1<<10)
	p := s.send(request{method: "POST", path: "/v1/suppressions", kind: "text/csv", body: struct{ *strings.Reader }{strings.NewReader(file)}}).expect(413).object()
	if detail := p["detail"].(string); p["added"] != 1.0 || p["rejected"] != 1.0 || !strings.Contains(detail, "1 suppression before that added") {
		t.Errorf("the problem is %v", p)
	}
	if list := s.get("/v1/suppressions").object()["data"].([]any); len(list) != 1 {
		t.Errorf("suppressions %v", list)
	}
}
