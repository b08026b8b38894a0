package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// This file has the commands about people: suppressions, holds, signals, and why a lead
// waits.

// said are the flags that say why, and who asks.
func said(command *cobra.Command, what string) (reason, actor *string) {
	f := command.Flags()
	return f.String("reason", "", "record `why` "+what), f.String("actor", "", "record `who` asks for it")
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

type suppressionView struct {
	ID          string    `json:"id"`
	PhoneNumber string    `json:"phone_number"`
	ExternalID  string    `json:"external_id"`
	WorkflowID  string    `json:"workflow_id"`
	Channel     string    `json:"channel"`
	Reason      string    `json:"reason"`
	Actor       string    `json:"actor"`
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	LiftedAt    time.Time `json:"lifted_at"`
	Leads       []struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	} `json:"leads"`
	Linked []json.RawMessage `json:"linked"`
}

func (p *program) suppressCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "suppress [PHONE_NUMBER | FILE.csv]", Short: "Do not contact a person again, in any workflow",
		Args: wants(0, 1, "takes one phone number or one CSV file"), ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		Long: `Record that a person must not be contacted, and remove the person from every workflow.

Once the server has answered, no new attempt starts for the person, and the person cannot be enrolled
until the suppression is lifted or has expired. A call that runs is not cut off.

A file names the persons in its columns phone_number or external_id; reason and expires_at are optional.`,
		Example: `  leadflow suppress +14155552671 --reason "said stop" --actor support
  leadflow suppress --external-id crm-17 --linked
  leadflow suppress +14155552671 --channel voice_call --until 2031-01-01T00:00:00Z
  leadflow suppress do-not-call.csv`,
	}
	c := newClient(command)
	f := command.Flags()
	externalID := f.String("external-id", "", "the person with this `id` of yours")
	linked := f.Bool("linked", false, "also suppress numbers and ids of leads that share one with the person")
	workflow := f.String("workflow", "", "in the workflow with this `id` only")
	channel := f.String("channel", "", "for this `type` of step only: voice_call, message or application")
	until := f.String("until", "", "lift it by itself at this `time`, such as 2031-01-01T00:00:00Z")
	reason, actor := said(command, "the person is suppressed")
	command.RunE = func(command *cobra.Command, args []string) error {
		if len(args) == 1 && strings.HasSuffix(strings.ToLower(args[0]), ".csv") {
			return p.suppressFile(command, c, args[0])
		}
		if len(args) == 0 && *externalID == "" {
			return usage("give a phone number, a CSV file, or --external-id")
		}
		body := setText(map[string]any{}, map[string]string{
			"external_id": *externalID, "workflow_id": *workflow, "channel": *channel, "expires_at": *until, "reason": *reason, "actor": *actor,
		})
		if len(args) == 1 {
			body["phone_number"] = args[0]
		}
		if *linked {
			body["linked"] = true
		}
		var s suppressionView
		text, err := c.post(p, command, "suppressions", body, &s)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		return p.tellSuppressed(s)
	}
	return command
}

func (p *program) tellSuppressed(s suppressionView) error {
	pending := 0
	for _, l := range s.Leads {
		if l.Status == "pending_removal" {
			pending++
		}
	}
	who := strings.TrimSpace(s.PhoneNumber + " " + s.ExternalID)
	fmt.Fprintf(p.stdout, "%s is suppressed: %s.\n", printable(who), s.ID)
	switch {
	case len(s.Leads) > 0 && s.Channel != "":
		fmt.Fprintf(p.stdout, "%d leads skip %s steps from now on.\n", len(s.Leads), s.Channel)
	case len(s.Leads) > 0:
		fmt.Fprintf(p.stdout, "%d leads are removed", len(s.Leads)-pending)
		if pending > 0 {
			fmt.Fprintf(p.stdout, "; %d are removed when their step in flight has ended", pending)
		}
		fmt.Fprintln(p.stdout, ".")
	}
	if len(s.Linked) > 0 {
		fmt.Fprintf(p.stdout, "%d linked numbers and ids are suppressed, too.\n", len(s.Linked))
	}
	return nil
}

// suppressFile sends a file of suppressions.
func (p *program) suppressFile(command *cobra.Command, c *client, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	ctx, stop := p.interruptible(command.Context())
	defer stop()
	var report struct {
		Added        int        `json:"added"`
		Unchanged    int        `json:"unchanged"`
		Rejected     int        `json:"rejected"`
		LeadsRemoved int        `json:"leads_removed"`
		Errors       []rowError `json:"errors"`
	}
	text, err := c.do(ctx, request{method: http.MethodPost, path: "suppressions", kind: "text/csv", body: file}, &report)
	if err != nil || c.json {
		return printJSON(p.stdout, text, err)
	}
	for _, e := range report.Errors {
		fmt.Fprintf(p.stderr, "%s:%d: %s\n", name, e.Line, printable(e.Message))
	}
	fmt.Fprintf(p.stdout, "%d suppressions added, %d were there already, %d rows rejected; %d leads removed.\n",
		report.Added, report.Unchanged, report.Rejected, report.LeadsRemoved)
	if report.Added+report.Unchanged == 0 {
		return fmt.Errorf("nobody in %s was suppressed", name)
	}
	return nil
}

func (p *program) suppressionsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "suppressions", Short: "List who must not be contacted", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
	}
	c := newClient(command)
	query := queryFlags(command, map[string]string{
		"phone-number": "only those of this phone `number`",
		"external-id":  "only those of this `id` of yours",
		"workflow-id":  "only those for the workflow with this `id` alone",
		"channel":      "only those for this `type` of step alone",
		"active":       "`true`: only those that hold now; false: only those that do not any more",
	})
	limit := limitFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return listAll(ctx, c, p, "suppressions", query, *limit, "ID\tPHONE NUMBER\tEXTERNAL ID\tSCOPE\tSINCE\tUNTIL\tREASON", func(s suppressionView) string {
			scope := strings.TrimSpace(s.WorkflowID + " " + s.Channel)
			if scope == "" {
				scope = "everywhere"
			}
			until := moment(s.ExpiresAt)
			if !s.LiftedAt.IsZero() {
				until = "lifted " + moment(s.LiftedAt)
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", s.ID, cell(s.PhoneNumber), cell(s.ExternalID), scope, moment(s.CreatedAt), until, cell(s.Reason))
		})
	}
	return command
}

func (p *program) liftCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "lift SUPPRESSION", Short: "Lift a suppression", Args: wants(1, 1, "needs a suppression's id"), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Lift a suppression: the person may be enrolled again. It stays on record. Leads that it removed stay removed.",
	}
	c := newClient(command)
	reason, actor := said(command, "it is lifted")
	command.RunE = func(command *cobra.Command, args []string) error {
		query := url.Values{}
		for name, value := range map[string]string{"reason": *reason, "actor": *actor} {
			if value != "" {
				query.Set(name, value)
			}
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		var s suppressionView
		text, err := c.do(ctx, request{method: http.MethodDelete, path: "suppressions/" + url.PathEscape(args[0]), query: query}, &s)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s is lifted; %s may be enrolled again.\n", s.ID, printable(strings.TrimSpace(s.PhoneNumber+" "+s.ExternalID)))
		return err
	}
	return command
}

func (p *program) holdCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "hold WORKFLOW LEAD", Short: "Hold a lead: its step in flight finishes, then nothing starts", Args: wants(2, 2, "needs a workflow's id and a lead's"),
		Example: `  leadflow hold wfl_… wlead_… --until 2031-01-01T00:00:00Z --reason "on holiday"`,
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
		text, err := c.post(p, command, leadPath(args[0], args[1])+"/hold", body, &l)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		end := "it is released"
		if !l.Hold.Until.IsZero() {
			end = moment(l.Hold.Until)
		}
		_, err = fmt.Fprintf(p.stdout, "%s is held until %s.\n", l.ID, end)
		return err
	}
	return command
}

func (p *program) releaseCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "release WORKFLOW LEAD", Short: "Release a lead that is held", Args: wants(2, 2, "needs a workflow's id and a lead's"),
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true, "draft", "active", "paused")
	command.RunE = func(command *cobra.Command, args []string) error {
		var l leadView
		text, err := c.post(p, command, leadPath(args[0], args[1])+"/release", map[string]any{}, &l)
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
		Use: "signal PHONE_NUMBER NAME", Short: "Tell a person's leads that something happened, such as a payment", Args: wants(2, 2, "needs a phone number and the signal's name"),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           `  leadflow signal +14155552671 paid --data '{"amount": 20}'`,
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
		var out struct {
			Data []struct {
				ID     string `json:"id"`
				Effect string `json:"effect"`
			} `json:"data"`
		}
		text, err := c.post(p, command, "contacts/"+url.PathEscape(args[0])+"/signals", body, &out)
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
		Use: "explain WORKFLOW LEAD", Short: "Say why a lead is where it is, and what comes next", Args: wants(2, 2, "needs a workflow's id and a lead's"),
		Example: `  leadflow explain wfl_… wlead_…
  leadflow explain wfl_… wlead_… --at 2031-01-01T09:00:00Z`,
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
		var x explanationView
		text, err := c.do(ctx, request{method: http.MethodGet, path: leadPath(args[0], args[1]) + "/explanation", query: query}, &x)
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

func (p *program) limitsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "limits [FILE]", Short: "Show or replace the limits for all workflows", Args: wants(0, 1, "takes one file at most"),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		Long: `Show the limits that hold for all workflows or, with a FILE of JSON (- for standard input), replace
them. They are in force when the command returns, and across restarts.`,
		Example: `  leadflow limits
  echo '{"limits": [{"channel": "voice_call", "in_flight": 50}]}' | leadflow limits -`,
	}
	c := newClient(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		r := request{method: http.MethodGet, path: "limits"}
		if len(args) == 1 {
			var text []byte
			var err error
			if args[0] == "-" {
				text, err = io.ReadAll(os.Stdin)
			} else {
				text, err = os.ReadFile(args[0])
			}
			if err != nil {
				return err
			}
			r = jsonRequest(http.MethodPut, "limits", text)
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		text, err := c.do(ctx, r)
		return printJSON(p.stdout, text, err)
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
		Actor       string    `json:"actor"`
		Reason      string    `json:"reason"`
		PhoneNumber string    `json:"phone_number"`
		LeadID      string    `json:"lead_id"`
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return listAll(ctx, c, p, "audit", query, *limit, "ENTRY\tTIME\tACTION\tPHONE NUMBER\tLEAD\tBY\tREASON", func(e entry) string {
			return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", e.Seq, moment(e.At), e.Action, cell(e.PhoneNumber), cell(e.LeadID), cell(e.Actor), cell(e.Reason))
		})
	}
	return command
}

func (p *program) receiptCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "receipt PHONE_NUMBER", Short: "Print what is on record of a person who said stop", Args: wants(1, 1, "needs a phone number"),
		ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Print a receipt: who asked for it and when, the last attempt before it, since when there has been
silence, and the hash of the audit trail, whose chain is verified.`,
	}
	c := newClient(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		var r struct{ Text string }
		text, err := c.do(ctx, request{method: http.MethodGet, path: "contacts/" + url.PathEscape(args[0]) + "/receipt"}, &r)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = io.WriteString(p.stdout, r.Text)
		return err
	}
	return command
}
