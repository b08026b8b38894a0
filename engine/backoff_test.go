package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/store/faulty"
)

// A store that fails is given time to recover, however many callers press: what
// they ask for waits as everything else does.
func TestARequestDoesNotCutShortTheRestAfterAFailedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newFaulty(t, nil, nil)
		wf := w.waitThenCall(time.Hour)
		s.Inject(faulty.Fault{Method: faulty.Commit, Times: faulty.Always, Err: errors.New("disk full")})
		before := s.Count(faulty.Commit)
		const seconds, callers = 10, 100
		for i := range callers {
			go func() { _, _ = w.eng.Enroll(background, wf, person(i)) }()
			time.Sleep(seconds * time.Second / callers)
		}
		// 50 ms, doubled at each failure up to 5 s: nine or so in ten seconds.
		if n := s.Count(faulty.Commit) - before; n < 3 || n > 12 {
			t.Errorf("%d callers in %d seconds had the failing store tried %d times", callers, seconds, n)
		}
		s.Clear()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n, err := w.eng.CountLeads(background, wf, engine.LeadFilter{}); err != nil || n == 0 {
			t.Errorf("once the store is well %d are enrolled, %v", n, err)
		}
	})
}
