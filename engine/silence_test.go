package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// within returns how many opt-outs took at most d.
func within(t *testing.T, s engine.Silence, d time.Duration) int64 {
	t.Helper()
	for i, bound := range engine.SilenceBounds() {
		if bound == d {
			return s.Within[i]
		}
	}
	t.Fatalf("%s is no bound", d)
	return 0
}

func TestFromAnOptOutToSilenceIsMeasuredByPerson(t *testing.T) {
	r := newRules(t)
	r.answer = func(a engine.Attempt) (engine.Result, error) { return liveCall(background, a) }
	one, other := r.activate(callThenText), r.activate(callThenText)
	first, second := r.enroll(one, phone), r.enroll(other, phone)
	r.settle(0)
	if got := r.Stats().Silence; got != (engine.Silence{}) {
		t.Fatalf("nobody has opted out, and it is %+v", got)
	}
	if _, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // which are no further opt-outs
		if _, err := r.RemoveContact(background, phone); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Remove(background, one, first.ID); err != nil {
			t.Fatal(err)
		}
	}
	for i, l := range []lead.Lead{first, second} {
		r.settle(90 * time.Second)
		if got := r.Stats().Silence; got.Count != 0 || got.Pending != 1 {
			t.Errorf("with %d calls that go on: %+v", 2-i, got)
		}
		steps, err := r.History(background, l.WorkflowID, l.ID)
		if err == nil {
			_, err = r.CompleteStep(background, steps[0].ID, engine.Callback{Outcome: "completed"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := r.Stats().Silence
	if got.Count != 1 || got.Pending != 0 || got.Sum != 3*time.Minute || got.Longest != 3*time.Minute ||
		within(t, got, 2*time.Minute) != 0 || within(t, got, 5*time.Minute) != 1 {
		t.Errorf("both calls are over: %+v", got)
	}
}

func TestAnOptOutWithNothingInFlightIsSilentAtOnce(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	l := r.enroll(wf, phone)
	r.enroll(wf, "+14155552672")
	r.enroll(wf, "+14155552673")
	r.settle(0)
	if _, err := r.Remove(background, wf, l.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveContact(background, "+14155552672"); err != nil {
		t.Fatal(err)
	}
	// These remove nobody.
	for _, s := range []engine.Suppress{{PhoneNumber: phone}, {PhoneNumber: "+14155552673", Channel: "message"}} {
		if _, err := r.Suppress(background, s); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.Stats().Silence; got.Count != 2 || got.Pending != 0 || got.Sum != 0 || within(t, got, 0) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestAnOptOutThatWasPendingAtACrashIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		w.remove(l)
		w.pass(10 * time.Second)
		w.crash()
		w.pass(10 * time.Second)
		w.complete(l, "completed")
		if got := w.eng.Stats().Silence; got.Count != 1 || got.Longest.Round(time.Second) != 20*time.Second {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
	})
}
