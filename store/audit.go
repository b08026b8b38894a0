package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
)

// Audit is an entry of the audit trail, which says who asked for what, when and why.
// Entries are never changed or deleted, not even when the lead is forgotten.
type Audit struct {
	// Seq is given by Commit. It rises by one from entry to entry, from 1, in the order of
	// the commits of all engines.
	Seq int64
	At  Millis

	Actor, Action, Reason string

	Phone       int64  // 0 for none
	ExternalID  string // "" for none
	Workflow    int64  // 0 for none
	Lead        int64  // 0 for none
	Suppression int64  // 0 for none
	Detail      []byte // a JSON object, or nil

	// Hash is given by Commit. It is AuditHash of the entry and the Hash of the entry
	// before; the first one follows a hash of zeros. So whoever keeps the latest Hash can
	// tell whether an entry was changed, left out or put in.
	Hash [32]byte
}

// AuditHash returns what the Hash of an entry must be, if prev is that of the entry
// before. It is SHA-256 over prev and the fields in the order of their declaration, but
// for Hash: an integer as 8 bytes, the highest first, and a text, and Detail, as its
// length in bytes, written as an integer is, and then its bytes.
func AuditHash(prev [32]byte, a *Audit) (hash [32]byte) {
	b := make([]byte, 0, 256+len(a.Detail))
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(s string) {
		number(int64(len(s)))
		b = append(b, s...)
	}
	b = append(b, prev[:]...)
	number(a.Seq)
	number(int64(a.At))
	text(a.Actor)
	text(a.Action)
	text(a.Reason)
	number(a.Phone)
	text(a.ExternalID)
	number(a.Workflow)
	number(a.Lead)
	number(a.Suppression)
	number(int64(len(a.Detail)))
	b = append(b, a.Detail...)
	return sha256.Sum256(b)
}

// Chain gives out the Seq and the Hash of entries that follow the one with the number seq
// and the hash prev.
func Chain(seq int64, prev [32]byte, list []Audit) {
	for i := range list {
		seq++
		list[i].Seq = seq
		list[i].Hash = AuditHash(prev, &list[i])
		prev = list[i].Hash
	}
}

// AuditReader reads the audit trail.
type AuditReader interface {
	// Audits returns the entries that match q, in order of Seq.
	Audits(ctx context.Context, q AuditQuery) ([]Audit, error)
}

// AuditQuery selects entries that match all of its fields. Zero fields select all.
type AuditQuery struct {
	Phone      int64
	ExternalID string
	Workflow   int64
	Lead       int64
	Actor      string
	From, To   Millis // From <= At < To
	Newest     bool   // in descending order of Seq
	// After leaves out the entries up to and including this Seq in the order of the
	// query, as in LeadQuery.
	After int64
	Limit int // at most so many; 0 for all
}

// Matches reports whether the entry is one that the query selects, whatever its After and
// Limit.
func (q *AuditQuery) Matches(a *Audit) bool {
	return (q.Phone == 0 || a.Phone == q.Phone) &&
		(q.ExternalID == "" || a.ExternalID == q.ExternalID) &&
		(q.Workflow == 0 || a.Workflow == q.Workflow) &&
		(q.Lead == 0 || a.Lead == q.Lead) &&
		(q.Actor == "" || a.Actor == q.Actor) &&
		(q.From == 0 || a.At >= q.From) &&
		(q.To == 0 || a.At < q.To)
}
