package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// campaign is the database of a campaign in its second hour: of 200 people 120 can be
// called in an hour, and three of four answer.
func campaign(t *testing.T) (path string) {
	t.Helper()
	path = t.TempDir() + "/leads.db"
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	def, err := workflow.Parse([]byte(`{"name": "Campaign", "entry": "call", "time_zone": "UTC",
		"calling_hours": {"windows": [{"days": ["mon","tue","wed","thu","fri","sat","sun"], "from": "09:00", "to": "20:00"}]},
		"limits": [{"starts": 2, "per": "1m"}],
		"nodes": [{"id": "call", "type": "voice_call"}, {"id": "text", "type": "message"}, {"id": "won", "type": "converted"}, {"id": "lost", "type": "dropped"}],
		"edges": [{"from": "call", "to": "won", "label": "completed"}, {"from": "call", "to": "text", "label": "default"}, {"from": "text", "to": "lost", "label": "default"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	w := enginetest.New(t, enginetest.Config{Seed: 1, Store: db, Script: enginetest.Script{"call": enginetest.OneOf(
		enginetest.Weighted(75, enginetest.Outcome("completed").After(time.Minute)),
		enginetest.Weighted(25, enginetest.Outcome("no_answer").After(30*time.Second)))}})
	wf := w.Activate(t, def)
	for i := range 200 {
		c := enginetest.Contact(i)
		c.TimeZone = "UTC"
		w.Enroll(t, wf, c)
	}
	w.Run(t, 30*time.Minute)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForecastSaysWhatWillHappenAndWhatAChangeWouldDo(t *testing.T) {
	t.Parallel()
	path := campaign(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		out, stderr, code := runBinary(t, nil, append([]string{"forecast", "--db", path, "--start", "2030-01-07T09:30:00Z", "--days", "3"}, args...)...)
		if code != 0 || stderr != "" {
			t.Fatalf("%q: exit code %d\n%s%s", args, code, out, stderr)
		}
		return out
	}
	has := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(out) {
				t.Errorf("no %s in\n%s", w, out)
			}
		}
	}
	now := run()
	has(now, `, 3 days from Mon 2030-01-07 09:30 UTC`, `call of Campaign: at most \d+ wait for a limit of attempts, first on Mon 2030-01-07 10:29`,
		`The last lead is through on Mon 2030-01-07 1[01]:\d\d UTC`)
	if again := run(); again != now {
		t.Errorf("two forecasts of one database:\n%s\n%s", now, again)
	}
	// The limit leaves people over when the window ends.
	has(run("--hours", "09:00-10:00"), `The last lead is through on (Tue 2030-01-08|Wed 2030-01-09) 09:\d\d UTC`)
	has(run("--limit", "starts=10,per=1h,channel=voice_call"), `The last lead is through on (Tue|Wed) 2030-01-0[89]`)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the database was changed (%v)", err)
	}
}

func TestForecastRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, args string }{
		{"there is no such database", "--db none.db"},
		{"must be written like 09:00-18:00", "--hours 9to5"},
		{"must be written like in_flight=50", "--limit 50"},
		{"in_flight", "--limit in_fligt=50"},
		{"must be more than 0", "--days -1"},
		{"is not a number", "--days week"},
		{"must be a SQLite file", "--db postgres://example.com/leadflow"},
	} {
		out, stderr, code := runBinary(t, nil, append([]string{"forecast"}, strings.Fields(c.args)...)...)
		if code == 0 || out != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q, %q; want %q", c.args, code, out, stderr, c.want)
		}
	}
}
