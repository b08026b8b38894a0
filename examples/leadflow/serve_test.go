package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"", "serve -synchronous off", `"off" is none of full, normal`},
		{"", "serve -upload-limit big", `"big" is no size`},
		{"", "serve -callback-url leads.test", "-callback-url"},
		{"", "serve -callback-url http://leads.test/?a", "-callback-url"},
		{"", "serve -callback-key short -db DIR/l.db -addr 127.0.0.1:0", "CallbackKey has 5 bytes"},
		{"", "serve -webhook-allow a.test,b_c!.test -db DIR/l.db -addr 127.0.0.1:0", `Allow[1] "b_c!.test"`},
		{"", "serve -pprof 0.0.0.0:0", "-pprof must be a loopback address"},
		{"", "serve -nonsense", "flag provided but not defined: -nonsense"},
		{"", "serve extra", "takes no arguments"},
		{"LEADFLOW_SHUTDOWN_TIMEOUT=soon", "serve", "LEADFLOW_SHUTDOWN_TIMEOUT: "},
		{"LEADFLOW_LOG_LEVEL=loud", "serve", "LEADFLOW_LOG_LEVEL: "},
		{"", "list a b", "one workflow's id"},
		{"", "list -limit -1", "limit"},
		{"", "list -server nowhere", "-server"},
		{"", "show", "needs a workflow's id"},
		{"", "history a", "needs a workflow's id and a lead's"},
		{"", "remove a b c", "needs a workflow's id and a lead's"},
		{"", "import", "needs -workflow"},
		{"", "import -workflow a b", "takes no arguments"},
		{"", "backup", "needs the name of one file"},
		{"", "version 1", "takes no arguments"},
		{"", "fly", `there is no command "fly"`},
	} {
		_, stderr, code := runBinary(t, []string{c.env}, strings.Fields(strings.ReplaceAll(c.args, "DIR", t.TempDir()))...)
		if code != exitUsage || !strings.Contains(stderr, c.text) {
			t.Errorf("%s %s: %d: %s", c.env, c.args, code, stderr)
		}
	}
}

func TestHelpNamesEveryFlagAndItsVariable(t *testing.T) {
	t.Parallel()
	out, _, code := runBinary(t, nil)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, c := range commands {
		if !strings.Contains(out, "leadflow "+c.name) || !strings.Contains(out, c.summary) {
			t.Errorf("the usage lacks %s:\n%s", c.name, out)
		}
		for _, args := range [][]string{{c.name, "-h"}, {"help", c.name}, {c.name, "--help"}} {
			// A setting that is wrong does not stand in the way, and a secret is not shown.
			text, stderr, code := runBinary(t, []string{"LEADFLOW_WORKERS=x", "LEADFLOW_TOKEN=s3cret"}, args...)
			if code != 0 || stderr != "" || !strings.HasPrefix(text, "Usage: leadflow "+c.name) || strings.Contains(text, "s3cret") {
				t.Errorf("%q: %d\n%s%s", args, code, text, stderr)
			}
			if c.name == "serve" && (!strings.Contains(text, "\n  -shutdown-timeout ") || !strings.Contains(text, "\n      LEADFLOW_SHUTDOWN_TIMEOUT\n")) {
				t.Errorf("%s", text)
			}
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
