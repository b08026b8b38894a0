package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// This file has the commands about whom not to contact.

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

A file names the persons in its columns phone_number or external_id; reason and expires_at are optional,
and --reason and --until are for rows without their own. "-" is standard input. If some rows are
rejected, they are named by line, the others are suppressed, and the exit code is 4. --dry-run says
what would happen.`,
		Example: `  leadflow suppress +14155552671 --reason "said stop" --actor support
  leadflow suppress --external-id crm-17 --linked
  leadflow suppress +14155552671 --channel voice_call --until 2031-01-01T00:00:00Z
  leadflow suppress do-not-call.csv --actor compliance
  leadflow suppress --file do-not-call.csv --region GB --dry-run`,
	}
	c := newClient(command)
	f := command.Flags()
	externalID := f.String("external-id", "", "the person with this `id` of yours")
	linked := f.Bool("linked", false, "also suppress numbers and ids of leads that share one with the person")
	workflow := f.String("workflow", "", "in the workflow with this `id` only")
	channel := f.String("channel", "", "for this `type` of step only: voice_call, message or application")
	until := f.String("until", "", "lift it by itself at this `time`, such as 2031-01-01T00:00:00Z")
	reason, actor := said(command, "the person is suppressed")
	file := f.String("file", "", "suppress the persons in this CSV `file`; the same as the file without the flag")
	region := f.String("region", "", "of a file: read phone numbers without a leading + as those of this `country`, such as US (default: the server's)")
	dryRun := f.Bool("dry-run", false, "of a file: print what would be added, removed and rejected, and write nothing")
	command.RunE = func(command *cobra.Command, args []string) error {
		scope := map[string]string{"workflow_id": *workflow, "channel": *channel, "expires_at": *until, "reason": *reason, "actor": *actor}
		name := *file
		if name == "" && len(args) == 1 && isFile(args[0]) {
			name = args[0]
		}
		switch {
		case *file != "" && len(args) > 0:
			return usage("takes --file or one argument, not both")
		case name != "":
			if *externalID != "" || *linked {
				return usage("--external-id and --linked are for one person, and %s is a file", name)
			}
			if err := checkRegion(*region); err != nil {
				return err
			}
			scope["region"] = *region
			if *dryRun {
				scope["dry_run"] = "true"
			}
			return p.suppressFile(command, c, name, scope)
		case *region != "" || *dryRun:
			return usage("--region and --dry-run are for files")
		case len(args) == 0 && *externalID == "":
			return usage("needs a phone number, a CSV file, or --external-id")
		}
		body := setText(map[string]any{"external_id": *externalID}, scope)
		if *externalID == "" {
			delete(body, "external_id")
		}
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

// isFile reports whether an argument is a file of persons, not a phone number.
func isFile(name string) bool {
	if name == "-" || strings.HasSuffix(strings.ToLower(name), ".csv") {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// who is the person of a suppression.
func (s suppressionView) who() string {
	return printable(strings.TrimSpace(s.PhoneNumber + " " + s.ExternalID))
}

func (p *program) tellSuppressed(s suppressionView) error {
	var removed, pending int64
	for _, l := range s.Leads {
		if l.Status == "pending_removal" {
			pending++
		} else {
			removed++
		}
	}
	fmt.Fprintf(p.stdout, "%s is suppressed: %s.\n", s.who(), s.ID)
	switch {
	case len(s.Leads) > 0 && s.Channel != "":
		fmt.Fprintf(p.stdout, "From now on %s without %s steps.\n", are(int64(len(s.Leads)), "lead"), s.Channel)
	default:
		if removed > 0 {
			fmt.Fprintf(p.stdout, "%s removed.\n", are(removed, "lead"))
		}
		if pending > 0 {
			fmt.Fprintf(p.stdout, "%s removed when the step in flight ends.\n", are(pending, "lead"))
		}
	}
	if n := int64(len(s.Linked)); n > 0 {
		fmt.Fprintf(p.stdout, "%s of linked numbers and ids added, too.\n", are(n, "suppression"))
	}
	return nil
}

// suppressFile sends a file of persons. scope is what holds for all rows.
func (p *program) suppressFile(command *cobra.Command, c *client, name string, scope map[string]string) error {
	r := request{method: http.MethodPost, path: "suppressions", query: url.Values{}, kind: "text/csv", body: p.stdin}
	for field, value := range scope {
		if value != "" {
			r.query.Set(field, value)
		}
	}
	bar := newProgress(io.Discard, name, 0)
	if name == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return errors.Join(err, fmt.Errorf("%s is not a regular file", name))
		}
		bar = newProgress(p.stderr, filepath.Base(name), info.Size())
		r.body, r.size = io.TeeReader(file, bar), info.Size()
	}
	ctx, stop := p.interruptible(command.Context())
	defer stop()
	var report struct {
		Added        int64      `json:"added"`
		Unchanged    int64      `json:"unchanged"`
		Rejected     int        `json:"rejected"`
		LeadsRemoved int64      `json:"leads_removed"`
		Errors       []rowError `json:"errors"`
	}
	text, err := c.do(ctx, r, &report)
	bar.end()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if c.json {
		if err := printJSON(p.stdout, text, nil); err != nil {
			return err
		}
	} else {
		text := "Added %s; %s there already; %s rejected. %s removed.\n"
		if r.query.Get("dry_run") != "" {
			text = "Would add %s; %s there already; %s rejected. %s to be removed.\n"
		}
		fmt.Fprintf(p.stdout, text, count(report.Added, "suppression"),
			were(report.Unchanged), count(int64(report.Rejected), "row"), are(report.LeadsRemoved, "lead"))
		p.tellRows(report.Errors, report.Rejected)
	}
	switch {
	case report.Added+report.Unchanged == 0 && report.Rejected == 0:
		return fmt.Errorf("%s has no rows below its line of column names", name)
	case report.Added+report.Unchanged == 0:
		return fmt.Errorf("no row of %s can be used", name)
	case report.Rejected > 0:
		return rejected(report.Rejected, name, r.query.Get("dry_run") != "")
	}
	return nil
}

func were(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return thousands(int(n)) + " were"
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
		_, err = fmt.Fprintf(p.stdout, "%s is lifted; %s may be enrolled again.\n", s.ID, s.who())
		return err
	}
	return command
}
