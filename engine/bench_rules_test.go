//go:build linux

package engine_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// BenchmarkRules runs 20,000 leads through four steps in a file with a million suppressed
// people, with calling hours, limits and exits that let everybody pass, and as many without
// any of it in another file, in turns.
func BenchmarkRules(b *testing.B) {
	hours := workflow.CallingHours{Windows: []workflow.Window{{
		Days: []workflow.Day{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, From: "00:00", To: "24:00",
	}}}
	limits := []workflow.Limit{{InFlight: 1_000_000}, {Starts: 1_000_000, Per: workflow.Duration(time.Second)}}
	perPerson := workflow.Limit{PerContact: 1000, Per: workflow.Duration(24 * time.Hour)}
	exits := []workflow.Exit{{Signal: "paid", Outcome: "converted"}}
	for _, bm := range []struct {
		name  string
		rules func(*workflow.Definition)
	}{
		{"hours, limits and exits", func(d *workflow.Definition) { d.CallingHours, d.Limits, d.Exits = &hours, limits, exits }},
		{"hours", func(d *workflow.Definition) { d.CallingHours = &hours }},
		{"limits", func(d *workflow.Definition) { d.Limits = limits }},
		{"a limit for each person", func(d *workflow.Definition) { d.Limits = []workflow.Limit{perPerson} }},
		{"all of it", func(d *workflow.Definition) {
			d.CallingHours, d.Limits, d.Exits = &hours, append(limits[:len(limits):len(limits)], perPerson), exits
		}},
	} {
		b.Run(bm.name, func(b *testing.B) { rulesInTurns(b, bm.rules) })
	}
}

func rulesInTurns(b *testing.B, rules func(*workflow.Definition)) {
	b.Helper()
	const leads, suppressed = 20_000, 1_000_000
	var rigs [2]*rig // without, with
	for i := range rigs {
		rigs[i] = openRig(b, filepath.Join(b.TempDir(), fmt.Sprint(i, ".db")), noop)
		defer rigs[i].close(b)
		rigs[i].start(b)
	}
	report, err := rigs[1].SuppressAll(background, func(yield func(engine.Suppress, error) bool) {
		for i := range suppressed {
			if !yield(engine.Suppress{PhoneNumber: fmt.Sprintf("+4930%08d", i)}, nil) {
				return
			}
		}
	})
	if err != nil || report.Added != suppressed {
		b.Fatal(report, err)
	}
	next := 0
	var took [2]time.Duration
	round := func(i int) {
		r, def := rigs[i], inSteps(benchSteps)
		if i == 1 {
			rules(def)
		}
		wf := r.create(b, def)
		r.enroll(b, wf, next, leads)
		completed, last := 0, make(chan struct{})
		r.store.committed = func(batch *store.Batch) {
			for i := range batch.Changes {
				if batch.Changes[i].After.State == lead.Completed {
					completed++
				}
			}
			if completed == leads {
				close(last)
				completed++
			}
		}
		began := time.Now()
		r.activate(b, wf)
		<-last
		took[i] += time.Since(began)
	}
	for b.Loop() {
		for _, i := range []int{0, 1, 1, 0} {
			round(i)
		}
		next += leads
	}
	n := float64(2 * b.N * leads * benchSteps)
	b.ReportMetric(n/took[0].Seconds(), "steps/s")
	b.ReportMetric(n/took[1].Seconds(), "steps/s-with-rules")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "ratio")
}
