package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// damages are what may have become of one lead's rows; ? is the lead's number.
var damages = map[string]string{
	"its state is cut off":                 `UPDATE leads SET extra = x'7b' WHERE seq = ?`,
	"its state is of another type":         `UPDATE leads SET extra = CAST('{"attempts":7,"removal":"x"}' AS BLOB) WHERE seq = ?`,
	"its state is gone":                    `UPDATE leads SET extra = NULL WHERE seq = ?`,
	"its state is of another lead":         `UPDATE leads SET extra = CAST('{"sending":{"node":0},"messages":[{"node":-3}]}' AS BLOB) WHERE seq = ?`,
	"its state names a node that is none":  `UPDATE leads SET extra = CAST('{"messages":[{"visit":9,"node":70,"due":1}]}' AS BLOB) WHERE seq = ?`,
	"it is at no node":                     `UPDATE leads SET node = 99 WHERE seq = ?`,
	"it is at a node before the first":     `UPDATE leads SET node = -1 WHERE seq = ?`,
	"it is at an end":                      `UPDATE leads SET node = 5 WHERE seq = ?`,
	"it is at a condition":                 `UPDATE leads SET node = 2 WHERE seq = ?`,
	"it is in no phase":                    `UPDATE leads SET phase = 0 WHERE seq = ?`,
	"it waits":                             `UPDATE leads SET phase = 1 WHERE seq = ?`,
	"it runs":                              `UPDATE leads SET phase = 2 WHERE seq = ?`,
	"it waits for a callback":              `UPDATE leads SET phase = 3 WHERE seq = ?`,
	"it waits for a retry":                 `UPDATE leads SET phase = 4 WHERE seq = ?`,
	"its hooks run":                        `UPDATE leads SET phase = 5 WHERE seq = ?`,
	"it has ended":                         `UPDATE leads SET phase = 6 WHERE seq = ?`,
	"it is in a phase beyond the last":     `UPDATE leads SET phase = 77 WHERE seq = ?`,
	"it is pending removal":                `UPDATE leads SET spot = spot - spot % 8 + 3 WHERE seq = ?`,
	"it is enrolled":                       `UPDATE leads SET spot = spot - spot % 8 + 1 WHERE seq = ?`,
	"it is in a step":                      `UPDATE leads SET spot = spot - spot % 8 + 2 WHERE seq = ?`,
	"its attempts are less than none":      `UPDATE leads SET attempt = -5 WHERE seq = ?`,
	"its attempts are too many":            `UPDATE leads SET attempt = 2147483647 WHERE seq = ?`,
	"its visits are too many":              `UPDATE leads SET visit = 2147483647, visits = 2147483647 WHERE seq = ?`,
	"its visits are less than none":        `UPDATE leads SET visit = -2147483648, visits = -2147483648 WHERE seq = ?`,
	"its times are before all time":        `UPDATE leads SET entered = -9223372036854775808, due = -9223372036854775808, deadline = -9223372036854775808 WHERE seq = ?`,
	"its times are after all time":         `UPDATE leads SET entered = 9223372036854775807, due = 9223372036854775807, deadline = 9223372036854775807 WHERE seq = ?`,
	"its history is gone":                  `UPDATE leads SET last_step = 0 WHERE seq = ?`,
	"its history is not there":             `UPDATE leads SET last_step = 888888 WHERE seq = ?`,
	"it is of no workflow":                 `UPDATE leads SET workflow = 77 WHERE seq = ?`,
	"its metadata are cut off":             `UPDATE contacts SET metadata = x'7b' WHERE seq = ?`,
	"its metadata are a list":              `UPDATE contacts SET metadata = CAST('[1,2]' AS BLOB) WHERE seq = ?`,
	"its metadata have a number too large": `UPDATE contacts SET metadata = CAST('{"plan":1e400}' AS BLOB) WHERE seq = ?`,
	"its phone number is none":             `UPDATE contacts SET phone = -1 WHERE seq = ?`,
	"its time zone is none":                `UPDATE contacts SET time_zone = 'x' WHERE seq = ?`,
	"its steps are cut off":                `UPDATE steps SET detail = x'7b' WHERE lead = ?`,
	"its steps have a number too large":    `UPDATE steps SET detail = CAST('{"data":{"amount":1e400}}' AS BLOB) WHERE lead = ?`,
	"its steps have data of another type":  `UPDATE steps SET detail = CAST('{"data":[1]}' AS BLOB) WHERE lead = ?`,
	"its steps are at no node":             `UPDATE steps SET node = 99 WHERE lead = ?`,
	"its steps have no status":             `UPDATE steps SET status = 99, kind = 99 WHERE lead = ?`,
	"its steps go in a circle":             `UPDATE steps SET prev = seq WHERE lead = ?`,
	"its steps are missing":                `DELETE FROM steps WHERE lead = ?`,
	"its calls are cut off":                `UPDATE calls SET data = x'7b', error = CAST(x'ff' AS TEXT) WHERE lead = ?`,
	"its calls are missing":                `DELETE FROM calls WHERE lead = ?`,
}

// damage ends the process in this moment, changes the file, and starts the next
// process. It reports whether the table can have such a row at all.
func (w *world) damage(statement string, leads ...lead.Lead) (can bool) {
	w.t.Helper()
	over, cancel := context.WithCancel(background)
	cancel()
	_ = w.eng.Shutdown(over)
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range leads {
		if _, err = db.Exec(statement, l.ID.Seq()); err != nil {
			break
		}
	}
	if err := errors.Join(unlessType(err), db.Close()); err != nil {
		w.t.Fatal(err)
	}
	w.open()
	return err == nil
}

// unlessType returns the error if it is another than that a column does not take a
// value of that type.
func unlessType(err error) error {
	if err != nil && (strings.Contains(err.Error(), "cannot store") || strings.Contains(err.Error(), "datatype mismatch")) {
		return nil
	}
	return err
}

// When the rows of one lead are damaged, all others go on, and the engine answers all
// requests.
func TestADamagedRowConcernsItsLeadAlone(t *testing.T) {
	n := 0
	for name, statement := range damages { // in any order
		if n++; raceEnabled && n > len(damages)/4 {
			break
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { damageLeads(t, statement, false) })
		})
	}
}

// damageLeads damages four of eight leads by a statement, in which ? is the number of
// a lead. quiet: it may be that nobody finds out before the lead is asked for.
func damageLeads(t *testing.T, statement string, quiet bool) {
	// What a person's first call comes to, by the last digit of the number.
	w := newWorld(t, func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		if a.Node.ID != "call" || a.Number > 1 || a.Redelivered {
			return engine.Result{}, nil
		}
		switch number := a.Contact.PhoneNumber; number[len(number)-1] {
		case '0', '1', '5':
			return engine.Result{Data: map[string]any{"amount": 1}}, nil
		case '2', '6':
			return failing(a)
		case '3', '7':
			return engine.InFlight("c"), nil
		default:
			<-ctx.Done()
			return engine.Result{}, ctx.Err()
		}
	})
	log := &lockedBuffer{}
	w.config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))
	retry := workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Hour)}
	wf := w.activate([]workflow.Node{
		workflow.CallNode("call", nil).WithRetry(retry).WithTimeout(2 * time.Hour),
		workflow.Wait("wait", time.Hour),
		workflow.If("known", `metadata.plan == "gold"`),
		workflow.If("called", `steps.call.status != ""`),
		workflow.MessageNode("text", nil),
		workflow.End("done", workflow.Converted),
	}, workflow.On("call", "default", "wait"), workflow.To("wait", "known"), workflow.On("known", "true", "called"), workflow.On("known", "false", "called"),
		workflow.On("called", "true", "text"), workflow.On("called", "false", "text"), workflow.On("text", "default", "done"))
	var leads []lead.Lead
	for i := range 8 {
		l, err := w.eng.Enroll(background, wf, lead.Contact{
			PhoneNumber: fmt.Sprintf("+1415555267%d", i+1), Metadata: map[string]any{"plan": "gold"},
		})
		if err != nil {
			t.Fatal(err)
		}
		leads = append(leads, l)
	}
	synctest.Wait()
	var mu sync.Mutex
	heard := map[lead.ID]bool{}
	w.hear = func(e engine.Event) {
		if e.Type == engine.EventUnreadable {
			mu.Lock()
			defer mu.Unlock()
			heard[e.Lead.ID] = true
		}
	}
	if !w.damage(statement, leads[:4]...) {
		return
	}
	w.pass(10 * time.Hour)
	for i, l := range leads[4:] {
		w.expectState(l, lead.Completed)
		if t.Failed() {
			t.Fatalf("healthy lead %d; log:\n%s", i, log)
		}
	}
	answered, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	if err := w.eng.Health(answered); err != nil {
		t.Errorf("Health: %v", err)
	}
	if page, err := w.eng.Leads(answered, wf, engine.LeadFilter{}); err != nil || len(page) < 4 {
		t.Errorf("Leads: %d, %v", len(page), err)
	}
	if _, _, err := w.eng.Calls(answered, engine.CallFilter{}); err != nil {
		t.Errorf("Calls: %v", err)
	}
	// Of the leads that are damaged something is known, or it is said what is wrong.
	for _, l := range leads[:4] {
		got, err := w.eng.Lead(answered, wf, l.ID)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Lead: %v", err)
		}
		_, removeErr := w.eng.Remove(answered, wf, l.ID, engine.SkipRetries())
		if errors.Is(removeErr, context.DeadlineExceeded) {
			t.Fatalf("Remove: %v", removeErr)
		}
		lines := strings.Count(log.String(), l.ID.String()) + strings.Count(log.String(), fmt.Sprintf("lead=unknown lead_seq=%d ", l.ID.Seq()))
		if live := err != nil || !got.State.Final(); live && removeErr != nil && !errors.Is(err, lead.ErrNotFound) && lines != 1 &&
			(lines > 1 || !quiet || !strings.Contains(removeErr.Error(), "unexpected data")) {
			t.Errorf("lead %s is %s, %v, and was not removed: %v; the log says\n%s", l.ID, got.State, err, removeErr, log)
		}
		synctest.Wait()
		mu.Lock()
		if lines > 0 && !heard[l.ID] && !heard[lead.ID{}] {
			t.Errorf("no listener heard that lead %s cannot be read", l.ID)
		}
		mu.Unlock()
		if _, err := w.eng.History(answered, wf, l.ID); errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("History: %v", err)
		}
	}
	late, err := w.eng.Enroll(answered, wf, lead.Contact{PhoneNumber: "+14155552670"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.eng.Remove(answered, wf, late.ID); err != nil {
		t.Error(err)
	}
	if _, err := w.eng.CancelWorkflow(answered, wf); err != nil {
		t.Error(err)
	}
	if err := w.eng.DeleteWorkflow(answered, wf); err != nil && !errors.Is(err, lead.ErrConflict) {
		t.Error(err)
	}
	if err := w.eng.Health(answered); err != nil {
		t.Errorf("Health: %v", err)
	}
}

var everyDamage = flag.Bool("damage.all", false, "damage every column of every row in every way, and not a few chosen at random")

// columnDamages are what may become of one column; ? is its name.
var columnDamages = []string{
	"NULL", "0", "1", "-1", "77", "2147483648", "9223372036854775807", "-9223372036854775808", "'x'", "CAST(x'ff00fe' AS TEXT)",
	"x''", "x'7b'", "x'ff'", "substr(?, 1, length(?) / 2)", "? || x'00'", "replace(?, '1', '9')", "CAST(replace(?, '\"', '') AS BLOB)", "8 * ?", "-?",
}

// TestAnyDamageConcernsItsLeadAlone damages each column of each row of a lead in the ways
// of columnDamages: in all of them with -damage.all, otherwise in a random selection.
func TestAnyDamageConcernsItsLeadAlone(t *testing.T) {
	var all []damage
	for _, c := range leadColumns(t) {
		for _, to := range columnDamages {
			value := strings.ReplaceAll(to, "?", c.name)
			all = append(all, damage{
				fmt.Sprintf("%s.%s=%s", c.table, c.name, value),
				fmt.Sprintf("UPDATE OR IGNORE %s SET %s = %s WHERE %s = ?", c.table, c.name, value, c.lead),
			})
		}
	}
	if len(all) < 800 {
		t.Fatalf("%d ways to damage a lead", len(all))
	}
	for _, d := range someOf(all, 40) {
		t.Run(d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { damageLeads(t, d.statement, true) })
		})
	}
}

// TestADamagedWorkflowConcernsItsLeadsAlone does the same to each column of a workflow's
// row.
func TestADamagedWorkflowConcernsItsLeadsAlone(t *testing.T) {
	var all []damage
	for _, column := range []string{"seq", "id", "version", "status", "name", "description", "definition", "created", "updated", "deleted"} {
		for _, to := range append(columnDamages, `CAST('{}' AS BLOB)`, `CAST(replace(CAST(? AS TEXT), 'wait', 'w') AS BLOB)`) {
			value := strings.ReplaceAll(to, "?", column)
			all = append(all, damage{
				column + "=" + value,
				fmt.Sprintf("UPDATE OR IGNORE workflows SET %s = %s WHERE seq = (SELECT workflow FROM leads WHERE seq = ?)", column, value),
			})
		}
	}
	for _, d := range someOf(all, 20) {
		t.Run(d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { damageWorkflow(t, d.statement) })
		})
	}
}

// damage is a statement in which ? is the number of a lead.
type damage struct{ name, statement string }

// someOf returns n of them at random, or all where that is asked for.
func someOf(all []damage, n int) []damage {
	if *everyDamage {
		return all
	}
	if raceEnabled {
		n /= 4
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}

func damageWorkflow(t *testing.T, statement string) {
	w := newWorld(t, nil)
	w.config.Logger = slog.New(slog.DiscardHandler)
	enroll := func(number string) lead.Lead {
		wf := w.activate([]workflow.Node{workflow.Wait("wait", time.Hour), workflow.CallNode("call", nil)}, workflow.To("wait", "call"))
		l, err := w.eng.Enroll(background, wf, lead.Contact{PhoneNumber: number})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	damaged, other := enroll(phone), enroll(otherPhone)
	if !w.damage(statement, damaged) {
		return
	}
	w.pass(10 * time.Hour)
	w.expectState(other, lead.Completed)
	if err := w.eng.Health(background); err != nil {
		t.Error(err)
	}
	// Requests about it must be answered, with any answer.
	answered, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	for what, ask := range map[string]func() error{
		"Lead": func() error { _, err := w.eng.Lead(answered, damaged.WorkflowID, damaged.ID); return err },
		"Enroll": func() error {
			_, err := w.eng.Enroll(answered, damaged.WorkflowID, lead.Contact{PhoneNumber: phone})
			return err
		},
		"Remove":    func() error { _, err := w.eng.Remove(answered, damaged.WorkflowID, damaged.ID); return err },
		"Workflow":  func() error { _, err := w.eng.Workflow(answered, damaged.WorkflowID); return err },
		"Cancel":    func() error { _, err := w.eng.CancelWorkflow(answered, damaged.WorkflowID); return err },
		"Workflows": func() error { _, err := w.eng.Workflows(answered, engine.WorkflowFilter{}); return err },
	} {
		if err := ask(); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	l := enroll("+14155552679")
	if _, err := w.eng.Remove(answered, l.WorkflowID, l.ID); err != nil {
		t.Error(err)
	}
}

// leadColumn is a column of a table that has rows of one lead; lead is the column
// that says whose.
type leadColumn struct{ table, name, lead string }

// leadColumns reads them from a new file, so that none is forgotten.
func leadColumns(t *testing.T) (list []leadColumn) {
	path := filepath.Join(t.TempDir(), "leads.db")
	s, err := sqlite.Open(background, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT t.name, c.name, IIF(t.name IN ('leads', 'contacts'), 'seq', 'lead') FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND (t.name IN ('leads', 'contacts') OR EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'lead'))`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c leadColumn
		if err := rows.Scan(&c.table, &c.name, &c.lead); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// A person can be taken out whatever the rows of the lead say, in every way, for good.
func TestADamagedLeadCanBeRemovedInEveryWay(t *testing.T) {
	ways := map[string]func(e *engine.Engine, wf lead.WorkflowID, id lead.ID) error{
		"Remove": func(e *engine.Engine, wf lead.WorkflowID, id lead.ID) error {
			_, err := e.Remove(background, wf, id)
			return err
		},
		"RemoveLeads": func(e *engine.Engine, wf lead.WorkflowID, id lead.ID) error {
			_, err := e.RemoveLeads(background, wf, engine.LeadFilter{All: true})
			return err
		},
		"RemoveContact": func(e *engine.Engine, _ lead.WorkflowID, _ lead.ID) error {
			_, err := e.RemoveContact(background, phone)
			return err
		},
		"Suppress": func(e *engine.Engine, _ lead.WorkflowID, _ lead.ID) error {
			_, err := e.Suppress(background, engine.Suppress{PhoneNumber: phone})
			return err
		},
		"CancelWorkflow": func(e *engine.Engine, wf lead.WorkflowID, _ lead.ID) error {
			_, err := e.CancelWorkflow(background, wf)
			return err
		},
	}
	for way, remove := range ways {
		for _, column := range []string{
			"node = 9999", "node = 2147483648", "node = -5", "phase = 1", "phase = 77", "visit = -1", "visit = 2147483647", "spot = 0",
			"spot = spot + 8", "extra = x'7b'", "wake = NULL",
		} {
			t.Run(way+"/"+column, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("c"), nil })
					wf := w.callWaitMessage()
					l := w.enroll(wf, phone)
					synctest.Wait()
					w.damage(`UPDATE leads SET `+column+` WHERE seq = ?`, l)
					if got := w.lead(l); got.Unreadable == "" || got.PhoneNumber != phone {
						t.Errorf("it is read as %+v", got)
					}
					if _, err := w.eng.History(background, wf, l.ID); !errors.Is(err, lead.ErrUnreadable) {
						t.Errorf("History: %v", err)
					}
					if _, err := w.eng.Hold(background, wf, l.ID, engine.Hold{}); !errors.Is(err, lead.ErrUnreadable) {
						t.Errorf("Hold: %v", err)
					}
					if err := remove(w.eng, wf, l.ID); err != nil {
						t.Fatal(err)
					}
					w.crash()
					got := w.lead(l)
					if got.State != lead.Removed || got.Unreadable != "" || got.Removal == nil || got.Removal.RemovedAt.IsZero() {
						t.Fatalf("it is %+v", got)
					}
					w.history(l)
					n, err := w.eng.CountLeads(background, wf, engine.LeadFilter{States: []lead.State{lead.Removed}})
					if all, failed := w.eng.CountLeads(background, wf, engine.LeadFilter{}); n != 1 || all != 1 || err != nil || failed != nil {
						t.Errorf("%d of %d are removed: %v, %v", n, all, err, failed)
					}
					if _, err := w.eng.Remove(background, wf, l.ID); !errors.Is(err, lead.ErrLeadFinal) {
						t.Errorf("Remove again: %v", err)
					}
					if way == "Remove" || way == "RemoveLeads" || way == "RemoveContact" {
						w.enroll(wf, phone)
					}
					if seen := len(w.seen()); seen > 2 {
						t.Errorf("%d attempts", seen)
					}
				})
			})
		}
	}
}

// Metadata that cannot be read is told of once, however it is met.
func TestDamagedMetadataIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		log := &lockedBuffer{}
		w.config.Logger = slog.New(slog.NewTextHandler(log, nil))
		l := w.enroll(w.callWaitMessage(), phone)
		synctest.Wait()
		w.damage(`UPDATE contacts SET metadata = x'7b' WHERE seq = ?`, l)
		for range 2 {
			list, err := w.eng.Leads(background, l.WorkflowID, engine.LeadFilter{})
			if err != nil || len(list) != 1 || list[0].Unreadable == "" || list[0].Metadata != nil {
				t.Errorf("%+v, %v", list, err)
			}
			w.lead(l)
		}
		w.pass(72 * time.Hour)
		w.expectState(l, lead.Completed)
		if n := strings.Count(log.String(), l.ID.String()); n != 1 {
			t.Errorf("%d lines:\n%s", n, log)
		}
	})
}
