package engine_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// This file is what the tests of the stepped engine work with: a clock, the
// engine on a store, and stores that misbehave.

// handClock is a clock that a test sets. What it is asked to call it calls when
// it is set to that time.
type handClock struct {
	now   time.Time
	calls []handCall
}

type handCall struct {
	at time.Time
	f  func()
}

func (c *handClock) Now() time.Time { return c.now }

func (c *handClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.calls = append(c.calls, handCall{c.now.Add(d), f})
	return func() bool { return false }
}

func (c *handClock) pass(d time.Duration) {
	c.now = c.now.Add(d)
	due := c.calls
	c.calls = nil
	for _, call := range due {
		if call.at.After(c.now) {
			c.calls = append(c.calls, call)
		} else {
			call.f()
		}
	}
}

// stepped is a stepped engine on a SQLite file.
type stepped struct {
	*engine.Stepped
	t     *testing.T
	clock *handClock
}

// newStepped returns a stepped engine whose every handler does as handle says;
// wrap may stand between it and its store.
func newStepped(t *testing.T, handle engine.HandlerFunc, wrap func(store.Store) store.Store, hooks ...engine.Hook) *stepped {
	t.Helper()
	return newSeeded(t, 1, handle, wrap, hooks...)
}

func newSeeded(t *testing.T, seed uint64, handle engine.HandlerFunc, wrap func(store.Store) store.Store, hooks ...engine.Hook) *stepped {
	t.Helper()
	file, err := sqlite.Open(background, filepath.Join(t.TempDir(), "leads.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	var st store.Store = file
	if wrap != nil {
		st = wrap(st)
	}
	s := &stepped{t: t, clock: &handClock{now: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}}
	s.Stepped, err = engine.NewStepped(st, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": handle, "message": handle},
		Hooks:    hooks, Clock: s.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(background); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stepped) callWaitMessage() lead.WorkflowID {
	s.t.Helper()
	nodes, edges := callWaitMessage()
	wf, err := s.CreateWorkflow(background, &workflow.Definition{Name: "stepped", Entry: "call", Nodes: nodes, Edges: edges})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.ActivateWorkflow(background, wf.ID); err != nil {
		s.t.Fatal(err)
	}
	return wf.ID
}

func (s *stepped) enroll(wf lead.WorkflowID, phone string) lead.Lead {
	s.t.Helper()
	l, err := s.Enroll(background, wf, lead.Contact{PhoneNumber: phone})
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// settle lets time pass and everything happen that is due by then.
func (s *stepped) settle(d time.Duration) {
	s.t.Helper()
	s.clock.pass(d)
	if err := s.Settle(); err != nil {
		s.t.Fatal(err)
	}
}

// expect compares a lead's state and path, such as
// "completed: call=completed wait=completed".
func (s *stepped) expect(l lead.Lead, want string) {
	s.t.Helper()
	got, err := s.Lead(background, l.WorkflowID, l.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	steps, err := s.History(background, l.WorkflowID, l.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	words := []string{got.State.String() + ":"}
	for _, step := range steps {
		word := step.Outcome
		if word == "" {
			word = step.Status.String()
		}
		words = append(words, step.NodeID+"="+word)
	}
	if text := strings.Join(words, " "); text != want {
		s.t.Errorf("%s, want %s", text, want)
	}
}

// busyStore calls the engine from another goroutine while a commit runs.
type busyStore struct {
	store.Store
	meanwhile func()
}

func (s *busyStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		done := make(chan struct{})
		go func() { defer close(done); f() }()
		<-done
	}
	return s.Store.Commit(ctx, b)
}

func succeedAtOnce(context.Context, engine.Attempt) (engine.Result, error) {
	return engine.Result{}, nil
}
