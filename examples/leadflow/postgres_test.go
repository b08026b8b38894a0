package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// Of two servers on one database one works. When it is killed, or stopped for longer
// than its lease, the other takes its place and goes on with every lead; and one that
// was stopped calls nobody when it goes on, and ends.
func TestAServerStandsByForAnother(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	for name, end := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, env := pgtest.Database(t), []string{"LEADFLOW_TOKEN=" + token}
			p := newProvider(t)
			first := startServer(t, db)
			if _, stderr, code := runBinary(t, env, "serve", "-db", db, "-addr", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "--standby") {
				t.Errorf("a second server ends with %d: %s", code, stderr)
			}
			second := launchServer(t, db, env, "-standby")
			second.logged("standing by")

			wf := first.create(definition(p, time.Second), true)
			ringing, waits := "+14155550101", "+14155550102"
			ids := map[string]string{ringing: first.enroll(wf, ringing), waits: first.enroll(wf, waits)}
			p.always(waits, "")
			rings := p.next(t, ringing)
			first.signal(end)
			second.listens()
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
				rings.reply(200, `{"outcome":"completed"}`) // which comes too late, and holds its end up no longer
				if code := first.wait(); code == 0 {
					t.Error("the server that was stopped ends as if nothing were wrong")
				}
				first.logged("another process has taken over")
				if now := len(p.attempts("call")[ringing]) + len(p.attempts("guide")[ringing]) + len(p.attempts("guide")[waits]); now != asked {
					t.Errorf("it has asked for %d more", now-asked)
				}
			}
			if second.signal(sigterm); second.wait() != 0 {
				t.Errorf("exit code %d", second.cmd.ProcessState.ExitCode())
			}
		})
	}
}
