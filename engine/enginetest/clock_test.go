package enginetest_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
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
