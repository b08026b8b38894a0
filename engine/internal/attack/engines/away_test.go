//go:build unix

package engines

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// An engine that was cut off for longer than its lease refuses to answer until it has
// caught up: it does not say of a new workflow that there is none.
func TestAnEngineThatWasAwayCatchesUpBeforeItAnswers(t *testing.T) {
	f := newFleet(t, 1, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	p := newProxy(t, f.url)
	f.url, f.options.Lease = p.url(), 2*time.Second
	away := f.engines[f.join()]
	t.Cleanup(p.heal) // or it could not be shut down
	f.spread()
	wf := f.activate(0, callWaitText(time.Hour))
	for range 3 {
		p.set(func() { p.refuse = true })
		p.cut()
		f.until("the engine knows that it is cut off", func() bool {
			_, err := away.Workflow(ctx, wf)
			return errors.Is(err, store.ErrUnavailable)
		})
		made := f.activate(0, callWaitText(time.Hour))
		p.heal()
		f.until("the engine knows the workflow", func() bool {
			for range 1000 {
				_, err := away.Definition(ctx, made)
				switch {
				case err == nil:
					return true
				case !errors.Is(err, store.ErrUnavailable):
					t.Fatal(err)
				}
			}
			return false
		})
	}
}

// When the answer to the commit that began an attempt comes after the lease, its handler
// is called by the engine that has taken over, and not by the one that was cut off.
func TestAnAttemptWhoseCommitIsAnsweredTooLateIsNotMade(t *testing.T) {
	type call struct {
		by  *engine.Engine
		who string
	}
	var mu sync.Mutex
	calls := map[call]int{}
	count := func(by *engine.Engine, from, to int) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for i := from; i < to; i++ {
			n += calls[call{by, phone(i)}]
		}
		return n
	}
	f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		calls[call{a.Engine(), a.Contact.PhoneNumber}]++
		return engine.Result{}, nil
	})
	p := newProxy(t, f.url)
	f.url, f.options.Lease = p.url(), 2*time.Second
	away := f.engines[f.join()]
	t.Cleanup(p.heal) // or it could not be shut down
	f.spread()
	wf := f.activate(0, &workflow.Definition{Name: "waits and calls", Entry: "wait",
		Nodes: []workflow.Node{workflow.Wait("wait", time.Second), workflow.CallNode("call", nil), workflow.End("done", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("wait", "call"), workflow.On("call", "default", "done")},
	})
	enroll := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if _, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	completed := func(n int64) func() bool {
		return func() bool {
			is, err := f.engines[0].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Completed}})
			if err != nil {
				t.Fatal(err)
			}
			return is >= n
		}
	}
	const people = 64 // one for each shard
	enroll(0, people)
	f.until("all are called", completed(people))
	if count(away, 0, people) == 0 {
		t.Fatal("one engine makes all calls")
	}
	enroll(people, 2*people)
	// When this has returned both know whom they are to call.
	if _, err := f.engines[0].PauseWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	if _, err := f.engines[0].ResumeWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.hold[down] = true })
	f.until("the other engine has called all", completed(2*people))
	if n := count(away, people, 2*people); n > 0 {
		t.Fatalf("%d calls were made before the answer to their commit", n)
	}
	if again := f.engines[0].Stats().Redelivered; again == 0 {
		t.Fatal("the engine that is cut off has begun no attempt")
	}
	p.heal()
	f.spread()
	f.until("the engine that was cut off answers", func() bool {
		_, err := away.Workflow(ctx, wf)
		return err == nil
	})
	if n := count(away, people, 2*people); n > 0 {
		t.Errorf("%d calls are made by the engine that had lost its place", n)
	}
}
