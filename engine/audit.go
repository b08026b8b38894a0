package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// AuditEntry says who asked for what, when and why. Entries are written in the commit that
// makes the change, and never changed or deleted.
//
// The actions are suppression.added and suppression.lifted; lead.removal_requested,
// lead.held, lead.released, lead.signalled and lead.updated; workflow.created,
// workflow.updated, workflow.activated, workflow.paused, workflow.resumed,
// workflow.completed, workflow.cancelled and workflow.deleted; and limits.changed. A
// workflow that is cancelled removes its leads without an entry for each. What is done by
// the thousand without an order is not in the trail: enrollments, steps and callbacks,
// which the history and the call log have, and CoolDown. RemoveTx has no entry either,
// because the trail would be locked until the program's transaction ends; who asked for it
// and why is on record with the lead.
type AuditEntry struct {
	Seq    int64     `json:"seq"` // counts the entries, from 1
	At     time.Time `json:"at"`
	Actor  string    `json:"actor,omitempty"`
	Action string    `json:"action"`
	Reason string    `json:"reason,omitempty"`

	PhoneNumber string          `json:"phone_number,omitempty"`
	ExternalID  string          `json:"external_id,omitempty"`
	WorkflowID  lead.WorkflowID `json:"workflow_id,omitzero"`
	LeadID      lead.ID         `json:"lead_id,omitzero"` // zero if the lead was deleted with its workflow
	// Detail says more, as a JSON object; nil for none. It depends on the Action: the
	// fields that an update names, the workflow of which another one is a copy, the new
	// limits.
	Detail json.RawMessage `json:"detail,omitempty"`
	// Hash is SHA-256 over the hash of the entry before and all fields of this one; see
	// store.AuditHash.
	Hash [32]byte `json:"-"`
}

// AuditFilter selects entries of the audit trail: those that match every field that is
// set. The zero value selects all.
type AuditFilter struct {
	PhoneNumber string // as Enroll would read it
	WorkflowID  lead.WorkflowID
	LeadID      lead.ID
	Actor       string    // exactly this
	From, To    time.Time // From <= At < To

	Newest bool  // the newest first
	After  int64 // only entries after the one with this Seq, in the order of the list
	Limit  int   // at most this many; 0 for all
}

// Audit returns the entries of the audit trail that match, the oldest first, or with
// Newest the newest first. An invalid filter is a *lead.InvalidError. An unknown workflow
// or lead has no entries, which is no error.
func (e *Engine) Audit(ctx context.Context, filter AuditFilter) ([]AuditEntry, error) {
	faults := filterFaults{}
	q := store.AuditQuery{
		Phone: faults.phone(filter.PhoneNumber, e.config.Region), Lead: filter.LeadID.Seq(), Actor: faults.text("actor", filter.Actor),
		From: store.MillisOf(filter.From), To: store.MillisOf(filter.To), Newest: filter.Newest, After: filter.After, Limit: filter.Limit,
	}
	faults.notNegative("limit", filter.Limit)
	if err := faults.err(); err != nil {
		return nil, err
	}
	if err := e.run.Current(); err != nil {
		return nil, e.why(err)
	}
	if !filter.WorkflowID.IsZero() {
		seq, ok := e.run.SeqOf(filter.WorkflowID) // a deleted one too
		if !ok {
			return []AuditEntry{}, nil
		}
		q.Workflow = seq
	}
	rows, err := e.store.Audits(ctx, q)
	if err != nil {
		return nil, run.ReadFailed(err)
	}
	return e.viewAudit(ctx, rows)
}

func (e *Engine) viewAudit(ctx context.Context, rows []store.Audit) ([]AuditEntry, error) {
	var seqs []int64
	for _, a := range rows {
		if a.Lead != 0 {
			seqs = append(seqs, a.Lead)
		}
	}
	ids, err := e.run.LeadIDs(ctx, seqs)
	if err != nil {
		return nil, err
	}
	out := make([]AuditEntry, len(rows))
	for i, a := range rows {
		out[i] = AuditEntry{
			Seq: a.Seq, At: a.At.Time(), Actor: a.Actor, Action: a.Action, Reason: a.Reason, ExternalID: a.ExternalID,
			LeadID: ids[a.Lead], Detail: a.Detail, Hash: a.Hash,
		}
		if a.Phone != 0 {
			out[i].PhoneNumber = lead.PhoneFromDigits(a.Phone)
		}
		if a.Workflow != 0 {
			out[i].WorkflowID = e.run.WorkflowID(a.Workflow)
		}
	}
	return out, nil
}

// AllAudit iterates over the entries that match, in constant memory. An error ends the
// iteration; errors are those of Audit.
func (e *Engine) AllAudit(ctx context.Context, filter AuditFilter) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		filter, left := filter, filter.Limit // an iterator may be used again
		limited := left != 0
		for {
			if filter.Limit = pageSize; limited {
				filter.Limit = min(left, pageSize)
			}
			page, err := e.Audit(ctx, filter)
			if err != nil {
				yield(AuditEntry{}, err)
				return
			}
			for _, a := range page {
				if !yield(a, nil) {
					return
				}
			}
			if left -= len(page); len(page) < filter.Limit || limited && left == 0 {
				return
			}
			filter.After = page[len(page)-1].Seq
		}
	}
}

// AuditProof is the result of VerifyAudit.
type AuditProof struct {
	Entries int64
	// Last is the hash of the last entry. Whoever keeps it can tell later whether any
	// entry up to it was changed.
	Last [32]byte
}

// AuditError says that the audit trail was changed.
type AuditError struct {
	Seq int64 // the first entry that does not fit those before it
}

func (e *AuditError) Error() string {
	return fmt.Sprintf("engine: the audit trail was changed: entry %d does not fit the entries before it", e.Seq)
}

// VerifyAudit computes the hashes of the whole audit trail anew, in constant memory. If an
// entry was changed, left out or put in, the error is an *AuditError. It cannot tell that
// the last entries were cut off: compare AuditProof with one that was kept.
func (e *Engine) VerifyAudit(ctx context.Context) (AuditProof, error) {
	var proof AuditProof
	for {
		rows, err := e.store.Audits(ctx, store.AuditQuery{After: proof.Entries, Limit: pageSize})
		if err != nil {
			return proof, run.ReadFailed(err)
		}
		for i := range rows {
			a := &rows[i]
			if a.Seq != proof.Entries+1 || store.AuditHash(proof.Last, a) != a.Hash {
				return proof, &AuditError{Seq: a.Seq}
			}
			proof.Entries, proof.Last = a.Seq, a.Hash
		}
		if len(rows) < pageSize {
			return proof, nil
		}
	}
}
