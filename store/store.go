package store

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/lead"
)

// Store is all that an engine needs.
type Store interface {
	Writer
	LoopReader
	LeadReader
	HistoryReader
	CallReader
	WorkflowReader
	AuditReader
}

// Writer changes the store. Only one goroutine at a time calls Commit; Reserve
// may be called beside it, and does not wait for it.
type Writer interface {
	// Commit applies the batch, all of it or, when it returns an error, nothing.
	// When it returns nil the batch is durable. It reads the batch and keeps
	// nothing of it. ctx bounds waiting for the store, not the write itself.
	Commit(ctx context.Context, b *Batch) (Result, error)
	// Reserve hands out n sequence numbers: first, first+1, … Nobody has them
	// before or after while the store is open, and across restarts none that a
	// commit has used is handed out again, even when what carried it is forgotten.
	// Numbers that are never used leave gaps. The first number of all is 1.
	Reserve(ctx context.Context, kind Sequence, n int) (first int64, err error)
}

// Sequence is what numbers are reserved for.
type Sequence uint8

// The sequences.
const (
	LeadSequence Sequence = iota + 1
	StepSequence
	CallSequence
	WorkflowSequence
	SuppressionSequence
)

// Batch is a set of changes that become durable together. Within it workflows
// are written first, then changes of leads, enrollments, contacts, steps, calls
// and payloads, then what is to be forgotten, suppressions, starts, settings and the audit.
type Batch struct {
	Workflows []Workflow // inserted when Version is 1, else updated from Version-1
	Changes   []Change
	Enroll    []Enrollment
	// Contacts sets ExternalID, TimeZone and Metadata of contacts that exist; ID,
	// Phone and Enrolled stay as they are stored, whatever is said here. A contact
	// that does not exist is a *RowError.
	Contacts []Contact
	Steps    []Step
	Calls    []Call // inserted, or updated when the Seq is there already
	// Payloads are inserted, or replace the one of the same lead and visit; one
	// without Data deletes it. A payload of a lead that does not exist is a
	// *RowError, unless it is one to delete.
	Payloads []Payload
	Forget   []int64 // leads whose record, contact, steps and payloads are deleted
	// Suppressions are inserted or, when the Seq is there already, only their Lifted,
	// LiftedBy and LiftReason are set. They concern enrollments of later batches.
	Suppressions []Suppression
	// Starts are appended to the log of starts, and then ForgetStarts deletes older ones.
	// They belong to no lead, so they are written even when an enrollment is refused or a
	// change is left out.
	Starts       []Start
	ForgetStarts []ForgetStarts
	Settings     []Setting // inserted or replaced; one without a Value is deleted
	// Audit is appended to the audit trail, in this order. Commit gives out Seq and Hash,
	// whatever is said here.
	Audit []Audit
	// Ping has the store write something that changes nothing, so that a batch
	// with nothing else in it tells whether the store can commit.
	Ping  bool
	Share Share // for a Shared store
}

// Empty reports whether there is nothing in the batch.
func (b *Batch) Empty() bool {
	return len(b.Workflows) == 0 && len(b.Changes) == 0 && len(b.Enroll) == 0 &&
		len(b.Contacts) == 0 && len(b.Steps) == 0 && len(b.Calls) == 0 &&
		len(b.Payloads) == 0 && len(b.Forget) == 0 && len(b.Suppressions) == 0 && len(b.Starts) == 0 &&
		len(b.ForgetStarts) == 0 && len(b.Settings) == 0 && len(b.Audit) == 0 && !b.Ping && len(b.Share.Release) == 0 &&
		len(b.Share.Limits) == 0 && len(b.Share.ForgetLimits) == 0
}

// Change is a lead before and after. Before is what it was decided on: a stored
// version other than Before.Version is a conflict, and After.Version is the one
// that follows it. Seq and Workflow are the same in both. A lead has at most one
// Change in a batch.
type Change struct {
	Before, After Record
	// Repair: the stored row is damaged, and Before is only what could be read of it, in
	// which Seq, Workflow and Version are right. Every column is set from After, and what
	// the store derives from rows, such as counts, is derived anew.
	Repair bool
}

// Enrollment is a new lead. Its record may already be further on than
// enrolled; Version is 1. While the record is not final, no other lead of the
// same workflow can be enrolled with the same Phone, not even one that is final
// at once.
//
// Nor can a lead be enrolled whose Contact is suppressed: there is a suppression, stored
// before the batch, that Holds the Contact in the workflow, is Active at
// Contact.Enrolled, and is not among Knows.
type Enrollment struct {
	Record  Record
	Contact Contact
	// Knows are the numbers of suppressions that the record takes account of, such as
	// those of a channel. They do not keep the lead from being enrolled.
	Knows []int64
}

// Result is what a commit came to.
type Result struct {
	// Refused lists the enrollments that were left out, in the order of the
	// batch, with all steps, calls, payloads and audit entries of theirs.
	Refused []Refusal
	// Stale lists the leads whose changes were left out because they had another version
	// by then, in order, with all steps, calls, payloads and audit entries of theirs. Only
	// with Share.Partial.
	Stale []int64
}

// Refusal is an enrollment whose contact is suppressed or, if not, live already.
type Refusal struct {
	Index      int     // in Batch.Enroll
	Live       int64   // Seq of the lead that the contact has; 0 if it is suppressed
	Suppressed []int64 // Seqs of all suppressions that keep it out, in order
}

// LoopReader is what an engine reads for its own work. No other reader can hold
// it up: these methods wait for one another at most, whoever else is reading.
type LoopReader interface {
	// Load returns the leads that exist among seqs, whole, in order of Seq.
	Load(ctx context.Context, seqs []int64) ([]Lead, error)
	// Due returns records that are not final with after < Key and Wake <= until,
	// in the order of Key, at most limit of them.
	Due(ctx context.Context, after Key, until Millis, limit int) ([]Record, error)
	// Sweep returns the records of the leads that match q, as Leads does.
	Sweep(ctx context.Context, q LeadQuery) ([]Record, error)
	// Contacts returns the contacts that exist among seqs, in order of Seq.
	Contacts(ctx context.Context, seqs []int64) ([]Contact, error)
	// Steps returns the finished steps that exist among seqs, in order of Seq.
	Steps(ctx context.Context, seqs []int64) ([]Step, error)
	// Payloads returns the payloads of a lead that exist among visits, in order of
	// Visit; all of the lead's when visits is nil.
	Payloads(ctx context.Context, lead int64, visits []int32) ([]Payload, error)
	// Starts returns the starts that match q, in order of At, one for each At.
	Starts(ctx context.Context, q StartQuery) ([]Start, error)
	// Counts returns how many leads a workflow has in each state; states without
	// any are left out. It takes the same short time whatever the count.
	Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error)
	// Suppressions returns the suppressions that match q, in order of Seq.
	Suppressions(ctx context.Context, q SuppressionQuery) ([]Suppression, error)
	// Live returns the leads that match q and are not final, whole, in order of Seq. All
	// of them are of one moment.
	Live(ctx context.Context, q LiveQuery) ([]Lead, error)
}

// LeadReader reads leads for users.
type LeadReader interface {
	// Lead returns a lead whole, or ErrNotFound.
	Lead(ctx context.Context, seq int64) (Lead, error)
	// Leads returns the leads that match q, in order of Seq. All of them are of one
	// moment.
	Leads(ctx context.Context, q LeadQuery) ([]Lead, error)
	// CountLeads returns how many leads match q, whatever its After, Newest, Offset
	// and Limit.
	CountLeads(ctx context.Context, q LeadQuery) (int64, error)
	// NodeCounts returns how many leads a workflow has at each node in each state, in
	// order of node and state; those without any are left out. It takes the same short
	// time whatever the count.
	NodeCounts(ctx context.Context, workflow int64) ([]NodeCount, error)
	// Counts, Suppressions and Live are those of LoopReader.
	Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error)
	Suppressions(ctx context.Context, q SuppressionQuery) ([]Suppression, error)
	Live(ctx context.Context, q LiveQuery) ([]Lead, error)
}

// NodeCount is how many leads of a workflow are at a node, or were when they became final,
// in a state.
type NodeCount struct {
	Node  int32
	State lead.State
	N     int64
}

// Lead is a lead whole.
type Lead struct {
	Record
	Contact Contact
}

// LeadQuery selects leads of one workflow, or those of one contact. Zero fields
// select all, but see Workflow.
type LeadQuery struct {
	// Workflow is the workflow's number. Zero means all workflows, and then Phone or
	// ExternalID is needed: a query with none of the three is an error.
	Workflow   int64
	States     []lead.State // any of them; empty for all
	Node       *int32       // nil for all
	Phone      int64        // 0 for all
	ExternalID string       // "" for all
	Newest     bool         // in descending order of Seq
	// After leaves out the leads up to and including this Seq in the order of the
	// query: those with a smaller one, or with Newest those with a larger one. 0
	// leaves out none.
	After  int64
	Offset int // how many of the matches to pass over
	Limit  int // at most so many; 0 for all
}

// Check returns an error if the query is one that no store answers.
func (q *LeadQuery) Check() error {
	if q.Workflow == 0 && q.Phone == 0 && q.ExternalID == "" {
		return errors.New("a query for leads needs a workflow, a phone or an external id")
	}
	return nil
}

// HistoryReader reads what has been.
type HistoryReader interface {
	// History returns a lead whole, or ErrNotFound, its finished steps, oldest
	// first, and its payloads, in order of Visit, all as of one moment.
	History(ctx context.Context, seq int64) (Lead, []Step, []Payload, error)
}

// CallReader reads the call log.
type CallReader interface {
	// Calls returns the entries that match q, in order of Seq.
	Calls(ctx context.Context, q CallQuery) ([]Call, error)
}

// CallQuery selects entries of the call log. Zero fields select all.
type CallQuery struct {
	Workflow int64
	Lead     int64
	Phone    int64
	CallID   string
	Status   lead.StepStatus
	From, To Millis // From <= Started < To
	After    int64  // only entries with a larger Seq
	Limit    int    // at most so many; 0 for all
}

// WorkflowReader reads workflows and settings.
type WorkflowReader interface {
	// Workflows returns every workflow, deleted ones too, in order of Seq.
	Workflows(ctx context.Context) ([]Workflow, error)
	// Settings returns all settings, in order of Name.
	Settings(ctx context.Context) ([]Setting, error)
}

// LiveQuery selects the leads of any of the contacts, of which there may be thousands. A
// query without any selects none.
type LiveQuery struct {
	Phones      []int64
	ExternalIDs []string
	Workflow    int64 // 0 for all
}
