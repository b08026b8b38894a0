package race

import (
	"context"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// The races run on real goroutines, in real time and on a real file, because they test
// interleavings. Each case takes many leads to their line, a moment at which something is
// about to happen to them, lets that race with Remove, and then compares what the engine
// says about the lead with what a witness saw: the handlers, the hooks and the callers.
var (
	leadsFlag = flag.Int("race.n", dose(), "how many leads each race case takes")
	seedFlag  = flag.Uint64("race.seed", 0, "seed of the races' choices; 0 means a new one")
)

const (
	workers = 64
	side    = 32 // leads that race at the same time
	// patience bounds every wait; nothing takes remotely as long unless the
	// engine has lost a lead.
	patience = 2 * time.Minute
)

func dose() int {
	if world.RaceEnabled {
		return 100
	}
	return 400
}

// races is a world with a witness.
type races struct {
	*world.World
	hooked  bool
	seed    uint64
	ticks   atomic.Int64
	scripts sync.Map // lead.WorkflowID → script
	flows   sync.Map // lead.WorkflowID → *life.Flow
	braked  sync.Map // lead.WorkflowID → true, when it is paused or cancelled in its race
	tracks  sync.Map // lead.ID → *track
	people  atomic.Int64
}

// script is what the handlers of a case do.
type script func(ctx context.Context, tr *track, a engine.Attempt) (engine.Result, error)

// track is what the witness saw of one lead.
type track struct {
	line chan struct{} // closed when the lead is where its race begins
	gate chan struct{} // closed to let its handler go on

	lineOnce, gateOnce sync.Once

	mu      sync.Mutex
	calls   []*seenCall
	hooks   []seenHook
	removes []*seenRemove
	says    []said
}

// A tick stands for a moment: of two moments the later has the higher one.

type seenCall struct {
	step        lead.StepID
	channel     workflow.NodeType
	attempt     int
	key         string
	begun       int64
	deadline    time.Time
	cut         error // why its context was done when it returned
	returned    time.Time
	redelivered bool
}

type seenHook struct {
	step  lead.StepID
	state lead.State // of the lead on disk
	err   error
	ended int64
}

// seenRemove is a removal of one lead, asked for by itself or as one of a person's.
type seenRemove struct {
	skip         bool
	begun, ended int64
	state        lead.State // of the lead, as answered
	wait         func(context.Context) (lead.Lead, error)
	err          error
	waited       int64 // when wait had returned
}

// said is a callback and what was answered.
type said struct {
	step    lead.StepID
	outcome engine.Callback
	answer  engine.CallbackAck
	err     error
}

func newRaces(t *testing.T, hooked bool) *races {
	t.Helper()
	r := &races{hooked: hooked, seed: *seedFlag}
	if r.seed == 0 {
		r.seed = rand.Uint64()
	}
	t.Logf("-race.seed=%d", r.seed)
	var hooks []engine.Hook
	if hooked {
		hooks = []engine.Hook{{Name: "witness", Run: r.hook}}
	}
	r.World = world.New(t, nil, hooks...)
	r.Refit(func(c *engine.Config) {
		c.Workers = workers
		world.Handle(c, r.handle)
	})
	return r
}

func (r *races) tick() int64 { return r.ticks.Add(1) }

func (r *races) track(id lead.ID) *track {
	if tr, ok := r.tracks.Load(id); ok {
		return tr.(*track)
	}
	tr, _ := r.tracks.LoadOrStore(id, &track{line: make(chan struct{}), gate: make(chan struct{})})
	return tr.(*track)
}

func (tr *track) atLine() { tr.lineOnce.Do(func() { close(tr.line) }) }
func (tr *track) open()   { tr.gateOnce.Do(func() { close(tr.gate) }) }

func (r *races) handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	begun := r.tick() // before anything that may take time
	tr := r.track(a.LeadID)
	c := &seenCall{
		step: a.StepID, channel: a.Node.Type, attempt: a.Number, key: a.IdempotencyKey, begun: begun, deadline: a.Deadline, redelivered: a.Redelivered,
	}
	tr.mu.Lock()
	tr.calls = append(tr.calls, c)
	tr.mu.Unlock()
	does, _ := r.scripts.Load(a.WorkflowID)
	res, err := does.(script)(ctx, tr, a)
	tr.mu.Lock()
	c.cut, c.returned = context.Cause(ctx), time.Now()
	tr.mu.Unlock()
	return res, err
}

func (r *races) hook(ctx context.Context, c engine.HookEvent) error {
	l, err := r.Eng.Lead(ctx, c.Lead.WorkflowID, c.Lead.ID)
	tr := r.track(c.Lead.ID)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.hooks = append(tr.hooks, seenHook{step: c.Step.ID, state: l.State, err: err, ended: r.tick()})
	return nil
}

// lastCall returns the call that was begun last, or nil.
func (tr *track) lastCall() *seenCall {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.calls) == 0 {
		return nil
	}
	return tr.calls[len(tr.calls)-1]
}

// play is one lead's race.
type play struct {
	*races
	t      *testing.T
	i      int
	rng    *rand.Rand
	lead   lead.ID
	wf     lead.WorkflowID
	track  *track
	person *person // nil where only the lead matters
}

// stage makes a draft for a case, whose handlers do as the script says.
func (r *races) stage(does script, nodes []workflow.Node, edges ...workflow.Edge) lead.WorkflowID {
	r.Helper()
	wf := r.Draft(nodes, edges...)
	flow, err := life.NewFlow(&workflow.Definition{Entry: nodes[0].ID, Nodes: nodes, Edges: edges}, nil)
	if err != nil {
		r.Fatal(err)
	}
	r.scripts.Store(wf, does)
	r.flows.Store(wf, flow)
	return wf
}

// race enrolls n leads, lead i in workflow i modulo their number, and plays
// each, many at the same time. It returns when all are final.
func (r *races) race(t *testing.T, n int, workflows []lead.WorkflowID, act func(p *play)) {
	t.Helper()
	next := atomic.Int64{}
	var lanes sync.WaitGroup
	for range side {
		lanes.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				wf := workflows[i%len(workflows)]
				l, err := r.Eng.Enroll(context.Background(), wf, world.Person(i))
				if err != nil {
					t.Errorf("Enroll: %v", err)
					return
				}
				act(r.play(t, i, wf, l.ID))
			}
		})
	}
	lanes.Wait()
}

func (r *races) play(t *testing.T, i int, wf lead.WorkflowID, id lead.ID) *play {
	return &play{races: r, t: t, i: i, rng: rand.New(rand.NewPCG(r.seed, uint64(i))), lead: id, wf: wf, track: r.track(id)}
}

// line waits until the lead is where the race begins.
func (p *play) line() {
	if !p.lineUnless(func() bool { return false }) {
		p.t.Errorf("lead %s never came to its line: %s", p.lead, p.Path(lead.Lead{ID: p.lead, WorkflowID: p.wf}))
	}
}

// lineUnless waits until the lead is where the race begins, unless it is past
// that without having been there. It reports whether the lead is at its line.
func (p *play) lineUnless(past func() bool) bool {
	giveUp := time.Now().Add(patience)
	for time.Now().Before(giveUp) && !past() {
		select {
		case <-p.track.line:
			return true
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

// together runs all functions concurrently, each after a delay of its own, and returns
// when all have returned.
func (p *play) together(acts ...func()) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for _, act := range acts {
		turns := 1 << p.rng.IntN(9)
		all.Go(func() {
			<-start
			for range turns {
				runtime.Gosched()
			}
			act()
		})
	}
	close(start)
	all.Wait()
}

// remove asks for the lead's removal and has the witness know the answer.
func (p *play) remove(options ...engine.RemoveOption) {
	ask := &seenRemove{skip: len(options) > 0, begun: p.tick()}
	removal, err := p.Eng.Remove(context.Background(), p.wf, p.lead, options...)
	ask.ended = p.tick()
	if ask.err = err; err == nil {
		ask.state, ask.wait = removal.State, removal.Wait
	}
	p.track.add(ask)
}

func (tr *track) add(ask *seenRemove) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.removes = append(tr.removes, ask)
}

// say gives a step an outcome by callback and has the witness know the answer.
func (p *play) say(step lead.StepID, outcome engine.Callback) {
	answer, err := p.Eng.CompleteStep(context.Background(), step, outcome)
	p.track.mu.Lock()
	defer p.track.mu.Unlock()
	p.track.says = append(p.track.says, said{step, outcome, answer, err})
}
