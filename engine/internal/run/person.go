package run

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file has what concerns a person in all workflows.

// Person says who is meant: whoever has the phone number or the external id, in one
// workflow or, if that is 0, in all.
type Person struct {
	Phone      int64
	ExternalID string
	Workflow   int64
}

// Changed is a lead that a change of its person concerned.
type Changed struct {
	ID       lead.ID
	Workflow lead.WorkflowID
	State    lead.State
	Effect   core.Effect // of a signal
	// Done is closed when the lead is final; nil unless its removal is pending.
	Done  <-chan struct{}
	Fresh bool // it was changed, and was not like this before
}

// ChangePerson applies an event to all leads of a person that are not final, in one
// commit. A lead that refuses it is left out. It returns the leads in the order of their
// numbers, and, as Change does, only when no handler is called any more that the event
// forbids.
func (r *Runner) ChangePerson(ctx context.Context, who Person, event core.Event, note store.Audit) ([]Changed, error) {
	leads := changedLeads{}
	var s surgery
	err := r.do(ctx, func(l *loop) error {
		clear(leads)
		err := s.decide(l, []Person{who}, func(e *entry) error { return l.changePerson(e, event, note, leads) })
		if err == nil {
			l.expectLeads([]Person{who}, s.live)
		}
		if _, stops := event.(core.Remove); stops && err == nil {
			l.ordered(leads.list)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return leads.list(), s.await(ctx, r)
}

// changedLeads are leads by their numbers.
type changedLeads map[int64]Changed

func (c changedLeads) list() []Changed {
	out := make([]Changed, 0, len(c))
	for _, seq := range slices.Sorted(maps.Keys(c)) {
		out = append(out, c[seq])
	}
	return out
}

// changePerson applies an event to a lead of a person. A lead that refuses it is left
// out of the result.
func (l *loop) changePerson(e *entry, event core.Event, note store.Audit, leads changedLeads) error {
	f := l.flow(e.view.Rec.Workflow)
	err := l.apply(e, event)
	effect, fresh := l.turning.Effect, err == nil
	var refused *core.Refused
	switch {
	case err == nil && note.Action != "":
		l.auditLead(e, note)
	case err == nil, errors.Is(err, core.ErrUnchanged):
	case errors.As(err, &refused), errors.Is(err, lead.ErrLeadFinal):
		return nil
	default:
		return l.lasting(e, err)
	}
	c := Changed{ID: core.IDOf(&e.contact.Contact), Workflow: f.Row.ID, State: e.view.Rec.State, Effect: effect, Fresh: fresh || leads[e.seq()].Fresh}
	if c.State == lead.PendingRemoval {
		c.Done = l.r.detachment(e.seq(), c.State)
	}
	leads[e.seq()] = c
	return nil
}

// surgery is a change of all live leads of some persons, as part of one batch.
type surgery struct {
	live []int64 // their numbers, in order
	begun
}

// decide calls act with each lead of the persons that is not final. It waits until no
// batch is in flight, because that batch may enroll one of the persons; so may this one.
func (s *surgery) decide(l *loop, who []Person, act func(e *entry) error) error {
	if l.flying != nil || l.brings(who) {
		return errInFlight
	}
	s.begun = begun{}
	live, err := l.livePersons(who)
	if err != nil {
		return err
	}
	s.live = live
	for _, seq := range live {
		err := l.decideOn(seq, func(e *entry) error {
			if e == nil || e.view.Rec.State.Final() {
				return nil
			}
			err := act(e)
			s.add(l, e)
			return err
		})
		if err != nil && (storeFailed(err) || l.broken[seq] == nil) { // a lead that cannot be read concerns nobody else
			return err
		}
	}
	return nil
}

// expectLeads has the batch refused if, because of another engine, the persons have other
// leads by now, or one of them has changed: it is written as a whole or decided again.
func (l *loop) expectLeads(who []Person, live []int64) {
	if l.share == nil {
		return
	}
	for _, p := range who {
		l.writes.Share.Contacts = append(l.writes.Share.Contacts, store.ContactExpectation{
			Phone: p.Phone, ExternalID: p.ExternalID, Workflow: p.Workflow, Leads: live,
		})
	}
}

// brings reports whether this batch enrolls one of the persons, or gives a lead an external
// id by which it is one of them. The store has a say in that, so it is not known yet which
// leads they have.
func (l *loop) brings(who []Person) bool {
	return slices.ContainsFunc(slices.Concat(l.fresh, l.renamed), func(e *entry) bool {
		return slices.ContainsFunc(who, func(p Person) bool { return p.is(&e.contact.Contact, e.view.Rec.Workflow) })
	})
}

// livePersons returns the numbers of the leads of the persons that are not final, in
// order.
func (l *loop) livePersons(who []Person) ([]int64, error) {
	var live []int64
	byFlow := map[int64]*store.LiveQuery{}
	for _, p := range who {
		q := byFlow[p.Workflow]
		if q == nil {
			q = &store.LiveQuery{Workflow: p.Workflow}
			byFlow[p.Workflow] = q
		}
		if p.Phone != 0 {
			q.Phones = append(q.Phones, p.Phone)
		}
		if p.ExternalID != "" {
			q.ExternalIDs = append(q.ExternalIDs, p.ExternalID)
		}
	}
	for _, workflow := range slices.Sorted(maps.Keys(byFlow)) {
		found, err := l.r.Store.Live(context.Background(), *byFlow[workflow])
		bad, ok := asRowErrors(err)
		if err != nil && !ok {
			return nil, &storeError{err}
		}
		for _, row := range bad { // a lead can be removed although it cannot be read
			if row.Lead != nil {
				found = append(found, *row.Lead)
			}
		}
		for i := range found {
			if l.flow(found[i].Workflow).Exists() {
				live = append(live, found[i].Seq)
			}
		}
	}
	slices.SortFunc(live, cmp.Compare[int64])
	return slices.Compact(live), nil
}

// is reports whether a contact of a workflow is the person.
func (p Person) is(c *store.Contact, workflow int64) bool {
	return (p.Workflow == 0 || p.Workflow == workflow) &&
		(p.Phone != 0 && p.Phone == c.Phone || p.ExternalID != "" && p.ExternalID == c.ExternalID)
}
