package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs a command against the server and expects its exit code and all that it
// prints, without what differs from run to run.
func (s *testServer) run(code int, want string, args ...string) {
	s.t.Helper()
	out, stderr, got := s.cli(args...)
	if got != code {
		s.t.Errorf("%q: exit code %d, want %d", args, got, code)
	}
	same(s.t, strings.Join(args, " "), out+stderr, want)
}

func TestAWorkflowsLifeByCommands(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	dir := t.TempDir()
	file, other := filepath.Join(dir, "wf.json"), filepath.Join(dir, "other.json")
	write(t, file, "\ufeff"+definition(p, time.Hour))
	write(t, other, strings.Replace(definition(p, 2*time.Hour), "Follow-up", "Other", 1))
	s.run(0, `
Created workflow wfl_ID, "Follow-up", with 5 nodes.
It is a draft: nobody is contacted until you run leadflow activate wfl_ID`, "import", "-workflow", file)
	var list struct{ Data []workflowView }
	s.call("GET", "workflows", "", &list)
	wf := list.Data[0].ID

	s.run(0, `Replaced the graph of workflow wfl_ID, "Other": 5 nodes, 4 edges.`, "edit", wf, other)
	s.run(0, `Enrolled +14155550101 as lead wlead_ID, at node call; next action: TIME.`,
		"enroll", wf, phone, "-external-id", "crm-7", "--time-zone", "America/New_York",
		"-metadata", "plan=a=b", "-metadata", `{"visits": 3}`)
	s.run(1, `leadflow edit: the server answered 409 Conflict: not possible in the workflow's status (workflow wfl_ID, now draft, 1 leads enrolled)
Only a draft without leads can be edited. To use the file: leadflow import --workflow `+file, "edit", wf, file)
	leads, _, _ := s.cli("list", wf, "-json")
	var l leadView
	if err := json.Unmarshal([]byte(leads), &l); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"show", wf, l.ID}, {"show", l.ID}} {
		s.run(0, `
Lead wlead_ID
Workflow wfl_ID
Phone number +14155550101
External id crm-7
Time zone America/New_York
Status enrolled
Node call
Next action TIME
Enrolled TIME
Metadata {"plan":"a=b","visits":3}`, args...)
	}
	s.run(1, `leadflow show: the server answered 404 Not Found: no lead wlead_ID`, "show", "wlead_00000000000000000000000000")
	s.run(1, `leadflow pause: the server answered 409 Conflict: not possible in the workflow's status (workflow wfl_ID, now draft)`, "pause", wf)
	s.run(0, `Activated workflow wfl_ID, "Other". 1 lead is contacted from now on.`, "activate", wf)
	p.next(t, phone).reply(503, "busy")
	s.until(wf, l.ID, func(_ leadView, last stepView) bool { return last.Status == "retrying" })
	s.run(0, `Paused workflow wfl_ID, "Other". 1 lead is waiting until it is resumed.`, "pause", wf)
	s.run(0, `Resumed workflow wfl_ID, "Other". 1 lead is moving again.`, "resume", wf)
	s.run(1, `leadflow delete: the server answered 409 Conflict: not possible in the workflow's status (workflow wfl_ID, now active); cancel the workflow first`, "delete", wf)
	s.run(0, `Cancelled workflow wfl_ID, "Other", which had 1 live lead.`, "cancel", wf, "-yes")
	s.run(0, `Deleted workflow wfl_ID, "Other", which had 1 lead. The call log stays.`, "delete", wf)
	s.run(1, `leadflow cancel: the server answered 404 Not Found: no workflow wfl_ID`, "cancel", wf)

	s.run(0, `
STARTED TOOK PHONE NUMBER STATUS OUTCOME CALL ID LEAD NOTE
TIME 0s +14155550101 failed - - wlead_ID webhook: POST `+p.url+`/call: answered 503 Service Unavailable: busy`,
		"calls", "-phone-number", phone, "-workflow-id", wf)
	s.run(0, `STARTED TOOK PHONE NUMBER STATUS OUTCOME CALL ID LEAD NOTE`, "calls", "-status", "completed")
	if out, _, code := s.cli("calls", "-json"); code != 0 || !strings.HasPrefix(out, `{"call_id":null,"step_id":"step_`) {
		t.Errorf("%d: %s", code, out)
	}
}

func TestAShellCompletesIdsFromTheServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	def := definition(newProvider(t), time.Hour)
	draft, active := s.create(def, false), s.create(def, true)
	id := s.enroll(draft, phone)
	for args, want := range map[string]string{
		"show ":                            draft + "\tFollow-up, draft\n" + active + "\tFollow-up, active\n:4\n",
		"activate ":                        draft + "\tFollow-up, draft\n:4\n",
		"pause ":                           active + "\tFollow-up, active\n:4\n",
		"resume ":                          ":4\n",
		"remove " + draft + " ":            id + "\t" + phone + ", enrolled\n:4\n",
		"edit " + draft + " ":              "json\n:8\n",
		"show -server http://127.0.0.1:9 ": ":4\n",
	} {
		out, _, code := s.cli(append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if code != 0 || out != want {
			t.Errorf("%s: %d: %s, want %s", args, code, out, want)
		}
	}
}

// A cancellation tells of leads whose steps must end first.
func TestCancelSaysWhoseStepIsInFlight(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(p, time.Hour), true)
	s.enroll(wf, phone)
	call := p.next(t, phone)
	s.run(0, `
Cancelled workflow wfl_ID, "Follow-up", which had 1 live lead.
1 lead has a step in flight, and will be removed when it ends.`, "cancel", wf)
	call.reply(200, `{"outcome":"dnp"}`)
}

func TestDeleteAsksAndNamesHowManyLeads(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(newProvider(t), time.Hour), false)
	s.enroll(wf, phone)
	for _, c := range []struct {
		answer string
		code   int
	}{{"n\n", 1}, {"y\n", 0}} {
		var out, errs bytes.Buffer
		env := map[string]string{"LEADFLOW_TOKEN": token, "LEADFLOW_SERVER": s.url}
		p := &program{
			stdin: strings.NewReader(c.answer), stdout: &out, stderr: &errs, asks: true, env: func(name string) string { return env[name] },
		}
		if code := p.run(t.Context(), []string{"delete", wf}); code != c.code {
			t.Errorf("%q: exit code %d: %s%s", c.answer, code, &out, &errs)
		}
		if want := `Delete workflow ` + wf + `, "Follow-up", with its 1 lead and their history? [y/N] `; !strings.HasPrefix(errs.String(), want) {
			t.Errorf("%s, want %s", &errs, want)
		}
	}
}

func TestValidateNamesEveryFaultOfEveryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, bad, url := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json"), filepath.Join(dir, "url.json")
	write(t, good, `{"name":"Good","entry":"a","nodes":[{"id":"a","type":"converted"}],"edges":[]}`)
	write(t, bad, `{"name":"","entry":"x","nodes":[{"id":"a","type":"time","config":{"duration":30}}],"edges":[]}`)
	write(t, url, `{"name":"Calls","entry":"a","nodes":[{"id":"a","type":"message"},{"id":"b","type":"dropped"}],"edges":[{"from":"a","label":"default","to":"b"}]}`)
	out, stderr, code := runBinary(t, nil, "validate", good, bad, url, dir+"/none.json")
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		`valid ` + good + `: "Good", 1 node, 0 edges` + "\n",
		`invalid ` + bad + ": the workflow is not valid\n  name: ", "\n  entry: ", `write "30s", "30m" or "30h"`,
		`invalid ` + url + ": the workflow is not valid\n  nodes[0].config: ",
		`invalid ` + dir + "/none.json: no such file",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if stderr != "leadflow validate: 3 of 4 files invalid\n" {
		t.Errorf("%s", stderr)
	}
	odd := filepath.Join(dir, "odd.json")
	write(t, odd, strings.NewReplacer("MON", `{"windows":[{"days":["mon"],"from":"09:00","to":"17:00"}]}`, "TUE", `{"windows":[{"days":["tue"],"from":"09:00","to":"17:00"}]}`).Replace(
		`{"name":"Odd","entry":"a","calling_hours":MON,"nodes":[{"id":"a","type":"message","config":{"url":"http://127.0.0.1:1/"},"calling_hours":TUE},`+
			`{"id":"b","type":"dropped"}],"edges":[{"from":"a","label":"default","to":"b"}]}`))
	if out, stderr, code := runBinary(t, nil, "validate", odd); code != 0 || stderr != "" ||
		!strings.Contains(out, "\n  warning: nodes[0].calling_hours: have no time in common with those of the workflow") {
		t.Errorf("%d: %s%s", code, out, stderr)
	}
	if out, stderr, code := runBinary(t, nil, "validate", good); code != 0 || stderr != "" {
		t.Errorf("%d: %s%s", code, out, stderr)
	}
}

func TestTheCompletionScriptsLoad(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	cmd := exec.CommandContext(limited(t), bash, "-euc", `
source <(leadflow completion bash)
complete -p leadflow
COMP_WORDS=(leadflow rem); COMP_CWORD=1; COMP_LINE="leadflow rem"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
_get_comp_words_by_ref() { cur=rem prev=leadflow words=(leadflow rem) cword=1; }
_init_completion() { _get_comp_words_by_ref; }
compopt() { :; }
__start_leadflow
echo "${COMPREPLY[@]}"`)
	cmd.Env = environ("PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-F __start_leadflow leadflow\n") || !strings.HasSuffix(string(out), "\nremove\n") {
		t.Errorf("%v: %s", err, out)
	}
	for _, shell := range []string{"zsh", "fish", "powershell"} {
		if out, stderr, code := runBinary(t, nil, "completion", shell); code != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("%s: %d: %s", shell, code, stderr)
		}
	}
	for args, want := range map[string]string{
		"list -status ":       "draft\nactive\npaused\n",
		"serve -log-format ":  "text\njson\n",
		"completion ":         "bash\nzsh\nfish\npowershell\n",
		"remove --skip-":      "--skip-retries",
		"help rest":           "restore",
		"calls --status comp": "completed",
	} {
		out, _, code := runBinary(t, nil, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d: no %q in %s", args, code, want, out)
		}
	}
}

func TestManPagesAreWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, stderr, code := runBinary(t, nil, "man", dir); code != 0 {
		t.Fatalf("%d: %s", code, stderr)
	}
	for _, c := range (&program{}).root().Commands() {
		if c.Name() == "help" { // the library writes none of it
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "leadflow-"+c.Name()+".1"))
		if err != nil || !strings.Contains(string(text), `.TH "LEADFLOW-`+strings.ToUpper(c.Name())+`" "1"`) {
			t.Errorf("%v: %s", err, text)
		}
	}
	if out, _, code := runBinary(t, nil, "man"); code != 0 || !strings.Contains(out, "Exit codes:") {
		t.Errorf("%d: %s", code, out)
	}
	if _, stderr, code := runBinary(t, nil, "man", dir+"/none"); code != exitFailed || !strings.Contains(stderr, dir+"/none does not exist; make the directory first") {
		t.Errorf("%d: %s", code, stderr)
	}
}
