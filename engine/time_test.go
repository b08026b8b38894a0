package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func TestWhatCameDueWhileDownFiresInDueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.config.Workers = 1 // one after the other, so that the order shows
		w.crash()
		var waits []time.Duration
		for _, h := range []int{7, 3, 9, 1, 5, 8, 2, 6, 4} {
			wait := time.Duration(h) * time.Hour
			waits = append(waits, wait)
			wf := w.activate([]workflow.Node{workflow.Wait("wait", wait), workflow.MessageNode("text", nil)}, workflow.To("wait", "text"))
			w.enroll(wf, phone)
		}
		w.close()
		time.Sleep(24 * time.Hour)
		w.open()
		synctest.Wait()
		slices.Sort(waits)
		var got []time.Duration
		for _, a := range w.seen() {
			steps, err := w.eng.History(background, a.WorkflowID, a.LeadID)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, steps[0].ScheduledAt.Sub(steps[0].EnteredAt))
		}
		if !slices.Equal(got, waits) {
			t.Errorf("due in the order %v, want %v", got, waits)
		}
	})
}

func TestNothingIsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		w.pass(48*time.Hour - time.Millisecond)
		w.expectSteps(l, "call=completed wait=waiting")
		w.pass(time.Millisecond)
		w.expectState(l, lead.Completed)
	})
}

func TestAWaitUntilATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.activate([]workflow.Node{
			workflow.WaitUntil("wait", `date(metadata.appointment) - duration("24h")`), workflow.MessageNode("remind", nil),
		}, workflow.To("wait", "remind"))
		appointment := time.Now().Add(100 * time.Hour).UTC().Truncate(time.Second)
		l, err := w.eng.Enroll(background, wf, lead.Contact{
			PhoneNumber: phone, Metadata: map[string]any{"appointment": appointment.Format(time.RFC3339)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := appointment.Add(-24 * time.Hour); !l.NextActionAt.Equal(want) {
			t.Errorf("due at %s, want %s", l.NextActionAt, want)
		}
		nobody := w.enroll(wf, "+14155552672") // nobody knows when
		synctest.Wait()
		if got := w.lead(nobody); got.State != lead.Completed || got.Outcome != lead.OutcomeNoRoute {
			t.Errorf("a wait until no time: %s, %s", got.State, got.Outcome)
		}
		if got := w.history(nobody)[0]; got.Status != lead.StepFailed || got.Error == "" {
			t.Errorf("its history says %+v", got)
		}
		w.pass(77 * time.Hour)
		w.expectSteps(l, "wait=completed remind=success")
	})
}

func TestACircleThatNeverWaitsIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.activate([]workflow.Node{
			workflow.WaitUntil("past", `now() - duration("1h")`), workflow.If("if", `metadata.never == true`), workflow.End("end", workflow.Converted),
		}, workflow.To("past", "if"), workflow.On("if", "false", "past"), workflow.On("if", "true", "end")), phone)
		w.pass(time.Hour)
		if n := len(w.history(l)); n > 1000 {
			t.Errorf("%d steps in an hour", n)
		}
		w.remove(l)
		w.expectState(l, lead.Removed)
	})
}

// jumpingClock is the real clock (virtual, in a bubble) with an offset.
type jumpingClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *jumpingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *jumpingClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(min(d, 10*time.Second), f).Stop // as the engine sleeps on the real clock
}

func (c *jumpingClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func TestWallClockJumpsAreSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &jumpingClock{}
		w := newWorld(t, liveCall)
		w.config.Clock = clock
		w.crash()
		wf := w.callWaitMessage()
		l, inCall := w.enroll(wf, phone), w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.complete(l, "completed")
		clock.jump(-time.Hour)
		w.pass(48*time.Hour + time.Minute)
		w.expectSteps(l, "call=completed wait=waiting") // an hour is missing
		w.expectState(inCall, lead.Completed)
		clock.jump(time.Hour)
		w.pass(11 * time.Second)
		w.expectState(l, lead.Completed)
		next := w.enroll(wf, "+14155552673")
		synctest.Wait()
		w.complete(next, "completed")
		clock.jump(72 * time.Hour)
		w.pass(11 * time.Second)
		w.expectState(next, lead.Completed)
	})
}

func TestLifeOfTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		l := w.enroll(wf, phone)
		synctest.Wait()
		if err := w.eng.Start(background); err != nil {
			t.Errorf("starting twice: %v", err)
		}
		for range 2 {
			if err := w.eng.Shutdown(background); err != nil {
				t.Errorf("shutting down: %v", err)
			}
		}
		if err := w.eng.Start(background); err == nil {
			t.Error("an engine that was shut down starts again")
		}
		if _, err := w.eng.Remove(background, wf, l.ID); !errors.Is(err, engine.ErrNotRunning) {
			t.Errorf("Remove after Shutdown: %v", err)
		}
		if got, err := w.eng.Lead(background, wf, l.ID); err != nil || got.ID != l.ID {
			t.Errorf("reading after Shutdown: %v", err)
		}
		fresh, err := engine.New(w.store, w.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.Enroll(background, wf, lead.Contact{PhoneNumber: "+14155552672"}); !errors.Is(err, engine.ErrNotRunning) {
			t.Errorf("Enroll before Start: %v", err)
		}
		if err := fresh.Shutdown(background); err != nil {
			t.Errorf("shutting down an engine that was never started: %v", err)
		}
	})
}

func TestHealthIsThatOfTheStore(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.eng.Health(background); err != nil {
		t.Errorf("a healthy engine: %v", err)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.eng.Health(background); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("an engine whose store is closed: %v", err)
	}
	if err := w.eng.Shutdown(background); err != nil {
		t.Fatal(err)
	}
	if err := w.eng.Health(background); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("an engine that was shut down: %v", err)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	w := newWorld(t, nil)
	_, err := engine.New(w.store, engine.Config{
		Handlers:    map[string]engine.Handler{"time": engine.HandlerFunc(liveCall), "message": nil},
		Hooks:       []engine.Hook{{}},
		HookTimeout: -1, Workers: -1, Region: "UK",
	})
	var invalid *lead.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Faults) != 7 {
		t.Errorf("New = %v", err)
	}
	_, err = engine.New(nil, engine.Config{Workers: -1})
	if err == nil || !strings.Contains(err.Error(), "store") || !strings.Contains(err.Error(), "Workers") {
		t.Errorf("an engine without a store: %v", err)
	}
}

func TestConfigTakesNoRegionButACountrysCode(t *testing.T) {
	w := newWorld(t, nil)
	for region, says := range map[string]string{
		"UK": `did you mean "GB"`, "us": `did you mean "US"`, "Germany": "must be one of AC, AD", "ZZ": "Region",
	} {
		_, err := engine.New(w.store, engine.Config{Region: region})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), fmt.Sprintf("lead: invalid engine.Config: Region: %q", region)) {
			t.Errorf("Region %q: %v", region, err)
		}
	}
	if _, err := engine.New(w.store, engine.Config{Region: "GB"}); err != nil {
		t.Error(err)
	}
}

func TestACallerWhoseContextIsOverChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.callWaitMessage(), phone)
		over, cancel := context.WithCancel(background)
		cancel()
		if _, err := w.eng.Remove(over, l.WorkflowID, l.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("Remove = %v", err)
		}
		synctest.Wait()
		w.expectState(l, lead.Enrolled)
	})
}
