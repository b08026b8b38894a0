//go:build unix

package engines

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/store"
)

// An engine that was cut off for longer than its lease refuses to answer until it has
// caught up: it does not say of a new workflow that there is none.
func TestAnEngineThatWasAwayCatchesUpBeforeItAnswers(t *testing.T) {
	f := newFleet(t, 1, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	p := newProxy(t, f.url)
	f.url = p.url()
	away := f.engines[f.join()]
	f.spread()
	wf := f.activate(0, callWaitText(time.Hour))
	for range 3 {
		p.set(func() { p.refuse = true })
		p.cut()
		f.until("the engine knows that it is cut off", func() bool {
			_, err := away.Workflow(ctx, wf)
			return errors.Is(err, store.ErrUnavailable)
		})
		made := f.activate(0, callWaitText(time.Hour))
		p.heal()
		f.until("the engine knows the workflow", func() bool {
			for range 1000 {
				_, err := away.Definition(ctx, made)
				switch {
				case err == nil:
					return true
				case !errors.Is(err, store.ErrUnavailable):
					t.Fatal(err)
				}
			}
			return false
		})
	}
}
