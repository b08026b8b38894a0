package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// TestEveryRouteRefusesAsTheContractSays is the table of the contract: every
// route, every refusal.
func TestEveryRouteRefusesAsTheContractSays(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))

	draft, active, paused, other := s.draft(onlyWait), s.active(onlyWait), s.active(onlyWait), s.active(onlyWait)
	s.post(paused+"/pause", "").expect(200)
	cancelled := s.active(onlyWait)
	s.post(cancelled+"/cancel", "").expect(200)
	noHandler := s.draft(`{"name":"App","entry":"a","nodes":[{"id":"a","type":"application"}]}`)
	waiting, gone := s.enroll(active, "+14155550001"), s.enroll(active, "+14155550002")
	s.delete(gone).expect(200)
	goneID := gone[strings.LastIndexByte(gone, '/')+1:]
	waitingStep := s.get(waiting + "/history").object()["history"].([]any)[0].(map[string]any)["step_id"].(string)

	calling := s.active(callWaitText)
	busy := s.enroll(calling, "+14155550003")
	step := "/v1/steps/" + (<-steps).String() + "/complete"
	ended := s.enroll(calling, "+14155550004")
	endedStep := "/v1/steps/" + (<-steps).String() + "/complete"
	s.post(endedStep, `{"outcome":"completed"}`).expect(200)
	s.delete(ended).expect(200)
	stopping := s.active(callWaitText)
	s.enroll(stopping, "+14155550005")
	<-steps
	s.post(stopping+"/cancel", "").expect(200)

	phone := func(n string) string { return `{"phone_number":"` + n + `"}` }
	const json, csv, form = "application/json", "text/csv", "multipart/form-data; boundary=b"
	cases := []struct {
		name, method, path, kind, body string
		encoding                       string
		status                         int
		code                           string   // of a conflict
		locations                      []string // of a faulty request
	}{
		{name: "create: invalid graph, every fault at once", method: "POST", path: "/v1/workflows", kind: json,
			body: `{"name":"","entry":"x","nodes":[{"id":"a","type":"time"},{"id":"a","type":"cal"}],"edges":[{"from":"a","to":"b"}],"colour":"red"}`, status: 422,
			locations: []string{"body.colour", "body.name", "body.nodes[1].id", "body.entry", "body.nodes[0].config", "body.nodes[1].type", "body.edges[0].to"}},
		{name: "create: no JSON", method: "POST", path: "/v1/workflows", kind: json, body: `{"name":`, status: 422, locations: []string{"body"}},
		{name: "create: no body", method: "POST", path: "/v1/workflows", kind: json, status: 422, locations: []string{"body"}},
		{name: "create: no object", method: "POST", path: "/v1/workflows", kind: json, body: `[]`, status: 422, locations: []string{"body"}},
		{name: "create: another type", method: "POST", path: "/v1/workflows", kind: "application/x-www-form-urlencoded", body: `name=x`, status: 415},
		{name: "create: no type", method: "POST", path: "/v1/workflows", body: `{}`, status: 415},
		{name: "create: another charset", method: "POST", path: "/v1/workflows", kind: json + "; charset=utf-16", body: `{}`, status: 415},
		{name: "list: bad values", method: "GET", path: "/v1/workflows?status=lazy&limit=101&cursor=x", status: 422,
			locations: []string{"query.limit", "query.status", "query.cursor"}},
		{name: "list: limit 0", method: "GET", path: "/v1/workflows?limit=0", status: 422, locations: []string{"query.limit"}},
		{name: "list: empty status", method: "GET", path: "/v1/workflows?status=", status: 422, locations: []string{"query.status"}},
		{name: "list: unknown", method: "GET", path: "/v1/workflows?state=draft", status: 422, locations: []string{"query.state"}},
		{name: "list: twice", method: "GET", path: "/v1/workflows?limit=1&limit=2", status: 422, locations: []string{"query.limit"}},
		{name: "list: broken query", method: "GET", path: "/v1/workflows?limit=%zz", status: 422, locations: []string{"query"}},
		{name: "get: unknown", method: "GET", path: noWorkflow, status: 404},
		{name: "get: no id", method: "GET", path: "/v1/workflows/17", status: 404},
		{name: "get: another kind's id", method: "GET", path: "/v1/workflows/" + noLead, status: 404},
		{name: "patch: unknown", method: "PATCH", path: noWorkflow, kind: json, body: `{}`, status: 404},
		{name: "patch: no id", method: "PATCH", path: "/v1/workflows/x", kind: json, body: `{}`, status: 404},
		{name: "patch: status", method: "PATCH", path: draft, kind: json, body: `{"status":"active","what":1}`, status: 409, code: "status_sent"},
		{name: "patch: status null", method: "PATCH", path: draft, kind: json, body: `{"status":null}`, status: 409, code: "status_sent"},
		{name: "patch: faults", method: "PATCH", path: draft, kind: json, body: `{"name":1,"Description":"","name":"x"}`, status: 422,
			locations: []string{"body.Description", "body.name", "body.name"}},
		{name: "patch: no name", method: "PATCH", path: draft, kind: json, body: `{"name":" "}`, status: 422, locations: []string{"body.name"}},
		{name: "patch: another type", method: "PATCH", path: draft, kind: csv, body: `{}`, status: 415},
		{name: "nodes: unknown", method: "GET", path: noWorkflow + "/nodes", status: 404},
		{name: "edges: unknown", method: "GET", path: noWorkflow + "/edges", status: 404},
		{name: "diagram: unknown", method: "GET", path: noWorkflow + "/diagram", status: 404},
		{name: "nodes: no id", method: "GET", path: "/v1/workflows/x/nodes", status: 404},
		{name: "edges: no id", method: "GET", path: "/v1/workflows/x/edges", status: 404},
		{name: "diagram: no id", method: "GET", path: "/v1/workflows/x/diagram", status: 404},
		{name: "activate: unknown", method: "POST", path: noWorkflow + "/activate", status: 404},
		{name: "activate: active", method: "POST", path: active + "/activate", status: 409, code: "workflow_status"},
		{name: "activate: no handler", method: "POST", path: noHandler + "/activate", status: 422, locations: []string{"nodes[0].type"}},
		{name: "pause: unknown", method: "POST", path: noWorkflow + "/pause", status: 404},
		{name: "pause: draft", method: "POST", path: draft + "/pause", status: 409, code: "workflow_status"},
		{name: "resume: unknown", method: "POST", path: noWorkflow + "/resume", status: 404},
		{name: "resume: active", method: "POST", path: active + "/resume", status: 409, code: "workflow_status"},
		{name: "cancel: unknown", method: "POST", path: noWorkflow + "/cancel", status: 404},
		{name: "cancel: cancelled", method: "POST", path: cancelled + "/cancel", status: 409, code: "workflow_status"},
		{name: "duplicate: unknown", method: "POST", path: noWorkflow + "/duplicate", status: 404},
		{name: "duplicate: no id", method: "POST", path: "/v1/workflows/x/duplicate", status: 404},
		{name: "delete: unknown", method: "DELETE", path: noWorkflow, status: 404},
		{name: "delete: active", method: "DELETE", path: active, status: 409, code: "workflow_status"},
		{name: "delete: paused", method: "DELETE", path: paused, status: 409, code: "workflow_status"},
		{name: "delete: somebody in flight", method: "DELETE", path: stopping, status: 409, code: "workflow_status"},

		{name: "enroll: unknown", method: "POST", path: noWorkflow + "/leads", kind: json, body: phone("+14155552671"), status: 404},
		{name: "enroll: no id", method: "POST", path: "/v1/workflows/x/leads", kind: json, body: phone("+14155552671"), status: 404},
		{name: "enroll: live", method: "POST", path: active + "/leads", kind: json, body: phone("+14155550001"), status: 409, code: "contact_live"},
		{name: "enroll: final workflow", method: "POST", path: cancelled + "/leads", kind: json, body: phone("+14155552671"), status: 409, code: "workflow_status"},
		{name: "enroll: every fault at once", method: "POST", path: active + "/leads", kind: json,
			body: `{"phone_number":"555","time_zone":"Mars/Base","external_id":7,"metadata":[1],"name":"Ann"}`, status: 422,
			locations: []string{"body.name", "body.external_id", "body.metadata", "body.phone_number", "body.time_zone"}},
		{name: "enroll: no number", method: "POST", path: active + "/leads", kind: json, body: `{}`, status: 422, locations: []string{"body.phone_number"}},
		{name: "enroll: huge number", method: "POST", path: active + "/leads", kind: json,
			body: `{"phone_number":"+14155552671","metadata":{"n":1e999}}`, status: 422, locations: []string{"body.metadata"}},
		{name: "enroll: too deep", method: "POST", path: active + "/leads", kind: json,
			body: `{"metadata":{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`, status: 422, locations: []string{"body"}},
		{name: "enroll: not UTF-8", method: "POST", path: active + "/leads", kind: json, body: "{\"external_id\":\"\xff\"}", status: 422, locations: []string{"body"}},
		{name: "enroll: another type", method: "POST", path: active + "/leads", kind: "text/plain", body: "+14155552671", status: 415},
		{name: "upload: unknown", method: "POST", path: noWorkflow + "/leads", kind: csv, body: "phone_number\n", status: 404},
		{name: "upload: final workflow", method: "POST", path: cancelled + "/leads", kind: csv, body: "phone_number\n", status: 409, code: "workflow_status"},
		{name: "upload: no such column", method: "POST", path: active + "/leads", kind: csv, body: "mobile,name\n1,2\n", status: 422, locations: []string{"body.header"}},
		{name: "upload: empty", method: "POST", path: active + "/leads", kind: csv, status: 422, locations: []string{"body.header"}},
		{name: "upload: a form without file", method: "POST", path: active + "/leads", kind: form,
			body: "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n", status: 422, locations: []string{"body.file"}},
		{name: "upload: no form", method: "POST", path: active + "/leads", kind: form, body: "phone_number\n", status: 422, locations: []string{"body.file"}},
		{name: "upload: a form that is none", method: "POST", path: active + "/leads", kind: form, body: "--b\r\nno header\r\n\r\n", status: 422, locations: []string{"body"}},
		{name: "upload: a form without its end", method: "POST", path: active + "/leads", kind: form,
			body: "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nphone_number\n+14155550", status: 422, locations: []string{"body"}},
		{name: "upload: compressed", method: "POST", path: active + "/leads", kind: csv, encoding: "gzip", body: "x", status: 415},
		{name: "upload: no boundary", method: "POST", path: active + "/leads", kind: "multipart/form-data", body: "x", status: 415},
		{name: "leads: unknown", method: "GET", path: noWorkflow + "/leads", status: 404},
		{name: "leads: no id", method: "GET", path: "/v1/workflows/x/leads", status: 404},
		{name: "leads: bad values, every one named", method: "GET",
			path: active + "/leads?status=lazy&node_id=nowhere&phone_number=abc&page=0&limit=-1", status: 422,
			locations: []string{"query.page", "query.limit", "query.status", "query.node_id", "query.phone_number"}},
		{name: "leads: unknown node", method: "GET", path: active + "/leads?node_id=nowhere", status: 422, locations: []string{"query.node_id"}},
		{name: "leads: page and cursor", method: "GET", path: active + "/leads?page=1&cursor=x", status: 422, locations: []string{"query.page", "query.cursor"}},
		{name: "leads: another list's cursor", method: "GET", path: active + "/leads?cursor=Y2FsbHM6NQ", status: 422, locations: []string{"query.cursor"}},
		{name: "lead: unknown workflow", method: "GET", path: noWorkflow + "/leads/" + goneID, status: 404},
		{name: "lead: unknown", method: "GET", path: active + "/leads/" + noLead, status: 404},
		{name: "lead: no id", method: "GET", path: active + "/leads/7", status: 404},
		{name: "lead: in another workflow", method: "GET", path: other + "/leads/" + goneID, status: 404},
		{name: "leads: a misspelled filter", method: "GET", path: active + "/leads?state=removed&phone=%2B14155550001", status: 422,
			locations: []string{"query.phone", "query.state"}},
		{name: "leads: empty filters", method: "GET", path: active + "/leads?status=&node_id=&phone_number=%20&external_id=&page=&limit=&cursor=", status: 422,
			locations: []string{"query.status", "query.node_id", "query.phone_number", "query.external_id"}},
		{name: "lead by id: unknown", method: "GET", path: "/v1/leads/" + noLead, status: 404},
		{name: "lead by id: no id", method: "GET", path: "/v1/leads/7", status: 404},
		{name: "lead by id: a workflow's", method: "GET", path: "/v1/leads/" + active[strings.LastIndexByte(active, '/')+1:], status: 404},
		{name: "update: unknown workflow", method: "PATCH", path: noWorkflow + "/leads/" + goneID, kind: json, body: `{}`, status: 404},
		{name: "update: unknown", method: "PATCH", path: active + "/leads/" + noLead, kind: json, body: `{}`, status: 404},
		{name: "update: in another workflow", method: "PATCH", path: other + "/leads/" + goneID, kind: json, body: `{}`, status: 404},
		{name: "update: no id", method: "PATCH", path: active + "/leads/7", kind: json, body: `{}`, status: 404},
		{name: "update: removed", method: "PATCH", path: gone, kind: json, body: `{"metadata":{"a":1}}`, status: 409, code: "lead_final"},
		{name: "update: removed, with nothing to change", method: "PATCH", path: gone, kind: json, body: `{}`, status: 409, code: "lead_final"},
		{name: "update: another type", method: "PATCH", path: waiting, kind: csv, body: `{}`, status: 415},
		{name: "update: what stays", method: "PATCH", path: waiting, kind: json, body: `{"phone_number":"+14155550009","status":"removed"}`, status: 422,
			locations: []string{"body.phone_number", "body.status"}},
		{name: "update: every fault at once", method: "PATCH", path: waiting, kind: json,
			body: `{"metadata":[1],"time_zone":"Mars/Base","external_id":"` + strings.Repeat("x", 257) + `","outcome":"x"}`, status: 422,
			locations: []string{"body.metadata", "body.time_zone", "body.external_id", "body.outcome"}},
		{name: "update: metadata null", method: "PATCH", path: waiting, kind: json, body: `{"metadata":null,"time_zone":7}`, status: 422,
			locations: []string{"body.metadata", "body.time_zone"}},
		{name: "update: a number that nobody reads", method: "PATCH", path: waiting, kind: json, body: `{"metadata":{"n":1e999}}`, status: 422,
			locations: []string{"body.metadata"}},
		{name: "history: unknown workflow", method: "GET", path: noWorkflow + "/leads/" + goneID + "/history", status: 404},
		{name: "history: unknown", method: "GET", path: active + "/leads/" + noLead + "/history", status: 404},
		{name: "history: no id", method: "GET", path: active + "/leads/7/history", status: 404},
		{name: "history: in another workflow", method: "GET", path: other + "/leads/" + goneID + "/history", status: 404},
		{name: "remove: unknown workflow", method: "DELETE", path: noWorkflow + "/leads/" + goneID, status: 404},
		{name: "remove: unknown", method: "DELETE", path: active + "/leads/" + noLead, status: 404},
		{name: "remove: no id", method: "DELETE", path: active + "/leads/7", status: 404},
		{name: "remove: in another workflow", method: "DELETE", path: other + "/leads/" + goneID, status: 404},
		{name: "remove: removed", method: "DELETE", path: gone, status: 409, code: "lead_final"},
		{name: "remove: bad values", method: "DELETE", path: waiting + "?wait=soon&skip_retries=maybe", status: 422,
			locations: []string{"query.wait", "query.skip_retries"}},
		{name: "remove: a misspelled parameter", method: "DELETE", path: waiting + "?skip_retry=true", status: 422, locations: []string{"query.skip_retry"}},
		{name: "remove: a parameter without value", method: "DELETE", path: waiting + "?skip_retries=", status: 422, locations: []string{"query.skip_retries"}},
		{name: "remove: a body", method: "DELETE", path: waiting, kind: json, body: `{"skip_retries":true}`, status: 422, locations: []string{"body"}},
		{name: "pause: a parameter", method: "POST", path: active + "/pause?dry_run=true", status: 422, locations: []string{"query.dry_run"}},
		{name: "remove: long words", method: "DELETE", path: waiting + "?reason=" + strings.Repeat("x", 1025) + "&actor=" + strings.Repeat("x", 1025), status: 422,
			locations: []string{"query.actor", "query.reason"}},

		{name: "complete: unknown", method: "POST", path: noStep + "/complete", kind: json, body: `{"outcome":"completed"}`, status: 404},
		{name: "complete: no id", method: "POST", path: "/v1/steps/x/complete", kind: json, body: `{"outcome":"completed"}`, status: 404},
		{name: "complete: every fault at once", method: "POST", path: step, kind: json,
			body: `{"data":[],"call_id":3,"attempt":1.5,"result":"x"}`, status: 422,
			locations: []string{"body.result", "body.outcome", "body.call_id", "body.data", "body.attempt"}},
		{name: "complete: long outcome", method: "POST", path: step, kind: json, body: `{"outcome":"` + strings.Repeat("x", 5000) + `"}`, status: 422,
			locations: []string{"body.outcome"}},
		{name: "complete: nothing", method: "POST", path: step, kind: json, body: `{}`, status: 422, locations: []string{"body.outcome"}},
		{name: "complete: nulls", method: "POST", path: step, kind: json, body: `{"outcome":null,"error":null}`, status: 422, locations: []string{"body.outcome"}},
		{name: "complete: an empty outcome", method: "POST", path: step, kind: json, body: `{"outcome":""}`, status: 422, locations: []string{"body.outcome"}},
		{name: "complete: an empty error", method: "POST", path: step, kind: json, body: `{"error":""}`, status: 422, locations: []string{"body.error"}},
		{name: "complete: a blank error", method: "POST", path: step, kind: json, body: `{"error":"  "}`, status: 422, locations: []string{"body.error"}},
		{name: "complete: an empty error with an outcome", method: "POST", path: step, kind: json, body: `{"error":"","outcome":"completed"}`, status: 422,
			locations: []string{"body.error"}},
		{name: "complete: error with outcome", method: "POST", path: step, kind: json, body: `{"error":"busy","outcome":"completed"}`, status: 422,
			locations: []string{"body.error"}},
		{name: "complete: error with an empty outcome", method: "POST", path: step, kind: json, body: `{"error":"busy","outcome":""}`, status: 422,
			locations: []string{"body.error", "body.outcome"}},
		{name: "complete: both", method: "POST", path: step, kind: json, body: `{"error":"busy","retry_after":"1m","final":true}`, status: 422,
			locations: []string{"body.retry_after"}},
		{name: "complete: both, one of nothing", method: "POST", path: step, kind: json, body: `{"error":"busy","retry_after":"0s","final":true}`, status: 422,
			locations: []string{"body.retry_after"}},
		{name: "complete: negative", method: "POST", path: step, kind: json, body: `{"error":"busy","retry_after":"-1m"}`, status: 422,
			locations: []string{"body.retry_after"}},
		{name: "complete: no duration", method: "POST", path: step, kind: json, body: `{"error":"busy","retry_after":""}`, status: 422,
			locations: []string{"body.retry_after"}},
		{name: "complete: a number", method: "POST", path: step, kind: json, body: `{"error":7,"retry_after":30,"final":"yes"}`, status: 422,
			locations: []string{"body.error", "body.retry_after", "body.final"}},
		{name: "complete: retry_after and final without error", method: "POST", path: step, kind: json, body: `{"outcome":"dnp","retry_after":"0s"}`, status: 422,
			locations: []string{"body.retry_after"}},
		{name: "complete: final without error", method: "POST", path: step, kind: json, body: `{"outcome":"dnp","final":true}`, status: 422,
			locations: []string{"body.final"}},
		{name: "complete: a long error", method: "POST", path: step, kind: json, body: `{"error":"` + strings.Repeat("x", 4097) + `"}`, status: 422,
			locations: []string{"body.error"}},
		{name: "complete: an error of another attempt", method: "POST", path: step, kind: json, body: `{"error":"busy","attempt":2}`, status: 409, code: "other_attempt"},
		{name: "complete: an error of a finished step", method: "POST", path: endedStep, kind: json, body: `{"error":"busy"}`, status: 409, code: "step_finished"},
		{name: "complete: another type", method: "POST", path: step, kind: csv, body: `{}`, status: 415},
		{name: "complete: another attempt", method: "POST", path: step, kind: json, body: `{"outcome":"completed","attempt":2}`, status: 409, code: "other_attempt"},
		{name: "complete: finished otherwise", method: "POST", path: endedStep, kind: json, body: `{"outcome":"dnp"}`, status: 409, code: "step_finished"},
		{name: "complete: not started", method: "POST", path: "/v1/steps/" + waitingStep + "/complete", kind: json, body: `{"outcome":"x"}`, status: 409, code: "step_not_started"},
		{name: "calls: bad values, every one named", method: "GET",
			path:   "/v1/calls?workflow_id=x&lead_id=y&phone_number=z&status=waiting&from=yesterday&to=1969-01-01T00:00:00Z&limit=x&cursor=!",
			status: 422, locations: []string{"query.limit", "query.workflow_id", "query.lead_id", "query.status", "query.from", "query.to", "query.cursor", "query.phone_number"}},
		{name: "calls: empty filters", method: "GET", path: "/v1/calls?workflow_id=&lead_id=&phone_number=&call_id=&status=&from=&to=", status: 422,
			locations: []string{"query.workflow_id", "query.lead_id", "query.phone_number", "query.call_id", "query.status", "query.from", "query.to"}},
		{name: "calls: misspelled", method: "GET", path: "/v1/calls?lead=x", status: 422, locations: []string{"query.lead"}},
		{name: "calls: to before from", method: "GET", path: "/v1/calls?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", status: 422, locations: []string{"query.to"}},

		{name: "no route", method: "GET", path: "/v1/nothing", status: 404},
		{name: "no route below a route", method: "GET", path: "/v1/nothing/../workflows", status: 404},
		{name: "trailing slash", method: "GET", path: "/v1/nothing/", status: 404},
		{name: "wrong method", method: "PUT", path: active, status: 405},
		{name: "wrong method on a list", method: "DELETE", path: "/v1/calls", status: 405},
		{name: "wrong method on health", method: "POST", path: "/healthz", status: 405},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			r := request{method: c.method, path: c.path, kind: c.kind}
			if c.body != "" || c.kind != "" {
				r.body = strings.NewReader(c.body)
			}
			if c.encoding != "" {
				r.header = map[string]string{"Content-Encoding": c.encoding}
			}
			a := s.send(r).expect(c.status)
			if c.code != "" && a.object()["code"] != c.code {
				t.Errorf("code is not %s: %s", c.code, a)
			}
			want := slices.Sorted(slices.Values(c.locations))
			if got := slices.Sorted(slices.Values(a.locations())); !slices.Equal(got, want) {
				t.Errorf("locations\n\t%q, want\n\t%q: %s", got, want, a)
			}
			if allow := a.header.Get("Allow"); c.status == 405 && allow == "" {
				t.Error("405 without Allow")
			}
		})
	}
	s.t = t
	// None of it has changed anything.
	if got := s.status(waiting); got != "enrolled" {
		t.Errorf("the waiting lead is %s", got)
	}
	if got := s.status(busy); got != "in_step" {
		t.Errorf("the lead in flight is %s", got)
	}
}

func TestARefusalCarriesTheIDsAndTheState(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	l := s.enroll(w, "+14155552671")
	id := l[strings.LastIndexByte(l, '/')+1:]
	p := s.post(w+"/leads", `{"phone_number":"+1 415 555 2671"}`).expect(409).object()
	if p["lead_id"] != id || p["state"] != "enrolled" || p["workflow_id"] != strings.TrimPrefix(w, "/v1/workflows/") {
		t.Errorf("the problem does not name the live lead: %v", p)
	}
	s.delete(l).expect(200)
	if p := s.delete(l).expect(409).object(); p["lead_id"] != id || p["state"] != "removed" {
		t.Errorf("the problem does not name the final lead: %v", p)
	}
}

// fields are what the contract lists of each object, to be there always.
func expectFields(t *testing.T, object map[string]any, fields string) {
	t.Helper()
	for _, name := range strings.Split(fields, ",") {
		if _, ok := object[name]; !ok {
			t.Errorf("no field %s in %v", name, object)
		}
	}
}

func TestObjectsHaveTheFieldsOfTheContract(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	w := s.active(callWaitText)
	const workflowFields = "id,name,description,status,node_count,edge_count,enrolled_leads,counts,created_at,updated_at"
	const leadFields = "id,workflow_id,phone_number,external_id,metadata,time_zone,status,current_node_id,next_action_at,outcome,hold,removal,enrolled_at,updated_at,completed_at"

	a := s.post(w+"/leads", `{"phone_number":"+1 415 555 2671","external_id":"crm-7","time_zone":"Europe/Berlin","metadata":{"age":42,"name":"Ann <3"}}`).expect(201)
	l := a.object()
	expectFields(t, l, leadFields)
	path := w + "/leads/" + l["id"].(string)
	if location := a.header.Get("Location"); location != "leads/"+l["id"].(string) {
		t.Errorf("Location %q", location)
	}
	if l["phone_number"] != "+14155552671" || l["external_id"] != "crm-7" || l["metadata"].(map[string]any)["name"] != "Ann <3" || l["removal"] != nil {
		t.Errorf("the lead is %v", l)
	}
	step := <-steps
	wf := s.get(w).object()
	expectFields(t, wf, workflowFields)
	expectFields(t, wf["counts"].(map[string]any), "enrolled,in_step,pending_removal,removed,completed")
	if wf["node_count"] != 4.0 || wf["edge_count"] != 3.0 || wf["enrolled_leads"] != 1.0 || wf["description"] != "warm leads" {
		t.Errorf("the workflow is %v", wf)
	}

	call := s.get("/v1/calls").object()["data"].([]any)[0].(map[string]any)
	expectFields(t, call, "call_id,step_id,attempt,lead_id,workflow_id,node_id,phone_number,status,outcome,started_at,ended_at,error,data")
	if call["status"] != "in_progress" || call["ended_at"] != nil {
		t.Errorf("the call is %v", call)
	}

	done := s.post("/v1/steps/"+step.String()+"/complete", `{"outcome":"completed","call_id":"c-9","attempt":1,"data":{"score":12345678901234567890}}`).expect(200)
	if o := done.object(); o["step_id"] != step.String() || o["lead_id"] != l["id"] || o["lead_status"] != "enrolled" || len(o) != 3 {
		t.Errorf("the completion is %s", done)
	}
	s.post("/v1/steps/"+step.String()+"/complete", `{"outcome":"completed"}`).expect(200)

	a = s.get(path + "/history").expect(200)
	if !strings.Contains(string(a.body), "12345678901234567890") {
		t.Errorf("a number has lost digits: %s", a)
	}
	h := a.object()
	expectFields(t, h, "id,workflow_id,history")
	entries := h["history"].([]any)
	if len(entries) != 2 {
		t.Fatalf("%d entries: %s", len(entries), a)
	}
	for _, e := range entries {
		expectFields(t, e.(map[string]any), "step_id,node_id,node_label,node_type,status,outcome,call_id,attempts,scheduled_at,entered_at,exited_at,data")
	}
	first := entries[0].(map[string]any)
	if first["node_label"] != "First call" || first["call_id"] != "c-9" || first["outcome"] != "completed" || first["status"] != "completed" {
		t.Errorf("the entry is %v", first)
	}
	expectFields(t, first["attempts"].([]any)[0].(map[string]any), "attempt,started_at,ended_at,status,error,call_id")

	s.delete(path + "?reason=stop&actor=ann").expect(200)
	l = s.get(path).object()
	expectFields(t, l["removal"].(map[string]any), "reason,actor,requested_at,removed_at")
	if r := l["removal"].(map[string]any); r["reason"] != "stop" || r["actor"] != "ann" || r["removed_at"] == nil || l["next_action_at"] != nil {
		t.Errorf("the removed lead is %v", l)
	}
}

func TestAWorkflowComesBackAsItWasSent(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.draft(callWaitText)
	nodes, edges := s.get(w + "/nodes").object()["data"], s.get(w + "/edges").object()["data"]
	if first := nodes.([]any)[0].(map[string]any); first["unknown"] != "fail" {
		t.Errorf("the first node is %v", first)
	}
	body, err := json.Marshal(map[string]any{"name": "Again", "entry": "call", "nodes": nodes, "edges": edges})
	if err != nil {
		t.Fatal(err)
	}
	again := s.draft(string(body))
	if a, b := s.get(w+"/nodes"), s.get(again+"/nodes"); string(a.body) != string(b.body) {
		t.Errorf("nodes\n%s\nbecame\n%s", a, b)
	}
	if a, b := s.get(w+"/edges"), s.get(again+"/edges"); string(a.body) != string(b.body) {
		t.Errorf("edges\n%s\nbecame\n%s", a, b)
	}
	if a := s.get(w + "/diagram").expect(200); !strings.HasPrefix(string(a.body), "flowchart TD\n") || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("the diagram is %q, %s", a.header.Get("Content-Type"), a.body)
	}
}

func TestAWorkflowLivesItsLife(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.draft(onlyWait)
	l := s.enroll(w, "+14155552671")
	expect := func(a answer, status string) {
		t.Helper()
		if got := a.expect(200).object()["status"]; got != status {
			t.Errorf("status %v, want %s", got, status)
		}
	}
	expect(s.patch(w, `{"name":"New name","description":null}`), "draft")
	expect(s.post(w+"/activate", ""), "active")
	expect(s.post(w+"/pause", ""), "paused")
	expect(s.post(w+"/resume", ""), "active")
	copied := s.post(w+"/duplicate", "").expect(201)
	if o := copied.object(); o["name"] != "New name (Copy)" || o["status"] != "draft" || o["enrolled_leads"] != 0.0 {
		t.Errorf("the copy is %s", copied)
	}
	expect(s.post(w+"/cancel", ""), "cancelled")
	if r := s.get(l).object()["removal"].(map[string]any); r["reason"] != "workflow_cancelled" {
		t.Errorf("the lead's removal is %v", r)
	}
	if m := s.delete(w).expect(200).object(); m["message"] != "Workflow deleted." || len(m) != 1 {
		t.Errorf("the answer to DELETE is %v", m)
	}
	s.get(w).expect(http.StatusNotFound)
	s.get(l).expect(http.StatusNotFound)
}

func TestAnEngineThatIsShutDownIsUnavailable(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	if err := s.eng.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.post(w+"/leads", `{"phone_number":"+14155552671"}`).expect(503)
	s.upload(w+"/leads", "phone_number\n+14155552671\n").expect(503)
	s.get("/v1/healthz").expect(503)
	s.get(w).expect(200)
}
