package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// walker commits random batches, most of them valid, and compares the store with the
// model.
type walker struct {
	*suite
	*rand.Rand
	model *model
	held  store.Enrollment // reserved, and to come later than those after it
}

func randomWalk(s *suite) {
	seed := rand.Uint64()
	if text := os.Getenv("STORETEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		s.check(err)
	}
	s.Logf("STORETEST_SEED=%d", seed)
	w := &walker{suite: s, Rand: rand.New(rand.NewPCG(seed, 0)), model: newModel()}
	for round := range dose(200) {
		w.round()
		if round%20 == 19 {
			equal(s, "contents", s.contents(), w.model.contents())
		}
		if round%40 == 39 {
			s.reopen()
			w.held = store.Enrollment{} // its number may be handed out again
			equal(s, "contents after reopening", s.contents(), w.model.contents())
		}
		if s.Failed() {
			s.Fatalf("round %d of STORETEST_SEED=%d", round, seed)
		}
	}
}

func (w *walker) round() {
	b := w.batch()
	if len(b.Changes) > 0 && w.IntN(6) == 0 {
		stale := &b.Changes[w.IntN(len(b.Changes))].Before
		stale.Version += 1 - 2*w.Int64N(2)
		w.conflict(b, "lead", stale.Seq)
		return // the batch failed: the model is unchanged, and so must the store be
	}
	if w.IntN(6) == 0 && w.spoil(b) {
		return
	}
	after, want := w.model.apply(&b)
	equal(w.suite, "result", w.commit(b), want)
	w.model = after
	w.ask()
}

// spoil commits a batch with a fault, if the store has the rows for it.
func (w *walker) spoil(b store.Batch) bool {
	if len(w.model.steps) == 0 {
		return false
	}
	of := w.model.leads[pick(w, slices.Sorted(maps.Keys(w.model.steps)))]
	has := stock{w.model.workflows[of.Workflow], of, pick(w, w.model.steps[of.Seq])}
	w.refused(pick(w, faults), b, has)
	return true
}

func (w *walker) batch() store.Batch {
	var b store.Batch
	workflows := slices.Sorted(maps.Keys(w.model.workflows))
	if len(workflows) < 3 && w.IntN(3) == 0 || len(workflows) == 0 {
		b.Workflows = append(b.Workflows, w.newWorkflow())
		workflows = append(workflows, b.Workflows[0].Seq)
	} else if w.IntN(10) == 0 {
		f := w.model.workflows[pick(w, workflows)]
		f.Version, f.Name = f.Version+1, strconv.Itoa(w.IntN(1000))
		b.Workflows = append(b.Workflows, f)
	}

	leads := w.model.sorted()
	w.Shuffle(len(leads), func(i, j int) { leads[i], leads[j] = leads[j], leads[i] })
	for _, l := range leads[:min(len(leads), w.IntN(8))] {
		if !l.State.Final() {
			w.change(&b, l)
		}
		if w.IntN(4) == 0 {
			b.Calls = append(b.Calls, w.callOf(l))
		}
		if w.IntN(4) == 0 {
			l.Contact.ExternalID, l.Contact.Metadata = w.externalID(), []byte{byte(w.IntN(256))}
			b.Contacts = append(b.Contacts, l.Contact)
		}
		for range w.IntN(3) {
			b.Payloads = append(b.Payloads, w.payload(l.Seq))
		}
	}
	for range w.IntN(6) {
		// Few phone numbers, so that many enrollments are refused.
		e := w.newLeadOf(pick(w, workflows), 14155550100+w.Int64N(12))
		e.Record.Wake = start + store.Millis(w.IntN(20))
		e.Contact.ExternalID = w.externalID()
		e.Contact.Enrolled += store.Millis(w.IntN(20))
		for seq := range w.model.suppressions {
			if w.IntN(3) == 0 {
				e.Knows = append(e.Knows, seq)
			}
		}
		if w.IntN(8) == 0 {
			e.Record.State, e.Record.Phase, e.Record.Wake = lead.Completed, store.PhaseEnded, 0
		}
		if w.IntN(4) == 0 {
			e, w.held = w.held, e
			if _, ok := w.model.workflows[e.Record.Workflow]; !ok { // none held, or of a batch that failed
				continue
			}
		}
		if w.IntN(3) == 0 {
			_, step := w.stepOf(e.Record)
			e.Record.LastStep = step.Seq
			b.Steps = append(b.Steps, step)
		}
		if w.IntN(3) == 0 {
			b.Calls = append(b.Calls, w.callOf(entryOf(e)))
		}
		if w.IntN(3) == 0 {
			b.Payloads = append(b.Payloads, w.payload(e.Record.Seq))
		}
		b.Enroll = append(b.Enroll, e)
		if w.IntN(3) == 0 {
			b.Audit = append(b.Audit, w.entry(e.Record.Seq))
		}
	}
	if w.IntN(5) == 0 {
		b.Suppressions = append(b.Suppressions, w.suppression(workflows))
	}
	if list := w.model.sortedSuppressions(); len(list) > 0 && w.IntN(4) == 0 {
		sup := pick(w, list)
		sup.Lifted, sup.LiftedBy = start+store.Millis(w.IntN(20)), "boss"
		b.Suppressions = append(b.Suppressions, sup)
	}
	if w.IntN(4) == 0 {
		b.Audit = append(b.Audit, w.entry(0), w.entry(pick(w, []int64{0, 1, 2})))
	}
	if w.IntN(8) == 0 {
		b.Settings = append(b.Settings, store.Setting{Name: pick(w, []string{"a", "b"}), Value: make([]byte, w.IntN(3))})
	}
	for range w.IntN(3) {
		q := pick(w, walkedStarts)
		b.Starts = append(b.Starts, store.Start{Key: q.Key, Phone: q.Phone, At: start + store.Millis(w.IntN(20)), N: 1 + w.Int32N(3)})
	}
	if w.IntN(6) == 0 {
		b.ForgetStarts = append(b.ForgetStarts, store.ForgetStarts{Key: pick(w, walkedStarts).Key, Before: start + store.Millis(w.IntN(15))})
	}
	if calls := w.model.sortedCalls(); len(calls) > 0 && w.IntN(2) == 0 {
		c := pick(w, calls)
		c.CallID = pick(w, []string{"", "CA1", "CA2"})
		c.Status, c.Ended, c.Outcome = lead.StepCompleted, start+store.Millis(w.IntN(1000)), "answered"
		b.Calls = append(b.Calls, c)
	}
	if w.IntN(10) == 0 {
		for _, l := range leads[:min(len(leads), 3)] {
			b.Forget = append(b.Forget, l.Seq)
		}
		if len(b.Enroll) > 0 {
			b.Forget = append(b.Forget, b.Enroll[0].Record.Seq)
		}
	}
	return b
}

func (w *walker) externalID() string { return pick(w, []string{"", "crm-1", "crm-2", "crm-3"}) }

// suppression is about one of those whom the walk enrolls.
func (w *walker) suppression(workflows []int64) store.Suppression {
	sup := w.suppressionOf(14155550100+w.Int64N(12), w.externalID())
	if sup.ExternalID != "" && w.IntN(2) == 0 {
		sup.Phone = 0
	}
	if w.IntN(2) == 0 {
		sup.Workflow = pick(w, workflows)
	}
	if w.IntN(2) == 0 {
		sup.Expires = start + store.Millis(w.IntN(20))
	}
	sup.Channel = pick(w, []string{"", "", "message"})
	return sup
}

func (w *walker) entry(lead int64) store.Audit {
	return store.Audit{
		At: start + store.Millis(w.IntN(20)), Actor: pick(w, []string{"", "boss"}), Action: "remove", Lead: lead, Phone: w.Int64N(2),
		ExternalID: w.externalID(), Workflow: w.Int64N(3), Detail: make([]byte, w.IntN(3)),
	}
}

// payload writes, replaces or deletes one of a few payloads.
func (w *walker) payload(lead int64) store.Payload {
	p := store.Payload{Lead: lead, Visit: w.Int32N(4)}
	if w.IntN(4) > 0 {
		p.Data = []byte{byte(w.IntN(256))}
	}
	return p
}

// change adds one of the changes that happen to leads.
func (w *walker) change(b *store.Batch, l store.Lead) {
	var c store.Change
	switch w.IntN(6) {
	case 0, 1: // a step follows a step
		var step store.Step
		c, step = w.stepOf(l.Record)
		b.Steps = append(b.Steps, step)
	case 2: // a wait
		c = changeOf(l.Record, func(r *store.Record) {
			r.Wake, r.Due, r.Phase = start+store.Millis(w.IntN(20)), start, pick(w, phases)
		})
	case 3: // only the state changes
		c = changeOf(l.Record, func(r *store.Record) { r.State, r.Phase = lead.States()[w.IntN(3)], pick(w, phases) })
	case 4: // both
		c = changeOf(l.Record, func(r *store.Record) {
			r.State, r.Wake, r.EngineState = lead.States()[w.IntN(3)], start+store.Millis(w.IntN(20)), []byte{0, byte(w.IntN(256))}
		})
	default:
		var step store.Step
		c, step = w.stepOf(l.Record)
		c.After.State, c.After.Phase, c.After.Wake, c.After.Outcome = lead.Completed, store.PhaseEnded, 0, "dropped"
		if w.IntN(2) == 0 {
			c.After.State, c.After.Outcome = lead.Removed, ""
		}
		b.Steps = append(b.Steps, step)
	}
	b.Changes = append(b.Changes, c)
}

// ask reads something random from both the store and the model.
func (w *walker) ask() {
	leads := w.model.sorted()
	if len(leads) == 0 {
		return
	}

	l := pick(w, leads)
	q := store.LeadQuery{Workflow: l.Workflow, Offset: w.IntN(3), Limit: w.IntN(5)}
	if w.IntN(2) == 0 {
		q.States = []lead.State{l.State, lead.States()[w.IntN(5)]}
	}
	if w.IntN(2) == 0 {
		q.Node = &l.Node
	}
	if w.IntN(2) == 0 {
		q.Phone = l.Contact.Phone
	}
	if w.IntN(3) == 0 {
		q.ExternalID = l.Contact.ExternalID
	}
	if q.Phone != 0 && w.IntN(2) == 0 {
		q.Workflow = 0
	}
	if w.IntN(2) == 0 {
		q.After = pick(w, leads).Seq
	}
	w.leadsAre(q, leads)
	if len(w.model.calls) > 0 {
		calls := w.model.sortedCalls()
		c := pick(w, calls)
		w.callsAre(store.CallQuery{Phone: c.Phone, Status: c.Status, Limit: w.IntN(4)}, calls)
		w.callsAre(store.CallQuery{CallID: c.CallID, Workflow: c.Workflow * w.Int64N(2)}, calls)
		w.callsAre(store.CallQuery{Lead: c.Lead, After: c.Seq - w.Int64N(3)}, calls)
		w.callsAre(store.CallQuery{Workflow: c.Workflow, From: c.Started, Limit: 5}, calls)
	}
	all := w.model.sortedSuppressions()
	w.suppressionsAre(store.SuppressionQuery{Phone: l.Contact.Phone, Active: start + store.Millis(w.IntN(20))}, all)
	w.suppressionsAre(store.SuppressionQuery{ExternalID: w.externalID(), Workflow: l.Workflow * w.Int64N(2), Limit: w.IntN(4)}, all)
	w.suppressionsAre(store.SuppressionQuery{Inactive: start + store.Millis(w.IntN(20)), Limit: w.IntN(4)}, all)
	w.suppressionsAre(store.SuppressionQuery{Active: start + store.Millis(w.IntN(20)), Limit: w.IntN(4)}, all)
	w.suppressionsAre(store.SuppressionQuery{
		Phones: []int64{l.Contact.Phone, 14155550100 + w.Int64N(12)}, ExternalIDs: []string{w.externalID(), w.externalID()}, Limit: w.IntN(4),
	}, all)
	starts := pick(w, walkedStarts)
	starts.Since = start + store.Millis(w.IntN(20))
	w.startsAre(starts, w.model.starts)
	w.auditsAre(store.AuditQuery{ExternalID: w.externalID(), Lead: w.Int64N(3), Limit: w.IntN(4)}, chained(w.model.audit))
	w.liveIs(store.LiveQuery{
		Phones: []int64{l.Contact.Phone, 14155550100 + w.Int64N(12)}, ExternalIDs: []string{w.externalID(), w.externalID()},
		Workflow: l.Workflow * w.Int64N(2),
	}, leads)
	w.dueIs(l.Key(), start+store.Millis(w.IntN(20)), w.IntN(6))
	some := leads[w.IntN(len(leads)):]
	loaded, err := w.Load(w.ctx, seqsOf(some))
	w.check(err)
	equal(w.suite, "leads", loaded, some)
	payloads, err := w.Payloads(w.ctx, l.Seq, []int32{3, 1, 3})
	w.check(err)
	equal(w.suite, "payloads", payloads, w.model.payloadsOf(l.Seq, []int32{1, 3}))
	if steps := w.model.steps[l.Seq]; len(steps) > 0 {
		found, err := w.Steps(w.ctx, []int64{l.LastStep})
		w.check(err)
		equal(w.suite, "last step", found, steps[len(steps)-1:])
	}
	contacts, err := w.Contacts(w.ctx, seqsOf(some))
	w.check(err)
	equal(w.suite, "contacts", contacts, contactsOf(some))
}

func (w *walker) dueIs(after store.Key, until store.Millis, limit int) {
	w.Helper()
	var want []store.Record
	for _, r := range w.model.contents().Due {
		if after.Less(r.Key()) && r.Wake <= until && len(want) < limit {
			want = append(want, r)
		}
	}
	got, err := w.Due(w.ctx, after, until, limit)
	w.check(err)
	equal(w.suite, fmt.Sprintf("due after %v until %d, at most %d", after, until, limit), got, want)
}

func pick[T any](w *walker, from []T) T { return from[w.IntN(len(from))] }
