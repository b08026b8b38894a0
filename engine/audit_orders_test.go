package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestWhoChangesAWorkflowALeadOrTheLimitsIsOnRecord(t *testing.T) {
	r := newRules(t)
	ctx := engine.AskedBy(background, engine.Actor("kim"), engine.Reason("tidy up"))
	def, err := workflow.Parse([]byte(callThenText))
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.CreateWorkflow(ctx, def)
	if err != nil {
		t.Fatal(err)
	}
	seen := int64(0)
	// last checks the entries since the last check, and returns the first.
	last := func(action, detail string, about lead.WorkflowID) engine.AuditEntry {
		t.Helper()
		got, err := r.Audit(background, engine.AuditFilter{After: seen})
		if err != nil || len(got) != 1 {
			t.Fatalf("after %s: %d entries, want 1: %+v, %v", action, len(got), got, err)
		}
		seen = got[0].Seq
		if a := got[0]; a.Action != action || a.Actor != "kim" || a.Reason != "tidy up" || string(a.Detail) != detail || a.WorkflowID != about {
			t.Errorf("want %s of %s with %s, got %+v with %s", action, about, detail, a, a.Detail)
		}
		return got[0]
	}
	last("workflow.created", "", w.ID)
	name, zone, id := "other", "Europe/Berlin", "c-7"
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.UpdateWorkflow(ctx, w.ID, engine.WorkflowUpdate{Name: &name, Graph: def}))
	last("workflow.updated", `{"fields":["name","graph"]}`, w.ID)
	must(r.ActivateWorkflow(ctx, w.ID))
	last("workflow.activated", "", w.ID)
	must(r.PauseWorkflow(ctx, w.ID))
	last("workflow.paused", "", w.ID)
	must(r.ResumeWorkflow(ctx, w.ID))
	last("workflow.resumed", "", w.ID)
	l := r.enroll(w.ID, phone)
	must(r.UpdateLead(ctx, w.ID, l.ID, engine.LeadUpdate{Metadata: map[string]any{"name": "Ann"}, TimeZone: &zone, ExternalID: &id}))
	if a := last("lead.updated", `{"fields":["metadata","time_zone","external_id"]}`, w.ID); a.LeadID != l.ID || a.PhoneNumber != phone || a.ExternalID != id {
		t.Errorf("the update of %s: %+v", l.ID, a)
	}
	must(nil, r.SetLimits(ctx, []workflow.Limit{{InFlight: 3}}))
	last("limits.changed", `{"limits":[{"in_flight":3}]}`, lead.WorkflowID{})
	must(r.DuplicateWorkflow(ctx, w.ID))
	copied := func() lead.WorkflowID {
		all, err := r.Workflows(background, engine.WorkflowFilter{After: w.ID})
		must(nil, err)
		return all[0].ID
	}()
	last("workflow.created", `{"copy_of":"`+w.ID.String()+`"}`, copied)
	must(r.CancelWorkflow(ctx, w.ID))
	last("workflow.cancelled", "", w.ID)
	must(nil, r.DeleteWorkflow(ctx, w.ID))
	last("workflow.deleted", "", w.ID)
	must(nil, func() error { _, err := r.ActivateWorkflow(background, copied); return err }())
	seen++
	must(r.CompleteWorkflow(ctx, copied))
	last("workflow.completed", "", copied)

	// What is refused is not on record.
	for what, err := range map[string]error{
		"a second cancellation": second(r.CancelWorkflow(ctx, copied)),
		"a reason that is too long": second(r.DuplicateWorkflow(
			engine.AskedBy(context.Background(), engine.Reason(strings.Repeat("x", 1025))), copied)),
	} {
		if !errors.Is(err, lead.ErrConflict) && !errors.Is(err, lead.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := r.Audit(background, engine.AuditFilter{After: seen}); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.VerifyAudit(background); err != nil {
		t.Error(err)
	}
}
