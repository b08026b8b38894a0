package memory_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

// A test of what outlives a process: a lead waits for two days, the process
// ends, and the next one finds it.
func Example() {
	ctx := context.Background()
	start := func(st *memory.Store) *engine.Engine {
		eng, err := engine.New(st, engine.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		check(err)
		check(eng.Start(ctx))
		return eng
	}
	st := memory.New()
	eng := start(st)
	wf, err := eng.CreateWorkflow(ctx, &workflow.Definition{
		Name: "Later", Entry: "wait",
		Nodes: []workflow.Node{workflow.Wait("wait", 48*time.Hour), workflow.End("done", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("wait", "done")},
	})
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)
	person, err := eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	check(err)
	check(eng.Shutdown(ctx))

	next, err := st.Reopen()
	check(err)
	eng = start(next)
	found, err := eng.Lead(ctx, wf.ID, person.ID)
	check(err)
	fmt.Println(found.PhoneNumber, "is", found.State, "at", found.Node)
	check(eng.Shutdown(ctx))
	check(next.Close())
	// Output:
	// +14155552671 is enrolled at wait
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
