package crash

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
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
)

// This file has the process that the crash test kills: an engine on a real file that
// does what the parent says, and reports everything before it does it.

// fileEnv holds the path of the file, and marks the process as the child.
const fileEnv = "LEADFLOW_CRASH_FILE"

// logEnv holds the path of another, to which the child writes what SQLite
// does to the first.
const logEnv = "LEADFLOW_CRASH_LOG"

// hookTimeout is short, so that hooks that hang time out during the test.
const hookTimeout = 400 * time.Millisecond

// event is a line from the child to the parent. The kinds: opening, ready,
// dispatch and hook (which wait for an answer), reply (to a command), detached (a
// removal's Wait has returned), cut (a handler's context was cancelled before
// its deadline), commit and committed, point (where the child kills itself), bye.
type event struct {
	Kind string `json:"kind"`
	ID   int64  `json:"id,omitempty"` // of what is to be answered, or of the command replied to

	Lead        lead.ID         `json:"lead,omitzero"`
	Contact     string          `json:"contact,omitempty"` // its external id
	Step        lead.StepID     `json:"step,omitzero"`
	Node        string          `json:"node,omitempty"`
	Attempt     int             `json:"attempt,omitempty"`
	Key         string          `json:"key,omitempty"`
	Redelivered bool            `json:"redelivered,omitempty"`
	Message     json.RawMessage `json:"message,omitempty"` // of a scheduled message, its data
	Outcome     string          `json:"outcome,omitempty"`
	State       string          `json:"state,omitempty"`
	New         bool            `json:"new,omitempty"`     // of a reply to suppress
	Refusal     string          `json:"refusal,omitempty"` // of a reply: the class of the error
	Error       string          `json:"error,omitempty"`
	Live        int64           `json:"live,omitempty"` // of a status: leads that are not final

	at time.Time // when the parent read it
}

// command is a line from the parent to the child. The kinds: answer (to a
// dispatch or a hook), enroll, remove, suppress, complete, doom and end (a workflow, which
// is not that of the leads), status, quit.
type command struct {
	Kind string `json:"kind"`
	ID   int64  `json:"id"`

	Workflow    lead.WorkflowID `json:"workflow,omitzero"`
	Contact     lead.Contact    `json:"contact,omitzero"`
	Lead        lead.ID         `json:"lead,omitzero"`
	Step        lead.StepID     `json:"step,omitzero"`
	Attempt     int             `json:"attempt,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	SkipRetries bool            `json:"skip_retries,omitempty"`
	Name        string          `json:"name,omitempty"`
	Delete      bool            `json:"delete,omitempty"`

	Do       string   `json:"do,omitempty"` // of an answer: see answer
	Outcome  string   `json:"outcome,omitempty"`
	Score    int      `json:"score,omitempty"`
	Schedule []string `json:"schedule,omitempty"` // messages to schedule
}

// retryAfter is the RetryAfter of a handler that is told "again".
const retryAfter = 25 * time.Millisecond

// child is the process that TestEveryLeadOutlivesSIGKILL kills.
type child struct {
	eng   *engine.Engine
	point *point

	withheld atomic.Bool // a caller waits for its reply

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

// ask writes an event and returns the channel on which the answer will come.
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

func (c *child) run(path string) error {
	ctx := context.Background()
	c.say(event{Kind: "opening"})
	c.point = newPoint(c)
	log, err := disktest.NewLog(os.Getenv(logEnv))
	if err != nil {
		return err
	}
	disk := &watchedDisk{Log: log, point: c.point}
	if _, err := disktest.Watch(filepath.Dir(path), disk); err != nil {
		return err
	}
	file, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	disk.ready.Store(true)
	config := engine.Config{
		Hooks:       []engine.Hook{{Name: "witness", Run: c.hook}},
		HookTimeout: hookTimeout,
		Workers:     16,
		// It is the kills that end the process, and not the attempts.
		MaxRedeliveries: math.MaxInt,
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	world.Handle(&config, c.handle)
	if c.eng, err = engine.New(&watchedStore{Store: file, point: c.point}, config); err != nil {
		return err
	}
	if err := c.eng.Start(ctx); err != nil {
		return err
	}
	c.say(event{Kind: "ready"})
	if err := c.obey(os.Stdin); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := c.eng.Shutdown(bounded); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	c.say(event{Kind: "bye"})
	return nil
}

// obey carries out commands until it is told to quit, or the parent is gone.
func (c *child) obey(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("the parent is gone: %w", err)
		}
		var cmd command
		if err := json.Unmarshal(line, &cmd); err != nil {
			return err
		}
		switch cmd.Kind {
		case "quit":
			return nil
		case "answer":
			c.mu.Lock()
			answer := c.waiting[cmd.ID]
			delete(c.waiting, cmd.ID)
			c.mu.Unlock()
			answer <- cmd
		default:
			go c.carryOut(cmd)
		}
	}
}

func (c *child) carryOut(cmd command) {
	ctx := context.Background()
	reply := event{Kind: "reply", ID: cmd.ID}
	var err error
	var detached func(context.Context) (lead.Lead, error) // of a removal
	switch cmd.Kind {
	case "enroll":
		var l lead.Lead
		l, err = c.eng.Enroll(ctx, cmd.Workflow, cmd.Contact)
		reply.Lead = l.ID
	case "remove":
		options := []engine.RemoveOption{engine.Reason(cmd.Reason), engine.Actor("the crash test")}
		if cmd.SkipRetries {
			options = append(options, engine.SkipRetries())
		}
		var removal *engine.Removal
		if removal, err = c.eng.Remove(ctx, cmd.Workflow, cmd.Lead, options...); err == nil {
			reply.State, detached = removal.State.String(), removal.Wait
		}
	case "suppress":
		var s engine.Suppressed
		s, err = c.eng.Suppress(ctx, engine.Suppress{PhoneNumber: cmd.Contact.PhoneNumber, Reason: cmd.Reason, Actor: "the crash test"})
		if reply.New = s.New; len(s.Leads) > 0 {
			l := s.Leads[0]
			reply.Lead, reply.State = l.ID, l.State.String()
			detached = func(ctx context.Context) (lead.Lead, error) {
				if err := s.Wait(ctx); err != nil {
					return lead.Lead{}, err
				}
				return c.eng.Lead(ctx, l.WorkflowID, l.ID)
			}
		}
	case "complete":
		var done engine.CallbackAck
		done, err = c.eng.CompleteStep(ctx, cmd.Step, engine.Callback{
			Outcome: cmd.Outcome, Attempt: cmd.Attempt, Data: map[string]any{"score": cmd.Score},
		})
		reply.Lead = done.LeadID
	case "doom":
		err = c.doom(ctx, cmd.Name, cmd.Delete)
	case "end":
		err = c.end(ctx, cmd.Workflow, cmd.Delete)
	case "status":
		var flows []engine.Workflow
		flows, err = c.eng.Workflows(ctx, engine.WorkflowFilter{})
		for _, f := range flows {
			reply.Live += f.Counts[lead.Enrolled] + f.Counts[lead.InStep] + f.Counts[lead.PendingRemoval]
		}
	default:
		err = fmt.Errorf("unknown command %q", cmd.Kind)
	}
	if err != nil {
		reply.Error, reply.Refusal = err.Error(), refusal(err)
	}
	c.point.pass("acknowledged")
	c.reply(reply)
	c.point.pass("told")
	if detached != nil {
		if l, err := detached(ctx); err == nil {
			c.say(event{Kind: "detached", Lead: l.ID, State: l.State.String()})
		}
	}
}

// reply tells the parent what a caller was answered, unless the plan is to die after
// handlers were called and before callers are answered.
func (c *child) reply(ev event) {
	if c.point.name == "unanswered" {
		c.withheld.Store(true)
		select {}
	}
	c.say(ev)
}

// refusal names the class of an error.
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
	ev := event{
		Kind: "dispatch", Lead: a.LeadID, Contact: a.Contact.ExternalID, Step: a.StepID, Node: a.Node.ID,
		Attempt: a.Number, Key: a.IdempotencyKey, Redelivered: a.Redelivered,
	}
	if a.Scheduled != nil {
		ev.Message = a.Scheduled.Data
	}
	c.point.pass("launched")
	answer := c.ask(ev)
	if c.withheld.Load() {
		c.point.pass("unanswered")
	}
	cmd := <-answer
	c.point.pass("answered")
	if ctx.Err() != nil && time.Now().Before(a.Deadline) {
		c.say(event{Kind: "cut", Lead: a.LeadID, Step: a.StepID, Error: context.Cause(ctx).Error()})
	}
	failure := errors.New("boom " + a.IdempotencyKey)
	res := engine.Result{CallID: "call " + a.IdempotencyKey}
	for _, label := range cmd.Schedule {
		text, err := json.Marshal(label)
		if err != nil {
			return res, err
		}
		res.Schedule = append(res.Schedule, engine.Message{After: 10 * time.Millisecond, Data: text})
	}
	switch cmd.Do {
	case "outcome":
		res.Outcome, res.Data = cmd.Outcome, map[string]any{"score": cmd.Score}
		return res, nil
	case "in flight":
		res.InFlight = true
		return res, nil
	case "error":
		return res, failure
	case "again":
		return res, engine.RetryAfter(failure, retryAfter)
	case "final":
		return res, engine.NonRetryable(failure)
	case "panic":
		panic(failure.Error())
	case "hang":
		<-ctx.Done()
		return res, context.Cause(ctx)
	}
	return res, engine.NonRetryable(fmt.Errorf("unknown answer %q", cmd.Do))
}

func (c *child) hook(ctx context.Context, done engine.HookEvent) error {
	c.point.pass("hooked")
	answer := c.ask(event{
		Kind: "hook", Lead: done.Lead.ID, Contact: done.Lead.ExternalID, State: done.Lead.State.String(),
		Step: done.Step.ID, Node: done.Step.NodeID, Outcome: done.Step.Outcome,
	})
	select {
	case cmd := <-answer:
		switch cmd.Do {
		case "error":
			return errors.New("hook boom")
		case "panic":
			panic("hook boom")
		case "hang":
			<-ctx.Done()
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
