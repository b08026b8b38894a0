package enginetest_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/lead"
)

// Code under test may use the clock on goroutines of its own, as engine.Clock
// has it; the race detector looks on.
func TestTheClockMayBeUsedByManyGoroutines(t *testing.T) {
	w := enginetest.New(t, enginetest.Config{})
	var rung atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 100 {
				stop := w.Clock().AfterFunc(time.Duration(i)*time.Second, func() { rung.Add(1) })
				if w.Clock().Now().Before(enginetest.DefaultStart) {
					t.Error("time went back")
				}
				if i%2 == 0 && stop() {
					rung.Add(1)
				}
			}
		})
	}
	for range 50 {
		w.Run(t, time.Second)
	}
	all.Wait()
	w.Run(t, time.Hour)
	if n := rung.Load(); n != 400 {
		t.Errorf("%d calls were made or stopped, want 400", n)
	}
}

// Time does not go back, and what can happen now does.
func TestANegativeTimeIsNone(t *testing.T) {
	w, wf := world(t, nil)
	id := w.Enroll(t, wf, ada)
	w.Run(t, -day)
	w.At(t, id, "wait")
	if done, err := w.Finish(-day); done || err != nil || !w.Now().Equal(enginetest.DefaultStart) {
		t.Errorf("%v, %v, it is %s", done, err, w.Now())
	}
}

func TestNoTimePassesInAWorldThatIsClosed(t *testing.T) {
	w, wf := world(t, nil)
	w.Enroll(t, wf, ada)
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Advance(day); !errors.Is(err, engine.ErrNotRunning) || !w.Now().Equal(enginetest.DefaultStart) {
		t.Errorf("%v, it is %s", err, w.Now())
	}
	if s, err := w.Summarize(wf); err != nil || s.Leads != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := w.Summarize(lead.WorkflowID{}); !errors.Is(err, lead.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
