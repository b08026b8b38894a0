package enginetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// witness stands in for a *testing.T, to see what assertions say.
type witness struct {
	errors []string
	fatal  bool
}

func (w *witness) Helper()             {}
func (w *witness) Logf(string, ...any) {}
func (w *witness) Errorf(format string, args ...any) {
	w.errors = append(w.errors, fmt.Sprintf(format, args...))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	w.fatal = true
	panic(w)
}

// said returns what f has a test say.
func said(f func(t enginetest.TB)) string {
	w := &witness{}
	func() {
		defer func() {
			if p := recover(); p != nil && p != w {
				panic(p)
			}
		}()
		f(w)
	}()
	return strings.Join(w.errors, "\n")
}

func TestAFailedAssertionTellsTheStory(t *testing.T) {
	w := enginetest.New(t, enginetest.Config{Seed: 7, Script: enginetest.Script{
		"call": enginetest.Times(1, enginetest.Fail("line busy"),
			enginetest.Outcome("completed").After(3*time.Minute).Schedule(engine.Message{After: 5 * day})),
	}})
	wf := w.Activate(t, followUp())
	id := w.Enroll(t, wf, ben)
	w.Run(t, 31*time.Minute)
	w.Remove(t, id, engine.Reason("said stop"), engine.Actor("agent 7"))
	w.Run(t, 30*day)
	got := said(func(t enginetest.TB) { w.LeadIs(t, id, lead.Completed) })
	want := fmt.Sprintf(`lead is removed, want completed
lead %s (+14155552672, crm-2) is removed at call:
	2030-01-07 09:00:00.000  enrolled
	2030-01-07 09:00:00.000  call attempt 1 begun
	2030-01-07 09:00:00.000  call attempt 1 failed: line busy
	2030-01-07 09:30:00.000  call attempt 2 begun
	2030-01-07 09:31:00.000  REMOVAL asked for by agent 7: said stop
	2030-01-07 09:33:00.000  call came to completed
	2030-01-07 09:33:00.000  call+message CANCELLED, was due 2030-01-12 09:30:00.000
	2030-01-07 09:33:00.000  wait CANCELLED, was due 2030-01-09 09:33:00.000
	2030-01-07 09:33:00.000  removed
the world: seed 7, began 2030-01-07 09:00:00.000, it is 2030-02-06 09:31:00.000, nothing is due
	workflow "Follow up" (%s) is active, 1 removed`, id, wf)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	later := w.Enroll(t, wf, ada)
	w.Run(t, 10*time.Minute)
	got = said(func(t enginetest.TB) { w.Path(t, later, "call", "wait:over", "message") })
	for _, want := range []string{
		"lead went call\nwant      call → wait:over → message\nlead wlead_", "is in_step at call:\n", "call attempt 2 is due",
		"(next)", ", more is due 2030-02-06 10:01:00.000", "is active, 1 in_step, 1 removed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestAssertionsFailWhenTheyShould(t *testing.T) {
	w, wf := world(t, enginetest.Script{
		"call": enginetest.ByLead(map[string]enginetest.Answer{ben.ExternalID: enginetest.Fail("busy")}, enginetest.Outcome("")),
	})
	done, busy := w.Enroll(t, wf, ada), w.Enroll(t, wf, ben)
	w.Run(t, 0)
	waiting := w.Enroll(t, wf, cyd)
	w.Run(t, 2*day)
	w.Run(t, 0)
	late := w.Enroll(t, wf, lead.Contact{PhoneNumber: "+14155552674"})
	_ = waiting
	none := lead.IDFrom(w.Now(), 99, 0)
	for want, assertion := range map[string]func(t enginetest.TB){
		"lead is completed, want removed":                                                  func(t enginetest.TB) { w.LeadIs(t, done, lead.Removed) },
		"lead is completed with outcome converted, want it completed with outcome dropped": func(t enginetest.TB) { w.OutcomeIs(t, done, "dropped") },
		"lead is in_step, want it completed with outcome converted":                        func(t enginetest.TB) { w.OutcomeIs(t, late, "converted") },
		"lead is completed at won, want it at wait":                                        func(t enginetest.TB) { w.At(t, done, "wait") },
		"want      call → wait → message\n":                                                func(t enginetest.TB) { w.Path(t, done, "call", "wait", "message") },
		"want      call:dnp → wait → message → won":                                        func(t enginetest.TB) { w.Path(t, done, "call:dnp", "wait", "message", "won") },
		"want      call → wait → message → won → won":                                      func(t enginetest.TB) { w.Path(t, done, "call", "wait", "message", "won", "won") },
		"cancelled: nothing; want: message\n":                                              func(t enginetest.TB) { w.Cancelled(t, done, "message") },
		"3 attempts at call, want 1\n":                                                     func(t enginetest.TB) { w.Attempts(t, busy, "call", 1) },
		"workflow \"Follow up\" has no node \"cal\"":                                       func(t enginetest.TB) { w.Attempts(t, busy, "cal", 0) },
		"lead: no lead " + none.String():                                                   func(t enginetest.TB) { w.LeadIs(t, none, lead.Removed) },
		"no step of lead " + done.String() + " is in flight":                               func(t enginetest.TB) { w.Complete(t, done, engine.Callback{}) },
		"is already live":        func(t enginetest.TB) { w.Enroll(t, wf, lead.Contact{PhoneNumber: "+14155552674"}) },
		"lead: invalid workflow": func(t enginetest.TB) { w.Activate(t, nurtureWithout("read")) },
		"lead: lead is final (":  func(t enginetest.TB) { w.Remove(t, done) },
	} {
		if got := said(assertion); !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if got := said(func(t enginetest.TB) { w.PromisesHold(t) }); got != "" {
		t.Errorf("all is well, and it says %s", got)
	}
}

// Each promise is broken by a store that lies, and the assertion notices.
func TestBrokenPromisesAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken brokenStore
		crash  bool // so that the engine must believe its store
		assert func(w *enginetest.World, t enginetest.TB)
		want   string
	}{
		{"removal is forgotten", brokenStore{change: func(rec *store.Record) {
			if rec.State == lead.PendingRemoval {
				rec.State = lead.InStep
			}
		}}, true, (*enginetest.World).NoStepAfterRemoval, "the lead came to wait after its removal"},
		{"somebody who is out is called", brokenStore{look: func(e *store.Lead) {
			e.State = lead.Removed
		}}, false, (*enginetest.World).NoStepAfterRemoval, "the handler of call is called for lead"},
		{"a timer is left behind", brokenStore{change: func(rec *store.Record) {
			if rec.State == lead.Removed {
				rec.Phase, rec.Due = store.PhaseWaiting, 2_000_000_000_000
			}
		}}, false, (*enginetest.World).NothingLeftBehind, "cannot be read: state removed cannot be in phase 1"},
		{"a message is left behind", brokenStore{change: func(rec *store.Record) {
			if rec.State == lead.Removed {
				rec.EngineState = []byte(`{"messages": [{"visit": 9, "node": 0, "entered": 1, "due": 2000000000000}]}`)
			}
		}}, false, (*enginetest.World).NothingLeftBehind, "the lead is removed, and its step call+message is waiting"},
		{"a lead is never due", brokenStore{change: func(rec *store.Record) {
			if rec.Phase == store.PhaseWaiting {
				rec.Due = 0
			}
		}}, false, (*enginetest.World).NobodyStuck, "the lead is enrolled at wait, and never due"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := enginetest.New(t, enginetest.Config{Store: c.broken.over(t), Script: enginetest.Script{
				"call": enginetest.Outcome("completed").After(time.Minute),
			}})
			wf := w.Activate(t, followUp())
			ids := w.EnrollMany(t, wf, 7)
			w.Run(t, 0)
			c.broken.look = nil
			for _, id := range ids[1:] {
				w.Remove(t, id)
			}
			if c.crash {
				if err := w.Crash(); err != nil {
					t.Fatal(err)
				}
			}
			w.Run(t, 3*time.Hour)
			got := said(func(t enginetest.TB) { c.assert(w, t) })
			if !strings.Contains(got, c.want) {
				t.Errorf("no %q in %s", c.want, got)
			}
		})
	}
}

// A removal that a store forgets, of somebody whose call had not begun.
func TestAStartAfterRemovalIsNoticed(t *testing.T) {
	broken := brokenStore{change: func(rec *store.Record) {
		if rec.State == lead.Removed {
			rec.State, rec.Phase, rec.Wake, rec.Due = lead.Enrolled, store.PhaseWaiting, 1, 1
		}
	}}
	w := enginetest.New(t, enginetest.Config{Store: broken.over(t)})
	wf := w.Activate(t, followUp())
	if _, err := w.Engine().PauseWorkflow(t.Context(), wf); err != nil {
		t.Fatal(err)
	}
	id := w.Enroll(t, wf, ada)
	w.Run(t, time.Minute)
	w.Remove(t, id)
	w.Run(t, time.Minute)
	if got := said(w.NoStepAfterRemoval); got != "" {
		t.Errorf("nothing has started, and it says %s", got)
	}
	if _, err := w.Engine().ResumeWorkflow(t.Context(), wf); err != nil {
		t.Fatal(err)
	}
	w.Run(t, 0)
	if got := said(w.NoStepAfterRemoval); !strings.Contains(got, "call was started after the lead's removal") {
		t.Errorf("%s", got)
	}
}
