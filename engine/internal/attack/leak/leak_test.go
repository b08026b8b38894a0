package leak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// leakWorld is an engine on a real file and the real clock. It counts the engine's
// timers, and signals its commits.
type leakWorld struct {
	*testing.T
	eng       *engine.Engine
	clock     *countingClock
	committed chan struct{} // holds a token after a commit
	before    goleak.Option // what ran before the engine did
	file      *sqlite.Store
	enrolled  int
}

func newLeakWorld(t *testing.T, c engine.Config) *leakWorld {
	t.Helper()
	w := &leakWorld{T: t, clock: &countingClock{}, committed: make(chan struct{}, 1), before: goleak.IgnoreCurrent()}
	var err error
	if w.file, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "leads.db"), sqlite.Options{}); err != nil {
		t.Fatal(err)
	}
	c.Clock = w.clock
	c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	if w.eng, err = engine.New(&notifyingStore{w.file, w.committed}, c); err != nil {
		t.Fatal(err)
	}
	if err := w.eng.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// countingClock is the real clock. It counts the timers that are set.
type countingClock struct{ timers atomic.Int64 }

func (c *countingClock) Now() time.Time { return time.Now() }

func (c *countingClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.timers.Add(1)
	timer := time.AfterFunc(d, func() {
		c.timers.Add(-1)
		f()
	})
	return func() bool {
		stopped := timer.Stop()
		if stopped {
			c.timers.Add(-1)
		}
		return stopped
	}
}

type notifyingStore struct {
	store.Store
	committed chan struct{}
}

func (s *notifyingStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	res, err := s.Store.Commit(ctx, b)
	select {
	case s.committed <- struct{}{}:
	default:
	}
	return res, err
}

func (w *leakWorld) activate(def *workflow.Definition) lead.WorkflowID {
	w.Helper()
	made, err := w.eng.CreateWorkflow(w.Context(), def)
	if err == nil {
		_, err = w.eng.ActivateWorkflow(w.Context(), made.ID)
	}
	if err != nil {
		w.Fatal(err)
	}
	return made.ID
}

// contacts are n people whom nobody has enrolled yet.
func (w *leakWorld) contacts(n int) iter.Seq2[lead.Contact, error] {
	return func(yield func(lead.Contact, error) bool) {
		for range n {
			w.enrolled++
			if !yield(lead.Contact{PhoneNumber: fmt.Sprintf("+1415%07d", w.enrolled)}, nil) {
				return
			}
		}
	}
}

// rest waits until every lead is final and the engine has nothing to do.
func (w *leakWorld) rest(id lead.WorkflowID) {
	w.Helper()
	for {
		wf, err := w.eng.Workflow(w.Context(), id)
		if err != nil {
			w.Fatal(err)
		}
		if wf.EnrolledLeads == int64(w.enrolled) && wf.Counts[lead.Completed]+wf.Counts[lead.Removed] == wf.EnrolledLeads {
			break
		}
		select {
		case <-w.committed:
		case <-time.After(time.Minute):
			w.Fatalf("nothing is committed, and of the leads are %v", wf.Counts)
		}
	}
	// The last commit is on disk; that of this change comes after what follows it.
	text := fmt.Sprintf("%d leads", w.enrolled)
	if _, err := w.eng.UpdateWorkflow(w.Context(), id, engine.WorkflowUpdate{Description: &text}); err != nil {
		w.Fatal(err)
	}
}

// footprint is what a process at rest holds.
type footprint struct {
	bytes, objects int64
	goroutines     goleak.Option
}

func takeFootprint() footprint {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	runtime.ReadMemStats(&m)
	return footprint{int64(m.HeapAlloc), int64(m.HeapObjects), goleak.IgnoreCurrent()}
}

// expectNothingLeft runs that many leads, and compares the idle engine with what it held
// when it was idle before. A leak of one smallest object per lead is noticed. The
// runtime keeps a record for each goroutine of the busiest moment so far, so a busier
// run grows the heap once; a leak grows it in every run, and only that fails.
func (w *leakWorld) expectNothingLeft(run func(leads int), leads int) {
	w.Helper()
	const runs = 4
	for i := 1; ; i++ {
		was := takeFootprint()
		run(leads)
		if grown := w.grownSince(was, leads); grown == nil {
			return
		} else if i == runs {
			w.Errorf("in each of %d runs %v", runs, grown)
			return
		}
	}
}

// grownSince checks an engine at rest, and returns how its heap has grown
// beyond what noise explains.
func (w *leakWorld) grownSince(was footprint, leads int) error {
	w.Helper()
	if err := goleak.Find(was.goroutines); err != nil {
		w.Errorf("goroutines are left behind: %v", err)
	}
	is := takeFootprint()
	bytes, objects := is.bytes-was.bytes, is.objects-was.objects
	w.Logf("%d leads later the heap has %+d bytes and %+d objects; it has %d and %d", leads, bytes, objects, is.bytes, is.objects)
	if s := w.eng.Stats(); s.InMemory != 0 || s.Ready != 0 || s.Running != 0 {
		w.Errorf("all leads are final, and the engine holds %d, of which %d are ready and %d run", s.InMemory, s.Ready, s.Running)
	}
	if n := w.clock.timers.Load(); n > 1 { // one wakes the loop, should the clock jump
		w.Errorf("%d timers are set", n)
	}
	if most := int64(400 + leads/10); objects > most {
		return fmt.Errorf("the heap has %d objects more, for %d leads; want %d at most", objects, leads, most)
	}
	if most := int64(1<<20 + leads*8); bytes > most {
		return fmt.Errorf("the heap has %d bytes more, for %d leads; want %d at most", bytes, leads, most)
	}
	return nil
}

func (w *leakWorld) shutdown() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	if err := w.eng.Shutdown(ctx); err != nil {
		w.Errorf("Shutdown: %v", err)
	}
	if err := w.file.Close(); err != nil {
		w.Errorf("Close: %v", err)
	}
	if err := goleak.Find(w.before); err != nil {
		w.Errorf("after Shutdown goroutines are left behind: %v", err)
	}
	if n := w.clock.timers.Load(); n != 0 {
		w.Errorf("after Shutdown %d timers are set", n)
	}
}

// A lead takes five steps, and each step two transitions: start and complete.
func TestAMillionTransitionsLeaveNothingBehind(t *testing.T) {
	const steps = 5
	leads := 100_000
	if world.RaceEnabled {
		leads = 6_000
	}
	var c engine.Config
	world.Handle(&c, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	w := newLeakWorld(t, c)
	def := &workflow.Definition{Name: "five steps", Entry: "step1", Nodes: []workflow.Node{workflow.End("end", workflow.Converted)}}
	for i := 1; i <= steps; i++ {
		next := fmt.Sprintf("step%d", i+1)
		if i == steps {
			next = "end"
		}
		node := fmt.Sprintf("step%d", i)
		def.Nodes = append(def.Nodes, workflow.ApplicationNode(node, nil))
		def.Edges = append(def.Edges, workflow.On(node, "success", next))
	}
	id := w.activate(def)
	run := func(n int) {
		t.Helper()
		begun := time.Now()
		report, err := w.eng.EnrollAll(t.Context(), id, w.contacts(n))
		if err != nil || report.Enrolled != n {
			t.Fatalf("%d of %d leads enrolled: %v, %v", report.Enrolled, n, report.Errors, err)
		}
		w.rest(id)
		took := time.Since(begun)
		t.Logf("%d leads took %s: %.0f steps a second", n, took.Round(time.Millisecond), float64(n*steps)/took.Seconds())
	}
	// The first leads bring caches, pools and lists to the size that they keep.
	first := leads / 4
	run(first)
	w.expectNothingLeft(run, leads-first)
	if s := w.eng.Stats(); s.StepsStarted+s.StepsCompleted < int64(2*steps*leads) || s.LeadsCompleted != int64(w.enrolled) {
		t.Errorf("%d steps were started and %d completed, by %d leads", s.StepsStarted, s.StepsCompleted, s.LeadsCompleted)
	}
	w.shutdown()
}

// Callbacks, retries, panics, timeouts, waits, scheduled messages, hooks that fail and
// hang, and removals with a waiting caller: each of them could leak something.
func TestEveryKindOfStepLeavesNothingBehind(t *testing.T) {
	leads := 12_000
	if world.RaceEnabled {
		leads = 3_000
	}
	var w *leakWorld
	var others sync.WaitGroup // goroutines of the test
	var calls, apps, hooks atomic.Int64
	do := map[string]engine.HandlerFunc{
		"voice_call": func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Scheduled != nil {
				return engine.Result{}, nil
			}
			switch n := calls.Add(1); {
			case n%4 == 0:
				others.Go(func() {
					removal, err := w.eng.Remove(context.Background(), a.WorkflowID, a.LeadID)
					if err == nil {
						_, err = w.eng.CompleteStep(context.Background(), a.StepID, engine.Callback{Outcome: "completed"})
					}
					if err == nil {
						_, err = removal.Wait(context.Background())
					}
					if err != nil {
						t.Errorf("a removal during a call: %v", err)
					}
				})
				return engine.InFlight("call"), nil
			case n%4 == 1 && a.Number == 1:
				return engine.Result{}, errors.New("busy")
			case n%4 == 2 && a.Number == 1:
				panic("busy")
			}
			return engine.Result{Schedule: []engine.Message{{After: time.Millisecond}, {After: time.Hour}}}, nil
		},
		"application": func(ctx context.Context, _ engine.Attempt) (engine.Result, error) {
			switch apps.Add(1) % 20 {
			case 0:
				return engine.InFlight(""), nil
			case 1:
				<-ctx.Done()
			}
			return engine.Result{}, nil
		},
		"message": func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil },
	}
	c := engine.Config{HookTimeout: 100 * time.Millisecond}
	world.Handle(&c, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		return do[string(a.Node.Type)](ctx, a)
	})
	c.Hooks = []engine.Hook{{Name: "moody", Run: func(ctx context.Context, _ engine.HookEvent) error {
		switch hooks.Add(1) % 20 {
		case 0:
			return errors.New("bad mood")
		case 1:
			<-ctx.Done()
		case 2:
			panic("very bad mood")
		}
		return nil
	}}}
	w = newLeakWorld(t, c)
	id := w.activate(&workflow.Definition{
		Name: "all kinds", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(time.Millisecond)}),
			workflow.Wait("wait", 2*time.Millisecond),
			workflow.ApplicationNode("app", nil).WithTimeout(300 * time.Millisecond),
			workflow.MessageNode("text", nil),
			workflow.End("end", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("call", workflow.DefaultLabel, "wait"), workflow.To("wait", "app"),
			workflow.On("app", workflow.DefaultLabel, "text"), workflow.On("text", workflow.DefaultLabel, "end"),
		},
	})
	remove := func(row int, l lead.ID, err error) {
		if err != nil {
			t.Errorf("row %d: %v", row, err)
		}
		if row%3 != 0 {
			return
		}
		others.Go(func() {
			removal, err := w.eng.Remove(context.Background(), id, l)
			if errors.Is(err, lead.ErrLeadFinal) {
				return
			}
			if err == nil {
				_, err = removal.Wait(context.Background())
			}
			if err != nil {
				t.Errorf("Remove: %v", err)
			}
		})
	}
	run := func(n int) {
		t.Helper()
		if _, err := w.eng.EnrollAll(t.Context(), id, w.contacts(n), engine.OnRow(remove)); err != nil {
			t.Fatal(err)
		}
		w.rest(id)
		others.Wait()
	}
	first := leads / 3
	run(first)
	w.expectNothingLeft(run, leads-first)
	s := w.eng.Stats()
	t.Logf("%+v", s)
	for what, n := range map[string]int64{
		"retry": s.Retries, "timeout": s.TimedOut, "removal": s.LeadsRemoved, "hook failure": s.HookFailures,
		"cancelled timer": s.TimersCancelled, "late result": s.LateResults,
	} {
		if n == 0 {
			t.Errorf("there was no %s: the test tests less than it says", what)
		}
	}
	w.shutdown()
}
