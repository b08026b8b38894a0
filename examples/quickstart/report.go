package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// query is one to try on the database.
const query = `SELECT node_id, coalesce(outcome, error) AS came_to, count(*) FROM calls GROUP BY 1, 2`

// section is the section of the README that explains what was seen here.
const section = "The life of a lead"

// report prints how each lead ended. All of it is read from the database.
func (q *quickstart) report(ctx context.Context, wf lead.WorkflowID) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\nLEAD\tPHONE\tSTATE\tOUTCOME\tPATH TAKEN (×2: two attempts), AND WHAT REMOVAL CANCELLED\n")
	results, messages, reminders, cancelled := map[string]int{}, 0, 0, 0
	for l, err := range q.eng.AllLeads(ctx, wf, engine.LeadFilter{}) {
		if err != nil {
			return err
		}
		steps, err := q.eng.History(ctx, wf, l.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			name(l.Contact), l.PhoneNumber, l.State, cmp.Or(l.Outcome, "-"), path(steps))
		if r := l.Removal; r != nil {
			gone := cancellations(steps)
			cancelled += len(gone)
			fmt.Fprintf(table, "\t\t\t\t  cancelled: %s\n", strings.Join(gone, "; "))
			fmt.Fprintf(table, "\t\t\t\t  reason: %s (asked by %s)\n", r.Reason, r.Actor)
		}
		results[cmp.Or(l.Outcome, l.State.String())]++
		for _, s := range steps {
			if s.NodeType == string(workflow.Message) && s.Status == lead.StepCompleted {
				messages++
				if s.Scheduled {
					reminders++
				}
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	calls, _, err := q.eng.Calls(ctx, engine.CallFilter{WorkflowID: wf})
	if err != nil {
		return err
	}
	retries := 0
	for _, c := range calls {
		if c.Attempt > 1 {
			retries++
		}
	}
	var totals []string
	for _, result := range slices.Sorted(maps.Keys(results)) {
		totals = append(totals, fmt.Sprintf("%s %d", result, results[result]))
	}
	q.out.printf(`%s
Totals:    %s; calls %d (retries %d), messages %d (reminders %d), cancelled by removal %d
Database:  %s
Try:       sqlite3 -header -column %s "%s"
Read next: "%s" in README.md
`, text.String(), strings.Join(totals, ", "), len(calls), retries, messages, reminders, cancelled, q.opts.db, q.opts.db, query, section)
	return nil
}

// path is the way that a lead took, such as "call:completed → pause → paid? true → won".
func path(steps []lead.Step) string {
	var stops []string
	for _, s := range steps {
		if s.Scheduled || s.Status == lead.StepCancelled {
			continue
		}
		stop := s.NodeID
		made := 0
		for _, a := range s.Attempts {
			if !a.StartedAt.IsZero() && a.Status != lead.StepWaiting {
				made++
			}
		}
		if made > 1 {
			stop = fmt.Sprintf("%s×%d", stop, made)
		}
		switch {
		case s.NodeType == string(workflow.Conditional):
			stop += "? " + s.Outcome
		case !s.Status.Final():
			stop += " (" + s.Status.String() + ")"
		case workflow.NodeType(s.NodeType).Action():
			stop += ":" + s.Outcome
		}
		stops = append(stops, stop)
	}
	return strings.Join(stops, " → ")
}

// cancellations lists what was cancelled in a lead's history, and when it would have
// been due.
func cancellations(steps []lead.Step) []string {
	var out []string
	for _, s := range steps {
		for _, a := range s.Attempts {
			if a.Status == lead.StepCancelled {
				out = append(out, fmt.Sprintf("attempt %d of %s", a.Number, s.NodeID))
			}
		}
		if s.Status != lead.StepCancelled {
			continue
		}
		what := s.NodeID
		if s.Scheduled {
			what += "'s reminder"
		}
		if left := s.ScheduledAt.Sub(s.ExitedAt); left > 0 {
			what += fmt.Sprintf(", due %s (%.1fs later)", s.ScheduledAt.Local().Format("15:04:05"), left.Seconds())
		} else {
			what += ", which came next"
		}
		out = append(out, what)
	}
	return out
}

// name is what the output calls a person.
func name(c lead.Contact) string {
	if text, ok := c.Metadata["name"].(string); ok {
		return text
	}
	return c.PhoneNumber
}
