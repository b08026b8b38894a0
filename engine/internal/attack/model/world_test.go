package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// trial is one case of the model test: an engine, the model, and a witness of the calls
// of handlers and hooks. It runs in a bubble of testing/synctest, so that time is virtual
// and it is known when the engine is idle.
//
// Every handler and hook waits until the trial lets it return. So only what is due
// happens by itself.
type trial struct {
	t       *rapid.T
	backend backend
	spec    *life.World
	text    life.Writer

	open    func() (store.Store, error)
	store   store.Store // nil while closed
	gate    *gate
	eng     *engine.Engine
	workers int
	over    chan struct{} // closed when the trial ends: nobody holds any more

	// stubborn handlers and hooks take no notice of their context.
	stubborn bool
	// holds is how likely, in tenths, a call is left to hold.
	holds int
	// doubt: the process died around a commit, so an attempt that begins now may be
	// on record already.
	doubt bool
	// unsure: of these leads, more redeliveries may be on record than were seen.
	unsure map[*life.Lead]bool
	// batched: requests are decided in one batch.
	batched bool

	// recorded: the attempt was begun before its handler was seen to be called.
	recorded map[*life.Lead]bool
	// odd: what its record says of the lead depends on what no record says.
	odd      map[*life.Lead]bool
	limits   bool // some workflow has limits
	graphs   map[*life.Flow]*workflow.Graph
	enrolled *enrollments
	fresh    lead.ID                 // of the lead that is being enrolled, if that was acknowledged
	updated  map[*life.Lead]bool     // at some time
	log      map[lead.ID][]lead.Call // as last read

	removals []seenRemoval
	promises promises
	tally    tally

	mu       sync.Mutex // guards what handlers and hooks write
	newCalls []*heldCall
	newHooks []*heldHook
	calls    map[*life.Lead]*heldCall // of the attempt in flight
	hooks    map[*life.Lead]*heldHook // that runs
	late     []*heldCall              // whose step is over, and who have not returned
}

// tally counts what trials have seen, for the log: a reader must see that the test has
// tested something.
type tally map[string]int

func (t tally) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(t)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, t[what]))
	}
	return strings.Join(parts, ", ")
}

// heldCall is a call of a handler.
type heldCall struct {
	ctx    context.Context
	at     time.Time
	ask    engine.Attempt
	answer chan answer
}

// heldHook is a call of a hook.
type heldHook struct {
	ctx    context.Context
	at     time.Time
	name   string
	ask    engine.HookEvent
	answer chan string // what fails; "" for nothing
}

// seenRemoval is a removal that was acknowledged by the engine that runs.
type seenRemoval struct {
	lead *life.Lead
	*engine.Removal
}

// bubble is the clock of the bubble. With one that is not its own the
// engine need not look for jumps of the wall clock every ten seconds.
type bubble struct{}

func (bubble) Now() time.Time { return time.Now() }

func (bubble) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

func newTrial(t *rapid.T, backend backend, seen tally) *trial {
	w := &trial{
		t: t, backend: backend, open: backend.data(t), over: make(chan struct{}), tally: seen,
		calls: map[*life.Lead]*heldCall{}, hooks: map[*life.Lead]*heldHook{},
		spec: &life.World{Now: time.Now(), HookTimeout: 30 * time.Second, MaxRedeliveries: 2}, text: life.Writer{Begun: time.Now(), Said: said},
		odd: map[*life.Lead]bool{}, graphs: map[*life.Flow]*workflow.Graph{}, enrolled: &enrollments{},
		recorded: map[*life.Lead]bool{}, unsure: map[*life.Lead]bool{}, updated: map[*life.Lead]bool{},
	}
	w.spec.Deal = w.deal
	w.workers = rapid.SampledFrom([]int{1000, 1000, 1, 2}).Draw(t, "workers")
	w.stubborn = rapid.Bool().Draw(t, "stubborn")
	w.holds = rapid.IntRange(2, 10).Draw(t, "holds")
	w.spec.Hooks = []string{"first", "second"}[:rapid.IntRange(0, 2).Draw(t, "hooks")]
	t.Cleanup(func() {
		close(w.over)
		if w.eng != nil {
			w.gate.release()
			w.kill()
		}
		w.close()
	})
	w.start()
	return w
}

// folder makes a folder for the time of a trial, in memory where the system
// has such a place: how long a disk takes is not what is tested here.
func folder(t *rapid.T) string {
	for _, parent := range []string{"/dev/shm", ""} {
		if folder, err := os.MkdirTemp(parent, "leadflow-model-"); err == nil {
			t.Cleanup(func() { os.RemoveAll(folder) })
			return folder
		}
	}
	t.Fatal("no folder can be made")
	return ""
}

// start opens the store, and starts an engine on it.
func (w *trial) start() {
	w.t.Helper()
	var err error
	if w.store, err = w.open(); err != nil {
		w.t.Fatalf("the store does not open: %v", err)
	}
	w.gate = &gate{Store: w.store, enrolled: w.enrolled}
	c := engine.Config{
		HookTimeout: w.spec.HookTimeout, Workers: w.workers, MaxRedeliveries: w.spec.MaxRedeliveries, Clock: bubble{},
		Logger: slog.New(slog.DiscardHandler),
	}
	world.Handle(&c, w.handle)
	for _, name := range w.spec.Hooks {
		c.Hooks = append(c.Hooks, engine.Hook{Name: name, Run: func(ctx context.Context, done engine.HookEvent) error {
			return w.hooked(ctx, name, done)
		}})
	}
	if w.eng, err = engine.New(w.gate.through(), c); err != nil {
		w.t.Fatalf("New: %v", err)
	}
	if err := w.eng.Start(context.Background()); err != nil {
		w.t.Fatalf("Start: %v", err)
	}
}

// kill is kill -9, as far as the store can tell: from now on nothing is
// written. The goroutines end, because a test must not leave any.
func (w *trial) kill() {
	w.gate.kill()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.eng.Shutdown(over); err != nil && !errors.Is(err, context.Canceled) {
		w.t.Errorf("Shutdown: %v", err)
	}
	synctest.Wait()
}

func (w *trial) close() {
	if closer, ok := w.store.(io.Closer); ok && w.store != nil {
		if err := closer.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	}
	w.store = nil
}

// crash kills the engine, and starts another after a time.
func (w *trial) crash(down time.Duration) {
	w.kill()
	w.close()
	w.gone()
	w.spec.Crash()
	clear(w.recorded)
	w.promises.died()
	time.Sleep(down)
	w.spec.Now = time.Now()
	w.start()
	w.settle()
	w.doubt = false
}

// gone: whoever held, held for an engine that is no more.
func (w *trial) gone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.calls)
	clear(w.hooks)
	w.late, w.newCalls, w.newHooks, w.removals = nil, nil, nil, nil
}

// handle is the handler of all nodes.
func (w *trial) handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	c := &heldCall{ctx: ctx, at: time.Now(), ask: a, answer: make(chan answer, 1)}
	w.mu.Lock()
	w.newCalls = append(w.newCalls, c)
	w.mu.Unlock()
	cut := ctx.Done()
	if w.stubborn {
		cut = nil
	}
	select {
	case <-cut:
		return engine.Result{}, context.Cause(ctx)
	case <-w.over:
		return engine.Result{}, errDead
	case said := <-c.answer:
		if said.panics {
			panic("nil telephone")
		}
		if said.Err == "" {
			return said.result(), nil
		}
		err := errors.New(said.Err)
		if said.After > 0 {
			err = engine.RetryAfter(err, said.After)
		}
		if said.Final {
			err = engine.NonRetryable(err)
		}
		if said.NotMade {
			err = engine.NotMade(err)
		}
		return engine.Result{}, err
	}
}

// hooked is every hook.
func (w *trial) hooked(ctx context.Context, name string, done engine.HookEvent) error {
	h := &heldHook{ctx: ctx, at: time.Now(), name: name, ask: done, answer: make(chan string, 1)}
	w.mu.Lock()
	w.newHooks = append(w.newHooks, h)
	w.mu.Unlock()
	cut := ctx.Done()
	if w.stubborn {
		cut = nil
	}
	select {
	case <-cut:
		return context.Cause(ctx)
	case <-w.over:
		return errDead
	case failure := <-h.answer:
		switch failure {
		case "":
			return nil
		case life.AnyText:
			panic("nil hook")
		}
		return errors.New(failure)
	}
}

// takeNew hands out the calls that were made since it was asked last.
func (w *trial) takeNew() (calls []*heldCall, hooks []*heldHook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, hooks = w.newCalls, w.newHooks
	w.newCalls, w.newHooks = nil, nil
	slices.SortFunc(calls, func(a, b *heldCall) int { return int(a.ask.LeadID.Seq() - b.ask.LeadID.Seq()) })
	slices.SortFunc(hooks, func(a, b *heldHook) int { return int(a.ask.Lead.ID.Seq() - b.ask.Lead.ID.Seq()) })
	return calls, hooks
}

// settle waits for rest, holds what was called against the model, answers what
// is not to hold, and so on until nothing happens any more.
func (w *trial) settle() {
	w.t.Helper()
	for answers := 20; ; answers-- {
		synctest.Wait()
		w.spec.Pass()
		w.forgetOver()
		calls, hooks := w.takeNew()
		w.learnLeads()
		w.learnParked()
		w.learnUnknown()
		for _, c := range calls {
			w.called(c)
		}
		for _, h := range hooks {
			w.hookCalled(h)
		}
		w.nothingMissing()
		if len(calls)+len(hooks) == 0 {
			return
		}
		if answers > 0 {
			w.answerNew(calls, hooks)
		}
	}
}

// answerNew has handlers and hooks that were just called return, or holds them.
// After an answer that nothing was done no other is given in the same instant.
func (w *trial) answerNew(calls []*heldCall, hooks []*heldHook) {
	alone := true
	for _, c := range calls {
		if l := w.leadOf(c.ask.LeadID); w.calls[l] == c && !w.hold("holds") {
			a := w.drawAnswer(l, alone)
			w.answer(l, a)
			if a.NotMade {
				return
			}
			alone = false
		}
	}
	for _, h := range hooks {
		if l := w.leadOf(h.ask.Lead.ID); w.hooks[l] == h && !w.hold("hook holds") {
			w.answerHook(l, drawHookAnswer(w.t))
		}
	}
}

func (w *trial) hold(label string) bool {
	return rapid.IntRange(1, 10).Draw(w.t, label) <= w.holds
}

// answer has the handler of a lead's attempt return.
func (w *trial) answer(l *life.Lead, a answer) {
	w.t.Logf("%s: the handler answers %s", l, a.name)
	w.calls[l].answer <- a
	delete(w.calls, l)
	w.answeredBy(l, a.Answer)
}

// answeredBy has the model follow the answer of a handler.
func (w *trial) answeredBy(l *life.Lead, a life.Answer) {
	w.promises.returned(l, a)
	w.spec.Answered(l, a)
}

// answerHook has a lead's hook return.
func (w *trial) answerHook(l *life.Lead, failure string) {
	w.t.Logf("%s: the hook answers %q", l, failure)
	w.hooks[l].answer <- failure
	delete(w.hooks, l)
	w.spec.HookAnswered(l, failure)
}

// forgetOver moves handlers whose step is over to those who are late.
func (w *trial) forgetOver() {
	for _, l := range w.spec.Leads {
		if c := w.calls[l]; c != nil && l.Doing != life.Running {
			w.late = append(w.late, c)
			delete(w.calls, l)
		}
		if w.hooks[l] != nil && l.HookSince.IsZero() {
			delete(w.hooks, l)
		}
	}
}

// learnParked has the model follow where the engine parks a lead earlier than the
// model would: it was to be made again in a commit that was on disk when the process
// died around it. One that is to be removed is not even parked: its step is over.
func (w *trial) learnParked() {
	for _, l := range w.spec.Leads {
		if l.Doing != life.Lost || l.Flow.Deleted || !w.doubt && !w.unsure[l] {
			continue
		}
		w.unsure[l] = true
		for _, s := range w.read(l).Steps {
			if s.EnteredAt.Equal(l.At.EnteredAt) && len(s.Attempts) > 0 && strings.Contains(s.Attempts[len(s.Attempts)-1].Error, "not made again") {
				w.spec.Park(l)
				w.spec.Pass()
				break
			}
		}
	}
}

// learnUnknown has the model follow where the engine fails an attempt because nobody
// knows what became of it, which the model had not begun: it was begun in a commit that
// was on disk when the process died around it.
func (w *trial) learnUnknown() {
	for _, l := range w.spec.Leads {
		if !w.doubt || l.Flow.Deleted || !w.spec.MayBegin(l, w.spec.Now) {
			continue
		}
		for i, s := range w.read(l).Steps {
			if strings.Contains(s.Error, "nobody knows") && i < len(l.Steps) && l.Steps[i].ExitedAt.IsZero() {
				w.spec.BeginUnseen(l)
				w.spec.Pass()
				w.tally["failed as unknown, unseen"]++
				break
			}
		}
	}
}

// nothingMissing: everything that must have begun has begun (promise 10).
func (w *trial) nothingMissing() {
	w.t.Helper()
	for _, l := range w.spec.Leads {
		if w.recorded[l] || len(w.calls) < w.workers && w.spec.MayBegin(l, w.spec.Now) {
			w.t.Fatalf("no handler was called for %s (%s at %s), though it is due, at %s", l, l.State, l.At.NodeID, w.text.After(w.spec.Now))
		}
		if hook := w.spec.HookDue(l); hook != "" {
			w.t.Fatalf("the hook %s was not called for %s", hook, l)
		}
	}
}

// leadOf returns the model's lead of an id.
func (w *trial) leadOf(id lead.ID) *life.Lead {
	for _, l := range w.spec.Leads {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// named is an error without the ids in it, which are different each time.
func (w *trial) named(err error) string {
	if err == nil {
		return "nil"
	}
	text := err.Error()
	for _, f := range w.spec.Flows {
		text = strings.ReplaceAll(text, f.ID.String(), f.Name)
	}
	for _, l := range w.spec.Leads {
		text = strings.ReplaceAll(text, l.ID.String(), l.String())
		for i, st := range l.Steps {
			text = strings.ReplaceAll(text, st.ID.String(), fmt.Sprintf("step %d of %s", i, l))
		}
	}
	return text
}
