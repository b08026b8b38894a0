package enginetest_test

import (
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// One step of a lead is in flight at a time: a message that comes due beside a
// call whose retry is queued is sent after the call, and a call that comes due
// while a message is sent begins after the message.
func TestCompleteMeansTheOneStepThatIsInFlight(t *testing.T) {
	def := &workflow.Definition{
		Name: "Three calls", Entry: "first",
		Nodes: []workflow.Node{
			workflow.CallNode("first", nil), workflow.Wait("wait", 2*time.Hour),
			workflow.CallNode("second", nil).WithTimeout(day).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(5 * time.Hour)}),
			workflow.Wait("rest", time.Minute), workflow.CallNode("third", nil), workflow.End("won", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("first", "default", "wait"), workflow.To("wait", "second"), workflow.On("second", "default", "rest"),
			workflow.To("rest", "third"), workflow.On("third", "default", "won"),
		},
	}
	w := enginetest.New(t, enginetest.Config{Script: enginetest.Script{
		"first":         enginetest.Outcome("completed").Schedule(engine.Message{After: 3 * time.Hour}),
		"first+message": enginetest.NeverCalls(),
		"second":        enginetest.Fail("line busy"),
		"third":         enginetest.NeverCalls(),
	}})
	id := w.Enroll(t, w.Activate(t, def), ada)
	w.Run(t, 3*time.Hour)
	w.Complete(t, id, engine.Callback{Outcome: "second"})
	w.Run(t, 2*time.Minute)
	w.Complete(t, id, engine.Callback{Outcome: "message"})
	w.Path(t, id, "first", "wait", "second:second", "rest", "third")
	w.Run(t, 0)
	w.Complete(t, id, engine.Callback{Outcome: "third"})
	w.Path(t, id, "first", "wait", "second:second", "rest", "third:third", "won")
	if s := w.History(t, id)[1]; !s.Scheduled || s.Outcome != "message" {
		t.Errorf("%+v", s)
	}
}

func TestEnrollManyGoesOnWhereItEnded(t *testing.T) {
	w, wf := world(t, nil)
	ids := append(w.EnrollMany(t, wf, 3), w.EnrollMany(t, wf, 2)...)
	for i, id := range ids {
		if got, want := w.Lead(t, id).PhoneNumber, enginetest.Contact(i).PhoneNumber; got != want {
			t.Errorf("lead %d is %s, want %s", i, got, want)
		}
	}
}
