package engines

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// failing is a store whose reads fail for a while.
type failing struct {
	*postgres.Store
	loads, workflows, counts atomic.Int32 // how many are to fail
}

var errOnPurpose = errors.New("fails on purpose")

func (s *failing) Load(ctx context.Context, seqs []int64) ([]store.Lead, error) {
	if s.loads.Add(-1) >= 0 {
		return nil, errOnPurpose
	}
	return s.Store.Load(ctx, seqs)
}

func (s *failing) Workflows(ctx context.Context) ([]store.Workflow, error) {
	if s.workflows.Add(-1) >= 0 {
		return nil, errOnPurpose
	}
	return s.Store.Workflows(ctx)
}

func (s *failing) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	if s.counts.Add(-1) >= 0 {
		return nil, errOnPurpose
	}
	return s.Store.Counts(ctx, workflow)
}

// An engine that cannot start gives its leads to the others, and nobody waits for it.
func TestAnEngineThatCannotStartIsNotWaitedFor(t *testing.T) {
	var made calls
	f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		made.add(a.IdempotencyKey)
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(time.Millisecond))
	if _, err := f.engines[0].PauseWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	f.leave(0)
	st, err := postgres.Open(ctx, f.url, f.options)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s := &failing{Store: st}
	s.counts.Store(1)
	handler := engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	eng, err := engine.New(s, engine.Config{Handlers: map[string]engine.Handler{"voice_call": handler, "message": handler}})
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.Start(ctx); !errors.Is(err, errOnPurpose) {
		t.Fatalf("the engine started: %v", err)
	}
	f.join()
	f.spread()
	if _, err := f.engines[1].ResumeWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	if err := eng.Start(ctx); err != nil {
		t.Fatalf("the second time: %v", err)
	}
	defer eng.Shutdown(ctx)
	f.spread()
}

// What another engine has told is not lost when a read fails after that, although the
// store has forgotten it.
func TestNoticesOutliveReadsThatFail(t *testing.T) {
	for name, fail := range map[string]func(f *fleet, wf lead.WorkflowID, s *failing){
		"of leads": func(_ *fleet, _ lead.WorkflowID, s *failing) { s.loads.Store(1) },
		"of workflows": func(f *fleet, _ lead.WorkflowID, s *failing) {
			s.workflows.Store(1)
			// So that they are read.
			if _, err := f.engines[0].CreateWorkflow(ctx, callWaitText(time.Hour)); err != nil {
				f.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var steps []lead.StepID
			f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				if a.Node.ID == "text" {
					return engine.Result{}, nil
				}
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, a.StepID)
				return engine.InFlight(""), nil
			})
			var s *failing
			f.wrap = func(st *postgres.Store) store.Shared { s = &failing{Store: st}; return s }
			f.join()
			f.spread()
			wf := f.activate(0, callWaitText(time.Millisecond))
			const people = 20
			for i := range people {
				if _, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
					t.Fatal(err)
				}
			}
			f.until("all wait for a callback", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(steps) == people
			})
			fail(f, wf, s)
			for _, id := range steps {
				if _, err := f.engines[0].CompleteStep(ctx, id, engine.Callback{}); err != nil {
					t.Fatal(err)
				}
			}
			f.until("all are completed", func() bool {
				n, err := f.engines[0].CountLeads(ctx, wf, engine.LeadFilter{States: []lead.State{lead.Completed}})
				if err != nil {
					t.Fatal(err)
				}
				return n == people
			})
		})
	}
}

// slow is a store whose reads of contacts wait.
type slow struct {
	*postgres.Store
	wait    atomic.Bool
	waiting chan struct{} // receives when one waits
	release chan struct{}
	left    chan struct{} // closed when it takes no shards any more
	once    sync.Once
	seqs    []int64 // of the leads whose contacts the read that waits is for
}

func (s *slow) Sync(ctx context.Context, take bool, seen int64) (store.Membership, error) {
	m, err := s.Store.Sync(ctx, take, seen)
	if !take {
		select {
		case <-s.waiting: // so it is not that of Start
			s.once.Do(func() { close(s.left) })
		default:
		}
	}
	return m, err
}

func (s *slow) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	if s.wait.CompareAndSwap(true, false) {
		s.seqs = seqs
		close(s.waiting)
		<-s.release
	}
	return s.Store.Contacts(ctx, seqs)
}

// An attempt that is on record may call its handler late, because its contact must be read
// before. A pause at another engine waits for it, also if the engine that makes the
// attempt is busy with other workflows, or shuts down (promise 17).
func TestAPauseWaitsForHandlersOnOtherEngines(t *testing.T) {
	for name, stops := range map[string]bool{"that are busy": false, "that shut down": true} {
		t.Run(name, func(t *testing.T) { testAPauseWaitsForHandlers(t, stops) })
	}
}

func testAPauseWaitsForHandlers(t *testing.T, stops bool) {
	var paused atomic.Bool
	var circles atomic.Int64
	f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		if a.Node.ID != "call" {
			circles.Add(1)
			return engine.Result{}, nil
		}
		if paused.Load() {
			t.Errorf("attempt %s begins although the workflow is paused", a.IdempotencyKey)
		}
		return engine.Result{}, nil
	})
	s := &slow{waiting: make(chan struct{}), release: make(chan struct{}), left: make(chan struct{})}
	f.wrap = func(st *postgres.Store) store.Shared { s.Store = st; return s }
	f.join()
	f.spread()
	circle := f.activate(0, &workflow.Definition{Name: "circle", Entry: "circle",
		Nodes: []workflow.Node{workflow.CallNode("circle", nil), workflow.MessageNode("text", nil)},
		Edges: []workflow.Edge{workflow.On("circle", "default", "text"), workflow.On("text", "default", "circle")},
	})
	for i := range 200 {
		if _, err := f.engines[1].Enroll(ctx, circle, lead.Contact{PhoneNumber: phone(i)}); err != nil {
			t.Fatal(err)
		}
	}
	f.until("it is busy", func() bool { return circles.Load() > 2000 })
	wf := f.activate(0, callWaitText(time.Hour))
	s.wait.Store(true)
	for i := range 20 {
		if _, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
			t.Fatal(err)
		}
	}
	<-s.waiting
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if stops {
			f.leave(1)
		}
	}()
	if stops { // give the engine a chance to do it wrong
		select {
		case <-s.left:
		case <-time.After(500 * time.Millisecond):
		}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if _, err := f.engines[0].PauseWorkflow(ctx, wf); err != nil {
			t.Error(err)
		}
		paused.Store(true)
	}()
	select { // whichever: the handler is called after that
	case <-over:
	case <-time.After(500 * time.Millisecond):
	}
	close(s.release)
	<-over
	<-stopped
	if _, err := f.engines[0].CancelWorkflow(ctx, circle); err != nil {
		t.Fatal(err)
	}
}
