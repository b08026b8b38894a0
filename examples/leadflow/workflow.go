package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the commands for whole workflows.

func (p *program) validateCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "validate FILE...", Short: "Check workflow files", Args: wants(1, math.MaxInt, "needs files to check"), DisableFlagsInUseLine: true,
		Long: `Check workflow files, and list every fault of every file. "-" is standard input. No server is needed.
The exit code is 0 if all of them are valid.

This also checks what the server checks only when a workflow is activated: each call, message and
application node needs a url for its webhook, and config.callback must be without faults. Only the
server knows its --webhook-allow.`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return workflowFiles()
		},
	}
	check := newFileCheck(command)
	command.RunE = func(_ *cobra.Command, paths []string) error {
		faulty := 0
		for _, path := range paths {
			def, err := check.read(p, path)
			if err != nil {
				faulty++
				fmt.Fprintln(p.stdout, p.paint.bad("invalid"), err)
				continue
			}
			fmt.Fprintf(p.stdout, "%s %s: %q, %s, %s\n", p.paint.status("valid"), path, def.Name,
				count(int64(len(def.Nodes)), "node"), count(int64(len(def.Edges)), "edge"))
			p.warnOf(p.stdout, warningsOf(def))
		}
		if faulty > 0 {
			return fmt.Errorf("%d of %s invalid", faulty, count(int64(len(paths)), "file"))
		}
		return nil
	}
	return command
}

// workflowFiles makes a shell complete the names of JSON files.
func workflowFiles() ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt
}

// readWorkflow reads a workflow's file; "-" is standard input.
func (p *program) readWorkflow(path string) (*workflow.Definition, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(p.stdin)
	} else {
		text, err = os.ReadFile(path)
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return nil, failed.Err // the caller names the file
	}
	if err != nil {
		return nil, err
	}
	return workflow.Parse(text)
}

// fileCheck is the check of a workflow's file, the same for every command that has a
// flag for it.
type fileCheck struct{ skipWebhooks bool }

func newFileCheck(command *cobra.Command) *fileCheck {
	c := &fileCheck{}
	command.Flags().BoolVar(&c.skipWebhooks, "skip-webhook-check", false, "do not check webhooks: the workflow is for a program with step handlers of its own")
	return c
}

// read reads and checks a workflow's file. Its error names the file.
func (c *fileCheck) read(p *program, path string) (*workflow.Definition, error) {
	def, err := p.readWorkflow(path)
	return c.check(path, def, err)
}

// parse checks the text of a workflow's file. Its error names the file.
func (c *fileCheck) parse(path string, text []byte) (*workflow.Definition, error) {
	def, err := workflow.Parse(text)
	return c.check(path, def, err)
}

func (c *fileCheck) check(path string, def *workflow.Definition, err error) (*workflow.Definition, error) {
	if err != nil {
		return nil, faults(path, err)
	}
	if c.skipWebhooks {
		return def, nil
	}
	if err := checkWebhooks(def); err != nil {
		return nil, fmt.Errorf("%w\n  If the workflow is for a program with step handlers of its own, give --skip-webhook-check", faults(path, err))
	}
	return def, nil
}

// warningsOf returns what is not wrong with a workflow that was checked, but cannot be meant.
func warningsOf(def *workflow.Definition) []lead.FieldError {
	graph, err := workflow.Compile(def)
	if err != nil {
		return nil
	}
	return graph.Warnings()
}

func (p *program) warnOf(to io.Writer, warnings []lead.FieldError) {
	for _, w := range warnings {
		fmt.Fprintf(to, "  warning: %s\n", w)
	}
}

// checkWebhooks reports every node that a server would refuse to activate: one without
// a valid webhook, or with a handler that serve does not have.
func checkWebhooks(def *workflow.Definition) error {
	hook, err := webhook.New(webhook.Config{CallbackURL: func(lead.StepID) string { return "" }})
	if err != nil {
		return err
	}
	invalid := &lead.InvalidError{Subject: "workflow"}
	known := stepHandlers(hook)
	for i, n := range def.Nodes {
		if !n.Type.Action() {
			continue
		}
		if known[n.HandlerName()] == nil {
			invalid.Faults = append(invalid.Faults, lead.FieldError{Location: fmt.Sprintf("nodes[%d].handler", i), Message: fmt.Sprintf(
				"node %q needs the handler %s, and leadflow serve has only %s", n.ID, n.HandlerName(), strings.Join(slices.Sorted(maps.Keys(known)), ", "))})
		} else if err := hook.CheckNode(n); err != nil {
			invalid.Faults = append(invalid.Faults, lead.FieldError{Location: fmt.Sprintf("nodes[%d].config", i), Message: err.Error()})
		}
	}
	if invalid.Faults == nil {
		return nil
	}
	return invalid
}

func (p *program) editCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "edit WORKFLOW FILE.json", Short: "Replace the graph of a draft",
		Args: wants(2, 2, "needs a workflow's id and a file"),
		Long: `Replace the name, the description, the graph and the rules (calling hours, limits and so on) of a
workflow by those in a file. The workflow must be a draft without leads.

The graph of a workflow that was activated, or has leads, cannot be changed: import the file as a new
workflow. The file is checked as "leadflow validate" checks it.`,
	}
	c := newClient(command)
	by := orderFlags(command)
	check := newFileCheck(command)
	drafts := p.completeWorkflows(c, false, "draft")
	command.ValidArgsFunction = func(command *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return workflowFiles()
		}
		return drafts(command, args, begun)
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		def, err := check.read(p, args[1])
		if err != nil {
			return err
		}
		p.warnOf(p.stderr, warningsOf(def))
		text, err := json.Marshal(map[string]any{
			"name": def.Name, "description": def.Description, "entry": def.Entry,
			"nodes": def.Nodes, "edges": append([]workflow.Edge{}, def.Edges...),
			"time_zone": def.TimeZone, "calling_hours": def.CallingHours, "limits": def.Limits, "exits": def.Exits,
			"priority": max(def.Priority, 1), "guard": def.Guard,
		})
		if err != nil {
			return err
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		var w workflowView
		r := jsonRequest(http.MethodPatch, workflowPath(args[0]), text)
		r.query = by.query()
		answer, err := c.do(ctx, r, &w)
		if refused := (*problem)(nil); errors.As(err, &refused) && refused.Status == http.StatusConflict {
			refused.advice = "Only a draft without leads can be edited. To use the file: leadflow import --workflow " + args[1]
		}
		if err != nil || c.json {
			return printJSON(p.stdout, answer, err)
		}
		_, err = fmt.Fprintf(p.stdout, "Replaced the graph of workflow %s, %q: %s, %s.\n", w.ID, w.Name,
			count(int64(w.NodeCount), "node"), count(int64(w.EdgeCount), "edge"))
		return err
	}
	return command
}

func (p *program) activateCommand() *cobra.Command {
	return p.turnCommand("activate", "draft", "Activate a draft", `Activate a draft: its leads are contacted from now on.`, "Activated", func(w workflowView) string {
		return fmt.Sprintf("%s contacted from now on.", are(w.live(), "lead"))
	})
}

func (p *program) pauseCommand() *cobra.Command {
	return p.turnCommand("pause", "active", "Pause an active workflow", `Pause an active workflow: running attempts finish, and no further one begins, not even a queued retry.
A wait keeps its due time; one that comes due during the pause ends when the workflow is resumed.`, "Paused", func(w workflowView) string {
		return fmt.Sprintf("%s waiting until it is resumed.", are(w.live(), "lead"))
	})
}

func (p *program) resumeCommand() *cobra.Command {
	return p.turnCommand("resume", "paused", "Resume a paused workflow", `Resume a paused workflow.`, "Resumed", func(w workflowView) string {
		return fmt.Sprintf("%s moving again.", are(w.live(), "lead"))
	})
}

// turnCommand is a command that changes a workflow's status without asking.
func (p *program) turnCommand(name, from, short, long, done string, after func(workflowView) string) *cobra.Command {
	command := &cobra.Command{
		Use: name + " WORKFLOW", Short: short, Long: long, Args: wants(1, 1, "needs a workflow's id"),
	}
	c := newClient(command)
	by := orderFlags(command)
	command.ValidArgsFunction = p.completeWorkflows(c, false, from)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		w, text, err := c.turn(ctx, args[0], name, by.query())
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s workflow %s. %s\n", done, title(w), after(w))
		p.warnOf(p.stderr, w.Warnings)
		return err
	}
	return command
}

// turn changes a workflow's status.
func (c *client) turn(ctx context.Context, id, action string, query url.Values) (w workflowView, text json.RawMessage, err error) {
	text, err = c.do(ctx, request{method: http.MethodPost, path: workflowPath(id) + "/" + action, query: query}, &w)
	return w, text, err
}

func (p *program) cancelCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "cancel WORKFLOW", Short: "Stop a workflow for good", Args: wants(1, 1, "needs a workflow's id"),
		Long: `Stop a workflow for good. Running attempts finish, queued retries are dropped, and all leads are
removed. At a terminal the command asks first.`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, false, "draft", "active", "paused")
	by := orderFlags(command)
	yes := yesFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		before, _, err := c.workflow(ctx, args[0])
		if err != nil {
			return err
		}
		leads := count(before.live(), "live lead")
		err = p.confirm(ctx, *yes, fmt.Sprintf("Cancel workflow %s, for good, and remove its %s?", title(before), leads))
		if err != nil {
			return err
		}
		w, text, err := c.turn(ctx, args[0], "cancel", by.query())
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		fmt.Fprintf(p.stdout, "Cancelled workflow %s, which had %s.\n", title(w), leads)
		if w.live() > 0 {
			fmt.Fprintf(p.stdout, "%s a step in flight, and will be removed when it ends.\n", have(w.live(), "lead"))
		}
		return nil
	}
	return command
}

func (p *program) deleteCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "delete WORKFLOW", Short: "Delete a workflow and its leads", Args: wants(1, 1, "needs a workflow's id"),
		Long: `Delete a workflow with its leads and their history; the call log stays. The workflow must be a draft,
completed or cancelled, without a step in flight. At a terminal the command asks first.`,
	}
	c := newClient(command)
	command.ValidArgsFunction = p.completeWorkflows(c, false, "draft", "completed", "cancelled")
	by := orderFlags(command)
	yes := yesFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		w, _, err := c.workflow(ctx, args[0])
		if err != nil {
			return err
		}
		leads := count(w.EnrolledLeads, "lead")
		err = p.confirm(ctx, *yes, fmt.Sprintf("Delete workflow %s, with its %s and their history?", title(w), leads))
		if err != nil {
			return err
		}
		text, err := c.do(ctx, request{method: http.MethodDelete, path: workflowPath(args[0]), query: by.query()})
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		_, err = fmt.Fprintf(p.stdout, "Deleted workflow %s, which had %s. The call log stays.\n", title(w), leads)
		return err
	}
	return command
}

func yesFlag(command *cobra.Command) *bool {
	return command.Flags().Bool("yes", false, "do not ask")
}

// title is how a message names a workflow.
func title(w workflowView) string { return fmt.Sprintf("%s, %q", w.ID, w.Name) }

// count is a number of things in words.
func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", thousands(int(n)), what)
}

func are(n int64, what string) string {
	if n == 1 {
		return count(n, what) + " is"
	}
	return count(n, what) + " are"
}

func have(n int64, what string) string {
	if n == 1 {
		return count(n, what) + " has"
	}
	return count(n, what) + " have"
}

// trimBOM is a JSON text without the byte order mark that some editors write.
func trimBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\uFEFF")) }
