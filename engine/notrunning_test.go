package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// An engine that does not run says which of the two it is: not yet started, or shut
// down, for which the advice to start it would be wrong.
func TestAnEngineThatDoesNotRunSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callOnce()
		l := w.enroll(wf, "+14155552671")
		draft := w.smsWorkflow(nil)
		synctest.Wait()
		step := w.history(l)[0].ID
		if err := w.eng.Shutdown(background); err != nil {
			t.Fatal(err)
		}
		fresh, err := engine.New(w.store, w.config)
		if err != nil {
			t.Fatal(err)
		}
		person := lead.Contact{PhoneNumber: "+14155552672"}
		zone := "Europe/Berlin"
		for _, c := range []struct {
			eng  *engine.Engine
			want string
		}{
			{w.eng, "engine: shut down; make a new engine with New, on the same store"},
			{fresh, "engine: not started; call Start first"},
		} {
			for name, err := range map[string]error{
				"Enroll":           second(c.eng.Enroll(background, wf, person)),
				"EnrollAll":        second(c.eng.EnrollAll(background, wf, enginetest.Contacts(2))),
				"Remove":           second(c.eng.Remove(background, wf, l.ID)),
				"RemoveLeads":      second(c.eng.RemoveLeads(background, wf, engine.LeadFilter{All: true})),
				"CompleteStep":     second(c.eng.CompleteStep(background, step, engine.Callback{Outcome: "completed"})),
				"UpdateLead":       second(c.eng.UpdateLead(background, wf, l.ID, engine.LeadUpdate{TimeZone: &zone})),
				"CreateWorkflow":   second(c.eng.CreateWorkflow(background, &workflow.Definition{Name: "N", Entry: "e", Nodes: []workflow.Node{workflow.End("e", workflow.Converted)}})),
				"UpdateWorkflow":   second(c.eng.UpdateWorkflow(background, draft, engine.WorkflowUpdate{Name: &zone})),
				"PauseWorkflow":    second(c.eng.PauseWorkflow(background, wf)),
				"CompleteWorkflow": second(c.eng.CompleteWorkflow(background, wf)),
				"DeleteWorkflow":   c.eng.DeleteWorkflow(background, draft),
				"Health":           c.eng.Health(background),
			} {
				if !errors.Is(err, engine.ErrNotRunning) || err.Error() != c.want {
					t.Errorf("%s: %v, want %s", name, err, c.want)
				}
			}
		}
		if err := fresh.Shutdown(background); err != nil { // it was never started
			t.Fatal(err)
		}
		if err := fresh.Health(background); err == nil || err.Error() != "engine: shut down; make a new engine with New, on the same store" {
			t.Errorf("%v", err)
		}
	})
}

func TestARemovalThatAShutdownCutsOffSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		l := w.enroll(w.callOnce(), "+14155552671")
		synctest.Wait()
		removal, err := w.eng.Remove(background, l.WorkflowID, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.eng.Shutdown(background); err != nil {
			t.Fatal(err)
		}
		if _, err := removal.Wait(background); !errors.Is(err, engine.ErrNotRunning) || err.Error() != "engine: shut down; make a new engine with New, on the same store" {
			t.Errorf("%v", err)
		}
	})
}
