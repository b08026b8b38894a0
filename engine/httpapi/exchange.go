package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// exchange is one request and its answer, as far as it has come.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	id      string
	status  int // 0 while nothing is written
	bytes   int64
	failed  error // of writing: the client is gone
}

type exchangeKey struct{}

// exchangeOf returns the exchange that a handler's context belongs to.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// WriteHeader sends the status, the first time.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	if status >= http.StatusOK {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	if err != nil {
		x.failed = err
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// problem answers with p.
func (x *exchange) problem(p *problem) {
	text, err := json.Marshal(p)
	if err != nil { // a struct of texts and numbers
		text = []byte(`{}`)
	}
	x.Header().Set("Content-Type", problemType)
	x.Header().Del("Location")
	x.WriteHeader(p.Status)
	_, _ = x.Write(append(text, '\n')) // what fails is kept in x.failed
}

// serve answers one request with everything around it that all have in common:
// an id, headers, a line in the log, and an answer when the handler panics.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, answer func(*exchange, *http.Request)) {
	x := &exchange{ResponseWriter: w, id: requestID(r)}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	x.request = r
	header := w.Header()
	header.Set("X-Request-Id", x.id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	begun := h.config.Clock.Now()
	defer func() {
		broken := h.recovered(x, recover())
		h.log.LogAttrs(r.Context(), slog.LevelInfo, "leadflow: request",
			slog.String("method", r.Method),
			slog.String("path", loggedPath(r.URL.Path)), // never the query: it has signatures and phone numbers
			slog.Int("status", x.status),
			slog.Int64("bytes", x.bytes),
			slog.Duration("duration", max(h.config.Clock.Now().Sub(begun), 0).Round(time.Microsecond)),
			slog.String("request_id", x.id))
		if broken {
			panic(http.ErrAbortHandler) // cuts the connection, so that half an answer is not taken for one
		}
	}()
	answer(x, r)
}

// loggedPath is a path without the phone number in it.
func loggedPath(path string) string {
	rest, ok := strings.CutPrefix(path, contactsPath)
	if !ok {
		return path
	}
	_, route, _ := strings.Cut(rest, "/")
	return strings.TrimSuffix(contactsPath+"{phone}/"+route, "/")
}

// recovered deals with a handler's panic, if there was one. It reports whether
// an answer was begun that now cannot be ended.
func (h *Handler) recovered(x *exchange, panicked any) (broken bool) {
	switch {
	case panicked == nil:
		return false
	case panicked == http.ErrAbortHandler:
		return true
	case x.failed != nil: // how huma says that it could not write
		h.log.LogAttrs(x.request.Context(), slog.LevelDebug, "leadflow: client gone",
			slog.Any("error", x.failed), slog.String("request_id", x.id))
		return true
	}
	h.log.LogAttrs(x.request.Context(), slog.LevelError, "leadflow: panic in a request",
		slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())), slog.String("request_id", x.id))
	if x.status != 0 {
		return true
	}
	x.problem(internalProblem(x.id))
	return false
}

const maxRequestID = 128

// requestID takes over the client's id if it is one that can stand in a log, or
// makes one.
func requestID(r *http.Request) string {
	const plain = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.:/+="
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > maxRequestID || strings.Trim(id, plain) != "" {
		return rand.Text()
	}
	for _, c := range id {
		if !strings.ContainsRune(plain, c) {
			return rand.Text()
		}
	}
	return id
}
