package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

//go:embed leads.csv
var leadsCSV string

// enroll reads the leads file into a draft.
func (q *quickstart) enroll(ctx context.Context, wf engine.Workflow) error {
	var file io.Reader = strings.NewReader(leadsCSV)
	if q.opts.leads != "" {
		f, err := os.Open(q.opts.leads)
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
	if wf.EnrolledLeads > 0 {
		q.out.printf("The last run ended while it enrolled: %d leads are in already.\n", wf.EnrolledLeads)
	}
	const most = 10 // rejected rows to print
	var rejected []string
	result, err := q.eng.EnrollCSV(ctx, wf.ID, file, engine.OnRow(func(row int, _ lead.ID, err error) {
		if err != nil && len(rejected) < most {
			rejected = append(rejected, fmt.Sprintf("  row %2d  %s\n", row, explain(err)))
		}
	}))
	if err != nil {
		return err
	}
	q.out.printf("Leads enrolled: %d; rows rejected: %d\n%s", result.Enrolled, result.Rejected, strings.Join(rejected, ""))
	if more := result.Rejected - len(rejected); more > 0 {
		q.out.printf("  … and %d more\n", more)
	}
	return nil
}

// explain says why a row was rejected.
func explain(err error) string {
	var conflict *lead.ConflictError
	if errors.As(err, &conflict) {
		return conflict.Reason.Error() // without the ids
	}
	return strings.TrimPrefix(err.Error(), "lead: invalid contact: ")
}
