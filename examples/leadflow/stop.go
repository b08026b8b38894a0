package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// This file has the commands about leads that wait, and about what is on record: holds,
// signals, explanations, receipts and the audit trail.

// said are the flags that say why, and who asks.
func said(command *cobra.Command, what string) (reason, actor *string) {
	f := command.Flags()
	return f.String("reason", "", "record `why` "+what), f.String("actor", "", "record `who` asks for it")
}

// orderer says why, and who asks, in the parameters of a request.
type orderer struct{ reason, actor *string }

func orderFlags(command *cobra.Command) orderer {
	reason, actor := said(command, "it is done")
	return orderer{reason, actor}
}

func (o orderer) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"reason": *o.reason, "actor": *o.actor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// setText adds the fields that have a value.
func setText(body map[string]any, fields map[string]string) map[string]any {
	for name, value := range fields {
		if value != "" {
			body[name] = value
		}
	}
	return body
}

// post sends fields to a route and decodes the answer.
func (c *client) post(p *program, command *cobra.Command, path string, fields map[string]any, out any) (json.RawMessage, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	ctx, stop := p.interruptible(command.Context())
	defer stop()
	return c.do(ctx, jsonRequest(http.MethodPost, path, text), out)
}

// postLead sends fields to a route of the lead that the arguments name.
func (c *client) postLead(p *program, command *cobra.Command, args []string, route string, fields map[string]any, out any) (json.RawMessage, error) {
	ctx, stop := p.interruptible(command.Context())
	path, err := c.leadPath(ctx, args)
	stop()
	if err != nil {
		return nil, err
	}
	return c.post(p, command, path+route, fields, out)
}

// wantsLead is the check of arguments that name a lead.
var wantsLead = wants(1, 2, "needs a lead's id; the workflow's may stand before it")

// leadPath is the path of the lead that the arguments name: by its id alone, or with the
// workflow's before it.
func (c *client) leadPath(ctx context.Context, args []string) (string, error) {
	if len(args) == 2 {
		return leadPath(args[0], args[1]), nil
	}
	var l leadView
	_, err := c.do(ctx, request{method: http.MethodGet, path: "leads/" + url.PathEscape(args[0])}, &l)
	return leadPath(l.WorkflowID, l.ID), err
}

func (p *program) holdCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "hold [WORKFLOW] LEAD", Short: "Hold a lead: its step in flight finishes, then nothing starts", Args: wantsLead,
		Long: `Hold a lead: the attempt that runs finishes, and then nothing starts, not even a queued retry, until
you release it or --until has come. A lead that is held gets the new end and reason.`,
		Example: `  leadflow hold wlead_… --until 2031-01-01T00:00:00Z --reason "on holiday" --actor support`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true, "draft", "active", "paused")
	until := command.Flags().String("until", "", "release it by itself at this `time`")
	reason, actor := said(command, "it is held")
	command.RunE = func(command *cobra.Command, args []string) error {
		body := setText(map[string]any{}, map[string]string{"until": *until, "reason": *reason, "actor": *actor})
		var l struct {
			ID   string
			Hold struct {
				Until time.Time `json:"until"`
			}
		}
		text, err := c.postLead(p, command, args, "/hold", body, &l)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s is held until %s.\n", l.ID, held(l.Hold.Until))
		return err
	}
	return command
}

func (p *program) releaseCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "release [WORKFLOW] LEAD", Short: "Release a lead that is held", Args: wantsLead,
		Long: `Release a lead that is held. A wait goes on with the time that was left of it.`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true, "draft", "active", "paused")
	reason, actor := said(command, "it is released")
	command.RunE = func(command *cobra.Command, args []string) error {
		var l leadView
		text, err := c.postLead(p, command, args, "/release", setText(map[string]any{}, map[string]string{"reason": *reason, "actor": *actor}), &l)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s is released; next action: %s.\n", l.ID, moment(l.NextActionAt))
		return err
	}
	return command
}

func (p *program) signalCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "signal PHONE_NUMBER|LEAD NAME", Short: "Tell a person's leads that something happened, such as a payment",
		Args: wants(2, 2, "needs a phone number or a lead's id, and the signal's name"), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Give a signal to all leads of a person, or to one lead, and print what it did to each:

    woken     a wait for it has ended
    exits     the lead completes, now or when its step in flight has ended
    kept      a step is in flight; a wait for it that follows directly will end
    ignored   nothing waits for it`,
		Example: `  leadflow signal +14155552671 paid --data '{"amount": 20}'`,
	}
	c := newClient(command)
	data := command.Flags().String("data", "", "a JSON `object` that goes with it")
	command.RunE = func(command *cobra.Command, args []string) error {
		body := map[string]any{"name": args[1]}
		if *data != "" {
			body["data"] = json.RawMessage(*data)
			if !json.Valid([]byte(*data)) {
				return usage("--data is not JSON")
			}
		}
		type signalled struct {
			ID     string `json:"id"`
			Effect string `json:"effect"`
		}
		var out struct {
			signalled
			Data []signalled `json:"data"`
		}
		var text json.RawMessage
		var err error
		if strings.HasPrefix(args[0], "wlead_") {
			text, err = c.postLead(p, command, args[:1], "/signals", body, &out)
			out.Data = []signalled{out.signalled}
		} else {
			text, err = c.post(p, command, contactPath(args[0])+"/signals", body, &out)
		}
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		if len(out.Data) == 0 {
			fmt.Fprintln(p.stdout, "The person has no lead that is not final.")
		}
		for _, l := range out.Data {
			fmt.Fprintf(p.stdout, "%s  %s\n", l.ID, l.Effect)
		}
		return nil
	}
	return command
}

type explanationView struct {
	Summary string `json:"summary"`
	Next    []struct {
		NodeID  string    `json:"node_id"`
		Outcome string    `json:"outcome"`
		At      time.Time `json:"at"`
	} `json:"next"`
	RemovalWould *struct {
		Status   string `json:"status"`
		Finishes *struct {
			NodeID string    `json:"node_id"`
			By     time.Time `json:"by"`
		} `json:"finishes"`
		Cancels []struct {
			NodeID string    `json:"node_id"`
			DueAt  time.Time `json:"due_at"`
		} `json:"cancels"`
	} `json:"removal_would"`
}

func (p *program) explainCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "explain [WORKFLOW] LEAD", Short: "Say why a lead is where it is, and what comes next", Args: wantsLead,
		Long: `Say why a lead is where it is, until when, what comes next, and what removing it now would do. With --at
it says where the lead would be at that time, if nothing is heard of it until then: no outcome, no
callback, no request.`,
		Example: `  leadflow explain wlead_…
  leadflow explain wlead_… --at 2031-01-01T09:00:00Z`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true)
	at := command.Flags().String("at", "", "explain where it would be at this `time`, if nothing is heard of it until then")
	command.RunE = func(command *cobra.Command, args []string) error {
		query := url.Values{}
		if *at != "" {
			query.Set("at", *at)
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		path, err := c.leadPath(ctx, args)
		if err != nil {
			return err
		}
		var x explanationView
		text, err := c.do(ctx, request{method: http.MethodGet, path: path + "/explanation", query: query}, &x)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		fmt.Fprintln(p.stdout, printable(x.Summary))
		for _, n := range x.Next {
			way := "Next: " + n.NodeID
			if n.Outcome != "" {
				way += " after " + n.Outcome
			}
			if !n.At.IsZero() {
				way += ", at " + moment(n.At)
			}
			fmt.Fprintln(p.stdout, printable(way))
		}
		if r := x.RemovalWould; r != nil {
			would := "Removing it now: " + r.Status
			if r.Finishes != nil {
				would += "; " + r.Finishes.NodeID + " finishes first"
				if !r.Finishes.By.IsZero() {
					would += ", by " + moment(r.Finishes.By) + " at the latest"
				}
			}
			for _, cancelled := range r.Cancels {
				would += "; cancels " + cancelled.NodeID + ", due " + moment(cancelled.DueAt)
			}
			fmt.Fprintln(p.stdout, printable(would))
		}
		return nil
	}
	return command
}

func (p *program) auditCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "audit", Short: "List who asked for what, when and why", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
	}
	c := newClient(command)
	query := queryFlags(command, map[string]string{
		"phone-number": "only entries about this phone `number`",
		"workflow-id":  "only entries about the workflow with this `id`",
		"lead-id":      "only entries about the lead with this `id`",
		"actor":        "only entries that exactly this `actor` asked for",
		"from":         "only entries at this `time` or later",
		"to":           "only entries before this `time`",
	})
	limit := limitFlag(command)
	type entry struct {
		Seq         int64     `json:"seq"`
		At          time.Time `json:"at"`
		Action      string    `json:"action"`
		WorkflowID  string    `json:"workflow_id"`
		Actor       string    `json:"actor"`
		Reason      string    `json:"reason"`
		PhoneNumber string    `json:"phone_number"`
		LeadID      string    `json:"lead_id"`
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return listAll(ctx, c, p, "audit", query, *limit, "ENTRY\tTIME\tACTION\tPHONE NUMBER\tLEAD\tWORKFLOW\tBY\tREASON", func(e entry) string {
			return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s", e.Seq, moment(e.At), e.Action, cell(e.PhoneNumber), cell(e.LeadID), cell(e.WorkflowID), cell(e.Actor), cell(e.Reason))
		})
	}
	return command
}

func (p *program) receiptCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "receipt PHONE_NUMBER|LEAD", Short: "Print what is on record of a person who said stop",
		Args: wants(1, 1, "needs a phone number or a lead's id"), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Print a receipt: who asked for it and when, the last attempt before it, since when there has been
silence, and the hash of the audit trail, whose chain is verified. It is about all orders of a person,
or about the removal of one lead.`,
	}
	c := newClient(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		path, err := contactPath(args[0]), error(nil)
		if strings.HasPrefix(args[0], "wlead_") {
			if path, err = c.leadPath(ctx, args); err != nil {
				return err
			}
		}
		var r struct{ Text string }
		text, err := c.do(ctx, request{method: http.MethodGet, path: path + "/receipt"}, &r)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = io.WriteString(p.stdout, r.Text)
		return err
	}
	return command
}
