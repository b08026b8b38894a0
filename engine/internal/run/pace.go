package run

import (
	"slices"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// PaceMinutes is how many minutes Pace tells of, the present one included.
const PaceMinutes = 61

// pace is how many attempts were begun in each of the last minutes, and how often leads
// have gone along each edge since the runner was made. The loop adds to it with each batch
// that is on disk.
type pace struct {
	mu      sync.Mutex
	since   store.Millis
	minutes [PaceMinutes]struct {
		minute int64 // since 1970
		starts int64
	}
	edges map[int64][]int64 // by the number of the workflow, and of the edge in its definition
}

// add takes note of a batch that is on disk.
func (p *pace) add(l *loop, b *batch) {
	starts := b.stats.StepsStarted + b.stats.Retries + b.stats.Redelivered
	if starts == 0 && len(b.touched) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if starts > 0 {
		minute := int64(b.at / store.Millis(time.Minute/time.Millisecond))
		if m := &p.minutes[minute%PaceMinutes]; m.minute == minute {
			m.starts += starts
		} else {
			m.minute, m.starts = minute, starts
		}
	}
	var f *core.Flow
	var edges []int64
	for _, e := range b.touched {
		if len(e.steps) == 0 || e.fresh && (e.contact.Live != 0 || e.contact.Suppressed != nil) { // refused
			continue
		}
		if f == nil || f.Row.Seq != e.view.Rec.Workflow {
			if f = l.flow(e.view.Rec.Workflow); f == nil {
				continue
			}
			edges = p.of(f)
		}
		core.Passes(f, &e.view, e.steps, func(edge int32) { edges[edge]++ })
	}
}

// of returns the counts of a workflow, anew if it has another graph than before.
func (p *pace) of(f *core.Flow) []int64 {
	edges := p.edges[f.Row.Seq]
	if n := f.Graph.EdgeCount(); len(edges) != n {
		if p.edges == nil {
			p.edges = map[int64][]int64{}
		}
		edges = make([]int64, n)
		p.edges[f.Row.Seq] = edges
	}
	return edges
}

// Pace returns how many attempts were begun in each of the last minutes, the present one
// last, and when the first of them began.
func (r *Runner) Pace() (first time.Time, starts [PaceMinutes]int64) {
	p := &r.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	now := r.Clock.Now().UnixMilli() / time.Minute.Milliseconds()
	for i := range starts {
		minute := now - int64(PaceMinutes-1-i)
		if m := p.minutes[max(minute, 0)%PaceMinutes]; m.minute == minute {
			starts[i] = m.starts
		}
	}
	return time.Unix((now-PaceMinutes+1)*60, 0).UTC(), starts
}

// Passes returns how often leads of a workflow have gone along each edge, by its number in
// the definition, since a time. It is about this engine only.
func (r *Runner) Passes(f *core.Flow) (since time.Time, edges []int64) {
	p := &r.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since.Time(), slices.Clone(p.of(f))
}
