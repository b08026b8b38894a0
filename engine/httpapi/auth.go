package httpapi

import (
	"net/http"
	"strings"

	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
)

// SignCallback is [webhook.SignCallback]: it returns the signature that lets its
// holder complete the step without the token, for the sig parameter of the step's
// callback URL. It may be called from any goroutine.
func SignCallback(key []byte, step lead.StepID) string { return webhook.SignCallback(key, step) }

// access knows who may make a request; the zero access lets everybody do everything.
type access struct {
	tokens   *signin.Keeper // nil if no token is needed
	sessions *signin.Keeper // of people in a browser
	origins  *http.CrossOriginProtection
}

func newAccess(c Config) (access, error) {
	if c.Token == "" {
		return access{}, nil
	}
	tokens, err := signin.New(signin.Config{Token: c.Token, ReadToken: c.ReadToken})
	if err != nil {
		return access{}, err
	}
	a := access{tokens: tokens, sessions: c.SignIn, origins: http.NewCrossOriginProtection()}
	if a.sessions == nil {
		a.sessions = tokens
	}
	return a, nil
}

// needed reports whether a request needs a token.
func (a *access) needed() bool { return a.tokens != nil }

// roleOf returns the role of whoever makes a request, by its header or, without one, by
// its cookie. A request with a cookie that another site has made is nobody's.
func (a *access) roleOf(r *http.Request) (role signin.Role, foreign bool) {
	if !a.needed() {
		return signin.Operator, false
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return signin.Nobody, false
		}
		return a.tokens.RoleOf(strings.TrimSpace(token)), false
	}
	who, _ := a.sessions.Authorize(r) // has no error
	if who.Role != signin.Nobody && a.origins.Check(r) != nil {
		return signin.Nobody, true
	}
	return who.Role, false
}

// refuse refuses a request that may not be made. It reports whether it did. A request may
// be made with the token, or with the read token if it changes nothing, or if it
// completes a step with that step's signature.
func (h *Handler) refuse(x *exchange, r *http.Request, pattern string) bool {
	role, foreign := h.access.roleOf(r)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case role == signin.Operator, role == signin.Reader && reads, h.signed(r, pattern):
		return false
	case foreign:
		x.problem(newProblem(http.StatusForbidden, "another site has made this request; send the token in the header Authorization: Bearer <token>"))
	case role == signin.Reader:
		x.problem(newProblem(http.StatusForbidden, "this token may only read; use the operator's token"))
	default:
		h.refuseStranger(x, r)
	}
	return true
}

// signed reports whether the request completes a step with that step's signature.
func (h *Handler) signed(r *http.Request, pattern string) bool {
	if len(h.config.CallbackKey) == 0 || pattern != completePattern {
		return false
	}
	signature := r.URL.Query().Get("sig")
	path, _ := strings.CutPrefix(r.URL.Path, stepsPath)
	id, _ := strings.CutSuffix(path, "/complete")
	step, err := lead.ParseStepID(id)
	return err == nil && webhook.VerifyCallback(h.config.CallbackKey, step, signature) == nil
}

const (
	stepsPath       = basePath + "/steps/"
	completePattern = "POST " + stepsPath + "{step}/complete"
)

func (h *Handler) refuseStranger(x *exchange, r *http.Request) {
	challenge := `Bearer realm="leadflow"`
	if r.Header.Get("Authorization") != "" {
		challenge += `, error="invalid_token"`
	}
	x.Header().Set("WWW-Authenticate", challenge)
	says := "the request needs the header Authorization: Bearer <token>"
	if r.URL.Query().Has("sig") {
		says = "the signature in sig is not that of this step's callback URL; use callback_url as it was sent, or the header Authorization: Bearer <token>"
	}
	x.problem(newProblem(http.StatusUnauthorized, says))
}
