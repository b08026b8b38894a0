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
	"github.com/leadflow-go/leadflow/store"
)

// slowReads is a store whose next read of contacts takes until goOn is closed.
type slowReads struct {
	store.Store
	armed atomic.Bool
	goOn  chan struct{}
}

func (s *slowReads) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	if s.armed.Swap(false) {
		<-s.goOn
	}
	return s.Store.Contacts(ctx, seqs)
}

// The goroutine of a handler may be so late, because the machine is busy or the
// disk is slow, that the deadline of its attempt has passed before it runs.
func TestPromise2AHandlerThatIsTooLateIsNotCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.enroll(w.activate([]workflow.Node{
			workflow.Wait("wait", time.Hour), workflow.CallNode("call", nil).WithTimeout(time.Minute),
			workflow.Wait("rest", 48*time.Hour), workflow.End("done", workflow.Converted),
		}, workflow.To("wait", "call"), workflow.On("call", "failed", "rest"), workflow.To("rest", "done")), phone)
		// An engine that has not seen the lead reads its contact when its call begins.
		if err := w.eng.Shutdown(background); err != nil {
			t.Fatal(err)
		}
		slow := &slowReads{Store: w.store, goOn: make(chan struct{})}
		var err error
		if w.eng, err = engine.New(slow, w.config); err != nil {
			t.Fatal(err)
		}
		if err := w.eng.Start(background); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		slow.armed.Store(true)
		w.pass(2 * time.Hour)
		if slow.armed.Load() {
			t.Fatal("nobody read the contact")
		}
		w.expectSteps(l, "wait=completed call=failed rest=waiting")
		if got := w.remove(l).State; got != lead.Removed {
			t.Errorf("Remove answered %s", got)
		}
		close(slow.goOn)
		synctest.Wait()
		if n := len(w.seen()); n != 0 {
			t.Errorf("%d handlers were called after the lead was removed", n)
		}
	})
}
