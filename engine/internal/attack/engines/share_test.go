// Package engines attacks several engines that share a PostgreSQL database.
package engines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

var ctx = context.Background()

// fleet is a number of engines of this process on one schema.
type fleet struct {
	*testing.T
	url     string // of the server, for those who join
	options postgres.Options
	handler engine.Handler
	hooks   []engine.Hook
	engines []*engine.Engine
	stores  []*postgres.Store
}

func newFleet(t *testing.T, n int, handler engine.HandlerFunc, hooks ...engine.Hook) *fleet {
	t.Helper()
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	f := &fleet{T: t, url: pgtest.URL(), options: postgres.Options{Schema: pgtest.Schema(t), Lease: 2 * time.Second}, handler: handler, hooks: hooks}
	for range n {
		f.join()
	}
	f.spread()
	return f
}

// join starts another engine, and returns its place in the fleet.
func (f *fleet) join() int {
	f.Helper()
	o := f.options
	o.Name = fmt.Sprint("engine ", len(f.engines))
	st, err := postgres.Open(ctx, f.url, o)
	if err != nil {
		f.Fatal(err)
	}
	eng, err := engine.New(st, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": f.handler, "message": f.handler},
		Hooks:    f.hooks, Logger: slog.New(slog.NewTextHandler(f.Output(), nil)),
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := eng.Start(ctx); err != nil {
		f.Fatal(err)
	}
	at := len(f.engines)
	f.engines, f.stores = append(f.engines, eng), append(f.stores, st)
	f.Cleanup(func() { f.leave(at) })
	return at
}

// leave shuts an engine down; if it was already, nothing happens.
func (f *fleet) leave(at int) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := f.engines[at].Shutdown(ctx); err != nil {
		f.Errorf("engine %d: %v", at, err)
	}
	if err := f.stores[at].Close(); err != nil {
		f.Errorf("engine %d: %v", at, err)
	}
}

// until waits for a condition, and fails after a time that nothing takes.
func (f *fleet) until(what string, holds func() bool) {
	f.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > 30*time.Second {
			f.Fatalf("not after %s: %s", time.Since(began), what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// spread waits until all shards are spread over the engines that are there.
func (f *fleet) spread() {
	f.Helper()
	f.until("shards are spread", func() bool {
		list, err := f.stores[len(f.stores)-1].Engines(ctx)
		if err != nil {
			f.Fatal(err)
		}
		takers, total, most, least := 0, 0, 0, 1000
		for _, e := range list {
			if e.Takes {
				takers++
				total, most, least = total+len(e.Shards), max(most, len(e.Shards)), min(least, len(e.Shards))
			}
		}
		return takers > 0 && total == 64 && most-least <= 1
	})
}

func (f *fleet) activate(at int, def *workflow.Definition) lead.WorkflowID {
	f.Helper()
	wf, err := f.engines[at].CreateWorkflow(ctx, def)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.engines[at].ActivateWorkflow(ctx, wf.ID); err != nil {
		f.Fatal(err)
	}
	return wf.ID
}

func phone(i int) string { return fmt.Sprintf("+1415555%04d", i) }

func callWaitText(wait time.Duration) *workflow.Definition {
	return &workflow.Definition{Name: "calls", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(10 * time.Millisecond)}),
			workflow.Wait("wait", wait), workflow.MessageNode("text", nil), workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.On("call", "default", "wait"), workflow.To("wait", "text"), workflow.On("text", "default", "done")},
	}
}

// calls counts attempts by idempotency key.
type calls struct {
	mu sync.Mutex
	by map[string]int
}

func (c *calls) add(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]int{}
	}
	c.by[key]++
	return c.by[key]
}

// Whatever engine is asked, leads go their way once, on the engines that have them.
func TestEveryEngineTakesEveryRequest(t *testing.T) {
	var made calls
	f := newFleet(t, 3, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		if n := made.add(a.IdempotencyKey); n > 1 || a.Redelivered {
			t.Errorf("attempt %s is made %d times", a.IdempotencyKey, n)
		}
		if a.Number == 1 && a.Node.ID == "call" {
			return engine.Result{}, errors.New("busy")
		}
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(20*time.Millisecond))
	const people = 300
	ids := map[lead.ID]int{}
	for i := range people {
		l, err := f.engines[i%3].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
		if err != nil {
			t.Fatal(err)
		}
		ids[l.ID] = i
	}
	if _, err := f.engines[1].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(people - 1)}); err != nil && !errors.Is(err, lead.ErrConflict) {
		t.Errorf("a person who is there: %v", err)
	}
	f.until("all are completed", func() bool {
		n, err := f.engines[2].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Completed}})
		if err != nil {
			t.Fatal(err)
		}
		return n >= people
	})
	stats := 0
	for i, eng := range f.engines {
		n := eng.Stats().StepsCompleted
		if n == 0 {
			t.Errorf("engine %d has done nothing", i)
		}
		stats += int(n)
	}
	for id := range ids {
		steps, err := f.engines[0].History(ctx, wf, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) != 4 || len(steps[0].Attempts) != 2 {
			t.Errorf("lead %s went %+v", id, steps)
		}
	}
}
