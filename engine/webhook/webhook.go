package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Config sets a Handler up. CallbackURL must be given.
type Config struct {
	// CallbackURL returns the URL to which the outcome of a step in flight is to
	// be POSTed. It is called from many goroutines.
	CallbackURL func(step lead.StepID) string
	// Secret, if any, signs every request; see [Verify].
	Secret []byte
	// Timeout bounds one request, from the connection to the end of the answer.
	// An answer that takes longer is none. Default 30 s.
	Timeout time.Duration
	// MaxAnswer is the most bytes of a body that are taken. Default 1 MiB.
	MaxAnswer int64
	// Allow lists the targets that may be asked; see the package's doc. Without
	// it, all may.
	Allow []string
	// UserAgent is sent with every request. Default "leadflow-webhook".
	UserAgent string
	// TLS is for targets with a certificate of a private authority, or that ask
	// for a client's. Default: the system's authorities.
	TLS *tls.Config
	// Logger gets what an operator must know; nil means slog.Default().
	Logger *slog.Logger
}

// Defaults of Config.
const (
	DefaultTimeout   = 30 * time.Second
	DefaultMaxAnswer = 1 << 20
	DefaultUserAgent = "leadflow-webhook"
)

// Headers of a request, beside the usual ones.
const (
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderRedelivered    = "X-Leadflow-Redelivered" // "true", or absent
	HeaderTimestamp      = "X-Leadflow-Timestamp"   // see Verify
	HeaderSignature      = "X-Leadflow-Signature"   // see Verify
)

// Handler is an [engine.Handler] for all three types of action nodes. It is
// safe for concurrent use, and one should serve all nodes: it keeps the
// connections to reuse.
type Handler struct {
	config  Config
	allowed *allowList // nil: everything is
	clients clients
	log     *slog.Logger
	hosts   hosts
}

var (
	_ engine.Handler     = (*Handler)(nil)
	_ engine.NodeChecker = (*Handler)(nil)
	_ engine.RateKeyer   = (*Handler)(nil)
	_ engine.Reconciler  = (*Handler)(nil)
)

// New returns a handler. A faulty Config is an error that names every fault.
func New(c Config) (*Handler, error) {
	var faults []error
	if c.CallbackURL == nil {
		faults = append(faults, errors.New("webhook: config: CallbackURL is needed, which tells receivers where to send outcomes"))
	}
	if c.Timeout < 0 {
		faults = append(faults, errors.New("webhook: config: Timeout is negative"))
	}
	if c.MaxAnswer < 0 {
		faults = append(faults, errors.New("webhook: config: MaxAnswer is negative"))
	}
	if strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		faults = append(faults, errors.New("webhook: config: UserAgent has a character that a header cannot carry"))
	}
	allowed, err := parseAllowList(c.Allow)
	if err != nil {
		faults = append(faults, err)
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = DefaultMaxAnswer
	}
	if c.UserAgent == "" {
		c.UserAgent = DefaultUserAgent
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Secret = bytes.Clone(c.Secret)
	return &Handler{config: c, allowed: allowed, clients: newClients(allowed, c.TLS), log: c.Logger}, nil
}

// CloseIdleConnections closes the connections that wait to be reused. A program
// that ends need not call it.
func (h *Handler) CloseIdleConnections() { h.clients.closeIdle() }

// CheckNode reports whether the handler could do a node's step as far as can be
// told without a request: that it has a url, one that is allowed, and no faulty
// config.callback or config.reconcile. A workflow can so be refused before its first
// lead fails. The error names every fault.
func (h *Handler) CheckNode(n workflow.Node) error {
	_, _, err := h.target(n)
	_, _, faulty := h.reconcileTarget(n)
	err = both(err, faulty)
	if _, faulty := nodeMapping(n); faulty != nil {
		err = both(err, fmt.Errorf("webhook: node %s: %w", n.ID, faulty))
	}
	return err
}

// both returns an error that names two faults on one line, or the one that is not nil.
func both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

// RateKey returns the scheme, host, port and path of a node's url: what keeps requests
// from being made to one target, and a wait that one target asks for, need not hold for
// another. It is "" for a node without a usable url.
func (h *Handler) RateKey(n workflow.Node) string {
	u, err := nodeURL(n)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + net.JoinHostPort(canonicalHost(u.Hostname()), portOf(u)) + u.EscapedPath()
}

// target returns the node's URL and the client to ask it with.
func (h *Handler) target(n workflow.Node) (*url.URL, *http.Client, error) {
	u, err := nodeURL(n)
	if err != nil {
		return nil, nil, err
	}
	client, err := h.client(n, u)
	return u, client, err
}

// client returns the client to ask a URL of a node with, if it is allowed.
func (h *Handler) client(n workflow.Node, u *url.URL) (*http.Client, error) {
	client, err := h.clients.forURL(u, h.allowed)
	if err != nil {
		return nil, fmt.Errorf("webhook: node %s: %w", n.ID, err)
	}
	return client, nil
}

// errTimeout is the cause when Config.Timeout ends a request.
var errTimeout = errors.New("webhook: timed out")

// Handle asks the url of the attempt's node; see the package's doc.
func (h *Handler) Handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	u, client, err := h.target(a.Node)
	if err != nil {
		return engine.Result{}, engine.NonRetryable(err)
	}
	body, err := requestBody(a, h.config.CallbackURL(a.StepID))
	if err != nil {
		return engine.Result{}, engine.NonRetryable(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.config.Timeout, errTimeout)
	defer cancel()
	req, err := h.newRequest(ctx, http.MethodPost, u, body, body, a)
	if err != nil {
		return engine.Result{}, engine.NonRetryable(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if a.Redelivered {
		req.Header.Set(HeaderRedelivered, strconv.FormatBool(true))
	}
	where := "POST " + publicURL(u)
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	begun := time.Now()
	res, err := client.Do(req)
	switch {
	case err == nil:
		status := statusOf(res)
		result, err := h.answer(ctx, a, where, res)
		h.hosts.note(u, begun, status, err)
		return result, err
	case connected.Load():
		err = h.noAnswer(ctx, where, err)
	default:
		err = h.noConnection(ctx, where, err)
	}
	h.hosts.note(u, begun, "no answer", err)
	return engine.Result{}, err
}

// newRequest returns a request about an attempt. What is signed is its body, or what
// stands for that in a request without one.
func (h *Handler) newRequest(ctx context.Context, method string, u *url.URL, body, signed []byte, a engine.Attempt) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("webhook: node %s: %w", a.Node.ID, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", h.config.UserAgent)
	// The transport too takes this header to mean that it may send the request
	// again when a connection that it reuses turns out to be closed.
	req.Header.Set(HeaderIdempotencyKey, a.IdempotencyKey)
	if len(h.config.Secret) > 0 {
		Sign(req.Header, signed, h.config.Secret, time.Now())
	}
	return req, nil
}

// noAnswer is the error of a request that may have been sent, and got no answer.
func (h *Handler) noAnswer(ctx context.Context, where string, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return fmt.Errorf("webhook: %s: no answer within %s", where, h.config.Timeout)
	case cause != nil:
		return fmt.Errorf("webhook: %s: %w", where, cause)
	}
	return fmt.Errorf("webhook: %s: no answer: %w", where, withoutURL(err))
}

// noConnection is the error of a request of which no byte was sent, because it got
// no connection. Whatever the reason, the attempt was not made, unless the target
// is one that is not allowed.
func (h *Handler) noConnection(ctx context.Context, where string, err error) error {
	var refused *refusedError
	switch cause := context.Cause(ctx); {
	case errors.As(err, &refused):
		return engine.NonRetryable(fmt.Errorf("webhook: %s: %w", where, refused))
	case errors.Is(cause, errTimeout):
		err = fmt.Errorf("webhook: %s: no connection within %s", where, h.config.Timeout)
	case cause != nil:
		err = fmt.Errorf("webhook: %s: not sent: %w", where, cause)
	default:
		err = fmt.Errorf("webhook: %s: no connection: %w", where, withoutURL(err))
	}
	return engine.NotMade(err)
}

// withoutURL returns a client's error without the method and the URL that it
// begins with: the URL may have secrets in it.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
