package storetest

import (
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// newSuppression is one of nobody yet.
func (s *suite) newSuppression() store.Suppression {
	s.Helper()
	seq := s.next(store.SuppressionSequence)
	id, err := lead.NewSuppressionID(base, seq)
	s.check(err)
	return store.Suppression{Seq: seq, ID: id, Created: start, Reason: "asked to", Actor: "agent 7"}
}

func (s *suite) suppressionOf(phone int64, externalID string) store.Suppression {
	s.Helper()
	sup := s.newSuppression()
	sup.Phone, sup.ExternalID = phone, externalID
	return sup
}

// suppress commits suppressions.
func (s *suite) suppress(list ...store.Suppression) {
	s.Helper()
	s.must(store.Batch{Suppressions: list})
}

// suppressedIs enrolls a lead, which must be refused because of those suppressions or, if
// there are none, must not be refused. The lead is deleted again.
func (s *suite) suppressedIs(e store.Enrollment, by ...store.Suppression) {
	s.Helper()
	var want []store.Refusal
	if by != nil {
		want = []store.Refusal{{Suppressed: seqsOfSuppressions(by)}}
	}
	equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{e}}).Refused, want)
	s.must(store.Batch{Forget: []int64{e.Record.Seq}})
}

func seqsOfSuppressions(list []store.Suppression) (seqs []int64) {
	for _, sup := range list {
		seqs = append(seqs, sup.Seq)
	}
	slices.Sort(seqs)
	return seqs
}

func suppressedRefused(s *suite) {
	workflow, _ := s.enrolled(1)
	const phone, other = 4930555001, 4930555002
	of := func(phone int64, externalID string) store.Enrollment {
		e := s.newLeadOf(workflow, phone)
		e.Contact.ExternalID = externalID
		return e
	}
	byPhone, byID, byBoth := s.suppressionOf(phone, ""), s.suppressionOf(0, "crm-1"), s.suppressionOf(phone, "crm-2")
	s.suppress(byBoth, byPhone, byID) // not in order
	check := func() {
		s.Helper()
		s.suppressedIs(of(other, ""))
		s.suppressedIs(of(other, "crm-3"))
		s.suppressedIs(of(other, "crm-1"), byID)
		s.suppressedIs(of(other, "crm-2"), byBoth)
		s.suppressedIs(of(phone, ""), byPhone, byBoth)
		s.suppressedIs(of(phone, "crm-1"), byID, byPhone, byBoth)
		s.suppressedIs(of(phone, "crm-2"), byPhone, byBoth)
		s.suppressedIs(of(other, "CRM-1"))
	}
	check()
	s.reopen()
	check()
}

// suppressedByIDAlone is for stores that know that there are none by phone.
func suppressedByIDAlone(s *suite) {
	workflow, _ := s.enrolled(1)
	sup := s.suppressionOf(0, "o'clock \"☎\"\n\x00\xff; --")
	e := s.newLead(workflow)
	e.Contact.ExternalID = sup.ExternalID
	s.suppressedIs(e)
	s.suppress(sup)
	for range 2 {
		e = s.newLead(workflow)
		e.Contact.ExternalID = sup.ExternalID
		s.suppressedIs(e, sup)
		s.suppressedIs(s.newLead(workflow))
		s.reopen()
	}
}

func suppressedBeforeLive(s *suite) {
	workflow, leads := s.enrolled(1)
	phone := leads[0].Contact.Phone
	sup, channel := s.suppressionOf(phone, ""), s.suppressionOf(phone, "")
	channel.Channel = "message"
	s.suppress(sup, channel)
	s.suppressedIs(s.newLeadOf(workflow, phone), sup, channel)
	knows := s.newLeadOf(workflow, phone)
	knows.Knows = []int64{channel.Seq, sup.Seq}
	equal(s, "refused", s.commit(store.Batch{Enroll: []store.Enrollment{knows}}).Refused, []store.Refusal{{Live: leads[0].Seq}})
}

func suppressedScope(s *suite) {
	workflow, _ := s.enrolled(1)
	other := s.newWorkflow()
	const phone = 4930555001
	here, channel := s.suppressionOf(phone, ""), s.suppressionOf(phone, "")
	here.Workflow, channel.Channel = workflow, "voice_call"
	s.must(store.Batch{Workflows: []store.Workflow{other}, Suppressions: []store.Suppression{here, channel}})
	s.suppressedIs(s.newLeadOf(workflow, phone), here, channel)
	s.suppressedIs(s.newLeadOf(other.Seq, phone), channel)
	knowing := func(workflow int64, knows ...int64) store.Enrollment {
		e := s.newLeadOf(workflow, phone)
		e.Knows = knows
		return e
	}
	s.suppressedIs(knowing(other.Seq, channel.Seq))
	s.suppressedIs(knowing(workflow, channel.Seq), here)
	s.suppressedIs(knowing(workflow, 1<<39, here.Seq), channel)
	s.suppressedIs(knowing(workflow, here.Seq, channel.Seq))
}

func suppressedWhile(s *suite) {
	workflow, _ := s.enrolled(1)
	const phone = 4930555001
	at := func(when store.Millis) store.Enrollment {
		e := s.newLeadOf(workflow, phone)
		e.Contact.Enrolled = when
		return e
	}
	sup := s.suppressionOf(phone, "")
	sup.Expires = start + 1000
	s.suppress(sup)
	check := func() {
		s.Helper()
		s.suppressedIs(at(start+999), sup)
		s.suppressedIs(at(start + 1000)) // it is over
		s.suppressedIs(at(start + 1001))
	}
	check()
	s.reopen()
	check()

	// Lifting ends it, and changes nothing else of it.
	lifted := sup
	lifted.Lifted, lifted.LiftedBy, lifted.LiftReason = start+5, "boss", "by mistake"
	spoiled := lifted
	spoiled.Phone, spoiled.ExternalID, spoiled.Workflow, spoiled.Channel = 1, "x", 9, "message"
	spoiled.Reason, spoiled.Actor, spoiled.Created, spoiled.Expires = "x", "x", 1, 0
	spoiled.ID[3]++
	equal(s, "refused in the batch that lifts it", s.commit(store.Batch{
		Suppressions: []store.Suppression{spoiled}, Enroll: []store.Enrollment{at(start)},
	}).Refused, []store.Refusal{{Suppressed: []int64{sup.Seq}}})
	for range 2 {
		s.suppressionsAre(store.SuppressionQuery{}, []store.Suppression{lifted})
		s.suppressedIs(at(start))
		s.reopen()
	}

	// It may be inserted and lifted in one batch, and lifted by its number alone.
	again := s.suppressionOf(phone, "")
	s.suppress(again, store.Suppression{Seq: again.Seq, Lifted: start + 6, LiftedBy: "boss"})
	again.Lifted, again.LiftedBy = start+6, "boss"
	s.suppressionsAre(store.SuppressionQuery{}, []store.Suppression{lifted, again})
	s.suppressedIs(at(start))
}

func suppressedAfterBatch(s *suite) {
	workflow, _ := s.enrolled(1)
	const phone = 4930555001
	e, sup := s.newLeadOf(workflow, phone), s.suppressionOf(phone, "")
	s.must(store.Batch{Suppressions: []store.Suppression{sup}, Enroll: []store.Enrollment{e}})
	entry, err := s.Lead(s.ctx, e.Record.Seq)
	s.check(err)
	equal(s, "lead", entry, entryOf(e))
	s.must(store.Batch{Changes: []store.Change{finish(e.Record)}})
	s.suppressedIs(s.newLeadOf(workflow, phone), sup)
}

func suppressedLeavesNothing(s *suite) {
	workflow, leads := s.enrolled(1)
	const phone = 4930555001
	s.suppress(s.suppressionOf(phone, ""))
	sup, err := s.Suppressions(s.ctx, store.SuppressionQuery{})
	s.check(err)
	// The second one is refused as the third one is live, not because of the first one.
	refused, knows, late := s.newLeadOf(workflow, phone), s.newLeadOf(workflow, phone), s.newLeadOf(workflow, phone)
	knows.Knows, late.Knows = seqsOfSuppressions(sup), seqsOfSuppressions(sup)
	b := store.Batch{Enroll: []store.Enrollment{refused, knows, s.newLead(workflow), late}}
	for i := range b.Enroll {
		_, step := s.stepOf(b.Enroll[i].Record)
		b.Enroll[i].Record.LastStep = step.Seq
		b.Steps, b.Calls = append(b.Steps, step), append(b.Calls, s.callOf(entryOf(b.Enroll[i])))
		b.Payloads = append(b.Payloads, store.Payload{Lead: b.Enroll[i].Record.Seq, Visit: 1, Data: []byte{1}})
		b.Contacts = append(b.Contacts, b.Enroll[i].Contact)
		b.Audit = append(b.Audit, store.Audit{At: start, Action: "enroll", Lead: b.Enroll[i].Record.Seq})
	}
	b.Audit = append(b.Audit, store.Audit{At: start, Action: "import"})
	equal(s, "refused", s.commit(b).Refused, []store.Refusal{
		{Index: 0, Suppressed: seqsOfSuppressions(sup)}, {Index: 3, Live: knows.Record.Seq},
	})
	got := s.contents()
	equal(s, "leads", got.Leads[workflow], append(leads, entryOf(b.Enroll[1]), entryOf(b.Enroll[2])))
	equal(s, "counts", got.Counts[workflow], map[lead.State]int64{lead.Enrolled: 3})
	equal(s, "histories", len(got.Steps), 2)
	equal(s, "leads with payloads", len(got.Payloads), 2)
	equal(s, "calls", len(got.Calls), 2)
	s.auditsAre(store.AuditQuery{}, chained([]store.Audit{b.Audit[1], b.Audit[2], b.Audit[4]}))
	change, step := s.stepOf(leads[0].Record) // its number can be written
	step.Seq, change.After.LastStep = b.Steps[0].Seq, b.Steps[0].Seq
	s.must(store.Batch{Changes: []store.Change{change}, Steps: []store.Step{step}})
}

// suppressionsAre compares the store's answer, in both orders, with the matching ones of
// all suppressions, which are in order of Seq.
func (s *suite) suppressionsAre(q store.SuppressionQuery, all []store.Suppression) {
	s.Helper()
	for _, q.Newest = range []bool{false, true} {
		var want []store.Suppression
		for _, sup := range all {
			active := func(at store.Millis) bool { return sup.Lifted == 0 && (sup.Expires == 0 || sup.Expires > at) }
			if (q.Seqs == nil || slices.Contains(q.Seqs, sup.Seq)) && (q.Phone == 0 || q.Phone == sup.Phone) &&
				(q.Phones == nil && q.ExternalIDs == nil || slices.Contains(q.Phones, sup.Phone) ||
					sup.ExternalID != "" && slices.Contains(q.ExternalIDs, sup.ExternalID)) &&
				(q.ExternalID == "" || q.ExternalID == sup.ExternalID) && (q.Workflow == 0 || q.Workflow == sup.Workflow) &&
				(q.Channel == "" || q.Channel == sup.Channel) && (q.Active == 0 || active(q.Active)) &&
				(q.Inactive == 0 || !active(q.Inactive)) && (q.After == 0 || sup.Seq != q.After && q.Newest == (sup.Seq < q.After)) {
				want = append(want, sup)
			}
		}
		if q.Newest {
			slices.Reverse(want)
		}
		if q.Limit > 0 {
			want = want[:min(q.Limit, len(want))]
		}
		got, err := s.Suppressions(s.ctx, q)
		s.check(err)
		equal(s, fmt.Sprintf("suppressions of %+v", q), got, want)
	}
}

func suppressionFilters(s *suite) {
	var all []store.Suppression
	for i := range 48 {
		sup := s.newSuppression()
		sup.Phone = []int64{0, 4930555001, 4930555002}[i%3]
		if sup.Phone == 0 || i%4 == 0 {
			sup.ExternalID = []string{"crm-1", "crm-2"}[i%2]
		}
		sup.Workflow, sup.Channel = []int64{0, 1, 2, 0, 0}[i%5], []string{"", "message", "", "voice_call"}[i%4]
		sup.Expires = []store.Millis{0, start + 10, 0, start + 20, start + 30}[i/2%5]
		if i%7 == 3 {
			sup.Lifted, sup.LiftedBy = start+5, "boss"
		}
		all = append(all, sup)
	}
	s.suppress(all...)
	seqs := []int64{all[40].Seq, 1 << 39, all[3].Seq, all[3].Seq, 0, -1, all[7].Seq}
	for _, page := range []store.SuppressionQuery{{}, {Limit: 3}, {After: all[20].Seq, Limit: 5}} {
		for _, when := range [][2]store.Millis{{0, 0}, {start, 0}, {start + 10, 0}, {start + 40, 0}, {0, start}, {0, start + 20}, {0, start + 40}, {start, start + 25}} {
			q := page
			q.Active, q.Inactive = when[0], when[1]
			s.suppressionsAre(q, all)
			for _, by := range []func(*store.SuppressionQuery){
				func(q *store.SuppressionQuery) { q.Seqs = seqs },
				func(q *store.SuppressionQuery) { q.Seqs = []int64{} },
				func(q *store.SuppressionQuery) { q.Phone = 4930555001 },
				func(q *store.SuppressionQuery) { q.Phone = 1 },
				func(q *store.SuppressionQuery) { q.ExternalID = "crm-1" },
				func(q *store.SuppressionQuery) { q.Phone, q.ExternalID = 4930555002, "crm-1" },
				func(q *store.SuppressionQuery) { q.Workflow = 1 },
				func(q *store.SuppressionQuery) { q.Channel = "message" },
				func(q *store.SuppressionQuery) { q.Workflow, q.Channel = 2, "voice_call" },
				func(q *store.SuppressionQuery) { q.Seqs, q.Channel, q.Phone = seqs, "message", 4930555001 },
				func(q *store.SuppressionQuery) {
					q.Phones, q.ExternalIDs = []int64{4930555001, 7, 4930555001}, []string{"crm-2", "none"}
				},
				func(q *store.SuppressionQuery) { q.Phones = []int64{4930555002, 4930555001} },
				func(q *store.SuppressionQuery) { q.Phones, q.ExternalIDs = []int64{}, nil },
				func(q *store.SuppressionQuery) {
					q.ExternalIDs, q.Seqs, q.Phone = []string{"crm-1", "crm-2"}, seqs, 4930555002
				},
				func(q *store.SuppressionQuery) { q.ExternalIDs, q.Workflow = []string{"crm-1", "\x00'"}, 1 },
			} {
				filtered := q
				by(&filtered)
				s.suppressionsAre(filtered, all)
			}
		}
	}
}

// manySuppressions has 100,000, and pages of them.
func manySuppressions(s *suite) {
	const size = 10_000
	n := dose(100_000)
	first, err := s.Reserve(s.ctx, store.SuppressionSequence, n)
	s.check(err)
	all := make([]store.Suppression, n)
	for i := range all {
		seq := first + int64(i)
		all[i] = store.Suppression{Seq: seq, ID: lead.SuppressionIDFrom(base, seq, 1), Phone: 4930_0000_0000 + seq, Created: start}
		switch {
		case i%10_000 == 77:
			all[i].Workflow, all[i].Channel = 3, "message"
		case i%2 == 0:
			all[i].Expires = start + store.Millis(i)
		case i%10 == 5:
			all[i].Lifted = start
		}
	}
	for part := range slices.Chunk(all, size) {
		s.suppress(part...)
	}
	s.reopen()
	for _, q := range []store.SuppressionQuery{
		{}, {Limit: 20}, {Limit: 20, After: all[n/2].Seq}, {Phone: all[n/2].Phone}, {Workflow: 3}, {Channel: "message", Limit: 2},
		{Active: start + 1, Limit: 20}, {Active: start + store.Millis(n) - 9, Limit: 6000}, {Inactive: start + 5, Limit: 11_000}, {Inactive: start + store.Millis(n), Limit: 20},
		{Seqs: seqsOfSuppressions(all[:2000]), Active: start + 1000}, {Phones: []int64{all[2].Phone, all[n-1].Phone}, ExternalIDs: []string{"x"}},
	} {
		s.suppressionsAre(q, all)
	}
	workflow, _ := s.enrolled(1)
	for _, i := range []int{0, 1, 5, n - 1} {
		e := s.newLeadOf(workflow, all[i].Phone)
		if by := all[i : i+1]; by[0].Lifted != 0 || by[0].Expires == start {
			s.suppressedIs(e)
		} else {
			s.suppressedIs(e, by...)
		}
	}
}

// liveIs compares the store's answer with the leads that are not final.
func (s *suite) liveIs(q store.LiveQuery, all []store.Lead) {
	s.Helper()
	var want []store.Lead
	for _, l := range all {
		if !l.State.Final() && (q.Workflow == 0 || q.Workflow == l.Workflow) &&
			(slices.Contains(q.Phones, l.Contact.Phone) || l.Contact.ExternalID != "" && slices.Contains(q.ExternalIDs, l.Contact.ExternalID)) {
			want = append(want, l)
		}
	}
	got, err := s.Live(s.ctx, q)
	s.check(err)
	equal(s, fmt.Sprintf("live leads of %d phones and %d ids in workflow %d", len(q.Phones), len(q.ExternalIDs), q.Workflow), got, want)
}

func liveLookUps(s *suite) {
	var all []store.Lead
	for range 3 {
		workflow, more := s.mixed(20)
		_ = workflow
		all = append(all, more...)
	}
	words := all[4].Contact
	words.ExternalID = "o'clock \"☎\"\n\x00\xff; --"
	s.must(store.Batch{Contacts: []store.Contact{words}})
	all[4].Contact = words
	check := func() {
		s.Helper()
		for _, q := range []store.LiveQuery{
			{}, {Phones: []int64{}, ExternalIDs: []string{""}}, {Phones: []int64{0, -1, 1}}, {ExternalIDs: []string{"crm-1"}},
			{Phones: []int64{4930111111}}, {Phones: []int64{all[0].Contact.Phone}}, {ExternalIDs: []string{"CRM-1", words.ExternalID}},
			{Phones: []int64{all[25].Contact.Phone, all[0].Contact.Phone, all[0].Contact.Phone}, ExternalIDs: []string{"crm-1", "crm-2", "crm-1"}},
		} {
			s.liveIs(q, all)
			q.Workflow = all[25].Workflow
			s.liveIs(q, all)
		}
	}
	check()
	s.reopen()
	check()

	// Thousands of keys, most of them of nobody.
	w := s.newWorkflow()
	b := store.Batch{Workflows: []store.Workflow{w}}
	q := store.LiveQuery{Workflow: w.Seq}
	for i := range 3000 {
		e := s.newLead(w.Seq)
		if i%3 == 0 {
			e.Contact.ExternalID = fmt.Sprintf("many-%d", i)
			q.ExternalIDs = append(q.ExternalIDs, e.Contact.ExternalID)
		} else {
			q.Phones = append(q.Phones, e.Contact.Phone)
		}
		q.Phones, q.ExternalIDs = append(q.Phones, e.Contact.Phone+1_000_000), append(q.ExternalIDs, fmt.Sprintf("nobody-%d", i))
		b.Enroll = append(b.Enroll, e)
		all = append(all, entryOf(e))
	}
	s.must(b)
	s.liveIs(q, all[60:])
	q.Workflow = 0
	s.liveIs(q, all)
}
