package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

// A suppression and an enrollment, of two engines or of an engine and a program's
// transaction, must not pass each other: each would be committed without having seen the
// other. So a batch with suppressions closes a gate until it is committed, and one that
// enrolls, or gives contacts external ids, holds it open. The gate is an advisory lock of
// the transaction, which poolers do not mind. Whoever waits to close it is not overtaken.
//
// It is locked after the engines and the workflows, and before any lead. Every statement
// after it sees what was committed before it, if the transaction is READ COMMITTED; for
// programs' transactions that are not see unchangedText.
const (
	beginText     = "BEGIN ISOLATION LEVEL READ COMMITTED"
	holdGateText  = `SELECT pg_advisory_xact_lock_shared($1)`
	closeGateText = `SELECT pg_advisory_xact_lock($1)`
	// It is an error (40001) if a suppression was committed since the transaction began.
	unchangedText  = `SELECT n FROM suppressed WHERE current_setting('transaction_isolation') <> 'read committed' FOR SHARE`
	suppressedText = `UPDATE suppressed SET n = n + 1`

	// The OFFSET has each be looked up by the index, whatever the database believes of a
	// table that has just become large.
	// Those lifted are left out outside. Inside, another index would seem as good to a
	// server that takes the table for empty.
	suppressionsOfText = `SELECT s.seq, s.phone, s.external_id, s.workflow, s.expires FROM (
			SELECT s.* FROM unnest($1::bigint[]) AS u (phone), LATERAL (SELECT * FROM suppressions WHERE phone = u.phone OFFSET 0) s
			UNION ALL
			SELECT s.* FROM unnest($2::text[]) AS u (id), LATERAL (SELECT * FROM suppressions WHERE external_id = u.id OFFSET 0) s) s
		WHERE s.lifted = 0`
	nobodySuppressedText = `SELECT 1 / (count(*) = 0)::int FROM (` + suppressionsOfText + `) s`
	standingText         = suppressionsOfText + ` UNION SELECT seq, phone, external_id, workflow, expires FROM suppressions WHERE seq = ANY($3) AND lifted = 0`
	unclaimText          = `DELETE FROM live l USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (workflow, phone, lead)
		WHERE l.workflow = u.workflow AND l.phone = u.phone AND l.lead = u.lead`
	leadsOfText = `SELECT l.seq, l.workflow, c.phone, c.external_id FROM (` + contactsOfText + `) c,
		LATERAL (SELECT seq, workflow FROM leads WHERE seq = c.seq AND wake IS NOT NULL OFFSET 0) l ORDER BY 1`
	contactsOfText = `SELECT c.* FROM unnest($1::bigint[]) AS u (phone), LATERAL (SELECT seq, phone, external_id FROM contacts WHERE phone = u.phone OFFSET 0) c
		UNION SELECT c.* FROM unnest($2::text[]) AS u (id), LATERAL (SELECT seq, phone, external_id FROM contacts WHERE external_id = u.id OFFSET 0) c`
	liveLeadsText = leadsText + `WHERE l.wake IS NOT NULL AND ($3::bigint = 0 OR l.workflow = $3) AND l.seq IN (
			SELECT seq FROM (` + contactsOfText + `) found) ORDER BY l.seq`

	putSuppressionsText = `INSERT INTO suppressions (seq, id, phone, external_id, workflow, channel, reason, actor, created, expires, lifted, lifted_by, lift_reason)
		SELECT seq, id, nullif(phone, 0), external_id, nullif(workflow, 0), channel, reason, actor, created, expires, lifted, lifted_by, lift_reason
		FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[],
			$11::bigint[], $12::text[], $13::text[])
			AS u (seq, id, phone, external_id, workflow, channel, reason, actor, created, expires, lifted, lifted_by, lift_reason)
		ON CONFLICT (seq) DO UPDATE SET lifted = excluded.lifted, lifted_by = excluded.lifted_by, lift_reason = excluded.lift_reason`
	// Those that are about nobody cannot be new.
	liftText = `WITH done AS (UPDATE suppressions s SET lifted = u.lifted, lifted_by = u.lifted_by, lift_reason = u.lift_reason
			FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS u (seq, lifted, lifted_by, lift_reason)
			WHERE s.seq = u.seq RETURNING 1)
		SELECT 1 / (count(*) = $5)::int FROM done`
	// OFFSET 0 keeps the planner from reading the table when it does not know how long it is.
	ofPersonsText = `seq = ANY(ARRAY(
		SELECT s.seq FROM unnest(%s::bigint[]) p (phone) CROSS JOIN LATERAL (SELECT seq FROM suppressions WHERE phone = p.phone OFFSET 0) s
		UNION ALL
		SELECT s.seq FROM unnest(%s::text[]) p (id) CROSS JOIN LATERAL (SELECT seq FROM suppressions WHERE external_id = p.id OFFSET 0) s))`
	suppressionsText = `SELECT seq, id, phone, external_id, workflow, channel, reason, actor, created, expires, lifted, lifted_by, lift_reason FROM suppressions `
)

// gateOf returns the number of the schema's gate.
func gateOf(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("leadflow suppressions " + schema))
	return int64(h.Sum64())
}

// gated reports whether the batch waits for the gate.
func gated(b *store.Batch) bool {
	return len(b.Suppressions) > 0 || len(b.Enroll) > 0 || len(b.Contacts) > 0
}

// queueGate locks the gate as the batch needs it; hold has it held open at least.
func (s *Store) queueGate(p *pgx.Batch, b *store.Batch, hold bool) {
	switch {
	case len(b.Suppressions) > 0:
		p.Queue(closeGateText, gateOf(s.opts.Schema))
		p.Queue(suppressedText)
	case hold || gated(b):
		p.Queue(holdGateText, gateOf(s.opts.Schema))
	}
}

// people are phones and external ids, as columns.
type people struct {
	phones []int64
	ids    []*string
}

func (p *people) add(phone int64, externalID string) {
	if phone != 0 {
		p.phones = append(p.phones, phone)
	}
	if externalID != "" {
		p.ids = append(p.ids, encodeText(externalID))
	}
}

func peopleOf(list []store.Enrollment) (p people) {
	for i := range list {
		p.add(list[i].Contact.Phone, list[i].Contact.ExternalID)
	}
	return p
}

// suppressed are suppressions that are not lifted, by whom they are about.
type suppressed struct {
	phones map[int64][]store.Suppression
	ids    map[string][]store.Suppression
	seqs   map[int64]bool
}

func (s *suppressed) scan(rows pgx.Rows) error {
	s.phones, s.ids, s.seqs = map[int64][]store.Suppression{}, map[string][]store.Suppression{}, map[int64]bool{}
	var seq, expires int64
	var phone, workflow *int64
	var id *string
	_, err := pgx.ForEachRow(rows, []any{&seq, &phone, &id, &workflow, &expires}, func() error {
		sup := store.Suppression{Seq: seq, Phone: orZero(phone), ExternalID: decodeText(id), Workflow: orZero(workflow), Expires: store.Millis(expires)}
		s.seqs[seq] = true
		if phone != nil {
			s.phones[*phone] = append(s.phones[*phone], sup)
		}
		if id != nil {
			s.ids[sup.ExternalID] = append(s.ids[sup.ExternalID], sup)
		}
		return nil
	})
	return err
}

// by returns the suppressions that keep the enrollments out, by their places in the list.
func (s *suppressed) by(list []store.Enrollment) map[int][]int64 {
	by := map[int][]int64{}
	if len(s.phones)+len(s.ids) == 0 {
		return by
	}
	for i := range list {
		c := &list[i].Contact
		if seqs := list[i].SuppressedBy(slices.Concat(s.phones[c.Phone], s.ids[c.ExternalID])); seqs != nil {
			by[i] = seqs
		}
	}
	return by
}

// otherLead is a lead of a contact that is not final.
type otherLead struct {
	seq, workflow int64
	contact       store.Contact
}

func scanOtherLeads(rows pgx.Rows) (list []otherLead, err error) {
	var o otherLead
	var id *string
	_, err = pgx.ForEachRow(rows, []any{&o.seq, &o.workflow, &o.contact.Phone, &id}, func() error {
		o.contact.ExternalID = decodeText(id)
		list = append(list, o)
		return nil
	})
	return list, err
}

// expected are the people that the batch was decided on.
func expected(b *store.Batch) (p people) {
	for i := range b.Share.Contacts {
		p.add(b.Share.Contacts[i].Phone, b.Share.Contacts[i].ExternalID)
	}
	return p
}

// unexpected returns a conflict if a contact has a lead without which the batch was
// decided. That the batch changes the lead does not help: it may be for something that was
// decided later, such as an attempt that begins.
func unexpected(b *store.Batch, leads []otherLead) error {
	phones, ids := map[int64][]int{}, map[string][]int{}
	for i := range b.Share.Contacts {
		e := &b.Share.Contacts[i]
		phones[e.Phone], ids[e.ExternalID] = append(phones[e.Phone], i), append(ids[e.ExternalID], i)
	}
	for i := range leads {
		l := &leads[i]
		for _, k := range slices.Concat(phones[l.contact.Phone], ids[l.contact.ExternalID]) {
			e := &b.Share.Contacts[k]
			about := store.Suppression{Phone: e.Phone, ExternalID: e.ExternalID, Workflow: e.Workflow}
			if about.Holds(&l.contact, l.workflow) && !slices.Contains(e.Leads, l.seq) {
				return &store.ConflictError{Kind: "contact", Seq: l.seq}
			}
		}
	}
	return nil
}

// suppressedExpected are the people, and the numbers of the suppressions, that the batch
// was decided on.
func suppressedExpected(b *store.Batch) (p people, seqs []int64) {
	for i := range b.Share.Suppressed {
		e := &b.Share.Suppressed[i]
		for _, phone := range e.Phones {
			p.add(phone, "")
		}
		for _, id := range e.ExternalIDs {
			p.add(0, id)
		}
		seqs = append(seqs, e.Seqs...)
	}
	return p, seqs
}

// unexpected returns a conflict if the suppressions are not those that the batch was
// decided on.
func (s *suppressed) unexpected(b *store.Batch) error {
	for i := range b.Share.Suppressed {
		e := &b.Share.Suppressed[i]
		known := make(map[int64]bool, len(e.Seqs))
		for _, seq := range e.Seqs {
			if known[seq] = true; !s.seqs[seq] {
				return &store.ConflictError{Kind: "suppression", Seq: seq}
			}
		}
		other := func(list []store.Suppression) error {
			for i := range list {
				if list[i].Active(e.At) && !known[list[i].Seq] {
					return &store.ConflictError{Kind: "suppression", Seq: list[i].Seq}
				}
			}
			return nil
		}
		for _, phone := range e.Phones {
			if err := other(s.phones[phone]); err != nil {
				return err
			}
		}
		for _, id := range e.ExternalIDs {
			if err := other(s.ids[id]); err != nil {
				return err
			}
		}
	}
	return nil
}

// namedByContacts returns a conflict if the batch was decided on one of the leads for what
// it says of a contact: without their changes the rest must not be written.
func namedByContacts(b *store.Batch, stale []int64) error {
	for i := range b.Share.Contacts {
		for _, seq := range b.Share.Contacts[i].Leads {
			if slices.Contains(stale, seq) {
				return &store.ConflictError{Kind: "lead", Seq: seq}
			}
		}
	}
	return nil
}

// merged returns each suppression once, in order, as it is after the batch.
func merged(list []store.Suppression) []store.Suppression {
	by := make(map[int64]store.Suppression, len(list))
	for _, s := range list {
		if first, ok := by[s.Seq]; ok {
			first.Lifted, first.LiftedBy, first.LiftReason = s.Lifted, s.LiftedBy, s.LiftReason
			s = first
		}
		by[s.Seq] = s
	}
	out := make([]store.Suppression, 0, len(by))
	for _, seq := range slices.Sorted(maps.Keys(by)) {
		out = append(out, by[seq])
	}
	return out
}

func queueSuppressions(p *pgx.Batch, list []store.Suppression) {
	if len(list) == 0 {
		return
	}
	var put, lift struct {
		seq, phone, workflow, created, expires, lifted           []int64
		id                                                       [][]byte
		externalID, channel, reason, actor, liftedBy, liftReason []*string
	}
	for _, s := range merged(list) {
		to := &put
		if s.Check() != nil {
			to = &lift
		}
		to.seq, to.lifted = append(to.seq, s.Seq), append(to.lifted, int64(s.Lifted))
		to.liftedBy, to.liftReason = append(to.liftedBy, encodeText(s.LiftedBy)), append(to.liftReason, encodeText(s.LiftReason))
		to.id, to.phone, to.workflow = append(to.id, s.ID[:]), append(to.phone, s.Phone), append(to.workflow, s.Workflow)
		to.externalID, to.channel = append(to.externalID, encodeText(s.ExternalID)), append(to.channel, encodeText(s.Channel))
		to.reason, to.actor = append(to.reason, encodeText(s.Reason)), append(to.actor, encodeText(s.Actor))
		to.created, to.expires = append(to.created, int64(s.Created)), append(to.expires, int64(s.Expires))
	}
	if put.seq != nil {
		p.Queue(putSuppressionsText, put.seq, put.id, put.phone, put.externalID, put.workflow, put.channel, put.reason, put.actor, put.created,
			put.expires, put.lifted, put.liftedBy, put.liftReason)
	}
	if lift.seq != nil {
		p.Queue(liftText, lift.seq, lift.lifted, lift.liftedBy, lift.liftReason, int64(len(lift.seq)))
	}
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func scanSuppression(row pgx.CollectableRow) (s store.Suppression, err error) {
	var id []byte
	var phone, workflow *int64
	var externalID, channel, reason, actor, liftedBy, liftReason *string
	err = row.Scan(&s.Seq, &id, &phone, &externalID, &workflow, &channel, &reason, &actor, (*int64)(&s.Created), (*int64)(&s.Expires),
		(*int64)(&s.Lifted), &liftedBy, &liftReason)
	if err == nil {
		err = copyID(s.ID[:], id)
	}
	s.Phone, s.Workflow, s.ExternalID = orZero(phone), orZero(workflow), decodeText(externalID)
	s.Channel, s.Reason, s.Actor = decodeText(channel), decodeText(reason), decodeText(actor)
	s.LiftedBy, s.LiftReason = decodeText(liftedBy), decodeText(liftReason)
	return s, err
}

// Suppressions implements [store.LoopReader] and [store.LeadReader]. A list without a
// Limit is read with other users' lists.
func (s *Store) Suppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	var w where
	if q.Seqs != nil {
		w.add("seq = ANY(%s)", q.Seqs)
	}
	w.number("phone", q.Phone)
	w.says("external_id", q.ExternalID)
	w.number("workflow", q.Workflow)
	w.says("channel", q.Channel)
	if q.Active != 0 {
		w.add("lifted = 0 AND (expires = 0 OR expires > %s)", int64(q.Active))
	}
	if q.Inactive != 0 {
		w.add("(lifted <> 0 OR expires <> 0 AND expires <= %s)", int64(q.Inactive))
	}
	if q.OfPersons() {
		ids := make([]*string, len(q.ExternalIDs))
		for i, id := range q.ExternalIDs {
			ids[i] = encodeText(id)
		}
		w.add(ofPersonsText, q.Phones, ids)
	}
	pool := s.loop
	if q.Limit <= 0 && q.Seqs == nil && !q.OfPersons() && q.Phone == 0 && q.ExternalID == "" {
		pool = s.readers
	}
	return list(ctx, s, pool, "suppressions", scanSuppression, suppressionsText+w.page(q.Newest, q.After, q.Limit), w.args...)
}

// page returns the conditions and the order of a list by seq.
func (w *where) page(newest bool, after int64, limit int) string {
	order := " ORDER BY seq"
	if newest {
		order += " DESC"
		if after == 0 {
			after = math.MaxInt64
		}
		w.add("seq < %s", after)
	} else {
		w.add("seq > %s", after)
	}
	if limit > 0 {
		order += fmt.Sprintf(" LIMIT %d", limit)
	}
	return w.String() + order
}

// Live implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Live(ctx context.Context, q store.LiveQuery) ([]store.Lead, error) {
	ids := make([]*string, len(q.ExternalIDs))
	for i, id := range q.ExternalIDs {
		ids[i] = encodeText(id)
	}
	return list(ctx, s, s.loop, "live leads", scanLead, liveLeadsText, q.Phones, ids, q.Workflow)
}
