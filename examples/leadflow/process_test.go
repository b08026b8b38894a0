package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the real program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "leadflow-test-*")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "leadflow")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		fmt.Printf("go build: %v\n%s", err, text)
		return 1
	}
	return m.Run()
}

// environ is an environment without any setting of leadflow's but these.
func environ(settings ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LEADFLOW_") {
			env = append(env, v)
		}
	}
	return append(env, settings...)
}

// limited ends what a test waits for in vain before the whole run ends.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // in a test's cleanup too
	t.Cleanup(cancel)
	return ctx
}

// runBinary runs the binary to its end.
func runBinary(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runBinaryOn(t, "", env, args...)
}

// runBinaryOn is runBinary with a standard input.
func runBinaryOn(t *testing.T, input string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(limited(t), binary, args...)
	var out, errs bytes.Buffer
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = &out, &errs, environ(env...), t.TempDir()
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

const token = "a-token-of-the-tests"

// testServer is a run of leadflow serve.
type testServer struct {
	t   *testing.T
	cmd *exec.Cmd
	db  string
	url string

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed at each line, and replaced
	ended bool
}

// startServer starts a server on the database and waits until it listens.
func startServer(t *testing.T, db string, args ...string) *testServer {
	t.Helper()
	return startServerWith(t, db, []string{"LEADFLOW_TOKEN=" + token}, args...)
}

func startServerWith(t *testing.T, db string, env []string, args ...string) *testServer {
	t.Helper()
	s := launchServer(t, db, env, args...)
	s.listens()
	return s
}

// launchServer starts a server, and waits for nothing.
func launchServer(t *testing.T, db string, env []string, args ...string) *testServer {
	t.Helper()
	s := &testServer{t: t, db: db, more: make(chan struct{})}
	args = append([]string{"serve", "-db", db, "-addr", "127.0.0.1:0", "-log-format", "json"}, args...)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = environ(env...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.read(stderr)
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill() // unless it has ended by itself
			s.wait()
		}
		if t.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Logf("the server's log:\n%s", strings.Join(s.lines, "\n"))
		}
	})
	return s
}

// listens waits until the server listens.
func (s *testServer) listens() {
	s.t.Helper()
	var said struct{ URL string }
	if err := json.Unmarshal([]byte(s.logged(`"msg":"listening"`)), &said); err != nil {
		s.t.Fatal(err)
	}
	s.url = said.URL
}

func (s *testServer) read(stderr io.Reader) {
	scan := bufio.NewScanner(stderr)
	for scan.Scan() {
		s.mu.Lock()
		s.lines = append(s.lines, scan.Text())
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.ended = true
	close(s.more)
	s.mu.Unlock()
}

// logged waits for a line of the log with the words in it.
func (s *testServer) logged(words string) string {
	s.t.Helper()
	ctx := limited(s.t)
	for seen := 0; ; {
		s.mu.Lock()
		for ; seen < len(s.lines); seen++ {
			if strings.Contains(s.lines[seen], words) {
				defer s.mu.Unlock()
				return s.lines[seen]
			}
		}
		more, ended := s.more, s.ended
		s.mu.Unlock()
		if ended {
			s.t.Fatalf("the server ended without %q in its log", words)
		}
		select {
		case <-more:
		case <-ctx.Done():
			s.t.Fatalf("no %q in the log", words)
		}
	}
}

func (s *testServer) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wait waits for the process to end and returns its exit code.
func (s *testServer) wait() int {
	s.t.Helper()
	ctx := limited(s.t)
	for {
		s.mu.Lock()
		more, ended := s.more, s.ended
		s.mu.Unlock()
		if ended {
			break
		}
		select {
		case <-more:
		case <-ctx.Done():
			s.t.Fatal("the server does not end")
		}
	}
	_ = s.cmd.Wait() // the exit code says it
	return s.cmd.ProcessState.ExitCode()
}

// kill ends the process as a crash would.
func (s *testServer) kill() {
	s.t.Helper()
	s.signal(os.Kill)
	s.wait()
}

// restart starts another server on the same database and address.
func (s *testServer) restart(args ...string) *testServer {
	s.t.Helper()
	return startServer(s.t, s.db, append([]string{"-addr", strings.TrimPrefix(s.url, "http://")}, args...)...)
}

// cli runs a command against the server.
func (s *testServer) cli(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return s.cliWith("", args...)
}

// cliWith is cli with a standard input.
func (s *testServer) cliWith(input string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return runBinaryOn(s.t, input, []string{"LEADFLOW_TOKEN=" + token, "LEADFLOW_SERVER=" + s.url}, args...)
}

// call makes a request with the token and reads the answer into out.
func (s *testServer) call(method, path, body string, out any) int {
	s.t.Helper()
	return call(s.t, method, s.url+"/v1/"+path, "Bearer "+token, body, out)
}

func call(t *testing.T, method, url, authorization, body string, out any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(limited(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil && res.StatusCode < 300 {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, url, err, text)
		}
	}
	return res.StatusCode
}

// create makes a workflow of a definition's JSON, active or not.
func (s *testServer) create(definition string, activate bool) (id string) {
	s.t.Helper()
	var wf workflowView
	if code := s.call("POST", "workflows", definition, &wf); code != 201 {
		s.t.Fatalf("creating the workflow is answered with %d", code)
	}
	if activate {
		if code := s.call("POST", "workflows/"+wf.ID+"/activate", "", nil); code != 200 {
			s.t.Fatalf("activating the workflow is answered with %d", code)
		}
	}
	return wf.ID
}

func (s *testServer) enroll(workflow, phone string) (id string) {
	s.t.Helper()
	var l leadView
	if code := s.call("POST", "workflows/"+workflow+"/leads", fmt.Sprintf(`{"phone_number":%q}`, phone), &l); code != 201 {
		s.t.Fatalf("enrolling %s is answered with %d", phone, code)
	}
	return l.ID
}

func (s *testServer) history(workflow, id string) []stepView {
	s.t.Helper()
	var body struct{ History []stepView }
	if code := s.call("GET", leadPath(workflow, id)+"/history", "", &body); code != 200 {
		s.t.Fatalf("the history is answered with %d", code)
	}
	return body.History
}

// until asks for a lead and its last step until they are as they should be.
func (s *testServer) until(workflow, id string, is func(l leadView, last stepView) bool) (l leadView, last stepView) {
	s.t.Helper()
	ctx := limited(s.t)
	for ctx.Err() == nil {
		l = leadView{}
		if code := s.call("GET", leadPath(workflow, id), "", &l); code != 200 {
			s.t.Fatalf("the lead is answered with %d", code)
		}
		steps := s.history(workflow, id)
		if last = steps[len(steps)-1]; is(l, last) {
			return l, last
		}
	}
	s.t.Fatalf("the lead is still %+v, at %+v", l, last)
	return l, last
}

func status(want string) func(leadView, stepView) bool {
	return func(l leadView, _ stepView) bool { return l.Status == want }
}
