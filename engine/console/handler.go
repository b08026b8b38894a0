package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/signin"
)

// Handler serves the console. It is safe for concurrent use. While somebody looks at its
// figures it has a goroutine that counts leads, which Close ends.
type Handler struct {
	eng    *engine.Engine
	config Config
	log    *slog.Logger
	mux    *http.ServeMux
	guard  *http.CrossOriginProtection
	files  files

	censuses *censuses
	stop     context.CancelFunc
}

// New returns a handler for the engine, which need not have been started yet. A faulty
// Config is a [lead.InvalidError].
func New(e *engine.Engine, c Config) (*Handler, error) {
	if e == nil {
		return nil, errors.New("console: New needs an engine")
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	h := &Handler{eng: e, config: c, log: c.Logger, mux: http.NewServeMux(), guard: http.NewCrossOriginProtection()}
	var err error
	if h.files, err = loadFiles(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	h.censuses = &censuses{h: h}
	h.censuses.ctx, h.stop = context.WithCancel(context.Background())
	h.routes()
	return h, nil
}

// Close ends what the handler does in the background, and waits for that. Call it before
// the engine's store is closed. Requests are still answered. Calling it again is safe.
func (h *Handler) Close() {
	h.stop()
	h.censuses.close()
}

func (h *Handler) routes() {
	h.mux.HandleFunc("GET /static/{file}", h.files.serve)
	h.page("GET /{$}", h.overview)
	h.page("GET /stop", h.findPerson)
	h.page("GET /people/{phone}", h.person)
	h.action("POST /people/{phone}/stop", h.stopPerson)
	h.page("GET /leads/{lead}", h.lead)
	h.action("POST /leads/{lead}/remove", h.removeLead)
	h.action("POST /leads/{lead}/hold", h.holdLead)
	h.action("POST /leads/{lead}/release", h.releaseLead)
	h.action("POST /leads/{lead}/signal", h.signalLead)
	h.page("GET /workflows", h.workflowList)
	h.page("GET /workflows/{id}", h.workflow)
	h.page("GET /workflows/{id}/{change}", h.askWorkflow)
	h.action("POST /workflows/{id}/{change}", h.changeWorkflow)
	h.page("GET /leads", h.leads)
	h.page("GET /now", h.now)
	h.page("GET /suppressions", h.suppressions)
	h.action("POST /suppressions", h.addSuppression)
	h.page("GET /suppressions/{id}", h.suppression)
	h.action("POST /suppressions/{id}/lift", h.liftSuppression)
	h.page("GET /limits", h.limits)
	h.action("POST /limits", h.setLimits)
	h.page("GET /audit", h.audit)
	h.page("GET /engines", h.engines)
	if h.config.Webhooks != nil {
		h.page("GET /webhooks", h.webhooks)
	}
	h.page("GET /zone", h.zonePage)
	h.open("POST /zone", h.setZone)
	if h.config.SignIn != nil {
		h.open("GET /sign-in", h.signInPage)
		h.open("POST /sign-in", h.signIn)
		h.open("POST /sign-out", h.signOut)
	}
	h.open("GET /", func(*visit) error { return errNoPage })
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	// With no-referrer, older browsers would send no origin with forms.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	if r.URL.Path == "" { // mounted by StripPrefix without a slash
		header.Set("Location", "./"+lastSegment(r.RequestURI)+"/")
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// lastSegment is the last part of a path.
func lastSegment(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// page adds a page that everybody sees who may look.
func (h *Handler) page(pattern string, show func(*visit) error) {
	h.add(pattern, signin.Reader, show)
}

// action adds what only an operator may do.
func (h *Handler) action(pattern string, do func(*visit) error) {
	h.add(pattern, signin.Operator, do)
}

// open adds what everybody may ask for.
func (h *Handler) open(pattern string, show func(*visit) error) {
	h.add(pattern, signin.Nobody, show)
}

func (h *Handler) add(pattern string, least signin.Role, answer func(*visit) error) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := h.newVisit(w, r)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				h.log.ErrorContext(r.Context(), "leadflow: panic in a page of the console", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
				v.fail(errPanic)
			}
		}()
		if err := v.admit(least); err != nil {
			v.fail(err)
			return
		}
		if err := answer(v); err != nil {
			v.fail(err)
		}
	})
}
