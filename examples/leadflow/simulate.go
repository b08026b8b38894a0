package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func (p *program) simulateCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "simulate --workflow FILE.json", Short: "Play a workflow in virtual time, before it goes live",
		Long: `Play a workflow in virtual time, before it goes live.

Nobody is called, and no server is needed: made-up people go through the workflow, on the engine that
serve runs, while its clock jumps from one due time to the next. The report shows how many leads end in
which way, how many calls there are per day and at the same time, how long conversion takes, and, as a
diagram, the paths of the leads. The same command prints the same report.

A workflow is a JSON object with a name, an entry, nodes and edges; examples/quickstart/workflow.json
is an example. The answers of people are made up from the outcomes that the workflow's edges name, and
their metadata from the values that its conditions compare with. --print-answers prints these
assumptions as a file; edit it, and give it to --answers.

Calling hours and limits of the workflow hold, on the clocks of the zones that --zones names; --limits adds
limits that hold for all workflows, and --suppress has people say that they must not be contacted. The
report then shows the attempts in each hour of people's day, and what kept leads waiting.`,
		Example: `  leadflow simulate --workflow workflow.json --print-answers > answers.json
  leadflow simulate --workflow workflow.json --answers answers.json --leads 5000 --days 14 --enroll-over 120h`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	s := simulation{
		leads: 1000, days: 30, seed: 1, start: enginetest.DefaultStart,
		progress: choice{value: "auto", values: []string{"auto", "always", "never"}},
	}
	f := command.Flags()
	f.StringVar(&s.workflow, "workflow", "", "the workflow, a JSON `file` as for import")
	var given figures
	given.define(f, &s)
	_ = f.SetAnnotation("leads", ownValue, []string{}) // LEADFLOW_LEADS is the file of import
	f.StringVar(&s.answers, "answers", "", "read how people answer from this JSON `file`")
	f.BoolVar(&s.printAnswers, "print-answers", false, "only print how people answer, as a file for --answers")
	f.StringVar(&s.picture, "picture", "", "draw the calls of each hour into this SVG `file`")
	f.StringVar(&s.rules.zoneNames, "zones", "", "give people these time `zones` in turn, such as America/New_York,Europe/London")
	f.StringVar(&s.rules.limitsFile, "limits", "", "read limits for all workflows from this JSON `file`, such as {\"limits\": [{\"in_flight\": 50}]}")
	f.IntVar(&s.rules.suppress, "suppress", 0, "suppress this `number` of people, evenly over the days")
	choiceVar(command, &s.progress, "progress", "when to show a progress bar; auto: on a terminal only")
	command.RunE = func(command *cobra.Command, args []string) error {
		if err := given.check(); err != nil {
			return err
		}
		if err := s.check(args); err != nil {
			return err
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		return s.run(ctx, p)
	}
	return command
}

// simulation is one run of the command.
type simulation struct {
	workflow, answers, picture string
	leads                      int
	days                       float64
	seed                       uint64
	start                      time.Time
	enrollOver                 time.Duration
	printAnswers               bool
	progress                   choice
	rules                      simulated
	suppressFailed             error

	def   *workflow.Definition
	ways  *answers
	world *enginetest.World
	id    lead.WorkflowID
	bar   *progress
}

const day = 24 * time.Hour

func (s *simulation) check(args []string) error {
	const mostDays = float64(workflow.MaxDuration / day)
	switch {
	case len(args) > 0 && strings.HasSuffix(args[0], ".json"):
		return usage("takes no arguments, and got %q; did you mean --workflow %s?", args, args[0])
	case len(args) > 0:
		return usage("takes no arguments, and got %q", args)
	case s.workflow == "":
		return usage("needs --workflow")
	case s.leads < 1:
		return usage("--leads must be 1 or more")
	case !(s.days > 0 && s.days <= mostDays):
		return usage("--days must be more than 0, and at most %g", mostDays)
	case s.enrollOver < 0 || s.enrollOver > s.length():
		return usage("--enroll-over must be a time from 0 to the %g days of --days", s.days)
	case s.start.Year() < 1970 || s.start.Year() > 2200:
		return usage("--start must be between the years 1970 and 2200")
	case s.picture != "" && !strings.EqualFold(filepath.Ext(s.picture), ".svg"):
		return usage("--picture draws SVG; name a file that ends in .svg")
	}
	return nil
}

func (s *simulation) length() time.Duration { return time.Duration(s.days * float64(day)) }

func (s *simulation) run(ctx context.Context, p *program) error {
	if err := s.rules.read(s.leads); err != nil {
		return err
	}
	text, err := readNamed("--workflow", s.workflow)
	if err != nil {
		return err
	}
	if s.def, err = workflow.Parse(text); err != nil {
		return faults(s.workflow, err)
	}
	ways, err := readAnswers(s.def, s.answers)
	if err != nil {
		return err
	}
	if s.printAnswers {
		return ways.print(p.stdout)
	}
	// Opened before the simulation, which takes time, and under another name, so that the
	// picture of the last run stays until there is a new one.
	var picture *os.File
	if s.picture != "" {
		if picture, err = os.Create(s.picture + ".tmp"); err != nil {
			return err
		}
		defer os.Remove(picture.Name()) // unless it was renamed
		defer picture.Close()
	}
	s.ways = ways
	if err := s.open(ways); err != nil {
		return err
	}
	defer s.world.Close()
	sum, err := s.play(ctx, p, ways)
	if err != nil {
		return err
	}
	decided, err := s.decide()
	if err != nil {
		return err
	}
	if err := s.report(p.stdout, sum, decided); err != nil || picture == nil {
		return err
	}
	_, err = io.WriteString(picture, s.draw(sum))
	if err := errors.Join(err, picture.Close()); err != nil {
		return err
	}
	if err := os.Rename(picture.Name(), s.picture); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "\nThe calls of each hour are drawn in %s.\n", s.picture)
	return nil
}

// faults is the error of a file, with every fault in it on a line of its own.
func faults(path string, err error) error {
	var invalid *lead.InvalidError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("%s: %w", path, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: the %s is not valid", path, invalid.Subject)
	for _, f := range invalid.Faults {
		b.WriteString("\n  " + printable(f.String()))
	}
	return errors.New(b.String())
}

// open makes the world, with the workflow in it.
func (s *simulation) open(ways *answers) error {
	script := ways.script(s.def)
	s.rules.record(script, func() time.Time { return s.world.Now() }, s.def.TimeZone)
	config := enginetest.Config{Seed: s.seed, Start: s.start, Script: script}
	if len(ways.RemoveOn) > 0 {
		config.Engine.Hooks = []engine.Hook{{Name: "removal", Run: func(ctx context.Context, c engine.HookEvent) error {
			if !ways.removes(c.Step.Outcome) {
				return nil
			}
			_, err := s.world.Engine().Remove(ctx, c.Lead.WorkflowID, c.Lead.ID, engine.Reason(c.Step.Outcome))
			return err
		}}}
	}
	var err error
	if s.world, err = enginetest.Open(config); err != nil {
		return err
	}
	wf, err := s.world.Engine().CreateWorkflow(context.Background(), s.def)
	if s.id = wf.ID; err == nil && s.rules.limits != nil {
		err = s.world.Engine().SetLimits(context.Background(), s.rules.limits)
	}
	return err
}

// The bar is at barEnrolled when the leads are enrolled, at barPassed when the
// days have passed, and at barTotal when everything is summed up.
const barEnrolled, barPassed, barTotal = 300, 800, 1000

// play enrolls the leads, lets the days pass, and sums up.
func (s *simulation) play(ctx context.Context, p *program, ways *answers) (*enginetest.Summary, error) {
	s.bar = newProgress(p.stderr, "Simulating", barTotal)
	if s.progress.value != "auto" {
		s.bar.live = s.progress.value == "always"
	}
	s.bar.text = s.progressText
	defer s.bar.end()
	enrolled := s.enrollAll(ctx, ways)
	if _, err := s.world.Engine().ActivateWorkflow(ctx, s.id); err != nil {
		return nil, err
	}
	s.rules.schedule(s)
	if err := s.pass(ctx, enrolled); err != nil {
		return nil, err
	}
	s.bar.reach(barPassed)
	sum, err := s.world.Summarize(s.id)
	s.bar.reach(barTotal)
	return sum, err
}

// pass lets the days pass.
func (s *simulation) pass(ctx context.Context, enrolled func() error) error {
	const slice = time.Hour // after which the bar moves
	length := s.length()
	for passed := time.Duration(0); passed < length; passed += slice {
		if err := enrolled(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		done, err := s.world.Finish(min(slice, length-passed))
		if err = errors.Join(err, s.suppressFailed); err != nil {
			return err
		}
		if s.rules.any(s.def) {
			if _, err := s.rules.kept.look(ctx, s.world, s.id); err != nil {
				return err
			}
		}
		if done {
			break
		}
		s.bar.reach(barEnrolled + int64(float64(passed)/float64(length)*(barPassed-barEnrolled)))
	}
	return enrolled()
}

// enrollAll enrolls the leads now, or schedules their enrollment. The function that it
// returns reports errors of the enrollment so far.
func (s *simulation) enrollAll(ctx context.Context, ways *answers) (failed func() error) {
	batches := 1
	if s.enrollOver > 0 {
		batches = min(s.leads, 10_000)
	}
	var first error
	enroll := func(batch int) {
		from, to := s.leads*batch/batches, s.leads*(batch+1)/batches
		_, err := s.world.Engine().EnrollAll(ctx, s.id, ways.people(s.seed, from, to, s.rules.zone), engine.OnRow(func(row int, _ lead.ID, err error) {
			if err != nil && first == nil && !errors.Is(err, lead.ErrSuppressed) {
				first = err
			}
			if s.enrollOver == 0 {
				s.bar.reach(int64(float64(row) / float64(s.leads) * barEnrolled))
			}
		}))
		if err != nil && first == nil {
			first = err
		}
	}
	if s.enrollOver == 0 {
		enroll(0)
	} else {
		for batch := range batches {
			s.world.After(time.Duration(float64(s.enrollOver)*float64(batch)/float64(batches)), func() { enroll(batch) })
		}
	}
	return func() error { return first }
}

// progressText is the text beside the bar.
func (s *simulation) progressText(_, _ int64, took float64) string {
	stats := s.world.Engine().Stats()
	steps := stats.StepsStarted + stats.Retries
	text := fmt.Sprintf("day %d of %g, %s attempts", 1+int(s.world.Now().Sub(s.start)/day), s.days, thousands(int(steps)))
	if steps == 0 {
		text = fmt.Sprintf("%s leads enrolled", thousands(int(stats.LeadsEnrolled)))
	}
	return text
}
