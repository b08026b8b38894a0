package enginetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// scheduledSuffix distinguishes messages that a node's handler scheduled from visits to
// the node.
const scheduledSuffix = "+message"

// node is a node of a workflow as the script knows it.
type node struct {
	key    uint64
	answer Answer
	// visits counts the visits of each lead to a node on a cycle; nil for other nodes,
	// to which a lead comes once.
	visits map[int64]visit
}

type nodeKey struct {
	workflow lead.WorkflowID
	id       string // with scheduledSuffix
}

type visit struct {
	step  int32 // the number of the step
	count int
}

// answer is the handler of all scripted nodes.
func (w *World) answer(n *node, ea engine.Attempt) (engine.Result, error) {
	a := &Attempt{Attempt: ea, Lead: ea.LeadID.Seq(), Visit: n.visit(&ea)}
	a.key = attemptKey(w.config.Seed, a.Lead, n.key, a.Visit, a.Number)
	var r Reply
	if n.answer != nil {
		r = n.answer(a)
	}
	if r.wrong != "" {
		w.fail(fmt.Errorf("the script's answer at %s: %s", ea.Node.ID, r.wrong))
		return engine.Result{}, engine.NonRetryable(errors.New(r.wrong))
	}
	w.eng.Takes(r.Takes)
	if r.Err != nil {
		return engine.Result{}, r.Err
	}
	if r.After > 0 {
		out := engine.Callback{Outcome: r.Outcome, Data: r.Data, CallID: r.CallID, Attempt: ea.Number}
		w.clock.AfterFunc(max(r.Takes, 0)+r.After, func() { w.callBack(ea.StepID, out, firstWait) })
		return engine.Result{InFlight: true, CallID: r.CallID, Schedule: r.Schedule}, nil
	}
	return r.Result, nil
}

// handler is the engine's handler of a name: the script for the nodes that it has an
// answer for, else the real handler, else the script's default. It records when it is
// called for a final lead.
type handler struct {
	name string
	w    *World
}

// Handle reads the lead from the store directly, because reading it through the engine
// takes four times as long, which would slow simulations down.
func (h handler) Handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	if l, err := h.w.store().Lead(ctx, a.LeadID.Seq()); err == nil && l.State.Final() {
		h.w.spoken = append(h.w.spoken, fmt.Sprintf("%s: the handler of %s is called for lead %s, which is %s",
			h.w.clock.Now().Format(clockLayout), a.Node.ID, a.LeadID, l.State))
	}
	n, real := h.w.node(&a), h.w.handlers[h.name]
	if n.answer == nil && real != nil {
		return real.Handle(ctx, a)
	}
	return h.w.answer(n, a)
}

// Reconcile implements [engine.Reconciler], by the real handler if it is one; what
// became of an attempt that the script answers is unknown.
func (h handler) Reconcile(ctx context.Context, a engine.Attempt) (engine.Fate, error) {
	r, ok := h.w.handlers[h.name].(engine.Reconciler)
	if !ok || h.w.node(&a).answer != nil {
		return engine.Fate{}, nil
	}
	return r.Reconcile(ctx, a)
}

// CheckNode implements [engine.NodeChecker], by the real handler if it is one.
func (h handler) CheckNode(n workflow.Node) error {
	if c, ok := h.w.handlers[h.name].(engine.NodeChecker); ok && h.w.config.Script[n.ID] == nil {
		return c.CheckNode(n)
	}
	return nil
}

// RateKey implements [engine.RateKeyer] as the handler does.
func (h handler) RateKey(n workflow.Node) string {
	if k, ok := h.w.handlers[h.name].(engine.RateKeyer); ok {
		return k.RateKey(n)
	}
	return ""
}

// callBack sends the callback of a call. It is not an error if the step has ended
// meanwhile, by its deadline or by the test. When the store fails, the callback is
// sent again after wait, with a back-off, as a provider would do.
func (w *World) callBack(step lead.StepID, out engine.Callback, wait time.Duration) {
	_, err := w.eng.CompleteStep(context.Background(), step, out)
	switch {
	case err == nil, errors.Is(err, lead.ErrConflict), errors.Is(err, lead.ErrNotFound):
	case errors.Is(err, lead.ErrInvalid):
		w.fail(fmt.Errorf("the callback of step %s: %w", step, err))
	default:
		w.clock.AfterFunc(wait, func() { w.callBack(step, out, min(2*wait, longestWait)) })
	}
}

// The back-off of callbacks when the store fails: the first wait, which doubles, and
// the longest.
const (
	firstWait   = time.Second
	longestWait = time.Hour
)

// fail records the first error while time passes.
func (w *World) fail(err error) {
	if w.failed == nil {
		w.failed = fmt.Errorf("enginetest: %w", err)
	}
}

// node returns the script's node for an attempt.
func (w *World) node(a *engine.Attempt) *node {
	key := nodeKey{a.WorkflowID, a.Node.ID}
	if a.Scheduled != nil {
		key.id += scheduledSuffix
	}
	n := w.nodes[key]
	if n == nil {
		n = &node{key: textKey(key.id), answer: w.config.Script[key.id]}
		if a.Scheduled == nil && w.comesBack(a.WorkflowID, a.Node.ID) {
			n.visits = map[int64]visit{}
		}
		w.nodes[key] = n
	}
	return n
}

// comesBack reports whether the node is on a cycle.
func (w *World) comesBack(wf lead.WorkflowID, id string) bool {
	def, err := w.eng.Definition(context.Background(), wf)
	if err != nil {
		return false // deleted meanwhile
	}
	next := map[string][]string{}
	for _, e := range def.Edges {
		next[e.From] = append(next[e.From], e.To)
	}
	seen := map[string]bool{}
	for todo := next[id]; len(todo) > 0; todo = todo[1:] {
		if todo[0] == id {
			return true
		}
		if !seen[todo[0]] {
			seen[todo[0]] = true
			todo = append(todo, next[todo[0]]...)
		}
	}
	return false
}

// visit returns how often the attempt's lead has come to the node.
func (n *node) visit(a *engine.Attempt) int {
	step := a.StepID.Visit()
	switch {
	case a.Scheduled != nil:
		return int(step)
	case n.visits == nil:
		return 1
	}
	v := n.visits[a.LeadID.Seq()]
	if v.step != step {
		v = visit{step, v.count + 1}
		n.visits[a.LeadID.Seq()] = v
	}
	return v.count
}
