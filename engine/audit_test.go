package engine_test

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

func TestAReceiptSaysSinceWhenThereIsSilence(t *testing.T) {
	r := newRules(t)
	r.answer = live
	wf := r.activate(callThenText)
	l := r.enroll(wf, phone)
	r.settle(time.Minute)
	stop, err := r.Suppress(background, engine.Suppress{PhoneNumber: phone, Reason: "said \x1b[31mstop", Actor: "kim"})
	if err != nil || len(stop.Leads) != 1 || stop.Leads[0].State != lead.PendingRemoval {
		t.Fatalf("%+v, %v", stop, err)
	}
	asked := r.clock.now
	during, err := r.ContactReceipt(background, phone)
	if err != nil || !during.SilentSince.IsZero() || len(during.Orders) != 2 || len(during.Leads) != 1 {
		t.Fatalf("during the call: %+v, %v", during, err)
	}
	r.settle(5 * time.Minute)
	r.complete(l)
	after, err := r.Receipt(background, wf, l.ID)
	if err != nil || !after.SilentSince.Equal(r.clock.now) || after.Entries < 2 || len(after.Hash) != 64 {
		t.Fatalf("after it: %+v, %v", after, err)
	}
	part := after.Leads[0]
	if !part.RequestedAt.Equal(asked) || part.LastAttempt.IsZero() || part.LastAttempt.After(asked) || part.After != 0 || len(part.Cancelled) != 1 {
		t.Errorf("%+v", part)
	}
	text := after.Text()
	for _, want := range []string{"+14155552671", "by kim", "Begun since    0 attempts", after.Hash, "said  [31mstop"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.ContainsRune(text, 0x1b) {
		t.Error("the text has a control character")
	}
	if _, err := r.Receipt(background, wf, r.enroll(wf, "+14155552672").ID); !errors.Is(err, lead.ErrConflict) {
		t.Errorf("a lead that is not removed: %v", err)
	}
}

// Whoever changes, drops or adds an entry of the audit trail is found out.
func TestAChangedAuditTrailShows(t *testing.T) {
	for name, change := range map[string]string{
		"changed": "UPDATE audit SET reason = 'other' WHERE seq = 2",
		"dropped": "DELETE FROM audit WHERE seq = 2",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "leads.db")
			open := func() (*engine.Engine, *sqlite.Store) {
				st, err := sqlite.Open(background, path, sqlite.Options{})
				if err != nil {
					t.Fatal(err)
				}
				e, err := engine.New(st, engine.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
				if err == nil {
					err = e.Start(background)
				}
				if err != nil {
					t.Fatal(err)
				}
				return e, st
			}
			end := func(e *engine.Engine, st *sqlite.Store) {
				if err := errors.Join(e.Shutdown(background), st.Close()); err != nil {
					t.Fatal(err)
				}
			}
			e, st := open()
			for i := range 3 {
				if _, err := e.Suppress(background, engine.Suppress{PhoneNumber: number(i), Reason: "stop"}); err != nil {
					t.Fatal(err)
				}
			}
			if proof, err := e.VerifyAudit(background); err != nil || proof.Entries != 3 {
				t.Fatalf("%+v, %v", proof, err)
			}
			end(e, st)
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(change); err != nil {
				t.Fatal(err)
			}
			db.Close()
			e, st = open()
			defer end(e, st)
			var changed *engine.AuditError
			if _, err := e.VerifyAudit(background); !errors.As(err, &changed) || changed.Seq < 2 {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAFileOfSuppressions(t *testing.T) {
	r := newRules(t)
	wf := r.activate(callThenText)
	r.answer = live
	gone := r.enroll(wf, "+14155552671")
	if _, err := r.Remove(background, wf, gone.ID); err != nil {
		t.Fatal(err)
	}
	file := "Phone;external_id;expires_at;note\n+14155552672;;;x\n;crm-1;2031-01-01;\n555;;;\n+14155552672;;;again\n+14155552673;;soon;\n"
	waiting := r.enroll(wf, "+14155552672")
	report, err := r.SuppressCSV(background, strings.NewReader(file), engine.Suppress{Reason: "list", Actor: "kim"})
	if err != nil || report.Added != 2 || report.Unchanged != 1 || report.Rejected != 2 || report.LeadsRemoved != 1 || report.Errors[0].Line != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	if l, err := r.Lead(background, wf, waiting.ID); err != nil || l.Removal == nil || l.Removal.Reason != "list" {
		t.Errorf("%+v, %v", l, err)
	}
	list, err := r.Suppressions(background, engine.SuppressionFilter{Active: true})
	if err != nil || len(list) != 2 || list[0].ExternalID != "crm-1" || list[0].ExpiresAt.IsZero() || list[1].Actor != "kim" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAWorkflowPausesItselfWhenItsGuardSaysSo(t *testing.T) {
	r := newRules(t)
	var heard []engine.Event
	defer r.Listen(func(e engine.Event) {
		if e.Type == engine.EventGuarded {
			heard = append(heard, e)
		}
	})()
	bad := 0
	r.answer = func(engine.Attempt) (engine.Result, error) {
		if bad++; bad > 8 {
			return engine.Result{Outcome: "complaint"}, nil
		}
		return engine.Result{}, nil
	}
	wf := r.activate(callsOnly(`"guard": {"outcome": "complaint", "share": 0.2, "of": 10},`))
	for i := range 10 {
		r.enroll(wf, number(i))
		r.settle(0)
	}
	if w, err := r.Workflow(background, wf); err != nil || w.Status != lead.WorkflowActive {
		t.Fatalf("after 2 of 10: %s, %v", w.Status, err)
	}
	r.enroll(wf, number(11))
	r.settle(0)
	if w, err := r.Workflow(background, wf); err != nil || w.Status != lead.WorkflowPaused || len(heard) != 1 || heard[0].WorkflowID != wf {
		t.Fatalf("after 3 of 10: %s, %v, %+v", w.Status, err, heard)
	}
	if _, err := r.ResumeWorkflow(background, wf); err != nil {
		t.Fatal(err)
	}
	r.enroll(wf, number(12))
	r.settle(0)
	if w, err := r.Workflow(background, wf); err != nil || w.Status != lead.WorkflowActive {
		t.Fatalf("it begins anew when resumed: %s, %v", w.Status, err)
	}
}
