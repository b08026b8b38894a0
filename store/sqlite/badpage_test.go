package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// breakChain damages a page that is full of a letter, as the pages of a long
// value are: the page that should come after it does not exist.
func breakChain(t *testing.T, path string, letter byte) {
	t.Helper()
	const page = 4096
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(text); at += page {
		if p := text[at : at+page]; bytes.Count(p[4:], []byte{letter}) == page-4 {
			copy(p, "\xff\xff\xff\xff")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no page of the file is full of %c", letter)
}

// SQLite gives a query up that meets a damaged page, and so everybody who is in
// it. What a loop reads leaves out those on the page, and nobody else.
func TestADamagedPageConcernsItsLeadsOnly(t *testing.T) {
	oneGoroutine(t)
	const leads = 40
	path := filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	list := enroll(t, s, leads)
	records := make([]store.Record, leads)
	var seqs, steps []int64
	for i := range list {
		records[i] = list[i].Record
		seqs = append(seqs, records[i].Seq)
	}
	b := storetest.StepBatch(t, s, records)
	large := func(letter byte) []byte { return bytes.Repeat([]byte{letter}, 30_000) }
	const victim = 17
	for i := range b.Changes {
		b.Payloads = append(b.Payloads, store.Payload{Lead: seqs[victim], Visit: int32(i), Data: []byte("small")})
		steps = append(steps, b.Steps[i].Seq)
	}
	b.Changes[victim].After.EngineState = large('L')
	b.Steps[victim].Detail = large('S')
	b.Payloads[victim].Data = large('P')
	contact := list[victim].Contact
	contact.Metadata = large('C')
	b.Contacts = []store.Contact{contact}
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	closed(t, s)

	for _, c := range []struct {
		letter byte
		kind   string
		read   func(s *Store) ([]int64, error) // the leads of a list that has the row
	}{
		{'L', "lead", func(s *Store) ([]int64, error) {
			found, err := s.Due(t.Context(), store.Key{}, store.MaxMillis, leads)
			return numbersOf(found, func(r store.Record) int64 { return r.Seq }), err
		}},
		{'L', "lead", func(s *Store) ([]int64, error) {
			found, err := s.Sweep(t.Context(), store.LeadQuery{Workflow: records[0].Workflow})
			return numbersOf(found, func(r store.Record) int64 { return r.Seq }), err
		}},
		{'L', "lead", func(s *Store) ([]int64, error) {
			found, err := s.Load(t.Context(), seqs)
			return numbersOf(found, func(l store.Lead) int64 { return l.Seq }), err
		}},
		{'C', "lead", func(s *Store) ([]int64, error) {
			found, err := s.Load(t.Context(), seqs)
			return numbersOf(found, func(l store.Lead) int64 { return l.Seq }), err
		}},
		{'C', "contact", func(s *Store) ([]int64, error) {
			found, err := s.Contacts(t.Context(), seqs)
			return numbersOf(found, func(c store.Contact) int64 { return c.Seq }), err
		}},
		{'S', "step", func(s *Store) ([]int64, error) {
			found, err := s.Steps(t.Context(), steps)
			return numbersOf(found, func(step store.Step) int64 { return step.Lead }), err
		}},
		{'P', "payload", func(s *Store) ([]int64, error) {
			found, err := s.Payloads(t.Context(), seqs[victim], nil)
			return numbersOf(found, func(p store.Payload) int64 { return seqs[p.Visit] }), err
		}},
	} {
		copied := copyFile(t, path)
		breakChain(t, copied, c.letter)
		s, err := Open(t.Context(), copied, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.read(s)
		want := slices.Delete(slices.Clone(seqs), victim, victim+1)
		var bad store.RowErrors
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Kind != c.kind || !slices.Equal(got, want) {
			t.Errorf("a damaged %s: %d rows, %v", c.kind, len(got), err)
		} else if key := bad[0].Key; key != seqs[victim] && key != steps[victim] && key != victim {
			t.Errorf("a damaged %s: the error names %d: %v", c.kind, key, err)
		}
		if c.letter == 'L' { // nor does it end a page early
			const limit = victim + 3
			due, err := s.Due(t.Context(), store.Key{}, store.MaxMillis, limit)
			if !errors.As(err, &bad) || len(due) != limit || due[limit-1].Seq != seqs[limit] {
				t.Errorf("a page of %d leads, want %d: %v", len(due), limit, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
