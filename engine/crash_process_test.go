package engine_test

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

// This file is the child as the parent sees it.

// crashProcess is one life of the child.
type crashProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	events chan crashEvent // closed when the process is gone
	errors bytes.Buffer    // its standard error, to be read after that
	exit   error           // likewise
	once   sync.Once
}

func (r *crashRun) start(plan crashPlan) *crashProcess {
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	p := &crashProcess{cmd: exec.Command(self), events: make(chan crashEvent, 100)}
	p.cmd.Env = append(os.Environ(), crashFileEnv+"="+r.path, crashLogEnv+"="+r.log, crashPointEnv+"="+plan.point)
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

// read passes on what the child says, to its last whole line: what it wrote
// before it was killed has happened, whenever it is read.
func (p *crashProcess) read(out io.Reader) {
	defer close(p.events)
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		ev := crashEvent{at: time.Now()}
		if json.Unmarshal(line, &ev) == nil { // else it is no event, but printed for a person
			p.events <- ev
		}
	}
	p.exit = p.cmd.Wait()
}

func (p *crashProcess) kill() { p.once.Do(func() { p.cmd.Process.Kill() }) }

// send gives the child a command, which it may never read.
func (r *crashRun) send(cmd crashCommand) {
	line, err := json.Marshal(cmd)
	if err != nil {
		r.Fatal(err)
	}
	r.child.in.Write(append(line, '\n'))
}

// command gives the child a command and has reply called with what it says.
func (r *crashRun) command(cmd crashCommand, reply func(crashEvent)) { r.commandOf(r.id, cmd, reply) }

func (r *crashRun) commandOf(workflow lead.WorkflowID, cmd crashCommand, reply func(crashEvent)) {
	r.lastID++
	cmd.ID, cmd.Workflow = r.lastID, workflow
	r.replies[cmd.ID] = reply
	r.send(cmd)
	r.count("command")
}
