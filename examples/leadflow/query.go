package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

var listCommand = command{
	name: "list", args: "[WORKFLOW]",
	summary: "list workflows, or the leads of one",
	define: func(f *flags) func(context.Context, *program, []string) error {
		c := newClient(f)
		query := url.Values{}
		for name, text := range map[string]string{
			"status":       "only those with this `status`",
			"phone-number": "only leads of this `number`",
			"node-id":      "only leads at this `node`",
		} {
			f.Func(name, text, func(value string) error {
				query.Set(strings.ReplaceAll(name, "-", "_"), value)
				return nil
			})
		}
		limit := f.Int("limit", 100, "list so `many` at most; 0 for all")
		return func(ctx context.Context, p *program, args []string) error {
			if len(args) > 1 || *limit < 0 {
				return usage("takes one workflow's id at most and a limit of 0 or more, and got %q, %d", args, *limit)
			}
			ctx, stop := p.interruptible(ctx)
			defer stop()
			if len(args) == 0 {
				return listAll(ctx, c, p, "workflows", query, *limit, "ID\tSTATUS\tLEADS\tLIVE\tNAME", workflowRow)
			}
			return listAll(ctx, c, p, "workflows/"+url.PathEscape(args[0])+"/leads", query, *limit,
				"ID\tPHONE NUMBER\tSTATUS\tNODE\tOUTCOME\tNEXT ACTION", leadRow)
		}
	},
}

func workflowRow(w workflowView) string {
	live := w.Counts["enrolled"] + w.Counts["in_step"] + w.Counts["pending_removal"]
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%s", w.ID, w.Status, w.EnrolledLeads, live, printable(w.Name))
}

func leadRow(l leadView) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", l.ID, l.PhoneNumber, l.Status, l.Node, cell(l.Outcome), moment(l.NextActionAt))
}

// listAll prints a list, page by page.
func listAll[T any](ctx context.Context, c *client, p *program, path string, query url.Values, limit int, header string, row func(T) string) error {
	const perPage = 100
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
			fmt.Fprintf(p.stderr, "The first %d; -limit %d lists more.\n", n, 10*n)
			return nil
		}
		query.Set("cursor", body.NextCursor)
	}
}

var showCommand = command{
	name: "show", args: "WORKFLOW [LEAD]",
	summary: "show one of them",
	define: func(f *flags) func(context.Context, *program, []string) error {
		c := newClient(f)
		return func(ctx context.Context, p *program, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("needs a workflow's id, and may have a lead's; it got %q", args)
			}
			ctx, stop := p.interruptible(ctx)
			defer stop()
			if len(args) == 1 {
				return c.showWorkflow(ctx, p, args[0])
			}
			return c.showLead(ctx, p, args[0], args[1])
		}
	},
}

func (c *client) showWorkflow(ctx context.Context, p *program, id string) error {
	var w workflowView
	text, err := c.do(ctx, request{method: http.MethodGet, path: "workflows/" + url.PathEscape(id)}, &w)
	if err != nil || c.json {
		return printJSON(p.stdout, text, err)
	}
	table := newTable(p.stdout)
	fmt.Fprintf(table, "Workflow\t%s\nName\t%s\n", w.ID, printable(w.Name))
	if w.Description != "" {
		fmt.Fprintf(table, "Description\t%s\n", printable(w.Description))
	}
	fmt.Fprintf(table, "Status\t%s\nGraph\t%d nodes, %d edges\nCreated\t%s\nLeads\t%d\n",
		w.Status, w.NodeCount, w.EdgeCount, moment(w.CreatedAt), w.EnrolledLeads)
	for _, state := range []string{"enrolled", "in_step", "pending_removal", "removed", "completed"} {
		fmt.Fprintf(table, "  %s\t%d\n", state, w.Counts[state])
	}
	return table.Flush()
}

func (c *client) showLead(ctx context.Context, p *program, workflow, id string) error {
	var l leadView
	text, err := c.do(ctx, request{method: http.MethodGet, path: leadPath(workflow, id)}, &l)
	if err != nil || c.json {
		return printJSON(p.stdout, text, err)
	}
	table := newTable(p.stdout)
	fmt.Fprintf(table, "Lead\t%s\nPhone number\t%s\n", l.ID, l.PhoneNumber)
	for _, field := range []struct{ name, value string }{{"External id", l.ExternalID}, {"Time zone", l.TimeZone}, {"Outcome", l.Outcome}} {
		if field.value != "" {
			fmt.Fprintf(table, "%s\t%s\n", field.name, printable(field.value))
		}
	}
	fmt.Fprintf(table, "Status\t%s\nNode\t%s\nNext action\t%s\nEnrolled\t%s\n", l.Status, l.Node, moment(l.NextActionAt), moment(l.EnrolledAt))
	if !l.CompletedAt.IsZero() {
		fmt.Fprintf(table, "Completed\t%s\n", moment(l.CompletedAt))
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

var historyCommand = command{
	name: "history", args: "WORKFLOW LEAD",
	summary: "show every step of a lead",
	define: func(f *flags) func(context.Context, *program, []string) error {
		c := newClient(f)
		return func(ctx context.Context, p *program, args []string) error {
			if len(args) != 2 {
				return usage("needs a workflow's id and a lead's, and got %q", args)
			}
			ctx, stop := p.interruptible(ctx)
			defer stop()
			var body struct {
				History []stepView `json:"history"`
			}
			text, err := c.do(ctx, request{method: http.MethodGet, path: leadPath(args[0], args[1]) + "/history"}, &body)
			if err != nil || c.json {
				return printJSON(p.stdout, text, err)
			}
			table := newTable(p.stdout)
			fmt.Fprintln(table, "ENTERED\tNODE\tTYPE\tSTATUS\tOUTCOME\tNOTE")
			for _, s := range body.History {
				printStep(table, s)
			}
			return table.Flush()
		}
	},
}

// printStep prints a step, and each of its attempts when one is not enough to
// tell what happened.
func printStep(w io.Writer, s stepView) {
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
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", moment(s.EnteredAt), s.NodeID, s.NodeType, s.Status, cell(s.Outcome), cell(strings.Join(notes, "; ")))
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
		fmt.Fprintf(w, "%s\t  attempt %d\t\t%s\t\t%s\n", moment(a.StartedAt), a.Attempt, a.Status, cell(note))
	}
}

var removeCommand = command{
	name: "remove", args: "WORKFLOW LEAD",
	summary: "take a lead out",
	details: `Once the server has answered, no new step of the lead starts. A step in flight is not cut short:
then the lead is pending_removal until it is over.`,
	define: func(f *flags) func(context.Context, *program, []string) error {
		c := newClient(f)
		reason := f.String("reason", "", "put on record `why`")
		actor := f.String("actor", "", "put on record `who` asks")
		wait := f.Duration("wait", 0, "wait this `long`, a minute at most, for a step in flight to end")
		skip := f.Bool("skip-retries", false, "let the attempt in flight end, but make no further one")
		return func(ctx context.Context, p *program, args []string) error {
			if len(args) != 2 {
				return usage("needs a workflow's id and a lead's, and got %q", args)
			}
			query := url.Values{}
			for name, value := range map[string]string{"reason": *reason, "actor": *actor} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if *wait > 0 {
				query.Set("wait", wait.String())
			}
			if *skip {
				query.Set("skip_retries", "true")
			}
			ctx, stop := p.interruptible(ctx)
			defer stop()
			var answer struct{ Message, Status string }
			text, err := c.do(ctx, request{method: http.MethodDelete, path: leadPath(args[0], args[1]), query: query}, &answer)
			if err != nil || c.json {
				return printJSON(p.stdout, text, err)
			}
			_, err = fmt.Fprintf(p.stdout, "%s: %s\n", answer.Status, printable(answer.Message))
			return err
		}
	},
}

func leadPath(workflow, id string) string {
	return "workflows/" + url.PathEscape(workflow) + "/leads/" + url.PathEscape(id)
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

// cell is a text from elsewhere in a table.
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
