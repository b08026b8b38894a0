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

// Config sets a World up. The zero value works: everything succeeds at once.
type Config struct {
	// Seed decides all that is left to chance, ids among it. Two worlds of the
	// same seed to which the same happens have the same history, byte for byte.
	Seed uint64
	// Start is the time at which the world begins, of which what is less than a
	// millisecond is left out. Default: [DefaultStart].
	Start time.Time
	// Script says what comes of the attempts at each node. A node that no workflow
	// has is an error when time is to pass, because a misspelled one would change
	// nothing: make all workflows first.
	Script Script
	// Engine is for the engine under test. A handler given here, or to World.Handle,
	// is called for the nodes that name it, but for those that the script has an
	// answer for. The clock must be left to the world. Default of the logger: nothing
	// is logged.
	Engine engine.Config
	// Store is the store under the engine, which stays the caller's to close.
	// Default: one of the world's own, in memory.
	Store store.Store
}

// DefaultStart is a Monday morning.
var DefaultStart = time.Date(2030, time.January, 7, 9, 0, 0, 0, time.UTC)

// World is an engine, time that passes when told to, and people who answer as
// scripted. One goroutine at a time may use it.
//
// A store that fails ends nothing: the engine tries again later, and so does a
// callback of the script, after a second of the world's time and then less and
// less often, at least once an hour.
type World struct {
	config Config
	clock  *clock
	own    *memory.Store // in place of Config.Store
	eng    *engine.Stepped
	nodes  map[nodeKey]*node
	people int // whom EnrollMany has enrolled
	// handlers are the real ones, by name; nil for a name whose nodes are scripted.
	handlers map[string]engine.Handler

	checked bool  // the script names nodes that ask it
	failed  error // what went wrong while time passed
	moving  bool
	// settling: the engine turns, and may call scripts and hooks.
	settling bool
	// spoken says which handlers were called for leads that were final.
	spoken []string
}

// Open returns a world without any workflow of its own; Config.Store may have
// some. Tests call [New]. Its errors are a Config.Engine.Clock, and those of
// [engine.NewStepped] and of the engine's Start.
func Open(c Config) (*World, error) {
	if c.Engine.Clock != nil {
		return nil, errors.New("enginetest: the clock is the world's; leave Config.Engine.Clock unset")
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

// Handle has a handler called for the nodes that name it, as Config.Engine.Handlers
// does. It is for handlers that need the engine to be made, and is refused when
// there is a handler of that name.
func (w *World) Handle(name string, h engine.Handler) error {
	if w.handlers[name] != nil {
		return fmt.Errorf("enginetest: handler %q is registered already", name)
	}
	if h == nil {
		return fmt.Errorf("enginetest: handler %q is nil", name)
	}
	return w.handle(name, h)
}

// script has the nodes of a workflow scripted for whose handlers there is none.
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

// Engine returns the engine, for everything that an engine can do. After Crash
// it is another one.
func (w *World) Engine() *engine.Stepped { return w.eng }

// Now returns the world's time.
func (w *World) Now() time.Time { return w.clock.Now() }

// Clock returns the world's clock, for code under test that needs one. Any number
// of goroutines may use it. What its AfterFunc is given is not called on a
// goroutine of its own but inside of Advance, as with [World.After].
func (w *World) Clock() engine.Clock { return w.clock }

// After has f called when so much time has passed, between two steps of the
// engine, on the goroutine that lets time pass and before that goes on; f may do
// anything but let time pass itself. A d below 0 is 0.
func (w *World) After(d time.Duration, f func()) { w.clock.AfterFunc(d, f) }

// Advance lets so much time pass, and everything happen that is due by then.
// The clock jumps from one due time to the next. With 0, or less, everything
// happens that can happen now.
//
// It fails, and time stands still where that is so, when the script names a node
// that no workflow has or that has a handler; when a callback of the script is
// refused as invalid, which matches lead.ErrInvalid and is reported once; when it
// is called by something that happens in the world; and after Close, which
// matches engine.ErrNotRunning.
func (w *World) Advance(d time.Duration) error {
	until := w.clock.Now().Add(max(d, 0))
	idle, err := w.advance(until)
	if idle {
		w.clock.move(until)
	}
	return err
}

// Finish lets time pass until nothing is due any more, but no longer than d. It
// reports whether that was enough; if so, it is the time at which the last thing
// happened. Its errors, and a d below 0, are as with Advance.
func (w *World) Finish(d time.Duration) (done bool, err error) {
	return w.advance(w.clock.Now().Add(max(d, 0)))
}

// advance moves the clock to until, or reports that nothing is due any more and
// leaves it where it is.
func (w *World) advance(until time.Time) (idle bool, err error) {
	if w.moving {
		return false, errors.New("enginetest: time cannot pass inside of what happens at one time")
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

// Crash ends the engine as the end of its process would, and starts another on
// the same store. The people go on as scripted: callbacks that are under way,
// and what After was given, come to the new engine. What handlers came to that
// had not returned yet is lost.
//
// Its errors are those of the engine's end and of its start, such as a store that
// fails; after one the world has no engine that runs. Scripts and hooks, which are
// part of what would end, cannot call it; have After call it at that time.
func (w *World) Crash() error {
	if w.settling {
		return errors.New("enginetest: a script or a hook cannot end the engine that calls it; have World.After do it")
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

// Close ends the world's engine, without letting anything come to its end; to
// close twice is no error. What only reads, such as Summarize, works as before. A
// world that is not closed holds memory, and nothing else.
func (w *World) Close() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.eng.Shutdown(over); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// checkScript looks once whether each answer of the script is for a node that a
// workflow has, since another would change nothing.
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
			return fmt.Errorf("enginetest: the script has an answer for %q, and no workflow has such an action node; there are %s; make all workflows before time passes",
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
