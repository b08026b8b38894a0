//go:build unix

package engines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// This file has the processes that are killed, stopped and cut off: each is an engine
// that does what the parent says, and reports every call of a handler before it does
// anything.

// childEnv holds a setup as JSON, and marks the process as a child.
const childEnv = "LEADFLOW_ENGINES_CHILD"

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := new(child).run(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// setup is what a child is started with.
type setup struct {
	URL    string        `json:"url"`
	Schema string        `json:"schema"`
	Name   string        `json:"name"`
	Lease  time.Duration `json:"lease"`
	Ahead  time.Duration `json:"ahead"` // of the real clock
}

// moment is a time of the machine's monotonic clock, which all processes share, in
// nanoseconds. 0 is never.
type moment int64

func now() moment {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return moment(t.Nano())
}

func (m moment) plus(d time.Duration) moment { return m + moment(d) }

// event is a line from a child to the parent. The kinds: ready, call (of a handler,
// which waits for the answer, and was decided Gap before), reply (to a command), slow (the
// process did not run for Gap), bye.
type event struct {
	Kind string        `json:"kind"`
	ID   int64         `json:"id,omitempty"` // of what is to be answered, or of the command replied to
	At   moment        `json:"at,omitempty"`
	Gap  time.Duration `json:"gap,omitempty"`

	Workflow    lead.WorkflowID `json:"workflow,omitzero"`
	Lead        lead.ID         `json:"lead,omitzero"`
	Phone       string          `json:"phone,omitempty"`
	Step        lead.StepID     `json:"step,omitzero"`
	Node        string          `json:"node,omitempty"`
	Number      int             `json:"number,omitempty"`
	Key         string          `json:"key,omitempty"`
	Line        string          `json:"line,omitempty"` // of the contact's metadata
	Redelivered bool            `json:"redelivered,omitempty"`

	State string `json:"state,omitempty"`
	Count int64  `json:"count,omitempty"`

	Imported []lead.ID     `json:"imported,omitempty"` // zero for who was not
	Leads    []lead.Lead   `json:"leads,omitempty"`
	Steps    [][]lead.Step `json:"steps,omitempty"` // of each of the leads
	Calls    []lead.Call   `json:"calls,omitempty"`
	Refusal  string        `json:"refusal,omitempty"` // the class of the error
	Error    string        `json:"error,omitempty"`

	by *process // whose it is
}

// command is a line from the parent to a child: answer (to a call) or quit, or a method
// of the engine.
type command struct {
	Kind string `json:"kind"`
	ID   int64  `json:"id"`

	Workflow lead.WorkflowID `json:"workflow,omitzero"`
	Contact  lead.Contact    `json:"contact,omitzero"`
	Contacts []lead.Contact  `json:"contacts,omitempty"`

	Definition json.RawMessage  `json:"definition,omitempty"` // of a workflow; none: see definition
	Limits     []workflow.Limit `json:"limits,omitempty"`

	Lead     lead.ID        `json:"lead,omitzero"`
	Step     lead.StepID    `json:"step,omitzero"`
	Number   int            `json:"number,omitempty"`
	Skip     bool           `json:"skip,omitempty"`
	Group    string         `json:"group,omitempty"`
	Metadata map[string]any `json:"metadata,omitempty"`
	Live     bool           `json:"live,omitempty"`
	Full     bool           `json:"full,omitempty"`

	Do      string `json:"do,omitempty"` // of an answer: outcome, error, final, in flight
	Outcome string `json:"outcome,omitempty"`
}

// child is the process of one engine.
type child struct {
	eng *engine.Engine

	mu      sync.Mutex // guards what follows, and standard output
	lastID  int64
	waiting map[int64]chan command
}

// say writes an event. A line is one write, so that a kill cuts off the last line at
// most.
func (c *child) say(ev event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(ev)
}

func (c *child) write(ev event) {
	line, err := json.Marshal(ev)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(line, '\n'))
}

func (c *child) ask(ev event) <-chan command {
	answer := make(chan command, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	ev.ID = c.lastID
	c.waiting[ev.ID] = answer
	c.write(ev)
	return answer
}

// aheadClock is a clock that is ahead of the real one.
type aheadClock time.Duration

func (c aheadClock) Now() time.Time { return time.Now().Add(time.Duration(c)) }

func (c aheadClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

func (c *child) run(text string) error {
	c.waiting = map[int64]chan command{}
	var s setup
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	go c.watch(s.Lease / 8)
	started, quit := make(chan struct{}), make(chan struct{})
	go func() {
		err := c.obey(os.Stdin, started, quit)
		fmt.Fprintln(os.Stderr, "the parent is gone:", err)
		os.Exit(1)
	}()
	st, eng, err := c.start(s, quit)
	if err != nil || eng == nil {
		return err
	}
	c.eng = eng
	close(started)
	c.say(event{Kind: "ready"})
	<-quit
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := errors.Join(eng.Shutdown(bounded), st.Close()); err != nil {
		return err
	}
	c.say(event{Kind: "bye"})
	return nil
}

// start starts the engine as soon as the database can be reached. It returns nil when it
// is told to quit before.
func (c *child) start(s setup, quit <-chan struct{}) (*postgres.Store, *engine.Engine, error) {
	var st *postgres.Store
	for {
		opening, cancel := context.WithTimeout(ctx, 5*time.Second)
		var err error
		if st == nil {
			st, err = postgres.Open(opening, s.URL, postgres.Options{Schema: s.Schema, Name: s.Name, Lease: s.Lease})
		}
		if err == nil {
			eng, err := c.newEngine(st, s)
			if err == nil {
				cancel()
				return st, eng, nil
			}
			if !errors.Is(err, store.ErrUnavailable) {
				cancel()
				return nil, nil, err
			}
		}
		cancel()
		select {
		case <-quit:
			return nil, nil, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *child) newEngine(st *postgres.Store, s setup) (*engine.Engine, error) {
	config := engine.Config{
		Hooks:   []engine.Hook{{Name: "nothing", Run: func(context.Context, engine.HookEvent) error { return nil }}},
		Workers: 64, Clock: aheadClock(s.Ahead),
		MaxRedeliveries: math.MaxInt, // it is the test that ends the process, and not the attempts
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	world.Handle(&config, c.handle)
	eng, err := engine.New(st, config)
	if err != nil {
		return nil, err
	}
	return eng, eng.Start(ctx)
}

// watch reports when the process did not run for a while. It notices that when it runs
// again, before anything else of it can be seen, or soon after.
func (c *child) watch(most time.Duration) {
	for last := now(); ; {
		time.Sleep(most / 4)
		is := now()
		if gap := time.Duration(is - last); gap > most {
			c.say(event{Kind: "slow", At: last, Gap: gap})
		}
		last = is
	}
}

// obey carries out commands until the parent is gone.
func (c *child) obey(in io.Reader, started <-chan struct{}, quit chan<- struct{}) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		var cmd command
		if err := json.Unmarshal(line, &cmd); err != nil {
			return err
		}
		switch cmd.Kind {
		case "quit":
			close(quit)
		case "answer":
			c.mu.Lock()
			answer := c.waiting[cmd.ID]
			delete(c.waiting, cmd.ID)
			c.mu.Unlock()
			answer <- cmd
		default:
			go func() {
				<-started
				c.carryOut(cmd)
			}()
		}
	}
}

func (c *child) carryOut(cmd command) {
	reply := event{Kind: "reply", ID: cmd.ID}
	if err := c.method(cmd, &reply); err != nil {
		reply.Error, reply.Refusal = err.Error(), refusal(err)
	}
	c.say(reply)
}

func (c *child) method(cmd command, reply *event) (err error) {
	var state fmt.Stringer
	switch cmd.Kind {
	case "create":
		def := definition()
		if cmd.Definition != nil {
			def, err = workflow.Parse(cmd.Definition)
		}
		var wf engine.Workflow
		if err == nil {
			wf, err = c.eng.CreateWorkflow(ctx, def)
		}
		if err == nil {
			reply.Workflow = wf.ID
			_, err = c.eng.ActivateWorkflow(ctx, wf.ID)
		}
	case "limits":
		err = c.eng.SetLimits(ctx, cmd.Limits)
	case "ping":
		_, err = c.eng.Suppressions(ctx, engine.SuppressionFilter{Limit: 1})
	case "enroll":
		var l lead.Lead
		l, err = c.eng.Enroll(ctx, cmd.Workflow, cmd.Contact)
		reply.Lead, state = l.ID, l.State
	case "import":
		reply.Imported, err = c.importAll(cmd)
	case "suppress":
		_, err = c.eng.Suppress(ctx, engine.Suppress{PhoneNumber: cmd.Contact.PhoneNumber})
	case "remove":
		var options []engine.RemoveOption
		if cmd.Skip {
			options = append(options, engine.SkipRetries())
		}
		var removal *engine.Removal
		if removal, err = c.eng.Remove(ctx, cmd.Workflow, cmd.Lead, options...); err == nil {
			state = removal.State
		}
	case "remove group":
		var options []engine.RemoveOption
		if cmd.Skip {
			options = append(options, engine.SkipRetries())
		}
		var n int
		n, err = c.eng.RemoveLeads(ctx, cmd.Workflow, engine.LeadFilter{ExternalID: cmd.Group}, options...)
		reply.Count = int64(n)
	case "complete":
		out := engine.Callback{Outcome: cmd.Outcome, Attempt: cmd.Number}
		if cmd.Do == "error" {
			out = engine.Callback{Error: cmd.Outcome, Attempt: cmd.Number}
		}
		_, err = c.eng.CompleteStep(ctx, cmd.Step, out)
	case "update":
		_, err = c.eng.UpdateLead(ctx, cmd.Workflow, cmd.Lead, engine.LeadUpdate{Metadata: cmd.Metadata})
	case "pause":
		_, err = c.eng.PauseWorkflow(ctx, cmd.Workflow)
	case "resume":
		_, err = c.eng.ResumeWorkflow(ctx, cmd.Workflow)
	case "cancel":
		_, err = c.eng.CancelWorkflow(ctx, cmd.Workflow)
	case "workflow":
		var wf engine.Workflow
		wf, err = c.eng.Workflow(ctx, cmd.Workflow)
		state = wf.Status
		reply.Count = wf.Counts[lead.Enrolled] + wf.Counts[lead.InStep] + wf.Counts[lead.PendingRemoval]
	case "leads":
		return c.read(cmd, reply)
	default:
		err = fmt.Errorf("unknown command %q", cmd.Kind)
	}
	if err == nil && state != nil {
		reply.State = state.String()
	}
	return err
}

// importAll enrolls the contacts of the command.
func (c *child) importAll(cmd command) (ids []lead.ID, err error) {
	_, err = c.eng.EnrollAll(ctx, cmd.Workflow, func(yield func(lead.Contact, error) bool) {
		for _, person := range cmd.Contacts {
			if !yield(person, nil) {
				return
			}
		}
	}, engine.OnRow(func(_ int, id lead.ID, _ error) { ids = append(ids, id) }))
	return ids, err
}

// read returns the lead of the command, or all of the contact, or all of the workflow;
// with Full, with their histories and calls.
func (c *child) read(cmd command, reply *event) error {
	if !cmd.Lead.IsZero() {
		l, err := c.eng.Lead(ctx, cmd.Workflow, cmd.Lead)
		if err != nil {
			return err
		}
		reply.Leads = []lead.Lead{l}
	} else {
		filter := engine.LeadFilter{PhoneNumber: cmd.Contact.PhoneNumber}
		if cmd.Live {
			filter.States = []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}
		}
		for l, err := range c.eng.AllLeads(ctx, cmd.Workflow, filter) {
			if err != nil {
				return err
			}
			reply.Leads = append(reply.Leads, l)
		}
	}
	if !cmd.Full {
		return nil
	}
	for _, l := range reply.Leads {
		steps, err := c.eng.History(ctx, l.WorkflowID, l.ID)
		if err != nil {
			return err
		}
		reply.Steps = append(reply.Steps, steps)
	}
	for call, err := range c.eng.AllCalls(ctx, engine.CallFilter{WorkflowID: cmd.Workflow}) {
		if err != nil {
			return err
		}
		reply.Calls = append(reply.Calls, call)
	}
	return nil
}

// refusal names the class of an error; "other" says nothing of what was asked.
func refusal(err error) string {
	for class, target := range map[string]error{
		"lead final":       lead.ErrLeadFinal,
		"contact live":     lead.ErrContactLive,
		"suppressed":       lead.ErrSuppressed,
		"workflow status":  lead.ErrWorkflowStatus,
		"step finished":    lead.ErrStepFinished,
		"step not started": lead.ErrStepNotStarted,
		"other attempt":    lead.ErrOtherAttempt,
		"not found":        lead.ErrNotFound,
		"invalid":          lead.ErrInvalid,
	} {
		if errors.Is(err, target) {
			return class
		}
	}
	return "other"
}

// handle is every handler. It reports that it was called before it does anything, and
// then does what the parent answers.
func (c *child) handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	at := now()
	// A deadline is rounded up to a millisecond.
	decided := time.Until(a.Deadline.Add(-time.Duration(a.Node.Timeout)))
	line, _ := a.Contact.Metadata["line"].(string)
	var cmd command
	select {
	case cmd = <-c.ask(event{
		Kind: "call", At: at, Gap: time.Millisecond - decided, Workflow: a.WorkflowID, Lead: a.LeadID, Phone: a.Contact.PhoneNumber,
		Step: a.StepID, Node: a.Node.ID, Number: a.Number, Key: a.IdempotencyKey, Line: line, Redelivered: a.Redelivered,
	}):
	case <-ctx.Done():
		return engine.Result{}, context.Cause(ctx)
	}
	res := engine.Result{CallID: "call " + a.IdempotencyKey}
	switch cmd.Do {
	case "outcome":
		res.Outcome = cmd.Outcome
		return res, nil
	case "in flight":
		res.InFlight = true
		return res, nil
	case "error":
		return res, errors.New(cmd.Outcome)
	case "final":
		return res, engine.NonRetryable(errors.New(cmd.Outcome))
	}
	return res, engine.NonRetryable(fmt.Errorf("unknown answer %q", cmd.Do))
}

// The attempts that a node allows.
const mostAttempts = 3

// definition is the workflow of all leads. Its timeouts are longer than the clocks of
// the engines are apart.
func definition() *workflow.Definition {
	again := workflow.Retry{MaxAttempts: mostAttempts, Delay: workflow.Duration(30 * time.Millisecond)}
	long := func(n workflow.Node) workflow.Node {
		n.Timeout = workflow.Duration(24 * time.Hour)
		return n.WithRetry(again)
	}
	return &workflow.Definition{
		Name: "calls", Entry: "call",
		Nodes: []workflow.Node{
			long(workflow.CallNode("call", nil)), workflow.Wait("wait", 50*time.Millisecond), long(workflow.MessageNode("text", nil)),
			long(workflow.ApplicationNode("app", nil)), workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{
			workflow.On("call", "default", "wait"), workflow.To("wait", "text"), workflow.On("text", "default", "app"), workflow.On("app", "default", "done"),
		},
	}
}
