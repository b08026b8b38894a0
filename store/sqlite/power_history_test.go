package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// This file is what the writer does whose power is cut.

// pretending is a disk that syncs nothing: in these tests no real power is cut.
type pretending struct{}

func (pretending) Before(op disktest.Op) disktest.Code {
	if op.Kind == disktest.Sync {
		return disktest.Pretend
	}
	return disktest.OK
}

func (pretending) After(disktest.Op) {}

// tape keeps every operation.
type tape struct {
	pretending
	ops []disktest.Op
}

func (tp *tape) After(op disktest.Op) {
	op.Data = slices.Clone(op.Data)
	tp.ops = append(tp.ops, op)
}

// history is what a writer did.
type history struct {
	*rand.Rand
	tape
	begun    []int    // how many operations there were when a batch was begun
	acked    []int    // likewise when it was acknowledged
	contents []string // after it; the first of each is the opening
}

const powerFile = "leads.db"

// newHistory makes a writer's history in a new directory.
func newHistory(t *testing.T, rng *rand.Rand) *history {
	dir := t.TempDir()
	h := &history{Rand: rng}
	stop, err := disktest.Watch(dir, &h.tape)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	path := filepath.Join(dir, powerFile)
	rounds := 10
	if raceEnabled {
		rounds = 3
	}
	for life := range 4 {
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		// A few batches to a checkpoint, and some of the log cut off after it.
		onWriter(t, s, fmt.Sprintf(`PRAGMA wal_autocheckpoint = %d`, 10+rng.IntN(50)))
		onWriter(t, s, `PRAGMA journal_size_limit = 100000`)
		if life == 0 {
			h.note(t, s, 0)
		}
		w := newScribe(t, rng, s)
		for range rounds {
			release := func() {}
			if rng.IntN(6) == 0 { // a reader, because of whom the log cannot be begun anew
				release = reader(t, path)
			}
			for range 1 + rng.IntN(3) {
				b := w.batch(t, s)
				begun := len(h.ops)
				if _, err := s.Commit(t.Context(), &b); err != nil {
					t.Fatal(err)
				}
				h.note(t, s, begun)
			}
			release()
		}
		h.compare(t, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h.compare(t, dir)
	return h
}

// note keeps what there is after a batch that was acknowledged.
func (h *history) note(t *testing.T, s *Store, begun int) {
	t.Helper()
	h.begun, h.acked = append(h.begun, begun), append(h.acked, len(h.ops))
	h.contents = append(h.contents, everything(t, s))
}

// compare checks that the operations are all there were: else they prove
// nothing.
func (h *history) compare(t *testing.T, dir string) {
	t.Helper()
	disk := disktest.New(nil)
	for _, op := range h.ops {
		disk.After(op)
	}
	got := disk.Cut(nil, disktest.Everything)
	want, err := disktest.Read(dir, powerFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-journal"} {
		if string(got[powerFile+suffix]) != string(want[powerFile+suffix]) {
			t.Fatalf("%s has %d bytes, and by the operations it would have %d, or others",
				powerFile+suffix, len(want[powerFile+suffix]), len(got[powerFile+suffix]))
		}
	}
}

// everything is all that there is in a store, as text.
func everything(t *testing.T, s *Store) string {
	t.Helper()
	text, err := readAll(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func readAll(ctx context.Context, s *Store) (string, error) {
	var text strings.Builder
	flows, err := s.Workflows(ctx)
	if err != nil {
		return "", err
	}
	for _, f := range flows {
		counts, err := s.Counts(ctx, f.Seq)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%+v %v\n", f, counts)
		leads, err := s.Leads(ctx, store.LeadQuery{Workflow: f.Seq})
		if err != nil {
			return "", err
		}
		for _, l := range leads {
			_, steps, payloads, err := s.History(ctx, l.Seq)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "%+v %+v %v\n", l, steps, payloads)
		}
	}
	calls, err := s.Calls(ctx, store.CallQuery{})
	if err != nil {
		return "", err
	}
	due, err := s.Due(ctx, store.Key{}, store.MaxMillis, 1_000_000)
	fmt.Fprintf(&text, "%+v\n%+v\n", calls, due)
	return text.String(), err
}

// scribe makes batches.
type scribe struct {
	*rand.Rand
	workflow int64
	live     []store.Record
	final    []int64
	calls    []store.Call
	clock    store.Millis
}

// newScribe goes on with what is in the store.
func newScribe(t *testing.T, rng *rand.Rand, s *Store) *scribe {
	t.Helper()
	w := &scribe{Rand: rng, clock: 1_700_000_000_000}
	flows, err := s.Workflows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) == 0 {
		return w
	}
	w.workflow = flows[0].Seq
	leads, err := s.Leads(t.Context(), store.LeadQuery{Workflow: w.workflow})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leads {
		w.clock = max(w.clock, l.Updated)
		if l.State.Final() {
			w.final = append(w.final, l.Seq)
		} else {
			w.live = append(w.live, l.Record)
		}
	}
	if w.calls, err = s.Calls(t.Context(), store.CallQuery{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// batch makes the next batch, of whatever there is to write.
func (w *scribe) batch(t *testing.T, s *Store) (b store.Batch) {
	t.Helper()
	next := func(kind store.Sequence) int64 {
		seq, err := s.Reserve(t.Context(), kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	w.clock++
	if w.workflow == 0 {
		b.Workflows = append(b.Workflows, workflow(t, s))
		w.workflow = b.Workflows[0].Seq
	}
	if len(w.live) < 60 || w.IntN(3) == 0 {
		for _, e := range storetest.Enrollments(t, s, w.workflow, 1+w.IntN(12)) {
			e.Contact.ExternalID = strings.Repeat("x", w.IntN(300))
			b.Enroll = append(b.Enroll, e)
		}
	}
	w.Shuffle(len(w.live), func(i, j int) { w.live[i], w.live[j] = w.live[j], w.live[i] })
	n := w.IntN(min(len(w.live), 25) + 1)
	left := slices.Clone(w.live[n:])
	for _, r := range w.live[:n] {
		after := r
		after.Version++
		after.Updated = w.clock
		after.EngineState = []byte(strings.Repeat("y", w.IntN(200)))
		if w.IntN(2) == 0 {
			step := store.Step{Seq: next(store.StepSequence), Prev: r.LastStep, Lead: r.Seq, Visit: r.Visit,
				Node: r.Node, Status: lead.StepCompleted, Exited: w.clock, Outcome: "answered"}
			b.Steps = append(b.Steps, step)
			after.LastStep, after.Visit, after.Visits = step.Seq, r.Visit+1, r.Visits+1
		}
		switch w.IntN(5) {
		case 0:
			after.State, after.Phase, after.Wake, after.Outcome = lead.Completed, store.PhaseEnded, 0, "converted"
			w.final = append(w.final, r.Seq)
		case 1:
			after.State, after.Phase, after.Wake = lead.Enrolled, store.PhaseWaiting, w.clock+store.Millis(w.IntN(1000))
		}
		b.Changes = append(b.Changes, store.Change{Before: r, After: after})
		if !after.State.Final() {
			left = append(left, after)
		}
		if w.IntN(5) == 0 {
			b.Payloads = append(b.Payloads, store.Payload{Lead: r.Seq, Visit: w.Int32N(3), Data: []byte(strings.Repeat("p", w.IntN(2000)))})
		}
		if w.IntN(4) == 0 {
			w.calls = append(w.calls, store.Call{Seq: next(store.CallSequence), Lead: r.Seq, Workflow: r.Workflow,
				Attempt: 1, NodeID: "call", Status: lead.StepInProgress, Started: w.clock})
			b.Calls = append(b.Calls, w.calls[len(w.calls)-1])
		}
	}
	for _, e := range b.Enroll {
		left = append(left, e.Record)
	}
	w.live = left
	if len(w.final) > 0 && w.IntN(5) == 0 {
		b.Forget = append(b.Forget, w.final[0])
		w.final = w.final[1:]
	}
	b.Ping = w.IntN(10) == 0
	return b
}
