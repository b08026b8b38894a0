package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
)

// SignCallback is [webhook.SignCallback]: it returns the signature that lets its
// holder complete the step without the token, for the sig parameter of the step's
// callback URL. It may be called from any goroutine.
func SignCallback(key []byte, step lead.StepID) string { return webhook.SignCallback(key, step) }

// allowed reports whether the request may be made: it has the token, or it
// completes a step with that step's signature.
func (h *Handler) allowed(r *http.Request, pattern string) bool {
	if h.config.Token == "" || h.hasToken(r) {
		return true
	}
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

// hasToken takes the same time for every token of the same length, right or
// wrong, and says nothing of the length of the right one.
func (h *Handler) hasToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(h.config.Token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

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
