package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

func (p *program) forecastCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "forecast", Short: "Forecast the next days of a database", Args: wants(0, 0, "takes no arguments"),
		Long: `Forecast the next days of a database: how many calls there will be in each hour, how many leads will
wait for calling hours and for limits, and when the last lead is through.

The command copies the database, while the server runs or not, and plays the days on the copy in virtual
time. Nobody is called, and the database is not changed. People answer as they did so far at each node;
at a node without a history the answers are made up, as those of simulate are. Leads that will be
enrolled later are not in it.

--hours and --limit show what a change would do. --hours replaces the windows of the workflows' calling
hours; a lead that waits for an opening already is looked at when that comes. --limit replaces the limits
that hold for all workflows; give it once for each limit, or as none.`,
		Example: `  leadflow forecast --db leads.db --days 7
  leadflow forecast --db leads.db --hours 09:00-18:00 --limit in_flight=50 --limit starts=100,per=1m,channel=voice_call`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := command.Flags()
	c := forecast{p: p, start: time.Now().UTC().Truncate(time.Second)}
	f.StringVar(&c.db, "db", "leads.db", "forecast this SQLite `file`")
	f.StringVar(&c.hours, "hours", "", "calling hours for every day instead of the workflows' windows, such as 09:00-18:00")
	f.StringArrayVar(&c.limits, "limit", nil, "a `limit` for all workflows, such as in_flight=50 or starts=100,per=1m")
	var given figures
	figure(&given, f, &c.days, "days", "end after this `number` of days", "is not a number; write one such as 7 or 0.5",
		func(text string) (float64, error) { return strconv.ParseFloat(text, 64) },
		func(days float64) string { return strconv.FormatFloat(cmp.Or(days, 7), 'g', -1, 64) })
	figure(&given, f, &c.seed, "seed", "the `number` from which all random choices are derived",
		"is not a whole number; write one from 0 to 18446744073709551615",
		func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) },
		func(seed uint64) string { return strconv.FormatUint(seed, 10) })
	figure(&given, f, &c.start, "start", "the `time` at which it begins; default: now", "is not a time; write one such as 2026-01-01T09:00:00Z",
		func(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }, func(time.Time) string { return "" })
	for _, name := range []string{"limit", "hours", "days", "seed", "start"} {
		_ = f.SetAnnotation(name, ownValue, []string{})
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := given.check(); err != nil {
			return err
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return c.run(ctx)
	}
	return command
}

// forecast is one run of the command.
type forecast struct {
	p         *program
	db, hours string
	limits    []string
	days      float64
	seed      uint64
	start     time.Time

	world  *enginetest.World
	active []engine.Workflow
	madeUp []string // nodes without a history
	hourly []forecastHour
	kept   kept
}

// forecastHour is what happens in an hour.
type forecastHour struct {
	calls, others  int // attempts that begin
	closed, capped int // leads that wait for calling hours and for limits at its end
	live           int
}

// parseLimits reads the --limit flags. set is false if there is none.
func parseLimits(flags []string) (limits []workflow.Limit, set bool, err error) {
	if len(flags) == 0 || len(flags) == 1 && flags[0] == "none" {
		return nil, len(flags) == 1, nil
	}
	var objects []map[string]any
	for _, text := range flags {
		object := map[string]any{}
		for part := range strings.SplitSeq(text, ",") {
			name, value, ok := strings.Cut(part, "=")
			if !ok {
				return nil, false, usage("--limit %q: must be written like in_flight=50, or starts=100,per=1m,channel=voice_call", text)
			}
			object[name] = value
			if n, err := strconv.Atoi(value); err == nil && name != "rate_key" {
				object[name] = n
			}
		}
		objects = append(objects, object)
	}
	raw, err := json.Marshal(map[string]any{"limits": objects})
	if err != nil {
		return nil, false, err
	}
	if limits, err = workflow.ParseLimits(raw); err != nil {
		return nil, false, usage("%w", faults("--limit", err))
	}
	return limits, true, nil
}

// parseWindow reads the --hours flag; nil for none.
func parseWindow(text string) (*workflow.Window, error) {
	if text == "" {
		return nil, nil
	}
	from, to, ok := strings.Cut(text, "-")
	for _, clock := range []string{from, to} {
		if _, err := time.Parse("15:04", clock); ok && err != nil && clock != "24:00" {
			ok = false
		}
	}
	if !ok {
		return nil, usage("--hours %q: must be written like 09:00-18:00", text)
	}
	all := []workflow.Day{workflow.Monday, workflow.Tuesday, workflow.Wednesday, workflow.Thursday, workflow.Friday, workflow.Saturday, workflow.Sunday}
	return &workflow.Window{Days: all, From: from, To: to}, nil
}

func (c *forecast) run(ctx context.Context) error {
	c.days = cmp.Or(c.days, 7)
	const mostDays = 366
	if !(c.days > 0 && c.days <= mostDays) {
		return usage("--days must be more than 0, and at most %d", mostDays)
	}
	if isURL(c.db) {
		return usage("--db must be a SQLite file; a PostgreSQL database cannot be copied for a forecast")
	}
	limits, set, err := parseLimits(c.limits)
	if err != nil {
		return err
	}
	window, err := parseWindow(c.hours)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "leadflow-forecast-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "forecast.db")
	if err := sqlite.Backup(ctx, c.db, path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: there is no such database; name one with --db", c.db)
	} else if err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, path, sqlite.Options{Synchronous: sqlite.Normal})
	if err != nil {
		return err
	}
	defer db.Close()
	if window != nil {
		if err := changeHours(ctx, db, *window); err != nil {
			return fmt.Errorf("--hours: %w", err)
		}
	}
	if err := c.open(ctx, db); err != nil {
		return err
	}
	defer c.world.Close()
	if set {
		if err := c.world.Engine().SetLimits(ctx, limits); err != nil {
			return err
		}
	}
	if err := c.pass(ctx); err != nil {
		return err
	}
	return c.report(ctx)
}

// changeHours changes the calling hours of all workflows in the copy.
func changeHours(ctx context.Context, db *sqlite.Store, window workflow.Window) error {
	rows, err := db.Workflows(ctx)
	if err != nil {
		return err
	}
	var b store.Batch
	for _, row := range rows {
		def, err := workflow.Parse(row.Definition)
		if row.Deleted || err != nil {
			continue
		}
		if def.CallingHours == nil {
			def.CallingHours = &workflow.CallingHours{}
		}
		def.CallingHours.Preset, def.CallingHours.Windows = "", []workflow.Window{window}
		if _, err := workflow.Compile(def); err != nil {
			return err
		}
		if row.Definition, err = json.Marshal(def); err != nil {
			return err
		}
		row.Version++
		b.Workflows = append(b.Workflows, row)
	}
	if len(b.Workflows) == 0 {
		return nil
	}
	_, err = db.Commit(ctx, &b)
	return err
}

// open makes the world on the copy. Its people answer as the history says.
func (c *forecast) open(ctx context.Context, db *sqlite.Store) error {
	answers, script := map[place]enginetest.Answer{}, enginetest.Script{}
	rows, err := db.Workflows(ctx)
	if err != nil {
		return err
	}
	answer := func(a *enginetest.Attempt) enginetest.Reply {
		h := c.hour()
		if a.Node.Type == workflow.VoiceCall && a.Scheduled == nil {
			h.calls++
		} else {
			h.others++
		}
		if way := answers[place{a.WorkflowID, a.Node.ID}]; way != nil && a.Scheduled == nil {
			return way(a)
		}
		return enginetest.Reply{}
	}
	for _, row := range rows {
		if def, err := workflow.Parse(row.Definition); err == nil && !row.Deleted {
			for _, n := range def.Nodes {
				if n.Type.Action() {
					script[n.ID] = answer
				}
			}
		}
	}
	if c.world, err = enginetest.Open(enginetest.Config{Seed: c.seed, Start: c.start, Store: db, Script: script}); err != nil {
		return err
	}
	e := c.world.Engine()
	if c.active, err = e.Workflows(ctx, engine.WorkflowFilter{Status: lead.WorkflowActive}); err != nil {
		return err
	}
	histories := map[place]*history{}
	for _, wf := range c.active {
		if err := readHistories(ctx, e.Engine, &wf, histories); err != nil {
			return err
		}
		def, err := e.Definition(ctx, wf.ID)
		if err != nil {
			return err
		}
		made := defaultAnswers(def)
		for _, n := range def.Nodes {
			if !n.Type.Action() {
				continue
			}
			at := place{wf.ID, n.ID}
			if answers[at] = histories[at].answer(n.Type); answers[at] == nil {
				way := made.Nodes[n.ID]
				answers[at] = way.answer(n.Type)
				c.madeUp = append(c.madeUp, fmt.Sprintf("%s of %s", printable(n.ID), printable(wf.Name)))
			}
		}
		if err := c.finishCalls(ctx, &wf, histories); err != nil {
			return err
		}
	}
	return nil
}

// finishCalls has the outcomes come of calls that wait for theirs.
func (c *forecast) finishCalls(ctx context.Context, wf *engine.Workflow, histories map[place]*history) error {
	e := c.world.Engine()
	for l, err := range e.AllLeads(ctx, wf.ID, engine.LeadFilter{States: []lead.State{lead.InStep, lead.PendingRemoval}}) {
		if err != nil {
			return err
		}
		x, err := e.Explain(ctx, wf.ID, l.ID)
		if err != nil {
			return err
		}
		h := histories[place{wf.ID, x.Node}]
		if x.Reason != engine.WaitCallback || h == nil || len(h.results) == 0 {
			continue
		}
		steps, err := e.History(ctx, wf.ID, l.ID)
		if err != nil {
			return err
		}
		r := h.results[int(l.ID.Seq())%len(h.results)]
		for _, s := range steps {
			if s.Status == lead.StepInProgress {
				c.world.After(r.took, func() {
					// An error means that the step ended by itself.
					_, _ = e.CompleteStep(ctx, s.ID, engine.Callback{Outcome: r.outcome, Data: r.data})
				})
			}
		}
	}
	return nil
}

// hour returns the present hour.
func (c *forecast) hour() *forecastHour {
	i := int(c.world.Now().Sub(c.start) / time.Hour)
	for len(c.hourly) <= i {
		c.hourly = append(c.hourly, forecastHour{})
	}
	return &c.hourly[i]
}

// pass lets the days pass, until nobody is left.
func (c *forecast) pass(ctx context.Context) error {
	c.kept = kept{}
	length := time.Duration(c.days * float64(day))
	for passed := time.Duration(0); passed < length; passed += time.Hour {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.hour()
		if err := c.world.Advance(min(time.Hour, length-passed) - time.Millisecond); err != nil {
			return err
		}
		if err := c.look(ctx, int(passed/time.Hour)); err != nil {
			return err
		}
		if err := c.world.Advance(time.Millisecond); err != nil {
			return err
		}
		if c.hourly[passed/time.Hour].live == 0 {
			break
		}
	}
	return nil
}

// look counts what leads wait for at the end of an hour.
func (c *forecast) look(ctx context.Context, hour int) error {
	h := &c.hourly[hour]
	for _, wf := range c.active {
		n, err := c.kept.look(ctx, c.world, wf.ID)
		if err != nil {
			return err
		}
		h.live, h.closed, h.capped = h.live+n.live, h.closed+n.closed, h.capped+n.capped
	}
	return nil
}

func (c *forecast) report(ctx context.Context) error {
	var b strings.Builder
	calls, others := 0, 0
	for _, h := range c.hourly {
		calls, others = calls+h.calls, others+h.others
	}
	fmt.Fprintf(&b, "%s, %g days from %s: %s calls, %s other attempts.\n", printable(c.db), c.days, c.start.UTC().Format("Mon 2006-01-02 15:04 MST"),
		thousands(calls), thousands(others))
	if len(c.madeUp) > 0 {
		fmt.Fprintf(&b, "Without a history, so that answers are made up: %s.\n", strings.Join(c.madeUp, ", "))
	}
	b.WriteString("\nAttempts that begin in each hour, and leads that wait at its end:\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "  from\tcalls\tothers\twait for hours\twait for limits\tnot through\t\n")
	for i, h := range c.hourly {
		if h.calls+h.others+h.capped > 0 || i == len(c.hourly)-1 {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t\n", c.start.UTC().Add(time.Duration(i)*time.Hour).Format("Mon 2006-01-02 15:04"),
				thousands(h.calls), thousands(h.others), thousands(h.closed), thousands(h.capped), thousands(h.live))
		}
	}
	table.Flush()
	c.kept.report(&b)
	if live := c.hourly[len(c.hourly)-1].live; live > 0 {
		fmt.Fprintf(&b, "\n%s leads are not through after %g days.\n", thousands(live), c.days)
	} else {
		last, err := c.last(ctx)
		if err != nil {
			return err
		}
		if last.IsZero() {
			b.WriteString("\nAll leads were through already.\n")
		} else {
			fmt.Fprintf(&b, "\nThe last lead is through on %s.\n", last.Format("Mon 2006-01-02 15:04 MST"))
		}
	}
	_, err := io.WriteString(c.p.stdout, b.String())
	return err
}

// last is when the last lead ended in the forecast, zero if none did.
func (c *forecast) last(ctx context.Context) (last time.Time, err error) {
	for _, wf := range c.active {
		for l, err := range c.world.Engine().AllLeads(ctx, wf.ID, engine.LeadFilter{}) {
			if err != nil {
				return last, err
			}
			if l.CompletedAt.After(last) && !l.CompletedAt.Before(c.start) {
				last = l.CompletedAt
			}
		}
	}
	return last, nil
}
