package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db", "-upload-limit", "1000")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	wf := file("wf.json", definition(p, time.Hour))
	noURL := file("nourl.json", strings.ReplaceAll(definition(p, time.Hour), `"url"`, `"uri"`))
	good := file("good.csv", "phone_number\n+14155550101\n")
	bad := file("bad.csv", "phone_number\n\"12\n13\n")
	empty := file("empty.csv", "phone_number\n,\n")
	long := file("long.csv", "phone_number\n"+strings.Repeat("+14155550101\n", 100))
	workflows := func(when string, want int) {
		t.Helper()
		var body struct{ Data []workflowView }
		if s.call("GET", "workflows", "", &body); len(body.Data) != want {
			t.Errorf("%s: %d workflows, want %d", when, len(body.Data), want)
		}
	}
	for _, c := range []struct {
		args  []string
		wants []string
	}{
		{[]string{"-workflow", wf, "-leads", bad}, []string{"no row of " + bad + " can be enrolled"}},
		{[]string{"-workflow", wf, "-leads", empty}, []string{empty + " has no rows below its line of column names"}},
		{[]string{"-workflow", wf, "-leads", long}, []string{"413", "the body has more than 1000 bytes"}},
		{[]string{"-workflow", noURL, "-leads", good, "-activate", "-skip-webhook-check"}, []string{"422", "config.url is missing"}},
	} {
		_, stderr, code := s.cli(append([]string{"import"}, c.args...)...)
		if code != exitFailed {
			t.Errorf("%q: exit code %d", c.args, code)
		}
		for _, want := range append(c.wants, "\nNothing was imported; the workflow is deleted again\n") {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q: no %q in %s", c.args, want, stderr)
			}
		}
		workflows(strings.Join(c.args, " "), 0)
	}
	s.run(0, `
Created workflow wfl_ID, "Follow-up", with 5 nodes.
Enrolled 1 lead; 0 rows rejected.
It is a draft: nobody is contacted until you run leadflow activate wfl_ID`, "import", "-workflow", wf, "-leads", good)
	var body struct{ Data []workflowView }
	s.call("GET", "workflows", "", &body)
	id := body.Data[0].ID

	// Into a workflow that was there before, which stays.
	s.run(1, `
Enrolled 0 leads; 1 row rejected.
line 2: contact is already live in the workflow: lead wlead_ID is enrolled
leadflow import: no row of `+good+` can be enrolled`, "import", "-workflow", id, "-leads", good, "-activate")
	workflows("into one that is there", 1)
	s.run(0, `{"workflow_id":"wfl_ID","leads_enrolled":1,"rejected":0,"errors":[]}`,
		"import", "-json", "-workflow", id, "-leads", file("json.csv", "phone_number\n+14155550109\n"))
	national := file("national.csv", "phone_number\n(415) 555-0102\n12\n")
	s.run(4, `
Enrolled 1 lead; 1 row rejected.
line 3: phone_number: "12", read as a number of US, is not a possible number in its country (wrong length)
leadflow import: 1 row of `+national+` was rejected`, "import", "-workflow", id, "-leads", national, "-region", "US")
}

// What validate refuses, import and edit refuse too, and before the server is asked.
func TestImportChecksWebhooksAsValidateDoes(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	dir := t.TempDir()
	good, leads := filepath.Join(dir, "good.json"), filepath.Join(dir, "leads.csv")
	write(t, good, definition(p, time.Hour))
	write(t, leads, "phone_number\n+14155550101\n")
	draft := s.create(definition(p, time.Hour), false)
	faulty := map[string]string{
		"url.json":     strings.ReplaceAll(definition(p, time.Hour), `"url"`, `"uri"`),
		"form.json":    `{"name":"Forms","entry":"a","nodes":[{"id":"a","type":"message","config":{"url":"http://dialer.test/","callback":{"outcome":{}}}}],"edges":[]}`,
		"handler.json": `{"name":"Named","entry":"a","nodes":[{"id":"a","type":"message","handler":"sms"},{"id":"b","type":"voice_call"}],"edges":[{"from":"a","to":"b","label":"success"}]}`,
	}
	for name, text := range faulty {
		file := filepath.Join(dir, name)
		write(t, file, text)
		out, _, code := runBinary(t, nil, "validate", file)
		found, ok := strings.CutPrefix(out, "invalid ")
		if code != exitFailed || !ok || !strings.HasSuffix(out, "--skip-webhook-check\n") {
			t.Fatalf("%s: %d: %s", name, code, out)
		}
		for _, command := range [][]string{
			{"import", "-workflow", file}, {"import", "-workflow", file, "-leads", leads, "-activate"},
			{"import", "-workflow", file, "-dry-run"}, {"import", "-workflow", file, "-leads", leads, "-dry-run"},
			{"edit", draft, file},
		} {
			want := "leadflow " + command[0] + ": " + found
			if out, stderr, code := s.cli(command...); code != exitFailed || stderr != want || out != "" {
				t.Errorf("%q: %d: %s%s, want %s", command, code, out, stderr, want)
			}
		}
	}
	var body struct{ Data []workflowView }
	if s.call("GET", "workflows", "", &body); len(body.Data) != 1 || body.Data[0].Name != "Follow-up" {
		t.Errorf("%+v", body.Data)
	}

	out, _, _ := runBinary(t, nil, "validate", filepath.Join(dir, "handler.json"))
	for _, want := range []string{`nodes[0].handler: node "a" needs the handler sms, and leadflow serve has only application, message, voice_call`, "nodes[1].config: webhook: node b: config.url"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}

	// The handlers of another program need no webhooks; its server checks them.
	named := filepath.Join(dir, "handler.json")
	s.run(0, `valid `+named+`: "Named", 2 nodes, 1 edge`, "validate", "-skip-webhook-check", named)
	s.run(0, `Would create a workflow, "Named", with 2 nodes.`, "import", "-workflow", named, "-dry-run", "-skip-webhook-check")
	s.run(0, `
Created workflow wfl_ID, "Named", with 2 nodes.
It is a draft: nobody is contacted until you run leadflow activate wfl_ID`, "import", "-workflow", named, "-skip-webhook-check")
	s.run(0, `Replaced the graph of workflow wfl_ID, "Named": 2 nodes, 1 edge.`, "edit", "-skip-webhook-check", draft, named)
}

func TestImportRefusesAnUnknownRegionBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	dir := t.TempDir()
	wf, leads := filepath.Join(dir, "wf.json"), filepath.Join(dir, "leads.csv")
	write(t, wf, definition(p, time.Hour))
	write(t, leads, "phone_number\n+14155550101\n")
	id := s.create(definition(p, time.Hour), false)
	for _, more := range [][]string{{wf}, {wf, "-dry-run"}, {wf, "-dry-run", "-leads", leads}, {wf, "-leads", leads}, {id, "-leads", leads}} {
		args := append([]string{"import", "-region", "USA", "-workflow"}, more...)
		out, stderr, code := s.cli(args...)
		want := `leadflow import: --region "USA" is not a two-letter ISO 3166 country code in upper case; did you mean "US"?; must be one of AC, AD, `
		if code != exitUsage || out != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%q: %d: %s%s, want %s", args, code, out, stderr, want)
		}
	}
	var body struct{ Data []workflowView }
	if s.call("GET", "workflows", "", &body); len(body.Data) != 1 || body.Data[0].EnrolledLeads != 0 {
		t.Errorf("%+v", body.Data)
	}
}

func TestAnImportThatIsCutOffSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	reach := httputil.NewSingleHostReverseProxy(target)
	var kept atomic.Bool // a deletion does not come through
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/leads"):
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, "away", http.StatusBadGateway)
		case r.Method == http.MethodDelete && kept.Load():
			http.Error(w, "away too", http.StatusBadGateway)
		default:
			reach.ServeHTTP(w, r)
		}
	}))
	defer front.Close()
	dir := t.TempDir()
	wf, leads := filepath.Join(dir, "wf.json"), filepath.Join(dir, "leads.csv")
	write(t, wf, definition(newProvider(t), time.Hour))
	write(t, leads, "phone_number\n+14155550101\n")
	for _, want := range []string{
		"leadflow import: LEADS: the server answered 502 Bad Gateway: away \nNothing was imported; the workflow is deleted again\n",
		"leadflow import: LEADS: the server answered 502 Bad Gateway: away \n" +
			"The workflow is still there, as wfl_ID: it could not be deleted: the server answered 502 Bad Gateway: away too \n",
	} {
		_, stderr, code := runBinary(t, []string{"LEADFLOW_TOKEN=" + token, "LEADFLOW_SERVER=" + front.URL}, "import", "-workflow", wf, "-leads", leads)
		if got := anyID.ReplaceAllString(strings.ReplaceAll(stderr, leads, "LEADS"), "${1}_ID"); code != exitFailed || got != want {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
		kept.Store(true)
	}
}

func TestAnInterruptedImportLeavesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	reach := httputil.NewSingleHostReverseProxy(target)
	uploading := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/leads") {
			_, _ = io.Copy(io.Discard, r.Body)
			close(uploading)
			<-r.Context().Done() // until the client has gone
			return
		}
		reach.ServeHTTP(w, r)
	}))
	defer front.Close()
	dir := t.TempDir()
	wf, leads := filepath.Join(dir, "wf.json"), filepath.Join(dir, "leads.csv")
	write(t, wf, definition(newProvider(t), time.Hour))
	write(t, leads, "phone_number\n+14155550101\n")
	cmd := exec.CommandContext(limited(t), binary, "import", "-workflow", wf, "-leads", leads)
	cmd.Env = environ("LEADFLOW_TOKEN="+token, "LEADFLOW_SERVER="+front.URL)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-uploading:
	case <-limited(t).Done():
		t.Fatal("nothing is uploaded")
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "stopped by interrupt\nNothing was imported") {
		t.Errorf("%d: %s", code, &stderr)
	}
	var body struct{ Data []workflowView }
	if s.call("GET", "workflows", "", &body); len(body.Data) != 0 {
		t.Errorf("%+v", body.Data)
	}
}

func TestADryRunOfAnImportWritesNothing(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	dir := t.TempDir()
	wf, leads, bad := filepath.Join(dir, "wf.json"), filepath.Join(dir, "leads.csv"), filepath.Join(dir, "bad.json")
	write(t, wf, definition(p, time.Hour))
	write(t, bad, `{"name":"","entry":"a","nodes":[{"id":"a","type":"converted"}],"edges":[]}`)
	write(t, leads, "phone_number\n\n+14155550101\n(415) 555-0102\n+14155550101\nreception\n")
	want := `
Would create a workflow, "Follow-up", with 5 nodes.
Would enroll 2 leads; 2 rows would be rejected. Nothing was written.
line 5: contact is already live in the workflow: an earlier row has the same phone number
line 6: phone_number: "reception" is not a phone number
leadflow import: 2 rows of ` + leads + ` would be rejected`
	s.run(4, want, "import", "-dry-run", "-workflow", wf, "-leads", leads, "-region", "US")
	// A file needs no server.
	out, stderr, code := runBinary(t, []string{"LEADFLOW_SERVER=http://127.0.0.1:9"}, "import", "-dry-run", "-workflow", wf, "-leads", leads, "-region", "US")
	if code != 4 {
		t.Errorf("exit code %d", code)
	}
	same(t, "without a server", out+stderr, want)
	s.run(0, `Would create a workflow, "Follow-up", with 5 nodes.`, "import", "-dry-run", "-workflow", wf)
	s.run(1, `
leadflow import: `+bad+`: the workflow is not valid
name: is required`, "import", "-dry-run", "-workflow", bad)

	s.run(4, `
{"leads_enrolled":2,"rejected":2,"errors":[{"row":4,"line":5,"message":"contact is already live in the workflow: an earlier row has the same phone number"},`+
		`{"row":5,"line":6,"message":"phone_number: \"reception\" is not a phone number"}]}
leadflow import: 2 rows of `+leads+` would be rejected`, "import", "-json", "-dry-run", "-workflow", wf, "-leads", leads, "-region", "US")

	id := s.create(definition(p, time.Hour), false)
	s.enroll(id, "+14155550101")
	s.run(4, `
Would enroll 1 lead; 3 rows would be rejected. Nothing was written.
line 3: contact is already live in the workflow: lead wlead_ID is enrolled
line 5: contact is already live in the workflow: an earlier row has the same phone number
line 6: phone_number: "reception" is not a phone number
leadflow import: 3 rows of `+leads+` would be rejected`, "import", "-dry-run", "-activate", "-workflow", id, "-leads", leads, "-region", "US")
	var body struct{ Data []workflowView }
	if s.call("GET", "workflows", "", &body); len(body.Data) != 1 || body.Data[0].EnrolledLeads != 1 || body.Data[0].Status != "draft" {
		t.Errorf("%+v", body.Data)
	}
}

func TestABackupIsRestored(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(newProvider(t), time.Hour), false)
	s.enroll(wf, phone)
	dir := t.TempDir()
	backup, db := filepath.Join(dir, "backup.db"), filepath.Join(dir, "leads.db")
	if _, stderr, code := runBinary(t, nil, "backup", "-db", s.db, backup); code != 0 {
		t.Fatalf("%d: %s", code, stderr)
	}
	before := read(t, backup)
	out, stderr, code := runBinary(t, nil, "restore", "-db", db, backup)
	if code != 0 || !strings.HasPrefix(out, db+" is restored from "+backup+" (") {
		t.Fatalf("%d: %s%s", code, out, stderr)
	}
	if read(t, backup) != before {
		t.Error("the backup was changed")
	}
	if n := countLeads(t, db); n != 1 {
		t.Errorf("%d leads", n)
	}

	write(t, filepath.Join(dir, "text.db"), strings.Repeat("no database", 100))
	write(t, filepath.Join(dir, "old.db-wal"), "a log")
	broken := []byte(before)
	for i := 4096; i < len(broken); i++ {
		broken[i] ^= 0x5a
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.db"), broken, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "empty.db"), "")
	for _, c := range []struct{ db, backup, want string }{
		{db, backup, db + ": file already exists; restore overwrites nothing: move it away, or name another file with --db"},
		{filepath.Join(dir, "old.db"), backup, "old.db-wal: file already exists; restore overwrites nothing: move it away, or name another file with --db"},
		{filepath.Join(dir, "a.db"), filepath.Join(dir, "text.db"), "text.db is damaged, or not a backup; restore another one (file is not a database (26))"},
		{filepath.Join(dir, "b.db"), filepath.Join(dir, "none.db"), "none.db: no such file or directory; give the path of a file that leadflow backup wrote"},
		{filepath.Join(dir, "c.db"), filepath.Join(dir, "broken.db"), "broken.db is damaged, or not a backup; restore another one (database disk image is malformed (11))"},
		{filepath.Join(dir, "d.db"), filepath.Join(dir, "empty.db"), "empty.db is empty; give the path of a file that leadflow backup wrote"},
		{filepath.Join(dir, "e.db"), dir, dir + " is not a regular file; give the path of a file that leadflow backup wrote"},
		{filepath.Join(dir, "none", "f.db"), backup, "the directory " + filepath.Join(dir, "none") + " does not exist; create it, or name another file with --db"},
	} {
		_, stderr, code := runBinary(t, nil, "restore", "-db", c.db, c.backup)
		if code != exitFailed || !strings.HasSuffix(stderr, c.want+"\n") || strings.Contains(stderr, "back up") {
			t.Errorf("%s: %d: no %q in %s", c.db, code, c.want, stderr)
		}
		if _, err := os.Lstat(c.db); c.db != db && err == nil {
			t.Errorf("%s was left behind", c.db)
		}
	}
	for _, args := range [][]string{{"-db", "postgres://localhost/leads", backup}, {"-db", filepath.Join(dir, "g.db"), "postgres://localhost/leads"}} {
		_, stderr, code := runBinary(t, nil, append([]string{"restore"}, args...)...)
		if want := "leadflow restore: a PostgreSQL database is restored by pg_restore, or by its server\n"; code != exitUsage || !strings.HasPrefix(stderr, want) {
			t.Errorf("%q: %d: %s, want %s", args, code, stderr, want)
		}
	}
}
