// Command quickstart shows the main job of leadflow in one small program: it
// enrolls a file of leads, takes them through a workflow that calls, waits,
// branches and sends messages, removes four of them on the way, and prints how each
// lead ended. Only the telephone is simulated.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -leads my.csv -db my.db
//
// It takes about ten seconds. What to watch for:
//
//   - Rows of the file that cannot be enrolled are reported by number, and the
//     others are enrolled.
//   - Remove answers immediately: "removed" for a lead that waits, "pending_removal"
//     for one with a call in flight, which is not cut off. What would have come after
//     it is cancelled, and listed in the table at the end.
//   - The database stays, as quickstart.db. Run the program again: nobody is
//     called twice. Stop it half way with Ctrl-C, or with kill -9, and run it
//     again: everybody goes on from where they were. An attempt that was cut off
//     is made again and marked REDELIVERED.
//
// main.go shows how a program embeds the engine; enroll.go reads the file,
// telephone.go has the step handlers, optout.go the removals, report.go the queries.
//
// The exit code is 0 at the end, 1 after an error, and 130 when it was stopped
// before the end by Ctrl-C or SIGTERM.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

//go:embed workflow.json
var workflowJSON []byte

type options struct {
	db    string // path of the database
	leads string // path of the leads file; empty for the one that is built in
	fresh bool   // delete the database first
}

// errStopped: the program was told to stop before all leads were final.
var errStopped = errors.New("stopped")

func main() {
	var opts options
	flag.StringVar(&opts.db, "db", "quickstart.db", "keep the leads in this SQLite `file`")
	flag.StringVar(&opts.leads, "leads", "", "read the leads from this CSV `file` (default: the one in examples/quickstart)")
	flag.BoolVar(&opts.fresh, "fresh", false, "start over: delete the database first")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program immediately
	err := run(ctx, opts, newConsole(os.Stdout))
	switch {
	case errors.Is(err, errStopped):
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// quickstart is one run of the program.
type quickstart struct {
	opts  options
	out   *console
	def   *workflow.Definition
	eng   *engine.Engine
	phone *telephone
}

func run(ctx context.Context, opts options, out *console) (err error) {
	q := &quickstart{opts: opts, out: out}
	if q.def, err = workflow.Parse(workflowJSON); err != nil {
		return err
	}
	db, err := q.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	q.phone = newTelephone(out)
	q.eng, err = engine.New(db, engine.Config{
		Handlers: map[string]engine.Handler{
			"voice_call": engine.HandlerFunc(q.phone.Call),
			"message":    engine.HandlerFunc(q.phone.Message),
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	q.phone.eng = q.eng

	// An engine can be read from before it is started.
	var wf engine.Workflow
	if known, err := q.eng.Workflows(ctx, engine.WorkflowFilter{}); err != nil {
		return err
	} else if len(known) > 0 {
		wf = known[0]
	}
	if wf.Status.Final() {
		out.printf("All %d leads in %s are final: nobody is called again. Start over with -fresh.\n",
			wf.EnrolledLeads, opts.db)
		return q.report(ctx, wf.ID)
	}
	if err := q.eng.Start(ctx); err != nil {
		return err
	}
	wf, err = q.work(ctx, wf)

	// Nothing new starts from here on; handlers that run have ten seconds to return.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	undrained := q.eng.Shutdown(drain)
	q.phone.HangUp()
	out.endStatus()
	switch {
	case undrained != nil:
		return errors.Join(err, fmt.Errorf("shut down: %w", undrained))
	case ctx.Err() != nil:
		out.printf("Stopped. Everything is in %s: the same command goes on from here.\n", opts.db)
		return errStopped
	case err != nil:
		return err
	}
	return q.report(ctx, wf.ID)
}

// open opens the database, or with -fresh an empty one. A database with other workflows
// than this program's is refused: a simulated telephone must not process its leads, nor
// -fresh delete it.
func (q *quickstart) open(ctx context.Context) (*sqlite.Store, error) {
	db, err := sqlite.Open(ctx, q.opts.db, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	known, err := db.Workflows(ctx)
	for _, wf := range known {
		if wf.Name != q.def.Name {
			err = fmt.Errorf("%s has the workflow %q, which is not this program's; name another file with -db", q.opts.db, wf.Name)
		}
	}
	switch {
	case err != nil:
		return nil, errors.Join(err, db.Close())
	case !q.opts.fresh:
		return db, nil
	}
	if err := errors.Join(db.Close(), os.Remove(q.opts.db)); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, q.opts.db, sqlite.Options{})
}

// work runs until all leads of the workflow are final, or ctx ends. wf is the workflow
// that the last run left, or zero.
func (q *quickstart) work(ctx context.Context, wf engine.Workflow) (_ engine.Workflow, err error) {
	switch wf.Status {
	case 0:
		if wf, err = q.eng.CreateWorkflow(ctx, q.def); err != nil {
			return wf, err
		}
		q.out.printf("%s: %s\n", wf.Name, wf.Description)
		fallthrough
	case lead.WorkflowDraft:
		// A draft starts nobody, and is made active when all leads are in it: so one
		// that is active has all its leads, however the last run ended.
		if err := q.enroll(ctx, wf); err != nil {
			return wf, err
		}
		if wf, err = q.eng.ActivateWorkflow(ctx, wf.ID); err != nil {
			return wf, err
		}
	default:
		live, err := q.phone.Reattach(ctx, wf.ID)
		if err != nil {
			return wf, err
		}
		q.out.printf("%s has %d leads already, %d of them final. The others go on; %d of them are in a call.\n",
			q.opts.db, wf.EnrolledLeads, wf.Counts[lead.Removed]+wf.Counts[lead.Completed], live)
		if q.opts.leads != "" {
			q.out.printf("%s is not read; use -fresh to start over with it.\n", q.opts.leads)
		}
	}
	q.out.printf("\nCalling, on a simulated telephone. Stop it with Ctrl-C, or kill it: the same command goes on.\n")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waitForOptOuts, err := q.watchOptOuts(ctx, wf.ID)
	if err == nil {
		wf, err = q.follow(ctx, wf.ID)
	}
	if err != nil {
		cancel()
	}
	waitForOptOuts()
	return wf, err
}

// follow shows the status until all leads are final, and then completes the workflow.
func (q *quickstart) follow(ctx context.Context, id lead.WorkflowID) (engine.Workflow, error) {
	for {
		wf, err := q.eng.Workflow(ctx, id)
		if err != nil {
			return wf, err
		}
		n := wf.Counts
		if n[lead.Removed]+n[lead.Completed] == wf.EnrolledLeads {
			return q.eng.CompleteWorkflow(ctx, id)
		}
		q.out.setStatus(fmt.Sprintf("waiting %d · in step %d · removal pending %d · removed %d · completed %d",
			n[lead.Enrolled], n[lead.InStep], n[lead.PendingRemoval], n[lead.Removed], n[lead.Completed]))
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return wf, err
		}
	}
}
