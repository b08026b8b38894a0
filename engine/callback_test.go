package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

func TestPromise8AnEmptyOutcomeIsTheGoodOneLaterToo(t *testing.T) {
	for _, hooks := range [][]engine.Hook{nil, {{Name: "slow", Run: func(context.Context, engine.HookEvent) error {
		time.Sleep(time.Second)
		return nil
	}}}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("c"), nil }, hooks...)
			l := w.enroll(w.callOnce(), "+14155552671")
			synctest.Wait()
			id := w.history(l)[0].ID
			say := func(outcome string) error {
				_, err := w.eng.CompleteStep(context.Background(), id, engine.Callback{Outcome: outcome})
				return err
			}
			if err := say("no_answer"); err != nil {
				t.Fatal(err)
			}
			for range 2 { // while the hooks run, and after
				if err := say("no_answer"); err != nil {
					t.Errorf("the same outcome again: %v", err)
				}
				if err := say("completed"); !errors.Is(err, lead.ErrStepFinished) {
					t.Errorf("another outcome: %v", err)
				}
				if err := say(""); !errors.Is(err, lead.ErrStepFinished) {
					t.Errorf("no outcome, which means completed: %v", err)
				}
				time.Sleep(2 * time.Second)
			}
		})
	}
}
