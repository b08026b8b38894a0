package crash

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// This file has the child as the parent sees it.

// process is one life of the child.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	events chan event   // closed when the process is gone
	errors bytes.Buffer // its standard error, to be read after that
	exit   error        // likewise
	once   sync.Once
}

func (r *run) start(plan plan) *process {
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	p := &process{cmd: exec.Command(self), events: make(chan event, 100)}
	p.cmd.Env = append(os.Environ(), fileEnv+"="+r.path, logEnv+"="+r.log, pointEnv+"="+plan.point)
	p.cmd.Stderr = &p.errors
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		r.Fatal(err)
	}
	go p.read(out)
	return p
}

// read passes on the child's output up to its last whole line: what the child wrote
// before it was killed has happened, even if it is read later.
func (p *process) read(out io.Reader) {
	defer close(p.events)
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		ev := event{at: time.Now()}
		if json.Unmarshal(line, &ev) == nil { // else it is no event, but printed for a person
			p.events <- ev
		}
	}
	p.exit = p.cmd.Wait()
}

func (p *process) kill() { p.once.Do(func() { p.cmd.Process.Kill() }) }

// send gives the child a command, which it may never read.
func (r *run) send(cmd command) {
	line, err := json.Marshal(cmd)
	if err != nil {
		r.Fatal(err)
	}
	r.child.in.Write(append(line, '\n'))
}

// command gives the child a command and has reply called with what it says.
func (r *run) command(cmd command, reply func(event)) { r.commandOf(r.id, cmd, reply) }

func (r *run) commandOf(workflow lead.WorkflowID, cmd command, reply func(event)) {
	r.lastID++
	cmd.ID, cmd.Workflow = r.lastID, workflow
	r.replies[cmd.ID] = reply
	r.send(cmd)
	r.count("command")
}
