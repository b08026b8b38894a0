package engine_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

// carrier places calls, and knows them by their idempotency key.
type carrier struct {
	placed  chan string
	results map[string]string // by key; "" while the call lasts
}

// reconciler is an engine.Handler and an engine.Reconciler.
type reconciler struct{ *carrier }

func (d reconciler) Handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	fmt.Println("calling", a.Contact.PhoneNumber)
	d.placed <- a.IdempotencyKey
	<-ctx.Done() // the process ends during the call
	return engine.Result{}, ctx.Err()
}

func (d reconciler) Reconcile(_ context.Context, a engine.Attempt) (engine.Fate, error) {
	outcome, known := d.results[a.IdempotencyKey]
	switch {
	case !known:
		return engine.NeverHappened(), nil
	case outcome == "":
		return engine.Happened(engine.InFlight(""), nil), nil
	}
	return engine.Happened(engine.Result{Outcome: outcome}, nil), nil
}

// A handler that knows what became of a call does not call twice after a crash.
func ExampleReconciler() {
	ctx := context.Background()
	p := &carrier{placed: make(chan string, 1), results: map[string]string{}}
	told := make(chan string, 1)
	st := memory.New()
	start := func() *engine.Engine {
		eng, err := engine.New(st, engine.Config{
			Logger:   slog.New(slog.DiscardHandler),
			Handlers: map[string]engine.Handler{"voice_call": reconciler{p}},
			Hooks: []engine.Hook{{Name: "crm", Run: func(_ context.Context, c engine.HookEvent) error {
				told <- c.Step.Outcome
				return nil
			}}},
		})
		check(err)
		check(eng.Start(ctx))
		return eng
	}
	eng := start()
	wf, err := eng.CreateWorkflow(ctx, &workflow.Definition{Name: "Call", Entry: "call", Nodes: []workflow.Node{
		workflow.CallNode("call", nil).WithUnknown(workflow.FailUnknown), // never call twice
	}})
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)
	_, err = eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	check(err)

	key := <-p.placed
	over, cancel := context.WithCancel(ctx)
	cancel()
	eng.Shutdown(over) // as if the process was killed
	p.results[key] = "dnp"
	eng = start()
	fmt.Println("the outcome is", <-told)
	check(eng.Shutdown(ctx))
	// Output:
	// calling +14155552671
	// the outcome is dnp
}
