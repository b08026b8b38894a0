package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

// standing is a clock that stands until it is set. It calls nothing, since no
// handler says here that it takes time; enginetest has a clock that does.
type standing struct{ time.Time }

func (c *standing) Now() time.Time { return c.Time }
func (c *standing) AfterFunc(time.Duration, func()) (stop func() bool) {
	return func() bool { return true }
}

// Settle does what is due, and two days pass when the clock is set to what Next
// says.
func ExampleNewStepped() {
	ctx := context.Background()
	clock := &standing{time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC)}
	said := engine.HandlerFunc(func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		fmt.Println(clock.Format(time.DateTime), a.Node.ID)
		return engine.Result{}, nil
	})
	eng, err := engine.NewStepped(memory.New(), engine.Config{
		Clock: clock, Logger: slog.New(slog.DiscardHandler), Handlers: map[string]engine.Handler{"voice_call": said, "message": said},
	}, 1)
	check(err)
	check(eng.Start(ctx))
	nodes, edges := callWaitMessage()
	wf, err := eng.CreateWorkflow(ctx, &workflow.Definition{Name: "Follow up", Entry: "call", Nodes: nodes, Edges: edges})
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)
	l, err := eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	check(err)

	check(eng.Settle())
	for at, ok := eng.Next(); ok; at, ok = eng.Next() {
		clock.Time = at
		check(eng.Settle())
	}
	l, err = eng.Lead(ctx, wf.ID, l.ID)
	check(err)
	fmt.Println(l.State, l.Outcome)
	check(eng.Shutdown(ctx))
	// Output:
	// 2030-01-07 09:00:00 call
	// 2030-01-09 09:00:00 text
	// completed converted
}
