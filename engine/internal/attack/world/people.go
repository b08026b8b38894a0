package world

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Phone is somebody's number.
const Phone = "+14155552671"

// ErrDisk is the error of a store with a fault.
var ErrDisk = errors.New("the disk is gone")

// ErrBusy is the error of a handler whose attempt failed.
var ErrBusy = errors.New("busy")

// Person returns the i-th of many contacts.
func Person(i int) lead.Contact {
	return lead.Contact{PhoneNumber: fmt.Sprintf("+1415%07d", 2000000+i)}
}

// People yields n contacts from the i-th on.
func People(i, n int) iter.Seq2[lead.Contact, error] {
	return func(yield func(lead.Contact, error) bool) {
		for k := range n {
			if !yield(Person(i+k), nil) {
				return
			}
		}
	}
}

// LiveCall is a handler whose calls stay in flight until a callback, and whose
// messages succeed.
func LiveCall(_ context.Context, a engine.Attempt) (engine.Result, error) {
	if a.Node.Type == workflow.VoiceCall {
		return engine.InFlight("call-" + a.Contact.PhoneNumber), nil
	}
	return engine.Result{}, nil
}

// CallOnce is a workflow of one call, which change may change.
func CallOnce(change ...func(n workflow.Node) workflow.Node) ([]workflow.Node, []workflow.Edge) {
	call := workflow.CallNode("call", nil)
	for _, f := range change {
		call = f(call)
	}
	return []workflow.Node{call, workflow.End("done", workflow.Converted)},
		[]workflow.Edge{workflow.On("call", workflow.DefaultLabel, "done")}
}

// CallOnce activates the workflow of one call.
func (w *World) CallOnce(change ...func(n workflow.Node) workflow.Node) lead.WorkflowID {
	w.Helper()
	nodes, edges := CallOnce(change...)
	return w.Activate(nodes, edges...)
}

// WaitThenCall activates a workflow of a wait and a call.
func (w *World) WaitThenCall(d time.Duration) lead.WorkflowID {
	w.Helper()
	nodes, edges := CallOnce()
	return w.Activate(append([]workflow.Node{workflow.Wait("wait", d)}, nodes...), append(edges, workflow.To("wait", "call"))...)
}

// CallWaitMessage activates a workflow of a call, two days, and a message.
func (w *World) CallWaitMessage() lead.WorkflowID {
	w.Helper()
	return w.Activate([]workflow.Node{
		workflow.CallNode("call", nil), workflow.Wait("wait", 48*time.Hour), workflow.MessageNode("text", nil),
		workflow.End("done", workflow.Converted),
	}, workflow.On("call", "completed", "wait"), workflow.To("wait", "text"), workflow.On("text", "success", "done"))
}
