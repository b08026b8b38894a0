package httpapi_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// documented are the answers that the HTTP contract lists, route by route.
var documented = map[string][]int{
	"POST /workflows":                          {201, 422},
	"GET /workflows":                           {200, 422},
	"GET /workflows/{id}":                      {200, 404},
	"PATCH /workflows/{id}":                    {200, 404, 409, 422},
	"GET /workflows/{id}/nodes":                {200, 404},
	"GET /workflows/{id}/edges":                {200, 404},
	"GET /workflows/{id}/diagram":              {200, 404},
	"POST /workflows/{id}/activate":            {200, 404, 409, 422},
	"POST /workflows/{id}/pause":               {200, 404, 409},
	"POST /workflows/{id}/resume":              {200, 404, 409},
	"POST /workflows/{id}/cancel":              {200, 404, 409},
	"POST /workflows/{id}/duplicate":           {201, 404},
	"DELETE /workflows/{id}":                   {200, 404, 409},
	"POST /workflows/{id}/leads":               {200, 201, 404, 409, 413, 422},
	"GET /workflows/{id}/leads":                {200, 404, 422},
	"GET /workflows/{id}/leads/{lead}":         {200, 404},
	"PATCH /workflows/{id}/leads/{lead}":       {200, 404, 409, 422},
	"GET /workflows/{id}/leads/{lead}/history": {200, 404},
	"DELETE /workflows/{id}/leads/{lead}":      {200, 202, 404, 409},
	"GET /leads/{lead}":                        {200, 404},
	"POST /steps/{step}/complete":              {200, 404, 409},

	"GET /workflows/{id}/leads/{lead}/explanation": {200, 404},
	"POST /workflows/{id}/leads/{lead}/hold":       {200, 404, 409},
	"POST /workflows/{id}/leads/{lead}/release":    {200, 404, 409},
	"POST /workflows/{id}/leads/{lead}/signals":    {200, 404, 409},
	"GET /contacts/{phone}/leads":                  {200, 422},
	"DELETE /contacts/{phone}/leads":               {200, 422},
	"POST /contacts/{phone}/signals":               {200, 422},
	"POST /suppressions":                           {200, 201, 404, 413, 422},
	"GET /suppressions":                            {200, 422},
	"GET /suppressions/{id}":                       {200, 404},
	"DELETE /suppressions/{id}":                    {200, 404, 409},
	"GET /limits":                                  {200},
	"PUT /limits":                                  {200, 422},
	"GET /audit":                                   {200, 422},
	"GET /contacts/{phone}/receipt":                {200, 422},
	"GET /workflows/{id}/leads/{lead}/receipt":     {200, 404, 409},
	"GET /calls":                                   {200, 422},
	"GET /healthz":                                 {200, 503},
}

// TestEveryStatusOfTheContract asks every route for every answer that the contract
// lists for it, in the contract's order, and expects the answer's main fields.
func TestEveryStatusOfTheContract(t *testing.T) {
	const secret = "correct-horse"
	steps := make(chan lead.StepID, 20)
	s := newServer(t, httpapi.Config{Token: secret, MaxUpload: 1 << 12}, inFlight(steps))
	last := func(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

	draft, spare, unstarted, free := s.draft(onlyWait), s.draft(onlyWait), s.draft(onlyWait), s.draft(onlyWait)
	active, paused, cancelled, completed := s.active(onlyWait), s.active(onlyWait), s.active(onlyWait), s.active(onlyWait)
	toPause, toCancel, calling, stopping := s.active(onlyWait), s.active(onlyWait), s.active(callWaitText), s.active(callWaitText)
	noHandler := s.draft(`{"name":"App","entry":"a","nodes":[{"id":"a","type":"application"}]}`)
	s.post(paused+"/pause", "").expect(200)
	s.post(cancelled+"/cancel", "").expect(200)
	id, err := lead.ParseWorkflowID(last(completed))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.eng.CompleteWorkflow(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	waiting, gone := s.enroll(active, "+14155550001"), s.enroll(active, "+14155550002")
	s.delete(gone).expect(200)
	inStep := s.enroll(calling, "+14155550003")
	step := "/v1/steps/" + (<-steps).String() + "/complete"
	s.enroll(calling, "+14155550004")
	retried := "/v1/steps/" + (<-steps).String() + "/complete"
	s.enroll(stopping, "+14155550005")
	<-steps
	s.post(stopping+"/cancel", "").expect(200)

	held := s.enroll(active, "+14155550020")
	s.enroll(active, "+14155550022")
	made := s.post("/v1/suppressions", `{"external_id":"crm-9"}`).expect(201).object()["id"].(string)
	sup := "/v1/suppressions/" + made

	const csv, form = "text/csv", "multipart/form-data; boundary=b"
	unknownLead := "/leads/" + noLead
	cases := []struct {
		route, path string
		body        string // JSON, unless kind says otherwise
		kind        string
		status      int
		want        string // in the body
	}{
		{"POST /workflows", "/v1/workflows", onlyWait, "", 201, `"status":"draft"`},
		{"POST /workflows", "/v1/workflows", `{"name":"","entry":"x","nodes":[{"id":"a","type":"cal"}]}`, "", 422, `body.nodes[0].type`},
		{"GET /workflows", "/v1/workflows?status=active&limit=1", "", "", 200, `"next_cursor":"`},
		{"GET /workflows", "/v1/workflows?state=active", "", "", 422, `did you mean status?`},
		{"GET /workflows/{id}", active, "", "", 200, `"enrolled_leads":4,"counts":{"enrolled":3,"in_step":0,"pending_removal":0,"removed":1,"completed":0}`},
		{"GET /workflows/{id}", noWorkflow, "", "", 404, `no workflow wfl_`},
		{"PATCH /workflows/{id}", active, `{"name":"New","description":"Of it"}`, "", 200, `"name":"New","description":"Of it"`},
		{"PATCH /workflows/{id}", noWorkflow, `{"name":"New"}`, "", 404, `no workflow`},
		{"PATCH /workflows/{id}", active, `{"status":"paused"}`, "", 409, `"code":"status_sent"`},
		{"PATCH /workflows/{id}", active, `{"colour":"red"}`, "", 422, `body.colour`},
		{"GET /workflows/{id}/nodes", active + "/nodes", "", "", 200, `{"data":[{"id":"wait","type":"time"`},
		{"GET /workflows/{id}/nodes", noWorkflow + "/nodes", "", "", 404, ``},
		{"GET /workflows/{id}/edges", active + "/edges", "", "", 200, `{"data":[{"from":"wait","to":"done","label":null}]}`},
		{"GET /workflows/{id}/edges", noWorkflow + "/edges", "", "", 404, ``},
		{"GET /workflows/{id}/diagram", active + "/diagram", "", "", 200, "flowchart TD\n"},
		{"GET /workflows/{id}/diagram", noWorkflow + "/diagram", "", "", 404, ``},
		{"POST /workflows/{id}/activate", draft + "/activate", "", "", 200, `"status":"active"`},
		{"POST /workflows/{id}/activate", noWorkflow + "/activate", "", "", 404, ``},
		{"POST /workflows/{id}/activate", draft + "/activate", "", "", 409, `"code":"workflow_status"`},
		{"POST /workflows/{id}/activate", noHandler + "/activate", "", "", 422, `nodes[0].type`},
		{"POST /workflows/{id}/pause", toPause + "/pause", "", "", 200, `"status":"paused"`},
		{"POST /workflows/{id}/pause", noWorkflow + "/pause", "", "", 404, ``},
		{"POST /workflows/{id}/pause", toPause + "/pause", "", "", 409, `"state":"paused"`},
		{"POST /workflows/{id}/resume", toPause + "/resume", "", "", 200, `"status":"active"`},
		{"POST /workflows/{id}/resume", noWorkflow + "/resume", "", "", 404, ``},
		{"POST /workflows/{id}/resume", toPause + "/resume", "", "", 409, `"state":"active"`},
		{"POST /workflows/{id}/cancel", toCancel + "/cancel", "", "", 200, `"status":"cancelled"`},
		{"POST /workflows/{id}/cancel", noWorkflow + "/cancel", "", "", 404, ``},
		{"POST /workflows/{id}/cancel", toCancel + "/cancel", "", "", 409, `"state":"cancelled"`},
		{"POST /workflows/{id}/cancel", completed + "/cancel", "", "", 409, `"state":"completed"`},
		{"POST /workflows/{id}/duplicate", active + "/duplicate", "", "", 201, `"name":"New (Copy)"`},
		{"POST /workflows/{id}/duplicate", noWorkflow + "/duplicate", "", "", 404, ``},

		{"POST /workflows/{id}/leads", active + "/leads", `{"phone_number":"+14155550006","metadata":{"a":1},"time_zone":"UTC","external_id":"x"}`, "", 201, `"status":"enrolled"`},
		{"POST /workflows/{id}/leads", unstarted + "/leads", `{"phone_number":"+14155550006"}`, "", 201, `"status":"enrolled"`},
		{"POST /workflows/{id}/leads", noWorkflow + "/leads", `{"phone_number":"+14155550006"}`, "", 404, ``},
		{"POST /workflows/{id}/leads", active + "/leads", `{"phone_number":"+14155550001"}`, "", 409, `"code":"contact_live"`},
		{"POST /workflows/{id}/leads", cancelled + "/leads", `{"phone_number":"+14155550006"}`, "", 409, `"code":"workflow_status"`},
		{"POST /workflows/{id}/leads", completed + "/leads", `{"phone_number":"+14155550006"}`, "", 409, `"code":"workflow_status"`},
		{"POST /workflows/{id}/leads", active + "/leads", `{"phone_number":"555"}`, "", 422, `body.phone_number`},
		{"POST /workflows/{id}/leads", active + "/leads", "Phone Number;Name\n+14155550007;Ann\n555;Ben\n", csv, 200, `"leads_enrolled":1,"rejected":1,"errors":[{"row":3,`},
		{"POST /workflows/{id}/leads", active + "/leads?dry_run=true&region=US", "phone\n4155550008\n", csv, 200, `"leads_enrolled":1,"rejected":0,"errors":[]`},
		{"POST /workflows/{id}/leads", active + "/leads", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nphone_number\n+14155550008\n\r\n--b--\r\n", form, 200, `"leads_enrolled":1,"rejected":0`},
		{"POST /workflows/{id}/leads", noWorkflow + "/leads", "phone_number\n", csv, 404, ``},
		{"POST /workflows/{id}/leads", cancelled + "/leads", "phone_number\n", csv, 409, `"code":"workflow_status"`},
		{"POST /workflows/{id}/leads", active + "/leads", "phone_number\n" + strings.Repeat("\n", 1<<12), csv, 413, `more than 4096 bytes`},
		{"POST /workflows/{id}/leads", active + "/leads", "mobile\n1\n", csv, 422, `body.header`},
		{"POST /workflows/{id}/leads", active + "/leads?region=UK", "phone\n1\n", csv, 422, `did you mean \"GB\"?`},

		{"GET /workflows/{id}/leads", active + "/leads", "", "", 200, `"meta":{"page":1,"limit":20,"total":`},
		{"GET /workflows/{id}/leads", active + "/leads?status=enrolled&node_id=wait&phone_number=%2B14155550006&external_id=x&page=1&limit=1", "", "", 200, `"total":1,"totalPages":1},"next_cursor":null}`},
		{"GET /workflows/{id}/leads", noWorkflow + "/leads", "", "", 404, ``},
		{"GET /workflows/{id}/leads", active + "/leads?limit=101", "", "", 422, `from 1 to 100`},
		{"GET /workflows/{id}/leads", active + "/leads?limit=0", "", "", 422, `from 1 to 100`},
		{"GET /workflows/{id}/leads/{lead}", waiting, "", "", 200, `"status":"enrolled"`},
		{"GET /workflows/{id}/leads/{lead}", inStep, "", "", 200, `"status":"in_step"`},
		{"GET /workflows/{id}/leads/{lead}", active + unknownLead, "", "", 404, `no lead wlead_`},
		{"GET /leads/{lead}", "/v1/leads/" + last(waiting), "", "", 200, `"status":"enrolled"`},
		{"GET /leads/{lead}", "/v1" + unknownLead, "", "", 404, `no lead wlead_`},
		{"PATCH /workflows/{id}/leads/{lead}", waiting, `{"metadata":{"a":2},"time_zone":null}`, "", 200, `"metadata":{"a":2}`},
		{"PATCH /workflows/{id}/leads/{lead}", active + unknownLead, `{}`, "", 404, ``},
		{"PATCH /workflows/{id}/leads/{lead}", gone, `{"metadata":{"a":2}}`, "", 409, `"code":"lead_final"`},
		{"PATCH /workflows/{id}/leads/{lead}", waiting, `{"phone_number":"+14155550009"}`, "", 422, `body.phone_number`},
		{"GET /workflows/{id}/leads/{lead}/history", inStep + "/history", "", "", 200, `"status":"in_progress"`},
		{"GET /workflows/{id}/leads/{lead}/history", active + unknownLead + "/history", "", "", 404, ``},

		{"POST /steps/{step}/complete", retried, `{"error":"busy","retry_after":"1h"}`, "", 200, `"lead_status":"in_step"`},
		{"GET /calls", "/v1/calls?phone_number=+14155550004", "", "", 200, `"status":"failed"`},
		{"POST /steps/{step}/complete", noStep + "/complete", `{"outcome":"completed"}`, "", 404, `no step step_`},
		{"POST /steps/{step}/complete", step, `{"outcome":"completed","attempt":2}`, "", 409, `"code":"other_attempt"`},
		{"DELETE /workflows/{id}/leads/{lead}", inStep + "?reason=stop&actor=ann", "", "", 202, `"status":"pending_removal"`},
		{"DELETE /workflows/{id}/leads/{lead}", inStep + "?reason=again", "", "", 202, `"status":"pending_removal"`},
		{"GET /workflows/{id}/leads/{lead}", inStep, "", "", 200, `"removal":{"reason":"stop","actor":"ann"`},
		{"POST /steps/{step}/complete", step, `{"outcome":"completed","data":{"n":1},"call_id":"c-1"}`, "", 200, `"lead_status":"removed"`},
		{"POST /steps/{step}/complete", step, `{"outcome":"completed"}`, "", 200, `"lead_status":"removed"`},
		{"POST /steps/{step}/complete", step, `{"outcome":"dnp"}`, "", 409, `"code":"step_finished"`},
		{"DELETE /workflows/{id}/leads/{lead}", inStep, "", "", 409, `"code":"lead_final"`},
		{"DELETE /workflows/{id}/leads/{lead}", waiting, "", "", 200, `{"message":"Lead removed from workflow.","id":"` + last(waiting) + `","status":"removed"}`},
		{"DELETE /workflows/{id}/leads/{lead}", waiting, "", "", 409, `"state":"removed"`},
		{"DELETE /workflows/{id}/leads/{lead}", noWorkflow + "/leads/" + last(gone), "", "", 404, `no workflow`},
		{"DELETE /workflows/{id}/leads/{lead}", active + unknownLead, "", "", 404, `no lead`},
		{"DELETE /workflows/{id}/leads/{lead}", free + "/leads/" + last(gone), "", "", 404, `no lead`},
		{"GET /calls", "/v1/calls?call_id=c-1&status=completed", "", "", 200, `"outcome":"completed"`},
		{"GET /calls", "/v1/calls?from=yesterday", "", "", 422, `query.from`},

		{"GET /workflows/{id}/leads/{lead}/explanation", held + "/explanation", "", "", 200, `"reason":"wait"`},
		{"GET /workflows/{id}/leads/{lead}/explanation", held + "/explanation?at=2100-01-01T00:00:00Z", "", "", 200, `"status":"completed"`},
		{"GET /workflows/{id}/leads/{lead}/explanation", active + unknownLead + "/explanation", "", "", 404, ``},
		{"GET /workflows/{id}/leads/{lead}/receipt", held + "/receipt", "", "", 409, `no removal was asked for`},
		{"GET /workflows/{id}/leads/{lead}/receipt", active + unknownLead + "/receipt", "", "", 404, ``},
		{"POST /workflows/{id}/leads/{lead}/hold", held + "/hold", `{"until":"2100-01-01T00:00:00Z","reason":"on holiday","actor":"kim"}`, "", 200, `"hold":{"until":"2100-01-01T00:00:00Z","reason":"on holiday","actor":"kim"`},
		{"POST /workflows/{id}/leads/{lead}/hold", held + "/hold", "", "", 200, `"hold":{"until":null`},
		{"POST /workflows/{id}/leads/{lead}/hold", active + unknownLead + "/hold", "", "", 404, ``},
		{"POST /workflows/{id}/leads/{lead}/hold", gone + "/hold", "", "", 409, `"code":"lead_final"`},
		{"POST /workflows/{id}/leads/{lead}/release", held + "/release", "", "", 200, `"hold":null`},
		{"POST /workflows/{id}/leads/{lead}/release", held + "/release", "", "", 409, `"code":"not_held"`},
		{"POST /workflows/{id}/leads/{lead}/release", active + unknownLead + "/release", "", "", 404, ``},
		{"POST /workflows/{id}/leads/{lead}/signals", held + "/signals", `{"name":"paid","data":{"n":1}}`, "", 200, `"effect":"ignored"`},
		{"POST /workflows/{id}/leads/{lead}/signals", active + unknownLead + "/signals", `{"name":"paid"}`, "", 404, ``},
		{"POST /workflows/{id}/leads/{lead}/signals", gone + "/signals", `{"name":"paid"}`, "", 409, `"code":"lead_final"`},
		{"GET /contacts/{phone}/leads", "/v1/contacts/%2B14155550020/leads?limit=1&status=enrolled", "", "", 200, `"phone_number":"+14155550020"`},
		{"GET /contacts/{phone}/leads", "/v1/contacts/+14155550021/leads", "", "", 200, `{"data":[],"next_cursor":null}`},
		{"GET /contacts/{phone}/leads", "/v1/contacts/555/leads", "", "", 422, `path.phone`},
		{"POST /contacts/{phone}/signals", "/v1/contacts/+14155550020/signals", `{"name":"paid"}`, "", 200, `"effect":"ignored"`},
		{"POST /contacts/{phone}/signals", "/v1/contacts/+14155550020/signals", `{"name":""}`, "", 422, `body.name`},
		{"DELETE /contacts/{phone}/leads", "/v1/contacts/+14155550020/leads?reason=stop&skip_retries=true", "", "", 200, `"status":"removed"`},
		{"DELETE /contacts/{phone}/leads", "/v1/contacts/+14155550020/leads", "", "", 200, `{"data":[]}`},
		{"DELETE /contacts/{phone}/leads", "/v1/contacts/x/leads", "", "", 422, `path.phone`},
		{"POST /suppressions", "/v1/suppressions", `{"phone_number":"+14155550022","reason":"said stop","actor":"kim"}`, "", 201, `"leads":[{"id":"wlead_`},
		{"POST /suppressions", "/v1/suppressions", `{"phone_number":"+14155550022"}`, "", 200, `"reason":"said stop"`},
		{"POST /suppressions", "/v1/suppressions", `{"phone_number":"+14155550022","workflow_id":"` + last(noWorkflow) + `"}`, "", 404, `no workflow`},
		{"POST /suppressions", "/v1/suppressions", `{"phone_number":"555","channel":"fax","expires_at":"2001-01-01T00:00:00Z","colour":1}`, "", 422, `4 faults`},
		{"POST /suppressions", "/v1/suppressions", `{}`, "", 422, `body.phone_number`},
		{"POST /suppressions", "/v1/suppressions", "phone_number;reason\n+14155550023;old\n555;\n", csv, 200, `{"added":1,"unchanged":0,"rejected":1,"leads_removed":0,"errors":[{"row":3`},
		{"POST /suppressions", "/v1/suppressions", "mobile\n1\n", csv, 422, `body.header`},
		{"POST /suppressions", "/v1/suppressions", "phone_number\n" + strings.Repeat("\n", 1<<12), csv, 413, `more than 4096 bytes`},
		{"POST /workflows/{id}/leads", active + "/leads", `{"phone_number":"+14155550022"}`, "", 409, `"code":"suppressed"`},
		{"GET /suppressions", "/v1/suppressions?phone_number=%2B14155550022&active=true&limit=1", "", "", 200, `"reason":"said stop"`},
		{"GET /suppressions", "/v1/suppressions?state=x", "", "", 422, `query.state`},
		{"GET /suppressions/{id}", sup, "", "", 200, `"external_id":"crm-9"`},
		{"GET /suppressions/{id}", "/v1/suppressions/sup_01kaqf5y8sf3x8zq0h0m9d2c7r", "", "", 404, `no suppression`},
		{"DELETE /suppressions/{id}", sup + "?reason=mistake&actor=kim", "", "", 200, `"lifted_by":"kim","lift_reason":"mistake"`},
		{"DELETE /suppressions/{id}", sup, "", "", 409, `"code":"not_active"`},
		{"DELETE /suppressions/{id}", "/v1/suppressions/sup_01kaqf5y8sf3x8zq0h0m9d2c7r", "", "", 404, `no suppression`},
		{"PUT /limits", "/v1/limits", `{"limits":[{"channel":"voice_call","in_flight":5}]}`, "", 200, `"in_flight":5`},
		{"PUT /limits", "/v1/limits", `{}`, "", 422, `body.limits`},
		{"GET /limits", "/v1/limits", "", "", 200, `{"limits":[{"channel":"voice_call","rate_key":null,"in_flight":5`},
		{"GET /audit", "/v1/audit?phone_number=+14155550022&actor=kim", "", "", 200, `"action":"suppression.added"`},
		{"GET /contacts/{phone}/receipt", "/v1/contacts/+14155550022/receipt", "", "", 200, `"attempts_after":0`},
		{"GET /contacts/{phone}/receipt", "/v1/contacts/x/receipt", "", "", 422, `path.phone`},
		{"GET /workflows/{id}/leads/{lead}/receipt", inStep + "/receipt", "", "", 200, `"attempts_after":0`},
		{"GET /audit", "/v1/audit?from=yesterday", "", "", 422, `query.from`},

		{"DELETE /workflows/{id}", spare, "", "", 200, `{"message":"Workflow deleted."}`},
		{"DELETE /workflows/{id}", spare, "", "", 404, ``},
		{"DELETE /workflows/{id}", active, "", "", 409, `"state":"active"`},
		{"DELETE /workflows/{id}", paused, "", "", 409, `"state":"paused"`},
		{"DELETE /workflows/{id}", stopping, "", "", 409, `"code":"workflow_status"`},
		{"DELETE /workflows/{id}", completed, "", "", 200, `"message"`},
		{"DELETE /workflows/{id}", toCancel, "", "", 200, `"message"`},
		{"GET /healthz", "/v1/healthz", "", "", 200, `{"status":"ok"}`},
		{"GET /healthz", "/healthz", "", "", 200, `{"status":"ok"}`},
	}
	seen := map[string][]int{}
	for _, c := range cases {
		method, _, _ := strings.Cut(c.route, " ")
		r := request{method: method, path: c.path, kind: c.kind}
		if c.body != "" {
			r.body = strings.NewReader(c.body)
			if r.kind == "" {
				r.kind = "application/json"
			}
		}
		t.Run(fmt.Sprintf("%s is %d", c.route, c.status), func(t *testing.T) {
			s.t = t
			if c.route != "GET /healthz" {
				anonymous := r
				anonymous.body, anonymous.header = nil, map[string]string{"Authorization": "Bearer wrong"}
				s.send(anonymous).expect(http.StatusUnauthorized)
			}
			if a := s.send(r).expect(c.status); !strings.Contains(string(a.body), c.want) {
				t.Errorf("%s %.200s: %s, want %s", c.route, c.body, a, c.want)
			}
		})
		seen[c.route] = append(seen[c.route], c.status)
	}
	s.t = t
	if err := s.eng.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	// What was found in the second before counts; a new handler has found nothing.
	h, err := httpapi.New(s.eng, httpapi.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s.http.Config.Handler = h
	s.get("/v1/healthz").expect(503)
	seen["GET /healthz"] = append(seen["GET /healthz"], 503)

	_, paths := document(t, s)
	for _, route := range slices.Sorted(maps.Keys(documented)) {
		if got := slices.Compact(slices.Sorted(slices.Values(seen[route]))); !slices.Equal(got, documented[route]) {
			t.Errorf("%s: tried %v, the contract lists %v", route, got, documented[route])
		}
		method, path, _ := strings.Cut(route, " ")
		responses := paths[path][strings.ToLower(method)].Responses
		for _, status := range documented[route] {
			if responses[fmt.Sprint(status)] == nil {
				t.Errorf("the document lacks %d of %s", status, route)
			}
		}
	}
	for path, item := range paths {
		for method := range item {
			if documented[strings.ToUpper(method)+" "+path] == nil {
				t.Errorf("%s %s is not in this table", method, path)
			}
		}
	}
}
