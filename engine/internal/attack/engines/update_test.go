package engines

import (
	"context"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// What another engine has made of a contact while a handler ran is not lost when the
// engine that ran the handler changes the contact, too.
func TestAnUpdateDuringAnAttemptIsNotLost(t *testing.T) {
	called, goOn := make(chan *engine.Engine, 1), make(chan struct{})
	f := newFleet(t, 2, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		called <- a.Engine()
		<-goOn
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(50*time.Second))
	update := func(eng *engine.Engine, id lead.ID, key string) {
		t.Helper()
		if _, err := eng.UpdateLead(ctx, wf, id, engine.LeadUpdate{Metadata: map[string]any{key: true}}); err != nil {
			t.Fatal(err)
		}
	}
	var runs, other *engine.Engine
	var id lead.ID
	for i := range 64 { // one that the engine which runs its handler has from the other one
		l, err := f.engines[0].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
		if err != nil {
			t.Fatal(err)
		}
		if runs, other, id = <-called, f.engines[0], l.ID; runs != other {
			break
		}
		goOn <- struct{}{}
	}
	if runs == other {
		t.Fatal("one engine runs all handlers")
	}
	update(other, id, "first")
	// When this has returned the engine that runs the handler knows of the update.
	if _, err := other.PauseWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	if _, err := other.ResumeWorkflow(ctx, wf); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	f.until("the lead waits", func() bool {
		l, err := other.Lead(ctx, wf, id)
		if err != nil {
			t.Fatal(err)
		}
		return l.State == lead.Enrolled
	})
	update(runs, id, "second")
	l, err := other.Lead(ctx, wf, id)
	if err != nil {
		t.Fatal(err)
	}
	if l.Metadata["first"] != true || l.Metadata["second"] != true {
		t.Errorf("after two updates the metadata is %v", l.Metadata)
	}
}
