package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// leadsFile writes a CSV file with n good rows and a bad one after each
// thousand.
func leadsFile(t *testing.T, n int) (path string, bad int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("phone_number,name,note\n")
	for i := range n {
		fmt.Fprintf(&b, "+1415%07d,Person %d,\"some words, and more\"\n", 2000000+i, i)
		if i%1000 == 999 {
			b.WriteString("12,Nobody,too short\n")
			bad++
		}
	}
	path = filepath.Join(t.TempDir(), "leads.csv")
	write(t, path, b.String())
	return path, bad
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var (
	anyID   = regexp.MustCompile(`(wfl|wlead|step|sup)_[0-9a-z]{26}`)
	anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(Z| UTC)`)
	spaces  = regexp.MustCompile(` +`)
)

// plain is an output without what differs from run to run.
func plain(text string) string {
	text = anyTime.ReplaceAllString(anyID.ReplaceAllString(text, "${1}_ID"), "TIME")
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(spaces.ReplaceAllString(line, " ")))
	}
	return strings.Join(lines, "\n")
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(plain(got))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestImportEnrollsTenThousandAndABackupIsTakenMeanwhile(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	dir := t.TempDir()
	wf, leads := filepath.Join(dir, "workflow.json"), ""
	write(t, wf, definition(p, time.Hour))
	leads, bad := leadsFile(t, 10_000)

	imported := make(chan string, 1)
	go func() {
		out, stderr, code := s.cli("import", "-workflow", wf, "-leads", leads)
		imported <- fmt.Sprintf("%s%s%d", out, stderr, code)
	}()
	s.logged(`"path":"/v1/workflows","status":201`)
	copies := 0
	var report string
	for report == "" {
		dest := filepath.Join(dir, fmt.Sprintf("copy%d.db", copies))
		out, stderr, code := runBinary(t, nil, "backup", "-db", s.db, dest)
		if code != 0 || !strings.HasPrefix(out, s.db+" is backed up to "+dest+" (") {
			t.Fatalf("%d: %s%s", code, out, stderr)
		}
		copies++
		select {
		case report = <-imported:
		default:
		}
	}
	want := `Created workflow wfl_ID, "Follow-up", with 5 nodes.
Enrolled 10,000 leads; 10 rows rejected.`
	for i := range bad {
		want += fmt.Sprintf("\nline %d: phone_number: \"12\" has no known country code; write it as +<country code><number>", 1002+1001*i)
	}
	want += "\nIt is a draft: nobody is contacted until you run leadflow activate wfl_ID"
	want += fmt.Sprintf("\nleadflow import: %d rows of %s were rejected\n4", bad, leads)
	same(t, "import", report, want)

	if _, stderr, code := runBinary(t, nil, "backup", "-db", s.db, filepath.Join(dir, "copy0.db")); code != exitFailed || !strings.Contains(stderr, "overwrites nothing") {
		t.Errorf("%d: %s", code, stderr)
	}
	if out, stderr, code := runBinary(t, []string{"LEADFLOW_DB=" + s.db}, "backup", filepath.Join(dir, "last.db")); code != 0 {
		t.Fatalf("%d: %s%s", code, out, stderr)
	}
	for i := range copies {
		countLeads(t, filepath.Join(dir, fmt.Sprintf("copy%d.db", i)))
	}
	if n := countLeads(t, filepath.Join(dir, "last.db")); n != 10_000 {
		t.Errorf("%d leads in the copy", n)
	}
}

// countLeads opens a copy as a server would, and checks it.
func countLeads(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eng, err := engine.New(db, engine.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	list, err := eng.Workflows(context.Background(), engine.WorkflowFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, wf := range list {
		for _, err := range eng.AllLeads(t.Context(), wf.ID, engine.LeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if int64(n) != wf.EnrolledLeads {
			t.Errorf("%s: %d leads, and %d counted", path, n, wf.EnrolledLeads)
		}
	}
	return n
}

func TestCommandsPrintWhatIsThere(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(p, time.Hour), true)
	talks := s.enroll(wf, phone)
	p.next(t, "+14155550101").reply(202, `{"call_id":"c-\u001b[31m1"}`)
	s.until(wf, talks, func(_ leadView, last stepView) bool { return last.CallID != "" })
	busy := s.enroll(wf, "+14155550102")
	p.next(t, "+14155550102").reply(503, "line busy")
	s.until(wf, busy, func(_ leadView, last stepView) bool { return last.Status == "retrying" })
	gone := s.enroll(wf, "+14155550103")
	p.next(t, "+14155550103").reply(200, `{"outcome":"dnp"}`)
	s.until(wf, gone, status("completed"))
	draft := s.create(strings.Replace(definition(p, time.Hour), "Follow-up", "Another\\nname", 1), false)
	limits, sup := filepath.Join(t.TempDir(), "limits.json"), ""
	write(t, limits, `{"limits": [{"channel": "voice_call", "in_flight": 1000}, {"rate_key": "line", "starts": 100, "per": "1m"}, {"per_contact": 1, "per": "24h"}]}`)

	for _, c := range []struct {
		args string
		want string
	}{
		{"list", `
ID STATUS LEADS LIVE NAME
wfl_ID active 3 2 Follow-up
wfl_ID draft 0 0 Another name`},
		{"list -status draft", `
ID STATUS LEADS LIVE NAME
wfl_ID draft 0 0 Another name`},
		{"list " + wf, `
ID PHONE NUMBER STATUS NODE OUTCOME NEXT ACTION
wlead_ID +14155550101 in_step call - TIME
wlead_ID +14155550102 in_step call - TIME
wlead_ID +14155550103 completed lost dropped -`},
		{"list -limit 1 " + wf, `
ID PHONE NUMBER STATUS NODE OUTCOME NEXT ACTION
wlead_ID +14155550101 in_step call - TIME
The first 1; --limit 10 lists more.`},
		{"list " + wf + " -status completed -node-id lost -phone-number +14155550103", `
ID PHONE NUMBER STATUS NODE OUTCOME NEXT ACTION
wlead_ID +14155550103 completed lost dropped -`},
		{"show " + wf, `
Workflow wfl_ID
Name Follow-up
Status active
Graph 5 nodes, 4 edges
Created TIME
Leads 3
enrolled 0
in_step 2
pending_removal 0
removed 0
completed 1`},
		{"show " + wf + " " + gone, `
Lead wlead_ID
Workflow wfl_ID
Phone number +14155550103
Outcome dropped
Status completed
Node lost
Next action -
Enrolled TIME
Completed TIME`},
		{"history " + wf + " " + talks, `
ENTERED NODE TYPE STATUS OUTCOME NOTE
TIME call voice_call in_progress - call c- [31m1`},
		{"history " + wf + " " + busy, `
ENTERED NODE TYPE STATUS OUTCOME NOTE
TIME call voice_call retrying - -
TIME attempt 1 failed webhook: POST ` + p.url + `/call: answered 503 Service Unavailable: line busy
- attempt 2 waiting due TIME`},
		{"remove -reason stop -actor me " + wf + " " + busy, `pending_removal: Lead will be removed when its step in flight is over.`},
		{"remove -skip-retries -wait 20s " + wf + " " + busy, `removed: Lead removed from workflow.`},
		{"show " + wf + " " + busy, `
Lead wlead_ID
Workflow wfl_ID
Phone number +14155550102
Status removed
Node call
Next action -
Enrolled TIME
Removal requested TIME, removed TIME
reason stop
actor me`},
		{"import -activate -workflow " + draft, `Activated workflow wfl_ID.`},
		{"explain " + wf + " " + gone, `The lead is completed with the outcome dropped.`},
		{"hold --reason holiday " + wf + " " + talks, `wlead_ID is held until it is released.`},
		{"show " + talks, `
Lead wlead_ID
Workflow wfl_ID
Phone number +14155550101
Status in_step
Node call
Next action TIME
Enrolled TIME
Held since TIME, until it is released
reason holiday
actor -`},
		{"release --actor me " + talks, `wlead_ID is released; next action: TIME.`},
		{"signal +14155550101 paid", `wlead_ID ignored`},
		{"signal " + talks + " paid", `wlead_ID ignored`},
		{"signal +14155550199 paid", `The person has no lead that is not final.`},
		{"explain " + talks, `
Is at "call": the outcome comes by a callback (until TIME).
Next: pause after completed
Next: lost after default
Removing it now: pending_removal; call finishes first, by TIME at the latest`},
		{"remove --phone +14155550199", `The person has no lead that is not final.`},
		{"suppress --reason stop --actor me +14155550101", `
+14155550101 is suppressed: sup_ID.
1 lead is removed when the step in flight ends.`},
		{"suppressions", `
ID PHONE NUMBER EXTERNAL ID SCOPE SINCE UNTIL REASON
sup_ID +14155550101 - everywhere TIME - stop`},
		{"audit -phone-number +14155550101 -actor me", `
ENTRY TIME ACTION PHONE NUMBER LEAD WORKFLOW BY REASON
8 TIME lead.released +14155550101 wlead_ID wfl_ID me -
9 TIME suppression.added +14155550101 - - me stop
10 TIME lead.removal_requested +14155550101 wlead_ID wfl_ID me stop`},
		{"lift --reason mistake " + "SUP", `sup_ID is lifted; +14155550101 may be enrolled again.`},
		{"suppressions --active true", `ID PHONE NUMBER EXTERNAL ID SCOPE SINCE UNTIL REASON`},
		{"suppressions --active false", `
ID PHONE NUMBER EXTERNAL ID SCOPE SINCE UNTIL REASON
sup_ID +14155550101 - everywhere TIME lifted TIME stop`},
		{"remove --phone +14155550101 --skip-retries", `
LEAD WORKFLOW STATUS
wlead_ID wfl_ID pending_removal`},
		{"limits", `No limit holds for all workflows.`},
		{"limits set " + limits, `
CHANNEL RATE KEY AT MOST
voice_call - 1,000 in flight
- line 100 starts in 1m
- - 1 attempt to a person in 24h`},
		{"limits -json", `{"limits":[{"channel":"voice_call","rate_key":null,"in_flight":1000,"starts":null,"per_contact":null,"per":null},` +
			`{"channel":null,"rate_key":"line","in_flight":null,"starts":100,"per_contact":null,"per":"1m"},` +
			`{"channel":null,"rate_key":null,"in_flight":null,"starts":null,"per_contact":1,"per":"24h"}]}`},
	} {
		out, stderr, code := s.cli(strings.Fields(strings.Replace(c.args, "SUP", sup, 1))...)
		if code != 0 {
			t.Errorf("%s: exit code %d", c.args, code)
		}
		if id := regexp.MustCompile(`sup_[0-9a-z]{26}`).FindString(out); id != "" {
			sup = id
		}
		same(t, c.args, out+stderr, c.want)
	}

	out, _, _ := s.cli("list", "-json")
	if strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, `{"id":"wfl_`) {
		t.Errorf("list -json: %s", out)
	}
	for _, args := range [][]string{{"show", wf}, {"show", wf, gone}, {"history", wf, gone}} {
		out, _, code := s.cli(append(args, "-json")...)
		if code != 0 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, `{"id":"w`) {
			t.Errorf("%q -json: %d: %s", args, code, out)
		}
	}
	for _, who := range []string{busy, "+14155550102"} {
		out, _, code := s.cli("receipt", who)
		if code != 0 || !strings.HasPrefix(out, "Receipt of an order to stop\n\nPerson           +14155550102\n") || !strings.Contains(out, "\nLead "+busy+"\n") {
			t.Errorf("receipt %s: %d: %s", who, code, out)
		}
	}
	out, _, code := runBinary(t, nil, "version")
	if code != 0 || !regexp.MustCompile(`^leadflow \S+.*, go1\.\S+, \w+/\w+\n$`).MatchString(out) {
		t.Errorf("version: %d: %s", code, out)
	}
}

func TestCommandsSayWhyTheyFailed(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(p, time.Hour), false)
	dir := t.TempDir()
	bad, good, leads, nothing := filepath.Join(dir, "bad.json"), filepath.Join(dir, "good.json"), filepath.Join(dir, "leads.csv"), filepath.Join(dir, "none")
	write(t, bad, `{"name":"","entry":"x","nodes":[],"edges":[]}`)
	write(t, good, definition(p, time.Hour))
	write(t, leads, "name\nAda\n")
	closed := httptest.NewServer(nil)
	closed.Close()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer html.Close()
	foreign := httptest.NewServer(http.NotFoundHandler())
	defer foreign.Close()
	const none = "wfl_00000000000000000000000000"
	for _, c := range []struct {
		args  string
		wants []string
	}{
		{"list -token wrong", []string{"the server answered 401 Unauthorized: the request needs the header Authorization: Bearer", "LEADFLOW_TOKEN", "is not the server's"}},
		{"list -server " + closed.URL, []string{"cannot reach the server at " + closed.URL, "connection refused", "is leadflow serve running there?"}},
		{"list -server " + html.URL, []string{"is not a leadflow server"}},
		{"list -server " + foreign.URL, []string{"the server answered 404 Not Found: 404 page not found"}},
		{"show " + none, []string{"the server answered 404 Not Found: no workflow " + none}},
		{"show nonsense/../x", []string{"the server answered 404"}},
		{"history " + wf + " wlead_00000000000000000000000000", []string{"the server answered 404 Not Found: no lead"}},
		{"remove " + wf + " wlead_00000000000000000000000000", []string{"the server answered 404 Not Found: no lead"}},
		{"list -status flying", []string{"the server answered 422 Unprocessable Entity: query.status: invalid workflow status", "must be one of draft, active"}},
		{"import -workflow " + nothing, []string{nothing, "no such file"}},
		{"import -workflow " + good + " -leads " + nothing, []string{nothing, "no such file"}},
		{"import -workflow " + good + " -leads " + dir, []string{"is not a regular file"}},
		{"import -workflow " + bad, []string{bad + ": the workflow is not valid", "\n  name: ", "\n  nodes: "}},
		{"import -workflow " + good + " -leads " + leads, []string{leads + ": the server answered 422", "no column phone_number", "Nothing was imported; the workflow is deleted again"}},
		{"import -workflow " + none + " -leads " + leads, []string{"404 Not Found: no workflow " + none}},
		{"backup -db " + nothing + " " + dir + "/copy.db", []string{nothing, "no such file"}},
		{"backup -db " + good + " " + dir + "/copy.db", []string{"not a database"}},
	} {
		out, stderr, code := s.cli(strings.Fields(c.args)...)
		if name, _, _ := strings.Cut(c.args, " "); code != exitFailed || !strings.HasPrefix(stderr, "leadflow "+name+": ") {
			t.Errorf("%s: %d: %s%s", c.args, code, out, stderr)
		}
		for _, want := range c.wants {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: no %q in %s", c.args, want, stderr)
			}
		}
	}
	var body struct{ Data []workflowView }
	if s.call("GET", "workflows", "", &body); len(body.Data) != 1 {
		t.Errorf("%d workflows, want the first only: an import that failed leaves none", len(body.Data))
	}
}
