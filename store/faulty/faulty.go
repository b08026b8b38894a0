package faulty

import (
	"context"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Method is the name of a method of a store.
type Method string

// The methods.
const (
	Commit     Method = "Commit"
	Reserve    Method = "Reserve"
	Load       Method = "Load"
	Due        Method = "Due"
	Sweep      Method = "Sweep"
	Contacts   Method = "Contacts"
	Steps      Method = "Steps"
	Payloads   Method = "Payloads"
	Lead       Method = "Lead"
	Leads      Method = "Leads"
	CountLeads Method = "CountLeads"
	Counts     Method = "Counts"
	NodeCounts Method = "NodeCounts"
	History    Method = "History"
	Calls      Method = "Calls"
	Workflows  Method = "Workflows"

	Starts       Method = "Starts"
	Suppressions Method = "Suppressions"
	Live         Method = "Live"
	Audits       Method = "Audits"
	Settings     Method = "Settings"
)

// Always, as Fault.Times, means that the fault hits any number of calls.
const Always = -1

// Fault says which calls are hit, and what happens to them. The zero value hits one
// call, the next, and does nothing to it.
type Fault struct {
	Method Method                    // only calls of this method; "" for all methods
	If     func(b *store.Batch) bool // only commits for which it returns true; it must not call the Store
	Nth    int                       // the first matching call that is hit, from 1; 0 means 1
	Every  int                       // after that, every Every-th matching call; 0 means every one
	Times  int                       // how many calls are hit, or Always; 0 means 1

	Delay time.Duration   // the call waits this long, in real time (see the package comment)
	Until <-chan struct{} // then until this channel is closed
	Err   error           // then fails with this error; nil lets the call go on
}

// LeadConflict is the error of a commit that is based on a stale version of the lead
// with that number.
func LeadConflict(seq int64) error { return &store.ConflictError{Kind: "lead", Seq: seq} }

// WorkflowConflict is the error of a commit that is based on a stale version of the
// workflow with that number.
func WorkflowConflict(seq int64) error { return &store.ConflictError{Kind: "workflow", Seq: seq} }

// Store is a [store.Store] that passes calls to another one, unless a fault hits them.
// It is safe for concurrent use, as far as the other store is.
type Store struct {
	store store.Store

	mu     sync.Mutex // guards what follows
	faults []*injected
	calls  map[Method]int
}

// injected is a fault and its counts of calls.
type injected struct {
	Fault
	met, hit int
}

var _ store.Store = (*Store)(nil)

// New returns a store that wraps s and has no faults yet.
func New(s store.Store) *Store { return &Store{store: s, calls: map[Method]int{}} }

// Inject adds faults, which count calls from now on. A call that several faults hit
// waits for all of them, and fails with the error of the first that has one. A call
// whose ctx ends while it waits fails with ctx's cause.
func (s *Store) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &injected{Fault: f})
	}
}

// Clear removes all faults. A call that is waiting goes on waiting.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Count returns how often a method was called, calls that were hit included; "" counts
// the calls of all methods.
func (s *Store) Count(m Method) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[m]
}

// meet counts a call and applies the faults that hit it. b is nil unless it is a commit.
func (s *Store) meet(ctx context.Context, m Method, b *store.Batch) error {
	s.mu.Lock()
	s.calls[m]++
	s.calls[""]++
	var hits []Fault
	for _, f := range s.faults {
		if f.meets(m, b) {
			hits = append(hits, f.Fault)
		}
	}
	s.mu.Unlock()
	for _, f := range hits {
		if f.Delay > 0 {
			select {
			case <-time.After(f.Delay):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if f.Until != nil {
			select {
			case <-f.Until:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	for _, f := range hits {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}

// meets counts a call and reports whether it is hit.
func (f *injected) meets(m Method, b *store.Batch) bool {
	if f.Method != "" && f.Method != m || f.If != nil && (b == nil || !f.If(b)) {
		return false
	}
	f.met++
	if f.Times != Always && f.hit == max(1, f.Times) || f.met < f.Nth || (f.met-max(1, f.Nth))%max(1, f.Every) != 0 {
		return false
	}
	f.hit++
	return true
}

// Commit implements [store.Writer].
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if err := s.meet(ctx, Commit, b); err != nil {
		return store.Result{}, err
	}
	return s.store.Commit(ctx, b)
}

// Reserve implements [store.Writer].
func (s *Store) Reserve(ctx context.Context, kind store.Sequence, n int) (first int64, err error) {
	if err := s.meet(ctx, Reserve, nil); err != nil {
		return 0, err
	}
	return s.store.Reserve(ctx, kind, n)
}

// Load implements [store.LoopReader].
func (s *Store) Load(ctx context.Context, seqs []int64) ([]store.Lead, error) {
	if err := s.meet(ctx, Load, nil); err != nil {
		return nil, err
	}
	return s.store.Load(ctx, seqs)
}

// Due implements [store.LoopReader].
func (s *Store) Due(ctx context.Context, after store.Key, until store.Millis, limit int) ([]store.Record, error) {
	if err := s.meet(ctx, Due, nil); err != nil {
		return nil, err
	}
	return s.store.Due(ctx, after, until, limit)
}

// Sweep implements [store.LoopReader].
func (s *Store) Sweep(ctx context.Context, q store.LeadQuery) ([]store.Record, error) {
	if err := s.meet(ctx, Sweep, nil); err != nil {
		return nil, err
	}
	return s.store.Sweep(ctx, q)
}

// Contacts implements [store.LoopReader].
func (s *Store) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	if err := s.meet(ctx, Contacts, nil); err != nil {
		return nil, err
	}
	return s.store.Contacts(ctx, seqs)
}

// Steps implements [store.LoopReader].
func (s *Store) Steps(ctx context.Context, seqs []int64) ([]store.Step, error) {
	if err := s.meet(ctx, Steps, nil); err != nil {
		return nil, err
	}
	return s.store.Steps(ctx, seqs)
}

// Payloads implements [store.LoopReader].
func (s *Store) Payloads(ctx context.Context, lead int64, visits []int32) ([]store.Payload, error) {
	if err := s.meet(ctx, Payloads, nil); err != nil {
		return nil, err
	}
	return s.store.Payloads(ctx, lead, visits)
}

// Lead implements [store.LeadReader].
func (s *Store) Lead(ctx context.Context, seq int64) (store.Lead, error) {
	if err := s.meet(ctx, Lead, nil); err != nil {
		return store.Lead{}, err
	}
	return s.store.Lead(ctx, seq)
}

// Leads implements [store.LeadReader].
func (s *Store) Leads(ctx context.Context, q store.LeadQuery) ([]store.Lead, error) {
	if err := s.meet(ctx, Leads, nil); err != nil {
		return nil, err
	}
	return s.store.Leads(ctx, q)
}

// CountLeads implements [store.LeadReader].
func (s *Store) CountLeads(ctx context.Context, q store.LeadQuery) (int64, error) {
	if err := s.meet(ctx, CountLeads, nil); err != nil {
		return 0, err
	}
	return s.store.CountLeads(ctx, q)
}

// Counts implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	if err := s.meet(ctx, Counts, nil); err != nil {
		return nil, err
	}
	return s.store.Counts(ctx, workflow)
}

// NodeCounts implements [store.LeadReader].
func (s *Store) NodeCounts(ctx context.Context, workflow int64) ([]store.NodeCount, error) {
	if err := s.meet(ctx, NodeCounts, nil); err != nil {
		return nil, err
	}
	return s.store.NodeCounts(ctx, workflow)
}

// History implements [store.HistoryReader].
func (s *Store) History(ctx context.Context, seq int64) (store.Lead, []store.Step, []store.Payload, error) {
	if err := s.meet(ctx, History, nil); err != nil {
		return store.Lead{}, nil, nil, err
	}
	return s.store.History(ctx, seq)
}

// Calls implements [store.CallReader].
func (s *Store) Calls(ctx context.Context, q store.CallQuery) ([]store.Call, error) {
	if err := s.meet(ctx, Calls, nil); err != nil {
		return nil, err
	}
	return s.store.Calls(ctx, q)
}

// Workflows implements [store.WorkflowReader].
func (s *Store) Workflows(ctx context.Context) ([]store.Workflow, error) {
	if err := s.meet(ctx, Workflows, nil); err != nil {
		return nil, err
	}
	return s.store.Workflows(ctx)
}

// Starts implements [store.LoopReader].
func (s *Store) Starts(ctx context.Context, q store.StartQuery) ([]store.Start, error) {
	if err := s.meet(ctx, Starts, nil); err != nil {
		return nil, err
	}
	return s.store.Starts(ctx, q)
}

// Suppressions implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Suppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	if err := s.meet(ctx, Suppressions, nil); err != nil {
		return nil, err
	}
	return s.store.Suppressions(ctx, q)
}

// Live implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Live(ctx context.Context, q store.LiveQuery) ([]store.Lead, error) {
	if err := s.meet(ctx, Live, nil); err != nil {
		return nil, err
	}
	return s.store.Live(ctx, q)
}

// Audits implements [store.AuditReader].
func (s *Store) Audits(ctx context.Context, q store.AuditQuery) ([]store.Audit, error) {
	if err := s.meet(ctx, Audits, nil); err != nil {
		return nil, err
	}
	return s.store.Audits(ctx, q)
}

// Settings implements [store.WorkflowReader].
func (s *Store) Settings(ctx context.Context) ([]store.Setting, error) {
	if err := s.meet(ctx, Settings, nil); err != nil {
		return nil, err
	}
	return s.store.Settings(ctx)
}
