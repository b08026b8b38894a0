package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
)

// rules is a stepped engine whose handlers do what the test says, and that records the
// nodes of the attempts it began.
type rules struct {
	*stepped
	called []string
	answer func(a engine.Attempt) (engine.Result, error) // nil: the default outcome
}

func newRules(t *testing.T) *rules {
	t.Helper()
	return newRulesOn(t, memory.New())
}

func newRulesOn(t *testing.T, st store.Store) *rules {
	t.Helper()
	r := &rules{stepped: &stepped{t: t, clock: &handClock{now: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}}} // a Monday
	handle := engine.HandlerFunc(func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		r.called = append(r.called, a.Node.ID)
		if r.answer != nil {
			return r.answer(a)
		}
		return engine.Result{}, nil
	})
	var err error
	r.Stepped, err = engine.NewStepped(st, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": handle, "message": handle},
		Clock:    r.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(background); err != nil {
		t.Fatal(err)
	}
	return r
}

// activate makes an active workflow of a definition in JSON.
func (r *rules) activate(definition string) lead.WorkflowID {
	r.t.Helper()
	def, err := workflow.Parse([]byte(definition))
	if err != nil {
		r.t.Fatal(err)
	}
	wf, err := r.CreateWorkflow(background, def)
	if err == nil {
		_, err = r.ActivateWorkflow(background, wf.ID)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return wf.ID
}

func (r *rules) calledAre(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.called, want) {
		r.t.Errorf("called %q, want %q", r.called, want)
	}
	r.called = nil
}

const callThenText = `{"name": "w", "entry": "call", "nodes": [
	{"id": "call", "type": "voice_call", "retry": {"max_attempts": 3, "delay": "1h"}},
	{"id": "wait", "type": "time", "config": {"duration": "48h"}},
	{"id": "text", "type": "message"}, {"id": "won", "type": "converted"}],
	"edges": [{"from": "call", "to": "wait", "label": "default"}, {"from": "wait", "to": "text"},
	{"from": "text", "to": "won", "label": "default"}]}`

func TestSuppressEndsEverythingOfAPersonInOneCommit(t *testing.T) {
	r := newRules(t)
	one, other := r.activate(callThenText), r.activate(callThenText)
	r.answer = func(a engine.Attempt) (engine.Result, error) {
		if a.WorkflowID == other {
			return engine.Result{}, errors.New("busy") // a retry is queued
		}
		return engine.Result{}, nil
	}
	a, b := r.enroll(one, phone), r.enroll(other, phone)
	stranger := r.enroll(one, "+14155552672")
	r.settle(0)
	r.calledAre("call", "call", "call")
	got, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Reason: "said stop", Actor: "kim"})
	if err != nil || !got.New || len(got.Leads) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, l := range got.Leads {
		if l.State != lead.Removed {
			t.Errorf("%+v", l)
		}
	}
	r.expect(a, "removed: call=completed wait=cancelled")
	r.expect(b, "removed: call=failed wait=cancelled")
	r.settle(100 * time.Hour)
	r.calledAre("text")
	r.expect(stranger, "completed: call=completed wait=completed text=success won=converted")

	again, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Reason: "again"})
	if err != nil || again.New || again.ID != got.ID || again.Reason != "said stop" {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if _, err := r.Enroll(background, one, lead.Contact{PhoneNumber: phone}); !errors.Is(err, lead.ErrSuppressed) {
		t.Errorf("enrolling: %v", err)
	}
	lifted, err := r.Lift(background, got.ID, engine.Actor("kim"), engine.Reason("a mistake"))
	if err != nil || lifted.LiftedBy != "kim" || lifted.LiftReason != "a mistake" || lifted.LiftedAt.IsZero() {
		t.Errorf("%+v, %v", lifted, err)
	}
	if _, err := r.Lift(background, got.ID); !errors.Is(err, lead.ErrNotActive) {
		t.Errorf("lifting again: %v", err)
	}
	r.enroll(one, phone)
}

func TestASuppressionHoldsWithinItsScopeOnly(t *testing.T) {
	r := newRules(t)
	one, other := r.activate(callThenText), r.activate(callThenText)
	in := r.clock.now.Add(24 * time.Hour)
	if _, err := r.Enroll(background, other, lead.Contact{PhoneNumber: "+14155552673", ExternalID: "crm-7"}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Suppress(background, engine.Suppress{ExternalID: "crm-7", WorkflowID: one, ExpiresAt: in})
	if err != nil || len(got.Leads) > 0 {
		t.Fatalf("%+v, %v; want no lead of another workflow", got.Leads, err)
	}
	c := lead.Contact{PhoneNumber: phone, ExternalID: "crm-7"}
	if _, err := r.Enroll(background, one, c); !errors.Is(err, lead.ErrSuppressed) {
		t.Errorf("in its workflow: %v", err)
	}
	if _, err := r.Enroll(background, other, c); err != nil {
		t.Errorf("in another: %v", err)
	}
	if _, err := r.Enroll(background, one, lead.Contact{PhoneNumber: phone}); err != nil {
		t.Errorf("the number without the id: %v", err)
	}
	r.settle(24 * time.Hour)
	if _, err := r.Enroll(background, one, lead.Contact{PhoneNumber: "+14155552672", ExternalID: "crm-7"}); err != nil {
		t.Errorf("after it has expired: %v", err)
	}
}

func TestLinkedSuppressesWhatSharesANumberOrAnID(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	for _, c := range []lead.Contact{
		{PhoneNumber: phone, ExternalID: "crm-7"}, {PhoneNumber: "+14155552672", ExternalID: "crm-8"},
	} {
		if _, err := r.Enroll(background, wf, c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Linked: true, Reason: "stop"})
	if err != nil || len(got.Leads) != 1 || len(got.Linked) != 1 || got.Linked[0].ExternalID != "crm-7" || got.Linked[0].Reason != "stop" {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := r.Enroll(background, wf, lead.Contact{PhoneNumber: "+14155552673", ExternalID: "crm-7"}); !errors.Is(err, lead.ErrSuppressed) {
		t.Errorf("another number with the id: %v", err)
	}
}

const channels = `{"name": "w", "entry": "call", "nodes": [
	{"id": "call", "type": "voice_call", "retry": {"max_attempts": 3, "delay": "1h"}},
	{"id": "text", "type": "message"}, {"id": "won", "type": "converted"}],
	"edges": [{"from": "call", "to": "text", "label": "suppressed"}, {"from": "call", "to": "won", "label": "completed"},
	{"from": "text", "to": "won", "label": "success"}]}`

func TestAChannelThatIsSuppressedIsPassedOver(t *testing.T) {
	r := newRules(t)
	wf := r.activate(channels)
	before := r.enroll(wf, phone)
	r.answer = func(a engine.Attempt) (engine.Result, error) {
		if a.Node.ID == "call" {
			return engine.Result{}, errors.New("busy")
		}
		return engine.Result{}, nil
	}
	r.settle(0)
	r.calledAre("call")
	got, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Channel: workflow.VoiceCall})
	if err != nil || len(got.Leads) != 1 || got.Leads[0].State != lead.Enrolled {
		t.Fatalf("%+v, %v", got, err)
	}
	r.settle(0)
	r.calledAre("text")
	r.expect(before, "completed: call=suppressed text=success won=converted")
	after := r.enroll(wf, phone) // enrolling is not refused
	r.settle(0)
	r.calledAre("text")
	r.expect(after, "completed: call=suppressed text=success won=converted")
	if _, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Channel: workflow.Message}); err != nil {
		t.Fatal(err)
	}
	none := r.enroll(wf, phone) // the node text has no way around
	r.settle(0)
	r.calledAre()
	r.expect(none, "removed: call=suppressed text=cancelled")
	if l, _ := r.Lead(background, wf, none.ID); l.Removal == nil || l.Removal.Reason != lead.ReasonSuppressed {
		t.Errorf("%+v", l.Removal)
	}
	if _, err := r.Lift(background, got.ID); err != nil {
		t.Fatal(err)
	}
	r.answer = nil
	lifted := r.enroll(wf, phone)
	r.settle(0)
	r.calledAre("call")
	r.expect(lifted, "completed: call=completed won=converted")
}

func TestLiftingLetsTheStepsOfALeadTakePlaceAgain(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	l := r.enroll(wf, phone)
	r.settle(0)
	got, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Channel: workflow.Message})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lift(background, got.ID); err != nil {
		t.Fatal(err)
	}
	r.settle(48 * time.Hour)
	r.calledAre("call", "text")
	r.expect(l, "completed: call=completed wait=completed text=success won=converted")
}

func TestASuppressionOfAChannelIsOverWhenItExpires(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	l := r.enroll(wf, phone)
	r.settle(0)
	in := r.clock.now.Add(48 * time.Hour) // when the message is due
	if _, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Channel: workflow.Message, ExpiresAt: in}); err != nil {
		t.Fatal(err)
	}
	r.settle(48 * time.Hour)
	r.expect(l, "completed: call=completed wait=completed text=success won=converted")
}

func TestALeadWithoutAWayRoundASuppressedStepIsRemoved(t *testing.T) {
	r := newRules(t)
	wf := r.activate(`{"name": "w", "entry": "call", "nodes": [{"id": "call", "type": "voice_call", "retry": {"max_attempts": 2, "delay": "1h"}},
		{"id": "won", "type": "converted"}], "edges": [{"from": "call", "to": "won", "label": "completed"}]}`)
	r.answer = func(engine.Attempt) (engine.Result, error) { return engine.Result{}, errors.New("busy") }
	l := r.enroll(wf, phone)
	r.settle(0)
	got, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Channel: workflow.VoiceCall, Reason: "said stop"})
	if err != nil || len(got.Leads) != 1 || got.Leads[0].State != lead.Removed {
		t.Fatalf("%+v, %v", got, err)
	}
	r.expect(l, "removed: call=suppressed")
}

func TestAHeldLeadStartsNothingAndKeepsTheTimeThatWasLeft(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	l := r.enroll(wf, phone)
	r.settle(0)
	r.settle(8 * time.Hour) // of 48 h
	r.calledAre("call")
	held, err := r.Hold(background, wf, l.ID, engine.Hold{Reason: "on holiday", Actor: "kim"})
	if err != nil || held.Hold == nil || held.Hold.Reason != "on holiday" || held.State != lead.Enrolled || !held.NextActionAt.IsZero() {
		t.Fatalf("%+v, %v", held, err)
	}
	r.settle(1000 * time.Hour)
	r.calledAre()
	freed, err := r.Release(background, wf, l.ID)
	if want := r.clock.now.Add(40 * time.Hour); err != nil || freed.Hold != nil || !freed.NextActionAt.Equal(want) {
		t.Fatalf("%+v, %v; want next at %s", freed, err, want)
	}
	if _, err := r.Release(background, wf, l.ID); !errors.Is(err, lead.ErrNotHeld) {
		t.Errorf("releasing again: %v", err)
	}
	if _, err := r.Hold(background, wf, l.ID, engine.Hold{Until: r.clock.now.Add(10 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	r.settle(49 * time.Hour)
	r.calledAre()
	r.settle(time.Hour)
	r.calledAre("text")
	if _, err := r.Hold(background, wf, l.ID, engine.Hold{}); !errors.Is(err, lead.ErrLeadFinal) {
		t.Errorf("holding a final lead: %v", err)
	}
}

func TestAHeldLeadsQueuedRetryWaitsAndARemovalDropsIt(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	r.answer = func(engine.Attempt) (engine.Result, error) { return engine.Result{}, errors.New("busy") }
	waits, gone := r.enroll(wf, phone), r.enroll(wf, "+14155552672")
	r.settle(0)
	for _, l := range []lead.Lead{waits, gone} {
		if _, err := r.Hold(background, wf, l.ID, engine.Hold{}); err != nil {
			t.Fatal(err)
		}
	}
	r.called = nil
	r.settle(10 * time.Hour)
	r.calledAre()
	if removal, err := r.Remove(background, wf, gone.ID); err != nil || removal.State != lead.Removed {
		t.Errorf("%+v, %v", removal, err)
	}
	if _, err := r.Release(background, wf, waits.ID); err != nil {
		t.Fatal(err)
	}
	r.settle(0)
	r.calledAre("call")
}

// While a step is in flight, or the workflow is paused, nothing need look at the lead.
func TestAHoldThatIsOverIsOverForReadersToo(t *testing.T) {
	for _, paused := range []bool{false, true} {
		r := newRules(t)
		wf := r.activate(callThenText)
		r.answer = func(engine.Attempt) (engine.Result, error) { return engine.Result{InFlight: !paused}, nil }
		l := r.enroll(wf, phone)
		r.settle(0)
		if _, err := r.Hold(background, wf, l.ID, engine.Hold{Until: r.clock.now.Add(10 * time.Minute)}); err != nil {
			t.Fatal(err)
		}
		if paused {
			if _, err := r.PauseWorkflow(background, wf); err != nil {
				t.Fatal(err)
			}
		}
		begun := r.clock.now
		r.settle(20 * time.Minute)
		if got, err := r.Lead(background, wf, l.ID); err != nil || got.Hold != nil {
			t.Errorf("paused %t: %+v, %v", paused, got.Hold, err)
		}
		if steps, err := r.History(background, wf, l.ID); err != nil || paused && !steps[1].ScheduledAt.Equal(begun.Add(48*time.Hour+10*time.Minute)) {
			t.Errorf("the wait of a lead that was held for ten minutes: %+v, %v", steps, err)
		}
		if _, err := r.Release(background, wf, l.ID); !errors.Is(err, lead.ErrNotHeld) {
			t.Errorf("paused %t: releasing: %v", paused, err)
		}
		held, err := r.Hold(background, wf, l.ID, engine.Hold{})
		if err != nil || held.Hold == nil || !held.Hold.Since.Equal(r.clock.now) {
			t.Errorf("paused %t: holding again: %+v, %v", paused, held.Hold, err)
		}
	}
}

const signals = `{"name": "w", "entry": "call", "exits": [{"signal": "paid", "outcome": "converted"}], "nodes": [
	{"id": "call", "type": "voice_call"},
	{"id": "wait", "type": "time", "config": {"signal": "replied", "duration": "48h"}},
	{"id": "text", "type": "message"}, {"id": "won", "type": "converted"}, {"id": "lost", "type": "dropped"}],
	"edges": [{"from": "call", "to": "wait", "label": "default"}, {"from": "wait", "to": "won", "label": "signal"},
	{"from": "wait", "to": "text", "label": "timeout"}, {"from": "text", "to": "lost", "label": "default"}]}`

func TestASignalEndsAWaitOrTheLead(t *testing.T) {
	r := newRules(t)
	wf := r.activate(signals)
	signal := func(l lead.Lead, name string, want engine.SignalEffect) {
		t.Helper()
		if got, err := r.Signal(background, wf, l.ID, name, map[string]any{"by": "mail"}); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	woken, late, paid, kept, exits := r.enroll(wf, phone), r.enroll(wf, "+14155552672"), r.enroll(wf, "+14155552673"), lead.Lead{}, lead.Lead{}
	r.settle(time.Hour)
	signal(woken, "other", engine.SignalIgnored)
	signal(woken, "replied", engine.SignalWoken)
	signal(paid, "paid", engine.SignalExits)
	r.answer = func(engine.Attempt) (engine.Result, error) { return engine.Result{InFlight: true}, nil }
	kept, exits = r.enroll(wf, "+14155552674"), r.enroll(wf, "+14155552675")
	r.settle(0)
	signal(kept, "replied", engine.SignalKept)
	signal(exits, "paid", engine.SignalExits)
	for _, l := range []lead.Lead{kept, exits} {
		r.expect(l, "in_step: call=in_progress")
		steps, err := r.History(background, wf, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.CompleteStep(background, steps[0].ID, engine.Callback{Outcome: "completed"}); err != nil {
			t.Fatal(err)
		}
	}
	r.answer = nil
	r.settle(100 * time.Hour)
	r.expect(woken, "completed: call=completed wait=signal won=converted")
	r.expect(late, "completed: call=completed wait=timeout text=success lost=dropped")
	r.expect(paid, "completed: call=completed wait=cancelled")
	r.expect(kept, "completed: call=completed wait=signal won=converted")
	r.expect(exits, "completed: call=completed")
	if l, err := r.Lead(background, wf, paid.ID); err != nil || l.Outcome != "converted" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := r.Signal(background, wf, paid.ID, "paid", nil); !errors.Is(err, lead.ErrLeadFinal) {
		t.Errorf("a final lead: %v", err)
	}
}

func TestASignalIsKeptForTheNextWaitOnly(t *testing.T) {
	r := newRules(t)
	wf := r.activate(`{"name": "w", "entry": "call", "nodes": [{"id": "call", "type": "voice_call"}, {"id": "text", "type": "message"},
		{"id": "wait", "type": "time", "config": {"signal": "replied", "duration": "48h"}}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "to": "text", "label": "default"}, {"from": "text", "to": "wait", "label": "default"},
		{"from": "wait", "to": "won", "label": "signal"}, {"from": "wait", "to": "won", "label": "timeout"}]}`)
	r.answer = func(a engine.Attempt) (engine.Result, error) {
		return engine.Result{InFlight: a.Node.ID == "call"}, nil
	}
	l := r.enroll(wf, phone)
	r.settle(0)
	if got, err := r.Signal(background, wf, l.ID, "replied", nil); err != nil || got != engine.SignalKept {
		t.Fatalf("%q, %v", got, err)
	}
	steps, err := r.History(background, wf, l.ID)
	if err == nil {
		_, err = r.CompleteStep(background, steps[0].ID, engine.Callback{Outcome: "completed"})
	}
	if err != nil {
		t.Fatal(err)
	}
	r.settle(0)
	r.expect(l, "enrolled: call=completed text=success wait=waiting")
}

func TestNoAttemptStartsOutsideTheCallingHours(t *testing.T) {
	r := newRules(t)
	wf := r.activate(`{"name": "w", "entry": "call", "time_zone": "UTC",
		"calling_hours": {"windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}]},
		"nodes": [{"id": "call", "type": "voice_call", "retry": {"max_attempts": 2, "delay": "9h"}},
		{"id": "wait", "type": "time", "config": {"duration": "12h"}}, {"id": "text", "type": "message"}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "to": "wait", "label": "default"}, {"from": "wait", "to": "text"}, {"from": "text", "to": "won", "label": "default"}]}`)
	failing := true
	r.answer = func(engine.Attempt) (engine.Result, error) {
		if failing {
			return engine.Result{}, errors.New("busy")
		}
		return engine.Result{}, nil
	}
	l, err := r.Enroll(background, wf, lead.Contact{PhoneNumber: phone, TimeZone: "Europe/Berlin"}) // 10:00 there
	if err != nil {
		t.Fatal(err)
	}
	r.settle(0)
	r.calledAre("call")
	failing = false
	r.settle(9 * time.Hour) // 19:00
	r.calledAre()
	if got, err := r.Lead(background, wf, l.ID); err != nil || !got.NextActionAt.Equal(time.Date(2030, 1, 8, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("%s, %v", got.NextActionAt, err)
	}
	r.settle(14*time.Hour - time.Millisecond)
	r.calledAre()
	r.settle(time.Millisecond) // Tuesday 09:00 in Berlin
	r.calledAre("call")
	r.settle(12 * time.Hour) // the wait is over at 21:00
	r.expect(l, "enrolled: call=completed wait=completed text=waiting")
	r.settle(12*time.Hour - time.Millisecond)
	r.calledAre()
	r.settle(time.Millisecond)
	r.calledAre("text")
}
