package httpapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
)

// route is an operation of the OpenAPI document.
type route struct {
	method, path string // with ids of nothing in it
	query        []string
	takesBody    bool
}

func (r route) String() string { return r.method + " " + r.path }

// routes are the operations of the document, with ids in their paths.
func routes(t testing.TB, s *server, ids *strings.Replacer) (out []route) {
	t.Helper()
	_, paths := document(t, s)
	for path, item := range paths {
		for method, o := range item {
			r := route{method: strings.ToUpper(method), path: "/v1" + ids.Replace(path), takesBody: len(o.RequestBody.Content) > 0}
			for _, p := range o.Parameters {
				if p.In == "query" {
					r.query = append(r.query, p.Name)
				}
			}
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b route) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// A filter that is not understood must mean nobody: no route looks past what it does
// not know.
func TestEveryRouteRefusesWhatItDoesNotKnow(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	workflow := s.active(onlyWait)
	lead := s.enroll(workflow, "+14155550101")
	last := func(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
	// Routes by the ids of what there is: each would do what it is for.
	all := routes(t, s, strings.NewReplacer("{id}", last(workflow), "{lead}", last(lead), "{step}", last(strings.TrimSuffix(noStep, "/complete"))))
	if len(all) < 20 {
		t.Fatalf("the document has %d routes", len(all))
	}
	all = append(all, route{method: "GET", path: "/healthz"})
	// Of these an empty value is the default, which selects nobody.
	mayBeEmpty := []string{"limit", "page", "cursor", "reason", "actor", "sig"}
	refused := func(r route, query, location, message string) {
		t.Helper()
		a := s.send(request{method: r.method, path: r.path + "?" + query}).expect(422)
		if got := a.locations(); !slices.Equal(got, []string{location}) {
			t.Errorf("%s?%s: faults at %q, want %q", r, query, got, location)
		}
		if detail := a.object()["detail"].(string); !strings.Contains(detail, message) {
			t.Errorf("%s?%s: %s, want %s", r, query, detail, message)
		}
	}
	for _, r := range all {
		if len(r.query) == 0 {
			refused(r, "state=removed", "query.state", "is unknown; this route takes no query parameters")
		} else {
			refused(r, "zzzzzzzz=1", "query.zzzzzzzz", "is unknown; the query parameters here are "+strings.Join(r.query, ", "))
		}
		for _, name := range r.query {
			for _, typo := range []string{name + "s", strings.ToUpper(name), name[:len(name)-1], strings.ReplaceAll(name, "_", "-")} {
				if !slices.Contains(r.query, typo) {
					refused(r, typo+"=1", "query."+typo, "did you mean "+name+"?")
				}
			}
			refused(r, name+"=1&"+name+"=1", "query."+name, "is given 2 times")
			if !slices.Contains(mayBeEmpty, name) {
				refused(r, name+"=", "query."+name, "must not be empty")
				refused(r, name, "query."+name, "must not be empty")
				refused(r, name+"=%20%09", "query."+name, "must not be empty")
			}
		}
		s.send(request{method: r.method, path: r.path + "?a=%zz"}).expect(422)
		s.send(request{method: r.method, path: r.path + "?a;b"}).expect(422)
		if r.takesBody {
			continue
		}
		for _, kind := range []string{"", "application/json", "text/plain"} {
			a := s.send(request{method: r.method, path: r.path, kind: kind, body: strings.NewReader(`{"status":"removed"}`)}).expect(422)
			want := []string{"body"}
			if r.method == "POST" {
				want = []string{"body.status"}
			}
			if got := a.locations(); !slices.Equal(got, want) {
				t.Errorf("%s with a body: faults at %q, want %q", r, got, want)
			}
		}
	}
	if got := s.status(lead); got != "enrolled" {
		t.Errorf("the lead is %s", got)
	}
	if got := s.get(workflow).expect(200).object()["status"]; got != "active" {
		t.Errorf("the workflow is %v", got)
	}
}

func TestARouteWithoutABodyTakesAnEmptyObject(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	for _, body := range []string{"{}", " {}\n", " "} {
		s.post(w+"/pause", body).expect(200)
		s.post(w+"/resume", body).expect(200)
	}
	for body, want := range map[string]string{
		"[]":                       "body: must be a JSON object",
		"pause":                    "body: is not JSON: invalid character 'p' looking for beginning of value (line 1, column 1)",
		`{"dry_run":true}`:         "body.dry_run: is unknown; this route takes no fields",
		strings.Repeat(" ", 2<<20): "the body has more than 1048576 bytes",
	} {
		a := s.send(request{method: "POST", path: w + "/pause", kind: "application/json", body: strings.NewReader(body)})
		if got := a.object()["detail"]; got != want {
			t.Errorf("%.20s: %v, want %s", body, got, want)
		}
	}
	if got := s.get(w).object()["status"]; got != "active" {
		t.Errorf("the workflow is %v", got)
	}
}

func TestTheNearestNameIsNamed(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	l := s.enroll(w, "+14155550101")
	detail := func(a answer) string { return a.expect(422).object()["detail"].(string) }
	for path, want := range map[string]string{
		w + "/leads?state=removed":     "query.state: is unknown; did you mean status? The query parameters here are status, ",
		w + "/leads?phone=%2B49155501": "query.phone: is unknown; did you mean phone_number? ",
		w + "/leads?node=wait":         "query.node: is unknown; did you mean node_id? ",
		w + "/leads?externalId=7":      "query.externalId: is unknown; did you mean external_id? ",
		w + "/leads?offset=7":          "query.offset: is unknown; the query parameters here are ",
		"/v1/calls?workflow=x":         "query.workflow: is unknown; did you mean workflow_id? ",
		"/v1/calls?number=x":           "query.number: is unknown; did you mean phone_number? ",
	} {
		if got := detail(s.get(path)); !strings.HasPrefix(got, want) {
			t.Errorf("%s\n\t%s\nwant\t%s", path, got, want)
		}
	}
	if got, want := detail(s.delete(l+"?skip_retry=true")), "query.skip_retry: is unknown; did you mean skip_retries? "; !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := detail(s.patch(l, `{"timezone":"UTC"}`)), "body.timezone: is unknown; did you mean time_zone? The fields here are "; !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// A path with something else in place of an id never reaches another route, nor
// anything at all.
func TestAPathParameterThatIsNoIDNamesNothing(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	workflow := s.active(onlyWait)
	lead := s.enroll(workflow, "+14155550101")
	last := func(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
	for _, bad := range []string{
		" ", ".", "..", "*", "%", "null", "undefined", "{id}", "all", "0", "+14155550101", " 14155550101", "\x00", "\xff", "ü",
		strings.ToUpper(last(lead)), " " + last(lead), last(lead) + " ", last(lead) + "/", "/" + last(lead), last(lead)[:20], last(lead) + "0",
		last(lead) + ";x=1", last(lead) + "," + last(lead), strings.Repeat("x", 4000),
	} {
		for _, r := range routes(t, s, strings.NewReplacer("{id}", last(workflow), "{lead}", url.PathEscape(bad), "{step}", url.PathEscape(bad))) {
			if !strings.Contains(r.path, url.PathEscape(bad)) || !strings.Contains(r.path, "/leads/") && !strings.Contains(r.path, "/steps/") {
				continue
			}
			kind, body := "", ""
			if r.takesBody {
				kind, body = "application/json", `{}`
				if strings.Contains(r.path, "/steps/") {
					body = `{"outcome":"completed"}`
				}
			}
			a := s.send(request{method: r.method, path: r.path, kind: kind, body: strings.NewReader(body)})
			if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d %s", r, a.status, a.body)
			}
		}
	}
	if got := s.status(lead); got != "enrolled" {
		t.Errorf("the lead is %s", got)
	}
}

func TestAPlusThatCameAsABlankIsUnderstood(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	s.enroll(w, "+4915155501234")
	s.enroll(w, "+14155550101")
	for _, number := range []string{"+4915155501234", "%204915155501234", "%2B4915155501234", "+49+151+5550+1234", "+%204915155501234", "%2B49%20151-55501234"} {
		got := ids(s.get(w+"/leads?phone_number="+number).expect(200).object(), "phone_number")
		if !slices.Equal(got, []string{"+4915155501234"}) {
			t.Errorf("%s finds %q", number, got)
		}
	}
	s.get("/v1/calls?phone_number=+4915155501234").expect(200)
	for _, number := range []string{"+", "%20%20", "4915155501234", "++"} {
		s.get(w + "/leads?phone_number=" + number).expect(422)
	}
}
