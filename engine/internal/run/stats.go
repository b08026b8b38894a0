package run

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
)

// Stats has the counters of a runner since it was started, and its present size; see
// engine.Stats.
type Stats struct {
	core.Stats
	LateResults int64
	Commits     int64

	Running  int
	Ready    int
	InMemory int
	Late     time.Duration

	Silence Silence
}

// Stats returns the counters as of the last commit.
func (r *Runner) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.stats
	s.Silence = r.silence
	return s
}

func (r *Runner) publishStats(l *loop) {
	s := Stats{Stats: l.total.stats, LateResults: l.total.late, Commits: l.total.commits}
	s.Running, s.Ready, s.InMemory = l.busy(), l.ready.Len()+l.again.Len(), len(l.hot)
	if e := l.ready.first(); e != nil && e.view.Rec.Wake < l.now {
		s.Late = time.Duration(l.now-e.view.Rec.Wake) * time.Millisecond
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats = s
}

// counters are changed by decisions, so a batch that is undone takes its own back.
type counters struct {
	running int // entries with a call
	live    int // goroutines whose result is still awaited
	late    int64
	commits int64
	stats   core.Stats
}

func (c *counters) sub(d *counters) {
	c.running -= d.running
	c.live -= d.live
	c.late -= d.late
	c.commits -= d.commits
	c.stats.Sub(&d.stats)
}

func (c *counters) add(d *counters) {
	c.running += d.running
	c.live += d.live
	c.late += d.late
	c.commits += d.commits
	c.stats.Add(&d.stats)
}
