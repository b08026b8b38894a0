package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// reconcileTarget returns the URL at which to ask what became of an attempt at the node,
// nil if it has none, and the client to ask it with.
func (h *Handler) reconcileTarget(n workflow.Node) (*url.URL, *http.Client, error) {
	u, err := configURL(n, "reconcile")
	if u == nil || err != nil {
		return nil, nil, err
	}
	client, err := h.client(n, u)
	return u, client, err
}

// Reconcile asks the node's config.reconcile, if it has one, what became of an attempt;
// see the package's doc.
func (h *Handler) Reconcile(ctx context.Context, a engine.Attempt) (engine.Fate, error) {
	u, client, err := h.reconcileTarget(a.Node)
	if u == nil || err != nil {
		return engine.Fate{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.config.Timeout, errTimeout)
	defer cancel()
	where := "GET " + publicURL(u)
	req, err := h.newRequest(ctx, http.MethodGet, withKey(u, a.IdempotencyKey), nil, []byte(a.IdempotencyKey), a)
	if err != nil {
		return engine.Fate{}, err
	}
	res, err := client.Do(req)
	if err != nil {
		return engine.Fate{}, h.noAnswer(ctx, where, err)
	}
	return h.fate(ctx, a, where, res)
}

// withKey returns the URL with an idempotency key in its query, so that no cache on the
// way takes the answer about one attempt for that about another.
func withKey(u *url.URL, key string) *url.URL {
	asked := *u
	if asked.RawQuery != "" {
		asked.RawQuery += "&"
	}
	asked.RawQuery += "idempotency_key=" + url.QueryEscape(key)
	return &asked
}

// fate says what an answer tells about an attempt.
func (h *Handler) fate(ctx context.Context, a engine.Attempt, where string, res *http.Response) (engine.Fate, error) {
	defer res.Body.Close()
	text, err := readBody(res.Body, h.config.MaxAnswer)
	switch res.StatusCode {
	case http.StatusAccepted:
		return engine.Happened(engine.InFlight(h.acceptedCallID(a, where, text, err)), nil), nil
	case http.StatusNotFound:
		return engine.NeverHappened(), nil
	case http.StatusOK:
		if err != nil && !errors.Is(err, errTooLarge) {
			return engine.Fate{}, h.noAnswer(ctx, where, fmt.Errorf("it broke off: %w", err))
		}
		var result engine.Result
		if err == nil {
			result, err = parseReply(text)
		}
		if err == nil {
			return engine.Happened(result, nil), nil
		}
		return engine.Fate{}, fmt.Errorf("webhook: %s: answered %s%w%s", where, statusOf(res), err, excerpt(text))
	}
	return engine.Fate{}, fmt.Errorf("webhook: %s: answered %s%s", where, statusOf(res), excerpt(text))
}
