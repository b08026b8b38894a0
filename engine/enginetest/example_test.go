package enginetest_test

import (
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// A month of a thousand leads, without a test around it. Everybody is called;
// who does not pick up is called again a week later.
func ExampleWorld_Summarize() {
	def := &workflow.Definition{
		Name: "Until reached", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil), workflow.Wait("week", 7*24*time.Hour), workflow.End("reached", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "completed", "reached"), workflow.On("call", "default", "week"), workflow.To("week", "call"),
		},
	}
	w, err := enginetest.Open(enginetest.Config{Seed: 1, Script: enginetest.Script{
		"call": enginetest.OneOf(
			enginetest.Weighted(60, enginetest.Outcome("completed").AfterBetween(time.Minute, 5*time.Minute)),
			enginetest.Weighted(40, enginetest.Outcome("no_answer").Taking(30*time.Second))),
	}})
	check(err)
	defer w.Close()
	eng := w.Engine()
	wf, err := eng.CreateWorkflow(ctx, def)
	check(err)
	_, err = eng.EnrollAll(ctx, wf.ID, enginetest.Contacts(1000))
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)

	check(w.Advance(30 * 24 * time.Hour))
	s, err := w.Summarize(wf.ID)
	check(err)
	fmt.Println(s.Outcomes["converted"], "reached with", s.Calls.Made, "calls")
	fmt.Println("half of them within", enginetest.Percentile(s.ToConversion, 0.5).Round(time.Second))
	fmt.Print(def.MermaidTally(&s.Tally))
	// Output:
	// 992 reached with 1627 calls
	// half of them within 4m20s
	// flowchart TD
	//     n0["call<br/>voice_call"]
	//     n1(["week<br/>time<br/>8 leads"])
	//     n2((("reached<br/>converted<br/>992 leads")))
	//     start(( ))
	//     start -->|"1000"| n0
	//     n0 -->|"completed<br/>992"| n2
	//     n0 -->|"default<br/>635"| n1
	//     n1 -->|"627"| n0
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A test gives New its *testing.T. Here something stands in for it that prints
// what the test would say.
func ExampleNew() {
	t := printer{}
	w := enginetest.New(t, enginetest.Config{Seed: 1, Script: enginetest.Script{
		"call": enginetest.Outcome("completed").After(3 * time.Minute),
	}})
	defer w.Close() // a *testing.T does that itself
	wf := w.Activate(t, followUp())
	id := w.Enroll(t, wf, enginetest.Contact(0))
	w.Run(t, time.Minute)
	w.Remove(t, id, engine.Reason("said stop"))
	w.RunToEnd(t)
	w.LeadIs(t, id, lead.Removed)
	w.Path(t, id, "call:completed")
	w.Cancelled(t, id, "wait")
	w.PromisesHold(t)
	fmt.Println("all is as it should be at", w.Now().Format(time.TimeOnly))
	// Output:
	// all is as it should be at 09:03:00
}

// printer is an enginetest.TB.
type printer struct{}

func (printer) Helper()                       {}
func (printer) Logf(string, ...any)           {}
func (printer) Errorf(text string, of ...any) { fmt.Printf(text+"\n", of...) }
func (printer) Fatalf(text string, of ...any) { log.Fatalf(text, of...) }

// Equal worlds write the same bytes, so that a change of a workflow shows in a
// diff.
func ExampleWorld_WriteHistory() {
	play := func(seed uint64) string {
		t := printer{}
		w := enginetest.New(t, enginetest.Config{Seed: seed, Script: enginetest.Script{
			"call": enginetest.Outcome("completed").AfterBetween(time.Minute, 5*time.Minute),
		}})
		defer w.Close()
		w.EnrollMany(t, w.Activate(t, followUp()), 10)
		w.RunToEnd(t)
		var history strings.Builder
		check(w.WriteHistory(&history))
		return history.String()
	}
	first := play(1)
	fmt.Println(strings.Count(first, "\n"), "lines")
	fmt.Println("again:", play(1) == first)
	fmt.Println("with another seed:", play(2) == first)
	// Output:
	// 61 lines
	// again: true
	// with another seed: false
}
