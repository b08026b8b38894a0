package engines

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// Workflows that change all the time hold up no engine: the others take note, and what
// they decide meanwhile is not refused for good.
func TestWorkflowsThatChangeHoldUpNoEngine(t *testing.T) {
	f := newFleet(t, 2, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	wf := f.activate(0, callWaitText(time.Millisecond))
	done := make(chan struct{})
	var busy sync.WaitGroup
	for range 8 {
		busy.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				def := callWaitText(time.Millisecond)
				if _, err := f.engines[0].CreateWorkflow(ctx, def); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var enrolling sync.WaitGroup
	for i := range 300 {
		enrolling.Go(func() {
			if _, err := f.engines[1].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err != nil {
				t.Error(fmt.Errorf("person %d: %w", i, err))
			}
		})
		if i%20 == 19 {
			enrolling.Wait()
		}
	}
	close(done)
	busy.Wait()
}
