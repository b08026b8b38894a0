package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// enrolled is how many leads of leads.csv can be enrolled.
const enrolled = 19

// table is what the built-in file comes to in a run that nobody cuts off.
const table = `
LEAD         PHONE          STATE      OUTCOME    PATH TAKEN (×2: two attempts), AND WHAT REMOVAL CANCELLED
Ada Moreno   +14155550102   completed  converted  call:completed → guide:sent → pause → paid? true → offer:sent → won
Ben Okafor   +14155550114   completed  dropped    call:dnp → later → again:failed → lost
Chloe Tan    +12125550110   completed  converted  call:completed → guide×2:sent → pause → paid? true → offer:sent → won
Dario Conti  +12125550104   removed    -          call:completed → guide:sent
                                                    cancelled: guide's reminder, due LATER; pause, due LATER
                                                    reason: moved to a competitor (asked by crm)
Elif Demir   +14155550120   completed  converted  call:completed → guide:sent → pause → paid? true → offer×2:sent → won
Greta Lind   +13125550107   removed    -          call:completed
                                                    cancelled: guide, which came next
                                                    reason: wrong person (asked by agent 7)
Hugo Neves   +13125550106   completed  converted  call×2:completed → guide:sent → pause → paid? true → offer:sent → won
Imogen Hart  +442079460109  completed  dropped    call:dnp → later → again:completed → guide:sent → pause → paid? false → lost
Jonas Weber  +442079460110  removed    -          call×2:completed
                                                    cancelled: guide, which came next
                                                    reason: complaint open (asked by support)
Kavya Rao    +12125550109   completed  dropped    call×3:failed → lost
Liam Byrne   +14155550104   completed  dropped    call:not_interested → lost
Mila Novak   +493023125102  removed    -          call:failed
                                                    cancelled: attempt 2 of call; lost, which came next
                                                    reason: said stop (asked by opt-out form)
Oskar Lang   +493023125113  completed  converted  call:voicemail → later → again:completed → guide:sent → pause → paid? true → offer:sent → won
Priya Nair   +12125550102   completed  dropped    call:completed → guide:sent → pause → paid? false → lost
Quentin Roy  +13125550110   completed  converted  call:voicemail → later → again:completed → guide:sent → pause → paid? true → offer:sent → won
Rosa Diaz    +12125550124   completed  converted  call×3:completed → guide:sent → pause → paid? true → offer:sent → won
Samir Aziz   +14155550118   completed  dropped    call:voicemail → later → again:voicemail → lost
Tess Bakker  +13125550100   completed  converted  call:completed → guide:sent → pause → paid? true → offer:sent → won
Umar Khan    +14155550116   completed  dropped    call:completed → guide:sent → pause → paid? false → lost

Totals:    converted 8, dropped 7, removed 4; calls 30 (retries 6), messages 31 (reminders 11), cancelled by removal 6
`

var dueTime = regexp.MustCompile(`due \d\d:\d\d:\d\d \([0-9.]+s later\)`)

// play runs the program in this process and returns what it printed.
func play(t *testing.T, opts options) string {
	t.Helper()
	var text bytes.Buffer
	if err := run(t.Context(), opts, newConsole(&text)); err != nil {
		t.Fatalf("run: %v\n%s", err, &text)
	}
	return dueTime.ReplaceAllString(text.String(), "due LATER")
}

func expect(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the output lacks\n%s\nin\n%s", part, text)
		}
	}
}

func TestEveryLeadComesToItsEndAndIsNotCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options{db: filepath.Join(t.TempDir(), "q.db")}
		began := time.Now()
		expect(t, play(t, opts), table,
			"Leads enrolled: 19; rows rejected: 3\n",
			`  row  7  phone_number: "call reception" is not a phone number`,
			`  row 15  phone_number: "+1 415 555" is not a possible number`,
			"  row 21  contact is already live in the workflow\n",
			"Dario Conti opts out while waiting: Remove answers removed\n",
			"Greta Lind  opts out during a live call: Remove answers pending_removal\n",
			"Greta Lind  is removed 2.0s later; the step in flight ended: call:completed\n",
			"Jonas Weber opts out while a retry is queued: Remove answers pending_removal\n",
			"Jonas Weber is removed 4.",
			"Mila Novak  opts out while a retry is queued (SkipRetries): Remove answers removed\n",
		)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("took %s, and nobody waits that long", took)
		}
		checkDatabase(t, opts.db)

		began = time.Now()
		expect(t, play(t, opts), table, "nobody is called again")
		if took := time.Since(began); took != 0 {
			t.Errorf("the second run took %s", took)
		}

		text := play(t, options{db: opts.db, fresh: true})
		expect(t, text, table, "Leads enrolled: 19")
		checkDatabase(t, opts.db)
	})
}

func TestTheDatabaseAnswersTheQueryThatIsPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options{db: filepath.Join(t.TempDir(), "q.db")}
		expect(t, play(t, opts), fmt.Sprintf(`sqlite3 -header -column %s "%s"`, opts.db, query))
		db, err := sql.Open("sqlite", opts.db)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		calls, busy := 0, 0
		for rows.Next() {
			var node, cameTo string
			var n int
			if err := rows.Scan(&node, &cameTo, &n); err != nil {
				t.Fatal(err)
			}
			if calls += n; cameTo == "line busy" {
				busy += n
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if calls != 30 || busy != 7 {
			t.Errorf("the call log has %d calls, %d of them busy; want 30 and 7", calls, busy)
		}
	})
}

func TestTheSectionToReadNextIsInTheREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, string(text), "\n## "+section+"\n")
}

func TestAnEnrollmentThatWasCutOffIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options{db: filepath.Join(t.TempDir(), "q.db")}
		def, err := workflow.Parse(workflowJSON)
		if err != nil {
			t.Fatal(err)
		}
		withEngine(t, opts.db, func(eng *engine.Engine) {
			if err := eng.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			wf, err := eng.CreateWorkflow(t.Context(), def)
			if err != nil {
				t.Fatal(err)
			}
			head := strings.SplitAfter(leadsCSV, "\n")[:4]
			if _, err := eng.EnrollCSV(t.Context(), wf.ID, strings.NewReader(strings.Join(head, ""))); err != nil {
				t.Fatal(err)
			}
		})
		expect(t, play(t, opts), table, "The last run ended while it enrolled: 3 leads are in already.")
		checkDatabase(t, opts.db)
	})
}

func TestOtherLeadsComeFromAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		opts := options{db: filepath.Join(dir, "q.db"), leads: filepath.Join(dir, "leads.csv")}
		file := "phone_number,name\n" + strings.Repeat("none,Nobody\n", 12) + "+14155550104,Liam\n+14155550116,\n"
		if err := os.WriteFile(opts.leads, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, play(t, opts), "Leads enrolled: 2; rows rejected: 12\n", "  … and 2 more\n",
			"Liam          +14155550104  completed", "+14155550116  +14155550116  completed")
	})
}

func TestErrorsAreOneClearLine(t *testing.T) {
	dir := t.TempDir()
	path := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := filepath.Join(dir, "foreign.db")
	withEngine(t, foreign, func(eng *engine.Engine) {
		if err := eng.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := eng.CreateWorkflow(t.Context(), &workflow.Definition{
			Name: "Real leads", Entry: "end", Nodes: []workflow.Node{workflow.End("end", workflow.Dropped)},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, test := range []struct {
		name string
		opts options
		want string
	}{
		{"no leads file", options{leads: filepath.Join(dir, "none.csv")}, "none.csv"},
		{"no phone column", options{leads: path("a.csv", "name,city\nAda,Rome\n")}, "no column phone_number"},
		{"empty leads file", options{leads: path("b.csv", "")}, "the file is empty"},
		{"no directory", options{db: filepath.Join(dir, "none", "q.db")}, "does not exist"},
		{"no database", options{db: path("c.db", "shopping list")}, "c.db"},
		{"no database, fresh", options{db: path("d.db", "shopping list"), fresh: true}, "d.db"},
		{"workflow of somebody else", options{db: foreign}, `has the workflow "Real leads"`},
		{"workflow of somebody else, fresh", options{db: foreign, fresh: true}, `has the workflow "Real leads"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.opts.db == "" {
				test.opts.db = filepath.Join(t.TempDir(), "q.db")
			}
			var text bytes.Buffer
			err := run(t.Context(), test.opts, newConsole(&text))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v; want one line with %q", err, test.want)
			}
		})
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("-fresh deleted somebody else's database: %v", err)
	}
}

func TestAConsoleKeepsTheStatusLineBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		c := newConsole(&text)
		c.live = true
		c.setStatus("one")
		c.event("something")
		c.endStatus()
		c.printf("over\n")
		want := "\r\x1b[K  0.0s  one" + "\r\x1b[K  0.0s  something\n  0.0s  one" + "\r\x1b[K" + "\r\x1b[Kover\n"
		if text.String() != want {
			t.Errorf("wrote %q, want %q", text.String(), want)
		}
	})
}

// withEngine opens the database that no program has open, without starting it.
func withEngine(t *testing.T, path string, do func(*engine.Engine)) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(db, engine.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	do(eng)
	if err := errors.Join(eng.Shutdown(context.WithoutCancel(t.Context())), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// eachLead calls do for every lead in the database, with its history.
func eachLead(t *testing.T, path string, do func(eng *engine.Engine, l lead.Lead, steps []lead.Step)) {
	t.Helper()
	withEngine(t, path, func(eng *engine.Engine) {
		known, err := eng.Workflows(t.Context(), engine.WorkflowFilter{})
		if err != nil || len(known) != 1 {
			t.Fatalf("%d workflows, %v", len(known), err)
		}
		for l, err := range eng.AllLeads(t.Context(), known[0].ID, engine.LeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			steps, err := eng.History(t.Context(), known[0].ID, l.ID)
			if err != nil {
				t.Fatal(err)
			}
			do(eng, l, steps)
		}
	})
}

// checkDatabase checks that no lead is lost, that each is final, that nothing of
// it is left to do, and that no attempt is on record twice.
func checkDatabase(t *testing.T, path string) {
	t.Helper()
	leads := 0
	eachLead(t, path, func(eng *engine.Engine, l lead.Lead, steps []lead.Step) {
		leads++
		if !l.State.Final() || !l.NextActionAt.IsZero() {
			t.Errorf("%s is %s, and due %s", name(l.Contact), l.State, l.NextActionAt)
		}
		for _, s := range steps {
			if !s.Status.Final() {
				t.Errorf("%s: step %s is %s", name(l.Contact), s.NodeID, s.Status)
			}
		}
		calls, _, err := eng.Calls(t.Context(), engine.CallFilter{WorkflowID: l.WorkflowID, LeadID: l.ID})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, c := range calls {
			attempt := fmt.Sprint(c.StepID, c.Attempt)
			if seen[attempt] || !c.Status.Final() {
				t.Errorf("%s: attempt %d of %s is in the log twice, or not over: %s", name(l.Contact), c.Attempt, c.NodeID, c.Status)
			}
			seen[attempt] = true
		}
	})
	if leads != enrolled {
		t.Errorf("%d leads are in the database, want %d", leads, enrolled)
	}
}
