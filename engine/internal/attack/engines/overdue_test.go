package engines

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// A handler whose attempt another engine has taken over, because its own engine was cut
// off for too long, is not cut, and its context ends at its deadline as ever. Shutdown does
// not wait for it, since nobody wants its answer.
func TestAHandlerThatLostItsAttemptEndsAtItsDeadline(t *testing.T) {
	for name, timeout := range map[string]time.Duration{
		"which passes while the engine is cut off": 3 * time.Second,
		"which passes later":                       8 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var away *engine.Engine
			began, ended := make(chan time.Time, 100), make(chan error, 100)
			joined, ignore := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() { close(ignore) })
			f := newFleet(t, 1, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
				if <-joined; a.Engine() != away {
					return engine.Result{}, nil
				}
				began <- a.Deadline
				<-ctx.Done()
				if now := time.Now(); now.Before(a.Deadline.Add(-time.Millisecond)) {
					t.Errorf("a context ended %s before its deadline", a.Deadline.Sub(now))
				}
				ended <- context.Cause(ctx)
				<-ignore
				return engine.Result{}, nil
			})
			p := newProxy(t, f.url)
			f.url, f.options.Lease = p.url(), 2*time.Second
			at := f.join()
			away = f.engines[at]
			close(joined)
			t.Cleanup(p.heal) // or it could not be shut down
			f.spread()
			wf := f.activate(0, &workflow.Definition{Name: "calls", Entry: "call",
				Nodes: []workflow.Node{workflow.CallNode("call", nil).WithTimeout(timeout), workflow.End("done", workflow.Converted)},
				Edges: []workflow.Edge{workflow.On("call", "default", "done")},
			})
			const people = 64 // one for each shard
			for i := range people {
				if _, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
					t.Fatal(err)
				}
			}
			completed := func() int64 {
				n, err := f.engines[0].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Completed}})
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			f.until("each lead is completed or being called", func() bool { return completed()+int64(len(began)) == people })
			if len(began) == 0 {
				t.Fatal("one engine makes all calls")
			}
			p.set(func() { p.hold = [2]bool{true, true} })
			f.until("the other engine has called all", func() bool {
				n, err := f.engines[0].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.InStep}})
				if err != nil {
					t.Fatal(err)
				}
				return n == 0
			})
			p.heal()
			for range len(began) {
				select {
				case err := <-ended:
					if !errors.Is(err, engine.ErrDeadline) {
						t.Errorf("a context ended with %v", err)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("a handler that lost its attempt runs on after its deadline")
				}
			}
			f.leave(at)
		})
	}
}
