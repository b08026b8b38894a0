package enginetest_test

import (
	"fmt"
	"log"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
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
