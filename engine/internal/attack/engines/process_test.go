//go:build unix

package engines

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// This file has the children as the parent sees them.

// slot is a place for an engine: a process after another, behind one proxy.
type slot struct {
	name  string
	proxy *proxy
	life  *process // nil while there is none; guarded by arena.mu
}

// process is one life of an engine.
type process struct {
	slot *slot
	name string
	cmd  *exec.Cmd

	ready, gone chan struct{} // closed when the engine runs, and when the process has ended and all that it said was read
	stderr      bytes.Buffer  // to be read after that

	queue struct { // of lines to be written: a process that is stopped reads none
		sync.Mutex
		lines []byte
		more  chan struct{}
	}

	// What follows is guarded by arena.mu.
	replies  map[int64]chan event
	troubles []trouble
	end      moment // it was told to end, or killed
	clean    bool   // it has ended in order
}

// trouble is a time in which an engine may not have been able to keep its lease.
type trouble struct {
	what     string
	from, to moment // to is 0 while it goes on
}

// start starts a process in a slot.
func (a *arena) start(s *slot) {
	self, err := os.Executable()
	if err != nil {
		a.Error(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lives++
	ahead := a.ahead(a.lives)
	l := &process{
		slot: s, name: fmt.Sprintf("%s/%d", s.name, a.lives), cmd: exec.Command(self), ready: make(chan struct{}), gone: make(chan struct{}),
		replies: map[int64]chan event{},
	}
	l.queue.more = make(chan struct{}, 1)
	text, err := json.Marshal(setup{URL: s.proxy.url(), Schema: a.server.schema, Name: l.name, Lease: a.lease, Ahead: ahead})
	if err != nil {
		a.Error(err)
		return
	}
	l.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	l.cmd.Stderr = &l.stderr
	out, err := l.cmd.StdoutPipe()
	var in io.WriteCloser
	if err == nil {
		in, err = l.cmd.StdinPipe()
	}
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		a.Error(err)
		return
	}
	s.life = l
	a.all = append(a.all, l)
	a.note("%s starts, %s ahead", l.name, ahead)
	go l.write(in)
	go a.read(l, out)
}

func (l *process) send(cmd command) {
	line, err := json.Marshal(cmd)
	if err != nil {
		panic(err)
	}
	q := &l.queue
	q.Lock()
	q.lines = append(append(q.lines, line...), '\n')
	q.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (l *process) write(in io.WriteCloser) {
	defer in.Close()
	q := &l.queue
	for {
		select {
		case <-l.gone:
			return
		case <-q.more:
		}
		q.Lock()
		lines := q.lines
		q.lines = nil
		q.Unlock()
		if _, err := in.Write(lines); err != nil {
			return
		}
	}
}

// read hears what a process says, up to its last whole line: what it wrote before it was
// killed has happened.
func (a *arena) read(l *process, out io.Reader) {
	lines := bufio.NewReader(out)
	clean := false
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var ev event
		if err := json.Unmarshal(line, &ev); err != nil {
			a.Errorf("%s says %q", l.name, line)
			continue
		}
		switch ev.Kind {
		case "ready":
			close(l.ready)
		case "bye":
			clean = true
		case "call":
			a.called(l, ev)
		case "slow":
			a.mu.Lock()
			l.troubles = append(l.troubles, trouble{"did not run", ev.At, ev.At.plus(ev.Gap)})
			a.mu.Unlock()
		case "reply":
			a.mu.Lock()
			reply := l.replies[ev.ID]
			delete(l.replies, ev.ID)
			a.mu.Unlock()
			if reply != nil {
				reply <- ev
			}
		}
	}
	err := l.cmd.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	close(l.gone)
	l.clean = clean && err == nil
	if l.end == 0 {
		a.Errorf("%s has ended by itself: %v\n%s", l.name, err, tail(l.stderr.String()))
		l.end = now()
	}
	if l.slot.life == l {
		l.slot.life = nil
	}
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// Why ask got no reply.
var (
	errGone = errors.New("the process has ended")
	errLate = errors.New("no reply in time")
	errOver = errors.New("the test is over")
)

// ask gives a process a command and returns its reply. most is how long to wait, 0 for
// as long as the process lives. After an error the command may still be carried out.
func (a *arena) ask(l *process, cmd command, most time.Duration) (event, error) {
	reply := make(chan event, 1)
	a.mu.Lock()
	a.lastID++
	cmd.ID = a.lastID
	l.replies[cmd.ID] = reply
	a.mu.Unlock()
	l.send(cmd)
	var late <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case ev := <-reply:
		return ev, nil
	case <-late:
		return event{}, errLate
	case <-a.over:
		return event{}, errOver
	case <-l.gone:
	}
	select {
	case ev := <-reply:
		return ev, nil
	default:
		return event{}, errGone
	}
}

// kill ends a process at once.
func (a *arena) kill(l *process) {
	a.mu.Lock()
	if l.end == 0 {
		l.end = now()
	}
	a.note("%s is killed", l.name)
	a.mu.Unlock()
	l.cmd.Process.Kill()
	<-l.gone
}

// leave has a process end in order. Its handlers get their answers.
func (a *arena) leave(l *process) {
	a.mu.Lock()
	if l.end == 0 {
		l.end = now()
	}
	a.note("%s is shut down", l.name)
	a.mu.Unlock()
	l.send(command{Kind: "quit"})
	for {
		a.release(l)
		select {
		case <-l.gone:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop stops a process, while f runs.
func (a *arena) stop(l *process, f func()) {
	defer a.begin(l, "stopped")()
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		a.Error(err)
	}
	f()
	if err := l.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		a.Error(err)
	}
}

// begin notes that trouble begins for a process, or for all if it is nil, and returns
// what notes the end.
func (a *arena) begin(l *process, what string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list, name := &a.troubles, "all"
	if l != nil {
		list, name = &l.troubles, l.name
	}
	at := len(*list)
	*list = append(*list, trouble{what: what, from: now()})
	a.note("%s: %s", name, what)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		(*list)[at].to = now()
		a.note("%s: %s no more", name, what)
	}
}
