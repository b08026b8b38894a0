package console_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/console"
	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
)

// site is a world with a lead in a call, a suppression and two workflows, and the paths of
// its pages and actions.
type site struct {
	*world
	wf, draft lead.WorkflowID
	lead      lead.Lead
	pages     []string
	actions   []string
}

func newSite(t *testing.T, change ...func(*console.Config)) *site {
	t.Helper()
	w := newWorld(t, append([]func(*console.Config){func(c *console.Config) {
		c.Webhooks = func() []webhook.Host {
			return []webhook.Host{{Name: "https://calls.test:443", Requests: 3, Failures: 3, InARow: 3, Status: "no answer"}}
		}
	}}, change...)...)
	w.inFlight()
	s := &site{world: w, wf: w.callWaitText()}
	s.lead = w.enroll(s.wf, lead.Contact{PhoneNumber: "+14155552671", ExternalID: "crm-7"})
	w.at(s.lead, "call", lead.InStep)
	draft, err := w.eng.DuplicateWorkflow(background, s.wf)
	if err != nil {
		t.Fatal(err)
	}
	s.draft = draft.ID
	sup, err := w.eng.Suppress(background, engine.Suppress{PhoneNumber: "+14155552672", Reason: "asked to stop"})
	if err != nil {
		t.Fatal(err)
	}
	wf, l := "workflows/"+s.wf.String(), "leads/"+s.lead.ID.String()
	s.pages = []string{
		"", "stop", "people/+14155552671", "people/+14155552672", l, "leads", "leads?workflow=" + s.wf.String(), "leads?external_id=crm-7", "workflows", wf,
		wf + "/pause", wf + "/cancel", wf + "/resume", "workflows/" + s.draft.String() + "/activate", "now", "suppressions", "suppressions/" + sup.ID.String(),
		"limits", "audit", "engines", "webhooks", "zone",
	}
	s.actions = []string{
		"people/+14155552671/stop", l + "/remove", l + "/hold", l + "/release", l + "/signal", wf + "/pause", wf + "/resume", wf + "/cancel", wf + "/activate",
		"suppressions", "suppressions/" + sup.ID.String() + "/lift", "limits",
	}
	return s
}

func TestNobodySeesAnythingWithoutSigningIn(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	for _, path := range s.pages {
		p := b.get(path).expect(200)
		if !strings.HasPrefix(p.path, "sign-in?next=") {
			t.Errorf("%s leads to %s", path, p.path)
		}
		p.lacks("4155552671", "Nurture", "crm-7")
	}
	for _, path := range s.actions {
		b.post(path, nil).expect(401)
	}
	if l, err := s.eng.LeadByID(background, s.lead.ID); err != nil || l.State != lead.InStep {
		t.Errorf("the lead is %s, %v", l.State, err)
	}
}

func TestSigningInLeadsBackToThePage(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"leads/" + s.lead.ID.String(), "leads?workflow=" + s.wf.String() + "&status=in_step", "people/%2B14155552671", ""} {
		b := s.browser()
		next := strings.TrimPrefix(b.get(path).expect(200).path, "sign-in?next=")
		next, err := url.QueryUnescape(next)
		if err != nil {
			t.Fatal(err)
		}
		if p := b.post("sign-in", url.Values{"token": {token}, "next": {next}}).expect(200); p.path != path {
			t.Errorf("%s leads to %s", path, p.path)
		}
	}
	for _, elsewhere := range []string{"//evil.test", "https://evil.test/", "/etc", "\\\\evil.test", "..//../../x", "a\r\nb", "javascript:alert(1)", "../../other"} {
		b := s.browser()
		if p := b.post("sign-in", url.Values{"token": {token}, "next": {elsewhere}}).expect(200); p.path != "" {
			t.Errorf("%q leads to %s", elsewhere, p.path)
		}
	}
}

func TestAReaderSeesEverythingAndChangesNothing(t *testing.T) {
	s := newSite(t)
	before, _ := s.eng.Audit(background, engine.AuditFilter{})
	b := s.as(readToken)
	for _, path := range s.pages {
		p := b.get(path).expect(200).has("Ada, read-only")
		for _, form := range p.forms("post") {
			if action := attribute(form, "action"); !strings.HasSuffix(action, "sign-out") && !strings.HasSuffix(action, "zone") {
				t.Errorf("%s has a form for %s", path, action)
			}
		}
	}
	for _, path := range s.actions {
		b.post(path, url.Values{"name": {"paid"}, "reason": {"x"}}).expect(403).has("You may look, but not change anything")
	}
	if got, _ := s.eng.Audit(background, engine.AuditFilter{}); len(got) != len(before) {
		t.Errorf("the audit trail has %d entries more: %+v", len(got)-len(before), got)
	}
}

func TestAWrongTokenAndTooManyOfThem(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	for range 5 {
		b.post("sign-in", url.Values{"token": {"wrong"}, "name": {"<b>"}}).expect(401).has("That is not the token.")
	}
	p := b.post("sign-in", url.Values{"token": {token}}).expect(429).has("Too many wrong tokens")
	if p.header.Get("Retry-After") == "" {
		t.Error("it is not said when to try again")
	}
	b.get("leads").expect(200).has("Sign in").lacks("Ada")
}

func TestSigningOutEndsTheSession(t *testing.T) {
	s := newSite(t)
	b := s.as(token)
	b.get("leads").expect(200).has("Choose a workflow")
	b.post("sign-out", nil).expect(200).has("Sign in")
	if p := b.get("leads").expect(200); !strings.HasPrefix(p.path, "sign-in") {
		t.Errorf("leads to %s", p.path)
	}
}

// A page of another site cannot have the browser of an operator do anything.
func TestOtherSitesAreKeptOut(t *testing.T) {
	s := newSite(t)
	b := s.as(token)
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.test"}}} {
		for _, path := range append(s.actions, "sign-out", "sign-in", "zone") {
			r, err := http.NewRequest("POST", s.url+path, strings.NewReader("reason=x"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = header.Clone()
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			b.do(r).expect(403).has("Another site has made this request")
		}
	}
	if l, err := s.eng.LeadByID(background, s.lead.ID); err != nil || l.State != lead.InStep {
		t.Errorf("the lead is %s, %v", l.State, err)
	}
}

func TestAProgramBringsItsOwnAuthorization(t *testing.T) {
	s := newSite(t, func(c *console.Config) {
		c.SignIn = nil
		c.Authorize = func(r *http.Request) (signin.Person, error) {
			switch r.Header.Get("X-User") {
			case "ada":
				return signin.Person{Role: signin.Operator, Name: "ada@example.com"}, nil
			case "rob":
				return signin.Person{Role: signin.Reader, Name: "rob@example.com"}, nil
			case "down":
				return signin.Person{}, errors.New("the directory s3cret.internal is down")
			}
			return signin.Person{}, nil
		}
	})
	as := func(user, method, path string) page {
		t.Helper()
		r, err := http.NewRequest(method, s.url+path, strings.NewReader("reason=because"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User", user)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return s.browser().do(r)
	}
	l := "leads/" + s.lead.ID.String()
	as("", "GET", l).expect(403).has("You may not see this").lacks("Sign in")
	as("rob", "GET", l).expect(200).lacks("Sign out")
	as("down", "GET", l).expect(503).lacks("s3cret")
	if !strings.Contains(s.log.String(), "s3cret.internal is down") {
		t.Errorf("the log does not say why: %s", s.log)
	}
	r, _ := http.NewRequest("GET", s.url+"sign-in", nil)
	s.browser().do(r).expect(404)
	as("rob", "POST", l+"/hold").expect(403)
	rq, _ := http.NewRequest("POST", s.url+l+"/hold", strings.NewReader("reason=because"))
	rq.Header.Set("X-User", "ada")
	rq.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		t.Errorf("hold answered %d", res.StatusCode)
	}
	if got, err := s.eng.LeadByID(background, s.lead.ID); err != nil || got.Hold == nil || got.Hold.Actor != "ada@example.com" {
		t.Errorf("the lead is %+v, %v", got, err)
	}
}

func TestEitherSignInOrAuthorizeIsRequired(t *testing.T) {
	w := newWorld(t)
	keeper, err := signin.New(signin.Config{Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []console.Config{{}, {SignIn: keeper, Authorize: console.Everybody}} {
		if _, err := console.New(w.eng, c); !errors.Is(err, lead.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := console.New(nil, console.Config{Authorize: console.Everybody}); err == nil {
		t.Error("without an engine")
	}
}

func TestEveryAnswerHasAStrictPolicy(t *testing.T) {
	s := newSite(t)
	b := s.as(token)
	for _, path := range append(s.pages, "nowhere", "static/console.css", "static/nothing.js") {
		p := b.get(path)
		policy := p.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if p.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be taken for another type", path)
		}
		if !strings.HasPrefix(path, "static/") && p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %q", path, p.header.Get("Cache-Control"))
		}
	}
}
