package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

var background = context.Background()

func TestPauseStartsNothingAndKeepsDueTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		inCall := w.enroll(wf, phone)
		waiting := w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.complete(waiting, "completed")
		if _, err := w.eng.PauseWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
		late := w.enroll(wf, "+14155552673") // welcome, but waits
		w.complete(inCall, "completed")      // in flight, so it finishes
		before := len(w.seen())
		w.pass(72 * time.Hour)
		if got := w.seen()[before:]; len(got) > 0 {
			t.Errorf("started while paused: %+v", got)
		}
		w.expectSteps(inCall, "call=completed wait=waiting")
		w.expectSteps(late, "call=waiting")
		w.crash()
		w.pass(time.Hour)
		if _, err := w.eng.ResumeWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		// The waits came due during the pause and end on resuming.
		w.expectState(waiting, lead.Completed)
		w.expectState(inCall, lead.Completed)
		w.expectSteps(late, "call=in_progress")
	})
}

func TestADraftsLeadsStartWhenItIsActivated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		nodes, edges := callWaitMessage()
		wf := w.draft(nodes, edges...)
		l := w.enroll(wf, phone)
		w.pass(24 * time.Hour)
		w.expectSteps(l, "call=waiting")
		if _, err := w.eng.ActivateWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.expectSteps(l, "call=completed wait=waiting")
	})
}

func TestCancelRemovesEveryLeadAndLetsWhatIsInFlightFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		inCall, waiting := w.enroll(wf, phone), w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.complete(waiting, "completed")
		got, err := w.eng.CancelWorkflow(background, wf)
		if err != nil || got.Status != lead.WorkflowCancelled {
			t.Fatalf("CancelWorkflow = %+v, %v", got, err)
		}
		if got.Counts[lead.Removed] != 1 || got.Counts[lead.PendingRemoval] != 1 {
			t.Errorf("counts: %v", got.Counts)
		}
		w.expectSteps(waiting, "call=completed wait=cancelled")
		w.complete(inCall, "completed")
		for _, l := range []lead.Lead{inCall, waiting} {
			if got := w.lead(l); got.State != lead.Removed || got.Removal.Reason != lead.ReasonWorkflowCancelled {
				t.Errorf("lead is %s, removal %+v", got.State, got.Removal)
			}
		}
		if _, err := w.eng.Enroll(background, wf, lead.Contact{PhoneNumber: phone}); !errors.Is(err, lead.ErrWorkflowStatus) {
			t.Errorf("enrolling in a cancelled workflow: %v", err)
		}
	})
}

func TestACancellationThatACrashInterruptedGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1200 // more than one page of the sweep
		w, s := newFaulty(t, nil, nil)
		wf := w.callWaitMessage()
		w.enrollMany(wf, 0, n)
		synctest.Wait()
		pages := 0
		release := hold(s, func(b *store.Batch) bool {
			if removes(b) {
				pages++
			}
			return pages == 2
		}, errDisk)
		go func() {
			_, _ = w.eng.CancelWorkflow(background, wf) // cut short by the crash
		}()
		synctest.Wait()
		if got := w.counts(wf)[lead.Removed]; got == 0 || got == n {
			t.Fatalf("%d leads are removed before the crash; it is to come in between", got)
		}
		release()
		w.crash()
		synctest.Wait()
		w.expectCounts(wf, map[lead.State]int64{lead.Removed: n})
	})
}

func TestDeleteForgetsTheWorkflowAndKeepsItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		l, inCall := w.enroll(wf, phone), w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.complete(l, "completed")
		if err := w.eng.DeleteWorkflow(background, wf); !errors.Is(err, lead.ErrWorkflowStatus) {
			t.Errorf("deleting an active workflow: %v", err)
		}
		if _, err := w.eng.CancelWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
		if err := w.eng.DeleteWorkflow(background, wf); !errors.Is(err, lead.ErrWorkflowStatus) {
			t.Errorf("deleting with a call in flight: %v", err)
		}
		w.complete(inCall, "completed")
		if err := w.eng.DeleteWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := w.eng.Workflow(background, wf); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("a deleted workflow: %v", err)
			}
			if _, err := w.eng.Lead(background, wf, l.ID); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("its lead: %v", err)
			}
			calls, _, err := w.eng.Calls(background, engine.CallFilter{WorkflowID: wf})
			if err != nil || len(calls) != 2 || calls[0].WorkflowID != wf || calls[0].LeadID != l.ID {
				t.Errorf("its calls: %+v, %v", calls, err)
			}
			w.crash()
		}
		if err := w.eng.DeleteWorkflow(background, wf); !errors.Is(err, lead.ErrNotFound) {
			t.Errorf("deleting it again: %v", err)
		}
	})
}

func TestDeletingADraftForgetsItsLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		nodes, edges := callWaitMessage()
		wf := w.draft(nodes, edges...)
		for i := range 1100 {
			w.enroll(wf, fmt.Sprintf("+1415%07d", i))
		}
		if err := w.eng.DeleteWorkflow(background, wf); err != nil {
			t.Fatal(err)
		}
		if got := w.eng.Stats().InMemory; got != 0 {
			t.Errorf("%d leads are in memory", got)
		}
		w.crash()
		w.pass(time.Hour)
		if got := w.seen(); len(got) != 0 {
			t.Errorf("contacted: %d", len(got))
		}
	})
}

func TestWorkflowStatusesFollowTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		act := map[string]func(id lead.WorkflowID) error{
			"activate": func(id lead.WorkflowID) error { _, err := w.eng.ActivateWorkflow(background, id); return err },
			"pause":    func(id lead.WorkflowID) error { _, err := w.eng.PauseWorkflow(background, id); return err },
			"resume":   func(id lead.WorkflowID) error { _, err := w.eng.ResumeWorkflow(background, id); return err },
			"complete": func(id lead.WorkflowID) error { _, err := w.eng.CompleteWorkflow(background, id); return err },
			"cancel":   func(id lead.WorkflowID) error { _, err := w.eng.CancelWorkflow(background, id); return err },
		}
		for _, tt := range []struct {
			way     []string
			status  lead.WorkflowStatus
			allowed string
		}{
			{nil, lead.WorkflowDraft, "activate cancel"},
			{[]string{"activate"}, lead.WorkflowActive, "pause complete cancel"},
			{[]string{"activate", "pause"}, lead.WorkflowPaused, "resume complete cancel"},
			{[]string{"activate", "complete"}, lead.WorkflowCompleted, ""},
			{[]string{"activate", "cancel"}, lead.WorkflowCancelled, ""},
		} {
			for name, try := range act {
				nodes, edges := callWaitMessage()
				id := w.draft(nodes, edges...)
				for _, step := range tt.way {
					if err := act[step](id); err != nil {
						t.Fatal(err)
					}
				}
				allowed := false
				for _, word := range splitWords(tt.allowed) {
					allowed = allowed || word == name
				}
				err := try(id)
				if allowed && err != nil || !allowed && !errors.Is(err, lead.ErrWorkflowStatus) {
					t.Errorf("%s on a %s workflow: %v", name, tt.status, err)
				}
				var conflict *lead.ConflictError
				if errors.As(err, &conflict) && (conflict.Workflow != id || conflict.State != tt.status.String()) {
					t.Errorf("%s on a %s workflow is refused with %+v", name, tt.status, conflict)
				}
			}
		}
	})
}

func TestCompletingAWorkflowNeedsItsLeadsToHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		l := w.enroll(wf, phone)
		synctest.Wait()
		if _, err := w.eng.CompleteWorkflow(background, wf); !errors.Is(err, lead.ErrWorkflowStatus) {
			t.Errorf("with a live lead: %v", err)
		}
		w.remove(l)
		if _, err := w.eng.CompleteWorkflow(background, wf); err != nil {
			t.Error(err)
		}
	})
}

func TestDuplicateRenameAndList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		w.enroll(wf, phone)
		name, about := "Spring", "for the shop"
		if _, err := w.eng.UpdateWorkflow(background, wf, engine.WorkflowUpdate{Name: &name, Description: &about}); err != nil {
			t.Fatal(err)
		}
		empty := ""
		if _, err := w.eng.UpdateWorkflow(background, wf, engine.WorkflowUpdate{Name: &empty}); !errors.Is(err, lead.ErrInvalid) {
			t.Errorf("no name: %v", err)
		}
		copied, err := w.eng.DuplicateWorkflow(background, wf)
		if err != nil || copied.Name != "Spring (Copy)" || copied.Description != about ||
			copied.Status != lead.WorkflowDraft || copied.EnrolledLeads != 0 || copied.NodeCount != 4 || copied.EdgeCount != 3 {
			t.Errorf("the copy is %+v, %v", copied, err)
		}
		w.crash()
		all, err := w.eng.Workflows(background, engine.WorkflowFilter{})
		if err != nil || len(all) != 2 || all[0].Name != "Spring" || all[0].EnrolledLeads != 1 {
			t.Errorf("the workflows are %+v, %v", all, err)
		}
		drafts, _ := w.eng.Workflows(background, engine.WorkflowFilter{Status: lead.WorkflowDraft})
		if len(drafts) != 1 || drafts[0].ID != copied.ID {
			t.Errorf("the drafts are %+v", drafts)
		}
		page, _ := w.eng.Workflows(background, engine.WorkflowFilter{After: all[0].ID, Limit: 1})
		if len(page) != 1 || page[0].ID != copied.ID {
			t.Errorf("the second page is %+v", page)
		}
		if def, err := w.eng.Definition(context.Background(), wf); err != nil || def.Name != "Spring" || len(def.Nodes) != 4 {
			t.Errorf("the definition is %+v, %v", def, err)
		}
	})
}

// checkedHandler can do no node whose config says so.
type checkedHandler struct{ engine.HandlerFunc }

func (checkedHandler) CheckNode(n workflow.Node) error {
	if strings.Contains(string(n.Config), "impossible") {
		return errors.New("cannot be done")
	}
	return nil
}

func TestActivatingAsksTheHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.config.Handlers["voice_call"] = checkedHandler{liveCall}
		w.crash()
		id := w.draft([]workflow.Node{
			workflow.CallNode("good", nil), workflow.CallNode("bad", workflow.Config{"how": "impossible"}),
		}, workflow.On("good", "default", "bad"))
		var invalid *lead.InvalidError
		_, err := w.eng.ActivateWorkflow(background, id)
		if !errors.As(err, &invalid) || len(invalid.Faults) != 1 || invalid.Faults[0].Location != "nodes[1].config" {
			t.Errorf("activating: %v", err)
		}
	})
}

func TestAWorkflowWithoutHandlersIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		delete(w.config.Handlers, "message")
		w.crash()
		nodes, edges := callWaitMessage()
		id := w.draft(nodes, edges...)
		var invalid *lead.InvalidError
		if _, err := w.eng.ActivateWorkflow(background, id); !errors.As(err, &invalid) || invalid.Faults[0].Location != "nodes[2].type" {
			t.Errorf("activating: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.callWaitMessage()
		w.close()
		st := reopen(t, w.path)
		defer st.Close()
		eng, err := engine.New(st, engine.Config{Logger: w.config.Logger})
		if err != nil {
			t.Fatal(err)
		}
		if err := eng.Start(background); !errors.Is(err, lead.ErrInvalid) {
			t.Errorf("starting: %v", err)
		}
	})
}

func TestTheGraphOfADraftWithoutLeadsCanBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		nodes, edges := callWaitMessage()
		wf := w.draft(nodes, edges...)
		graph := &workflow.Definition{Name: "not read", Entry: "ring",
			Nodes: []workflow.Node{{ID: "ring", Type: workflow.VoiceCall}, {ID: "end", Type: workflow.Dropped}},
			Edges: []workflow.Edge{{From: "ring", To: "end", Label: "default"}}}
		got, err := w.eng.UpdateWorkflow(background, wf, engine.WorkflowUpdate{Graph: graph})
		if err != nil || got.NodeCount != 2 || got.EdgeCount != 1 || got.Name == "not read" {
			t.Fatalf("%+v, %v", got, err)
		}
		w.crash()
		if def, err := w.eng.Definition(background, wf); err != nil || def.Entry != "ring" || def.Name != got.Name || len(def.Nodes) != 2 {
			t.Errorf("%+v, %v", def, err)
		}
		var invalid *lead.InvalidError
		empty := ""
		_, err = w.eng.UpdateWorkflow(background, wf, engine.WorkflowUpdate{Name: &empty, Graph: &workflow.Definition{Entry: "x"}})
		if !errors.As(err, &invalid) || len(invalid.Faults) < 2 {
			t.Errorf("a faulty graph: %v", err)
		}
		l := w.enroll(wf, phone)
		for _, when := range []string{"with a lead", "with a removed lead", "once it is active"} {
			switch when {
			case "with a removed lead":
				w.remove(l)
			case "once it is active":
				if _, err := w.eng.ActivateWorkflow(background, wf); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.eng.UpdateWorkflow(background, wf, engine.WorkflowUpdate{Graph: graph}); !errors.Is(err, lead.ErrWorkflowStatus) {
				t.Errorf("%s: %v", when, err)
			}
		}
	})
}
