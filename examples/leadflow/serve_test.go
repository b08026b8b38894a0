package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestWithoutATokenOnlyLoopbackIsServed(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:80", "leads.example.com:80", "8080", "localhost.example.com:1"} {
		dir := t.TempDir()
		_, stderr, code := runBinary(t, nil, "serve", "-db", filepath.Join(dir, "leads.db"), "-addr", addr)
		if code != exitUsage || !strings.HasPrefix(stderr, "leadflow serve: without a token the server listens on a loopback address only") ||
			!strings.Contains(stderr, "LEADFLOW_TOKEN") {
			t.Errorf("%s: %d: %s", addr, code, stderr)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Errorf("%s: something was begun: %v, %v", addr, list, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		s := startServerWith(t, t.TempDir()+"/leads.db", nil, "-addr", addr)
		s.logged("no token is set")
		if code := call(t, "GET", s.url+"/v1/workflows", "", "", nil); code != 200 {
			t.Errorf("answered %d", code)
		}
		s.kill()
	}
	s := startServer(t, t.TempDir()+"/leads.db", "-addr", "0.0.0.0:0")
	if !strings.HasPrefix(s.url, "http://127.0.0.1:") {
		t.Errorf("url %s", s.url)
	}
	for authorization, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer " + token: 200} {
		if code := call(t, "GET", s.url+"/v1/workflows", authorization, "", nil); code != want {
			t.Errorf("%q: %d, want %d", authorization, code, want)
		}
	}
}

// A page in a browser on the same machine reaches loopback addresses too.
func TestWithoutATokenWebPagesAreKeptOut(t *testing.T) {
	t.Parallel()
	s := startServerWith(t, t.TempDir()+"/leads.db", nil)
	for name, c := range map[string]struct {
		change func(r *http.Request)
		want   int
	}{
		"a program":           {func(*http.Request) {}, 201},
		"its own page":        {func(r *http.Request) { r.Header.Set("Origin", s.url); r.Header.Set("Sec-Fetch-Site", "same-origin") }, 201},
		"another page":        {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"another origin":      {func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, 403},
		"a name made to lead": {func(r *http.Request) { r.Host = "evil.test" }, 403},
	} {
		req, err := http.NewRequest("POST", s.url+"/v1/workflows", strings.NewReader(`{"name":"x","entry":"a","nodes":[{"id":"a","type":"converted"}],"edges":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		c.change(req)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d: %s", name, res.StatusCode, c.want, text)
		}
	}
}

func TestFaultySettingsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  string
		args string
		text string
	}{
		{"", "serve -shutdown-timeout 0s", "-shutdown-timeout must be more than 0"},
		{"", "serve -read-timeout -1s", "-read-timeout must be more than 0"},
		{"", "serve -workers 0", "-workers must be more than 0"},
		{"", "serve -synchronous off", `--synchronous: "off" must be one of full, normal`},
		{"", "serve -upload-limit big", `--upload-limit: invalid size "big"`},
		{"", "serve -callback-url leads.test", "-callback-url"},
		{"", "serve -callback-url http://leads.test/?a", "-callback-url"},
		{"", "serve -callback-key short -db DIR/l.db -addr 127.0.0.1:0", "CallbackKey: has 5 bytes"},
		{"", "serve -webhook-allow a.test,b_c!.test -db DIR/l.db -addr 127.0.0.1:0", `Allow[1] "b_c!.test"`},
		{"", "serve -pprof 0.0.0.0:0", "-pprof must be a loopback address"},
		{"", "serve -nonsense", "unknown flag --nonsense"},
		{"", "serve -wrkers=3", `unknown flag --wrkers; did you mean "--workers"?`},
		{"", "serve -db", "flag needs an argument: --db"},
		{"", "serve --workers many", `--workers: "many" must be a whole number`},
		{"", "serve -shutdown-timeout 30", `--shutdown-timeout: invalid duration "30"; it has no unit: write "30s", "30m" or "30h"`},
		{"", "remove a b -wait 1d", `--wait: invalid duration "1d"; the units are h, m and s: write "24h"`},
		{"", "serve -region UK -db DIR/l.db", `--region "UK" is not`},
		{"", "serve extra", "takes no arguments"},
		{"LEADFLOW_SHUTDOWN_TIMEOUT=soon", "serve", "LEADFLOW_SHUTDOWN_TIMEOUT: "},
		{"LEADFLOW_LOG_LEVEL=loud", "serve", "LEADFLOW_LOG_LEVEL: "},
		{"LEADFLOW_JSON=perhaps", "list", `LEADFLOW_JSON: "perhaps" must be true or false`},
		{"", "list a b", "one workflow's id"},
		{"", "list -limit -1", `--limit: "-1" must be a whole number, 0 or more`},
		{"", "list -node-id call", "--node-id is for the leads of a workflow"},
		{"", "list -server nowhere", "-server"},
		{"", "show", "needs the id of a workflow or of a lead"},
		{"", "history a", "needs a workflow's id and a lead's"},
		{"", "remove a b c", "needs a lead's id; the workflow's may stand before it"},
		{"", "import", "needs --workflow"},
		{"", "import -workflow a b", "takes no arguments"},
		{"", "backup", "needs the name of one file"},
		{"", "version 1", "takes no arguments"},
		{"", "fly", `there is no command "fly"`},
		{"", "lst", `there is no command "lst"; leadflow help lists them; did you mean "list"?`},
		{"", "help fly", `there is no command "fly"`},
		{"", "-nonsense", "unknown flag --nonsense"},
		{"", "activate", "needs a workflow's id"},
		{"", "delete a b", "needs a workflow's id"},
		{"", "enroll a", "needs a workflow's id and a phone number"},
		{"", "enroll a +14155552671 -metadata plan", `--metadata: invalid field "plan"; write one such as plan=pro`},
		{"", "enroll a +14155552671 -metadata {plan", `--metadata: invalid JSON object "{plan": `},
		{"", "calls a", "takes no arguments"},
		{"", "edit a", "needs a workflow's id and a file"},
		{"", "restore", "needs the name of one backup"},
		{"", "validate", "needs files"},
		{"", "completion csh", "the shell must be one of bash, zsh, fish, powershell"},
	} {
		dir := t.TempDir()
		_, stderr, code := runBinary(t, []string{c.env}, strings.Fields(strings.ReplaceAll(c.args, "DIR", dir))...)
		if code != exitUsage || !strings.Contains(stderr, c.text) {
			t.Errorf("%s %s: %d: %s", c.env, c.args, code, stderr)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Errorf("%s %s: left %v, %v", c.env, c.args, list, err)
		}
	}
}

func TestHelpNamesEveryFlagAndItsVariable(t *testing.T) {
	t.Parallel()
	out, _, code := runBinary(t, nil)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, exit := range []string{"0", "1", "2", "3", "4", "130", "143"} {
		if !strings.Contains(out, "\n    "+exit+" ") {
			t.Errorf("the usage lacks the exit code %s:\n%s", exit, out)
		}
	}
	for _, c := range (&program{}).root().Commands() {
		if !strings.Contains(out, "\n  "+c.Name()+" ") || !strings.Contains(out, c.Short) {
			t.Errorf("the usage lacks %s:\n%s", c.Name(), out)
		}
		for _, args := range [][]string{{c.Name(), "-h"}, {"help", c.Name()}, {c.Name(), "--help"}, {c.Name(), "-help"}} {
			// A setting that is wrong does not stand in the way, and a secret is not shown.
			text, stderr, code := runBinary(t, []string{"LEADFLOW_WORKERS=x", "LEADFLOW_TOKEN=s3cret", "LEADFLOW_CONFIG=none.toml"}, args...)
			if code != 0 || stderr != "" || !strings.Contains(text, "Usage:\n  leadflow "+c.Name()) || strings.Contains(text, "s3cret") {
				t.Errorf("%q: %d\n%s%s", args, code, text, stderr)
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if !strings.Contains(text, "--"+f.Name+" ") || f.Name != "help" && f.Annotations[ownValue] == nil && !strings.Contains(text, "["+envName(f.Name)+"]") {
					t.Errorf("%q lacks --%s or its variable:\n%s", args, f.Name, text)
				}
			})
		}
	}
}

func TestSettingsComeFromTheEnvironmentAndTheCommandLineWins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServerWith(t, dir+"/flag.db", []string{
		"LEADFLOW_TOKEN=" + token, "LEADFLOW_DB=" + dir + "/env.db", "LEADFLOW_PPROF=localhost:0", "LEADFLOW_SYNCHRONOUS=normal", "LEADFLOW_LOG_FORMAT=text",
		"LEADFLOW_REGION=US", "LEADFLOW_UPLOAD_LIMIT=1K",
	})
	if list, err := filepath.Glob(dir + "/*.db"); err != nil || len(list) != 1 || list[0] != dir+"/flag.db" {
		t.Errorf("files %q, %v", list, err)
	}
	var said struct{ URL string }
	if err := json.Unmarshal([]byte(s.logged(`"msg":"serving profiles"`)), &said); err != nil {
		t.Fatal(err)
	}
	if code := call(t, "GET", said.URL+"cmdline", "", "", nil); code != 200 {
		t.Errorf("profiles: %d", code)
	}
	if code := call(t, "GET", s.url+"/debug/pprof/", "Bearer "+token, "", nil); code != 404 {
		t.Errorf("profiles beside the API: %d", code)
	}
	wf := s.create(`{"name":"x","entry":"a","nodes":[{"id":"a","type":"message","config":{"url":"http://127.0.0.1:9"}}],"edges":[]}`, false)
	s.enroll(wf, "415 555 2671")
	if code := s.call("POST", "workflows/"+wf+"/leads", `{"phone_number":"+14155552671"}`, nil); code != 409 {
		t.Errorf("the same number in another form: %d", code)
	}
	leads := filepath.Join(dir, "leads.csv")
	if err := os.WriteFile(leads, []byte("phone_number\n"+strings.Repeat("+14155552672\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := s.cli("import", "-workflow", wf, "-leads", leads)
	if code != exitFailed || !strings.Contains(stderr, "the server answered 413") {
		t.Errorf("%d: %s", code, stderr)
	}
}
