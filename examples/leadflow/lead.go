package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// This file has the commands for one lead: enroll and remove.

func (p *program) enrollCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "enroll WORKFLOW PHONE_NUMBER", Short: "Enroll one person",
		Args: wants(2, 2, "needs a workflow's id and a phone number such as +14155552671"),
		Long: `Enroll one person as a lead of a workflow. In an active workflow the lead is due now; in a draft or a
paused one it waits.

Metadata is data about the person that the workflow's conditions and your own programs can read.`,
		Example: `  leadflow enroll wfl_… +14155552671 --external-id crm-17 --time-zone America/New_York
  leadflow enroll wfl_… +14155552671 --metadata name=Ada --metadata plan=pro
  leadflow enroll wfl_… +14155552671 --metadata '{"name": "Ada", "visits": 3}'`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, false, "draft", "active", "paused")
	f := command.Flags()
	externalID := f.String("external-id", "", "your own `id` of the person, such as the one in your CRM")
	timeZone := f.String("time-zone", "", "the person's time `zone`, an IANA name such as Europe/Berlin")
	data := metadata{}
	f.Var(data, "metadata", "a field as `name=value`, whose value is a string, or a JSON object for values of any type; may be given several times")
	command.RunE = func(command *cobra.Command, args []string) error {
		body := map[string]any{"phone_number": args[1]}
		if *externalID != "" {
			body["external_id"] = *externalID
		}
		if *timeZone != "" {
			body["time_zone"] = *timeZone
		}
		if len(data) > 0 {
			body["metadata"] = data
		}
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		var l leadView
		answer, err := c.do(ctx, jsonRequest(http.MethodPost, workflowPath(args[0])+"/leads", text), &l)
		if err != nil || c.json {
			return printJSON(p.stdout, answer, err)
		}
		_, err = fmt.Fprintf(p.stdout, "Enrolled %s as lead %s, at node %s; next action: %s.\n", l.PhoneNumber, l.ID, l.Node, moment(l.NextActionAt))
		return err
	}
	return command
}

// metadata is a flag that adds fields: name=value, or a JSON object.
type metadata map[string]json.RawMessage

func (m metadata) String() string { return "" }

// Type names the kind of value.
func (m metadata) Type() string { return "metadata" }

// Set adds one field, or those of an object. Numbers keep their digits.
func (m metadata) Set(text string) error {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return fmt.Errorf("invalid JSON object %q: %w", text, err)
		}
		for name, value := range fields {
			m[name] = value
		}
		return nil
	}
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf(`invalid field %q; write one such as plan=pro, or a JSON object such as {"visits": 3}`, text)
	}
	quoted, err := json.Marshal(value)
	m[name] = quoted
	return err
}

func (p *program) removeCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "remove [WORKFLOW] LEAD | --phone PHONE_NUMBER", Short: "Remove a lead from its workflow, or a person from all", DisableFlagsInUseLine: true,
		Args: wants(0, 2, "needs a lead's id; the workflow's may stand before it"),
		Long: `Remove a lead from its workflow or, with --phone, all leads of a person, in one commit. The person can be
enrolled again: for a person who said stop, use "leadflow suppress".

A queued retry is still made, unless you give --skip-retries: give it for a person who wants no more
calls.

Once the server has answered, no new step of the lead starts. A step in flight is not cut off: the lead
is pending_removal until the step and its queued retries have ended. With --skip-retries the running
attempt finishes, and no further one is made.`,
		Example: `  leadflow remove wlead_… --skip-retries --reason "wrong number" --actor support
  leadflow remove wfl_… wlead_… --reason "bought elsewhere" --wait 30s
  leadflow remove --phone +14155552671 --reason "moved away"`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true, "draft", "active", "paused")
	f := command.Flags()
	phone := f.String("phone", "", "remove all leads of this phone `number`, in every workflow")
	skip := f.Bool("skip-retries", false, "let the running attempt finish, and drop queued retries")
	reason := f.String("reason", "", "record `why` the lead is removed")
	actor := f.String("actor", "", "record `who` asked for it")
	var wait duration
	f.Var(&wait, "wait", "wait this long, a minute at most, for a step in flight to end")
	f.Lookup("wait").DefValue = ""
	command.RunE = func(command *cobra.Command, args []string) error {
		switch person := *phone != ""; { // here, because the environment may set flags, too
		case person && len(args) > 0:
			return usage("--phone removes the person from every workflow; give it, or a lead's id")
		case person && wait > 0:
			return usage("--wait is for one lead")
		case !person && len(args) == 0:
			return usage("needs a lead's id, or --phone")
		}
		query := url.Values{}
		for name, value := range map[string]string{"reason": *reason, "actor": *actor} {
			if value != "" {
				query.Set(name, value)
			}
		}
		if wait > 0 {
			query.Set("wait", time.Duration(wait).String())
		}
		if *skip {
			query.Set("skip_retries", "true")
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		if *phone != "" {
			return p.removePerson(ctx, c, *phone, query)
		}
		path, err := c.leadPath(ctx, args)
		if err != nil {
			return err
		}
		var answer struct{ Message, Status string }
		text, err := c.do(ctx, request{method: http.MethodDelete, path: path, query: query}, &answer)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s: %s\n", p.paint.status(answer.Status), printable(answer.Message))
		return err
	}
	return command
}

// removePerson removes a person from every workflow.
func (p *program) removePerson(ctx context.Context, c *client, phone string, query url.Values) error {
	var answer struct {
		Data []leadView `json:"data"`
	}
	text, err := c.do(ctx, request{method: http.MethodDelete, path: contactPath(phone) + "/leads", query: query}, &answer)
	if err != nil || c.json {
		return printJSON(p.stdout, text, err)
	}
	if len(answer.Data) == 0 {
		_, err := fmt.Fprintln(p.stdout, "The person has no lead that is not final.")
		return err
	}
	table := newTable(p.stdout)
	fmt.Fprintf(table, "LEAD\tWORKFLOW\t%s\n", p.paint.plain("STATUS"))
	for _, l := range answer.Data {
		fmt.Fprintf(table, "%s\t%s\t%s\n", l.ID, l.WorkflowID, p.paint.status(l.Status))
	}
	return table.Flush()
}
