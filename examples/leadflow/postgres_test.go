package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// Two servers share a database. When one is killed, or stopped for longer than its
// lease, the other goes on with every lead; and one that was stopped calls nobody when it
// goes on, and works again.
func TestTwoServersShareADatabase(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	for name, end := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Database(t)
			p := newProvider(t)
			first := startServer(t, db, "--name", "first")
			wf := first.create(definition(p, time.Second), true)
			ringing, waits := "+14155550101", "+14155550102"
			ids := map[string]string{ringing: first.enroll(wf, ringing)}
			rings := p.next(t, ringing)

			// The second server knows all that the first one does, at once.
			second := startServer(t, db, "--name", "second")
			ids[waits] = second.enroll(wf, waits)
			p.always(waits, "")
			second.until(wf, ids[ringing], status("in_step"))
			engines := ""
			for began := time.Now(); strings.Count(engines, " 32: ") != 2; {
				if time.Since(began) > 30*time.Second {
					t.Fatalf("the engines are\n%s", engines)
				}
				var stderr string
				var code int
				if engines, stderr, code = runBinary(t, nil, "engines", "--db", db); code != 0 {
					t.Fatalf("engines ends with %d: %s", code, stderr)
				}
			}
			for _, words := range []string{"first", "second", "working"} {
				if !strings.Contains(engines, words) {
					t.Errorf("no %q in\n%s", words, engines)
				}
			}

			first.signal(end)
			again := p.next(t, ringing)
			if again.IdempotencyKey != rings.IdempotencyKey || !again.Redelivered {
				t.Errorf("asked %+v, want attempt %s again", again, rings.IdempotencyKey)
			}
			again.reply(200, `{"outcome":"completed"}`)
			p.always(ringing, "")
			for _, phone := range []string{ringing, waits} {
				second.until(wf, ids[phone], status("completed"))
			}
			if end == syscall.SIGSTOP {
				asked := len(p.attempts("call")[ringing]) + len(p.attempts("guide")[ringing]) + len(p.attempts("guide")[waits])
				first.signal(syscall.SIGCONT)
				rings.reply(200, `{"outcome":"completed"}`)                              // which comes too late
				for began := time.Now(); first.call("GET", "healthz", "", nil) != 200; { // 503 until it has a place again
					if time.Since(began) > 30*time.Second {
						t.Fatal("the server that was stopped works no more")
					}
					time.Sleep(10 * time.Millisecond)
				}
				first.until(wf, ids[ringing], status("completed"))
				if now := len(p.attempts("call")[ringing]) + len(p.attempts("guide")[ringing]) + len(p.attempts("guide")[waits]); now != asked {
					t.Errorf("it has asked for %d more", now-asked)
				}
				third := "+14155550103"
				p.always(third, "")
				first.until(wf, first.enroll(wf, third), status("completed"))
				if first.signal(sigterm); first.wait() != 0 {
					t.Errorf("exit code %d", first.cmd.ProcessState.ExitCode())
				}
			}
			if second.signal(sigterm); second.wait() != 0 {
				t.Errorf("exit code %d", second.cmd.ProcessState.ExitCode())
			}
		})
	}
}
