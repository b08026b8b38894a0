package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// visit is one request, and what its page needs to know of it.
type visit struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	Who  signin.Person
	root string // the relative path from this page to the console's root, with a slash
	zone *time.Location
	now  time.Time

	definitions map[lead.WorkflowID]*workflow.Definition
	status      int // of the answer, if it is not 200
	tables      []*table
}

func (h *Handler) newVisit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{h: h, w: w, r: r, now: h.config.Now(), root: "./" + strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)}
	v.zone = zoneOf(r)
	return v
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// To returns the address of a page of the console, from this one. The parts of its path
// may be any text.
func (v *visit) To(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = url.PathEscape(part)
	}
	return v.root + strings.Join(escaped, "/")
}

// ToAPI returns the address of a route of the HTTP API, or "" if it is not known. query
// may be nil.
func (v *visit) ToAPI(query url.Values, parts ...string) string {
	if v.h.config.API == "" {
		return ""
	}
	to := strings.TrimSuffix(v.h.config.API, "/")
	if !strings.HasPrefix(to, "/") && !strings.Contains(to, "://") {
		to = v.root + to
	}
	for _, part := range parts {
		to += "/" + url.PathEscape(part)
	}
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	return to
}

// Operates reports whether the person may change things.
func (v *visit) Operates() bool { return v.Who.Role == signin.Operator }

// live reports whether the page's script has asked, to put what has changed in place.
func (v *visit) live() bool { return v.r.Header.Get("X-Leadflow-Live") != "" }

var (
	errSignIn    = errors.New("sign in first")
	errForbidden = errors.New("you may look, but not change anything: sign in with the operator's token")
	errStranger  = errors.New("you may not see this")
	errCross     = errors.New("another site has made this request, so nothing was done")
	errNoPage    = errors.New("there is no such page")
	errPanic     = errors.New("something went wrong inside; the server's log says what")
)

// unknownError is of an Authorize that could not tell who it is.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return "it cannot be told who you are; try again" }
func (e *unknownError) Unwrap() error { return e.err }

// admit finds out who asks, and returns an error unless the person has the role.
func (v *visit) admit(least signin.Role) error {
	if err := v.h.guard.Check(v.r); err != nil {
		return errCross
	}
	who, err := v.h.config.Authorize(v.r)
	if err != nil {
		return &unknownError{err}
	}
	v.Who = who
	switch {
	case who.Role >= least:
		return nil
	case who.Role == signin.Nobody && v.h.config.SignIn != nil:
		return errSignIn
	case who.Role == signin.Nobody:
		return errStranger
	}
	return errForbidden
}

// maxForm is the most bytes of a form.
const maxForm = 64 << 10

// form reads the form of a POST.
func (v *visit) form() error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return &lead.InvalidError{Faults: []lead.FieldError{{Message: "the form cannot be read: " + err.Error()}}}
	}
	return nil
}

// value is a field of the form, without white space around it.
func (v *visit) value(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

// actor names the person in the audit trail.
func (v *visit) actor() string {
	if v.Who.Name != "" {
		return v.Who.Name
	}
	return "console"
}

// redirect sends the browser on to a page.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// fail answers with an error.
func (v *visit) fail(err error) {
	status, title := http.StatusInternalServerError, "Something went wrong"
	var unknown *unknownError
	switch {
	case errors.Is(err, errSignIn):
		if v.r.Method == http.MethodGet && !v.live() {
			_ = v.redirect(v.root + "sign-in?next=" + url.QueryEscape(v.here()))
			return
		}
		status, title = http.StatusUnauthorized, "Not signed in"
	case errors.Is(err, errForbidden), errors.Is(err, errCross), errors.Is(err, errStranger):
		status, title = http.StatusForbidden, "Not allowed"
	case errors.Is(err, errNoPage), errors.Is(err, lead.ErrNotFound):
		status, title = http.StatusNotFound, "Not found"
	case errors.Is(err, lead.ErrConflict):
		status, title = http.StatusConflict, "That is not possible now"
	case errors.Is(err, lead.ErrInvalid):
		status, title = http.StatusUnprocessableEntity, "Something is wrong with what was entered"
	case errors.As(err, &unknown), errors.Is(err, store.ErrUnavailable), errors.Is(err, engine.ErrNotRunning):
		status, title = http.StatusServiceUnavailable, "Not available just now"
		v.w.Header().Set("Retry-After", "2")
	case v.ctx().Err() != nil: // the browser is gone
		return
	}
	if status >= http.StatusInternalServerError {
		v.h.log.ErrorContext(v.ctx(), "leadflow: a page of the console failed", slog.String("page", v.pattern()), slog.Any("error", errors.Join(err, errors.Unwrap(err))))
	}
	v.status = status
	if err := v.render("error", title, failure{Status: status, Faults: faultsOf(err)}); err != nil {
		http.Error(v.w, title, status)
	}
}

// pattern names the page without what is in its address.
func (v *visit) pattern() string { return v.r.Pattern }

// failure is what the page of an error says.
type failure struct {
	Status int
	Faults []string
}

// faultsOf returns what an error says, for people.
func faultsOf(err error) []string {
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		var list []string
		for _, f := range invalid.Faults {
			list = append(list, sentence(strings.ReplaceAll(f.Location, "_", " ")+" ", f.Message))
		}
		return list
	}
	var conflict *lead.ConflictError
	if errors.As(err, &conflict) {
		text := conflict.Reason.Error()
		if conflict.State != "" {
			text += " (it is " + conflict.State + ")"
		}
		return []string{sentence("", text)}
	}
	text := err.Error()
	for _, prefix := range []string{"lead: ", "engine: ", "store: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return []string{sentence("", text)}
}

// sentence makes a sentence of a text.
func sentence(subject, text string) string {
	text = strings.TrimSpace(subject + text)
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// here is this page, from the console's root.
func (v *visit) here() string {
	here := strings.TrimPrefix(v.r.URL.EscapedPath(), "/")
	if v.r.URL.RawQuery != "" {
		here += "?" + v.r.URL.RawQuery
	}
	return here
}

// inside returns the address of a page that here returned, from this one; that of the
// first page for anything else, so that nobody is sent elsewhere.
func (v *visit) inside(here string) string {
	u, err := url.Parse(here)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || strings.HasPrefix(here, "/") || strings.ContainsFunc(here, odd) ||
		strings.HasPrefix(path.Clean(u.Path), "..") {
		return v.root
	}
	return v.root + here
}

// odd reports characters that browsers put into no address, or take for others.
func odd(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }

// definition returns a workflow's graph, nil if it was deleted.
func (v *visit) definition(id lead.WorkflowID) (*workflow.Definition, error) {
	if def, known := v.definitions[id]; known {
		return def, nil
	}
	def, err := v.h.eng.Definition(v.ctx(), id)
	if err != nil && !errors.Is(err, lead.ErrNotFound) {
		return nil, err
	}
	if v.definitions == nil {
		v.definitions = map[lead.WorkflowID]*workflow.Definition{}
	}
	v.definitions[id] = def
	return def, nil
}

// workflowName is what people call a workflow.
func (v *visit) workflowName(id lead.WorkflowID) string {
	def, err := v.definition(id)
	switch {
	case err != nil || def == nil && id.IsZero():
		return id.String()
	case def == nil:
		return "a deleted workflow"
	}
	return nameOf(def, id)
}

func nameOf(def *workflow.Definition, id lead.WorkflowID) string {
	if name := strings.TrimSpace(def.Name); name != "" {
		return name
	}
	return id.String()
}

// nodeName is what people call a node.
func (v *visit) nodeName(id lead.WorkflowID, node string) string {
	if def, err := v.definition(id); err == nil && def != nil {
		for i := range def.Nodes {
			if n := &def.Nodes[i]; n.ID == node && n.Label != "" {
				return n.Label
			}
		}
	}
	return node
}

// plural is a number with what it counts.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", thousands(int64(n)), many)
}
