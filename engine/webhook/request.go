package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// request is the body of a request.
type request struct {
	StepID         lead.StepID   `json:"step_id"`
	Attempt        int           `json:"attempt"`
	IdempotencyKey string        `json:"idempotency_key"`
	CallbackURL    string        `json:"callback_url"`
	Node           workflow.Node `json:"node"`
	Lead           leadView      `json:"lead"`
	Redelivered    bool          `json:"redelivered,omitempty"`
	Scheduled      *scheduled    `json:"scheduled,omitempty"`
}

// leadView is what a receiver is told of the lead: what does not change while
// the request is on its way.
type leadView struct {
	ID         lead.ID         `json:"id"`
	WorkflowID lead.WorkflowID `json:"workflow_id"`
	lead.Contact
}

type scheduled struct {
	Data json.RawMessage `json:"data"`
}

// withAttempt adds the attempt to a callback URL, so that a callback that comes twice,
// or late, does not count for the next attempt.
func withAttempt(callback string, attempt int) string {
	join := "?"
	if strings.Contains(callback, "?") {
		join = "&"
	}
	return callback + join + "attempt=" + strconv.Itoa(attempt)
}

func requestBody(a engine.Attempt, callback string) ([]byte, error) {
	r := request{
		StepID:         a.StepID,
		Attempt:        a.Number,
		IdempotencyKey: a.IdempotencyKey,
		CallbackURL:    withAttempt(callback, a.Number),
		Node:           a.Node,
		Lead:           leadView{ID: a.LeadID, WorkflowID: a.WorkflowID, Contact: a.Contact},
		Redelivered:    a.Redelivered,
	}
	if a.Scheduled != nil {
		r.Scheduled = &scheduled{Data: a.Scheduled.Data}
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // the & of a URL stays readable
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("webhook: node %s: request: %w", a.Node.ID, err)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

// nodeURL returns the url of a node's config.
func nodeURL(n workflow.Node) (*url.URL, error) {
	u, err := configURL(n, "url")
	if u == nil && err == nil {
		err = fmt.Errorf("webhook: node %s: config.url is missing: it says where the %s is to be asked for, such as https://dialer.example.com/call", n.ID, n.Type)
	}
	return u, err
}

// configURL returns the URL in a field of a node's config, nil if there is none.
func configURL(n workflow.Node, field string) (*url.URL, error) {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("webhook: node %s: config.%s "+format, append([]any{n.ID, field}, args...)...)
	}
	var config struct {
		URL       json.RawMessage `json:"url"`
		Reconcile json.RawMessage `json:"reconcile"`
	}
	if len(n.Config) > 0 {
		if err := json.Unmarshal(n.Config, &config); err != nil {
			return nil, fmt.Errorf("webhook: node %s: config: %w", n.ID, err)
		}
	}
	raw, text := config.URL, ""
	if field == "reconcile" {
		raw = config.Reconcile
	}
	if raw != nil {
		var mistyped *json.UnmarshalTypeError
		if err := json.Unmarshal(raw, &text); errors.As(err, &mistyped) {
			return nil, fault("must be a string, not a %s", mistyped.Value)
		}
	}
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fault("is no URL: %w", err)
	}
	port := u.Port()
	switch _, err := strconv.ParseUint(port, 10, 16); {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fault("must begin with https:// or http://")
	case u.Hostname() == "":
		return nil, fault("names no host")
	case port != "" && err != nil:
		return nil, fault("has the port %s, which is none", port)
	}
	return u, nil
}

// publicURL is a URL as histories and logs may have it: without what
// authorises, which is in its user and often in its query.
func publicURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
