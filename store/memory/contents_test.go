package memory

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// Tables grow with the numbers in them, so one that nobody reserved could take
// all the memory there is.
func TestANumberThatWasNotReservedIsRefused(t *testing.T) {
	s := New()
	good := storetest.Enrollments(t, s, 1, 2)
	if _, err := s.Commit(t.Context(), &store.Batch{Enroll: good[:1]}); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int64{-1, 0, 3, 1 << 60} {
		e := good[1]
		e.Record.Seq, e.Contact.Seq = seq, seq
		for name, b := range map[string]store.Batch{
			"workflow": {Workflows: []store.Workflow{{Seq: seq, Version: 1}}},
			"lead":     {Enroll: []store.Enrollment{e}},
			"step":     {Steps: []store.Step{{Seq: seq, Lead: 1}}},
			"call":     {Calls: []store.Call{{Seq: seq, Lead: 1}}},
		} {
			if _, err := s.Commit(t.Context(), &b); err == nil {
				t.Errorf("%s %d was written", name, seq)
			}
		}
	}
}

func TestAMixedUpBatchIsRefused(t *testing.T) {
	s := New()
	list := storetest.Enrollments(t, s, 1, 2)
	other := list[1]
	other.Contact.Seq++
	if _, err := s.Commit(t.Context(), &store.Batch{Enroll: []store.Enrollment{other}}); err == nil {
		t.Error("a lead has the contact of another")
	}
	if _, err := s.Commit(t.Context(), &store.Batch{Enroll: list}); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*store.Record){
		"lead":     func(r *store.Record) { r.Seq++ },
		"workflow": func(r *store.Record) { r.Workflow++ },
	} {
		after := list[0].Record
		after.Version++
		edit(&after)
		if _, err := s.Commit(t.Context(), &store.Batch{Changes: []store.Change{{Before: list[0].Record, After: after}}}); err == nil {
			t.Errorf("a change names another %s", name)
		}
	}
}

// Forgetting gives back all the memory of a lead.
func TestForgottenLeadsLeaveNothing(t *testing.T) {
	s := New()
	list := storetest.Enrollments(t, s, 1, 1000)
	steps, err := s.Reserve(t.Context(), store.StepSequence, 2*len(list))
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Enroll: list}
	for i := range list {
		e := &list[i]
		e.Contact.Metadata, e.Record.EngineState = make([]byte, 3), make([]byte, 5)
		if i%3 == 0 {
			e.Record.State, e.Record.Wake, e.Record.Outcome = lead.Completed, 0, "converted"
			e.Contact.Phone, e.Contact.ExternalID = 4930, "crm-1" // many of one phone
		}
		if i%100 == 0 {
			e.Contact.Metadata = make([]byte, packEntryMax+1)
		}
		seq := steps + 2*int64(i)
		e.Record.LastStep = seq + 1
		b.Steps = append(b.Steps, store.Step{Seq: seq, Lead: e.Record.Seq}, store.Step{Seq: seq + 1, Prev: seq, Lead: e.Record.Seq})
		b.Payloads = append(b.Payloads, store.Payload{Lead: e.Record.Seq, Visit: int32(i), Data: []byte{1}})
		b.Forget = append(b.Forget, e.Record.Seq)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(b.Forget), func(i, j int) { b.Forget[i], b.Forget[j] = b.Forget[j], b.Forget[i] })
	forget := b.Forget
	b.Forget = nil
	for _, b := range []store.Batch{b, {Forget: forget}} {
		if _, err := s.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	c := s.contents
	for name, p := range map[string]*pack{"tails": &c.tails, "contacts": &c.contacts, "steps": &c.steps} {
		for i, run := range p.runs {
			if run.at != nil || run.data != nil || run.n != 0 || run.used != 0 {
				t.Errorf("%s: run %d has %d entries, %d bytes", name, i, run.n, run.used)
			}
		}
		if len(p.large) > 0 {
			t.Errorf("%s: %d large entries", name, len(p.large))
		}
	}
	for i, run := range c.leads.runs {
		if run.rows != nil || run.n != 0 {
			t.Errorf("run %d of the leads has %d", i, run.n)
		}
	}
	if n := c.due.Len(); n > 0 {
		t.Errorf("%d leads are due", n)
	}
	if len(c.phones.latest) > 0 || len(c.phones.before) > 0 {
		t.Errorf("phones: %v, %v", c.phones.latest, c.phones.before)
	}
	if len(c.externalIDs.latest) > 0 || len(c.externalIDs.before) > 0 {
		t.Errorf("external ids: %v, %v", c.externalIDs.latest, c.externalIDs.before)
	}
	if len(c.payloads) > 0 {
		t.Errorf("payloads: %v", c.payloads)
	}
	if found := c.counts.of(1); len(found) > 0 {
		t.Errorf("counts: %v", found)
	}
}

// A pack is a map, in few bytes.
func TestAPackIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var p pack
	model := map[int64][]byte{}
	const numbers = 3 * packRunLen
	check := func() {
		t.Helper()
		seen := 0
		for seq, entry := range p.after(0) {
			if seen++; !bytes.Equal(entry, model[seq]) {
				t.Fatalf("entry %d has %d bytes, want %d", seq, len(entry), len(model[seq]))
			}
		}
		if seen != len(model) {
			t.Fatalf("%d entries, want %d", seen, len(model))
		}
		for i, run := range p.runs {
			used := 0
			for slot := range int64(packRunLen) {
				if _, at := p.slot(int64(i)*packRunLen + slot); at != nil && *at != 0 && *at != elsewhere {
					_, size := run.entry(*at)
					used += size
				}
			}
			if left := len(run.data) - run.used; used != run.used || left > used/4+packRunLen {
				t.Fatalf("run %d: %d bytes are used and %d left over", i, run.used, left)
			}
		}
	}
	for round := range 20_000 {
		seq := 1 + random.Int64N(numbers)
		switch random.IntN(10) {
		case 0, 1, 2:
			p.drop(seq)
			delete(model, seq)
		default:
			entry := make([]byte, 1+random.IntN(200))
			if random.IntN(100) == 0 {
				entry = make([]byte, packEntryMax-1+random.IntN(4)) // around the largest of a run
			}
			for i := range entry {
				entry[i] = byte(random.Uint32())
			}
			p.put(seq, entry)
			model[seq] = bytes.Clone(entry)
			clear(entry) // it keeps a copy
		}
		if want, got := model[seq], p.get(seq); !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("round %d: entry %d has %d bytes, want %d", round, seq, len(got), len(want))
		}
		if round%1000 == 0 {
			check()
		}
	}
	check()
	for seq := range int64(numbers + 1) {
		p.drop(seq)
		delete(model, seq)
		if seq%100 == 0 {
			check()
		}
	}
	check()
	if p.get(-1) != nil || p.get(1<<62) != nil {
		t.Error("there are entries where none can be")
	}
}
