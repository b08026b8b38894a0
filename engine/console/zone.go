package console

import (
	"net/http"
	"net/url"

	"github.com/leadflow-go/leadflow/lead"
)

type zoneView struct{ Next string }

// zonePage lets people choose a zone whose browser runs no script.
func (h *Handler) zonePage(v *visit) error {
	return v.render("zone", "Time zone", zoneView{Next: v.r.URL.Query().Get("next")})
}

func (h *Handler) setZone(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	name := v.value("zone")
	if loadZone(name) == nil {
		return &lead.InvalidError{Faults: []lead.FieldError{{Location: "zone", Message: "must be an IANA time zone such as Europe/Berlin or UTC"}}}
	}
	http.SetCookie(v.w, &http.Cookie{Name: zoneCookie, Value: url.QueryEscape(name), Path: "/", MaxAge: 365 * 24 * 60 * 60, SameSite: http.SameSiteLaxMode})
	return v.redirect(v.inside(v.r.PostForm.Get("next")))
}
