package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/engine/signin"
)

const readToken = "only-for-reading"

func TestAReadTokenReadsAndChangesNothing(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token, ReadToken: readToken}, nil)
	wf := s.draft(onlyWait)
	s.token = readToken
	s.get(wf).expect(200)
	s.get("/v1/openapi.json").expect(200)
	s.post("/v1/workflows", onlyWait).expect(403)
	s.post(wf+"/activate", "").expect(403)
	s.patch(wf, `{"name":"x"}`).expect(403)
	s.delete(wf).expect(403)
	s.send(request{method: "PUT", path: "/v1/limits", kind: "application/json", body: strings.NewReader(`{"limits":[]}`)}).expect(403)
	s.token = readToken + "x"
	s.get(wf).expect(401)
	s.token = token
	if got := s.get(wf).expect(200).object()["status"]; got != "draft" {
		t.Errorf("the workflow is %v", got)
	}
}

// cookie signs in at the docs page.
func (s *server) cookie(token string) map[string]string {
	s.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(s.http.URL+"/v1/docs/sign-in", url.Values{"token": {token}})
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) != 1 {
		s.t.Fatalf("sign-in answered %d with the cookies %v", res.StatusCode, res.Cookies())
	}
	c := res.Cookies()[0]
	return map[string]string{"Cookie": c.Name + "=" + c.Value}
}

func TestWhoHasSignedInNeedsNoHeader(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token, ReadToken: readToken}, nil)
	operator, reader := s.cookie(token), s.cookie(readToken)
	s.token = ""
	create := func(cookie map[string]string, more ...string) answer {
		header := map[string]string{"Cookie": cookie["Cookie"]}
		for i := 0; i < len(more); i += 2 {
			header[more[i]] = more[i+1]
		}
		return s.send(request{method: "POST", path: "/v1/workflows", kind: "application/json", body: strings.NewReader(onlyWait), header: header})
	}
	s.send(request{method: "GET", path: "/v1/workflows", header: operator}).expect(200)
	s.send(request{method: "GET", path: "/v1/workflows", header: reader}).expect(200)
	create(operator).expect(201)
	create(operator, "Sec-Fetch-Site", "same-origin").expect(201)
	create(reader).expect(403)
	for _, foreign := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}} {
		create(operator, foreign...).expect(403)
	}
	// A wrong header is not mended by a cookie.
	create(operator, "Authorization", "Bearer wrong").expect(401)
	create(operator, "Authorization", "Basic eDp5").expect(401)
	// A program of another origin that has the token is no browser's cookie.
	create(map[string]string{}, "Authorization", "Bearer "+token, "Origin", "https://shop.test").expect(201)
}

func TestWrongTokensAtTheDocsPageAreLimited(t *testing.T) {
	s := newServer(t, httpapi.Config{Token: token}, nil)
	var got []int
	for range 6 {
		res, err := http.PostForm(s.http.URL+"/v1/docs/sign-in", url.Values{"token": {"wrong"}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		got = append(got, res.StatusCode)
	}
	if got[0] != 401 || got[4] != 401 || got[5] != 429 {
		t.Errorf("answered %v", got)
	}
}

func TestAFaultyTokenIsRefused(t *testing.T) {
	keeper, err := signin.New(signin.Config{Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, httpapi.Config{}, nil)
	for _, c := range []struct {
		config httpapi.Config
		text   string
	}{
		{httpapi.Config{ReadToken: "x"}, "Token: is required"}, {httpapi.Config{SignIn: keeper}, "Token: is required"},
		{httpapi.Config{Token: "x", ReadToken: "x"}, "ReadToken: must not be"}, {httpapi.Config{Token: "x", ReadToken: "a b"}, "ReadToken: has a character"},
	} {
		if _, err := httpapi.New(s.eng, c.config); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}

// The sessions of a Keeper that is given are good in the API.
func TestTheAPITakesTheSessionsOfTheConsole(t *testing.T) {
	keeper, err := signin.New(signin.Config{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, httpapi.Config{Token: token, SignIn: keeper}, nil)
	w := httptest.NewRecorder()
	if _, err := keeper.SignIn(w, httptest.NewRequest("POST", "/", nil), token, ""); err != nil {
		t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	s.token = ""
	s.send(request{method: "GET", path: "/v1/workflows", header: map[string]string{"Cookie": c.Name + "=" + c.Value}}).expect(200)
}
