package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Imports that never let up leave room for the steps of others.
func TestAnImportDoesNotStarveSteps(t *testing.T) {
	const imports = 4
	rows := crowdOf(20_000)
	synctest.Test(t, func(t *testing.T) {
		var done, doneAtCall atomic.Int64
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			doneAtCall.Store(done.Load())
			return engine.Result{}, nil
		})
		nodes, edges := callOnce()
		draft := w.draft(nodes, edges...)
		active := w.callOnce()
		enrolled := make(chan error, 1)
		over := make(chan error, imports)
		for i := range imports {
			go func() {
				_, err := w.eng.EnrollAll(context.Background(), draft, people(i*rows, rows),
					engine.OnRow(func(row int, _ lead.ID, err error) {
						if done.Add(1) == int64(rows/2) {
							go func() {
								_, err := w.eng.Enroll(context.Background(), active, lead.Contact{PhoneNumber: "+14155552671"})
								enrolled <- err
							}()
						}
						if err != nil {
							t.Error(err)
						}
					}))
				over <- err
			}()
		}
		for range imports {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		if err := <-enrolled; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if at := doneAtCall.Load(); at == 0 || at > int64(imports*rows*3/4) {
			t.Errorf("a lead that was enrolled after %d rows was called after %d of %d", rows/2, at, imports*rows)
		}
	})
}

func TestWorkersThatAllReturnAtOnceAreUsedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) {
			calls.Add(1)
			time.Sleep(time.Minute)
			return engine.Result{}, nil
		})
		w.enrollMany(w.callOnce(), 0, 3000) // with 1000 workers, three minutes of work
		for minute := range 3 {
			synctest.Wait()
			if got, want := calls.Load(), int64(minute+1)*1000; got != want {
				t.Errorf("%d handlers were called after %d minutes, want %d", got, minute, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestMoreWorkersThanLeadsAreReadAtOnce(t *testing.T) {
	crowd := crowdOf(5000)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			if a.Node.Type == workflow.VoiceCall {
				time.Sleep(time.Hour)
			}
			return engine.Result{}, nil
		})
		w.refit(func(c *engine.Config) { c.Workers = 6000 })
		w.enrollMany(w.callOnce(func(n workflow.Node) workflow.Node { return n.WithTimeout(2 * time.Hour) }), 0, crowd)
		synctest.Wait()
		if got := w.eng.Stats().Running; got != crowd {
			t.Fatalf("%d handlers run, want %d", got, crowd)
		}
		draft := w.draft([]workflow.Node{workflow.MessageNode("text", nil), workflow.End("done", workflow.Converted)},
			workflow.On("text", workflow.DefaultLabel, "done"))
		l := w.enroll(draft, "+14155552671")
		if _, err := w.eng.ActivateWorkflow(context.Background(), draft); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expectState(l, lead.Completed)
		time.Sleep(2 * time.Hour)
	})
}
