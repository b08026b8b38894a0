package httpapi_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// The fuzz targets send a body as it is. Whatever is in it, the answer is a
// success or a problem, and never a 5xx.

func fuzzBody(f *testing.F, method, kind string, at func(s *server) string, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	steps := make(chan lead.StepID, 1)
	s := newServer(f, httpapi.Config{MaxUpload: 1 << 16, MaxBody: 1 << 16}, inFlight(steps))
	path := at(s)
	select {
	case step := <-steps:
		path = "/v1/steps/" + step.String() + "/complete"
	default:
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest(method, path, bytes.NewReader(body))
		req.Header.Set("Content-Type", kind)
		expectNo5xx(t, s, req)
	})
}

// expectNo5xx asks the handler without a network between, which a fuzzer has no
// use for.
func expectNo5xx(t *testing.T, s *server, req *http.Request) (status int) {
	t.Helper()
	w := httptest.NewRecorder()
	s.http.Config.Handler.ServeHTTP(w, req)
	a := answer{t, w.Code, w.Header(), w.Body.Bytes()}
	if a.status >= 500 {
		t.Errorf("%s %s: %d %s", req.Method, req.URL, a.status, a.body)
	}
	if a.status >= 400 {
		expectProblem(t, a)
	}
	return a.status
}

func FuzzCreateWorkflow(f *testing.F) {
	fuzzBody(f, "POST", "application/json", func(*server) string { return "/v1/workflows" },
		callWaitText, onlyWait, `{"name":"","entry":"x","nodes":[{"id":"a","type":"time"}]}`, `[]`, `{"nodes":{}}`, "\xff", `null`)
}

func FuzzUpdateWorkflow(f *testing.F) {
	fuzzBody(f, "PATCH", "application/json", func(s *server) string { return s.draft(onlyWait) },
		`{}`, `{"name":"x","description":"y"}`, `{"status":"active"}`, `{"name":null}`, `{"name":"\u0000\ud800"}`, `{"name":1}`)
}

func FuzzEnrollLead(f *testing.F) {
	fuzzBody(f, "POST", "application/json", func(s *server) string { return s.active(onlyWait) + "/leads" },
		`{"phone_number":"+14155552671","metadata":{"n":1e308,"s":"\u0000"},"time_zone":"UTC","external_id":"\u0000x"}`,
		`{"phone_number":"+1415555","metadata":{"a":{"b":[1,null]}}}`, `{"metadata":{"n":-1e999}}`, `{"phone_number":null}`, `"x"`)
}

func FuzzSuppress(f *testing.F) {
	fuzzBody(f, "POST", "application/json", func(*server) string { return "/v1/suppressions" },
		`{"phone_number":"+14155552671","external_id":"\u0000x","linked":true,"channel":"message","expires_at":"2100-01-01T00:00:00Z"}`,
		`{"external_id":"x","expires_at":"9999-12-31T23:59:59+14:00"}`, `{"workflow_id":"wfl_","external_id":null}`, `[]`, "\xff", `{"external_id":"x","reason":1}`)
}

func FuzzSuppressFile(f *testing.F) {
	fuzzBody(f, "POST", "text/csv", func(*server) string { return "/v1/suppressions" },
		"phone_number,expires_at\n+14155552671,2100-01-01\n", "external_id;reason\n\"a\nb\";\n", "phone\n\"open\n+14155552671\n", "\xff\xfep\x00", "external_id\n\x00\n")
}

func FuzzHold(f *testing.F) {
	fuzzBody(f, "POST", "application/json", func(s *server) string { return s.enroll(s.active(onlyWait), "+14155550001") + "/hold" },
		`{"until":"2100-01-01T00:00:00Z","reason":"x","actor":"y"}`, ``, `{"until":"9999-12-31T23:59:59Z"}`, `{"reason":"\ud800"}`, `null`)
}

func FuzzSignal(f *testing.F) {
	fuzzBody(f, "POST", "application/json", func(s *server) string { return s.enroll(s.active(onlyWait), "+14155550001") + "/signals" },
		`{"name":"paid","data":{"n":1e308}}`, `{"name":"\u0000"}`, `{"name":"paid","data":null}`, `{"data":[]}`)
}

func FuzzSetLimits(f *testing.F) {
	fuzzBody(f, "PUT", "application/json", func(*server) string { return "/v1/limits" },
		`{"limits":[{"channel":"voice_call","in_flight":5},{"starts":1,"per":"1m"},{"per_contact":3,"per":"24h"}]}`, `{"limits":[{}]}`, `{"limits":[{"in_flight":1e9}]}`)
}

func FuzzCompleteStep(f *testing.F) {
	fuzzBody(f, "POST", "application/json", func(s *server) string {
		s.enroll(s.active(callWaitText), "+14155550001")
		for { // the handler tells the step, if only after a moment
			if h := s.get("/v1/calls").object()["data"].([]any); len(h) == 1 {
				return "/v1/steps/" + h[0].(map[string]any)["step_id"].(string) + "/complete"
			}
		}
	},
		`{"outcome":"completed","data":{"n":1e308},"call_id":"c","attempt":2}`, `{"outcome":"\u0000","attempt":2}`, `{"attempt":1e2}`,
		`{"outcome":"completed","attempt":9223372036854775808}`, `{"outcome":"ok","data":{"x":[]}}`)
}

func FuzzCompleteStepByForm(f *testing.F) {
	fuzzBody(f, "POST", "application/x-www-form-urlencoded", func(s *server) string {
		s.enroll(s.active(twilio), "+14155550001")
		for { // the handler tells the step, if only after a moment
			if h := s.get("/v1/calls").object()["data"].([]any); len(h) == 1 {
				return "/v1/steps/" + h[0].(map[string]any)["step_id"].(string) + "/complete"
			}
		}
	}, "CallStatus=ringing", "CallStatus=completed&CallSid=%00%ff&CallDuration=%ff", "CallStatus=busy", "CallStatus", "%zz", "a;b", "")
}

func FuzzUpload(f *testing.F) {
	fuzzBody(f, "POST", "text/csv", func(s *server) string { return s.active(onlyWait) + "/leads" },
		"phone_number\n+14155552671\n", "\ufeffphone_number,a\n1,\"\n2", "phone_number,\xff\n+14155552671,\xff\n", "a,a\n", "\"", "", "phone_number,phone_number\n",
		"phone_number,external_id,time_zone\n+14155552671,\x00,Nowhere\n")
}

func FuzzUploadForm(f *testing.F) {
	fuzzBody(f, "POST", "multipart/form-data; boundary=b", func(s *server) string { return s.active(onlyWait) + "/leads" },
		"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nphone_number\n+14155552671\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nphone=\r\n_number\n+1415\r\n--b--",
		"--b--", "--b\r\n\r\n", "")
}

// Whatever is in a query, a route that answers has understood it: it knows every name,
// each once, and nobody is concerned but the lead in the path.
func FuzzQuery(f *testing.F) {
	f.Add("limit=1&page=2&status=enrolled&node_id=wait&phone_number=%2B14155552671&cursor=bGVhZHM6MTp3bGVhZF8w", "x")
	f.Add("wait=1ns&skip_retries=true&reason=%00&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z&a;b", "..")
	f.Add("state=removed&skip_retry=true", "")
	f.Add("status=removed&status=enrolled&phone_number=+4915155501234&&=&limit", "")
	s := newServer(f, httpapi.Config{MaxWait: 1}, nil)
	w := s.active(onlyWait)
	bystander := s.enroll(w, "+14155550101")
	last := func(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
	all := routes(f, s, strings.NewReplacer("{id}", last(w), "{lead}", last(s.enroll(w, "+14155550102")), "{step}", last(strings.TrimSuffix(noStep, "/complete"))))
	bystanderID, err := lead.ParseID(last(bystander))
	if err != nil {
		f.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(r route) bool { return r.method == "POST" }) // which would fill the store with workflows
	f.Fuzz(func(t *testing.T, query, id string) {
		values, err := url.ParseQuery(query)
		for _, r := range all {
			at := url.URL{Path: r.path, RawQuery: query}
			req := httptest.NewRequest(r.method, "/", nil)
			req.URL = &at
			status := expectNo5xx(t, s, req)
			understood := err == nil
			for name, given := range values {
				understood = understood && slices.Contains(r.query, name) && len(given) == 1
			}
			if !understood && status != http.StatusUnprocessableEntity {
				t.Errorf("%s?%s: %d", r, query, status)
			}
		}
		for _, path := range []string{"/v1/workflows/", w + "/leads/", "/v1/leads/"} {
			req := httptest.NewRequest("GET", "/", nil)
			req.URL = &url.URL{Path: path + id, RawQuery: query}
			expectNo5xx(t, s, req)
		}
		if l, err := s.eng.LeadByID(t.Context(), bystanderID); err != nil || l.State != lead.Enrolled {
			t.Fatalf("the bystander is %v, %v", l.State, err)
		}
	})
}
