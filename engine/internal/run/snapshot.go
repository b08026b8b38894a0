package run

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/store"
)

// Rules returns the rules as the loop has them now; without a running loop, none.
func (r *Runner) Rules(ctx context.Context) (*core.Rules, error) {
	var rules *core.Rules
	err := r.do(ctx, func(l *loop) error {
		rules = l.r.rules.Snapshot()
		return nil
	})
	if errors.Is(err, ErrNotRunning) {
		return nil, nil
	}
	return rules, err
}

// LimitInForce is a limit, and what is used of it.
type LimitInForce struct {
	workflow.Limit
	Flow *core.Flow // nil for one of all workflows
	Node string     // "" for one of a whole workflow
	// Used is how many attempts are in flight, or have started within the span; 0 for a
	// limit for each contact.
	Used    int
	Opens   store.Millis // when it allows one more; 0 if it does now, or if that is when one ends
	Waiting int          // leads in memory that wait for it
	More    bool         // there are others, on disk
}

// LimitsInForce returns the limits that are in force: those of all workflows, and those of
// workflows that are not final.
func (r *Runner) LimitsInForce(ctx context.Context) ([]LimitInForce, error) {
	var list []LimitInForce
	err := r.do(ctx, func(l *loop) error {
		list = nil
		seen := map[*core.Use]bool{}
		add := func(limits []workflow.Limit, f *core.Flow, node string) {
			for i := range limits {
				in := LimitInForce{Limit: limits[i], Flow: f, Node: node}
				if use := l.r.rules.UseFor(&limits[i], f, node); use != nil && !seen[use] {
					seen[use] = true
					in.Used, in.Opens = use.Used(&limits[i], l.now)
					in.Waiting, in.More = l.limits.waitingFor(use)
				}
				list = append(list, in)
			}
		}
		add(l.limits.everywhere, nil, "")
		for _, f := range l.r.Flows() {
			if f.Row.Status.Final() {
				continue
			}
			def := f.Graph.Definition()
			add(def.Limits, f, "")
			for i := range def.Nodes {
				add(def.Nodes[i].Limits, f, def.Nodes[i].ID)
			}
		}
		return nil
	})
	return list, err
}

// waitingFor returns how many leads wait in memory for a limit, and whether there are
// others on disk.
func (s *limits) waitingFor(use *core.Use) (n int, more bool) {
	ln := s.of[use]
	if ln == nil {
		return 0, false
	}
	for _, q := range ln.queues {
		n += q.Len()
		more = more || q.left
	}
	return n, more
}

// Number is the engine's number among those that share the store; 0 if it has none.
func (r *Runner) Number() int64 {
	if r.sharer == nil {
		return 0
	}
	return r.sharer.engine.Load()
}
