package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/console"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
)

func (p *program) serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Run the server, with everything in one SQLite file.

For each call, message and application step the server sends a webhook to the url in the node's
config. SIGTERM or SIGINT stops the server: it accepts no more requests, waits for running webhooks
to be answered, and exits with 0, or with 3 if --shutdown-timeout passes before that. A second signal
stops it immediately, which is as safe as a crash.

Without a token the server listens on a loopback address only, and everybody who can reach that
address has full access.`,
	}
	o := newServeOptions(command)
	command.RunE = func(command *cobra.Command, _ []string) error { return serve(command.Context(), p, o) }
	return command
}

type serveOptions struct {
	addr, db, region string
	token, readToken string
	workers          int
	synchronous      choice
	uploadLimit      size
	readTimeout      duration
	shutdownTimeout  duration

	callbackURL, callbackKey string
	webhookSecret            string
	webhookAllow             list
	webhookTimeout           duration
	webhookMaxAnswer         size

	name                string
	pprof               string
	logFormat, logLevel choice
}

func newServeOptions(command *cobra.Command) *serveOptions {
	f := command.Flags()
	o := &serveOptions{
		synchronous:      choice{"full", []string{"full", "normal"}},
		uploadLimit:      64 << 20,
		readTimeout:      duration(15 * time.Minute),
		shutdownTimeout:  duration(30 * time.Second),
		webhookTimeout:   duration(webhook.DefaultTimeout),
		webhookMaxAnswer: webhook.DefaultMaxAnswer,
		logFormat:        choice{"text", []string{"text", "json"}},
		logLevel:         choice{"info", []string{"debug", "info", "warn", "error"}},
	}
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen on this `address`; port 0 takes a free one, which the log names")
	f.StringVar(&o.db, "db", "leads.db", "keep the leads in this SQLite `file`, or in the PostgreSQL database at this URL (postgres://…)")
	f.StringVar(&o.name, "name", "", "with PostgreSQL: what this server is called in the list of engines; its host and process if not given")
	f.StringVar(&o.token, "token", "", "require this `token` from clients"+secret)
	f.StringVar(&o.readToken, "read-token", "", "with this `token` clients and people may look, and change nothing"+secret)
	f.StringVar(&o.region, "region", "", "read phone numbers without a leading + as those of this `country`, such as US (default: refuse them)")
	f.IntVar(&o.workers, "workers", 1000, "run at most this `number` of webhooks at a time")
	choiceVar(command, &o.synchronous, "synchronous", "sync every commit to disk (full), or only now and then (normal), which is faster and may lose the last commits in a power cut")
	f.Var(&o.uploadLimit, "upload-limit", "accept uploads of leads up to this size")
	f.Var(&o.readTimeout, "read-timeout", "allow a request, including a large upload, this long to arrive")
	f.Var(&o.shutdownTimeout, "shutdown-timeout", "when stopped, wait this long for running webhooks and requests")
	f.StringVar(&o.callbackURL, "callback-url", "", "the `URL` at which receivers of webhooks reach this server (default: the address that it listens on)")
	f.StringVar(&o.callbackKey, "callback-key", "", "sign callback URLs with this `key` of 16 bytes or more, so that they work without the token (default: derived from the token)"+secret)
	f.StringVar(&o.webhookSecret, "webhook-secret", "", "sign webhooks with this `secret`"+secret)
	f.Var(&o.webhookAllow, "webhook-allow", "send webhooks only to these `targets`: hosts, host:port, networks such as 10.0.0.0/8, or URL prefixes; separated by commas, or the flag several times (default: anywhere)")
	f.Var(&o.webhookTimeout, "webhook-timeout", "wait this long for the answer to a webhook")
	f.Var(&o.webhookMaxAnswer, "webhook-max-answer", "accept answers to webhooks up to this size")
	f.StringVar(&o.pprof, "pprof", "", "serve Go's profiles on this loopback `address` (default: nowhere)")
	choiceVar(command, &o.logFormat, "log-format", "write the log as text or as JSON")
	choiceVar(command, &o.logLevel, "log-level", "log messages of this level and above")
	return o
}

// validate checks the options as far as possible before anything is opened.
func (o *serveOptions) validate() error {
	for name, d := range map[string]duration{
		"--read-timeout": o.readTimeout, "--shutdown-timeout": o.shutdownTimeout, "--webhook-timeout": o.webhookTimeout,
	} {
		if d <= 0 {
			return usage("%s must be more than 0", name)
		}
	}
	if o.workers <= 0 {
		return usage("--workers must be more than 0")
	}
	if err := checkRegion(o.region); err != nil {
		return err
	}
	if o.callbackURL != "" {
		u, err := url.Parse(o.callbackURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return usage("--callback-url %q is not a URL such as https://leads.example.com", o.callbackURL)
		}
	}
	if o.token == "" && !loopback(o.addr) {
		return usage("without a token the server listens on a loopback address only, and %q is not: "+
			"set LEADFLOW_TOKEN, or listen on 127.0.0.1", o.addr)
	}
	if o.readToken != "" && o.token == "" {
		return usage("--read-token is for a server with a token; set LEADFLOW_TOKEN too")
	}
	if o.pprof != "" && !loopback(o.pprof) {
		return usage("--pprof must be a loopback address, because profiles need no token; %q is not", o.pprof)
	}
	return nil
}

// checkRegion checks the flag --region, which may be left out.
func checkRegion(region string) error {
	if region == "" {
		return nil
	}
	if err := lead.CheckRegion(region); err != nil {
		return usage("--region %w", bare(err))
	}
	return nil
}

// bare is the message of an error's only fault without its location, which the caller
// names itself.
func bare(err error) error {
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) && len(invalid.Faults) == 1 {
		return errors.New(invalid.Faults[0].Message)
	}
	return err
}

// loopback reports whether an address can be reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (o *serveOptions) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.logLevel.value)) // one of the choices
	options := &slog.HandlerOptions{Level: level}
	if o.logFormat.value == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// serve runs the server until a signal stops it.
func serve(ctx context.Context, p *program, o *serveOptions) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	log := o.logger(p.stderr)
	if p.config != "" {
		log.Info("settings are read from a file", slog.String("file", p.config))
	}
	// Before a new database file is made, because an address in use is a common mistake.
	listener, profiles, err := o.listen()
	if err != nil {
		return err
	}
	defer listener.Close() // the server closes it too, once it runs
	if profiles != nil {
		defer profiles.Close()
	}
	// For the same reason, have the engine and the API check their settings.
	if _, _, err := o.assemble(memory.New(), listener.Addr(), log); err != nil {
		return &codeError{exitUsage, err}
	}
	opening, opened := p.interruptible(ctx)
	db, err := o.openDatabase(opening)
	opened()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	eng, site, err := o.assemble(db, listener.Addr(), log)
	if err != nil {
		return err
	}
	defer site.pages.Close() // before the database, which it reads
	if err := eng.Start(ctx); err != nil {
		return err
	}
	s := newServer(o, listener, profiles, site, eng, log)
	if o.token == "" {
		log.Warn("no token is set: everybody who can reach this loopback address has full access")
	}
	return s.run(p)
}

// listen opens the server's listeners. The one for profiles is nil unless --pprof is set.
func (o *serveOptions) listen() (listener, profiles net.Listener, err error) {
	if listener, err = listen("--addr", o.addr); err != nil || o.pprof == "" {
		return listener, nil, err
	}
	if profiles, err = listen("--pprof", o.pprof); err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	return listener, profiles, nil
}

func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another program listens there; stop it, or choose another %s", err, flag)
	}
	return l, err
}

// assemble makes the engine, with the webhook as the handler of all actions, and what is
// served of it.
func (o *serveOptions) assemble(db store.Store, addr net.Addr, log *slog.Logger) (*engine.Engine, *site, error) {
	base := strings.TrimSuffix(o.callbackURL, "/")
	if base == "" {
		base = "http://" + reachable(addr)
	}
	key := o.key()
	hook, err := webhook.New(webhook.Config{
		CallbackURL: func(step lead.StepID) string { return callbackURL(base, key, step) },
		Secret:      []byte(o.webhookSecret),
		Timeout:     time.Duration(o.webhookTimeout),
		MaxAnswer:   int64(o.webhookMaxAnswer),
		Allow:       o.webhookAllow,
		UserAgent:   "leadflow/" + buildVersion(),
		Logger:      log,
	})
	if err != nil {
		return nil, nil, err
	}
	eng, err := engine.New(db, engine.Config{
		Handlers: stepHandlers(hook),
		Workers:  o.workers,
		Region:   o.region,
		Logger:   log,
	})
	if err != nil {
		return nil, nil, err
	}
	site, err := o.site(eng, hook, log)
	return eng, site, err
}

// site is what is served: the HTTP API, and the console beside it.
type site struct {
	api   http.Handler
	pages *console.Handler
}

// ServeHTTP answers a request.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path := r.URL.Path; path == "/healthz" || path == "/v1" || strings.HasPrefix(path, "/v1/") {
		s.api.ServeHTTP(w, r)
	} else {
		s.pages.ServeHTTP(w, r)
	}
}

func (o *serveOptions) site(eng *engine.Engine, hook *webhook.Handler, log *slog.Logger) (*site, error) {
	var keeper *signin.Keeper
	pages := console.Config{API: "v1", Webhooks: hook.Hosts, Logger: log}
	if o.token == "" {
		pages.Authorize = console.Everybody // who can reach a loopback address
	} else {
		var err error
		if keeper, err = signin.New(signin.Config{Token: o.token, ReadToken: o.readToken}); err != nil {
			return nil, err
		}
		pages.SignIn = keeper
	}
	api, err := httpapi.New(eng, httpapi.Config{
		Token: o.token, ReadToken: o.readToken, SignIn: keeper, CallbackKey: o.key(), MaxUpload: int64(o.uploadLimit), MaxWait: maxWait, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	people, err := console.New(eng, pages)
	if err != nil {
		return nil, err
	}
	return &site{api, people}, nil
}

// stepHandlers returns the handlers that a server has.
func stepHandlers(hook *webhook.Handler) map[string]engine.Handler {
	return map[string]engine.Handler{"voice_call": hook, "message": hook, "application": hook}
}

// key returns the key with which callback URLs are signed. It must be the same after a
// restart, because a call may be in flight meanwhile; one derived from the token is.
// Without a token no signature is needed.
func (o *serveOptions) key() []byte {
	switch {
	case o.callbackKey != "":
		return []byte(o.callbackKey)
	case o.token == "":
		return nil
	}
	mac := hmac.New(sha256.New, []byte(o.token))
	mac.Write([]byte("leadflow callback key"))
	return mac.Sum(nil)
}

func callbackURL(base string, key []byte, step lead.StepID) string {
	text := fmt.Sprintf("%s/v1/steps/%s/complete", base, step)
	if key != nil {
		text += "?sig=" + httpapi.SignCallback(key, step)
	}
	return text
}

// reachable is an address at which a listener can be reached from this machine.
func reachable(addr net.Addr) string {
	to, err := netip.ParseAddrPort(addr.String())
	if err != nil || !to.Addr().IsUnspecified() {
		return addr.String()
	}
	return fmt.Sprintf("127.0.0.1:%d", to.Port())
}
