package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// leadRow is a record without its number, Outcome and EngineState: the part that most
// steps change, 96 bytes without a pointer.
type leadRow struct {
	workflow, version               int64
	entered, due, started, deadline store.Millis
	wake, updated                   store.Millis
	lastStep                        int64
	node, visit, visits, attempt    int32
	state                           lead.State
	phase                           store.Phase
	there                           bool
}

// set copies everything but the workflow.
func (r *leadRow) set(from *store.Record) {
	r.version, r.state, r.phase = from.Version, from.State, from.Phase
	r.node, r.visit, r.visits, r.attempt = from.Node, from.Visit, from.Visits, from.Attempt
	r.entered, r.due, r.started, r.deadline = from.Entered, from.Due, from.Started, from.Deadline
	r.wake, r.lastStep, r.updated = from.Wake, from.LastStep, from.Updated
}

// leadTable has the rows by number, in runs of 256 rows, whose size is one of the
// allocator's size classes.
type leadTable struct{ runs []leadRun }

type leadRun struct {
	rows *[leadRunLen]leadRow // nil when there are none
	n    int                  // how many rows are in use
}

const leadRunLen = 256

// row returns the lead's row, or nil.
func (t *leadTable) row(seq int64) *leadRow {
	i := uint64(seq) / leadRunLen
	if i >= uint64(len(t.runs)) || t.runs[i].rows == nil {
		return nil
	}
	if row := &t.runs[i].rows[seq%leadRunLen]; row.there {
		return row
	}
	return nil
}

// after yields the rows with larger numbers, in order.
func (t *leadTable) after(seq int64) iter.Seq2[int64, *leadRow] {
	return func(yield func(int64, *leadRow) bool) {
		first := uint64(max(seq, 0)) + 1
		for i := first / leadRunLen; i < uint64(len(t.runs)); i++ {
			if t.runs[i].rows == nil {
				continue
			}
			for n := max(first, i*leadRunLen); n < (i+1)*leadRunLen; n++ {
				row := &t.runs[i].rows[n%leadRunLen]
				if row.there && !yield(int64(n), row) {
					return
				}
			}
		}
	}
}

// before yields the rows with smaller numbers, in descending order.
func (t *leadTable) before(seq int64) iter.Seq2[int64, *leadRow] {
	return func(yield func(int64, *leadRow) bool) {
		last := min(seq, int64(len(t.runs))*leadRunLen) - 1
		for i := last / leadRunLen; last >= 0 && i >= 0; i-- {
			if t.runs[i].rows == nil {
				continue
			}
			for n := min(last, (i+1)*leadRunLen-1); n >= i*leadRunLen; n-- {
				row := &t.runs[i].rows[n%leadRunLen]
				if row.there && !yield(n, row) {
					return
				}
			}
		}
	}
}

// among yields the rows that exist among seqs, in order.
func (t *leadTable) among(seqs []int64) iter.Seq2[int64, *leadRow] {
	return func(yield func(int64, *leadRow) bool) {
		for _, seq := range slices.Compact(slices.Sorted(slices.Values(seqs))) {
			if row := t.row(seq); row != nil && !yield(seq, row) {
				return
			}
		}
	}
}

// add returns a new row.
func (t *leadTable) add(seq int64) *leadRow {
	i := seq / leadRunLen
	for int64(len(t.runs)) <= i {
		t.runs = append(t.runs, leadRun{})
	}
	run := &t.runs[i]
	if run.rows == nil {
		run.rows = new([leadRunLen]leadRow)
	}
	run.n++
	row := &run.rows[seq%leadRunLen]
	row.there = true
	return row
}

// remove removes a row that exists.
func (t *leadTable) remove(seq int64) {
	run := &t.runs[seq/leadRunLen]
	run.rows[seq%leadRunLen] = leadRow{}
	if run.n--; run.n == 0 {
		run.rows = nil
	}
}

// record puts the parts of a record together.
func (c *contents) record(seq int64, r *leadRow) store.Record {
	out := store.Record{
		Seq: seq, Workflow: r.workflow, Version: r.version, State: r.state, Phase: r.phase,
		Node: r.node, Visit: r.visit, Visits: r.visits, Attempt: r.attempt,
		Entered: r.entered, Due: r.due, Started: r.started, Deadline: r.deadline,
		Wake: r.wake, LastStep: r.lastStep, Updated: r.updated,
	}
	if tail := c.tails.get(seq); tail != nil {
		d := decoder{tail}
		out.Outcome, out.EngineState = d.text(), d.blob()
	}
	return out
}

func (c *contents) putTail(r *store.Record) {
	if r.Outcome == "" && len(r.EngineState) == 0 {
		c.tails.drop(r.Seq)
		return
	}
	c.bytes = appendText(appendText(c.bytes[:0], r.Outcome), r.EngineState)
	c.tails.put(r.Seq, c.bytes)
}

// Load implements [store.LoopReader].
func (s *Store) Load(ctx context.Context, seqs []int64) (list []store.Lead, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read leads: %w", err)
	}
	defer s.stopReading()
	for seq, row := range c.leads.among(seqs) {
		list = append(list, store.Lead{Record: c.record(seq, row), Contact: c.contact(seq)})
	}
	return list, nil
}

// Contacts implements [store.LoopReader].
func (s *Store) Contacts(ctx context.Context, seqs []int64) (list []store.Contact, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read contacts: %w", err)
	}
	defer s.stopReading()
	for seq := range c.leads.among(seqs) {
		list = append(list, c.contact(seq))
	}
	return list, nil
}

// Lead implements [store.LeadReader].
func (s *Store) Lead(ctx context.Context, seq int64) (l store.Lead, err error) {
	c, err := s.startReading(ctx)
	if err == nil {
		defer s.stopReading()
		l, err = c.lead(seq)
	}
	if err != nil {
		return l, fmt.Errorf("memory: read lead %d: %w", seq, err)
	}
	return l, nil
}

func (c *contents) lead(seq int64) (store.Lead, error) {
	row := c.leads.row(seq)
	if row == nil {
		return store.Lead{}, store.ErrNotFound
	}
	return store.Lead{Record: c.record(seq, row), Contact: c.contact(seq)}, nil
}
