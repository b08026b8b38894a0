package enginetest_test

import (
	"flag"
	"strconv"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// With a million leads:
//
//	go test ./engine/enginetest -run xxx -bench Simulate -benchtime 1x -sim.leads 1000000 -timeout 30m
var benchLeads = flag.Int("sim.leads", 20_000, "how many leads BenchmarkSimulate has")

// BenchmarkSimulate runs many leads through four steps. Enrolling them is not in
// the figures.
func BenchmarkSimulate(b *testing.B) {
	const steps = 4
	for _, c := range []struct {
		name   string
		answer enginetest.Answer
		rest   time.Duration
		node   func(id string, config workflow.Config) workflow.Node
	}{
		// One step after the other at the same time: what the engine itself can do.
		{"at once", enginetest.Outcome("success"), 0, workflow.ApplicationNode},
		// Live calls with callbacks of their own and a day between them, so that
		// nearly every commit has one change in it.
		{"calls over days", enginetest.Outcome("success").AfterBetween(time.Second, 8*time.Hour), 24 * time.Hour, workflow.CallNode},
	} {
		b.Run(c.name, func(b *testing.B) {
			def, script := &workflow.Definition{Name: "four steps", Entry: "s1"}, enginetest.Script{}
			for i := 1; i <= steps; i++ {
				id, last := "s"+strconv.Itoa(i), "s"+strconv.Itoa(i-1)
				script[id] = c.answer
				def.Nodes = append(def.Nodes, c.node(id, nil).WithTimeout(24*time.Hour))
				switch {
				case i == 1:
				case c.rest == 0:
					def.Edges = append(def.Edges, workflow.On(last, "success", id))
				default:
					def.Nodes = append(def.Nodes, workflow.Wait("w"+last, c.rest))
					def.Edges = append(def.Edges, workflow.On(last, "success", "w"+last), workflow.To("w"+last, id))
				}
			}
			for b.Loop() {
				b.StopTimer()
				w, err := enginetest.Open(enginetest.Config{Seed: 1, Script: script})
				if err != nil {
					b.Fatal(err)
				}
				wf, err := w.Engine().CreateWorkflow(ctx, def)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if _, err := w.Engine().EnrollAll(ctx, wf.ID, enginetest.Contacts(*benchLeads)); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(*benchLeads)/time.Since(began).Seconds(), "enrolled/s")
				b.StartTimer()
				began = time.Now()
				if _, err := w.Engine().ActivateWorkflow(ctx, wf.ID); err != nil {
					b.Fatal(err)
				}
				w.RunToEnd(b)
				took := time.Since(began)
				b.StopTimer()
				if done, err := w.Engine().CountLeads(ctx, wf.ID, engine.LeadFilter{States: []lead.State{lead.Completed}}); err != nil || done != int64(*benchLeads) {
					b.Fatalf("%d leads are completed, %v", done, err)
				}
				b.ReportMetric(float64(*benchLeads*steps)/took.Seconds(), "steps/s")
				b.ReportMetric(float64(*benchLeads*steps)/float64(w.Engine().Stats().Commits), "steps/commit")
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
