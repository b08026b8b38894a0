package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// afterKill returns an engine, not started, over the file as a process killed
// in this moment would leave it.
func (w *world) afterKill() (*engine.Engine, func()) {
	w.t.Helper()
	copied := filepath.Join(w.t.TempDir(), "leads.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(w.path + suffix)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	st := reopen(w.t, copied)
	eng, err := engine.New(st, w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	return eng, func() {
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func TestPromise1AcknowledgedIsDurable(t *testing.T) {
	w := newWorld(t, liveCall)
	check := func(what string, holds func(eng *engine.Engine) error) {
		t.Helper()
		eng, done := w.afterKill()
		defer done()
		if err := holds(eng); err != nil {
			t.Fatalf("killed right after %s was acknowledged: %v", what, err)
		}
	}
	inState := func(l lead.Lead, want lead.State) func(eng *engine.Engine) error {
		return func(eng *engine.Engine) error {
			got, err := eng.Lead(background, l.WorkflowID, l.ID)
			if err == nil && got.State != want {
				err = fmt.Errorf("the lead is %s, want %s", got.State, want)
			}
			return err
		}
	}
	for i := range 10 {
		wf := w.callWaitMessage()
		check("Activate", func(eng *engine.Engine) error {
			got, err := eng.Workflow(background, wf)
			if err == nil && got.Status != lead.WorkflowActive {
				err = fmt.Errorf("the workflow is %s", got.Status)
			}
			return err
		})
		l := w.enroll(wf, fmt.Sprintf("+14155552%03d", i))
		check("Enroll", inState(l, lead.InStep))
		if i%2 == 0 {
			if got := w.remove(l).State; got != lead.PendingRemoval {
				t.Fatalf("Remove answered %s", got)
			}
			check("Remove", inState(l, lead.PendingRemoval))
		}
		if got := w.complete(l, "completed").LeadState; got == lead.Removed != (i%2 == 0) {
			t.Fatalf("CompleteStep answered %s", got)
		}
		check("CompleteStep", inState(l, map[bool]lead.State{true: lead.Removed, false: lead.Enrolled}[i%2 == 0]))
		if i%2 == 1 {
			w.remove(l)
			check("Remove", inState(l, lead.Removed))
		}
	}
}

func TestPromise11TypedRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf, other := w.callWaitMessage(), w.callWaitMessage()
		l := w.enroll(wf, phone)
		synctest.Wait()
		stranger, err := lead.NewID(l.EnrolledAt, l.ID.Seq()) // the number of a lead, not its id
		if err != nil {
			t.Fatal(err)
		}
		gone := w.enroll(wf, "+14155552672")
		synctest.Wait()
		w.remove(gone)
		for name, tt := range map[string]struct {
			workflow lead.WorkflowID
			id       lead.ID
			class    error
			reason   error
		}{
			"an unknown workflow":        {lead.WorkflowID{1}, l.ID, lead.ErrNotFound, lead.ErrNotFound},
			"an unknown lead":            {wf, lead.ID{8: 9}, lead.ErrNotFound, lead.ErrNotFound},
			"a lead of another workflow": {other, l.ID, lead.ErrNotFound, lead.ErrNotFound},
			"a lead of another file":     {wf, stranger, lead.ErrNotFound, lead.ErrNotFound},
			"a final lead":               {wf, gone.ID, lead.ErrConflict, lead.ErrLeadFinal},
		} {
			_, err := w.eng.Remove(background, tt.workflow, tt.id)
			for _, class := range []error{lead.ErrNotFound, lead.ErrConflict, lead.ErrInvalid} {
				if errors.Is(err, class) != (class == tt.class) {
					t.Errorf("%s: %v matches %q", name, err, class)
				}
			}
			if !errors.Is(err, tt.reason) {
				t.Errorf("%s: %v", name, err)
			}
			var conflict *lead.ConflictError
			if errors.As(err, &conflict) && (conflict.Workflow != wf || conflict.Lead != gone.ID || conflict.State != "removed") {
				t.Errorf("%s: the error carries %+v", name, conflict)
			}
			var missing *lead.NotFoundError
			if errors.As(err, &missing) && missing.Name != tt.id.String() && missing.Name != tt.workflow.String() {
				t.Errorf("%s: the error carries %+v", name, missing)
			}
			if tt.class == lead.ErrNotFound {
				if _, err := w.eng.Lead(background, tt.workflow, tt.id); !errors.Is(err, lead.ErrNotFound) {
					t.Errorf("reading %s: %v", name, err)
				}
				if _, err := w.eng.History(background, tt.workflow, tt.id); !errors.Is(err, lead.ErrNotFound) {
					t.Errorf("the history of %s: %v", name, err)
				}
			}
		}
		w.pass(100 * 3600e9)
		if _, err := w.eng.Remove(background, wf, l.ID); !errors.Is(err, lead.ErrLeadFinal) {
			t.Errorf("a completed lead: %v", err)
		}
	})
}

func TestPromise12OneOwner(t *testing.T) {
	w := newWorld(t, nil)
	if st, err := sqlite.Open(context.Background(), w.path, sqlite.Options{}); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("a second owner: %v, %v", st, err)
	}
	w.close()
	if err := reopen(t, w.path).Close(); err != nil {
		t.Errorf("once the first is gone: %v", err)
	}
}
