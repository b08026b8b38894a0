package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

var (
	ctx = context.Background()

	ada = lead.Contact{PhoneNumber: "+14155552671"}
	ben = lead.Contact{PhoneNumber: "+14155552672", ExternalID: "crm-2"}
	cyd = lead.Contact{PhoneNumber: "+14155552673"}
)

// followUp is a call, two days, and a message.
func followUp() *workflow.Definition {
	return &workflow.Definition{
		Name: "Follow up", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(30 * time.Minute)}),
			workflow.Wait("wait", 2*day),
			workflow.MessageNode("message", nil),
			workflow.End("won", workflow.Converted),
			workflow.End("lost", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "wait"),
			workflow.On("call", "default", "lost"),
			workflow.To("wait", "message"),
			workflow.On("message", "default", "won"),
		},
	}
}

// world is a world with the follow-up workflow in it.
func world(t *testing.T, script enginetest.Script, hooks ...engine.Hook) (*enginetest.World, lead.WorkflowID) {
	t.Helper()
	w := enginetest.New(t, enginetest.Config{Script: script, Engine: engine.Config{Hooks: hooks}})
	return w, w.Activate(t, followUp())
}

func TestEverythingSucceedsAtOnceWithoutAScript(t *testing.T) {
	w, wf := world(t, nil)
	id := w.Enroll(t, wf, ada)
	w.Run(t, 0)
	w.At(t, id, "wait")
	w.Run(t, 2*day-time.Millisecond)
	w.At(t, id, "wait")
	w.LeadIs(t, id, lead.Enrolled)
	w.Run(t, time.Millisecond)
	w.LeadIs(t, id, lead.Completed)
	w.OutcomeIs(t, id, "converted")
	w.Path(t, id, "call:completed", "wait", "message:success", "won")
	w.Cancelled(t, id)
	w.PromisesHold(t)
}

func TestTheClockStopsWhereItShould(t *testing.T) {
	w, wf := world(t, nil)
	start := w.Now()
	if !start.Equal(enginetest.DefaultStart) {
		t.Errorf("the world begins at %s", start)
	}
	w.Enroll(t, wf, ada)
	w.Run(t, time.Hour+time.Microsecond)
	if d := w.Now().Sub(start); d != time.Hour+time.Microsecond {
		t.Errorf("an hour is %s", d)
	}
	w.RunToEnd(t)
	if d := w.Now().Sub(start); d != 2*day {
		t.Errorf("the last thing happened after %s", d)
	}
	if done, err := w.Finish(day); !done || err != nil || w.Now().Sub(start) != 2*day {
		t.Errorf("%v, %v after %s, and nothing was due", done, err, w.Now().Sub(start))
	}
	w.Enroll(t, wf, ben)
	if done, err := w.Finish(day); done || err != nil || w.Now().Sub(start) != 3*day {
		t.Errorf("%v, %v after %s, and a message is due", done, err, w.Now().Sub(start))
	}
}

func TestACallsOutcomeComesByCallbackLater(t *testing.T) {
	w, wf := world(t, enginetest.Script{
		"call": enginetest.Outcome("completed").With(map[string]any{"mood": "good"}).ID("call-1").After(3 * time.Minute).Taking(20 * time.Second),
	})
	id := w.Enroll(t, wf, ada)
	w.Run(t, 0)
	if s := w.Engine().Stats(); s.Running != 1 {
		t.Errorf("the handler takes 20 s, and %d run", s.Running)
	}
	w.Run(t, 20*time.Second)
	if s := w.Engine().Stats(); s.Running != 0 {
		t.Errorf("%d handlers run", s.Running)
	}
	w.Run(t, 3*time.Minute-time.Millisecond)
	w.LeadIs(t, id, lead.InStep)
	w.Run(t, time.Millisecond)
	w.At(t, id, "wait")
	call := w.History(t, id)[0]
	if string(call.Data) != `{"mood":"good"}` || call.CallID != "call-1" || call.ExitedAt.Sub(call.EnteredAt) != 200*time.Second {
		t.Errorf("%+v", call)
	}
}

func TestAttemptsFailAsScripted(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.ByLead(map[string]enginetest.Answer{
		ada.PhoneNumber: enginetest.Times(2, enginetest.Fail("line busy"), enginetest.Outcome("completed")),
		ben.ExternalID:  enginetest.FailFinal("no such number"),
	}, enginetest.Panic("out of paper"))})
	a, b, c := w.Enroll(t, wf, ada), w.Enroll(t, wf, ben), w.Enroll(t, wf, cyd)
	w.RunToEnd(t)
	w.Path(t, a, "call:completed", "wait", "message", "won")
	w.Attempts(t, a, "call", 3)
	w.Path(t, b, "call:failed", "lost")
	w.Attempts(t, b, "call", 1)
	w.Path(t, c, "call:failed", "lost")
	w.Attempts(t, c, "call", 3)
	for id, want := range map[lead.ID]string{a: "line busy", b: "no such number", c: "the handler panicked: out of paper"} {
		if got := w.History(t, id)[0].Attempts[0].Error; got != want {
			t.Errorf("the first attempt failed with %q, want %q", got, want)
		}
	}
}

func TestALostCallbackEndsAtTheDeadline(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.NeverCalls()})
	id := w.Enroll(t, wf, ada)
	w.Run(t, time.Hour-time.Millisecond)
	w.LeadIs(t, id, lead.InStep)
	w.Run(t, time.Millisecond)
	w.Path(t, id, "call:failed", "lost")
}

func TestACallbackAfterTheDeadlineChangesNothing(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.Outcome("completed").After(2 * time.Hour)})
	id := w.Enroll(t, wf, ada)
	w.RunToEnd(t)
	w.Path(t, id, "call:failed", "lost")
	if d := w.Now().Sub(enginetest.DefaultStart); d != 2*time.Hour {
		t.Errorf("the callback came after %s", d)
	}
}

func TestATestSendsTheCallbackItself(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.NeverCalls()})
	id := w.Enroll(t, wf, ada)
	w.Run(t, time.Minute)
	w.Complete(t, id, engine.Callback{Outcome: "dnp"})
	w.Path(t, id, "call:dnp", "lost")
}

func TestVisitsAreAnsweredInTurn(t *testing.T) {
	def := &workflow.Definition{
		Name: "Again and again", Entry: "call",
		Nodes: []workflow.Node{workflow.CallNode("call", nil), workflow.Wait("rest", time.Hour), workflow.End("won", workflow.Converted)},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "won"), workflow.On("call", "default", "rest"), workflow.To("rest", "call"),
		},
	}
	w := enginetest.New(t, enginetest.Config{Script: enginetest.Script{
		"call": enginetest.Visits(enginetest.Outcome("dnp"), enginetest.Outcome("busy"), enginetest.Outcome("completed")),
	}})
	id := w.Enroll(t, w.Activate(t, def), ada)
	w.RunToEnd(t)
	w.Path(t, id, "call:dnp", "rest", "call:busy", "rest", "call:completed", "won")
}

func TestARetryIsTheSameVisit(t *testing.T) {
	var visits []string
	def := &workflow.Definition{
		Name: "Again and again", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Minute)}),
			workflow.Wait("rest", time.Hour),
		},
		Edges: []workflow.Edge{workflow.On("call", "default", "rest"), workflow.To("rest", "call")},
	}
	w := enginetest.New(t, enginetest.Config{Script: enginetest.Script{"call": func(a *enginetest.Attempt) enginetest.Reply {
		visits = append(visits, fmt.Sprint(a.Visit, "/", a.Number))
		return enginetest.Fail("busy")(a)
	}}})
	w.Enroll(t, w.Activate(t, def), ada)
	w.Run(t, 100*time.Minute)
	if got := fmt.Sprint(visits); got != "[1/1 1/2 2/1 2/2]" {
		t.Errorf("visits and attempts: %s", got)
	}
}

func TestTheClockCallsInOrderAndNeverEarly(t *testing.T) {
	w := enginetest.New(t, enginetest.Config{})
	var order []string
	note := func(name string) func() {
		return func() { order = append(order, fmt.Sprint(name, " ", w.Now().Sub(enginetest.DefaultStart))) }
	}
	w.After(time.Second, note("b"))
	w.After(time.Second, note("c"))
	stop := w.Clock().AfterFunc(time.Second, note("stopped"))
	w.After(1500*time.Microsecond, note("a"))
	w.After(time.Second, note("d"))
	w.After(-time.Second, note("at once"))
	if !stop() || stop() {
		t.Error("stopping works once")
	}
	w.Run(t, time.Minute)
	if want := []string{"at once 0s", "a 2ms", "b 1s", "c 1s", "d 1s"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	late := w.Clock().AfterFunc(0, func() {})
	w.Run(t, 0)
	if late() {
		t.Error("what was called is stopped")
	}
}

func TestScheduledMessagesHaveAnAnswerOfTheirOwn(t *testing.T) {
	w, wf := world(t, enginetest.Script{
		"call":         enginetest.Outcome("completed").Schedule(engine.Message{After: time.Hour}).Schedule(engine.Message{After: 3 * day}),
		"call+message": enginetest.Outcome("bounced"),
	})
	id := w.Enroll(t, wf, ada)
	w.RunToEnd(t)
	w.Path(t, id, "call", "wait", "message", "won")
	w.Attempts(t, id, "call+message", 1)
	w.Cancelled(t, id, "call+message")
	if s := w.History(t, id)[1]; !s.Scheduled || s.Outcome != "bounced" {
		t.Errorf("%+v", s)
	}
}

func TestRemovalWhileACallIsLive(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.Outcome("completed").After(5 * time.Minute)})
	gone, other := w.Enroll(t, wf, ada), w.Enroll(t, wf, ben)
	w.After(time.Minute, func() {
		if got := w.Remove(t, gone, engine.Reason("said stop")); got != lead.PendingRemoval {
			t.Errorf("Remove answers %s", got)
		}
	})
	w.Run(t, 2*time.Minute)
	w.LeadIs(t, gone, lead.PendingRemoval)
	w.Run(t, 30*day)
	w.LeadIs(t, gone, lead.Removed)
	w.Path(t, gone, "call:completed")
	w.Cancelled(t, gone, "wait")
	w.OutcomeIs(t, other, "converted")
	w.PromisesHold(t)
}

func TestRemovalWhileARetryIsQueued(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.Fail("line busy")})
	id, skipping := w.Enroll(t, wf, ada), w.Enroll(t, wf, ben)
	w.Run(t, time.Minute)
	w.Remove(t, id)
	w.Remove(t, skipping, engine.SkipRetries())
	w.LeadIs(t, skipping, lead.Removed)
	w.Cancelled(t, skipping, "call+retry", "lost")
	w.RunToEnd(t)
	w.Attempts(t, id, "call", 3)
	w.LeadIs(t, id, lead.Removed)
	w.PromisesHold(t)
}

// The hook of a program that removes those who say stop.
func TestAHookMayRemoveTheLead(t *testing.T) {
	var w *enginetest.World
	w, wf := world(t, enginetest.Script{"call": enginetest.Outcome("stop").After(time.Minute)}, engine.Hook{
		Name: "opt-out", Run: func(ctx context.Context, c engine.HookEvent) error {
			_, err := w.Engine().Remove(ctx, c.Lead.WorkflowID, c.Lead.ID, engine.Reason("said "+c.Step.Outcome))
			return err
		},
	})
	id := w.Enroll(t, wf, ada)
	w.RunToEnd(t)
	w.LeadIs(t, id, lead.Removed)
	w.Cancelled(t, id, "lost")
	if r := w.Lead(t, id).Removal; r.Reason != "said stop" {
		t.Errorf("%+v", r)
	}
	w.PromisesHold(t)
}

func TestACrashLosesNobody(t *testing.T) {
	seen := map[string]int{}
	w, wf := world(t, enginetest.Script{"call": func(a *enginetest.Attempt) enginetest.Reply {
		seen[a.IdempotencyKey]++
		if a.Contact.PhoneNumber == ada.PhoneNumber {
			return enginetest.Outcome("completed").Taking(time.Minute)(a)
		}
		return enginetest.Outcome("completed").After(time.Minute)(a)
	}})
	rings, talks := w.Enroll(t, wf, ada), w.Enroll(t, wf, ben)
	w.Run(t, 30*time.Second)
	before := w.Engine()
	if err := w.Crash(); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Lead(ctx, wf, rings); !errors.Is(err, memory.ErrClosed) {
		t.Errorf("the engine that crashed still answers: %v", err)
	}
	w.Run(t, 30*time.Second)
	w.At(t, talks, "wait") // its callback came to the new engine
	w.LeadIs(t, rings, lead.InStep)
	w.RunToEnd(t)
	w.Path(t, rings, "call", "wait", "message", "won")
	w.Path(t, talks, "call", "wait", "message", "won")
	if again := w.History(t, rings)[0].Attempts[0].Redelivered; !again {
		t.Error("the attempt that the crash cut off is not marked")
	}
	counts := []int{}
	for _, n := range seen {
		counts = append(counts, n)
	}
	if slices.Sort(counts); !slices.Equal(counts, []int{1, 2}) {
		t.Errorf("handlers were called so often: %v", seen)
	}
	w.PromisesHold(t)
}

func TestOnesOwnHandlersAreCalledForTheirType(t *testing.T) {
	var texts []string
	w := enginetest.New(t, enginetest.Config{Engine: engine.Config{Handlers: map[string]engine.Handler{
		"message": engine.HandlerFunc(func(_ context.Context, a engine.Attempt) (engine.Result, error) {
			texts = append(texts, a.Contact.PhoneNumber)
			return engine.Result{}, nil
		}),
	}}})
	w.Enroll(t, w.Activate(t, followUp()), ada)
	w.RunToEnd(t)
	if !slices.Equal(texts, []string{ada.PhoneNumber}) {
		t.Errorf("messages went to %q", texts)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	clock := enginetest.New(t, enginetest.Config{}).Clock()
	if _, err := enginetest.Open(enginetest.Config{Engine: engine.Config{Clock: clock}}); err == nil || !strings.Contains(err.Error(), "Clock") {
		t.Errorf("a clock of one's own: %v", err)
	}
	if _, err := enginetest.Open(enginetest.Config{Engine: engine.Config{Workers: -1}}); err == nil || !strings.Contains(err.Error(), "Workers") {
		t.Errorf("a faulty engine: %v", err)
	}

	w, wf := world(t, enginetest.Script{"cal": enginetest.Outcome("dnp"), "message+message": enginetest.Outcome("")})
	w.Enroll(t, wf, ada)
	if err := w.Advance(day); err == nil || !strings.Contains(err.Error(), `"cal", but no workflow has such an action node; must be one of call, message`) {
		t.Errorf("a misspelled node: %v", err)
	}

	w, _ = world(t, nil)
	var err error
	w.After(time.Hour, func() { err = w.Advance(time.Hour) })
	w.Run(t, day)
	if err == nil {
		t.Error("time passed inside of what happens at one time")
	}
}

// telephone is a handler of the program under test whose first call the crash cuts off.
type telephone struct {
	world *enginetest.World
	calls int
	fate  engine.Fate
	asked []string
}

func (p *telephone) Handle(context.Context, engine.Attempt) (engine.Result, error) {
	if p.calls++; p.calls == 1 {
		p.world.Engine().Takes(time.Minute)
	}
	return engine.Result{}, nil
}

func (p *telephone) Reconcile(_ context.Context, a engine.Attempt) (engine.Fate, error) {
	p.asked = append(p.asked, a.Contact.PhoneNumber)
	return p.fate, nil
}

func TestOnesOwnHandlerIsAskedAfterACrash(t *testing.T) {
	for _, c := range []struct {
		fate  engine.Fate
		calls int
	}{{engine.Happened(engine.Result{Outcome: "completed"}, nil), 1}, {engine.NeverHappened(), 2}} {
		p := &telephone{fate: c.fate}
		w := enginetest.New(t, enginetest.Config{Engine: engine.Config{Handlers: map[string]engine.Handler{"voice_call": p}}})
		p.world = w
		wf := w.Activate(t, &workflow.Definition{Name: "call", Entry: "call", Nodes: []workflow.Node{workflow.CallNode("call", nil)}})
		l := w.Enroll(t, wf, ada)
		w.Run(t, 30*time.Second)
		if err := w.Crash(); err != nil {
			t.Fatal(err)
		}
		w.RunToEnd(t)
		if p.calls != c.calls || len(p.asked) != 1 || p.asked[0] != ada.PhoneNumber {
			t.Errorf("the handler was called %d times and asked about %q", p.calls, p.asked)
		}
		w.LeadIs(t, l, lead.Completed)
		w.PromisesHold(t)
	}
}
