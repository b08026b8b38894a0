package enginetest

import (
	"cmp"
	"container/heap"
	"context"
	"math"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Summary counts what happened to the leads of a workflow.
type Summary struct {
	Leads    int
	States   map[lead.State]int
	Outcomes map[string]int // of the completed leads
	// Tally is for [workflow.Definition.MermaidTally].
	Tally workflow.Tally
	// Nodes has what happened at each action node, in the order of the definition.
	Nodes []NodeSummary
	// Messages is how many scheduled messages were sent.
	Messages int
	// ToConversion has the time from enrollment to conversion of every lead that
	// converted, the shortest first; see [Percentile].
	ToConversion []time.Duration
	Calls        CallSummary
}

// NodeSummary is what happened at an action node.
type NodeSummary struct {
	ID       string
	Type     workflow.NodeType
	Visits   int            // that began
	Attempts int            // over all visits
	Outcomes map[string]int // of the visits that have ended
}

// CallSummary counts the entries of the call log. Calls that began before Config.Start,
// in an earlier world on the same store, are counted only in Made and Retries.
type CallSummary struct {
	Made    int
	Retries int // of those, attempts after a step's first
	// PerHour counts the calls begun in each hour since the world began.
	PerHour []int
	// MostAtOnce is the largest number of calls in progress at any time, and
	// MostAt when it was first reached.
	MostAtOnce int
	MostAt     time.Time
	// AtOncePerDay is the largest number of calls in progress at the start of any
	// call, for each day since the world began; 0 for a day on which none starts.
	AtOncePerDay []int
}

// Percentile returns the smallest of the sorted values that at least a share p, from 0
// to 1, of the values does not exceed; 0 if there are none.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p*float64(len(sorted)) - 1e-9)) // nearest rank; 0.07*100 is slightly more than 7
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Summarize counts what happened to the leads of a workflow so far. For an unknown
// workflow the error matches lead.ErrNotFound; other errors are the store's.
func (w *World) Summarize(wf lead.WorkflowID) (*Summary, error) {
	ctx := context.Background()
	def, err := w.eng.Definition(ctx, wf)
	if err != nil {
		return nil, err
	}
	s := newSummarizer(def)
	for l, err := range w.eng.AllLeads(ctx, wf, engine.LeadFilter{}) {
		if err != nil {
			return nil, err
		}
		steps, err := w.eng.History(ctx, wf, l.ID)
		if err != nil {
			return nil, err
		}
		s.add(&l, steps)
	}
	slices.Sort(s.ToConversion)
	if err := w.summarizeCalls(ctx, wf, &s.Calls); err != nil {
		return nil, err
	}
	return &s.Summary, nil
}

// summarizer builds a Summary.
type summarizer struct {
	Summary
	node   map[string]int    // index in the definition
	action map[string]int    // index in Nodes
	edge   map[[2]string]int // index in the definition, by node and label
}

func newSummarizer(def *workflow.Definition) *summarizer {
	s := &summarizer{
		Summary: Summary{States: map[lead.State]int{}, Outcomes: map[string]int{}},
		node:    map[string]int{}, action: map[string]int{}, edge: map[[2]string]int{},
	}
	s.Tally.Here, s.Tally.Edges = make([]int, len(def.Nodes)), make([]int, len(def.Edges))
	for i, n := range def.Nodes {
		s.node[n.ID] = i
		if n.Type.Action() {
			s.action[n.ID] = len(s.Nodes)
			s.Nodes = append(s.Nodes, NodeSummary{ID: n.ID, Type: n.Type, Outcomes: map[string]int{}})
		}
	}
	for i, e := range def.Edges {
		s.edge[[2]string{e.From, e.Label}] = i
	}
	return s
}

// add counts one lead.
func (s *summarizer) add(l *lead.Lead, steps []lead.Step) {
	s.Leads++
	s.Tally.Entered++
	s.States[l.State]++
	s.Tally.Here[s.node[l.Node]]++
	if l.State == lead.Completed {
		s.Outcomes[l.Outcome]++
		if l.Outcome == string(workflow.Converted) {
			s.ToConversion = append(s.ToConversion, l.CompletedAt.Sub(l.EnrolledAt))
		}
	}
	var before *lead.Step
	for i := range steps {
		step := &steps[i]
		if step.Status == lead.StepCancelled {
			continue
		}
		if step.Scheduled {
			if step.Status == lead.StepCompleted {
				s.Messages++
			}
			continue
		}
		if before != nil {
			if edge, ok := s.edgeTaken(before); ok {
				s.Tally.Edges[edge]++
			}
		}
		before = step
		s.addAction(step)
	}
}

// edgeTaken returns the edge along which a lead left a step.
func (s *summarizer) edgeTaken(step *lead.Step) (int, bool) {
	edge, ok := s.edge[[2]string{step.NodeID, step.Outcome}]
	if !ok {
		edge, ok = s.edge[[2]string{step.NodeID, workflow.DefaultLabel}]
	}
	return edge, ok
}

func (s *summarizer) addAction(step *lead.Step) {
	i, ok := s.action[step.NodeID]
	if !ok {
		return
	}
	n, begun := &s.Nodes[i], 0
	for _, a := range step.Attempts {
		if !a.StartedAt.IsZero() {
			begun++
		}
	}
	if begun > 0 {
		n.Visits++
		n.Attempts += begun
	}
	if step.Status.Final() {
		n.Outcomes[step.Outcome]++
	}
}

// summarizeCalls reads the call log, whose entries are in the order in which calls
// began.
func (w *World) summarizeCalls(ctx context.Context, wf lead.WorkflowID, s *CallSummary) error {
	var ends moments // of the calls in progress
	for c, err := range w.calls(ctx, engine.CallFilter{WorkflowID: wf}) {
		if err != nil {
			return err
		}
		s.Made++
		if c.Attempt > 1 {
			s.Retries++
		}
		since := c.StartedAt.Sub(w.config.Start)
		if since < 0 {
			continue
		}
		s.PerHour = grown(s.PerHour, int(since/time.Hour))
		s.PerHour[since/time.Hour]++
		for len(ends) > 0 && !ends[0].After(c.StartedAt) {
			heap.Pop(&ends)
		}
		// A call without an end is still in progress.
		heap.Push(&ends, cmp.Or(c.EndedAt, c.StartedAt.Add(workflow.MaxDuration)))
		if len(ends) > s.MostAtOnce {
			s.MostAtOnce, s.MostAt = len(ends), c.StartedAt
		}
		day := int(since / (24 * time.Hour))
		s.AtOncePerDay = grown(s.AtOncePerDay, day)
		s.AtOncePerDay[day] = max(s.AtOncePerDay[day], len(ends))
	}
	return nil
}

// grown returns counts, extended to at least i+1 elements.
func grown(counts []int, i int) []int {
	if missing := i + 1 - len(counts); missing > 0 {
		counts = append(counts, make([]int, missing)...)
	}
	return counts
}

// moments is a heap of times.
type moments []time.Time

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return m[i].Before(m[j]) }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push is for container/heap.
func (m *moments) Push(x any) { *m = append(*m, x.(time.Time)) }

// Pop is for container/heap.
func (m *moments) Pop() any {
	last := len(*m) - 1
	t := (*m)[last]
	*m = (*m)[:last]
	return t
}
