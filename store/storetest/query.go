package storetest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// phases are those of a lead that is not final.
var phases = []store.Phase{
	store.PhaseRunning, store.PhaseWaiting, store.PhaseAwaiting, store.PhaseHooks, store.PhaseRetrying,
}

// mixed is a workflow with n leads in all states and phases, at three nodes, some
// of them of one contact, next to another workflow's.
func (s *suite) mixed(n int) (workflow int64, leads []store.Lead) {
	s.Helper()
	s.enrolled(3)
	w := s.newWorkflow()
	s.must(store.Batch{Workflows: []store.Workflow{w}})
	states := lead.States()
	for i := range n {
		e := s.newLead(w.Seq)
		e.Record.State = states[i%len(states)]
		e.Record.Node = int32(i % 3)
		e.Record.Phase = phases[i%len(phases)]
		if e.Record.State.Final() {
			e.Record.Wake, e.Record.Phase = 0, store.PhaseEnded
			e.Contact.Phone = 4930111111
		}
		if i%4 == 1 {
			e.Contact.ExternalID = "crm-1"
		}
		leads = append(leads, entryOf(e))
		s.must(store.Batch{Enroll: []store.Enrollment{e}})
	}
	s.enrolled(3)
	return w.Seq, leads
}

// matches reports whether a lead matches the query, without paging.
func matches(q store.LeadQuery, l store.Lead) bool {
	return (q.Workflow == 0 || l.Workflow == q.Workflow) && (len(q.States) == 0 || slices.Contains(q.States, l.State)) &&
		(q.Node == nil || l.Node == *q.Node) && (q.Phone == 0 || l.Contact.Phone == q.Phone) &&
		(q.ExternalID == "" || l.Contact.ExternalID == q.ExternalID)
}

// leadsAre compares the store's answer, in both orders, with the matching ones of all
// leads, which are in order of Seq.
func (s *suite) leadsAre(q store.LeadQuery, all []store.Lead) {
	s.Helper()
	s.leadsInOrderAre(q, all)
	q.Newest = true
	s.leadsInOrderAre(q, all)
}

func (s *suite) leadsInOrderAre(q store.LeadQuery, all []store.Lead) {
	s.Helper()
	var want []store.Lead
	var count int64
	for _, l := range all {
		if matches(q, l) {
			count++
			if q.After == 0 || l.Seq != q.After && q.Newest == (l.Seq < q.After) {
				want = append(want, l)
			}
		}
	}
	if q.Newest {
		slices.Reverse(want)
	}
	want = want[min(q.Offset, len(want)):]
	if q.Limit > 0 {
		want = want[:min(q.Limit, len(want))]
	}
	got, err := s.Leads(s.ctx, q)
	s.check(err)
	equal(s, fmt.Sprintf("leads of %+v", q), got, want)
	records, err := s.Sweep(s.ctx, q)
	s.check(err)
	equal(s, fmt.Sprintf("records of %+v", q), records, recordsOf(want))
	n, err := s.CountLeads(s.ctx, q)
	s.check(err)
	equal(s, fmt.Sprintf("count of %+v", q), n, count)
}

// nodeCountsAre compares the store's counts with those of all leads of a workflow.
func (s *suite) nodeCountsAre(workflow int64, all []store.Lead) {
	s.Helper()
	n := map[[2]int64]int64{}
	for _, l := range all {
		n[[2]int64{int64(l.Node), int64(l.State)}]++
	}
	var want []store.NodeCount
	for at, n := range n {
		want = append(want, store.NodeCount{Node: int32(at[0]), State: lead.State(at[1]), N: n})
	}
	slices.SortFunc(want, func(a, b store.NodeCount) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.State, b.State))
	})
	got, err := s.NodeCounts(s.ctx, workflow)
	s.check(err)
	equal(s, "counts by node", got, want)
}

func nodeCountsFollow(s *suite) {
	workflow, leads := s.mixed(30)
	s.nodeCountsAre(workflow, leads)
	var changes []store.Change
	for i := range leads {
		if l := &leads[i]; !l.State.Final() && i%4 < 2 {
			c := changeOf(l.Record, func(r *store.Record) { r.Node = (r.Node + 1) % 3 })
			l.Record = c.After
			changes = append(changes, c)
		}
	}
	s.must(store.Batch{Changes: changes, Forget: []int64{leads[29].Seq}})
	s.nodeCountsAre(workflow, leads[:29])
	s.reopen()
	s.nodeCountsAre(workflow, leads[:29])
	s.nodeCountsAre(1<<40, nil)
}

func leadFilters(s *suite) {
	workflow, leads := s.mixed(30)
	node, nowhere := int32(1), int32(9)
	for _, states := range [][]lead.State{
		nil, {lead.Enrolled}, {lead.Completed, lead.Enrolled}, {lead.InStep, lead.InStep}, lead.States(),
	} {
		for _, node := range []*int32{nil, &node, &nowhere} {
			for _, phone := range []int64{0, 4930111111, leads[0].Contact.Phone, 1} {
				for _, external := range []string{"", "crm-1", "crm-2"} {
					for _, page := range []store.LeadQuery{{}, {After: leads[11].Seq, Offset: 1, Limit: 3}} {
						page.Workflow, page.States, page.Node, page.Phone, page.ExternalID = workflow, states, node, phone, external
						s.leadsAre(page, leads)
					}
				}
			}
		}
	}
	s.leadsAre(store.LeadQuery{Workflow: 1 << 40}, leads)
}

func pagesByAfter(s *suite) {
	workflow, leads := s.mixed(23)
	for _, size := range []int{1, 4, 23, 100} {
		for _, newest := range []bool{false, true} {
			var got []store.Lead
			q := store.LeadQuery{Workflow: workflow, Limit: size, Newest: newest}
			for {
				page, err := s.Leads(s.ctx, q)
				s.check(err)
				if len(page) == 0 {
					break
				}
				if len(page) > size {
					s.Fatalf("a page of %d, want at most %d", len(page), size)
				}
				if got = append(got, page...); len(got) > len(leads) {
					s.Fatalf("%d leads and more, want %d", len(got), len(leads))
				}
				q.After = page[len(page)-1].Seq
			}
			if newest {
				slices.Reverse(got)
			}
			equal(s, "all pages", got, leads)
		}
	}
}

func pagesByOffset(s *suite) {
	workflow, leads := s.mixed(23)
	live := []lead.State{lead.PendingRemoval, lead.Enrolled, lead.InStep}
	for offset := 0; offset <= len(leads)+1; offset += 4 {
		s.leadsAre(store.LeadQuery{Workflow: workflow, Offset: offset, Limit: 4}, leads)
		s.leadsAre(store.LeadQuery{Workflow: workflow, Offset: offset}, leads)
		s.leadsAre(store.LeadQuery{Workflow: workflow, States: live, Offset: offset, Limit: 4}, leads)
	}
}

func countsFollow(s *suite) {
	workflow, leads := s.enrolled(6)
	check := func(want map[lead.State]int64) {
		s.Helper()
		got, err := s.Counts(s.ctx, workflow)
		s.check(err)
		equal(s, "counts", got, want)
		for _, state := range lead.States() {
			n, err := s.CountLeads(s.ctx, store.LeadQuery{Workflow: workflow, States: []lead.State{state}, Limit: 1})
			s.check(err)
			equal(s, "count of "+state.String(), n, want[state])
		}
	}
	move := func(i int, state lead.State) store.Change {
		c := changeOf(leads[i].Record, func(r *store.Record) {
			r.State = state
			if state.Final() {
				r.Wake = 0
			}
		})
		leads[i].Record = c.After
		return c
	}
	check(map[lead.State]int64{lead.Enrolled: 6})
	s.must(store.Batch{Changes: []store.Change{move(0, lead.InStep), move(1, lead.InStep), move(2, lead.Removed)}})
	check(map[lead.State]int64{lead.Enrolled: 3, lead.InStep: 2, lead.Removed: 1})
	// One goes where another comes from, and one comes anew.
	s.must(store.Batch{
		Changes: []store.Change{move(0, lead.Enrolled), move(3, lead.InStep), move(1, lead.PendingRemoval)},
		Enroll:  []store.Enrollment{s.newLead(workflow)},
	})
	check(map[lead.State]int64{lead.Enrolled: 4, lead.InStep: 1, lead.PendingRemoval: 1, lead.Removed: 1})
	s.must(store.Batch{Changes: []store.Change{move(3, lead.Completed), move(1, lead.Removed)}, Forget: []int64{leads[2].Seq}})
	check(map[lead.State]int64{lead.Enrolled: 4, lead.Removed: 1, lead.Completed: 1})
	s.reopen()
	check(map[lead.State]int64{lead.Enrolled: 4, lead.Removed: 1, lead.Completed: 1})
	other, err := s.Counts(s.ctx, workflow+1)
	s.check(err)
	equal(s, "counts of no workflow", other, nil)
}

func loadInOrder(s *suite) {
	_, leads := s.enrolled(5)
	got, err := s.Load(s.ctx, []int64{leads[4].Seq, 1 << 39, leads[0].Seq, leads[2].Seq, leads[0].Seq, 0})
	s.check(err)
	equal(s, "leads", got, []store.Lead{leads[0], leads[2], leads[4]})
	contacts, err := s.Contacts(s.ctx, []int64{leads[4].Record.Seq, 1 << 39, leads[0].Record.Seq, leads[0].Record.Seq, 0})
	s.check(err)
	equal(s, "contacts", contacts, []store.Contact{leads[0].Contact, leads[4].Contact})
	s.must(store.Batch{Forget: []int64{leads[0].Record.Seq}})
	contacts, err = s.Contacts(s.ctx, []int64{leads[0].Record.Seq})
	s.check(err)
	equal(s, "contacts of a forgotten lead", contacts, nil)
}

func stepsInOrder(s *suite) {
	_, leads := s.seeded(5)
	past := s.contents().Steps
	var all []store.Step
	for _, l := range leads {
		all = append(all, past[l.Seq]...)
	}
	got, err := s.Steps(s.ctx, []int64{all[4].Seq, 1 << 39, all[0].Seq, all[2].Seq, all[0].Seq, 0})
	s.check(err)
	equal(s, "steps", got, []store.Step{all[0], all[2], all[4]})
	s.must(store.Batch{Forget: []int64{leads[0].Seq}})
	got, err = s.Steps(s.ctx, []int64{all[0].Seq, all[1].Seq})
	s.check(err)
	equal(s, "steps after their lead was forgotten", got, all[1:2])
}

// contactQueries asks for a person in all workflows.
func contactQueries(s *suite) {
	var all []store.Lead
	for range 3 {
		w := s.newWorkflow()
		b := store.Batch{Workflows: []store.Workflow{w}}
		for i := range 4 {
			e := s.newLeadOf(w.Seq, 4930000001+int64(i))
			e.Contact.ExternalID = []string{"", "crm-1", "crm-2", "crm-1"}[i]
			e.Record.Node = int32(i % 2)
			b.Enroll, all = append(b.Enroll, e), append(all, entryOf(e))
		}
		s.must(b)
	}
	node := int32(1)
	for _, q := range []store.LeadQuery{
		{Phone: 4930000001}, {ExternalID: "crm-1"}, {Phone: 4930000002, ExternalID: "crm-1"}, {Phone: 4930000001, ExternalID: "crm-1"},
		{ExternalID: "crm-1", States: []lead.State{lead.Enrolled}, Node: &node}, {ExternalID: "crm-3"}, {Phone: 1},
		{ExternalID: "crm-1", After: all[5].Seq, Limit: 2}, {ExternalID: "crm-1", Offset: 3}, {Phone: 4930000002, Limit: 1},
		{ExternalID: "CRM-1"}, {ExternalID: "crm-"},
	} {
		s.leadsAre(q, all)
		q.Workflow = all[4].Workflow
		s.leadsAre(q, all)
	}

	// A query without a workflow, phone or external id must not return all leads.
	for _, q := range []store.LeadQuery{{}, {Limit: 1}, {States: []lead.State{lead.Enrolled}}, {Node: &node}} {
		if _, err := s.Leads(s.ctx, q); err == nil {
			s.Errorf("Leads of %+v: no error", q)
		}
		if _, err := s.Sweep(s.ctx, q); err == nil {
			s.Errorf("Sweep of %+v: no error", q)
		}
		if _, err := s.CountLeads(s.ctx, q); err == nil {
			s.Errorf("CountLeads of %+v: no error", q)
		}
	}
}

// waking makes a workflow with a lead for each of the due times, in order of their
// numbers.
func (s *suite) waking(wakes ...store.Millis) []store.Record {
	s.Helper()
	w := s.newWorkflow()
	b := store.Batch{Workflows: []store.Workflow{w}}
	var records []store.Record
	for _, wake := range wakes {
		e := s.newLead(w.Seq)
		e.Record.Wake = wake
		b.Enroll, records = append(b.Enroll, e), append(records, e.Record)
	}
	s.must(b)
	return records
}

func dueOrder(s *suite) {
	r := s.waking(30, 10, 20, 10, 40)
	order := []store.Record{r[1], r[3], r[2], r[0], r[4]}
	due := func(after store.Key, until store.Millis, limit int, want ...store.Record) {
		s.Helper()
		got, err := s.Due(s.ctx, after, until, limit)
		s.check(err)
		equal(s, fmt.Sprintf("due after %v until %d, at most %d", after, until, limit), got, want)
	}
	due(store.Key{}, store.MaxMillis, 10, order...)
	due(store.Key{}, 30, 10, order[:4]...) // until is included
	due(store.Key{}, 29, 10, order[:3]...)
	due(store.Key{}, 9, 10)
	due(store.Key{}, store.MaxMillis, 2, order[:2]...)
	due(store.Key{}, store.MaxMillis, 0)
	for i := range order { // after is not
		due(order[i].Key(), store.MaxMillis, 10, order[i+1:]...)
		due(store.Key{Wake: order[i].Wake, Seq: order[i].Seq - 1}, store.MaxMillis, 10, order[i:]...)
	}
	due(store.Key{Wake: 20, Seq: 1 << 40}, 35, 10, r[0])

	// A change moves a lead.
	change := changeOf(r[0], func(r *store.Record) { r.Wake = 5 })
	s.must(store.Batch{Changes: []store.Change{change}})
	due(store.Key{}, 10, 10, change.After, r[1], r[3])
	// One that keeps Wake keeps the place.
	step := changeOf(r[3], func(r *store.Record) { r.Visit++ })
	s.must(store.Batch{Changes: []store.Change{step}})
	s.reopen()
	due(store.Key{}, 20, 10, change.After, r[1], step.After, r[2])
}

func duePages(s *suite) {
	var wakes []store.Millis
	for i := range 40 {
		wakes = append(wakes, store.Millis(1+i%3))
	}
	all := s.waking(wakes...)
	slices.SortFunc(all, func(a, b store.Record) int {
		if a.Key().Less(b.Key()) {
			return -1
		}
		return 1
	})
	for _, size := range []int{1, 7, 40} {
		var got []store.Record
		var after store.Key
		for {
			page, err := s.Due(s.ctx, after, store.MaxMillis, size)
			s.check(err)
			if len(page) == 0 {
				break
			}
			if got = append(got, page...); len(got) > len(all) {
				s.Fatalf("%d leads and more, want %d", len(got), len(all))
			}
			after = page[len(page)-1].Key()
		}
		equal(s, "all pages", got, all)
	}
}

func finalNotDue(s *suite) {
	r := s.waking(10, 20, 30)
	s.must(store.Batch{Changes: []store.Change{
		finish(r[0]), changeOf(r[2], func(r *store.Record) { r.State, r.Wake = lead.Removed, 0 }),
	}})
	got, err := s.Due(s.ctx, store.Key{}, store.MaxMillis, 10)
	s.check(err)
	equal(s, "due", got, []store.Record{r[1]})
	got, err = s.Due(s.ctx, store.Key{Wake: -1, Seq: -1}, store.MaxMillis, 10)
	s.check(err)
	equal(s, "due since ever", got, []store.Record{r[1]})
}
