package run

import (
	"context"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Suppressing is a suppression that is asked for.
type Suppressing struct {
	Asked store.Suppression // its Phone, ExternalID, Channel, Reason, Actor and Expires
	In    lead.WorkflowID   // the workflow for which it holds; zero for all
	// Linked: the numbers and ids of leads that share one with it are suppressed, too.
	Linked bool

	// The result: the suppression, and whether it is new; else there was one like it.
	store.Suppression
	Fresh bool
	// Also are the suppressions of the numbers and ids that are linked.
	Also  []store.Suppression
	Leads []Changed // the leads that it removed, or that skip its channel from now on
}

// suppressionKey is what makes two suppressions the same.
type suppressionKey struct {
	phone      int64
	externalID string
	workflow   int64
	channel    string
	expires    store.Millis
}

func keyOf(s *store.Suppression) suppressionKey {
	return suppressionKey{s.Phone, s.ExternalID, s.Workflow, s.Channel, s.Expires}
}

// Suppress writes suppressions and removes the leads for which they hold, all in one
// commit (promise 13). It returns when no handler is called any more for an attempt of
// theirs.
func (r *Runner) Suppress(ctx context.Context, list []*Suppressing) error {
	leads := make([]changedLeads, len(list))
	for i := range leads {
		leads[i] = changedLeads{}
	}
	var s surgery
	if err := r.do(ctx, func(l *loop) error { return l.suppress(list, leads, &s) }); err != nil {
		return err
	}
	for i := range list {
		list[i].Leads = leads[i].list()
	}
	return s.await(ctx, r)
}

// suppress decides on suppressions. leads gets those that each of them concerns.
func (l *loop) suppress(list []*Suppressing, leads []changedLeads, s *surgery) error {
	if l.flying != nil {
		return errInFlight
	}
	var fresh []store.Suppression // of all
	var of []int                  // of which of the list each of them is
	var who []Person
	for i, s := range list {
		rows, err := l.newSuppressions(s)
		if err != nil {
			return err
		}
		for _, row := range rows {
			fresh, of = append(fresh, row), append(of, i)
			who = append(who, Person{row.Phone, row.ExternalID, row.Workflow})
			l.writes.Suppressions = append(l.writes.Suppressions, row)
			l.audit(store.Audit{
				Action: AuditSuppress, Actor: row.Actor, Reason: row.Reason, Phone: row.Phone, ExternalID: row.ExternalID,
				Workflow: row.Workflow, Suppression: row.Seq,
			})
		}
	}
	byPhone, byID := map[int64][]int{}, map[string][]int{}
	for i := range fresh {
		if row := &fresh[i]; row.Phone != 0 {
			byPhone[row.Phone] = append(byPhone[row.Phone], i)
		}
		if row := &fresh[i]; row.ExternalID != "" {
			byID[row.ExternalID] = append(byID[row.ExternalID], i)
		}
	}
	err := s.decide(l, who, func(e *entry) error {
		c, workflow := &e.contact.Contact, e.view.Rec.Workflow
		holding := slices.Concat(byPhone[c.Phone], byID[c.ExternalID])
		slices.Sort(holding)
		for _, i := range slices.Compact(holding) {
			row := &fresh[i]
			if !row.Holds(c, workflow) {
				continue
			}
			note := store.Audit{Action: AuditRemove, Actor: row.Actor, Reason: row.Reason, Suppression: row.Seq}
			if row.Channel != "" {
				note.Action = "" // the suppression's own entry says it
			}
			if err := l.changePerson(e, core.SuppressedBy(row), note, leads[of[i]]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && l.share != nil {
		// Another engine may enroll one of them before the batch is on disk.
		for _, p := range who {
			l.writes.Share.Contacts = append(l.writes.Share.Contacts, store.ContactExpectation{
				Phone: p.Phone, ExternalID: p.ExternalID, Workflow: p.Workflow, Leads: s.live,
			})
		}
	}
	return err
}

// newSuppressions returns the suppressions that are asked for and not on record, with
// their numbers and ids, and sets the result in s.
func (l *loop) newSuppressions(s *Suppressing) (fresh []store.Suppression, err error) {
	s.Fresh, s.Also = false, nil
	wanted := []store.Suppression{s.Asked}
	if !s.In.IsZero() {
		f, err := l.flowByID(s.In)
		if err != nil {
			return nil, err
		}
		wanted[0].Workflow = f.Row.Seq
	}
	if s.Linked {
		linked, err := l.linked(&wanted[0])
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, linked...)
	}
	for i, w := range wanted {
		known, err := l.activeSuppressions(w.Phone, w.ExternalID)
		if err != nil {
			return nil, err
		}
		if at := slices.IndexFunc(known, func(k store.Suppression) bool { return keyOf(&k) == keyOf(&w) }); at >= 0 {
			if i == 0 {
				s.Suppression = known[at]
			}
			continue
		}
		if w.Seq, err = l.r.Store.Reserve(context.Background(), store.SuppressionSequence, 1); err != nil {
			return nil, &storeError{err}
		}
		if w.ID, err = l.r.newSuppressionID(l.now.Time(), w.Seq); err != nil {
			return nil, err
		}
		w.Created = l.now
		fresh = append(fresh, w)
		if i == 0 {
			s.Suppression, s.Fresh = w, true
		} else {
			s.Also = append(s.Also, w)
		}
	}
	return fresh, nil
}

// activeSuppressions returns the suppressions of a phone number or an external id that
// are active, whatever their scope, those of this batch included.
func (l *loop) activeSuppressions(phone int64, externalID string) ([]store.Suppression, error) {
	var list []store.Suppression
	for _, q := range []store.SuppressionQuery{{Phone: phone}, {ExternalID: externalID}} {
		if q.Phone == 0 && q.ExternalID == "" {
			continue
		}
		q.Active = l.now
		found, err := l.r.Store.Suppressions(context.Background(), q)
		if err != nil {
			return nil, &storeError{err}
		}
		list = append(list, found...)
	}
	for _, s := range l.writes.Suppressions {
		if s.Active(l.now) && (phone != 0 && s.Phone == phone || externalID != "" && s.ExternalID == externalID) {
			list = append(list, s)
		}
	}
	return list, nil
}

// maxLinked is how many leads of a person linked looks at.
const maxLinked = 10000

// linked returns suppressions for the numbers and external ids of leads that share one
// with s.
func (l *loop) linked(s *store.Suppression) ([]store.Suppression, error) {
	var list []store.Suppression
	seen := map[suppressionKey]bool{keyOf(s): true}
	for _, q := range []store.LeadQuery{{Phone: s.Phone}, {ExternalID: s.ExternalID}} {
		if q.Phone == 0 && q.ExternalID == "" {
			continue
		}
		q.Workflow, q.Limit, q.Newest = s.Workflow, maxLinked, true
		records, err := l.r.Store.Sweep(context.Background(), q)
		bad, ok := asRowErrors(err)
		if err != nil && !ok {
			return nil, &storeError{err}
		}
		l.parkAll(bad)
		seqs := make([]int64, 0, len(records)+len(bad))
		for i := range records {
			seqs = append(seqs, records[i].Seq)
		}
		for _, row := range bad {
			seqs = append(seqs, row.Seq)
		}
		contacts, err := l.r.Store.Contacts(context.Background(), seqs)
		if _, ok := asRowErrors(err); err != nil && !ok {
			return nil, &storeError{err}
		}
		for _, e := range l.fresh {
			if (Person{q.Phone, q.ExternalID, s.Workflow}).is(&e.contact.Contact, e.view.Rec.Workflow) {
				contacts = append(contacts, e.contact.Contact)
			}
		}
		for _, c := range contacts {
			for _, other := range []store.Suppression{{Phone: c.Phone}, {ExternalID: c.ExternalID}} {
				other.Workflow, other.Channel, other.Reason = s.Workflow, s.Channel, s.Reason
				other.Actor, other.Expires = s.Actor, s.Expires
				same := other.Phone == s.Phone && s.Phone != 0 || other.ExternalID == s.ExternalID && s.ExternalID != ""
				if other.Phone == 0 && other.ExternalID == "" || same || seen[keyOf(&other)] {
					continue
				}
				seen[keyOf(&other)] = true
				list = append(list, other)
			}
		}
	}
	return list, nil
}

// Lift ends a suppression.
func (r *Runner) Lift(ctx context.Context, id lead.SuppressionID, actor, reason string) (store.Suppression, error) {
	var row store.Suppression
	var s surgery
	seq := id.Seq()
	err := r.do(ctx, func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		found, err := l.r.Store.Suppressions(context.Background(), store.SuppressionQuery{Seqs: []int64{seq}})
		if err != nil {
			return &storeError{err}
		}
		if len(found) == 0 || found[0].ID != id {
			return SuppressionNotFound(id)
		}
		row = found[0]
		if !row.Active(l.now) || slices.ContainsFunc(l.writes.Suppressions, func(s store.Suppression) bool { return s.Seq == seq }) {
			return &lead.ConflictError{Reason: lead.ErrNotActive, State: stateOf(&row)}
		}
		row.Lifted, row.LiftedBy, row.LiftReason = l.now, actor, reason
		if row.Channel != "" {
			who := []Person{{row.Phone, row.ExternalID, row.Workflow}}
			err := s.decide(l, who, func(e *entry) error {
				return l.changePerson(e, core.Unbar{Suppression: seq}, store.Audit{}, changedLeads{})
			})
			if err != nil {
				return err
			}
		}
		l.writes.Suppressions = append(l.writes.Suppressions, row)
		l.audit(store.Audit{
			Action: AuditLift, Actor: actor, Reason: reason, Phone: row.Phone, ExternalID: row.ExternalID,
			Workflow: row.Workflow, Suppression: seq,
		})
		return nil
	})
	if err != nil {
		return store.Suppression{}, err
	}
	return row, nil
}

// stateOf says why a suppression is not active.
func stateOf(s *store.Suppression) string {
	if s.Lifted != 0 {
		return "lifted"
	}
	return "expired"
}

// SuppressionNotFound is the error for a suppression that does not exist.
func SuppressionNotFound(id lead.SuppressionID) error {
	return &lead.NotFoundError{Kind: "suppression", Name: id.String()}
}
