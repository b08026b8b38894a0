package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// server is an engine on a real SQLite file behind a handler on loopback.
type server struct {
	t     testing.TB
	eng   *engine.Engine
	store *sqlite.Store
	http  *httptest.Server
	token string
	check *contract
	over  bool // the test has closed engine and store

	mu     sync.Mutex
	handle engine.HandlerFunc // nil succeeds at once
}

// quiet drops what is logged.
var quiet = slog.New(slog.DiscardHandler)

func newServer(t testing.TB, c httpapi.Config, handle engine.HandlerFunc) *server {
	t.Helper()
	s := &server{t: t, handle: handle, token: c.Token}
	var err error
	if s.store, err = sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "leads.db"), sqlite.Options{}); err != nil {
		t.Fatal(err)
	}
	each := engine.HandlerFunc(func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		s.mu.Lock()
		handle := s.handle
		s.mu.Unlock()
		if handle == nil {
			return engine.Result{}, nil
		}
		return handle(ctx, a)
	})
	s.eng, err = engine.New(s.store, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": each, "message": each},
		Logger:   quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.eng.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.Logger == nil {
		c.Logger = quiet
	}
	h, err := httpapi.New(s.eng, c)
	if err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewServer(h)
	t.Cleanup(s.close)
	s.check = newContract(t, s.get("/v1/openapi.json").body)
	return s
}

func (s *server) close() {
	s.http.Close()
	if s.over {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.eng.Shutdown(ctx); err != nil {
		s.t.Errorf("Shutdown: %v", err)
	}
	if err := s.store.Close(); err != nil {
		s.t.Errorf("Close: %v", err)
	}
}

// contract validates answers against the OpenAPI document.
type contract struct {
	mu        sync.Mutex
	validator validator.Validator
}

func newContract(t testing.TB, document []byte) *contract {
	t.Helper()
	doc, err := libopenapi.NewDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if errs != nil {
		t.Fatal(errs)
	}
	return &contract{validator: v}
}

// answer is a response, read to its end.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string {
	return http.StatusText(a.status) + " " + string(a.body)
}

// into decodes the body.
func (a answer) into(to any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, to); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
}

func (a answer) object() map[string]any {
	a.t.Helper()
	var out map[string]any
	a.into(&out)
	return out
}

func (a answer) expect(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// locations are the places of the faults that a problem names.
func (a answer) locations() []string {
	a.t.Helper()
	var p struct {
		Errors []struct{ Location, Message string }
	}
	a.into(&p)
	var out []string
	for _, e := range p.Errors {
		if e.Location == "" || e.Message == "" {
			a.t.Errorf("a fault without location or message: %s", a.body)
		}
		out = append(out, e.Location)
	}
	return out
}

// request is what do sends; the zero value of each field is left out.
type request struct {
	method, path, kind string
	body               io.Reader
	header             map[string]string
}

// send makes a request and validates its answer.
func (s *server) send(r request) answer {
	s.t.Helper()
	a, err := s.try(context.Background(), r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return a
}

func (s *server) try(ctx context.Context, r request) (answer, error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, r.method, s.http.URL+r.path, r.body)
	if err != nil {
		return answer{}, err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{s.t, resp.StatusCode, resp.Header, body}
	s.validate(req, a)
	return a, nil
}

// validate holds an answer against the contract: the document for a route
// that it has, and the form of problems for every refusal.
func (s *server) validate(req *http.Request, a answer) {
	s.t.Helper()
	if a.status >= 400 {
		expectProblem(s.t, a)
	}
	if s.check == nil || a.status == http.StatusMethodNotAllowed || !strings.HasPrefix(req.URL.Path, "/v1/") {
		return
	}
	if strings.HasPrefix(req.URL.Path, "/v1/docs") || strings.HasPrefix(req.URL.Path, "/v1/openapi") ||
		strings.HasPrefix(req.URL.Path, "/v1/nothing") {
		return
	}
	again, _ := http.NewRequest(req.Method, req.URL.String(), nil)
	s.check.mu.Lock()
	defer s.check.mu.Unlock()
	ok, errs := s.check.validator.ValidateHttpResponse(again, &http.Response{
		StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: again,
	})
	if !ok {
		for _, e := range errs {
			s.t.Errorf("%s %s answered %d %s\n\tagainst the document: %s: %s %v", req.Method, req.URL.Path, a.status, a.body, e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

func expectProblem(t testing.TB, a answer) {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("status %d with Content-Type %q: %s", a.status, kind, a.body)
		return
	}
	p := a.object()
	if p["type"] != "about:blank" || p["title"] != http.StatusText(a.status) || p["status"] != float64(a.status) || p["detail"] == "" || p["detail"] == nil {
		t.Errorf("status %d with a problem that lacks a member: %s", a.status, a.body)
	}
}

func (s *server) get(path string) answer {
	s.t.Helper()
	return s.send(request{method: "GET", path: path})
}

func (s *server) delete(path string) answer {
	s.t.Helper()
	return s.send(request{method: "DELETE", path: path})
}

func (s *server) post(path, body string) answer {
	s.t.Helper()
	r := request{method: "POST", path: path}
	if body != "" {
		r.kind, r.body = "application/json", strings.NewReader(body)
	}
	return s.send(r)
}

func (s *server) patch(path, body string) answer {
	s.t.Helper()
	return s.send(request{method: "PATCH", path: path, kind: "application/json", body: strings.NewReader(body)})
}

func (s *server) upload(path, csv string) answer {
	s.t.Helper()
	return s.send(request{method: "POST", path: path, kind: "text/csv", body: strings.NewReader(csv)})
}

// The workflow of most tests: a call, two days, a message.
const callWaitText = `{"name":"Nurture","description":"warm leads","entry":"call",
	"nodes":[{"id":"call","type":"voice_call","label":"First call","config":{"url":"x"},"retry":{"max_attempts":2,"delay":"30m"},"timeout":"2h","unknown":"fail"},
		{"id":"wait","type":"time","config":{"duration":"48h"}},{"id":"text","type":"message"},{"id":"done","type":"converted"}],
	"edges":[{"from":"call","to":"wait","label":"completed"},{"from":"wait","to":"text"},{"from":"text","to":"done","label":"success"}]}`

// onlyWait is a workflow whose leads do nothing for two days.
const onlyWait = `{"name":"Wait","entry":"wait","nodes":[{"id":"wait","type":"time","config":{"duration":"48h"}},{"id":"done","type":"converted"}],
	"edges":[{"from":"wait","to":"done"}]}`

// draft creates a workflow and returns its path.
func (s *server) draft(body string) string {
	s.t.Helper()
	return "/v1/workflows/" + s.post("/v1/workflows", body).expect(201).object()["id"].(string)
}

func (s *server) active(body string) string {
	s.t.Helper()
	path := s.draft(body)
	s.post(path+"/activate", "").expect(200)
	return path
}

// enroll enrolls a contact and returns the lead's path.
func (s *server) enroll(workflow, phone string) string {
	s.t.Helper()
	a := s.post(workflow+"/leads", `{"phone_number":"`+phone+`"}`).expect(201)
	return workflow + "/leads/" + a.object()["id"].(string)
}

// status is a lead's status.
func (s *server) status(path string) string {
	s.t.Helper()
	return s.get(path).expect(200).object()["status"].(string)
}

// inFlight returns a handler that answers in flight and sends the step.
func inFlight(steps chan<- lead.StepID) engine.HandlerFunc {
	return func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		steps <- a.StepID
		return engine.InFlight(""), nil
	}
}

const (
	noWorkflow = "/v1/workflows/wfl_01kaqf5y8sf3x8zq0h0m9d2c7r"
	noLead     = "wlead_01kaqf5y8sf3x8zq0h0m9d2c7r"
	noStep     = "/v1/steps/step_01kaqf5y8sf3x8zq0h0m9d2c7r"
)
