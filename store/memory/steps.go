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

// dropSteps removes all of a lead's steps; last is the number of the latest.
func (c *contents) dropSteps(last int64) {
	for entry := c.steps.get(last); entry != nil; entry = c.steps.get(last) {
		d := decoder{entry}
		prev := last - d.int()
		c.steps.drop(last)
		last = prev
	}
}

// Steps implements [store.LoopReader].
func (s *Store) Steps(ctx context.Context, seqs []int64) (list []store.Step, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read steps: %w", err)
	}
	defer s.stopReading()
	for _, seq := range slices.Compact(slices.Sorted(slices.Values(seqs))) {
		if entry := c.steps.get(seq); entry != nil {
			list = append(list, stepOf(seq, entry))
		}
	}
	return list, nil
}

// History implements [store.HistoryReader].
func (s *Store) History(ctx context.Context, seq int64) (l store.Lead, steps []store.Step, payloads []store.Payload, err error) {
	c, err := s.startReading(ctx)
	if err == nil {
		defer s.stopReading()
		l, err = c.lead(seq)
	}
	if err != nil {
		return l, nil, nil, fmt.Errorf("memory: read lead %d: %w", seq, err)
	}
	for last := l.LastStep; ; last = steps[len(steps)-1].Prev {
		found := c.steps.get(last)
		if found == nil {
			break
		}
		steps = append(steps, stepOf(last, found))
	}
	slices.Reverse(steps) // they were read from the last to the first
	return l, steps, c.payloads.of(seq, nil), nil
}
