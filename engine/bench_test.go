package engine_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// BenchmarkSteps runs 20,000 leads through four steps that do nothing, on disk
// with synchronous=FULL. Compare steps/s with BenchmarkCommit of store/sqlite,
// which writes the same rows without an engine.
func BenchmarkSteps(b *testing.B) {
	const leads, steps = 20_000, 4
	for b.Loop() {
		b.StopTimer()
		st, err := sqlite.Open(background, filepath.Join(b.TempDir(), "leads.db"), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		var done atomic.Int64
		last := make(chan struct{})
		nothing := engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) {
			if done.Add(1) == leads*steps {
				close(last)
			}
			return engine.Result{}, nil
		})
		eng, err := engine.New(st, engine.Config{
			Handlers: map[workflow.NodeType]engine.Handler{workflow.Application: nothing},
			Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := eng.Start(background); err != nil {
			b.Fatal(err)
		}
		def := &workflow.Definition{Name: "four steps", Entry: "s1"}
		for i := 1; i <= steps; i++ {
			def.Nodes = append(def.Nodes, workflow.ApplicationNode("s"+strconv.Itoa(i), nil))
			if i > 1 {
				def.Edges = append(def.Edges, workflow.On("s"+strconv.Itoa(i-1), "success", "s"+strconv.Itoa(i)))
			}
		}
		wf, err := eng.CreateWorkflow(background, def)
		if err != nil {
			b.Fatal(err)
		}
		report, err := eng.EnrollAll(background, wf.ID, func(yield func(lead.Contact, error) bool) {
			for i := range leads {
				if !yield(lead.Contact{PhoneNumber: "+1415" + strconv.Itoa(5_000_000+i)}, nil) {
					return
				}
			}
		})
		if err != nil || report.Enrolled != leads {
			b.Fatal(report, err)
		}
		b.StartTimer()
		started := time.Now()
		if _, err := eng.ActivateWorkflow(background, wf.ID); err != nil {
			b.Fatal(err)
		}
		<-last
		if err := eng.Shutdown(background); err != nil { // when the last is on disk
			b.Fatal(err)
		}
		took := time.Since(started)
		b.StopTimer()
		s := eng.Stats()
		if s.LeadsCompleted != leads {
			b.Fatalf("%d leads are completed", s.LeadsCompleted)
		}
		b.ReportMetric(leads*steps/took.Seconds(), "steps/s")
		b.ReportMetric(float64(leads*steps)/float64(s.Commits), "steps/commit")
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
