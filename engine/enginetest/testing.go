package enginetest

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// TB is the part of *testing.T that this package needs. So other test frameworks can be
// used, and programs that are not tests need not link package testing.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// New returns a world for a test. It ends the test if that fails, and closes the world
// when the test ends.
func New(t TB, c Config) *World {
	t.Helper()
	w, err := Open(c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if c, ok := t.(interface{ Cleanup(func()) }); ok {
		c.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Errorf("enginetest: Close: %v", err)
			}
		})
	}
	return w
}

// The methods below end the test when the engine returns an error.

// Activate creates a workflow of the definition and activates it.
func (w *World) Activate(t TB, def *workflow.Definition) lead.WorkflowID {
	t.Helper()
	wf, err := w.eng.CreateWorkflow(context.Background(), def)
	if err == nil {
		err = w.script(wf.ID)
	}
	if err == nil {
		_, err = w.eng.ActivateWorkflow(context.Background(), wf.ID)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return wf.ID
}

// Enroll enrolls a contact. The lead's first step starts when time passes, even with
// Run(t, 0).
func (w *World) Enroll(t TB, wf lead.WorkflowID, c lead.Contact) lead.ID {
	t.Helper()
	l, err := w.eng.Enroll(context.Background(), wf, c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return l.ID
}

// EnrollMany enrolls n made-up people, as [Contact] returns them, other ones at each
// call, and returns the ids of their leads in order. A contact that is refused fails
// the test, and has the zero id.
func (w *World) EnrollMany(t TB, wf lead.WorkflowID, n int) []lead.ID {
	t.Helper()
	ids := make([]lead.ID, 0, n)
	defer func() { w.people += n }()
	_, err := w.eng.EnrollAll(context.Background(), wf, contacts(w.people, n), engine.OnRow(func(row int, id lead.ID, err error) {
		if err != nil {
			t.Errorf("contact %d: %v", row, err)
		}
		ids = append(ids, id)
	}))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return ids
}

// Contact returns a made-up person for each number, from 0. The area code of their
// phone numbers, 555, is not in use.
func Contact(number int) lead.Contact {
	return lead.Contact{PhoneNumber: "+1" + strconv.Itoa(5_550_000_000+number)}
}

// Contacts returns the first n people of [Contact].
func Contacts(n int) iter.Seq2[lead.Contact, error] { return contacts(0, n) }

func contacts(first, n int) iter.Seq2[lead.Contact, error] {
	return func(yield func(lead.Contact, error) bool) {
		for i := range n {
			if !yield(Contact(first+i), nil) {
				return
			}
		}
	}
}

// Run is Advance, whose error ends the test.
func (w *World) Run(t TB, d time.Duration) {
	t.Helper()
	if err := w.Advance(d); err != nil {
		t.Fatalf("%v", err)
	}
}

// RunToEnd lets time pass until nothing is due any more. It ends the test if something
// is still due after ten years, for example because of a cycle in the workflow.
func (w *World) RunToEnd(t TB) {
	t.Helper()
	done, err := w.Finish(workflow.MaxDuration)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !done {
		t.Fatalf("something is still due after %s\n%s", workflow.MaxDuration, w.report())
	}
}

// Lead returns a lead as it is now.
func (w *World) Lead(t TB, id lead.ID) lead.Lead {
	t.Helper()
	l, err := w.find(id)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return l
}

// History returns all steps of a lead.
func (w *World) History(t TB, id lead.ID) []lead.Step {
	t.Helper()
	steps, err := w.eng.History(context.Background(), w.Lead(t, id).WorkflowID, id)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return steps
}

// Remove removes a lead and returns its state after that: lead.Removed, or
// lead.PendingRemoval.
func (w *World) Remove(t TB, id lead.ID, options ...engine.RemoveOption) lead.State {
	t.Helper()
	r, err := w.eng.Remove(context.Background(), w.Lead(t, id).WorkflowID, id, options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return r.State
}

// Complete gives the lead's step in flight its outcome, as a callback would. That step
// may be a scheduled message: one step of a lead is in flight at a time, and a call that
// comes due meanwhile begins after the message.
func (w *World) Complete(t TB, id lead.ID, out engine.Callback) {
	t.Helper()
	for _, s := range w.History(t, id) {
		if s.Status != lead.StepInProgress && s.Status != lead.StepRetrying {
			continue
		}
		if _, err := w.eng.CompleteStep(context.Background(), s.ID, out); err != nil {
			t.Fatalf("%v", err)
		}
		return
	}
	t.Fatalf("no step of lead %s is in flight\n%s", id, w.story(id))
}
