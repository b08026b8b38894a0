package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/lead"
)

// client talks to a server. Its flags are those of every command that does.
type client struct {
	server, token string
	json          bool
	http          *http.Client
}

func newClient(command *cobra.Command) *client {
	c := &client{}
	f := command.Flags()
	f.StringVar(&c.server, "server", "http://127.0.0.1:8080", "the `URL` of the server")
	f.StringVar(&c.token, "token", "", "the server's `token`"+secret)
	f.BoolVar(&c.json, "json", false, "print what the server answered, as JSON")
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			TLSHandshakeTimeout:   10 * time.Second,
			ExpectContinueTimeout: 5 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// problem is a refusal of the server.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`

	advice string // what to do about it, added by the command
}

func (p *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the server answered %d %s", p.Status, printable(p.Title))
	if detail := strings.ReplaceAll(p.Detail, "; see errors", ""); detail != "" {
		b.WriteString(": " + printable(detail))
	}
	if len(p.Errors) > 1 { // a single one is the detail
		for _, e := range p.Errors {
			fmt.Fprintf(&b, "\n  %s: %s", printable(e.Location), printable(e.Message))
		}
	}
	if p.advice != "" {
		b.WriteString("\n" + p.advice)
	}
	return b.String()
}

// request is one request to the server.
type request struct {
	method, path string
	query        url.Values
	kind         string // Content-Type
	body         io.Reader
	size         int64 // of the body; 0 if it is not known
}

// do makes a request below /v1, reads its answer into each of out, and returns
// it as it came.
func (c *client) do(ctx context.Context, r request, out ...any) (json.RawMessage, error) {
	base, err := url.Parse(c.server)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, usage("--server %q is not a URL such as http://127.0.0.1:8080", c.server)
	}
	u := base.JoinPath("v1", r.path)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), r.body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "leadflow/"+buildVersion())
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.kind)
		req.Header.Set("Expect", "100-continue") // a refusal comes before the file is sent
		req.ContentLength = r.size
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("the connection to %s broke before the answer was complete: %w", c.server, err)
	}
	if res.StatusCode >= 300 {
		p := &problem{}
		if json.Unmarshal(text, p) != nil || p.Status == 0 {
			p = &problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode), Detail: printable(string(text[:min(len(text), 200)]))}
		}
		if p.Status == http.StatusUnauthorized {
			p.advice = "No token is set; set LEADFLOW_TOKEN to the server's token."
			if c.token != "" {
				p.advice = "The token is not the server's; check LEADFLOW_TOKEN, --token and the configuration file."
			}
		}
		return nil, p
	}
	for _, o := range out {
		if err := json.Unmarshal(text, o); err != nil {
			return nil, fmt.Errorf("%s is not a leadflow server, or not of this version: %w", c.server, err)
		}
	}
	return text, nil
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("cannot reach the server at %s (%w); is leadflow serve running there?", c.server, err)
}

// printable is a text from elsewhere without control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// workflow asks for a workflow.
func (c *client) workflow(ctx context.Context, id string) (w workflowView, text json.RawMessage, err error) {
	text, err = c.do(ctx, request{method: http.MethodGet, path: workflowPath(id)}, &w)
	return w, text, err
}

// completeWorkflows has a shell complete a command's first argument with the ids of
// workflows in one of the statuses, or of all if there is none; and its second, of
// commands that have leads, with the ids of that workflow's leads.
func (p *program) completeWorkflows(c *client, leads bool, statuses ...string) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) // the user waits at a prompt
		defer cancel()
		if p.settle(command) != nil {
			return nil, none
		}
		get := request{method: http.MethodGet, path: "workflows", query: url.Values{"limit": {"100"}}}
		switch {
		case len(args) == 0:
			var page struct{ Data []workflowView }
			if _, err := c.do(ctx, get, &page); err != nil {
				return nil, none
			}
			for _, w := range page.Data {
				if len(statuses) == 0 || slices.Contains(statuses, w.Status) {
					list = append(list, cobra.CompletionWithDesc(w.ID, printable(w.Name)+", "+w.Status))
				}
			}
		case len(args) == 1 && leads:
			get.path = workflowPath(args[0]) + "/leads"
			var page struct{ Data []leadView }
			if _, err := c.do(ctx, get, &page); err != nil {
				return nil, none
			}
			for _, l := range page.Data {
				list = append(list, cobra.CompletionWithDesc(l.ID, l.PhoneNumber+", "+l.Status))
			}
		}
		return list, none
	}
}

// jsonRequest is a request with a JSON body.
func jsonRequest(method, path string, body []byte) request {
	return request{method: method, path: path, kind: "application/json", body: bytes.NewReader(body), size: int64(len(body))}
}

func workflowPath(id string) string { return "workflows/" + url.PathEscape(id) }

func contactPath(phone string) string { return "contacts/" + url.PathEscape(phone) }

func leadPath(workflow, id string) string {
	return workflowPath(workflow) + "/leads/" + url.PathEscape(id)
}

// The objects of the wire, as far as they are printed.

type workflowView struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Description   string            `json:"description"`
	Status        string            `json:"status"`
	NodeCount     int               `json:"node_count"`
	EdgeCount     int               `json:"edge_count"`
	EnrolledLeads int64             `json:"enrolled_leads"`
	Counts        map[string]int64  `json:"counts"`
	CreatedAt     time.Time         `json:"created_at"`
	Warnings      []lead.FieldError `json:"warnings"`
}

// live is how many of the workflow's leads are not final.
func (w workflowView) live() int64 {
	return w.Counts["enrolled"] + w.Counts["in_step"] + w.Counts["pending_removal"]
}

type leadView struct {
	ID           string                     `json:"id"`
	WorkflowID   string                     `json:"workflow_id"`
	PhoneNumber  string                     `json:"phone_number"`
	ExternalID   string                     `json:"external_id"`
	TimeZone     string                     `json:"time_zone"`
	Metadata     map[string]json.RawMessage `json:"metadata"`
	Status       string                     `json:"status"`
	Node         string                     `json:"current_node_id"`
	NextActionAt time.Time                  `json:"next_action_at"`
	Outcome      string                     `json:"outcome"`
	Hold         *struct {
		Until  time.Time `json:"until"`
		Reason string    `json:"reason"`
		Actor  string    `json:"actor"`
		Since  time.Time `json:"since"`
	} `json:"hold"`
	Removal *struct {
		Reason      string    `json:"reason"`
		Actor       string    `json:"actor"`
		RequestedAt time.Time `json:"requested_at"`
		RemovedAt   time.Time `json:"removed_at"`
	} `json:"removal"`
	EnrolledAt  time.Time `json:"enrolled_at"`
	CompletedAt time.Time `json:"completed_at"`
}

type stepView struct {
	StepID      string        `json:"step_id"`
	NodeID      string        `json:"node_id"`
	NodeType    string        `json:"node_type"`
	Scheduled   bool          `json:"scheduled"`
	Status      string        `json:"status"`
	Outcome     string        `json:"outcome"`
	CallID      string        `json:"call_id"`
	Attempts    []attemptView `json:"attempts"`
	ScheduledAt time.Time     `json:"scheduled_at"`
	EnteredAt   time.Time     `json:"entered_at"`
	ExitedAt    time.Time     `json:"exited_at"`
	Error       string        `json:"error"`
}

type attemptView struct {
	Attempt     int       `json:"attempt"`
	Status      string    `json:"status"`
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at"`
	DueAt       time.Time `json:"due_at"`
	Error       string    `json:"error"`
	CallID      string    `json:"call_id"`
	Redelivered bool      `json:"redelivered"`
}

type callView struct {
	CallID      string    `json:"call_id"`
	Attempt     int       `json:"attempt"`
	LeadID      string    `json:"lead_id"`
	PhoneNumber string    `json:"phone_number"`
	Status      string    `json:"status"`
	Outcome     string    `json:"outcome"`
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at"`
	Error       string    `json:"error"`
}
