package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) listCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "list [WORKFLOW]", Short: "List workflows, or the leads of one", Args: wants(0, 1, "takes one workflow's id at most"),
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, false)
	query := queryFlags(command, map[string]string{
		"status":       "only those with this `status`",
		"phone-number": "only leads of this phone `number`",
		"node-id":      "only leads at this `node`",
	})
	completeFlag(command, "status", append(slices.Clone(workflowStatuses), leadStatuses...))
	limit := limitFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		if len(args) == 1 {
			return listAll(ctx, c, p, workflowPath(args[0])+"/leads", query, *limit, p.leadHeader(), p.leadRow)
		}
		for _, name := range []string{"phone-number", "node-id"} {
			if command.Flags().Changed(name) {
				return usage("--%s is for the leads of a workflow: leadflow list WORKFLOW --%s …", name, name)
			}
		}
		return listAll(ctx, c, p, "workflows", query, *limit, p.workflowHeader(), p.workflowRow)
	}
	return command
}

// The statuses, for shell completion; the server validates them.
var (
	workflowStatuses = []string{"draft", "active", "paused", "completed", "cancelled"}
	leadStatuses     = []string{"enrolled", "in_step", "pending_removal", "removed", "completed"}
	callStatuses     = []string{"in_progress", "completed", "failed"}
)

// queryFlags adds flags that are parameters of the request, under the same names
// with underscores.
func queryFlags(command *cobra.Command, flags map[string]string) url.Values {
	query := url.Values{}
	for name, text := range flags {
		command.Flags().Func(name, text, func(value string) error {
			query.Set(strings.ReplaceAll(name, "-", "_"), value)
			return nil
		})
	}
	return query
}

func limitFlag(command *cobra.Command) *uint {
	return command.Flags().Uint("limit", 100, "list at most this `number`; 0 for all")
}

func (p *program) workflowHeader() string {
	return "ID\t" + p.paint.plain("STATUS") + "\tLEADS\tLIVE\tNAME"
}

func (p *program) workflowRow(w workflowView) string {
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%s", w.ID, p.paint.status(w.Status), w.EnrolledLeads, w.live(), printable(w.Name))
}

func (p *program) leadHeader() string {
	return "ID\tPHONE NUMBER\t" + p.paint.plain("STATUS") + "\tNODE\tOUTCOME\tNEXT ACTION"
}

func (p *program) leadRow(l leadView) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s",
		l.ID, l.PhoneNumber, p.paint.status(l.Status), l.Node, cell(l.Outcome), moment(l.NextActionAt))
}

func (p *program) callsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "calls", Short: "List the call log", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: "List the call log: an entry for each attempt at a call, in the order in which they were begun.\n" +
			"Entries stay when leads and workflows are deleted.",
	}
	c := newClient(command)
	query := queryFlags(command, map[string]string{
		"workflow-id":  "only calls of the workflow with this `id`",
		"lead-id":      "only calls of the lead with this `id`",
		"phone-number": "only calls to this phone `number`",
		"status":       "only calls with this `status`",
		"from":         "only calls begun at this `time` or later, such as 2026-05-01T09:00:00Z",
		"to":           "only calls begun before this `time`",
	})
	completeFlag(command, "status", callStatuses)
	limit := limitFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return listAll(ctx, c, p, "calls", query, *limit,
			"STARTED\tTOOK\tPHONE NUMBER\t"+p.paint.plain("STATUS")+"\tOUTCOME\tCALL ID\tLEAD\tNOTE", p.callRow)
	}
	return command
}

func (p *program) callRow(c callView) string {
	took := "-"
	if !c.EndedAt.IsZero() {
		took = c.EndedAt.Sub(c.StartedAt).Round(time.Second).String()
	}
	note := c.Error
	if c.Attempt > 1 {
		note = strings.TrimSuffix(fmt.Sprintf("attempt %d; %s", c.Attempt, note), "; ")
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", moment(c.StartedAt), took, c.PhoneNumber, p.paint.status(c.Status),
		cell(c.Outcome), cell(c.CallID), c.LeadID, cell(note))
}

// listAll prints a list, page by page.
func listAll[T any](ctx context.Context, c *client, p *program, path string, query url.Values, most uint, header string, row func(T) string) error {
	const perPage = 100
	limit := int(min(most, math.MaxInt32))
	table := newTable(p.stdout)
	if !c.json {
		fmt.Fprintln(table, header)
	}
	for n := 0; ; {
		page := perPage
		if limit > 0 {
			page = min(page, limit-n)
		}
		query.Set("limit", strconv.Itoa(page))
		var body struct {
			Data       []json.RawMessage `json:"data"`
			NextCursor string            `json:"next_cursor"`
		}
		if _, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query}, &body); err != nil {
			return err
		}
		for _, text := range body.Data {
			var item T
			if err := json.Unmarshal(text, &item); err != nil {
				return err
			}
			if c.json {
				fmt.Fprintf(table, "%s\n", text)
			} else {
				fmt.Fprintln(table, row(item))
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
		n += len(body.Data)
		if body.NextCursor == "" || len(body.Data) == 0 {
			return nil
		}
		if n == limit {
			fmt.Fprintf(p.stderr, "The first %d; --limit %d lists more.\n", n, 10*n)
			return nil
		}
		query.Set("cursor", body.NextCursor)
	}
}

func (p *program) showCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "show WORKFLOW|LEAD", Short: "Show a workflow, or a lead",
		Long: "Show a workflow, wfl_…, or a lead, wlead_…. The workflow's id may stand before the lead's; the lead must\nthen be in that workflow.",
		Args: wants(1, 2, "needs the id of a workflow or of a lead"),
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		switch {
		case len(args) == 2:
			return c.showLead(ctx, p, leadPath(args[0], args[1]))
		case strings.HasPrefix(args[0], "wlead_"):
			return c.showLead(ctx, p, "leads/"+url.PathEscape(args[0]))
		}
		return c.showWorkflow(ctx, p, args[0])
	}
	return command
}

func (c *client) showWorkflow(ctx context.Context, p *program, id string) error {
	w, text, err := c.workflow(ctx, id)
	if err != nil || c.json {
		return printJSON(p.stdout, text, err)
	}
	table := newTable(p.stdout)
	fmt.Fprintf(table, "Workflow\t%s\nName\t%s\n", w.ID, printable(w.Name))
	if w.Description != "" {
		fmt.Fprintf(table, "Description\t%s\n", printable(w.Description))
	}
	fmt.Fprintf(table, "Status\t%s\nGraph\t%d nodes, %d edges\nCreated\t%s\nLeads\t%d\n",
		p.paint.status(w.Status), w.NodeCount, w.EdgeCount, moment(w.CreatedAt), w.EnrolledLeads)
	for _, state := range leadStatuses {
		fmt.Fprintf(table, "  %s\t%d\n", state, w.Counts[state])
	}
	return table.Flush()
}

func (c *client) showLead(ctx context.Context, p *program, path string) error {
	var l leadView
	text, err := c.do(ctx, request{method: http.MethodGet, path: path}, &l)
	if err != nil || c.json {
		return printJSON(p.stdout, text, err)
	}
	table := newTable(p.stdout)
	fmt.Fprintf(table, "Lead\t%s\nWorkflow\t%s\nPhone number\t%s\n", l.ID, l.WorkflowID, l.PhoneNumber)
	for _, field := range []struct{ name, value string }{{"External id", l.ExternalID}, {"Time zone", l.TimeZone}, {"Outcome", l.Outcome}} {
		if field.value != "" {
			fmt.Fprintf(table, "%s\t%s\n", field.name, printable(field.value))
		}
	}
	fmt.Fprintf(table, "Status\t%s\nNode\t%s\nNext action\t%s\nEnrolled\t%s\n", p.paint.status(l.Status), l.Node,
		moment(l.NextActionAt), moment(l.EnrolledAt))
	if !l.CompletedAt.IsZero() {
		fmt.Fprintf(table, "Completed\t%s\n", moment(l.CompletedAt))
	}
	if h := l.Hold; h != nil {
		fmt.Fprintf(table, "Held\tsince %s, until %s\n  reason\t%s\n  actor\t%s\n",
			moment(h.Since), held(h.Until), cell(h.Reason), cell(h.Actor))
	}
	if r := l.Removal; r != nil {
		fmt.Fprintf(table, "Removal\trequested %s, removed %s\n  reason\t%s\n  actor\t%s\n",
			moment(r.RequestedAt), moment(r.RemovedAt), cell(r.Reason), cell(r.Actor))
	}
	if len(l.Metadata) > 0 {
		metadata, err := json.Marshal(l.Metadata)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "Metadata\t%s\n", printable(string(metadata)))
	}
	return table.Flush()
}

// held is the end of a hold.
func held(until time.Time) string {
	if until.IsZero() {
		return "it is released"
	}
	return moment(until)
}

func (p *program) historyCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "history WORKFLOW LEAD", Short: "Show every step of a lead",
		Args: wants(2, 2, "needs a workflow's id and a lead's"),
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, true)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		var body struct {
			History []stepView `json:"history"`
		}
		text, err := c.do(ctx, request{method: http.MethodGet, path: leadPath(args[0], args[1]) + "/history"}, &body)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		table := newTable(p.stdout)
		fmt.Fprintf(table, "ENTERED\tNODE\tTYPE\t%s\tOUTCOME\tNOTE\n", p.paint.plain("STATUS"))
		for _, s := range body.History {
			p.printStep(table, s)
		}
		return table.Flush()
	}
	return command
}

// printStep prints a step and, if there is more than one attempt to tell about, each
// attempt.
func (p *program) printStep(w io.Writer, s stepView) {
	var notes []string
	if s.Scheduled {
		notes = append(notes, "a scheduled message")
	}
	if s.CallID != "" {
		notes = append(notes, "call "+s.CallID)
	}
	if s.Status == "waiting" || s.Status == "cancelled" {
		notes = append(notes, "due "+moment(s.ScheduledAt))
	}
	if s.Error != "" {
		notes = append(notes, s.Error)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", moment(s.EnteredAt), s.NodeID, s.NodeType, p.paint.status(s.Status), cell(s.Outcome), cell(strings.Join(notes, "; ")))
	if len(s.Attempts) < 2 {
		return
	}
	for _, a := range s.Attempts {
		note := a.Error
		switch {
		case a.StartedAt.IsZero():
			note = "due " + moment(a.DueAt)
		case a.Redelivered:
			note = strings.TrimSuffix("made again after a crash; "+note, "; ")
		}
		fmt.Fprintf(w, "%s\t  attempt %d\t\t%s\t\t%s\n", moment(a.StartedAt), a.Attempt, p.paint.status(a.Status), cell(note))
	}
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

// cell is a text from elsewhere, for a table.
func cell(text string) string { return cmp.Or(printable(text), "-") }

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// printJSON prints what the server answered.
func printJSON(w io.Writer, text json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", strings.TrimSpace(string(text)))
	return err
}
