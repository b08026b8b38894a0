package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// start returns a running engine on a file of its own with an active workflow: a
// call, two days, and a message. The function it returns ends both.
func start(calls engine.HandlerFunc, hooks ...engine.Hook) (*engine.Engine, lead.WorkflowID, func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "leadflow")
	check(err)
	st, err := sqlite.Open(ctx, filepath.Join(dir, "leads.db"), sqlite.Options{})
	check(err)
	eng, err := engine.New(st, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": calls, "message": calls},
		Hooks:    hooks,
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(err)
	check(eng.Start(ctx))
	nodes, edges := callWaitMessage()
	wf, err := eng.CreateWorkflow(ctx, &workflow.Definition{Name: "Follow up", Entry: "call", Nodes: nodes, Edges: edges})
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)
	return eng, wf.ID, func() {
		check(eng.Shutdown(ctx))
		check(st.Close())
		check(os.RemoveAll(dir))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A lead with a live call is removed when the call is over, and what would have
// come after it is cancelled.
func ExampleEngine_Remove() {
	ctx := context.Background()
	ringing := make(chan lead.StepID, 1)
	eng, wf, end := start(func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		ringing <- a.StepID
		return engine.InFlight("the provider's id"), nil
	})
	defer end()
	person, err := eng.Enroll(ctx, wf, lead.Contact{PhoneNumber: "+14155552671"})
	check(err)
	call := <-ringing

	removal, err := eng.Remove(ctx, wf, person.ID, engine.Reason("asked to stop"), engine.Actor("agent 7"))
	check(err)
	fmt.Println("during the call:", removal.State)

	_, err = eng.CompleteStep(ctx, call, engine.Callback{Outcome: "completed"})
	check(err)
	gone, err := removal.Wait(ctx)
	check(err)
	fmt.Println("after the call:", gone.State, "because", gone.Removal.Reason)
	steps, err := eng.History(ctx, wf, person.ID)
	check(err)
	for _, s := range steps {
		fmt.Println(s.NodeID, s.Status)
	}
	_, err = eng.Remove(ctx, wf, person.ID)
	fmt.Println("again:", errors.Is(err, lead.ErrLeadFinal))
	// Output:
	// during the call: pending_removal
	// after the call: removed because asked to stop
	// call completed
	// wait cancelled
	// again: true
}

// Rows that cannot be enrolled are named, the others are enrolled.
func ExampleEngine_EnrollCSV() {
	eng, wf, end := start(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	defer end()
	report, err := eng.EnrollCSV(context.Background(), wf, strings.NewReader(
		"phone_number,name\n+14155552671,Ada\n+1 415,Bob\n+44 20 7946 0000,Cyd\n"))
	check(err)
	fmt.Println(report.Enrolled, "enrolled")
	for _, e := range report.Errors {
		fmt.Println("row", e.Row, e.Message)
	}
	// Output:
	// 2 enrolled
	// row 3 phone_number: "+1 415" is not a possible number in its country (wrong length)
}

// The page after a lead begins with After; AllLeads does that by itself.
func ExampleEngine_AllLeads() {
	ctx := context.Background()
	eng, wf, end := start(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	defer end()
	_, err := eng.PauseWorkflow(ctx, wf)
	check(err)
	for _, number := range []string{"+14155552671", "+14155552672"} {
		_, err := eng.Enroll(ctx, wf, lead.Contact{PhoneNumber: number})
		check(err)
	}
	for l, err := range eng.AllLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Enrolled}}) {
		check(err)
		fmt.Println(l.PhoneNumber, l.State, "at", l.Node)
	}
	// Output:
	// +14155552671 enrolled at call
	// +14155552672 enrolled at call
}

// Which error a handler returns decides whether the step is tried again.
func ExampleNonRetryable() {
	dial := func(number string) (engine.Result, error) {
		switch number {
		case "busy":
			return engine.Result{}, errors.New("busy") // as the node's retry policy says
		case "overloaded":
			return engine.Result{}, engine.RetryAfter(errors.New("overloaded"), time.Minute)
		case "unknown":
			return engine.Result{}, engine.NonRetryable(errors.New("no such number")) // never again
		}
		return engine.Result{Outcome: "completed"}, nil
	}
	_, err := dial("unknown")
	fmt.Println(err)
	// Output: no such number
}

// A hook runs when a step that was in flight has its outcome, before the lead
// goes on or is detached.
func ExampleHook() {
	told := make(chan string, 1)
	eng, wf, end := start(
		func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil },
		engine.Hook{Name: "crm", Run: func(_ context.Context, c engine.HookEvent) error {
			told <- fmt.Sprintf("%s: %s came to %s", c.Lead.PhoneNumber, c.Step.NodeID, c.Step.Outcome)
			return nil
		}})
	defer end()
	_, err := eng.Enroll(context.Background(), wf, lead.Contact{PhoneNumber: "+14155552671"})
	check(err)
	fmt.Println(<-told)
	// Output: +14155552671: call came to completed
}
