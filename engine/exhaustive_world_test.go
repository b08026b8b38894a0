//go:build !race

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
)

// searchWorld is one lead in a real engine on a real store, to which one event
// at a time happens. A batch, the call of a handler, the arrival of its answer
// and the passing of time are events of their own, so that a search can try
// them in every order. The same events lead to the same world.
type searchWorld struct {
	kind   searchKind
	now    time.Time
	memory *memory.Store
	gate   *searchGate
	eng    *Stepped // nil while the process is down
	wf     lead.WorkflowID
	id     lead.ID
	flow   *flow
	call   lead.StepID // the step of the first visit

	answer  string   // of a handler or a hook that is called now
	answers []string // that it could give instead; nil when nobody was called
	holding searchHeld
	held    []searchHeld // answers on their way
	waits   []*Removal   // acknowledged by the process that runs

	seen searchWitness
	// What came of the last event.
	gateCommits int
	moved       bool     // it led to another state
	faults      []string // broken promises
}

// searchKind is what the engine of a search has to do.
type searchKind struct {
	hook bool // a completion hook is configured
}

// searchHeld is the answer of a handler, or of the hooks, that has not reached
// the engine yet.
type searchHeld struct {
	key    string // visit.attempt; "" for the hooks
	what   string
	arrive func()
}

// searchEvent is what can happen to a world.
type searchEvent struct {
	what   string
	answer string // of whoever is called in it; "" for the first of them
	index  int    // of the answer that arrives
	// die is the commit of the event, from 1, right after which the process ends:
	// on disk, and nobody knows. dieBefore: right before the first.
	die       int
	dieBefore bool
}

func (e searchEvent) String() string {
	text := e.what
	if e.what == "arrive" {
		text += fmt.Sprintf(" %d", e.index)
	}
	if e.answer != "" {
		text += " [" + e.answer + "]"
	}
	if e.die > 0 {
		text += fmt.Sprintf(", killed after commit %d", e.die)
	}
	if e.dieBefore {
		text += ", killed before the commit"
	}
	return text
}

// searchAnswers are what a handler can say, and searchHookAnswers what a hook
// can.
var (
	searchAnswers     = []string{"in flight", "good", "fails", "fails for good"}
	searchHookAnswers = []string{"good", "fails"}
)

var searchBegin = time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)

const (
	searchTimeout = 10 * time.Minute
	searchRetry   = 30 * time.Minute
	searchWait    = 2 * time.Hour
)

// searchRoot is how every search begins: what an engine has committed when one
// lead waits for its call in a paused workflow, of a call with two attempts, a
// wait, a text and the end. It is kept because reading a workflow and a phone
// number takes longer than all that follows.
type searchRoot struct {
	batches []store.Batch
	wf      lead.WorkflowID
	id      lead.ID
	call    lead.StepID
}

func newSearchRoot() (*searchRoot, error) {
	w := &searchWorld{now: searchBegin, memory: memory.New()}
	if err := w.start(); err != nil {
		return nil, err
	}
	w.gate.keep = true
	ctx := context.Background()
	wf, err := w.eng.CreateWorkflow(ctx, &workflow.Definition{
		Name: "search", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithTimeout(searchTimeout).
				WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(searchRetry)}),
			workflow.Wait("wait", searchWait),
			workflow.MessageNode("text", nil).WithTimeout(searchTimeout),
			workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "wait"), workflow.On("call", "failed", "wait"), // and no way on else
			workflow.To("wait", "text"), workflow.On("text", "success", "done"),
		},
	})
	if err != nil {
		return nil, err
	}
	if _, err := w.eng.ActivateWorkflow(ctx, wf.ID); err != nil {
		return nil, err
	}
	if _, err := w.eng.PauseWorkflow(ctx, wf.ID); err != nil {
		return nil, err
	}
	l, err := w.eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	if err != nil {
		return nil, err
	}
	steps, err := w.eng.History(ctx, wf.ID, l.ID)
	if err != nil {
		return nil, err
	}
	return &searchRoot{w.gate.kept, wf.ID, l.ID, steps[0].ID}, nil
}

// newSearchWorld returns a world in which an engine has just been started on a
// store of that root.
func newSearchWorld(root *searchRoot, kind searchKind) (*searchWorld, error) {
	w := &searchWorld{kind: kind, now: searchBegin, memory: memory.New(), wf: root.wf, id: root.id, call: root.call}
	ctx := context.Background()
	for _, seq := range []store.Sequence{store.WorkflowSequence, store.LeadSequence} {
		if _, err := w.memory.Reserve(ctx, seq, 1); err != nil {
			return nil, err
		}
	}
	for i := range root.batches {
		if _, err := w.memory.Commit(ctx, &root.batches[i]); err != nil {
			return nil, err
		}
	}
	if err := w.start(); err != nil {
		return nil, err
	}
	w.flow = w.eng.flowOf(1)
	return w, nil
}

// Now is the clock's, of which the engine asks nothing else but to hold back
// answers.
func (w *searchWorld) Now() time.Time { return w.now }

// AfterFunc is asked for when a handler or a hook has said that it takes time.
func (w *searchWorld) AfterFunc(_ time.Duration, f func()) func() bool {
	w.holding.arrive = f
	w.held = append(w.held, w.holding)
	return func() bool { return false }
}

func (w *searchWorld) start() (err error) {
	w.gate = &searchGate{Store: w.memory, world: w}
	c := Config{
		Handlers: map[workflow.NodeType]Handler{
			workflow.VoiceCall: HandlerFunc(w.handle), workflow.Message: HandlerFunc(w.handle),
		},
		Clock: w, Logger: slog.New(slog.DiscardHandler),
	}
	if w.kind.hook {
		c.Hooks = []Hook{{Name: "hook", Run: w.hooked}}
	}
	if w.eng, err = NewStepped(w.gate, c, 1); err != nil {
		return err
	}
	return w.eng.Start(context.Background())
}

// crash ends the process; what was on its way is lost.
func (w *searchWorld) crash() (err error) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	w.gate.dead = true
	if err := w.eng.Shutdown(over); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("Shutdown: %w", err)
	}
	w.eng, w.held, w.waits = nil, nil, nil
	w.seen.crashed()
	w.memory, err = w.memory.Reopen()
	return err
}

func (w *searchWorld) handle(_ context.Context, a Attempt) (Result, error) {
	w.checkCall(&a)
	switch {
	case a.StepID != w.call:
		w.answers = searchAnswers[:2]
	case a.Number == 2:
		w.answers = searchAnswers[:3] // it is the last
	default:
		w.answers = searchAnswers
	}
	answer := w.answer
	if answer == "" {
		answer = searchAnswers[0]
	}
	w.holding = searchHeld{key: searchKey(a.StepID.Visit(), int32(a.Number)), what: answer}
	w.eng.Takes(time.Millisecond)
	switch answer {
	case "fails":
		return Result{}, errors.New("busy")
	case "fails for good":
		return Result{}, NonRetryable(errors.New("wrong number"))
	}
	return Result{InFlight: answer == "in flight"}, nil
}

func (w *searchWorld) hooked(_ context.Context, c HookEvent) error {
	w.answers = searchHookAnswers
	w.checkHook(&c)
	w.eng.Takes(time.Millisecond)
	w.holding = searchHeld{what: "hook " + w.answer}
	if w.answer == "fails" {
		return errors.New("no audit log")
	}
	return nil
}

// next is the first moment from now on at which something is due of the lead,
// by what is on disk; zero for none.
func (w *searchWorld) next() (next store.Millis) {
	found, err := w.memory.Lead(context.Background(), w.id.Seq())
	if err != nil {
		w.fault("the lead cannot be read: %v", err)
		return 0
	}
	x, err := decodeExtra(found.EngineState)
	if err != nil {
		w.fault("the lead cannot be read: %v", err)
	}
	times := []store.Millis{found.Deadline, found.Due}
	for _, m := range x.Messages {
		times = append(times, m.Due)
	}
	if x.Path != nil {
		times = append(times, x.Path.Due)
	}
	for _, at := range times {
		if at > store.MillisOf(w.now) && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// enabled lists what can happen now.
func (w *searchWorld) enabled() (events []searchEvent) {
	add := func(when bool, what ...string) {
		for _, text := range what {
			if when {
				events = append(events, searchEvent{what: text})
			}
		}
	}
	up := w.eng != nil
	add(!up, "recover")
	add(up && w.queued() > 0, "call")
	add(up && w.eng.stepped.ready(), "turn")
	for i := range w.held {
		events = append(events, searchEvent{what: "arrive", index: i})
	}
	add(w.next() != 0, "tick")
	add(up, "remove", "remove, skipping retries", "pause", "resume", "cancel",
		"callback completed", "callback no_answer", "callback completed of attempt 1")
	return events
}

func (w *searchWorld) queued() int { return len(w.eng.stepped.queue) - w.eng.stepped.called }

// happen has an event happen. err is what the engine answered.
func (w *searchWorld) happen(ev searchEvent) (err error) {
	w.answer, w.answers = ev.answer, nil
	if w.gate != nil {
		w.gate.commits, w.gate.dieAfter, w.gate.dieBefore = 0, ev.die, ev.dieBefore
	}
	ctx := context.Background()
	switch ev.what {
	case "recover":
		if err := w.start(); err != nil {
			w.fault("the engine does not start: %v", err)
		}
	case "call":
		w.eng.stepped.run()
	case "turn":
		if err := w.eng.stepped.turn(); err != nil {
			w.fault("turn: %v", err)
		}
	case "arrive":
		h := w.held[ev.index]
		w.held = append(w.held[:ev.index:ev.index], w.held[ev.index+1:]...)
		h.arrive()
	case "tick":
		w.now = w.next().Time()
	case "crash":
		if err := w.crash(); err != nil {
			w.fault("crash: %v", err)
		}
	case "remove":
		err = w.remove()
	case "remove, skipping retries":
		err = w.remove(SkipRetries())
	case "pause":
		_, err = w.eng.PauseWorkflow(ctx, w.wf)
	case "resume":
		_, err = w.eng.ResumeWorkflow(ctx, w.wf)
	case "cancel":
		_, err = w.eng.CancelWorkflow(ctx, w.wf)
	case "callback completed":
		err = w.callBack(w.call, Callback{Outcome: "completed"})
	case "callback no_answer":
		err = w.callBack(w.call, Callback{Outcome: "no_answer"})
	case "callback completed of attempt 1":
		err = w.callBack(w.call, Callback{Outcome: "completed", Attempt: 1})
	default:
		w.fault("%s is no event", ev.what)
	}
	w.gateCommits = 0
	if w.gate != nil && !w.gate.dead {
		w.gateCommits = w.gate.commits
	}
	if ev.die > 0 || ev.dieBefore {
		// The lead may be removed by then, but the process can have told nobody of
		// what was not on disk.
		if w.gate.dead && ev.dieBefore && err == nil && ev.what != "turn" && ev.what != "call" {
			w.fault("promise 1: %q was acknowledged, and is not on disk", ev.what)
		}
		if err := w.crash(); err != nil {
			w.fault("crash: %v", err)
		}
	}
	return err
}

func (w *searchWorld) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}
