package store

import (
	"errors"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
)

// Suppression is a standing order not to contact a person, within a scope. The store
// keeps it for good: a suppression is lifted, never deleted.
type Suppression struct {
	Seq int64 // from Reserve(SuppressionSequence); its key
	ID  lead.SuppressionID

	// Who is suppressed: whoever has the phone, or the external id. One of them is set;
	// if both are, either is enough.
	Phone      int64  // see lead.PhoneDigits; 0 for none
	ExternalID string // "" for none

	Workflow int64  // 0 for all
	Channel  string // a type of node; "" for all
	Reason   string
	Actor    string
	Created  Millis
	Expires  Millis // from this moment on it is over; 0 for never

	Lifted     Millis // 0 if it is not lifted
	LiftedBy   string
	LiftReason string
}

// Active reports whether the suppression is in force: not lifted, and not expired.
func (s *Suppression) Active(now Millis) bool {
	return s.Lifted == 0 && (s.Expires == 0 || now < s.Expires)
}

// Holds reports whether the suppression is about the contact as a lead of the workflow. It
// does not look at Channel, nor whether the suppression is Active.
func (s *Suppression) Holds(c *Contact, workflow int64) bool {
	return (s.Workflow == 0 || s.Workflow == workflow) &&
		(s.Phone != 0 && s.Phone == c.Phone || s.ExternalID != "" && s.ExternalID == c.ExternalID)
}

// Check returns an error if the suppression is one that no store keeps.
func (s *Suppression) Check() error {
	if s.Phone == 0 && s.ExternalID == "" {
		return errors.New("a suppression needs a phone or an external id")
	}
	return nil
}

// SuppressedBy returns the numbers of those suppressions in the list that keep the lead
// from being enrolled, in order, each once.
func (e *Enrollment) SuppressedBy(list []Suppression) (seqs []int64) {
	for i := range list {
		s := &list[i]
		if s.Active(e.Contact.Enrolled) && s.Holds(&e.Contact, e.Record.Workflow) && !slices.Contains(e.Knows, s.Seq) {
			seqs = append(seqs, s.Seq)
		}
	}
	slices.Sort(seqs)
	return slices.Compact(seqs)
}

// SuppressionQuery selects suppressions that match all of its fields. Zero fields select
// all.
type SuppressionQuery struct {
	Seqs       []int64 // any of them; nil for all
	Phone      int64
	ExternalID string
	// Phones and ExternalIDs, unless both are nil, select those that are about any of the
	// phones or any of the external ids.
	Phones      []int64
	ExternalIDs []string
	Workflow    int64 // those of this workflow only, not those of all workflows
	Channel     string
	Active      Millis // those that are Active at that time
	Inactive    Millis // those that are not
	Newest      bool   // in descending order of Seq
	// After leaves out the suppressions up to and including this Seq in the order of the
	// query, as in LeadQuery.
	After int64
	Limit int // at most so many; 0 for all
}

// OfPersons reports whether Phones or ExternalIDs say whom the suppressions are about.
func (q *SuppressionQuery) OfPersons() bool { return q.Phones != nil || q.ExternalIDs != nil }

// Matches reports whether the suppression is one that the query selects, whatever its
// After and Limit, and its Seqs.
func (q *SuppressionQuery) Matches(s *Suppression) bool {
	return (!q.OfPersons() || slices.Contains(q.Phones, s.Phone) || s.ExternalID != "" && slices.Contains(q.ExternalIDs, s.ExternalID)) &&
		(q.Phone == 0 || s.Phone == q.Phone) &&
		(q.ExternalID == "" || s.ExternalID == q.ExternalID) &&
		(q.Workflow == 0 || s.Workflow == q.Workflow) &&
		(q.Channel == "" || s.Channel == q.Channel) &&
		(q.Active == 0 || s.Active(q.Active)) &&
		(q.Inactive == 0 || !s.Active(q.Inactive))
}
