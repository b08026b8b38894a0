package console

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/leadflow-go/leadflow/engine/signin"
)

// signInView is the page on which people sign in.
type signInView struct {
	Next, Called, Fault string
}

func (h *Handler) signInPage(v *visit) error {
	if v.Who.Role != signin.Nobody {
		return v.redirect(v.inside(v.r.URL.Query().Get("next")))
	}
	return v.render("signin", "Sign in", signInView{Next: v.r.URL.Query().Get("next")})
}

func (h *Handler) signIn(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	next, name := v.r.PostForm.Get("next"), v.value("name")
	_, err := h.config.SignIn.SignIn(v.w, v.r, v.r.PostForm.Get("token"), name)
	var many *signin.TooManyError
	page := signInView{Next: next, Called: name}
	switch {
	case err == nil:
		return v.redirect(v.inside(next))
	case errors.As(err, &many):
		v.status, page.Fault = http.StatusTooManyRequests, "Too many wrong tokens were tried. Try again in "+span(many.RetryAfter)+"."
		v.w.Header().Set("Retry-After", strconv.Itoa(int(many.RetryAfter/time.Second)))
	default:
		v.status, page.Fault = http.StatusUnauthorized, "That is not the token. It is the one that the server was started with, in LEADFLOW_TOKEN."
	}
	return v.render("signin", "Sign in", page)
}

func (h *Handler) signOut(v *visit) error {
	h.config.SignIn.SignOut(v.w, v.r)
	return v.redirect(v.root + "sign-in")
}
