package run

import "github.com/leadflow-go/leadflow/engine/internal/core"

// Stats counts what a runner has done since it was started, and what it holds now.
type Stats struct {
	core.Stats
	LateResults int64 // of handlers that returned when the step was over
	Commits     int64

	Running  int // handlers at work
	Ready    int // leads that are due and wait for a worker
	InMemory int // leads that memory holds
}

// Stats returns the counters as of the last commit.
func (r *Runner) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.stats
}

func (r *Runner) publishStats(l *loop) {
	s := Stats{Stats: l.total.stats, LateResults: l.total.late, Commits: l.total.commits}
	s.Running, s.Ready, s.InMemory = l.busy(), l.ready.Len()+l.again.Len(), len(l.hot)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats = s
}

// counters change with decisions.
type counters struct {
	running int // entries with a call
	live    int // goroutines whose result is still awaited
	late    int64
	commits int64
	stats   core.Stats
}

func (c *counters) add(d *counters) {
	c.running += d.running
	c.live += d.live
	c.late += d.late
	c.commits += d.commits
	c.stats.Add(&d.stats)
}
