package world

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
	"github.com/leadflow-go/leadflow/store/faulty"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// Background is the context of callers without a deadline.
var Background = context.Background()

// World is an engine on a real SQLite file, whose handlers do as the test says. Inside
// synctest.Test its time is virtual. Its methods end the test when the engine returns an
// error; they must be called on the test's goroutine, unless they say otherwise.
type World struct {
	*testing.T
	File   string
	Store  *sqlite.Store // nil while closed
	Eng    *engine.Engine
	Config engine.Config

	mu       sync.Mutex
	attempts []engine.Attempt
}

// New opens an engine whose every handler does as handle says; nil succeeds
// immediately. It is closed when the test ends.
func New(t *testing.T, handle engine.HandlerFunc, hooks ...engine.Hook) *World {
	t.Helper()
	w := &World{T: t, File: filepath.Join(t.TempDir(), "leads.db")}
	w.Config = engine.Config{
		Hooks:  hooks,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	Handle(&w.Config, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		w.mu.Lock()
		w.attempts = append(w.attempts, a)
		w.mu.Unlock()
		if handle == nil {
			return engine.Result{}, nil
		}
		return handle(ctx, a)
	})
	w.Open()
	t.Cleanup(w.Close)
	return w
}

// Handle returns a Config.Handlers with the handler for every type of action.
func Handle(c *engine.Config, h engine.HandlerFunc) {
	c.Handlers = map[string]engine.Handler{
		"voice_call": h, "message": h, "application": h,
	}
}

// Open opens the file and starts an engine on it.
func (w *World) Open() {
	w.Helper()
	var err error
	if w.Store, err = sqlite.Open(Background, w.File, sqlite.Options{}); err != nil {
		w.Fatal(err)
	}
	if w.Eng, err = engine.New(w.Store, w.Config); err != nil {
		w.Fatal(err)
	}
	if err := w.Eng.Start(Background); err != nil {
		w.Fatal(err)
	}
}

// Close shuts the engine down and closes the store. Closing twice is safe.
func (w *World) Close() {
	w.Helper()
	if w.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(Background, time.Minute)
	defer cancel()
	if err := w.Eng.Shutdown(ctx); err != nil {
		w.Errorf("Shutdown: %v", err)
	}
	if err := w.Store.Close(); err != nil {
		w.Errorf("Close: %v", err)
	}
	w.Store = nil
}

// Crash ends the engine without waiting for running handlers, and opens the file again.
func (w *World) Crash() {
	w.Helper()
	over, cancel := context.WithCancel(Background)
	cancel()
	if err := w.Eng.Shutdown(over); err != nil && !errors.Is(err, context.Canceled) {
		w.Fatal(err)
	}
	if err := w.Store.Close(); err != nil {
		w.Fatal(err)
	}
	w.Open()
}

// Refit restarts the engine on the same file, over a faulty store and with a changed
// configuration; change may be nil.
func (w *World) Refit(change func(c *engine.Config)) *faulty.Store {
	w.Helper()
	if err := w.Eng.Shutdown(Background); err != nil {
		w.Fatal(err)
	}
	if change != nil {
		change(&w.Config)
	}
	s := faulty.New(w.Store)
	var err error
	if w.Eng, err = engine.New(s, w.Config); err != nil {
		w.Fatal(err)
	}
	if err := w.Eng.Start(Background); err != nil {
		w.Fatal(err)
	}
	return s
}

// Seen returns the attempts for which handlers were called so far. It is safe for
// concurrent use.
func (w *World) Seen() []engine.Attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]engine.Attempt(nil), w.attempts...)
}

// Activate creates and activates a workflow of nodes and edges; the first node is its
// entry.
func (w *World) Activate(nodes []workflow.Node, edges ...workflow.Edge) lead.WorkflowID {
	w.Helper()
	id := w.Draft(nodes, edges...)
	if _, err := w.Eng.ActivateWorkflow(Background, id); err != nil {
		w.Fatal(err)
	}
	return id
}

// Draft is Activate without activating.
func (w *World) Draft(nodes []workflow.Node, edges ...workflow.Edge) lead.WorkflowID {
	w.Helper()
	wf, err := w.Eng.CreateWorkflow(Background, &workflow.Definition{
		Name: w.Name(), Entry: nodes[0].ID, Nodes: nodes, Edges: edges,
	})
	if err != nil {
		w.Fatal(err)
	}
	return wf.ID
}

// Enroll enrolls one contact.
func (w *World) Enroll(wf lead.WorkflowID, phone string) lead.Lead {
	w.Helper()
	l, err := w.Eng.Enroll(Background, wf, lead.Contact{PhoneNumber: phone})
	if err != nil {
		w.Fatal(err)
	}
	return l
}

// EnrollMany enrolls n contacts from the i-th on and returns their ids.
func (w *World) EnrollMany(wf lead.WorkflowID, i, n int) []lead.ID {
	w.Helper()
	ids := make([]lead.ID, 0, n)
	_, err := w.Eng.EnrollAll(Background, wf, People(i, n), engine.OnRow(func(row int, id lead.ID, err error) {
		if err != nil {
			w.Errorf("row %d: %v", row, err)
		}
		ids = append(ids, id)
	}))
	if err != nil {
		w.Fatal(err)
	}
	return ids
}

// Lead reads a lead. It is safe for concurrent use.
func (w *World) Lead(l lead.Lead) lead.Lead {
	w.Helper()
	got, err := w.Eng.Lead(Background, l.WorkflowID, l.ID)
	if err != nil {
		w.Error(err)
	}
	return got
}

// History reads a lead's steps. It is safe for concurrent use.
func (w *World) History(l lead.Lead) []lead.Step {
	w.Helper()
	steps, err := w.Eng.History(Background, l.WorkflowID, l.ID)
	if err != nil {
		w.Error(err)
	}
	return steps
}

// Path is a lead's history as text, such as "call=completed wait=waiting". It is safe
// for concurrent use.
func (w *World) Path(l lead.Lead) string {
	w.Helper()
	var words []string
	for _, s := range w.History(l) {
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

// Remove removes a lead.
func (w *World) Remove(l lead.Lead, options ...engine.RemoveOption) *engine.Removal {
	w.Helper()
	r, err := w.Eng.Remove(Background, l.WorkflowID, l.ID, options...)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// Counts are a workflow's.
func (w *World) Counts(wf lead.WorkflowID) map[lead.State]int64 {
	w.Helper()
	got, err := w.Eng.Workflow(Background, wf)
	if err != nil {
		w.Fatal(err)
	}
	return got.Counts
}

// ExpectCounts checks a workflow's counts, and that its listing agrees.
func (w *World) ExpectCounts(wf lead.WorkflowID, want map[lead.State]int64) {
	w.Helper()
	listed := map[lead.State]int64{}
	for l, err := range w.Eng.AllLeads(Background, wf, engine.LeadFilter{}) {
		if err != nil {
			w.Fatal(err)
		}
		listed[l.State]++
	}
	counted := w.Counts(wf)
	for _, s := range lead.States() {
		if counted[s] != want[s] || listed[s] != want[s] {
			w.Errorf("%d leads are counted as %s and %d listed, want %d", counted[s], s, listed[s], want[s])
		}
	}
}

// ExpectState checks a lead's state.
func (w *World) ExpectState(l lead.Lead, want lead.State) {
	w.Helper()
	if got := w.Lead(l).State; got != want {
		w.Errorf("lead is %s, want %s; history: %s", got, want, w.Path(l))
	}
}

// ExpectPath checks a lead's history as text; see Path.
func (w *World) ExpectPath(l lead.Lead, want string) {
	w.Helper()
	if got := w.Path(l); got != want {
		w.Errorf("history is\n\t%s\nwant\n\t%s", got, want)
	}
}

// Pass lets virtual time pass, and waits until the engine has done what is due.
func (w *World) Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// NewFaulty is New over a store with faults.
func NewFaulty(t *testing.T, handle engine.HandlerFunc, hooks ...engine.Hook) (*World, *faulty.Store) {
	t.Helper()
	w := New(t, handle, hooks...)
	return w, w.Refit(nil)
}
