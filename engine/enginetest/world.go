package enginetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
)

// Config configures a World. The zero value works: every attempt succeeds immediately.
type Config struct {
	// Seed determines all random decisions and ids. Two worlds with the same seed, in
	// which the same is done, have the same history, byte for byte.
	Seed uint64
	// Start is the time at which the world begins, cut to milliseconds. Default:
	// [DefaultStart].
	Start time.Time
	// Script has the answers to the attempts at each node. A node that no workflow has
	// is an error of Advance, because it may be misspelled: create all workflows before
	// time passes.
	Script Script
	// Engine configures the engine under test. A handler given here, or to World.Handle,
	// is called for the nodes that name it, except those that the script has an answer
	// for. Clock must be nil, because the world has its own. Without a Logger nothing is
	// logged.
	Engine engine.Config
	// Store is the engine's store; the caller closes it. Default: a store in memory.
	Store store.Store
}

// DefaultStart is a Monday morning.
var DefaultStart = time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC)

// World is an engine in virtual time, with people who answer as scripted. Only one
// goroutine at a time may use it, except for Clock.
//
// A failing store does not end the run: the engine retries later, and so do callbacks of
// the script, with a back-off from one second to one hour of the world's time.
type World struct {
	config Config
	clock  *clock
	own    *memory.Store // in place of Config.Store
	eng    *engine.Stepped
	nodes  map[nodeKey]*node
	people int // how many EnrollMany has enrolled
	// handlers are the real ones, by name; nil for a name whose nodes are scripted.
	handlers map[string]engine.Handler

	checked bool  // checkScript has passed
	failed  error // the first error of a script or a callback since the last Advance
	moving  bool  // Advance or Finish is running
	// settling: the engine is running, and may call scripts and hooks.
	settling bool
	// spoken describes the calls of handlers for leads that were final.
	spoken []string
}

// Open returns a world; tests call [New]. Its workflows are those in Config.Store, if
// any. It is an error if Config.Engine.Clock is set; other errors are those of
// [engine.NewStepped] and of the engine's Start.
func Open(c Config) (*World, error) {
	if c.Engine.Clock != nil {
		return nil, errors.New("enginetest: Config.Engine.Clock must be nil, because the world has its own clock")
	}
	if c.Start.IsZero() {
		c.Start = DefaultStart
	}
	if c.Engine.Logger == nil {
		c.Engine.Logger = slog.New(slog.DiscardHandler)
	}
	c.Start = c.Start.UTC().Truncate(time.Millisecond)
	w := &World{config: c, clock: &clock{now: c.Start}, nodes: map[nodeKey]*node{}, handlers: map[string]engine.Handler{}}
	w.config.Engine.Clock = w.clock
	w.config.Engine.Handlers = nil
	for _, t := range []workflow.NodeType{workflow.VoiceCall, workflow.Message, workflow.Application} {
		w.handlers[string(t)] = nil
	}
	maps.Copy(w.handlers, c.Engine.Handlers)
	if c.Store == nil {
		w.own = memory.New()
	}
	if err := w.start(); err != nil {
		return nil, err
	}
	return w, nil
}

// store returns the store under the engine.
func (w *World) store() store.Store {
	if w.own != nil {
		return w.own
	}
	return w.config.Store
}

func (w *World) start() (err error) {
	if w.eng, err = engine.NewStepped(w.store(), w.config.Engine, w.config.Seed); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(w.handlers)) {
		if err := w.eng.Handle(name, handler{name, w}); err != nil {
			return err
		}
	}
	list, err := w.eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil {
		return err
	}
	for _, wf := range list {
		if err := w.script(wf.ID); err != nil {
			return err
		}
	}
	return w.eng.Start(context.Background())
}

// Handle registers a handler for the nodes that name it, as Config.Engine.Handlers
// does. It is for handlers that are made from the engine. It is an error if h is nil or
// there is a handler of that name already. To replace a handler for some nodes, give the
// script an answer for them.
func (w *World) Handle(name string, h engine.Handler) error {
	if w.handlers[name] != nil {
		return fmt.Errorf("enginetest: handler %q is registered already; register it once, in Config.Engine.Handlers or by Handle; "+
			"to replace it for some nodes, give the script an answer for them", name)
	}
	if h == nil {
		return fmt.Errorf("enginetest: handler %q is nil", name)
	}
	return w.handle(name, h)
}

// script makes the script the handler of those nodes of a workflow that have no real
// one.
func (w *World) script(id lead.WorkflowID) error {
	def, err := w.eng.Definition(context.Background(), id)
	if err != nil {
		return err
	}
	for _, n := range def.Nodes {
		if name := n.HandlerName(); name != "" && w.handlers[name] == nil {
			if err := w.handle(name, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// handle sets the real handler of a name, nil for none.
func (w *World) handle(name string, h engine.Handler) error {
	if _, known := w.handlers[name]; !known {
		if err := w.eng.Handle(name, handler{name, w}); err != nil {
			return err
		}
	}
	w.handlers[name] = h
	return nil
}

// Engine returns the engine of the world. After Crash it is another one.
func (w *World) Engine() *engine.Stepped { return w.eng }

// Now returns the world's time.
func (w *World) Now() time.Time { return w.clock.Now() }

// Clock returns the world's clock, for code under test that needs one. It is safe for
// concurrent use. Its AfterFunc calls functions inside of Advance, as [World.After]
// does, and not on goroutines of their own.
func (w *World) Clock() engine.Clock { return w.clock }

// After calls f when d has passed, on the goroutine that calls Advance, between two
// steps of the engine. f may do anything except let time pass. A negative d counts as
// 0.
func (w *World) After(d time.Duration, f func()) { w.clock.AfterFunc(d, f) }

// Advance lets d of the world's time pass, and does everything that comes due until
// then, including at its last instant. d is a [time.Duration], such as 48*time.Hour; it
// passes as fast as the machine can do what is due. With a d of 0 or less no time
// passes, and what is due now is done. The engine counts whole milliseconds and rounds
// due times up.
//
// Due are the steps of leads, ends of waits, retries, time-outs and scheduled messages;
// the callbacks of the script; and functions given to After or to the clock. Scripts,
// handlers, hooks and listeners are called for them, one after the other, all on the
// goroutine that calls Advance, and have returned when it does. The clock jumps from one
// due time to the next and stands still in between: a handler or hook takes no time,
// unless its answer says so (see [Answer.Taking] and [engine.Stepped.Takes]). What
// other methods start, such as the first step of an enrolled lead, waits for the next
// Advance.
//
// On an error the clock stays at the time of the error. It is an error if the script
// names a node that no workflow has; if a callback of the script is refused as invalid,
// which matches lead.ErrInvalid and is reported once; if a script, a hook or a function
// given to After calls Advance; and after Close, which matches engine.ErrNotRunning.
func (w *World) Advance(d time.Duration) error {
	until := w.clock.Now().Add(max(d, 0))
	idle, err := w.advance(until)
	if idle {
		w.clock.move(until)
	}
	return err
}

// Finish lets time pass until nothing is due any more, but no longer than d. It
// reports whether nothing is due any more; the clock then stays at the time of the last
// event. Errors, and a negative d, are as with Advance.
func (w *World) Finish(d time.Duration) (done bool, err error) {
	return w.advance(w.clock.Now().Add(max(d, 0)))
}

// advance moves the clock to until, or reports that nothing is due any more and
// leaves it where it is.
func (w *World) advance(until time.Time) (idle bool, err error) {
	if w.moving {
		return false, errors.New("enginetest: a script, a hook or World.After's function cannot let time pass")
	}
	w.moving = true
	defer func() { w.moving = false }()
	if err := w.checkScript(); err != nil {
		return false, err
	}
	for {
		w.clock.ring()
		w.settling = true
		err := w.eng.Settle()
		w.settling = false
		err = errors.Join(w.failed, err)
		if w.failed = nil; err != nil {
			return false, err
		}
		next, due := w.eng.Next()
		if at, ok := w.clock.next(); ok && (!due || at.Before(next)) {
			next, due = at, true
		}
		switch {
		case !due:
			return true, nil
		case next.After(until):
			w.clock.move(until)
			return false, nil
		}
		w.clock.move(next)
	}
}

// Crash ends the engine as the end of its process would, and starts another one on the
// same store. Callbacks that are under way, and functions given to After, reach the new
// engine. The results of handlers that have not returned yet are lost.
//
// Errors are those of the engine's shutdown and start, such as a failing store; after
// an error no engine runs. Scripts and hooks cannot call it, because they run inside of
// the engine; let After call it at that time.
func (w *World) Crash() error {
	if w.settling {
		return errors.New("enginetest: a script or a hook cannot call Crash; call it from World.After")
	}
	if err := w.Close(); err != nil {
		return err
	}
	if w.own != nil {
		var err error
		if w.own, err = w.own.Reopen(); err != nil {
			return err
		}
	}
	return w.start()
}

// Close stops the world's engine without waiting for anything; closing twice is no
// error. Methods that only read, such as Summarize, still work. A world that is not
// closed keeps nothing but its memory.
func (w *World) Close() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.eng.Shutdown(over); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// checkScript checks once that each answer of the script is for a node that a workflow
// has, because it would otherwise have no effect.
func (w *World) checkScript() error {
	if w.checked {
		return nil
	}
	list, err := w.eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil || len(list) == 0 {
		return err
	}
	known := map[string]bool{}
	for _, wf := range list {
		def, err := w.eng.Definition(context.Background(), wf.ID)
		if err != nil {
			return err
		}
		for _, n := range def.Nodes {
			if n.Type.Action() {
				known[n.ID] = true
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.config.Script)) {
		if !known[strings.TrimSuffix(id, scheduledSuffix)] {
			return fmt.Errorf("enginetest: the script has an answer for %q, but no workflow has such an action node; must be one of %s; create all workflows before time passes",
				id, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	w.checked = true
	return nil
}

// find returns a lead whose workflow is not known.
func (w *World) find(id lead.ID) (lead.Lead, error) {
	list, err := w.eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil {
		return lead.Lead{}, err
	}
	for _, wf := range list {
		l, err := w.eng.Lead(context.Background(), wf.ID, id)
		if !errors.Is(err, lead.ErrNotFound) {
			return l, err
		}
	}
	return lead.Lead{}, &lead.NotFoundError{Kind: "lead", Name: id.String()}
}
