package postgres

import (
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/leadflow-go/leadflow/store"
)

// This file has who is live: the rows that let a contact have one lead in a workflow that is
// not final.

// liveLeads are the live leads of contacts.
type liveLeads map[contactIn]int64

func (l liveLeads) scan(rows pgx.Rows) error {
	var who contactIn
	var lead int64
	_, err := pgx.ForEachRow(rows, []any{&who.workflow, &who.phone, &lead}, func() error {
		l[who] = lead
		return nil
	})
	return err
}

// queueLive has each contact that has no live lead get the one that the batch enrolls,
// and afterwards has in live who has which. Contacts whose only enrollments are final at
// once, or suppressed, are left out; see readLive.
func queueLive(p *pgx.Batch, list []store.Enrollment, suppressed map[int][]int64, live liveLeads) {
	workflows, phones, leads, firsts := claims(list, suppressed)
	if len(firsts) == 0 {
		return
	}
	p.Queue(beginLiveText, workflows, phones, leads).Query(func(rows pgx.Rows) error {
		for _, e := range firsts {
			live[keyOf(e)] = e.Record.Seq
		}
		return live.scan(rows)
	})
}

// claims are the rows of the table live that the batch would have, as columns.
func claims(list []store.Enrollment, suppressed map[int][]int64) (workflows, phones, leads []int64, firsts []*store.Enrollment) {
	firsts = firstOfEach(list, suppressed)
	workflows, phones, leads = make([]int64, len(firsts)), make([]int64, len(firsts)), make([]int64, len(firsts))
	for i, e := range firsts {
		workflows[i], phones[i], leads[i] = e.Record.Workflow, e.Contact.Phone, e.Record.Seq
	}
	return workflows, phones, leads, firsts
}

// finalAtOnce reports whether the batch enrolls a lead that is never live, of a contact
// that queueLive has left out.
func finalAtOnce(list []store.Enrollment, live liveLeads) bool {
	return slices.ContainsFunc(list, func(e store.Enrollment) bool { return live[keyOf(&e)] == 0 })
}

// readLive reads which live leads the contacts have.
func readLive(list []store.Enrollment, query func(text string, args ...any) (pgx.Rows, error)) (liveLeads, error) {
	all := keysOf(list)
	rows, err := query(liveText, all.workflows, all.phones)
	if err != nil {
		return nil, err
	}
	live := liveLeads{}
	return live, live.scan(rows)
}

// contactIn is a contact in a workflow.
type contactIn struct{ workflow, phone int64 }

func keyOf(e *store.Enrollment) contactIn { return contactIn{e.Record.Workflow, e.Contact.Phone} }

// keys are the contacts of enrollments, as columns.
type keys struct{ workflows, phones, leads []int64 }

func keysOf(list []store.Enrollment) (k keys) {
	seen := make(map[contactIn]bool, len(list))
	for i := range list {
		k.leads = append(k.leads, list[i].Record.Seq)
		if who := keyOf(&list[i]); !seen[who] {
			seen[who] = true
			k.workflows, k.phones = append(k.workflows, who.workflow), append(k.phones, who.phone)
		}
	}
	return k
}

// firstOfEach returns the first enrollment of each contact in a workflow that is live and
// not suppressed, in one order, so that no two engines wait for one another.
func firstOfEach(list []store.Enrollment, suppressed map[int][]int64) (firsts []*store.Enrollment) {
	seen := make(map[contactIn]bool, len(list))
	for i := range list {
		e := &list[i]
		if who := keyOf(e); !e.Record.State.Final() && !seen[who] && suppressed[i] == nil {
			seen[who] = true
			firsts = append(firsts, e)
		}
	}
	slices.SortFunc(firsts, func(a, b *store.Enrollment) int {
		return cmp.Or(cmp.Compare(a.Record.Workflow, b.Record.Workflow), cmp.Compare(a.Contact.Phone, b.Contact.Phone))
	})
	return firsts
}
