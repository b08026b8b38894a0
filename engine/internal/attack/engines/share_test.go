// Package engines attacks several engines that share a PostgreSQL database.
package engines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
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
	wrap    func(*postgres.Store) store.Shared // what an engine that joins has instead of its store; nil: the store
	engines []*engine.Engine
	stores  []*postgres.Store
}

func newFleet(t *testing.T, n int, handler engine.HandlerFunc, hooks ...engine.Hook) *fleet {
	t.Helper()
	return newFleetIn(t, pgtest.URL(), n, handler, hooks...)
}

// newFleetIn makes a fleet in the database with that URL.
func newFleetIn(t *testing.T, url string, n int, handler engine.HandlerFunc, hooks ...engine.Hook) *fleet {
	t.Helper()
	if url == "" {
		t.Skip(pgtest.Missing)
	}
	f := &fleet{T: t, url: url, options: postgres.Options{Schema: pgtest.Schema(t), Lease: 10 * time.Second}, handler: handler, hooks: hooks}
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
	var used store.Shared = st
	if f.wrap != nil {
		used = f.wrap(st)
	}
	eng, err := engine.New(used, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": f.handler, "message": f.handler},
		Hooks:    f.hooks, Logger: slog.New(slog.NewTextHandler(f.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
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

// After PauseWorkflow has returned, no engine calls a handler, whichever engine was asked
// (promise 17); and after ResumeWorkflow all go on.
func TestAPauseHoldsOnEveryEngine(t *testing.T) {
	var paused atomic.Bool
	var made atomic.Int64
	f := newFleet(t, 3, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		made.Add(1)
		if paused.Load() {
			t.Errorf("attempt %s begins although the workflow is paused", a.IdempotencyKey)
		}
		return engine.Result{}, nil
	})
	// A circle, so that there is always something to begin.
	wf := f.activate(0, &workflow.Definition{Name: "circle", Entry: "call",
		Nodes: []workflow.Node{workflow.CallNode("call", nil), workflow.Wait("wait", time.Millisecond)},
		Edges: []workflow.Edge{workflow.On("call", "default", "wait"), workflow.To("wait", "call")},
	})
	for i := range 60 {
		if _, err := f.engines[i%3].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 30 {
		before := made.Load()
		f.until("attempts are made", func() bool { return made.Load() > before+50 })
		if _, err := f.engines[round%3].PauseWorkflow(ctx, wf); err != nil {
			t.Fatal(err)
		}
		paused.Store(true)
		if w, err := f.engines[(round+1)%3].Workflow(ctx, wf); err != nil || w.Status != lead.WorkflowPaused {
			t.Fatalf("another engine has the workflow as %s, %v", w.Status, err)
		}
		time.Sleep(5 * time.Millisecond)
		paused.Store(false)
		if _, err := f.engines[(round+2)%3].ResumeWorkflow(ctx, wf); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.engines[1].CancelWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	paused.Store(true)
	f.until("all leads are removed", func() bool {
		n, err := f.engines[2].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Removed}})
		if err != nil {
			t.Fatal(err)
		}
		return n == 60
	})
}

// An engine that joins or leaves takes over people, but not calls: a live call stays with
// the engine that began it, which puts its outcome on record.
func TestLiveCallsStayWithTheirEngine(t *testing.T) {
	var made calls
	hold := make(chan struct{})
	live := make(chan string, 100)
	f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		if n := made.add(a.IdempotencyKey); n > 1 || a.Redelivered {
			t.Errorf("attempt %s is made %d times", a.IdempotencyKey, n)
		}
		if a.Node.ID == "call" {
			live <- a.IdempotencyKey
			<-hold
			return engine.Result{Outcome: "completed"}, nil
		}
		return engine.Result{}, nil
	}, engine.Hook{Name: "witness", Run: func(context.Context, engine.HookEvent) error { return nil }})
	wf := f.activate(0, callWaitText(10*time.Millisecond))
	const people = 40
	for i := range people {
		if _, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range people {
		<-live
	}
	f.join()
	f.spread()
	f.join()
	f.spread()
	// Half of them are to be removed when their calls are over.
	removed := 0
	for l, err := range f.engines[2].AllLeads(ctx, wf, engine.LeadFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if removed++; removed%2 == 0 {
			if r, err := f.engines[removed%3].Remove(ctx, wf, l.ID); err != nil || r.State != lead.PendingRemoval {
				t.Errorf("a removal during the call: %+v, %v", r, err)
			}
		}
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		f.leave(0) // which waits for the calls
	}()
	f.until("the others have all shards", func() bool {
		list, err := f.stores[1].Engines(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range list {
			if e.Takes {
				n += len(e.Shards)
			}
		}
		return n == 64
	})
	close(hold)
	<-left
	f.until("every lead has ended", func() bool {
		n, err := f.engines[2].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Completed, lead.Removed}})
		if err != nil {
			t.Fatal(err)
		}
		return n == people
	})
	counts, err := f.engines[1].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Removed}})
	if err != nil || counts != people/2 {
		t.Errorf("%d leads are removed, %v", counts, err)
	}
}

// A removal at any engine is waited for at that engine, whoever ends the step.
func TestRemovalsAreWaitedForAtAnyEngine(t *testing.T) {
	hold, live := make(chan struct{}), make(chan struct{}, 100)
	f := newFleet(t, 3, func(context.Context, engine.Attempt) (engine.Result, error) {
		live <- struct{}{}
		<-hold
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(time.Hour))
	const people = 30
	var removals []*engine.Removal
	for i := range people {
		l, err := f.engines[i%3].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
		if err != nil {
			t.Fatal(err)
		}
		<-live
		r, err := f.engines[(i+i/3)%3].Remove(ctx, wf, l.ID)
		if err != nil || r.State != lead.PendingRemoval {
			t.Fatalf("removal: %+v, %v", r, err)
		}
		removals = append(removals, r)
	}
	close(hold)
	for _, r := range removals {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		if l, err := r.Wait(ctx); err != nil || l.State != lead.Removed {
			t.Errorf("waiting for a removal: %+v, %v", l, err)
		}
		cancel()
	}
}

// Removals of many and cancellations at one engine while the others step as fast as they
// can: everything ends, and nothing begins after the answer.
func TestSweepsBesideFullLoadOnOtherEngines(t *testing.T) {
	var over atomic.Bool
	f := newFleet(t, 2, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		if over.Load() {
			t.Errorf("attempt %s begins after the removal of all", a.IdempotencyKey)
		}
		return engine.Result{}, nil
	})
	wf := f.activate(0, &workflow.Definition{Name: "circle", Entry: "call",
		Nodes: []workflow.Node{workflow.CallNode("call", nil), workflow.MessageNode("text", nil)},
		Edges: []workflow.Edge{workflow.On("call", "default", "text"), workflow.On("text", "default", "call")},
	})
	const people = 3000
	report, err := f.engines[1].EnrollAll(ctx, wf, func(yield func(lead.Contact, error) bool) {
		for i := range people {
			if !yield(lead.Contact{PhoneNumber: phone(i)}, nil) {
				return
			}
		}
	})
	if err != nil || report.Enrolled != people {
		t.Fatal(report, err)
	}
	for i, eng := range f.engines {
		f.until("it works", func() bool { return eng.Stats().StepsCompleted > 5000 })
		_ = i
	}
	n, err := f.engines[0].RemoveLeads(ctx, wf, engine.LeadFilter{All: true}, engine.SkipRetries())
	if err != nil || n != people {
		t.Fatalf("%d leads removed, %v", n, err)
	}
	f.until("every lead is removed", func() bool {
		n, err := f.engines[1].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Removed}})
		if err != nil {
			t.Fatal(err)
		}
		return n == people
	})
	over.Store(true)
	time.Sleep(50 * time.Millisecond)
}
