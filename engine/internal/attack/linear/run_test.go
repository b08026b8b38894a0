package linear

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

const (
	contacts = 6
	clients  = 5
	acts     = 60 // of each client
)

// run is one engine with concurrent clients that make random requests, and a record of
// all requests and answers.
type run struct {
	t     *testing.T
	flow  setting
	seed  uint64
	engs  []*engine.Engine // all over the same store
	wf    lead.WorkflowID
	over  atomic.Bool  // no handler waits any more
	ticks atomic.Int64 // of two moments the later has the higher one

	mu       sync.Mutex // guards what follows
	ops      []recorded
	closed   bool // what is recorded from now on is too late for the history
	contacts [contacts]person
}

// recorded is an operation before the leads have numbers.
type recorded struct {
	porcupine.Operation
	lead  lead.ID // of the input
	got   lead.ID // of the output
	sup   lead.SuppressionID
	leads leadStates // of the output
}

type person struct {
	enrolled int // how often enrolling was tried
	leads    []lead.ID
	steps    []begunStep // that have begun
	asked    int         // how often suppressing was tried
	sups     []lead.SuppressionID
	gate     chan struct{} // closed to let the contact's handlers go on
}

type begunStep struct {
	lead  lead.ID
	visit int
	id    lead.StepID
}

func phone(contact int) string { return fmt.Sprintf("+1415555%04d", 2000+contact) }

// open opens a file of its own for one engine, and a schema for several.
func open(t *testing.T, engines int) (stores []store.Store, closeAll func()) {
	t.Helper()
	var closers []io.Closer
	for schema := ""; len(stores) < max(1, engines); {
		var st interface {
			store.Store
			io.Closer
		}
		var err error
		if engines == 0 {
			st, err = sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "leads.db"), sqlite.Options{Synchronous: sqlite.Normal})
		} else {
			if schema == "" {
				schema = pgtest.Schema(t)
			}
			st, err = postgres.Open(context.Background(), pgtest.URL(), postgres.Options{Schema: schema})
		}
		if err != nil {
			t.Fatal(err)
		}
		stores, closers = append(stores, st), append(closers, st)
	}
	return stores, func() {
		for _, c := range closers {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// historyOf runs the clients against engines of their own and returns the history. No
// engines means one over SQLite.
func historyOf(t *testing.T, flow setting, http bool, engines int, seed uint64) []porcupine.Operation {
	t.Helper()
	stores, closeAll := open(t, engines)
	defer closeAll()
	r := &run{t: t, flow: flow, seed: seed}
	for i := range r.contacts {
		r.contacts[i].gate = make(chan struct{})
	}
	config := engine.Config{Logger: slog.New(slog.DiscardHandler)}
	world.Handle(&config, r.handle)
	if flow.hooks {
		config.Hooks = []engine.Hook{{Name: "none", Run: func(context.Context, engine.HookEvent) error { return nil }}}
	}
	for _, st := range stores {
		eng, err := engine.New(st, config)
		if err != nil {
			t.Fatal(err)
		}
		if err := eng.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.engs = append(r.engs, eng)
	}
	r.wf = r.workflow()
	var client spread
	for _, eng := range r.engs {
		if !http {
			client.over = append(client.over, direct{eng, r.wf})
			continue
		}
		h, err := httpapi.New(eng, httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(h)
		defer server.Close()
		client.over = append(client.over, overHTTP{server.URL, r.wf, server.Client()})
	}
	r.clients(&client)
	r.end(&client)
	return r.history()
}

func (r *run) workflow() lead.WorkflowID {
	r.t.Helper()
	wf, err := r.engs[0].CreateWorkflow(context.Background(), r.flow.definition())
	if err == nil {
		_, err = r.engs[len(r.engs)-1].ActivateWorkflow(context.Background(), wf.ID)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return wf.ID
}

// definition has a call, a moment, another call, and then a long wait. A call that
// nobody answers ends it.
func (s setting) definition() *workflow.Definition {
	retry := workflow.Retry{MaxAttempts: tries, Delay: workflow.Duration(time.Millisecond)}
	first, second := workflow.CallNode("first", nil).WithRetry(retry), workflow.CallNode("second", nil).WithRetry(retry)
	if s.timeout {
		first, second = first.WithTimeout(3*time.Millisecond), second.WithTimeout(3*time.Millisecond)
	}
	return &workflow.Definition{
		Name: "linear", Entry: "first",
		Nodes: []workflow.Node{
			first, workflow.Wait("moment", time.Millisecond), second, workflow.Wait("rest", 48*time.Hour),
			workflow.End("done", workflow.Converted), workflow.End("gone", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("first", "dnp", "gone"), workflow.On("first", workflow.DefaultLabel, "moment"), workflow.To("moment", "second"),
			workflow.On("second", "dnp", "gone"), workflow.On("second", workflow.DefaultLabel, "rest"), workflow.To("rest", "done"),
		},
	}
}

func (r *run) tick() int64 { return r.ticks.Add(1) }

// record keeps an operation that began at the tick.
func (r *run) record(client int, begun int64, id lead.ID, in input, got lead.ID, out output) {
	r.keep(client, begun, in, out, recorded{lead: id, got: got})
}

// keep is record for what has more ids in it.
func (r *run) keep(client int, begun int64, in input, out output, op recorded) {
	op.Operation = porcupine.Operation{ClientId: client, Input: in, Call: begun, Output: out, Return: r.tick()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// handle is the engine's own client: it records that an attempt has begun, and
// what the handler has come to.
func (r *run) handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	var contact int
	if _, err := fmt.Sscanf(a.Contact.PhoneNumber, "+1415555%d", &contact); err != nil {
		panic(err)
	}
	contact -= 2000
	visit := visitOf(a.Node.ID)
	in := input{kind: opStart, contact: contact, visit: visit, attempt: a.Number}
	started := recorded{lead: a.LeadID, Operation: porcupine.Operation{
		ClientId: clients + contact, Input: in, Output: output{}, Return: r.tick(),
	}}
	r.mu.Lock()
	if !r.closed {
		r.ops = append(r.ops, started)
	}
	c := &r.contacts[contact]
	if a.Number == 1 {
		c.steps = append(c.steps, begunStep{a.LeadID, visit, a.StepID})
	}
	gate := c.gate
	r.mu.Unlock()

	does := rand.New(rand.NewPCG(r.seed, uint64(a.LeadID.Seq()*100+int64(visit*10+a.Number))))
	if does.IntN(2) == 0 && !r.over.Load() {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	in.kind, in.outcome = opReturn, [...]string{"ok", "dnp", failed, failed, inFlight, inFlight}[does.IntN(6)]
	// It counts at some time from now on, when the engine has heard of it.
	op := recorded{lead: a.LeadID, Operation: porcupine.Operation{
		ClientId: clients + contact, Input: in, Call: r.tick(), Output: output{}, Return: math.MaxInt64,
	}}
	r.mu.Lock()
	if !r.closed {
		r.ops = append(r.ops, op)
	}
	r.mu.Unlock()
	switch in.outcome {
	case failed:
		return engine.Result{}, errors.New("busy")
	case inFlight:
		return engine.InFlight(""), nil
	}
	return engine.Result{Outcome: in.outcome}, nil
}

// clients has all clients do what they do.
func (r *run) clients(client client) {
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(r.seed, uint64(1_000_000+n)))
			for i := range acts {
				if err := r.act(client, n, fmt.Sprintf("%d.%d", n, i), random); err != nil {
					r.t.Errorf("client %d: %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// act does one thing. The error is one that is no answer.
func (r *run) act(client client, n int, name string, random *rand.Rand) error {
	contact := random.IntN(contacts)
	r.mu.Lock()
	c := &r.contacts[contact]
	enroll := len(c.leads) == 0 || random.IntN(6) == 0
	if enroll && c.enrolled == maxLeads {
		enroll = false
	}
	if enroll {
		c.enrolled++
	}
	var id lead.ID
	if len(c.leads) > 0 {
		id = c.leads[max(0, len(c.leads)-1-random.IntN(5)/4)] // mostly the last one
	}
	var sup lead.SuppressionID
	if len(c.sups) > 0 {
		sup = c.sups[max(0, len(c.sups)-1-random.IntN(5)/4)]
	}
	suppress := c.asked < maxSuppressions
	var step begunStep
	if len(c.steps) > 0 {
		step = c.steps[max(0, len(c.steps)-1-random.IntN(6)/4)]
	}
	r.mu.Unlock()
	in := input{contact: contact}
	begun := r.tick()
	switch what := random.IntN(21); {
	case enroll:
		got, err := client.enroll(phone(contact))
		if err != nil && !refuses(err) {
			return err
		}
		r.record(n, begun, lead.ID{}, in, got, output{refused: err})
		r.mu.Lock()
		if err == nil {
			c.leads = append(c.leads, got)
		} else {
			c.enrolled-- // it has one lead less than it might
		}
		r.mu.Unlock()
	case what >= 14:
		return r.actOnPerson(client, n, name, random, contact, id, sup, suppress)
	case id.IsZero():
	case what < 3:
		in.kind, in.skip, in.reason = opRemove, random.IntN(2) == 0, name
		state, seen, err := client.remove(id, in.reason, in.skip)
		if err != nil && !refuses(err) {
			return err
		}
		r.record(n, begun, id, in, lead.ID{}, output{refused: err, state: state})
		if err == nil && seen != 0 {
			// The lead was so at some time before the answer.
			in.kind = opSee
			r.record(n, begun, id, in, lead.ID{}, output{state: seen})
		}
	case what < 7 && !step.id.IsZero():
		in.kind, in.visit, in.outcome = opComplete, step.visit, [...]string{"ok", "dnp"}[random.IntN(2)]
		state, err := client.complete(step.id, in.outcome)
		if err != nil && !refuses(err) {
			return err
		}
		r.record(n, begun, step.lead, in, lead.ID{}, output{refused: err, state: state})
	case what < 9:
		r.mu.Lock()
		close(c.gate)
		c.gate = make(chan struct{})
		r.mu.Unlock()
	case what < 12:
		return r.get(client, n, contact, id)
	default:
		return r.read(client, n, contact, id)
	}
	return nil
}

// actOnPerson does one thing that concerns the person, or holds a lead.
func (r *run) actOnPerson(
	client client, n int, name string, random *rand.Rand, contact int, id lead.ID, sup lead.SuppressionID, suppress bool,
) error {
	in := input{contact: contact, reason: name}
	what := random.IntN(7)
	if what < 2 && suppress {
		r.mu.Lock()
		suppress = r.contacts[contact].asked < maxSuppressions
		if suppress {
			r.contacts[contact].asked++
		}
		r.mu.Unlock()
	}
	begun := r.tick()
	switch {
	case what < 2 && suppress:
		in.kind = opSuppress
		if random.IntN(3) == 0 {
			in.channel = workflow.VoiceCall
		}
		got, fresh, leads, err := client.suppress(phone(contact), in.channel, name)
		if err != nil {
			return err
		}
		r.keep(n, begun, in, output{fresh: fresh}, recorded{sup: got, leads: leads})
		r.mu.Lock()
		if c := &r.contacts[contact]; fresh {
			c.sups = append(c.sups, got)
		} else {
			c.asked--
		}
		r.mu.Unlock()
	case what == 2:
		in.kind, in.skip = opRemoveContact, random.IntN(2) == 0
		leads, err := client.removeContact(phone(contact), name, in.skip)
		if err != nil {
			return err
		}
		r.keep(n, begun, in, output{}, recorded{leads: leads})
	case what < 5 && !sup.IsZero():
		in.kind = opLift
		err := client.lift(sup)
		if err != nil && !refuses(err) {
			return err
		}
		r.keep(n, begun, in, output{refused: err}, recorded{sup: sup})
	case id.IsZero():
	case what == 5:
		in.kind = opHold
		err := client.hold(id)
		if err != nil && !refuses(err) {
			return err
		}
		r.record(n, begun, id, in, lead.ID{}, output{refused: err})
	case what == 6:
		in.kind = opRelease
		err := client.release(id)
		if err != nil && !refuses(err) {
			return err
		}
		r.record(n, begun, id, in, lead.ID{}, output{refused: err})
	}
	return nil
}

func refuses(err error) bool {
	for _, reason := range []error{lead.ErrSuppressed, lead.ErrNotActive, lead.ErrNotHeld, lead.ErrRemovalPending} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return errors.Is(err, lead.ErrConflict) || errors.Is(err, lead.ErrLeadFinal) || errors.Is(err, lead.ErrContactLive) ||
		errors.Is(err, lead.ErrStepFinished) || errors.Is(err, lead.ErrStepNotStarted) || errors.Is(err, lead.ErrOtherAttempt)
}

func (r *run) get(client client, n, contact int, id lead.ID) error {
	begun := r.tick()
	seen, err := client.get(id)
	if err == nil {
		r.record(n, begun, id, input{kind: opGet, contact: contact}, lead.ID{}, output{state: seen.state, reason: seen.reason, held: seen.held})
	}
	return err
}

func (r *run) read(client client, n, contact int, id lead.ID) error {
	begun := r.tick()
	steps, err := client.history(id)
	var out output
	for i, node := range stepNodes {
		if outcome, begun := steps[node]; begun {
			out.outcomes[i] = cmp.Or(outcome, inFlight)
		}
	}
	if err == nil {
		r.record(n, begun, id, input{kind: opHistory, contact: contact}, lead.ID{}, out)
	}
	return err
}
