package enginetest_test

import (
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/store/memory"
)

// A store may have a past: a second world begins where another one ended.
func TestASummaryOfAWorldLeavesOutWhatWasBeforeIt(t *testing.T) {
	st := memory.New()
	script := enginetest.Script{"call": enginetest.Outcome("completed").After(2 * time.Hour)}
	w := enginetest.New(t, enginetest.Config{Store: st, Script: script})
	wf := w.Activate(t, followUp())
	w.EnrollMany(t, wf, 3)
	w.Run(t, time.Minute)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	// Half a millisecond more: times of the engine are whole ones.
	start := w.Now().Add(59*time.Minute + 500*time.Microsecond)
	w = enginetest.New(t, enginetest.Config{Store: st, Script: script, Start: start})
	w.Enroll(t, wf, ada)
	w.RunToEnd(t)
	s, err := w.Summarize(wf)
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Calls; c.Made != 4 || len(c.PerHour) != 1 || c.PerHour[0] != 1 || len(c.AtOncePerDay) != 1 || c.AtOncePerDay[0] != 1 ||
		c.MostAtOnce != 1 || !c.MostAt.Equal(start.Truncate(time.Millisecond)) {
		t.Errorf("%+v", c)
	}
}
