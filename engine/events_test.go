package engine_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// heard keeps what a listener was told, in words.
type heard struct {
	mu     sync.Mutex
	events []engine.Event
}

func (h *heard) hear(e engine.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// of returns the events of a lead in words.
func (h *heard) of(id lead.ID) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var words []string
	for _, e := range h.events {
		if e.Lead.ID != id {
			continue
		}
		word := string(e.Type)
		if e.Step != nil {
			word += "(" + e.Step.NodeID + "=" + e.Step.Outcome + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestEventsTellALeadsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var h heard
		defer w.eng.Listen(h.hear)()
		wf := w.callWaitMessage()
		done, out := w.enroll(wf, "+14155552671"), w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.remove(out, engine.Reason("stop"))
		w.pass(72 * time.Hour)
		const begin = "lead.enrolled step.completed(call=completed)"
		if got, want := h.of(done.ID), begin+" step.completed(wait=) step.completed(text=success) step.completed(done=converted) lead.completed"; got != want {
			t.Errorf("heard\n\t%s\nwant\n\t%s", got, want)
		}
		if got, want := h.of(out.ID), begin+" lead.removal_requested lead.removed"; got != want {
			t.Errorf("heard\n\t%s\nwant\n\t%s", got, want)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		last := h.events[0]
		for _, e := range h.events {
			if e.Lead.ID == out.ID {
				last = e
			}
			if e.At.IsZero() || e.Lead.PhoneNumber == "" || e.Lead.WorkflowID != wf {
				t.Errorf("%s lacks a time or the lead: %+v", e.Type, e)
			}
		}
		if last.Lead.State != lead.Removed || last.Lead.Removal.Reason != "stop" || !last.At.Equal(last.Lead.Removal.RemovedAt) {
			t.Errorf("the last event is %+v", last)
		}
	})
}

// A removal asked for during a call is told when asked for, and when it ends.
func TestEventsOfAPendingRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		var h heard
		defer w.eng.Listen(h.hear)()
		l := w.enroll(w.callWaitMessage(), "+14155552671")
		synctest.Wait()
		w.remove(l)
		w.remove(l) // which is no request of its own
		synctest.Wait()
		if got, want := h.of(l.ID), "lead.enrolled lead.removal_requested"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		w.complete(l, "completed")
		synctest.Wait()
		if got, want := h.of(l.ID), "lead.enrolled lead.removal_requested step.completed(call=completed) lead.removed"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

// Leads that were not in memory have their contact in events all the same.
func TestEventsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.callWaitMessage(), "+14155552671")
		synctest.Wait()
		w.crash()
		var h heard
		defer w.eng.Listen(h.hear)()
		w.pass(72 * time.Hour)
		if got, want := h.of(l.ID), "step.completed(wait=) step.completed(text=success) step.completed(done=converted) lead.completed"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

func TestASlowListenerHoldsNothingUpAndIsToldWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		const more = 1500 // than one batch
		const leads = engine.MaxBehind + more
		var h heard
		open := make(chan struct{})
		defer w.eng.Listen(func(e engine.Event) {
			<-open
			h.hear(e)
		})()
		var quick heard
		defer w.eng.Listen(quick.hear)()
		nodes, edges := callOnce()
		wf := w.draft(nodes, edges...)
		w.enrollMany(wf, 0, leads) // of a draft, so nothing else happens
		synctest.Wait()
		if n := len(quick.events); n != leads {
			t.Errorf("the quick listener heard %d events, want %d", n, leads)
		}
		close(open)
		synctest.Wait()
		after := w.enroll(wf, "+14155559999")
		synctest.Wait()
		told, missed := 0, 0
		for i, e := range h.events {
			switch {
			case e.Type == engine.EventsMissed && i != len(h.events)-2:
				t.Errorf("event %d of %d tells of a gap", i, len(h.events))
			case e.Type == engine.EventsMissed:
				missed = e.Missed
			default:
				told++
			}
		}
		if told+missed != leads+1 || missed == 0 || missed > more || h.events[len(h.events)-1].Lead.ID != after.ID {
			t.Errorf("%d told, %d missed, of %d", told, missed, leads+1)
		}
	})
}

func TestAListenerThatPanicsHearsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var h heard
		defer w.eng.Listen(func(e engine.Event) {
			h.hear(e)
			panic("no")
		})()
		l := w.enroll(w.callOnce(), "+14155552671")
		synctest.Wait()
		if got, want := h.of(l.ID), "lead.enrolled step.completed(call=completed) step.completed(done=converted) lead.completed"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

func TestAListenerThatStoppedHearsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var h, other heard
		stop := w.eng.Listen(h.hear)
		defer w.eng.Listen(other.hear)()
		wf := w.callOnce()
		first := w.enroll(wf, "+14155552671")
		synctest.Wait()
		stop()
		second := w.enroll(wf, "+14155552672")
		synctest.Wait()
		if h.of(first.ID) == "" || h.of(second.ID) != "" || other.of(second.ID) == "" {
			t.Errorf("heard of the first %q, of the second %q", h.of(first.ID), h.of(second.ID))
		}
	})
}

// Shutdown lets listeners hear all, as long as its context allows.
func TestShutdownWaitsForListeners(t *testing.T) {
	for _, patient := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			var h heard
			w.eng.Listen(func(e engine.Event) {
				time.Sleep(time.Minute)
				h.hear(e)
			})
			l := w.enroll(w.callOnce(), "+14155552671")
			ctx, cancel := context.WithTimeout(background, 150*time.Second)
			if patient {
				ctx = background
			}
			defer cancel()
			err := w.eng.Shutdown(ctx)
			got := h.of(l.ID)
			switch all := "lead.enrolled step.completed(call=completed) step.completed(done=converted) lead.completed"; {
			case patient && (err != nil || got != all):
				t.Errorf("%v, heard %q", err, got)
			case !patient && (!errors.Is(err, context.DeadlineExceeded) || got == all || got == ""):
				t.Errorf("%v, heard %q", err, got)
			}
			time.Sleep(time.Hour)
		})
	}
}

// In a stepped engine events come by Settle, in the same order each time.
func TestEventsOfASteppedEngine(t *testing.T) {
	s := newStepped(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil }, nil)
	var h heard
	s.Listen(func(e engine.Event) {
		h.hear(e)
		if e.Type == engine.EventStepCompleted && e.Step.NodeID == "call" {
			if _, err := s.Remove(background, e.Lead.WorkflowID, e.Lead.ID); err != nil {
				t.Error(err)
			}
		}
	})
	l := s.enroll(s.callWaitMessage(), "+14155552671")
	if got := h.of(l.ID); got != "" {
		t.Errorf("heard %q before Settle", got)
	}
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	if got, want := h.of(l.ID), "lead.enrolled step.completed(call=completed) lead.removal_requested lead.removed"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	counts := map[engine.EventType]int{}
	for _, e := range h.events {
		counts[e.Type]++
	}
	if want := (map[engine.EventType]int{"lead.enrolled": 1, "step.completed": 1, "lead.removal_requested": 1, "lead.removed": 1}); !maps.Equal(counts, want) {
		t.Errorf("heard %v, want %v", counts, want)
	}
}
