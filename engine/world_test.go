package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// world is an engine on a real SQLite file, with a telephone that does as each
// test says. Run inside synctest.Test its time is virtual.
type world struct {
	hear   func(engine.Event) // nil, or what hears of the events of every engine
	t      *testing.T
	path   string
	store  *sqlite.Store
	eng    *engine.Engine
	config engine.Config

	mu       sync.Mutex
	handle   func(ctx context.Context, a engine.Attempt) (engine.Result, error)
	attempts []engine.Attempt
	failing  bool // what handlers that look at it should do
}

// newWorld opens an engine all of whose handlers call handle; nil succeeds immediately.
func newWorld(t *testing.T, handle engine.HandlerFunc, hooks ...engine.Hook) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "leads.db"), handle: handle}
	record := engine.HandlerFunc(func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		w.mu.Lock()
		w.attempts = append(w.attempts, a)
		handle := w.handle
		w.mu.Unlock()
		if handle == nil {
			return engine.Result{}, nil
		}
		return handle(ctx, a)
	})
	w.config = engine.Config{
		Handlers: map[string]engine.Handler{
			"voice_call": record, "message": record, "application": record,
		},
		Hooks:  hooks,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	w.open()
	t.Cleanup(w.close)
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = sqlite.Open(context.Background(), w.path, sqlite.Options{}); err != nil {
		w.t.Fatal(err)
	}
	if w.eng, err = engine.New(w.store, w.config); err != nil {
		w.t.Fatal(err)
	}
	if w.hear != nil {
		w.eng.Listen(w.hear)
	}
	if err := w.eng.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	w.t.Helper()
	if w.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.eng.Shutdown(ctx); err != nil {
		w.t.Errorf("Shutdown: %v", err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	w.store = nil
}

// crash ends the engine without waiting for running handlers, and opens the file again.
func (w *world) crash() {
	w.t.Helper()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.eng.Shutdown(over); err != nil && !errors.Is(err, context.Canceled) {
		w.t.Fatal(err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// seen returns the attempts that handlers were called for so far.
func (w *world) seen() []engine.Attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]engine.Attempt(nil), w.attempts...)
}

// activate makes an active workflow of nodes and edges; the first node is its
// entry.
func (w *world) activate(nodes []workflow.Node, edges ...workflow.Edge) lead.WorkflowID {
	w.t.Helper()
	id := w.draft(nodes, edges...)
	if _, err := w.eng.ActivateWorkflow(context.Background(), id); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) draft(nodes []workflow.Node, edges ...workflow.Edge) lead.WorkflowID {
	w.t.Helper()
	wf, err := w.eng.CreateWorkflow(context.Background(), &workflow.Definition{
		Name: w.t.Name(), Entry: nodes[0].ID, Nodes: nodes, Edges: edges,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return wf.ID
}

func (w *world) enroll(wf lead.WorkflowID, phone string) lead.Lead {
	w.t.Helper()
	l, err := w.eng.Enroll(context.Background(), wf, lead.Contact{PhoneNumber: phone})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) lead(l lead.Lead) lead.Lead {
	w.t.Helper()
	got, err := w.eng.Lead(context.Background(), l.WorkflowID, l.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) history(l lead.Lead) []lead.Step {
	w.t.Helper()
	steps, err := w.eng.History(context.Background(), l.WorkflowID, l.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return steps
}

// path is a lead's history in words, such as "call=completed wait=waiting".
func (w *world) steps(l lead.Lead) string {
	w.t.Helper()
	var words []string
	for _, s := range w.history(l) {
		word := s.NodeID + "="
		if s.Scheduled {
			word = s.NodeID + "+message="
		}
		if s.Outcome != "" {
			word += s.Outcome
		} else {
			word += s.Status.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (w *world) remove(l lead.Lead, options ...engine.RemoveOption) *engine.Removal {
	w.t.Helper()
	r, err := w.eng.Remove(context.Background(), l.WorkflowID, l.ID, options...)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) expectState(l lead.Lead, want lead.State) {
	w.t.Helper()
	if got := w.lead(l).State; got != want {
		w.t.Errorf("lead is %s, want %s; history: %s", got, want, w.steps(l))
	}
}

func (w *world) expectSteps(l lead.Lead, want string) {
	w.t.Helper()
	if got := w.steps(l); got != want {
		w.t.Errorf("history is\n\t%s\nwant\n\t%s", got, want)
	}
}

// callWaitMessage is the workflow of most tests: a call, two days, a message.
func callWaitMessage() ([]workflow.Node, []workflow.Edge) {
	return []workflow.Node{
			workflow.CallNode("call", nil),
			workflow.Wait("wait", 48*time.Hour),
			workflow.MessageNode("text", nil),
			workflow.End("done", workflow.Converted),
		}, []workflow.Edge{
			workflow.On("call", "completed", "wait"),
			workflow.To("wait", "text"),
			workflow.On("text", "success", "done"),
		}
}

func (w *world) callWaitMessage() lead.WorkflowID {
	nodes, edges := callWaitMessage()
	return w.activate(nodes, edges...)
}

// pass lets virtual time pass, and what is due in it happen.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestALeadGoesThroughItsWorkflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.callWaitMessage(), "+14155552671")
		synctest.Wait()
		w.expectSteps(l, "call=completed wait=waiting")
		w.expectState(l, lead.Enrolled)
		w.pass(48*time.Hour + time.Millisecond)
		w.expectSteps(l, "call=completed wait=completed text=success done=converted")
		w.expectState(l, lead.Completed)
		if got := w.lead(l).Outcome; got != "converted" {
			t.Errorf("outcome is %q", got)
		}
	})
}
