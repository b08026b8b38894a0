package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

func (c *contents) putStep(s *store.Step) {
	b := appendInts(c.bytes[:0], s.Seq-s.Prev, s.Lead, int64(s.Visit), int64(s.Node), int64(s.Kind),
		int64(s.Status), int64(s.Attempts), int64(s.Entered), int64(s.Due-s.Entered),
		int64(s.Started-s.Entered), int64(s.Exited-s.Entered))
	c.bytes = appendText(appendText(b, s.Outcome), s.Detail)
	c.steps.put(s.Seq, c.bytes)
}

func stepOf(seq int64, entry []byte) store.Step {
	d := decoder{entry}
	s := store.Step{Seq: seq}
	s.Prev, s.Lead = seq-d.int(), d.int()
	s.Visit, s.Node, s.Kind = int32(d.int()), int32(d.int()), store.StepKind(d.int())
	s.Status, s.Attempts = lead.StepStatus(d.int()), int32(d.int())
	s.Entered = store.Millis(d.int())
	s.Due = s.Entered + store.Millis(d.int())
	s.Started = s.Entered + store.Millis(d.int())
	s.Exited = s.Entered + store.Millis(d.int())
	s.Outcome, s.Detail = d.text(), d.blob()
	return s
}

// dropSteps removes a lead's steps, of which last is the latest.
func (c *contents) dropSteps(last int64) {
	for entry := c.steps.get(last); entry != nil; entry = c.steps.get(last) {
		d := decoder{entry}
		prev := last - d.int()
		c.steps.drop(last)
		last = prev
	}
}

// History implements [store.HistoryReader].
func (s *Store) History(ctx context.Context, seq int64) (entry store.Lead, steps []store.Step, err error) {
	c, err := s.startReading(ctx)
	if err == nil {
		defer s.stopReading()
		entry, err = c.entry(seq)
	}
	if err != nil {
		return entry, nil, fmt.Errorf("memory: read lead %d: %w", seq, err)
	}
	for last := entry.LastStep; ; last = steps[len(steps)-1].Prev {
		found := c.steps.get(last)
		if found == nil {
			break
		}
		steps = append(steps, stepOf(last, found))
	}
	slices.Reverse(steps) // the chain goes back in time
	return entry, steps, nil
}
