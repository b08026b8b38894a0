package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestShutdownReachesAHandlerWhoseStepIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := make(chan error, 1)
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			select {
			case <-ctx.Done():
				cut <- context.Cause(ctx)
			case <-time.After(24 * time.Hour):
				cut <- nil
			}
			return engine.Result{}, nil
		})
		l := w.enroll(w.callOnce(), "+14155552671")
		synctest.Wait()
		if _, err := w.eng.CompleteStep(context.Background(), w.history(l)[0].ID, engine.Callback{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.eng.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v while a handler ran", err)
		}
		if err := <-cut; !errors.Is(err, engine.ErrShutdown) {
			t.Errorf("the handler was told %v", err)
		}
	})
}

func TestWorkersBoundsHandlersWhoseStepsAreOverToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			time.Sleep(time.Minute)
			return engine.Result{}, nil
		})
		w.refit(func(c *engine.Config) { c.Workers = 1 })
		wf := w.callOnce()
		first := w.enroll(wf, "+14155552671")
		second := w.enroll(wf, "+14155552672")
		synctest.Wait()
		if _, err := w.eng.CompleteStep(context.Background(), w.history(first)[0].ID, engine.Callback{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(w.seen()); n != 1 {
			t.Errorf("%d handlers run at the same time, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.expectState(second, lead.Completed)
	})
}

func TestPromise4ADeadlinePassesWhileARedeliveryWaitsForAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
			return engine.Result{}, nil
		})
		first := w.enroll(w.callOnce(func(n workflow.Node) workflow.Node { return n.WithTimeout(2 * time.Hour) }), "+14155552671")
		second := w.enroll(w.callOnce(func(n workflow.Node) workflow.Node { return n.WithTimeout(time.Minute) }), "+14155552672")
		synctest.Wait()
		w.config.Workers = 1
		w.crash()
		synctest.Wait()
		if n := len(w.seen()); n != 3 {
			t.Fatalf("%d handlers were called, want 2 and 1", n)
		}
		r := w.remove(second)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		select {
		case <-r.Done():
		default:
			t.Error("the removal still waits, a second after the step's deadline")
		}
		w.expectState(first, lead.InStep)
		time.Sleep(2 * time.Hour)
	})
}

func TestTwoShutdownsOfAnEngineThatNeverStarted(t *testing.T) {
	w := newWorld(t, nil)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20_000 {
		eng, err := engine.New(w.store, w.config)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		for range 2 {
			go func() {
				eng.Shutdown(over)
				done <- struct{}{}
			}()
		}
		<-done
		<-done
	}
}
