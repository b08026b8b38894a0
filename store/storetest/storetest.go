package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Factory makes the stores under test. Its functions end the test when they fail.
type Factory struct {
	// Open returns a new, empty store, which ends with the test.
	Open func(t *testing.T) store.Store
	// Reopen closes a store that Open or Reopen returned, as the end of its process
	// would, and opens it again as the next process does. Nil for a store that keeps
	// nothing.
	Reopen func(t *testing.T, s store.Store) store.Store
}

// Run runs the suite. Each rule is a subtest with a store of its own.
func Run(t *testing.T, f Factory) {
	for _, rule := range []struct {
		name string
		test func(*suite)
	}{
		{"an empty store answers every question", emptyStore},
		{"every field comes back as it went", everyField},
		{"an empty batch and a probe change nothing", emptyBatch},
		{"a batch with a conflict in the middle leaves nothing", conflictLeavesNothing},
		{"a batch with a stale workflow leaves nothing", workflowConflict},
		{"a batch with a fault leaves nothing", faultsLeaveNothing},
		{"a workflow may change more than once in a batch", workflowTwice},
		{"a stale version is a conflict that names the lead", staleVersion},
		{"a done context refuses the batch or lets it through whole", doneContext},
		{"the batch is not touched", batchUntouched},
		{"nothing given or got is shared with the store", nothingShared},
		{"large values come back as they went", largeValues},
		{"batches may be large and numbers have gaps", manyLeads},
		{"what was reserved first may come last", lateNumbers},
		{"a store that was closed refuses everything", closedStore},
		{"two stores know nothing of each other", twoStores},

		{"a live contact is not enrolled again", refuseStored},
		{"a contact twice in a batch is enrolled once", refuseInBatch},
		{"a refused lead leaves no step, call or payload", refusedLeavesNothing},
		{"a contact is welcome in another workflow", otherWorkflow},
		{"a contact is welcome again after its lead is final", welcomeAfterFinal},
		{"a contact is welcome again in the batch that makes its lead final", welcomeInBatch},
		{"a lead that is final at enrollment is not live", enrollFinal},
		{"the end of an old lead does not free its contact's new lead", oldEndKeepsNew},

		{"a suppressed contact is not enrolled", suppressedRefused},
		{"suppressions by external id alone keep a contact out", suppressedByIDAlone},
		{"a contact that is suppressed and live is refused as suppressed", suppressedBeforeLive},
		{"a suppression holds in its workflow, and whatever its channel, unless the lead knows it", suppressedScope},
		{"a suppression holds until it expires or is lifted", suppressedWhile},
		{"a suppression does not concern enrollments of its own batch", suppressedAfterBatch},
		{"a suppressed contact leaves nothing and is not live", suppressedLeavesNothing},
		{"suppressions come in order and match each filter", suppressionFilters},
		{"suppressions may be many", manySuppressions},
		{"live leads are found by phone and external id", liveLookUps},

		{"the audit trail is a chain", auditChain},
		{"the hash of an audit entry covers all of it", auditHash},
		{"audit entries come in order and match each filter", auditFilters},
		{"starts are kept and add up", startsKept},
		{"starts are forgotten before a moment", startsForgotten},
		{"starts are kept whatever a batch leaves out", startsWithRefusals},
		{"starts may be many", manyStarts},
		{"settings are written, replaced and deleted", settingUpdate},

		{"leads come in order and match each filter", leadFilters},
		{"pages by After cover each lead once", pagesByAfter},
		{"pages by Offset cover each lead once", pagesByOffset},
		{"counts follow every change", countsFollow},
		{"counts by node follow every change", nodeCountsFollow},
		{"leads of one contact are found in all workflows", contactQueries},
		{"leads and contacts come in order of number", loadInOrder},
		{"steps come in order of number", stepsInOrder},
		{"due is in order of wake and number, after and until", dueOrder},
		{"due in pages covers each lead once among equal wakes", duePages},
		{"a final lead is not due", finalNotDue},

		{"history is oldest first and only the lead's own", historyOrder},
		{"history and lead are of one moment", historySnapshot},
		{"calls are inserted, then updated", callUpdate},
		{"calls match each filter", callFilters},
		{"contacts change but for what they are known by", contactUpdate},
		{"payloads are written, replaced and deleted", payloadUpdate},
		{"calls outlive their lead", callOutlives},
		{"deleted workflows stay listed", deletedWorkflow},
		{"forgetting removes all but the calls", forgetLeads},
		{"forgetting frees the contact", forgetFrees},
		{"reserve never hands out a number twice", reserveOnce},
		{"reserve goes on beside commits", reserveBeside},
		{"readers see whole batches only", wholeBatches},
		{"a random walk agrees with the model", randomWalk},
	} {
		t.Run(rule.name, func(t *testing.T) {
			rule.test(&suite{T: t, factory: f, Store: f.Open(t), ctx: t.Context()})
		})
	}
}

// suite is a test and its store, with helpers that all tests use.
type suite struct {
	*testing.T
	store.Store
	factory Factory
	ctx     context.Context
	phones  int64
}

// reopen reopens the store, if the factory can.
func (s *suite) reopen() {
	if s.factory.Reopen != nil {
		s.Store = s.factory.Reopen(s.T, s.Store)
	}
}

// start is the moment at which the tests begin.
const start store.Millis = 1_700_000_000_000

var base = start.Time()

func (s *suite) next(kind store.Sequence) int64 {
	s.Helper()
	seq, err := s.Reserve(s.ctx, kind, 1)
	s.check(err)
	return seq
}

func (s *suite) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// must commits and allows no refusal.
func (s *suite) must(b store.Batch) {
	s.Helper()
	if r := s.commit(b); len(r.Refused) > 0 {
		s.Fatalf("refused: %+v", r.Refused)
	}
}

func (s *suite) commit(b store.Batch) store.Result {
	s.Helper()
	r, err := s.Commit(s.ctx, &b)
	s.check(err)
	return r
}

// conflict commits a batch that must be refused because of the record.
func (s *suite) conflict(b store.Batch, kind string, seq int64) {
	s.Helper()
	_, err := s.Commit(s.ctx, &b)
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, store.ErrConflict) {
		s.Fatalf("got error %v, want a conflict of %s %d", err, kind, seq)
	}
	equal(s, "conflict", *conflict, store.ConflictError{Kind: kind, Seq: seq})
}

// equal compares; nil and empty are the same to a store.
func equal[T any](s *suite, what string, got, want T) {
	s.Helper()
	if reflect.DeepEqual(got, want) { // ten times faster than cmp, and usually true
		return
	}
	if diff := cmp.Diff(want, got, exactly); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var exactly = cmp.Options{cmpopts.EquateEmpty(), long[[]byte](), long[string]()}

// long compares long values by their hashes: comparing them byte by byte, as cmp does,
// takes minutes, and printing them does not help.
func long[T string | []byte]() cmp.Option {
	return cmp.FilterValues(func(a, b T) bool { return len(a)+len(b) > 4000 },
		cmp.Transformer("long", func(value T) string {
			return fmt.Sprintf("%d bytes with the sum %x", len(value), sha256.Sum256([]byte(value)))
		}))
}

func (s *suite) newWorkflow() store.Workflow {
	s.Helper()
	id, err := lead.NewWorkflowID()
	s.check(err)
	return store.Workflow{
		Seq: s.next(store.WorkflowSequence), ID: id, Version: 1, Status: lead.WorkflowActive,
		Name: "Réactivation", Definition: []byte(`{"nodes":[]}`), Created: start, Updated: start,
	}
}

// newLead is a lead at its first node, due immediately, with a phone of its own.
func (s *suite) newLead(workflow int64) store.Enrollment {
	s.Helper()
	s.phones++
	return s.newLeadOf(workflow, 14155550000+s.phones)
}

func (s *suite) newLeadOf(workflow, phone int64) store.Enrollment {
	s.Helper()
	seq := s.next(store.LeadSequence)
	id, err := lead.NewID(base, seq)
	s.check(err)
	return store.Enrollment{
		Record: store.Record{
			Seq: seq, Workflow: workflow, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting,
			Visit: 1, Visits: 1, Entered: start, Due: start, Wake: start, Updated: start,
		},
		Contact: store.Contact{Seq: seq, ID: id, Phone: phone, Enrolled: start},
	}
}

// enrolled commits n new leads of one new workflow.
func (s *suite) enrolled(n int) (workflow int64, leads []store.Lead) {
	s.Helper()
	w := s.newWorkflow()
	b := store.Batch{Workflows: []store.Workflow{w}}
	for range n {
		e := s.newLead(w.Seq)
		b.Enroll = append(b.Enroll, e)
		leads = append(leads, entryOf(e))
	}
	s.must(b)
	return w.Seq, leads
}

func entryOf(e store.Enrollment) store.Lead {
	return store.Lead{Record: e.Record, Contact: e.Contact}
}

// changeOf is the lead's next version, as edit makes it.
func changeOf(r store.Record, edit func(*store.Record)) store.Change {
	after := r
	after.Version++
	after.Updated += 1000
	edit(&after)
	return store.Change{Before: r, After: after}
}

func finish(r store.Record) store.Change {
	return changeOf(r, func(r *store.Record) {
		r.State, r.Phase, r.Wake, r.Due, r.Outcome = lead.Completed, store.PhaseEnded, 0, 0, "converted"
	})
}

// stepOf is a step of the lead and the change that ends it and enters the next.
func (s *suite) stepOf(r store.Record) (store.Change, store.Step) {
	s.Helper()
	step := store.Step{
		Seq: s.next(store.StepSequence), Prev: r.LastStep, Lead: r.Seq, Visit: r.Visit, Node: r.Node,
		Status: lead.StepCompleted, Attempts: 1, Entered: r.Entered, Due: r.Due, Started: r.Entered,
		Exited: r.Updated + 1000, Outcome: "answered",
	}
	return changeOf(r, func(r *store.Record) {
		r.Node, r.Visit, r.Visits, r.LastStep, r.Entered = r.Node+1, r.Visit+1, r.Visits+1, step.Seq, step.Exited
	}), step
}

func (s *suite) callOf(e store.Lead) store.Call {
	s.Helper()
	return store.Call{
		Seq: s.next(store.CallSequence), Lead: e.Seq, Workflow: e.Workflow, Visit: e.Visit, Entered: e.Record.Entered,
		Attempt: 1, NodeID: "call", Status: lead.StepInProgress, Started: e.Updated, CallID: "CA1",
	}
}

// contents is everything that can be read from a store.
type contents struct {
	Workflows []store.Workflow
	Leads     map[int64][]store.Lead // by workflow
	Counts    map[int64]map[lead.State]int64
	Steps     map[int64][]store.Step // by lead
	Payloads  map[int64][]store.Payload
	Due       []store.Record
	Calls     []store.Call

	Suppressions []store.Suppression
	Audit        []store.Audit
	Settings     []store.Setting
	Starts       []store.Start // of walkedStarts
}

func (s *suite) contents() contents {
	s.Helper()
	c := contents{
		Leads: map[int64][]store.Lead{}, Counts: map[int64]map[lead.State]int64{}, Steps: map[int64][]store.Step{},
		Payloads: map[int64][]store.Payload{},
	}
	var err error
	c.Workflows, err = s.Workflows(s.ctx)
	s.check(err)
	c.Calls, err = s.Calls(s.ctx, store.CallQuery{})
	s.check(err)
	c.Due, err = s.Due(s.ctx, store.Key{}, store.MaxMillis, 1_000_000)
	s.check(err)
	c.Suppressions, err = s.Suppressions(s.ctx, store.SuppressionQuery{})
	s.check(err)
	c.Audit, err = s.Audits(s.ctx, store.AuditQuery{})
	s.check(err)
	c.Settings, err = s.Settings(s.ctx)
	s.check(err)
	for _, q := range walkedStarts {
		starts, err := s.Starts(s.ctx, q)
		s.check(err)
		c.Starts = append(c.Starts, starts...)
	}
	for _, w := range c.Workflows {
		leads, err := s.Leads(s.ctx, store.LeadQuery{Workflow: w.Seq})
		s.check(err)
		counts, err := s.Counts(s.ctx, w.Seq)
		s.check(err)
		if len(leads) > 0 {
			c.Leads[w.Seq] = leads
		}
		if len(counts) > 0 {
			c.Counts[w.Seq] = counts
		}
		for _, l := range leads {
			entry, steps, payloads, err := s.History(s.ctx, l.Seq)
			s.check(err)
			equal(s, "lead of the history", entry, l)
			some, err := s.Payloads(s.ctx, l.Seq, nil)
			s.check(err)
			equal(s, "payloads of the history", payloads, some)
			if len(payloads) > 0 {
				c.Payloads[l.Seq] = payloads
			}
			if len(steps) > 0 {
				c.Steps[l.Seq] = steps
			}
		}
	}
	return c
}

func seqsOf(leads []store.Lead) []int64 {
	var seqs []int64
	for _, l := range leads {
		seqs = append(seqs, l.Seq)
	}
	return seqs
}

// deadline bounds the tests that wait for other goroutines.
const deadline = time.Minute
