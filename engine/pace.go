package engine

import (
	"context"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file has figures of what moves. They are of this engine, and begin anew with it.

// Pace is how many attempts this engine has begun.
type Pace struct {
	// Minutes has the attempts of the last 60 minutes and of the present one, which comes
	// last. First is when the first of those minutes began.
	Minutes []int64
	First   time.Time
}

// Pace returns how many attempts this engine has begun in each of the last minutes. It
// takes no time worth measuring, and does not read the store.
func (e *Engine) Pace() Pace {
	first, starts := e.run.Pace()
	return Pace{Minutes: starts[:], First: first}
}

// Passes is how often leads have gone along the edges of a workflow.
type Passes struct {
	Since time.Time // when this engine was made
	Edges []int64   // in the order of the definition's edges
}

// Passes returns how often leads of a workflow have gone along each of its edges, since this
// engine was made and on this engine. It does not read the store. For an unknown workflow the
// error matches lead.ErrNotFound.
func (e *Engine) Passes(id lead.WorkflowID) (Passes, error) {
	f, err := e.run.Flow(id)
	if err != nil {
		return Passes{}, e.why(err)
	}
	var p Passes
	p.Since, p.Edges = e.run.Passes(f)
	return p, nil
}

// NodeCounts returns how many leads of a workflow are at each node in each state, by the
// node's id: those that are not final where they are, the others where they were when they
// became final. It takes the same short time whatever the number of leads. For an unknown
// workflow the error matches lead.ErrNotFound.
func (e *Engine) NodeCounts(ctx context.Context, id lead.WorkflowID) (map[string]map[lead.State]int64, error) {
	f, err := e.run.Flow(id)
	if err != nil {
		return nil, e.why(err)
	}
	rows, err := e.store.NodeCounts(ctx, f.Row.Seq)
	if err != nil {
		return nil, run.ReadFailed(err)
	}
	counts := map[string]map[lead.State]int64{}
	for _, row := range rows {
		if row.Node < 0 || int(row.Node) >= f.Graph.Len() {
			continue // of a damaged row
		}
		node := f.Graph.Node(row.Node).ID
		if counts[node] == nil {
			counts[node] = map[lead.State]int64{}
		}
		counts[node][row.State] += row.N
	}
	return counts, nil
}

// LimitInForce is a limit, and what is used of it now.
type LimitInForce struct {
	workflow.Limit
	WorkflowID lead.WorkflowID // zero for a limit of all workflows
	Node       string          // "" for a limit of a whole workflow
	// Used is how many attempts are in flight, or have started within the span, on all
	// engines as far as this one knows. It is 0 for a limit for each contact.
	Used  int
	Opens time.Time // when it allows one more; zero if it does now, or if that is when one ends
	// Waiting is how many leads wait for it in this engine's memory. MoreWait: there are
	// others, which are only in the store.
	Waiting  int
	MoreWait bool
}

// LimitsInForce returns the limits that are in force, those for all workflows first, with
// what is used of them. The error is ErrNotRunning, or ctx's cause.
func (e *Engine) LimitsInForce(ctx context.Context) ([]LimitInForce, error) {
	found, err := e.run.LimitsInForce(ctx)
	if err != nil {
		return nil, e.why(err)
	}
	list := make([]LimitInForce, len(found))
	for i, l := range found {
		list[i] = LimitInForce{Limit: l.Limit, Node: l.Node, Used: l.Used, Opens: l.Opens.Time(), Waiting: l.Waiting, MoreWait: l.More}
		if l.Flow != nil {
			list[i].WorkflowID = l.Flow.Row.ID
		}
	}
	return list, nil
}

// EngineInfo describes one of the engines that share a store.
type EngineInfo struct {
	Number int64  // its epoch: an engine that has lost its place gets another one; 0 if the store cannot be shared
	Name   string // as its store was opened
	Here   bool   // it is this one
	Takes  bool   // it was started, and is not shutting down
	// Lease is what is left of its lease; not positive if that has run out.
	Lease  time.Duration
	Shards []int16 // of store.Shards; it acts on the leads in them
	Joined time.Time
}

// Engines returns the engines that have a place in the store, in the order of their
// numbers. For a store that engines cannot share, it has no entries.
func (e *Engine) Engines(ctx context.Context) ([]EngineInfo, error) {
	shared, ok := e.store.(store.Shared)
	if !ok {
		return nil, nil
	}
	found, err := shared.Engines(ctx)
	if err != nil {
		return nil, run.ReadFailed(err)
	}
	list := make([]EngineInfo, len(found))
	for i, o := range found {
		list[i] = EngineInfo{
			Number: o.Engine, Name: o.Name, Here: o.Engine == e.run.Number(), Takes: o.Takes, Lease: o.Lease, Shards: o.Shards, Joined: o.Joined,
		}
	}
	return list, nil
}
