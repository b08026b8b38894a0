package enginetest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/faulty"
	"github.com/leadflow-go/leadflow/store/memory"
)

// A provider whose callback meets a store that fails sends it again.
func TestACallbackIsSentAgainUntilItArrives(t *testing.T) {
	st := faulty.New(memory.New())
	w := enginetest.New(t, enginetest.Config{Store: st, Script: enginetest.Script{"call": enginetest.Outcome("completed").After(time.Minute)}})
	wf := w.Activate(t, followUp())
	id := w.Enroll(t, wf, ada)
	w.Run(t, 0)
	st.Inject(faulty.Fault{Method: faulty.Commit, Times: faulty.Always, Err: errors.New("disk full")})
	w.Run(t, 2*time.Minute)
	if tries := st.Count(faulty.Commit); tries < 3 || tries > 30 {
		t.Errorf("%d commits were tried", tries)
	}
	w.LeadIs(t, id, lead.InStep)
	st.Clear()
	w.Run(t, 5*time.Minute)
	w.At(t, id, "wait")
	w.Path(t, id, "call:completed", "wait")
	w.PromisesHold(t)
}

// An outcome that the engine refuses is a fault of the script, and no reason to
// fail for ever.
func TestAnOutcomeThatIsRefusedEndsTheRunOnce(t *testing.T) {
	w, wf := world(t, enginetest.Script{"call": enginetest.Outcome(strings.Repeat("x", 1000)).After(time.Minute)})
	id := w.Enroll(t, wf, ada)
	if err := w.Advance(day); !errors.Is(err, lead.ErrInvalid) || !strings.Contains(err.Error(), "callback") {
		t.Errorf("%v", err)
	}
	if d := w.Now().Sub(enginetest.DefaultStart); d != time.Minute {
		t.Errorf("the run ended after %s", d)
	}
	w.Run(t, day)
	w.Path(t, id, "call:failed", "lost")
}
