package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

func (p *program) importCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "import --workflow FILE.json --leads FILE.csv", Short: "Create a workflow and enroll a file",
		Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Create a workflow and enroll a file of leads.

The first line of the file of leads names the columns. phone_number is required, external_id and
time_zone are optional, and all other columns become metadata. If some rows are rejected, they are
named by line, the others are enrolled, and the exit code is 4.

The workflow's file is checked as "leadflow validate" checks it, before anything is created. The
workflow is created as a draft: use "leadflow activate" later, or give --activate. If something goes
wrong, or no row of the file can be enrolled, the workflow is deleted again, and the exit code is 1.

If the server is a program with step handlers of its own, give --skip-webhook-check: its handlers check
the workflow when it is activated.

To enroll into an existing workflow, give its id, wfl_…, instead of a file. Without --leads the command
only creates the workflow.`,
		Example: `  leadflow import --workflow workflow.json --leads leads.csv --dry-run
  leadflow import --workflow workflow.json --leads leads.csv --activate
  leadflow import --workflow wfl_… --leads more.csv`,
	}
	i := importer{client: newClient(command), check: newFileCheck(command)}
	f := command.Flags()
	f.StringVar(&i.workflow, "workflow", "", "create the workflow in this JSON `file`, or enroll into the one with this id")
	f.StringVar(&i.leads, "leads", "", "enroll the leads in this CSV `file`")
	f.StringVar(&i.region, "region", "", "read phone numbers without a leading + as those of this `country`, such as US (default: the server's)")
	f.BoolVar(&i.activate, "activate", false, "activate the workflow, so that its leads are contacted from now on")
	f.BoolVar(&i.dryRun, "dry-run", false, "print what would be enrolled and what rejected, and write nothing; with a workflow file no server is needed")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if i.workflow == "" {
			return usage("needs --workflow")
		}
		if err := checkRegion(i.region); err != nil {
			return err
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return i.run(ctx, p)
	}
	return command
}

type importer struct {
	*client
	check                   *fileCheck
	workflow, leads, region string
	activate, dryRun        bool
}

// importReport is the result of a file of leads.
type importReport struct {
	LeadsEnrolled int        `json:"leads_enrolled"`
	Rejected      int        `json:"rejected"`
	Errors        []rowError `json:"errors"`
}

type rowError struct {
	Row     int    `json:"row"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

func (i *importer) run(ctx context.Context, p *program) error {
	// Opened before anything is created, because a wrong file name is the commonest mistake.
	leads, err := i.openLeads()
	if err != nil {
		return err
	}
	if leads != nil {
		defer leads.Close()
	}
	id, err := lead.ParseWorkflowID(i.workflow)
	if err == nil {
		return i.into(ctx, p, id.String(), leads)
	}
	text, err := os.ReadFile(i.workflow)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(i.workflow, "wfl_") {
			return fmt.Errorf("%w; and it is not a valid workflow id", err)
		}
		return err
	}
	def, err := i.check.parse(i.workflow, text)
	if err != nil {
		return err
	}
	p.warnOf(p.stderr, warningsOf(def))
	if i.dryRun {
		return i.rehearse(ctx, p, def, leads)
	}
	return i.create(ctx, p, text, leads)
}

// openLeads opens the file of leads; nil if none was given.
func (i *importer) openLeads() (*os.File, error) {
	if i.leads == "" {
		return nil, nil
	}
	leads, err := os.Open(i.leads)
	if err != nil {
		return nil, err
	}
	if info, err := leads.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, leads.Close(), fmt.Errorf("%s is not a regular file", i.leads))
	}
	return leads, nil
}

// into imports into an existing workflow.
func (i *importer) into(ctx context.Context, p *program, id string, leads *os.File) error {
	if _, _, err := i.client.workflow(ctx, id); err != nil {
		return err
	}
	report, err := i.enroll(ctx, p, id, leads)
	if err != nil {
		return err
	}
	if i.activate && !i.dryRun {
		if err := i.activateNow(ctx, p, id); err != nil {
			return err
		}
	}
	return i.rejection(report)
}

// create creates a workflow from its file and enrolls its leads: everything, or nothing.
func (i *importer) create(ctx context.Context, p *program, text []byte, leads *os.File) error {
	var wf workflowView
	answer, err := i.do(ctx, jsonRequest(http.MethodPost, "workflows", trimBOM(text)), &wf)
	if err != nil {
		return fmt.Errorf("%s: %w", i.workflow, err)
	}
	if i.json && leads == nil {
		if err := printJSON(p.stdout, answer, nil); err != nil {
			return err
		}
	}
	i.say(p, "Created workflow %s, %q, with %s.\n", wf.ID, wf.Name, count(int64(wf.NodeCount), "node"))
	report, err := i.enroll(ctx, p, wf.ID, leads)
	if err == nil && i.activate {
		err = i.activateNow(ctx, p, wf.ID)
	}
	if err != nil {
		return i.undo(ctx, wf, err)
	}
	if !i.activate {
		i.say(p, "It is a draft: nobody is contacted until you run leadflow activate %s\n", wf.ID)
	}
	return i.rejection(report)
}

// undo deletes a workflow that was created for an import that failed.
func (i *importer) undo(ctx context.Context, wf workflowView, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := i.do(ctx, request{method: http.MethodDelete, path: workflowPath(wf.ID)}); err != nil {
		return fmt.Errorf("%w\nThe workflow is still there, as %s: it could not be deleted: %w", failed, wf.ID, err)
	}
	return fmt.Errorf("%w\nNothing was imported; the workflow is deleted again", failed)
}

func (i *importer) activateNow(ctx context.Context, p *program, id string) error {
	if _, _, err := i.turn(ctx, id, "activate", nil); err != nil {
		return err
	}
	i.say(p, "Activated workflow %s.\n", id)
	return nil
}

// rejection is the error of an import with rejected rows.
func (i *importer) rejection(report importReport) error {
	if report.Rejected == 0 {
		return nil
	}
	return rejected(report.Rejected, i.leads, i.dryRun)
}

// rejected is the error of a file with rejected rows.
func rejected(rows int, name string, dryRun bool) error {
	were := "were"
	switch {
	case dryRun:
		were = "would be"
	case rows == 1:
		were = "was"
	}
	return &codeError{exitRejected, fmt.Errorf("%s of %s %s rejected", count(int64(rows), "row"), name, were)}
}

// enroll uploads the file and prints the result. If no row was enrolled, it returns an
// error.
func (i *importer) enroll(ctx context.Context, p *program, workflow string, leads *os.File) (report importReport, err error) {
	if leads == nil {
		return report, nil
	}
	info, err := leads.Stat()
	if err != nil {
		return report, err
	}
	query := url.Values{}
	if i.region != "" {
		query.Set("region", i.region)
	}
	if i.dryRun {
		query.Set("dry_run", "true")
	}
	bar := newProgress(p.stderr, filepath.Base(i.leads), info.Size())
	answer, err := i.do(ctx, request{
		method: http.MethodPost, path: workflowPath(workflow) + "/leads", query: query, kind: "text/csv",
		body: io.TeeReader(leads, bar), size: info.Size(),
	}, &report)
	bar.end()
	if err != nil {
		return report, fmt.Errorf("%s: %w", i.leads, err)
	}
	if i.json {
		if err := printJSON(p.stdout, answer, nil); err != nil {
			return report, err
		}
	}
	return report, i.print(p, report)
}

// say prints a line for people, unless --json is set.
func (i *importer) say(p *program, format string, args ...any) {
	if !i.json {
		fmt.Fprintf(p.stdout, format, args...)
	}
}

// print prints the result of the file.
func (i *importer) print(p *program, report importReport) error {
	enrolled, rejected := count(int64(report.LeadsEnrolled), "lead"), count(int64(report.Rejected), "row")
	if i.dryRun {
		i.say(p, "Would enroll %s; %s would be rejected. Nothing was written.\n", enrolled, rejected)
	} else {
		i.say(p, "Enrolled %s; %s rejected.\n", enrolled, rejected)
	}
	if !i.json {
		p.tellRows(report.Errors, report.Rejected)
	}
	switch {
	case report.LeadsEnrolled > 0:
		return nil
	case report.Rejected == 0:
		return fmt.Errorf("%s has no rows below its line of column names", i.leads)
	}
	return fmt.Errorf("no row of %s can be enrolled", i.leads)
}

// tellRows prints why the first rows were rejected.
func (p *program) tellRows(errors []rowError, rejected int) {
	const most = 20
	for n, e := range errors {
		if n == most {
			fmt.Fprintf(p.stdout, "  … and %d more\n", rejected-n)
			break
		}
		fmt.Fprintf(p.stdout, "  line %d: %s\n", e.Line, printable(e.Message))
	}
}

// rehearse prints what create would do, using an engine of its own that writes nothing
// to disk.
func (i *importer) rehearse(ctx context.Context, p *program, def *workflow.Definition, leads *os.File) error {
	i.say(p, "Would create a workflow, %q, with %s.\n", def.Name, count(int64(len(def.Nodes)), "node"))
	if leads == nil {
		return nil
	}
	report, err := i.rehearseLeads(ctx, def, leads)
	if err != nil {
		return faults(i.leads, err)
	}
	if i.json {
		answer, err := json.Marshal(report)
		if err := printJSON(p.stdout, answer, err); err != nil {
			return err
		}
	}
	if err := i.print(p, report); err != nil {
		return err
	}
	return i.rejection(report)
}

func (i *importer) rehearseLeads(ctx context.Context, def *workflow.Definition, leads io.Reader) (out importReport, err error) {
	eng, err := engine.New(memory.New(), engine.Config{Region: i.region, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return out, err
	}
	if err := eng.Start(ctx); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, eng.Shutdown(context.WithoutCancel(ctx))) }()
	wf, err := eng.CreateWorkflow(ctx, def)
	if err != nil {
		return out, err
	}
	report, err := eng.EnrollCSV(ctx, wf.ID, leads, engine.DryRun())
	if err != nil {
		return out, err
	}
	out.LeadsEnrolled, out.Rejected, out.Errors = report.Enrolled, report.Rejected, []rowError{}
	for _, e := range report.Errors {
		out.Errors = append(out.Errors, rowError{e.Row, e.Line, e.Message})
	}
	return out, nil
}
