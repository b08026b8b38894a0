package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

const (
	// maxWait is the longest time that a client can have the server wait for a removal.
	maxWait = time.Minute
	// maxGrace is how long requests may take to end, at most, before the engine is
	// stopped; the rest of --shutdown-timeout is for webhooks.
	maxGrace = 5 * time.Second
)

// server is the HTTP side of a running engine.
type server struct {
	eng      *engine.Engine
	log      *slog.Logger
	http     *http.Server
	profiles *http.Server // nil unless asked for
	cut      func()       // ends the waits of requests
	timeout  time.Duration
	failed   chan error // of Serve
}

// newServer starts to serve. profiles is nil unless --pprof is set.
func newServer(o *serveOptions, listener, profiles net.Listener, api http.Handler, eng *engine.Engine, log *slog.Logger) *server {
	if o.token == "" {
		api = neighboursOnly(api)
	}
	requests, cut := context.WithCancel(context.Background())
	s := &server{eng: eng, log: log, cut: cut, timeout: time.Duration(o.shutdownTimeout), failed: make(chan error, 3)}
	if profiles != nil {
		log.Info("serving profiles", slog.String("url", "http://"+profiles.Addr().String()+"/debug/pprof/"))
		s.profiles = &http.Server{Handler: neighboursOnly(profileRoutes()), ReadHeaderTimeout: 10 * time.Second}
		go func() { s.failed <- s.profiles.Serve(profiles) }()
	}
	s.http = &http.Server{
		Handler:           api,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Duration(o.readTimeout),
		// Counted from the end of the request's header, so it includes the body's
		// arrival and the longest wait.
		WriteTimeout:   time.Duration(o.readTimeout) + maxWait + 30*time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:    func(net.Listener) context.Context { return requests },
	}
	log.Info("listening", slog.String("addr", listener.Addr().String()), slog.String("url", "http://"+reachable(listener.Addr())),
		slog.String("db", publicDB(o.db)), slog.String("version", buildVersion()))
	go func() { s.failed <- s.http.Serve(listener) }()
	return s
}

func profileRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// neighboursOnly protects a server without a token from web pages that are open in a
// browser on this machine. It checks the origin that the browser sends, and the host,
// because a page's own host name can be made to resolve to this machine.
func neighboursOnly(h http.Handler) http.Handler {
	h = http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		if !loopback(net.JoinHostPort(host, "0")) {
			http.Error(w, fmt.Sprintf("this server has no token, so it must be addressed as localhost, not as %q", host), http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// run serves until a signal comes, and then shuts down.
func (s *server) run(p *program) error {
	var failed error
	select {
	case first := <-p.signals:
		s.log.Info("stopping; a second signal stops immediately", slog.String("signal", first.String()), slog.Duration("timeout", s.timeout))
	case failed = <-s.failed:
		s.log.Error("the server failed; stopping", slog.Any("error", failed))
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case second := <-p.signals:
			s.log.Warn("stopped immediately", slog.String("signal", second.String()))
			p.exit(signalCode(second))
		case <-done:
		}
	}()
	return errors.Join(failed, s.shutdown())
}

// shutdown stops the server and then the engine. Requests get a part of the time and
// webhooks the rest; callbacks that are refused meanwhile have to be sent again.
func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	if s.profiles != nil {
		_ = s.profiles.Close() // profiles in progress are cut off
	}
	grace, cancelGrace := context.WithTimeout(ctx, min(s.timeout/4, maxGrace))
	defer cancelGrace()
	if err := s.http.Shutdown(grace); err != nil {
		// Requests that wait for a removal are answered now. Uploads are cut off, and the
		// leads that they enrolled so far are on disk.
		s.log.Warn("cutting off requests that take too long")
		s.cut()
		last, cancelLast := context.WithTimeout(ctx, min(s.timeout/8, time.Second))
		defer cancelLast()
		if s.http.Shutdown(last) != nil {
			_ = s.http.Close()
		}
	}
	defer s.cut()
	err := s.eng.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return &codeError{exitCut, fmt.Errorf("not all webhooks were answered within %s; their attempts are made again, under the same idempotency keys, at the next start", s.timeout)}
	}
	return err
}
