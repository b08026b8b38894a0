package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/leadflow-go/leadflow/lead"
)

var importCommand = command{
	name:    "import",
	args:    "-workflow FILE.json -leads FILE.csv",
	summary: "create a workflow and enroll a file",
	details: `The file of leads has a line of column names first. phone_number must be among them; external_id and
time_zone have a meaning too, and every column but phone_number becomes metadata. Good rows are
enrolled, bad ones are named; then the exit code is 4.

A workflow that exists already is given by its id, wfl_…, in place of the file. Either of the two
files may be left out.`,
	define: func(f *flags) func(context.Context, *program, []string) error {
		i := importer{client: newClient(f)}
		f.StringVar(&i.workflow, "workflow", "", "create the workflow in this JSON `file`, or enroll into the one with this id")
		f.StringVar(&i.leads, "leads", "", "enroll the leads in this CSV `file`")
		f.BoolVar(&i.activate, "activate", false, "activate the workflow, so that its leads are contacted from now on")
		return func(ctx context.Context, p *program, args []string) error {
			switch {
			case len(args) > 0:
				return usage("takes no arguments, and got %q", args)
			case i.workflow == "":
				return usage("needs -workflow")
			}
			ctx, stop := p.interruptible(ctx)
			defer stop()
			return i.run(ctx, p)
		}
	},
}

type importer struct {
	*client
	workflow, leads string
	activate        bool
}

func (i *importer) run(ctx context.Context, p *program) error {
	// Opened before anything is created, since the commonest mistake is a name.
	var leads *os.File
	if i.leads != "" {
		var err error
		if leads, err = os.Open(i.leads); err != nil {
			return err
		}
		defer leads.Close()
	}
	wf, err := i.target(ctx, p)
	if err != nil {
		return err
	}
	rejected := 0
	if leads != nil {
		if rejected, err = i.enroll(ctx, p, wf, leads); err != nil {
			return fmt.Errorf("%w\nThe workflow is there, as %s. To enroll into it: leadflow import -workflow %s -leads FILE", err, wf.ID, wf.ID)
		}
	}
	if i.activate {
		if _, err := i.do(ctx, request{method: http.MethodPost, path: "workflows/" + wf.ID + "/activate"}); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Activated workflow %s.\n", wf.ID)
	}
	if rejected > 0 {
		return &codeError{exitRejected, fmt.Errorf("%d rows of %s were rejected; the others are enrolled", rejected, i.leads)}
	}
	return nil
}

// target creates the workflow, or finds the one that is there.
func (i *importer) target(ctx context.Context, p *program) (wf workflowView, err error) {
	if id, err := lead.ParseWorkflowID(i.workflow); err == nil {
		_, err := i.do(ctx, request{method: http.MethodGet, path: "workflows/" + id.String()}, &wf)
		return wf, err
	}
	text, err := os.ReadFile(i.workflow)
	if err != nil {
		return wf, err
	}
	_, err = i.do(ctx, request{
		method: http.MethodPost, path: "workflows", kind: "application/json", body: bytes.NewReader(text), size: int64(len(text)),
	}, &wf)
	if err != nil {
		return wf, fmt.Errorf("%s: %w", i.workflow, err)
	}
	fmt.Fprintf(p.stdout, "Created workflow %s, %q, with %d nodes.\n", wf.ID, wf.Name, wf.NodeCount)
	return wf, nil
}

// enroll uploads the file and returns how many rows were rejected.
func (i *importer) enroll(ctx context.Context, p *program, wf workflowView, leads *os.File) (rejected int, err error) {
	info, err := leads.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", i.leads)
	}
	var report struct {
		LeadsEnrolled int `json:"leads_enrolled"`
		Rejected      int `json:"rejected"`
		Errors        []struct {
			Row     int    `json:"row"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	bar := newProgress(p.stderr, filepath.Base(i.leads), info.Size())
	_, err = i.do(ctx, request{
		method: http.MethodPost, path: "workflows/" + wf.ID + "/leads", kind: "text/csv",
		body: io.TeeReader(leads, bar), size: info.Size(),
	}, &report)
	bar.end()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", i.leads, err)
	}
	fmt.Fprintf(p.stdout, "Enrolled %d leads; %d rows rejected.\n", report.LeadsEnrolled, report.Rejected)
	const most = 20
	for n, e := range report.Errors {
		if n == most {
			fmt.Fprintf(p.stdout, "  … and %d more\n", report.Rejected-n)
			break
		}
		fmt.Fprintf(p.stdout, "  row %d: %s\n", e.Row, printable(e.Message))
	}
	return report.Rejected, nil
}
