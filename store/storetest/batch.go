package storetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file has helpers for other tests and benchmarks of stores.

// Seed returns the seed of a random test, LEADFLOW_SEED if that is set, and logs it. A
// test with the same seed makes the same random choices; if several goroutines draw
// from it, which of them gets which choice may differ.
func Seed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("LEADFLOW_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LEADFLOW_SEED=%d", seed)
	return seed
}

// Enrollments returns n new leads of the workflow, each in its first step, with
// numbers that it reserves.
func Enrollments(tb testing.TB, s store.Writer, workflow int64, n int) []store.Enrollment {
	tb.Helper()
	first, err := s.Reserve(tb.Context(), store.LeadSequence, n)
	if err != nil {
		tb.Fatal(err)
	}
	const now = 1_700_000_000_000
	list := make([]store.Enrollment, n)
	for i := range list {
		seq := first + int64(i)
		id, err := lead.NewID(time.UnixMilli(now), seq)
		if err != nil {
			tb.Fatal(err)
		}
		list[i] = store.Enrollment{
			Record: store.Record{Seq: seq, Workflow: workflow, Version: 1, State: lead.InStep, Phase: store.PhaseRunning,
				Visit: 1, Visits: 1, Attempt: 1, Entered: now, Due: now, Started: now, Deadline: now + 60_000, Wake: now, Updated: now},
			Contact: store.Contact{Seq: seq, ID: id, Phone: 4930_0000_0000 + seq, Enrolled: now},
		}
	}
	return list
}

// StepBatch returns a batch in which each of the leads ends its step and begins the
// next one, a second later; the steps have numbers that it reserves.
func StepBatch(tb testing.TB, s store.Writer, leads []store.Record) (batch store.Batch) {
	tb.Helper()
	first, err := s.Reserve(tb.Context(), store.StepSequence, len(leads))
	if err != nil {
		tb.Fatal(err)
	}
	for i, before := range leads {
		after := before
		after.Version, after.Visit, after.Visits = before.Version+1, before.Visit+1, before.Visits+1
		after.Node, after.LastStep = (before.Node+1)%7, first+int64(i)
		after.Entered += 1000
		after.Started, after.Due, after.Updated, after.Deadline = after.Entered, after.Entered, after.Entered, after.Entered+60_000
		batch.Changes = append(batch.Changes, store.Change{Before: before, After: after})
		batch.Steps = append(batch.Steps, store.Step{
			Seq: after.LastStep, Prev: before.LastStep, Lead: before.Seq, Visit: before.Visit, Node: before.Node,
			Status: lead.StepCompleted, Attempts: 1, Entered: before.Entered, Due: before.Due,
			Started: before.Started, Exited: after.Entered, Outcome: "answered",
		})
	}
	return batch
}
