package signin_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/lead"
)

const token, readToken = "operators-token", "readers-token"

// world is a Keeper whose time the test sets.
type world struct {
	t *testing.T
	*signin.Keeper
	now time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
	w.Keeper = w.keeper(signin.Config{Token: token, ReadToken: readToken})
	return w
}

func (w *world) keeper(c signin.Config) *signin.Keeper {
	w.t.Helper()
	c.Now = func() time.Time { return w.now }
	k, err := signin.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// try signs in from an address, and returns the cookie.
func (w *world) try(from, token, name string) (*http.Cookie, signin.Person, error) {
	w.t.Helper()
	r := httptest.NewRequest("POST", "/sign-in", nil)
	r.RemoteAddr = from
	answer := httptest.NewRecorder()
	who, err := w.SignIn(answer, r, token, name)
	cookies := answer.Result().Cookies()
	if err != nil {
		if len(cookies) > 0 {
			w.t.Errorf("refused, but with the cookie %v", cookies)
		}
		return nil, who, err
	}
	if len(cookies) != 1 {
		w.t.Fatalf("%d cookies", len(cookies))
	}
	return cookies[0], who, nil
}

func (w *world) signIn(token, name string) *http.Cookie {
	w.t.Helper()
	c, _, err := w.try("192.0.2.1:1234", token, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func request(c *http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(c)
	return r
}

func who(t *testing.T, k *signin.Keeper, c *http.Cookie) signin.Person {
	t.Helper()
	p, err := k.Authorize(request(c))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheTokenSaysTheRole(t *testing.T) {
	w := newWorld(t)
	for given, want := range map[string]signin.Role{token: signin.Operator, " " + token + "\n": signin.Operator, readToken: signin.Reader} {
		c := w.signIn(given, "  Ada \n Lovelace ")
		if got := who(t, w.Keeper, c); got != (signin.Person{Role: want, Name: "Ada Lovelace"}) {
			t.Errorf("%q: %+v", given, got)
		}
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure || strings.Contains(c.Value, given) {
			t.Errorf("the cookie %+v", c)
		}
	}
	for _, wrong := range []string{"", "x", token + "x", strings.ToUpper(token)} {
		if _, p, err := w.try("192.0.2.9:1", wrong, ""); !errors.Is(err, signin.ErrWrongToken) || p.Role != signin.Nobody {
			t.Errorf("%q: %+v, %v", wrong, p, err)
		}
		if got := w.RoleOf(wrong); got != signin.Nobody {
			t.Errorf("%q is the token of %s", wrong, got)
		}
	}
}

func TestTheCookieIsSecureOverHTTPS(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("POST", "https://leads.test/sign-in", nil)
	behind := httptest.NewRequest("POST", "/sign-in", nil)
	behind.Header.Set("X-Forwarded-Proto", "https")
	for _, r := range []*http.Request{r, behind} {
		answer := httptest.NewRecorder()
		if _, err := w.SignIn(answer, r, token, ""); err != nil {
			t.Fatal(err)
		}
		if c := answer.Result().Cookies()[0]; !c.Secure {
			t.Errorf("the cookie %+v", c)
		}
	}
}

func TestASessionEnds(t *testing.T) {
	w := newWorld(t)
	c := w.signIn(token, "")
	w.now = w.now.Add(12*time.Hour - time.Second)
	if got := who(t, w.Keeper, c); got.Role != signin.Operator {
		t.Errorf("before its time: %+v", got)
	}
	w.now = w.now.Add(time.Second)
	if got := who(t, w.Keeper, c); got.Role != signin.Nobody {
		t.Errorf("after its time: %+v", got)
	}

	c, other := w.signIn(token, ""), w.signIn(token, "")
	answer := httptest.NewRecorder()
	w.SignOut(answer, request(c))
	if got := who(t, w.Keeper, c); got.Role != signin.Nobody {
		t.Errorf("signed out: %+v", got)
	}
	if got := who(t, w.Keeper, other); got.Role != signin.Operator {
		t.Errorf("another session: %+v", got)
	}
	if gone := answer.Result().Cookies()[0]; gone.Name != c.Name || gone.MaxAge >= 0 || gone.Value != "" {
		t.Errorf("the cookie %+v", gone)
	}
}

func TestASessionIsGoodWhereTheTokenIs(t *testing.T) {
	w := newWorld(t)
	c := w.signIn(token, "")
	again := w.keeper(signin.Config{Token: token, ReadToken: "another"})
	if got := who(t, again, c); got.Role != signin.Operator {
		t.Errorf("after a restart: %+v", got)
	}
	renewed := w.keeper(signin.Config{Token: "renewed", ReadToken: readToken})
	c.Name = w.cookieName(renewed)
	if got := who(t, renewed, c); got.Role != signin.Nobody {
		t.Errorf("after the token was changed: %+v", got)
	}
}

func (w *world) cookieName(k *signin.Keeper) string {
	w.t.Helper()
	answer := httptest.NewRecorder()
	k.SignOut(answer, httptest.NewRequest("POST", "/", nil))
	return answer.Result().Cookies()[0].Name
}

// A reader cannot become an operator by changing the cookie.
func TestAChangedCookieIsNone(t *testing.T) {
	w := newWorld(t)
	c := w.signIn(readToken, "")
	body, seal, _ := strings.Cut(c.Value, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	grown := strings.Replace(string(text), fmt.Sprintf(`"r":%d`, signin.Reader), fmt.Sprintf(`"r":%d`, signin.Operator), 1)
	if grown == string(text) {
		t.Fatalf("%s has no role", text)
	}
	for _, value := range []string{
		base64.RawURLEncoding.EncodeToString([]byte(grown)) + "." + seal, body, body + ".", "." + seal, "", seal + "." + body, c.Value[:len(c.Value)-3],
	} {
		c.Value = value
		if got := who(t, w.Keeper, c); got.Role != signin.Nobody {
			t.Errorf("%q: %+v", value, got)
		}
	}
}

func TestWrongTokensAreLimited(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		if _, _, err := w.try("192.0.2.1:1", "wrong", ""); !errors.Is(err, signin.ErrWrongToken) {
			t.Fatal(err)
		}
	}
	var many *signin.TooManyError
	if _, _, err := w.try("192.0.2.1:2", token, ""); !errors.As(err, &many) || many.RetryAfter <= 0 || many.RetryAfter > 20*time.Second {
		t.Fatalf("the right token after five wrong ones: %v", err)
	}
	if _, _, err := w.try("192.0.2.2:1", token, ""); err != nil {
		t.Errorf("from another address: %v", err)
	}
	w.now = w.now.Add(many.RetryAfter)
	for range 100 { // right ones are not counted
		if _, _, err := w.try("192.0.2.1:2", token, ""); err != nil {
			t.Fatalf("after the pause: %v", err)
		}
	}
	refused := 0
	for i := range 300 { // an IPv6 client has many addresses, and an attacker has many clients
		if _, _, err := w.try(fmt.Sprintf("[2001:db8:0:%x::%x]:1", i, i), "wrong", ""); errors.As(err, &many) {
			refused++
		}
	}
	if refused < 240 {
		t.Errorf("of 300 wrong tokens from as many networks %d were not looked at", refused)
	}
}

func TestTheAddressesOfANetworkShareTheirTries(t *testing.T) {
	w := newWorld(t)
	var many *signin.TooManyError
	for i := range 6 {
		_, _, err := w.try(fmt.Sprintf("[2001:db8::%x]:1", i+1), "wrong", "")
		if errors.As(err, &many) != (i == 5) {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
}

func TestALongNameIsCut(t *testing.T) {
	w := newWorld(t)
	c := w.signIn(token, strings.Repeat("ö", 80)+"\xff")
	if got := who(t, w.Keeper, c).Name; got != strings.Repeat("ö", 50) {
		t.Errorf("%q", got)
	}
}

func TestAFaultyConfigIsRefused(t *testing.T) {
	for _, c := range []struct {
		config signin.Config
		faults int
	}{{signin.Config{}, 1}, {signin.Config{Token: "a", ReadToken: "a", Lifetime: -1}, 2}} {
		_, err := signin.New(c.config)
		var invalid *lead.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Faults) != c.faults {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}
