package main

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	sigterm = syscall.SIGTERM
	phone   = "+14155550101"
)

func TestASignalLetsWebhooksEndAndExitsWithZero(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := newProvider(t)
		s := startServer(t, t.TempDir()+"/leads.db")
		wf := s.create(definition(p, time.Hour), true)
		id := s.enroll(wf, phone)
		a := p.next(t, phone)
		s.signal(sig)
		s.logged(`"msg":"stopping`)
		a.reply(200, `{"outcome":"dnp","call_id":"c-1"}`)
		if code := s.wait(); code != 0 {
			t.Errorf("exit code %d after %s", code, sig)
		}
		s.logged(`"msg":"leadflow: stopped"`)
		if _, err := os.Stat(s.db + "-wal"); err == nil {
			t.Error("the write-ahead log is still there: the file was not closed")
		}

		s = s.restart()
		steps := s.history(wf, id)
		if steps[0].Outcome != "dnp" || steps[0].CallID != "c-1" || len(p.attempts("call")[phone]) != 1 {
			t.Errorf("%+v", steps[0])
		}
		if s.signal(sig); s.wait() != 0 { // with nothing to do
			t.Errorf("exit code %d", s.cmd.ProcessState.ExitCode())
		}
	}
}

func TestAWebhookThatOutlastsTheShutdownIsMadeAgain(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db", "-shutdown-timeout", "300ms")
	wf := s.create(definition(p, time.Hour), true)
	id := s.enroll(wf, phone)
	a := p.next(t, phone)
	s.signal(sigterm)
	if code := s.wait(); code != exitCut {
		t.Errorf("exit code %d, want %d", code, exitCut)
	}
	s.logged("not all webhooks were answered within 300ms")
	s = s.restart()
	again := p.next(t, phone)
	if again.IdempotencyKey != a.IdempotencyKey || !again.Redelivered {
		t.Errorf("asked %+v, then %+v", a, again)
	}
	again.reply(200, `{"outcome":"dnp"}`)
	s.until(wf, id, status("completed"))
}

func TestASecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	for sig, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		p := newProvider(t)
		s := startServer(t, t.TempDir()+"/leads.db", "-shutdown-timeout", "10m")
		wf := s.create(definition(p, time.Hour), true)
		s.enroll(wf, phone)
		p.next(t, phone) // and no answer
		s.signal(sigterm)
		s.logged(`"msg":"stopping`)
		s.signal(sig)
		if code := s.wait(); code != want {
			t.Errorf("exit code %d after %s, want %d", code, sig, want)
		}
		s.restart()
		p.next(t, phone).reply(200, `{"outcome":"dnp"}`)
	}
}

func TestAWaitForARemovalIsAnsweredOnStopping(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db", "-shutdown-timeout", "8s")
	wf := s.create(definition(p, time.Hour), true)
	id := s.enroll(wf, phone)
	p.next(t, phone).reply(202, `{"call_id":"c-1"}`)
	s.until(wf, id, func(_ leadView, last stepView) bool { return last.CallID != "" })
	answered := make(chan int, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+"/v1/"+leadPath(wf, id)+"?wait=60s", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	s.until(wf, id, status("pending_removal"))
	s.signal(sigterm)
	if code := <-answered; code != http.StatusAccepted {
		t.Errorf("answered %d", code)
	}
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondServerOnTheFileIsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	_, stderr, code := runBinary(t, nil, "serve", "-db", s.db, "-addr", "127.0.0.1:0")
	if code != exitFailed || !strings.HasPrefix(stderr, "leadflow serve: sqlite: open "+s.db+": another process has this file open") {
		t.Errorf("%d: %s", code, stderr)
	}
	// Nor is its address to be had twice.
	for _, flag := range []string{"-addr", "-pprof"} {
		dir := t.TempDir()
		args := []string{"serve", "-db", dir + "/other.db", "-addr", "127.0.0.1:0", flag, strings.TrimPrefix(s.url, "http://")}
		_, stderr, code = runBinary(t, nil, args...)
		if code != exitFailed || !strings.Contains(stderr, "address already in use: another program listens there; stop it, or choose another -"+flag) {
			t.Errorf("%d: %s", code, stderr)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Errorf("a server that could not listen left %v, %v", list, err)
		}
	}
	if code := s.call("GET", "healthz", "", nil); code != 200 {
		t.Errorf("the first one is unwell: %d", code)
	}
}
