package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine"
)

const basePath = "/v1"

// Handler serves an engine over HTTP. It is safe for concurrent use, and holds
// no goroutine of its own.
type Handler struct {
	eng    *engine.Engine
	config Config
	log    *slog.Logger
	mux    *http.ServeMux
	health health
	access access

	api        huma.API
	operations []*huma.Operation // in the order in which a reader wants them
}

// New returns a handler for the engine, which need not have been started yet.
// A faulty Config is a [lead.InvalidError] that names every fault.
func New(e *engine.Engine, c Config) (*Handler, error) {
	if e == nil {
		return nil, errors.New("httpapi: New needs an engine")
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	h := &Handler{eng: e, config: c, log: c.Logger, mux: http.NewServeMux()}
	var err error
	if h.access, err = newAccess(c); err != nil {
		return nil, err
	}
	h.describe()
	h.workflowRoutes()
	h.statusRoutes()
	h.leadRoutes()
	h.stepRoutes()
	h.personRoutes()
	h.suppressionRoutes()
	h.limitRoutes()
	h.auditRoute()
	h.receiptRoute()
	h.healthRoute()
	if err := h.documentRoutes(); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return h, nil
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, h.route)
}

// route finds who answers, once it is clear that the client may ask.
func (h *Handler) route(x *exchange, r *http.Request) {
	found, pattern := http.Handler(nil), ""
	if clean(r.URL.Path) {
		found, pattern = h.mux.Handler(r)
	}
	if !slices.Contains(openPatterns, pattern) && h.refuse(x, r, pattern) {
		return
	}
	if pattern == "" {
		h.refuseRoute(x, r, found)
		return
	}
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		x.problem(faulty([]fault{{"query", "cannot be read: it has a broken %-escape or a semicolon"}}))
		return
	}
	h.mux.ServeHTTP(x, r)
}

// openPatterns are the routes that need no token: they say nothing of anybody.
var openPatterns = []string{healthPattern, healthPatternV1, docsPattern, docsScriptPattern, docsSignInPattern, docsSignOutPattern}

// clean reports whether the mux would take the path as it is. It would redirect
// others to a place that lacks the prefix under which we are mounted.
func clean(p string) bool {
	return p == path.Clean(p) || p != "/" && strings.HasSuffix(p, "/") && p == path.Clean(p)+"/"
}

// possible says which methods are, of an Allow header.
func possible(allow string) string {
	methods := strings.Split(allow, ", ")
	last := len(methods) - 1
	if last == 0 {
		return allow + " is"
	}
	return strings.Join(methods[:last], ", ") + " and " + methods[last] + " are"
}

// refuseRoute answers for the mux when it knows no route: 405 when the path
// has one for another method, else 404.
func (h *Handler) refuseRoute(x *exchange, r *http.Request, found http.Handler) {
	answer := refusalRecorder{header: http.Header{}}
	if found != nil {
		found.ServeHTTP(&answer, r)
	}
	if answer.status == http.StatusMethodNotAllowed {
		allow := answer.header.Get("Allow")
		x.Header().Set("Allow", allow)
		x.problem(newProblem(http.StatusMethodNotAllowed, fmt.Sprintf("%s is not possible here; %s", clip(r.Method), possible(allow))))
		return
	}
	x.problem(newProblem(http.StatusNotFound, "there is no such route"))
}

// refusalRecorder takes what the mux would have answered.
type refusalRecorder struct {
	header http.Header
	status int
}

func (a *refusalRecorder) Header() http.Header         { return a.header }
func (a *refusalRecorder) WriteHeader(status int)      { a.status = status }
func (a *refusalRecorder) Write(p []byte) (int, error) { return len(p), nil }

// clip shortens what a client sent, for a message.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
