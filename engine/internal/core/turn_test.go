package core

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// callThenWait is a workflow of a call, with two attempts, a wait and an end.
func callThenWait(t *testing.T, status lead.WorkflowStatus) *Flow {
	t.Helper()
	graph, err := workflow.Compile(&workflow.Definition{Name: "call", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Minute)}),
			workflow.Wait("wait", time.Hour), workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.On("call", "default", "wait"), workflow.To("wait", "done")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Flow{Row: store.Workflow{Seq: 1, Status: status}, Graph: graph}
}

// after applies the events one after the other.
func after(t *testing.T, turn *Turn, v View, events ...Event) View {
	t.Helper()
	for _, e := range events {
		next, err := turn.Apply(v, e)
		if err != nil {
			t.Fatalf("%T: %v", e, err)
		}
		v = next
	}
	return v
}

func TestNothingBeginsUnlessAWorkerIsWhatTheLeadNeeds(t *testing.T) {
	turn := &Turn{Now: 1000, Flow: callThenWait(t, lead.WorkflowActive)}
	fresh := after(t, turn, View{Rec: store.Record{Seq: 1}}, Enroll{})
	retrying := after(t, turn, fresh, Begin{}, Answer{Failed: "busy"})
	waiting := after(t, turn, fresh, Begin{}, Answer{Outcome: "completed"})
	for what, v := range map[string]View{
		"one that is called":         after(t, turn, fresh, Begin{}),
		"a retry that is not due":    retrying,
		"a wait":                     waiting,
		"one that is out":            after(t, turn, fresh, Remove{}),
		"an answered call's removal": after(t, turn, fresh, Begin{}, Remove{}, Answer{Outcome: "completed"}),
	} {
		if _, err := turn.Apply(v, Begin{}); !errors.Is(err, ErrNotNow) {
			t.Errorf("%s begins: %v", what, err)
		}
	}
	paused := &Turn{Now: retrying.Rec.Due, Flow: callThenWait(t, lead.WorkflowPaused)}
	if _, err := paused.Apply(retrying, Begin{}); !errors.Is(err, ErrNotNow) {
		t.Errorf("promise 17: a retry begins while the workflow is paused: %v", err)
	}
	if again := after(t, &Turn{Now: retrying.Rec.Due, Flow: turn.Flow}, retrying, Begin{}); !again.Running {
		t.Error("a retry that is due does not begin")
	}
}

func TestAnAttemptWhoseHandlerWasNotCalledIsNotMarkedAsDeliveredAgain(t *testing.T) {
	turn := &Turn{Now: 1000, Flow: callThenWait(t, lead.WorkflowActive)}
	begun := after(t, turn, View{Rec: store.Record{Seq: 1}}, Enroll{}, Begin{})
	unread := after(t, turn, begun, NotCalled{Again: 2000})
	if need := Next(&unread, turn.Flow, 1500); need.Kind != Until || need.At != 2000 {
		t.Errorf("it needs %+v, want to rest until 2000", need)
	}
	turn.Now = 2000
	if again := after(t, turn, unread, Begin{}); again.Notes.Redelivered || !again.Running || again.Rec.Attempt != 1 {
		t.Errorf("nobody was called before, and the attempt is %+v", again)
	}
	crashed := begun
	crashed.Running = false
	if again := after(t, turn, crashed, Begin{}); !again.Notes.Redelivered {
		t.Error("an attempt that a crash interrupted is not marked")
	}
}

func TestMessagesKeepToTheNumberOfVisitsAndTheirSum(t *testing.T) {
	turn := &Turn{Now: 1000, Flow: callThenWait(t, lead.WorkflowActive)}
	begun := after(t, turn, View{Rec: store.Record{Seq: 1}}, Enroll{}, Begin{})
	big := make([]byte, MaxScheduledData/2+1)
	full := begun
	full.Rec.Visits = lead.MaxVisits - 1
	for what, c := range map[string]struct {
		from     View
		schedule []Scheduled
		want     string
	}{
		"visits": {full, []Scheduled{{}, {}}, "steps"},
		"bytes":  {begun, []Scheduled{{Data: big}, {Data: big}}, "bytes"},
		"number": {begun, make([]Scheduled, MaxScheduled+1), "scheduled messages"},
	} {
		turn.Steps, turn.Payloads = nil, nil
		v := after(t, turn, c.from, Answer{Outcome: "completed", Schedule: c.schedule})
		if v.Notes.Messages != nil || len(turn.Payloads) > 0 || v.Rec.Visits > lead.MaxVisits {
			t.Errorf("%s: %d messages wait, %d visits", what, len(v.Notes.Messages), v.Rec.Visits)
		}
		if s := turn.Steps[0]; s.Status != lead.StepFailed || !strings.Contains(string(s.Detail), c.want) {
			t.Errorf("%s: the step is %s, %s", what, s.Status, s.Detail)
		}
	}
}
