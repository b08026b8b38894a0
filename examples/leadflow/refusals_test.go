package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// TestEveryRefusalOutlivesAKill asks the server for everything that the
// contract refuses, and again after a kill.
func TestEveryRefusalOutlivesAKill(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db", "-upload-limit", "1000")
	def := definition(p, time.Hour)
	const nobody = "wfl_01h455vb4pex5vsknk084sn02q"
	stranger := lead.ID{8: 9}.String()

	draft, active, cancelled := s.create(def, false), s.create(def, true), s.create(def, true)
	if code := s.call("POST", "workflows/"+cancelled+"/cancel", "", nil); code != 200 {
		t.Fatalf("cancelling is answered with %d", code)
	}
	busy := s.enroll(active, "+14155550101")
	p.next(t, "+14155550101").reply(202, "")
	_, step := s.until(active, busy, func(_ leadView, last stepView) bool { return last.Status == "in_progress" })
	gone := s.enroll(draft, "+14155550102")
	if code := s.call("DELETE", leadPath(draft, gone), "", nil); code != 200 {
		t.Fatalf("removing is answered with %d", code)
	}
	over := s.enroll(active, "+14155550103")
	dialled := p.next(t, "+14155550103")
	dialled.reply(200, `{"outcome":"dnp"}`)
	s.until(active, over, status("completed"))

	refusals := []struct {
		method, path, body string
		code               int
	}{
		{"POST", "workflows", `{"name":"","entry":"x","nodes":[],"edges":[]}`, 422},
		{"POST", "workflows", `{`, 422},
		{"GET", "workflows?limit=0", "", 422},
		{"GET", "workflows/" + nobody, "", 404},
		{"PATCH", "workflows/" + nobody, `{"name":"x"}`, 404},
		{"PATCH", "workflows/" + active, `{"status":"paused"}`, 409},
		{"PATCH", "workflows/" + active, `{"name":""}`, 422},
		{"GET", "workflows/" + nobody + "/nodes", "", 404},
		{"GET", "workflows/" + nobody + "/edges", "", 404},
		{"GET", "workflows/" + nobody + "/diagram", "", 404},
		{"POST", "workflows/" + nobody + "/activate", "", 404},
		{"POST", "workflows/" + active + "/activate", "", 409},
		{"POST", "workflows/" + nobody + "/pause", "", 404},
		{"POST", "workflows/" + draft + "/pause", "", 409},
		{"POST", "workflows/" + nobody + "/resume", "", 404},
		{"POST", "workflows/" + active + "/resume", "", 409},
		{"POST", "workflows/" + nobody + "/cancel", "", 404},
		{"POST", "workflows/" + cancelled + "/cancel", "", 409},
		{"POST", "workflows/" + nobody + "/duplicate", "", 404},
		{"DELETE", "workflows/" + nobody, "", 404},
		{"DELETE", "workflows/" + active, "", 409},
		{"POST", "workflows/" + nobody + "/leads", `{"phone_number":"+14155550104"}`, 404},
		{"POST", "workflows/" + active + "/leads", `{"phone_number":"+14155550101"}`, 409},
		{"POST", "workflows/" + cancelled + "/leads", `{"phone_number":"+14155550104"}`, 409},
		{"POST", "workflows/" + active + "/leads", `{"phone_number":"nobody"}`, 422},
		{"GET", "workflows/" + nobody + "/leads", "", 404},
		{"GET", "workflows/" + active + "/leads?limit=101", "", 422},
		{"GET", "workflows/" + active + "/leads?status=lost", "", 422},
		{"GET", leadPath(active, stranger), "", 404},
		{"GET", leadPath(draft, busy), "", 404},
		{"GET", leadPath(active, stranger) + "/history", "", 404},
		{"DELETE", leadPath(nobody, busy), "", 404},
		{"DELETE", leadPath(active, stranger), "", 404},
		{"DELETE", leadPath(draft, busy), "", 404},
		{"DELETE", leadPath(draft, gone), "", 409},
		{"DELETE", leadPath(active, over), "", 409},
		{"POST", "steps/step_01h455vb4pex5vsknk084sn02q/complete", `{"outcome":"completed"}`, 404},
		{"POST", "steps/" + dialled.StepID.String() + "/complete", `{"outcome":"completed"}`, 409},
		{"POST", "steps/" + step.StepID + "/complete", `{"outcome":"completed","attempt":7}`, 409},
		{"POST", "steps/" + step.StepID + "/complete", `{}`, 422},
		{"GET", "calls?from=yesterday", "", 422},
		{"GET", "nowhere", "", 404},
		{"PUT", "workflows", `{}`, 405},
	}
	uploads := []struct {
		workflow, kind, file string
		code                 int
	}{
		{nobody, "text/csv", "phone_number\n+14155550105\n", 404},
		{cancelled, "text/csv", "phone_number\n+14155550105\n", 409},
		{active, "text/csv", "phone_number\n" + strings.Repeat("x", 2000), 413},
		{active, "text/csv", "name\nAda\n", 422},
		{active, "text/plain", "phone_number\n", 415},
	}
	for _, when := range []string{"before the kill", "after it"} {
		for _, r := range refusals {
			if code := s.call(r.method, r.path, r.body, nil); code != r.code {
				t.Errorf("%s: %s %s %s is answered with %d, want %d", when, r.method, r.path, r.body, code, r.code)
			}
		}
		for _, u := range uploads {
			if code := s.upload(u.workflow, u.kind, u.file); code != u.code {
				t.Errorf("%s: an upload of %.20q as %s is answered with %d, want %d", when, u.file, u.kind, code, u.code)
			}
		}
		if code := call(t, "GET", s.url+"/v1/workflows", "", "", nil); code != 401 {
			t.Errorf("%s: without the token the answer is %d", when, code)
		}
		if when == "before the kill" {
			s.kill()
			s = s.restart("-upload-limit", "1000")
		}
	}
	// Nothing of it changed anything: the call in flight goes on.
	if code := s.call("POST", "steps/"+step.StepID+"/complete", `{"outcome":"dnp","attempt":1}`, nil); code != 200 {
		t.Errorf("the outcome is answered with %d", code)
	}
	s.until(active, busy, status("completed"))
}

// upload sends a file of leads and returns the status of the answer.
func (s *testServer) upload(workflow, kind, file string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(limited(s.t), "POST", s.url+"/v1/workflows/"+workflow+"/leads", strings.NewReader(file))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode
}
