package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
	"github.com/leadflow-go/leadflow/store/memory"
)

func TestASteppedEngineDoesNothingUntilItIsSettled(t *testing.T) {
	var called []string
	s := newStepped(t, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		called = append(called, a.Node.ID)
		return engine.Result{}, nil
	}, nil)
	wf := s.callWaitMessage()
	l := s.enroll(wf, phone)
	s.expect(l, "in_step: call=in_progress")
	if at, ok := s.Next(); called != nil || !ok || !at.Equal(s.clock.now) {
		t.Errorf("called %q, next at %s, %v; want none, and next now", called, at, ok)
	}
	s.settle(0)
	s.expect(l, "enrolled: call=completed wait=waiting")
	s.settle(time.Hour)
	s.expect(l, "enrolled: call=completed wait=waiting")
	over := s.clock.now.Add(47 * time.Hour)
	for at, ok := s.Next(); ok; at, ok = s.Next() {
		if !at.After(s.clock.now) || at.After(over) {
			t.Fatalf("next at %s, now is %s and the wait is over at %s", at, s.clock.now, over)
		}
		s.settle(at.Sub(s.clock.now))
	}
	if !s.clock.now.Equal(over) {
		t.Errorf("it is %s, and the wait was over at %s", s.clock.now, over)
	}
	s.expect(l, "completed: call=completed wait=completed text=success done=converted")
	if _, ok := s.Next(); ok || !slices.Equal(called, []string{"call", "text"}) {
		t.Errorf("called %q, and something is due: %v", called, ok)
	}
	if err := s.Shutdown(background); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("Settle after Shutdown: %v", err)
	}
	if err := s.Shutdown(background); err != nil {
		t.Errorf("Shutdown again: %v", err)
	}
}

func TestASteppedEngineHasNoGoroutine(t *testing.T) {
	before, most := 0, 0
	look := func() { most = max(most, runtime.NumGoroutine()) }
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) {
		look()
		return engine.Result{}, nil
	}, nil, engine.Hook{Name: "look", Run: func(context.Context, engine.HookEvent) error { look(); return nil }})
	wf := s.callWaitMessage()
	before = runtime.NumGoroutine()
	for i := range 100 {
		s.enroll(wf, fmt.Sprintf("+1415555%04d", 2000+i))
	}
	s.settle(0)
	s.settle(49 * time.Hour)
	if s.Stats().LeadsCompleted != 100 || most > before {
		t.Errorf("%d goroutines, %d at the start; %+v", most, before, s.Stats())
	}
}

// What a handler and a hook ask of the engine is decided before they return,
// and nobody else's handler is called inside of theirs.
func TestASteppedEnginesHandlersAndHooksMayCallIt(t *testing.T) {
	var s *stepped
	var wf lead.WorkflowID
	var second lead.Lead
	depth := 0
	s = newStepped(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		if depth++; depth > 1 {
			t.Error("a handler is called inside of another")
		}
		defer func() { depth-- }()
		if a.Contact.PhoneNumber == phone && a.Node.ID == "call" {
			second = s.enroll(wf, "+14155552672")
			s.expect(second, "in_step: call=in_progress")
			if err := s.Settle(); !errors.Is(err, engine.ErrConcurrentUse) {
				t.Errorf("Settle in a handler: %v", err)
			}
		}
		return engine.Result{}, nil
	}, nil, engine.Hook{Name: "opt-out", Run: func(ctx context.Context, c engine.HookEvent) error {
		if c.Lead.PhoneNumber == phone {
			r, err := s.Remove(ctx, wf, c.Lead.ID)
			if err != nil || r.State != lead.PendingRemoval {
				t.Errorf("%+v, %v", r, err)
			}
		}
		return nil
	}})
	wf = s.callWaitMessage()
	first := s.enroll(wf, phone)
	s.settle(0)
	s.expect(first, "removed: call=completed wait=cancelled")
	s.expect(second, "enrolled: call=completed wait=waiting")
}

func TestASteppedEngineWaitsNoLongerThanItsClockStands(t *testing.T) {
	s := newStepped(t, liveCall, nil)
	wf := s.callWaitMessage()
	l := s.enroll(wf, phone)
	s.settle(0)
	removal, err := s.Remove(background, wf, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := removal.Wait(background); !errors.Is(err, engine.ErrStalled) {
		t.Errorf("waiting for a live call: %v", err)
	}
	s.clock.pass(2 * time.Hour) // its deadline
	if gone, err := removal.Wait(background); err != nil || gone.State != lead.Removed {
		t.Errorf("%s, %v", gone.State, err)
	}
	s.enroll(wf, phone)
	if cancelled, err := s.CancelWorkflow(background, wf); err != nil || cancelled.Counts[lead.PendingRemoval] != 1 {
		t.Errorf("%+v, %v", cancelled, err)
	}
}

func TestASteppedEnginesHandlerMayTakeTime(t *testing.T) {
	var s *stepped
	takes := time.Minute
	s = newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) {
		s.Takes(takes)
		return engine.Result{}, nil
	}, nil, engine.Hook{Name: "slow", Run: func(context.Context, engine.HookEvent) error { s.Takes(takes); return nil }})
	wf := s.callWaitMessage()
	l := s.enroll(wf, phone)
	s.settle(0)
	s.settle(59 * time.Second)
	s.expect(l, "in_step: call=in_progress")
	if running := s.Stats().Running; running != 1 {
		t.Errorf("%d handlers run", running)
	}
	s.settle(time.Second)
	s.settle(9 * time.Second) // the hook has 10 s and would take a minute
	s.expect(l, "in_step: call=completed")
	s.settle(time.Second)
	s.expect(l, "enrolled: call=completed wait=waiting")
	steps, err := s.History(background, wf, l.ID)
	if err != nil || fmt.Sprint(steps[0].HookErrors) != "[slow: no answer within 10s]" {
		t.Errorf("hooks failed with %q, %v", steps[0].HookErrors, err)
	}

	takes = 2 * time.Hour
	late := s.enroll(wf, "+14155552672")
	s.settle(0)
	s.settle(time.Hour)
	if err := s.Shutdown(background); !errors.Is(err, engine.ErrStalled) {
		t.Errorf("Shutdown while a hook runs: %v", err)
	}
	s.expect(late, "in_step: call=failed")
}

func TestASteppedEngineRefusesTwoGoroutinesAtOnce(t *testing.T) {
	busy := &busyStore{}
	s := newStepped(t, liveCall, func(st store.Store) store.Store { busy.Store = st; return busy })
	wf := s.callWaitMessage()
	for name, call := range map[string]func() error{
		"Settle": s.Settle,
		"Enroll": func() error {
			_, err := s.Enroll(background, wf, lead.Contact{PhoneNumber: "+14155552672"})
			return err
		},
	} {
		var err error
		busy.meanwhile = func() { err = call() }
		if _, failed := s.PauseWorkflow(background, wf); failed != nil {
			t.Fatal(failed)
		}
		if !errors.Is(err, engine.ErrConcurrentUse) {
			t.Errorf("%s during a commit: %v", name, err)
		}
		if _, err := s.ResumeWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
	}
	busy.meanwhile = func() {
		if err := s.Settle(); !errors.Is(err, engine.ErrConcurrentUse) {
			t.Errorf("Settle during Settle: %v", err)
		}
	}
	s.settle(time.Second) // the enrollment that was refused is in the inbox, and started
	if busy.meanwhile != nil {
		t.Error("there was no commit")
	}
}

func TestASteppedEnginesStoreMayFail(t *testing.T) {
	var failing *faulty.Store
	s := newStepped(t, succeedAtOnce, func(st store.Store) store.Store { failing = faulty.New(st); return failing })
	wf := s.callWaitMessage()
	l := s.enroll(wf, phone)
	failing.Inject(noCommits)
	s.settle(0)
	s.expect(l, "in_step: call=in_progress")
	at, ok := s.Next()
	if wait := at.Sub(s.clock.now); !ok || wait <= 0 || wait > time.Second {
		t.Errorf("tries again after %s, %v", wait, ok)
	}
	if _, err := s.Remove(background, wf, l.ID); !errors.Is(err, noCommits.Err) {
		t.Errorf("Remove: %v", err)
	}
	failing.Clear()
	s.settle(time.Second)
	s.expect(l, "enrolled: call=completed wait=waiting")
}

// A lead whose hooks have run has no deadline any more.
func TestASteppedEngineTriesAgainWhatAHookCameTo(t *testing.T) {
	var failing *faulty.Store
	s := newStepped(t, succeedAtOnce, func(st store.Store) store.Store { failing = faulty.New(st); return failing },
		engine.Hook{Name: "breaks the disk", Run: func(context.Context, engine.HookEvent) error {
			failing.Inject(noCommits)
			return nil
		}})
	l := s.enroll(s.callWaitMessage(), phone)
	s.settle(0)
	s.expect(l, "in_step: call=completed")
	at, ok := s.Next()
	if !ok {
		t.Fatal("nothing is due, and the lead is stuck")
	}
	failing.Clear()
	s.settle(at.Sub(s.clock.now))
	s.expect(l, "enrolled: call=completed wait=waiting")
}

// noCommits fails every commit from then on.
var noCommits = faulty.Fault{Method: faulty.Commit, Times: faulty.Always, Err: errors.New("disk full")}

func TestASteppedEnginesIdsFollowFromItsSeed(t *testing.T) {
	id := func(seed uint64) (lead.WorkflowID, lead.ID) {
		s := newSeeded(t, seed, liveCall, nil)
		wf := s.callWaitMessage()
		return wf, s.enroll(wf, phone).ID
	}
	wf, l := id(1)
	if againWF, again := id(1); againWF != wf || again != l {
		t.Errorf("%s %s, and then %s %s", wf, l, againWF, again)
	}
	if otherWF, other := id(2); otherWF == wf || other == l {
		t.Errorf("%s %s, and with another seed %s %s", wf, l, otherWF, other)
	}
	if l.Seq() != 1 {
		t.Errorf("lead %s has number %d", l, l.Seq())
	}
}

// With the real clock nothing would wake a stepped engine.
func TestASteppedEngineNeedsAClock(t *testing.T) {
	_, err := engine.NewStepped(memory.New(), engine.Config{Workers: -1}, 1)
	if err == nil || !strings.Contains(err.Error(), "Clock: is nil") || !strings.Contains(err.Error(), "Workers") {
		t.Errorf("%v", err)
	}
	if s, err := engine.NewStepped(memory.New(), engine.Config{}, 1); s != nil || err == nil {
		t.Errorf("%v, %v", s, err)
	}
}
