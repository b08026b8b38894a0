package model

import (
	"context"
	"errors"
	"io"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
)

// This file has the operations of a trial in which time passes or the process ends.

// clock lets time pass, and follows what is due.
func (w *trial) clock(t *rapid.T) {
	var until time.Time
	next := w.spec.Next()
	switch by := rapid.SampledFrom([]string{
		"next", "just before next", "1ms", "1s", "1m", "10m", "1h", "3h", "25h", "49h",
	}).Draw(t, "by"); by {
	case "next", "just before next":
		if next.IsZero() {
			t.Skip("nothing is due")
		}
		if until = next; by != "next" {
			until = until.Add(-time.Millisecond)
		}
	default:
		d, err := time.ParseDuration(by)
		if err != nil {
			t.Fatal(err)
		}
		until = w.spec.Now.Add(d)
	}
	w.passTo(until, 60)
}

// passTo lets time pass until then, or until so many moments have come at which
// something was due.
func (w *trial) passTo(until time.Time, moments int) {
	for ; moments > 0; moments-- {
		next := w.spec.Next()
		if next.IsZero() || next.After(until) {
			break
		}
		w.sleepTo(next)
		w.settle()
	}
	if moments > 0 {
		w.sleepTo(until)
		w.settle()
	}
}

func (w *trial) sleepTo(at time.Time) {
	time.Sleep(time.Until(at))
	w.spec.Now = time.Now()
}

func (w *trial) crashes(t *rapid.T) {
	down := rapid.SampledFrom([]time.Duration{0, time.Second, 25 * time.Minute, 30 * time.Hour}).Draw(t, "down")
	w.t.Logf("crash, down for %s", down)
	w.tally["crashes"]++
	w.crash(down)
}

// dieAtWhatIsDue has the process die around the commit of what comes due next.
func (w *trial) dieAtWhatIsDue(t *rapid.T) {
	next := w.spec.Next()
	if next.IsZero() {
		t.Skip("nothing is due")
	}
	for l := range w.hooks {
		if l.HookSince.Add(w.spec.HookTimeout).Equal(next) {
			t.Skip("what hooks come to may be in another commit than what else is due")
		}
	}
	f := w.known(rapid.SampledFrom([]fate{fateLostBefore, fateLostAfter}).Draw(t, "fate"))
	w.gate.doom(f)
	w.sleepTo(next)
	synctest.Wait()
	if w.gate.doom(fatePass) == f {
		w.settle() // there was nothing to write
		return
	}
	w.t.Logf("what was due %s", f)
	w.dies(f)
}

// known is the fate, or a similar one of which it can be known what has counted for limits.
func (w *trial) known(f fate) fate {
	if w.limits && f == fateLostAfter {
		return fateLostBefore
	}
	return f
}

// dies has the model follow a process that died around a commit.
func (w *trial) dies(f fate) {
	w.t.Helper()
	w.tally["deaths around a commit"]++
	if w.doubt = f == fateLostAfter; w.doubt {
		w.spec.Pass()
	}
	w.crash(0)
}

// shutDown shuts the engine down: no handler is cancelled (promise 3), and nothing
// begins any more.
func (w *trial) shutDown(t *rapid.T) {
	w.spec.Draining = true
	done := make(chan error, 1)
	go func() { done <- w.eng.Shutdown(context.Background()) }()
	w.settle()
	w.promises.check(w)
	for len(w.calls)+len(w.hooks) > 0 {
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned %v while a handler or a hook ran", err)
		default:
		}
		for _, l := range heldLeads(w, w.calls) {
			w.answer(l, w.drawAnswer(l, false))
		}
		for _, l := range heldLeads(w, w.hooks) {
			w.answerHook(l, drawHookAnswer(t))
		}
		w.settle()
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("Shutdown: %v", err)
		}
	default:
		t.Fatal("Shutdown does not return, though nothing runs")
	}
	if err := w.eng.Health(context.Background()); !errors.Is(err, engine.ErrNotRunning) {
		t.Fatalf("an engine that was shut down answers %v", err)
	}
	w.close()
	w.gone()
	w.spec.Restart()
	w.start()
	w.settle()
}

// secondOwner: promise 12.
func (w *trial) secondOwner(t *rapid.T) {
	if w.backend.locked == nil {
		t.Skip("nobody else could open it")
	}
	second, err := w.open()
	if err == nil {
		defer second.(io.Closer).Close()
	}
	if !errors.Is(err, w.backend.locked) {
		t.Fatalf("a second owner is answered %v", err)
	}
}
