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

// SuppressRequest is a list of suppressions that the loop was asked for.
type SuppressRequest struct {
	run     *Runner
	list    []*Suppressing
	leads   []changedLeads
	surgery surgery
	request *request
}

// Suppress asks for suppressions, which are written together with the removal of the leads
// for which they hold, all in one commit (promise 13). It does not wait for the commit.
// With a rehearsal nothing is written, and the result is what would be.
func (r *Runner) Suppress(ctx context.Context, list []*Suppressing, dry *Rehearsal) (*SuppressRequest, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := r.Current(); err != nil {
		return nil, err
	}
	q := &SuppressRequest{run: r, list: list, leads: make([]changedLeads, len(list))}
	for i := range q.leads {
		q.leads[i] = changedLeads{}
	}
	q.request = &request{answer: make(chan error, 1), decide: func(l *loop) error {
		for _, m := range q.leads {
			clear(m)
		}
		if dry != nil {
			return l.rehearse(list, q.leads, &q.surgery, dry)
		}
		return l.suppress(list, q.leads, &q.surgery)
	}}
	if !r.inbox.ask(q.request) {
		return nil, ErrNotRunning
	}
	return q, nil
}

// Wait waits until the suppressions are on disk, and no handler is called any more for an
// attempt that they forbid.
func (q *SuppressRequest) Wait(ctx context.Context) error {
	if err := q.run.answer(ctx, q.request); err != nil {
		return err
	}
	for i := range q.list {
		q.list[i].Leads = q.leads[i].list()
	}
	return q.surgery.await(ctx, q.run)
}

// suppress decides on suppressions. leads gets those that each of them concerns.
func (l *loop) suppress(list []*Suppressing, leads []changedLeads, s *surgery) error {
	if l.flying != nil {
		return errInFlight
	}
	who, fresh, of, err := l.newSuppressions(list, nil)
	if err != nil {
		return err
	}
	if l.brings(who) {
		return errInFlight
	}
	for i := range fresh {
		row := &fresh[i]
		l.writes.Suppressions = append(l.writes.Suppressions, *row)
		l.audit(store.Audit{
			Action: AuditSuppress, Actor: row.Actor, Reason: row.Reason, Phone: row.Phone, ExternalID: row.ExternalID,
			Workflow: row.Workflow, Suppression: row.Seq,
		})
	}
	// Also of those who are suppressed already, for the handlers that are about to be called.
	err = l.concern(s, who, fresh, func(e *entry, i int) error {
		row := &fresh[i]
		note := store.Audit{Action: AuditRemove, Actor: row.Actor, Reason: row.Reason, Suppression: row.Seq}
		if row.Channel != "" {
			note.Action = "" // the suppression's own entry says it
		}
		return l.changePerson(e, core.SuppressedBy(row), note, leads[of[i]])
	})
	if err != nil {
		return err
	}
	for i := range fresh {
		same := i > 0 && of[i] == of[i-1]
		if removes := fresh[i].Channel == ""; removes && !same && len(leads[of[i]]) > 0 {
			l.ordered(leads[of[i]].list)
		}
	}
	l.expectLeads(personsOf(fresh), s.live) // another engine may enroll one of them before the batch is on disk
	return nil
}

// personsOf returns who is suppressed.
func personsOf(list []store.Suppression) []Person {
	who := make([]Person, len(list))
	for i := range list {
		who[i] = Person{list[i].Phone, list[i].ExternalID, list[i].Workflow}
	}
	return who
}

// concern calls act with each lead of these persons that is not final, and each suppression
// of the list that holds for it.
func (l *loop) concern(s *surgery, who []Person, list []store.Suppression, act func(e *entry, i int) error) error {
	byPhone, byID := map[int64][]int{}, map[string][]int{}
	for i := range list {
		row := &list[i]
		if row.Phone != 0 {
			byPhone[row.Phone] = append(byPhone[row.Phone], i)
		}
		if row.ExternalID != "" {
			byID[row.ExternalID] = append(byID[row.ExternalID], i)
		}
	}
	return s.decide(l, who, func(e *entry) error {
		c, workflow := &e.contact.Contact, e.view.Rec.Workflow
		holding := slices.Concat(byPhone[c.Phone], byID[c.ExternalID])
		slices.Sort(holding)
		for _, i := range slices.Compact(holding) {
			if list[i].Holds(c, workflow) {
				if err := act(e, i); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// newSuppressions returns the persons who are to be suppressed, the suppressions that are
// asked for and not on record, with their numbers and ids, and of which of the list each of
// them is. It sets the results in the list, and reads all that is on record at once. In a
// dry run they get no numbers.
func (l *loop) newSuppressions(list []*Suppressing, dry *Rehearsal) (who []Person, fresh []store.Suppression, of []int, err error) {
	wanted := make([][]store.Suppression, len(list))
	var phones []int64
	var ids []string
	for i, s := range list {
		if wanted[i], err = l.wanted(s); err != nil {
			return nil, nil, nil, err
		}
		for _, w := range wanted[i] {
			who = append(who, Person{w.Phone, w.ExternalID, w.Workflow})
			if w.Phone != 0 {
				phones = append(phones, w.Phone)
			}
			if w.ExternalID != "" {
				ids = append(ids, w.ExternalID)
			}
		}
	}
	found, stored, err := l.activeSuppressions(phones, ids)
	if err != nil {
		return nil, nil, nil, err
	}
	if dry == nil { // another engine may suppress one of them, too
		l.expectSuppressions(store.SuppressionExpectation{Phones: phones, ExternalIDs: ids, At: l.now, Seqs: stored})
	}
	known := map[suppressionKey]store.Suppression{}
	for _, k := range slices.Backward(found) { // so that the first counts
		known[keyOf(&k)] = k
	}
	for i, s := range list {
		s.Fresh, s.Also = false, nil
		for n, w := range wanted[i] {
			old, same := known[keyOf(&w)]
			if dry.knows(keyOf(&w), l.current) {
				old, same = w, true
			}
			if !same {
				if dry == nil {
					err = l.number(&w)
				}
				if err != nil {
					return nil, nil, nil, err
				}
				old, known[keyOf(&w)] = w, w
				fresh, of = append(fresh, w), append(of, i)
			}
			switch {
			case n == 0:
				s.Suppression, s.Fresh = old, !same
			case !same:
				s.Also = append(s.Also, w)
			}
		}
	}
	return who, fresh, of, nil
}

// number gives a suppression its number, id and time.
func (l *loop) number(s *store.Suppression) (err error) {
	if s.Seq, err = l.r.Store.Reserve(context.Background(), store.SuppressionSequence, 1); err != nil {
		return &storeError{err}
	}
	s.ID, err = l.r.newSuppressionID(l.now.Time(), s.Seq)
	s.Created = l.now
	return err
}

// wanted returns what is asked for: the suppression, and those of linked numbers and ids.
func (l *loop) wanted(s *Suppressing) ([]store.Suppression, error) {
	asked := s.Asked
	if !s.In.IsZero() {
		f, err := l.flowByID(s.In)
		if err != nil {
			return nil, err
		}
		asked.Workflow = f.Row.Seq
	}
	list := []store.Suppression{asked}
	if s.Linked {
		if l.brings(personsOf(list)) {
			return nil, errInFlight
		}
		linked, err := l.linked(&asked)
		return append(list, linked...), err
	}
	return list, nil
}

// activeSuppressions returns the suppressions of any of the phone numbers or external ids
// that are active, whatever their scope, as this batch leaves them, and the numbers of
// those that are on disk.
func (l *loop) activeSuppressions(phones []int64, ids []string) (list []store.Suppression, stored []int64, err error) {
	q := store.SuppressionQuery{Phones: phones, ExternalIDs: ids, Active: l.now}
	if !q.OfPersons() {
		return nil, nil, nil
	}
	if list, err = l.r.Store.Suppressions(context.Background(), q); err != nil {
		return nil, nil, &storeError{err}
	}
	for i := range list {
		stored = append(stored, list[i].Seq)
	}
	for _, s := range l.writes.Suppressions {
		switch {
		case !s.Active(l.now): // lifted in this batch
			list = slices.DeleteFunc(list, func(old store.Suppression) bool { return old.Seq == s.Seq })
		case q.Matches(&s):
			list = append(list, s)
		}
	}
	return list, stored, nil
}

// expectSuppressions has the batch refused if, because of another engine, suppressions are
// not as it was decided on.
func (l *loop) expectSuppressions(e store.SuppressionExpectation) {
	if l.share != nil {
		l.writes.Share.Suppressed = append(l.writes.Share.Suppressed, e)
	}
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
		l.expectSuppressions(store.SuppressionExpectation{Seqs: []int64{seq}})
		row.Lifted, row.LiftedBy, row.LiftReason = l.now, actor, reason
		if row.Channel != "" {
			who := []Person{{row.Phone, row.ExternalID, row.Workflow}}
			err := s.decide(l, who, func(e *entry) error {
				return l.changePerson(e, core.Unbar{Suppression: seq}, store.Audit{}, changedLeads{})
			})
			if err != nil {
				return err
			}
			l.expectLeads(who, s.live)
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
