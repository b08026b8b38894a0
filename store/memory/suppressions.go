package memory

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// putSuppression writes a new suppression, or lifts one that is there.
func (c *contents) putSuppression(from *store.Suppression) {
	s := *from
	if old := c.suppressions.get(s.Seq); old != nil {
		s = suppressionOf(s.Seq, old)
		s.Lifted, s.LiftedBy, s.LiftReason = from.Lifted, from.LiftedBy, from.LiftReason
	} else {
		if s.Phone != 0 {
			c.suppressed.phones.add(s.Phone, s.Seq)
		}
		if s.ExternalID != "" {
			c.suppressed.externalIDs.add(s.ExternalID, s.Seq)
		}
	}
	b := append(c.bytes[:0], s.ID[:]...)
	b = appendInts(b, s.Phone, s.Workflow, int64(s.Created), int64(s.Expires), int64(s.Lifted))
	for _, text := range []string{s.ExternalID, s.Channel, s.Reason, s.Actor, s.LiftedBy, s.LiftReason} {
		b = appendText(b, text)
	}
	c.bytes = b
	c.suppressions.put(s.Seq, b)
}

func suppressionOf(seq int64, entry []byte) store.Suppression {
	d := decoder{entry}
	s := store.Suppression{Seq: seq}
	copy(s.ID[:], d.raw(len(s.ID)))
	s.Phone, s.Workflow = d.int(), d.int()
	s.Created, s.Expires, s.Lifted = store.Millis(d.int()), store.Millis(d.int()), store.Millis(d.int())
	s.ExternalID, s.Channel, s.Reason, s.Actor = d.text(), d.text(), d.text(), d.text()
	s.LiftedBy, s.LiftReason = d.text(), d.text()
	return s
}

// suppressionsOf returns the suppressions of whoever has the contact's phone or external
// id.
func (c *contents) suppressionsOf(contact *store.Contact) (list []store.Suppression) {
	if len(c.suppressions.runs) == 0 {
		return nil
	}
	for seq := range c.suppressed.phones.rows(contact.Phone) {
		list = append(list, suppressionOf(seq, c.suppressions.get(seq)))
	}
	for seq := range c.suppressed.externalIDs.rows(contact.ExternalID) {
		list = append(list, suppressionOf(seq, c.suppressions.get(seq)))
	}
	return list
}

// Suppressions implements [store.LoopReader] and [store.LeadReader]. Without Seqs, Phone
// and ExternalID it scans all suppressions after After until it has found Limit of them.
func (s *Store) Suppressions(ctx context.Context, q store.SuppressionQuery) (list []store.Suppression, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read suppressions: %w", err)
	}
	defer s.stopReading()
	behind := q.After
	if q.Newest && behind == 0 {
		behind = math.MaxInt64
	}
	var among iter.Seq2[int64, []byte]
	switch {
	case q.Seqs != nil:
		among = c.suppressions.among(q.Seqs, q.Newest)
	case q.OfPersons():
		var seqs []int64
		for _, phone := range q.Phones {
			seqs = slices.AppendSeq(seqs, c.suppressed.phones.rows(phone))
		}
		for _, id := range q.ExternalIDs {
			seqs = slices.AppendSeq(seqs, c.suppressed.externalIDs.rows(id))
		}
		among = c.suppressions.among(seqs, q.Newest)
	case q.Phone != 0:
		among = c.suppressions.among(slices.Collect(c.suppressed.phones.rows(q.Phone)), q.Newest)
	case q.ExternalID != "":
		among = c.suppressions.among(slices.Collect(c.suppressed.externalIDs.rows(q.ExternalID)), q.Newest)
	case q.Newest:
		among = c.suppressions.before(behind)
	default:
		among = c.suppressions.after(behind)
	}
	for seq, entry := range among {
		if seq == behind || q.Newest != (seq < behind) {
			continue
		}
		if found := suppressionOf(seq, entry); q.Matches(&found) {
			if list = append(list, found); len(list) == q.Limit {
				break
			}
		}
	}
	return list, nil
}

// Live implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Live(ctx context.Context, q store.LiveQuery) (list []store.Lead, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read live leads: %w", err)
	}
	defer s.stopReading()
	var seqs []int64
	for _, phone := range q.Phones {
		seqs = slices.AppendSeq(seqs, c.phones.rows(phone))
	}
	for _, id := range q.ExternalIDs {
		seqs = slices.AppendSeq(seqs, c.externalIDs.rows(id))
	}
	for seq, row := range c.leads.among(seqs) {
		if !row.state.Final() && (q.Workflow == 0 || row.workflow == q.Workflow) {
			list = append(list, store.Lead{Record: c.record(seq, row), Contact: c.contact(seq)})
		}
	}
	return list, nil
}
