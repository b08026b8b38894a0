package httpapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

const token = "correct-horse"

func TestEveryRouteButHealthAndTheDocsPageNeedsTheToken(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token}, nil)
	w := s.active(onlyWait)
	for name, header := range map[string]string{
		"none": "", "wrong": "Bearer wrong", "prefix": "Bearer correct", "longer": "Bearer " + token + "x",
		"another scheme": "Basic " + token, "empty": "Bearer ", "two": "Bearer " + token + " x",
	} {
		for _, path := range []string{w, "/v1/workflows", "/v1/openapi.json", "/v1/nothing", "/v1/docs/x", "/v1/calls?token=" + token} {
			a := s.send(request{method: "GET", path: path, header: map[string]string{"Authorization": header}}).expect(401)
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="leadflow"`) {
				t.Errorf("%s: WWW-Authenticate %q", name, got)
			}
		}
		for _, path := range []string{"/healthz", "/v1/healthz", "/v1/docs"} {
			s.send(request{method: "GET", path: path, header: map[string]string{"Authorization": header}}).expect(200)
		}
	}
	s.send(request{method: "GET", path: w, header: map[string]string{"Authorization": "bearer " + token}}).expect(200)
}

func TestASignatureCompletesItsStepAndNothingElse(t *testing.T) {
	key := []byte("0123456789abcdef")
	steps := make(chan lead.StepID, 2)
	s := newServer(t, httpapi.Config{Token: token, CallbackKey: key}, inFlight(steps))
	w := s.active(callWaitText)
	s.enroll(w, "+14155550001")
	step := <-steps
	s.enroll(w, "+14155550002")
	other := <-steps
	s.token = "" // from here on the clients have none
	sig := httpapi.SignCallback(key, step)
	complete := func(step lead.StepID, sig string) answer {
		return s.post("/v1/steps/"+step.String()+"/complete?sig="+sig, `{"outcome":"dnp"}`)
	}
	complete(step, "").expect(401)
	complete(step, "wrong").expect(401)
	complete(other, sig).expect(401)
	complete(step, httpapi.SignCallback([]byte("another key, too"), step)).expect(401)
	s.get("/v1/calls?sig=" + sig).expect(401)
	s.post("/v1/steps/x/complete?sig="+sig, `{"outcome":"dnp"}`).expect(401)
	complete(step, sig).expect(200)
	s.token = token
	complete(other, "wrong").expect(200) // the token is enough
}

func TestWithoutAKeyNoSignatureCounts(t *testing.T) {
	steps := make(chan lead.StepID, 1)
	s := newServer(t, httpapi.Config{Token: token}, inFlight(steps))
	s.enroll(s.active(callWaitText), "+14155550001")
	step := <-steps
	s.token = ""
	s.post("/v1/steps/"+step.String()+"/complete?sig="+httpapi.SignCallback(nil, step), `{"outcome":"dnp"}`).expect(401)
}

func TestTheLogNamesRequestsAndKeepsSecrets(t *testing.T) {
	log := newRequestLog()
	s := newServer(t, httpapi.Config{Token: token, CallbackKey: []byte("0123456789abcdef"), Logger: slog.New(log)}, nil)
	a := s.send(request{method: "GET", path: "/v1/calls?limit=1&phone_number=%2B14155550001", header: map[string]string{"X-Request-Id": "req-1"}}).expect(200)
	if got := a.header.Get("X-Request-Id"); got != "req-1" {
		t.Errorf("X-Request-Id %q", got)
	}
	line := log.until(t, "request_id", "req-1")
	if line["method"] != "GET" || line["path"] != "/v1/calls" || line["status"] != "200" || line["bytes"] != fmt.Sprint(len(a.body)) || line["duration"] == "" {
		t.Errorf("the line is %v", line)
	}
	for path, want := range map[string]string{
		"/v1/contacts/+14155550001/leads": "/v1/contacts/{phone}/leads", "/v1/contacts/%2B14155550001/leads": "/v1/contacts/{phone}/leads",
		"/v1/contacts/+14155550001/receipt": "/v1/contacts/{phone}/receipt",
	} {
		id := fmt.Sprintf("person-%d", len(path))
		s.send(request{method: "GET", path: path, header: map[string]string{"X-Request-Id": id}})
		if line := log.until(t, "request_id", id); line["path"] != want {
			t.Errorf("%s is logged as %s, want %s", path, line["path"], want)
		}
	}
	s.post(noStep+"/complete?sig=s3cr3t", `{"outcome":"dnp"}`).expect(404)
	s.send(request{method: "GET", path: "/v1/workflows?sig=s3cr3t", header: map[string]string{"Authorization": "Bearer not-" + token}}).expect(401)
	for _, bad := range []string{"a b", "x\ty", strings.Repeat("x", 200), "ü", "<b>"} {
		a := s.send(request{method: "GET", path: "/v1/workflows", header: map[string]string{"X-Request-Id": bad}})
		if got := a.header.Get("X-Request-Id"); got == bad || len(got) < 20 {
			t.Errorf("X-Request-Id %q became %q", bad, got)
		}
	}
	close(log.lines)
	for line := range log.lines {
		for key, value := range line {
			for _, secret := range []string{"s3cr3t", token, "14155550001"} {
				if strings.Contains(value, secret) {
					t.Errorf("the log has %s in %s=%s", secret, key, value)
				}
			}
		}
	}
	log.lines = make(chan map[string]string, 1000)
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	for _, path := range []string{"/v1/workflows", "/v1/nothing", "/healthz", "/v1/docs", noWorkflow} {
		h := s.get(path).header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; ") || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, h)
		}
		if h.Get("Link") != "" {
			t.Errorf("%s: Link %q", path, h.Get("Link"))
		}
	}
	if a := s.get("/v1/workflows"); strings.Contains(string(a.body), "$schema") {
		t.Errorf("the answer has a $schema: %s", a)
	}
}

// panicky is a clock that panics when a wait asks it for a timer.
type panicky struct{ *handClock }

func (panicky) AfterFunc(time.Duration, func()) func() bool { panic("the spring is broken") }

func TestAPanicIsLoggedAndAnsweredWithoutItsWords(t *testing.T) {
	handle, called, release := blocked()
	defer close(release)
	log := newRequestLog()
	s := newServer(t, httpapi.Config{Clock: panicky{newHandClock()}, Logger: slog.New(log)}, handle)
	path := s.enroll(s.active(callWaitText), "+14155550002")
	<-called
	a := s.send(request{method: "DELETE", path: path + "?wait=1s", header: map[string]string{"X-Request-Id": "boom"}}).expect(500)
	if strings.Contains(string(a.body), "spring") || strings.Contains(string(a.body), ".go") || !strings.Contains(string(a.body), "boom") {
		t.Errorf("the answer is %s", a)
	}
	line := log.until(t, "request_id", "boom")
	if line["panic"] != "the spring is broken" || !strings.Contains(line["stack"], "remove.go") {
		t.Errorf("the line is %v", line)
	}
	if line := log.until(t, "request_id", "boom"); line["status"] != "500" {
		t.Errorf("the line is %v", line)
	}
}

func TestAnInternalErrorIsLoggedAndNotTold(t *testing.T) {
	log := newRequestLog()
	s := newServer(t, httpapi.Config{Logger: slog.New(log)}, nil)
	w := s.active(onlyWait)
	if err := s.eng.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	a := s.send(request{method: "GET", path: w, header: map[string]string{"X-Request-Id": "broken"}}).expect(500)
	if text := string(a.body); strings.Contains(text, "sql") || strings.Contains(text, "engine:") {
		t.Errorf("the answer is %s", a)
	}
	if line := log.until(t, "request_id", "broken"); !strings.Contains(line["error"], "engine: read") {
		t.Errorf("the line is %v", line)
	}
	s.over = true
}

func TestBodiesHaveTheirLimits(t *testing.T) {
	s := newServer(t, httpapi.Config{MaxBody: 100}, nil)
	w := s.active(onlyWait) // which is longer than MaxBody
	s.post(w+"/leads", `{"phone_number":"`+strings.Repeat("1", 100)+`"}`).expect(413)
	s.patch(w, `{"name":"x","nodes":[]`+strings.Repeat(" ", 16<<20)+`}`).expect(413)
	s.post(noStep+"/complete", `{"outcome":"`+strings.Repeat("1", 100)+`"}`).expect(413)
	s.post("/v1/workflows", strings.Repeat(" ", 16<<20)+`{}`).expect(413)
}

func TestHealthIsCheckedOnceASecond(t *testing.T) {
	clock := newHandClock()
	s := newServer(t, httpapi.Config{Clock: clock}, nil)
	s.get("/healthz").expect(200)
	if err := s.eng.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	clock.pass(999 * time.Millisecond)
	s.get("/v1/healthz").expect(200)
	clock.pass(time.Millisecond)
	s.get("/healthz").expect(503)
	s.get("/v1/healthz").expect(503)
}

func TestTheHandlerCanBeMountedUnderAPrefix(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	h, err := httpapi.New(s.eng, httpapi.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/outreach/", http.StripPrefix("/outreach", h))
	mounted := httptest.NewServer(mux)
	defer mounted.Close()
	at := func(path string) answer {
		resp, err := mounted.Client().Get(mounted.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		a := answer{t: t, status: resp.StatusCode, header: resp.Header}
		a.body = readAll(t, resp.Body)
		return a
	}
	at("/outreach/v1/workflows").expect(200)
	at("/outreach/healthz").expect(200)
	s.get("//v1/workflows").expect(404)
	expectProblem(t, at("/outreach/v1/workflows/").expect(404))
	var doc struct{ Servers []struct{ URL string } }
	at("/outreach/v1/openapi.json").expect(200).into(&doc)
	if len(doc.Servers) != 1 || doc.Servers[0].URL != "/outreach/v1" {
		t.Errorf("servers are %v", doc.Servers)
	}
}

func TestAFaultyConfigNamesEveryFault(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	_, err := httpapi.New(s.eng, httpapi.Config{Token: "a b", CallbackKey: []byte("short"), MaxUpload: -1, MaxBody: -1, MaxWait: -1})
	for _, name := range []string{"Token", "CallbackKey", "MaxUpload", "MaxBody", "MaxWait"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	if _, err := httpapi.New(nil, httpapi.Config{}); err == nil {
		t.Error("no error without an engine")
	}
}
