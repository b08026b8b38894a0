package race

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/world"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// person is what the witness saw of one person, who may be several leads.
type person struct {
	*races
	t       *testing.T
	contact lead.Contact

	mu      sync.Mutex
	enrolls []seenEnroll
	stops   []seenStop
}

type seenEnroll struct {
	begun, ended int64
	lead         lead.ID
	err          error
}

// seenStop is whatever keeps a person from being contacted from the moment at which it has
// returned.
type seenStop struct {
	what         string
	begun, ended int64
	until        int64             // when it was about to be lifted; 0 for never
	channel      workflow.NodeType // only these steps; "" for all
	enrolls      bool              // the person may be enrolled again
	fresh        bool              // as answered: there was no such suppression
	leads        []engine.ContactLead
	err          error
}

// newPeople returns n persons whom no case has met.
func (r *races) newPeople(t *testing.T, n int) []*person {
	first := int(r.people.Add(int64(n))) - n
	list := make([]*person, n)
	for i := range list {
		list[i] = &person{races: r, t: t, contact: world.Person(first + i)}
	}
	return list
}

// racePeople enrolls n persons, the i-th in workflow i modulo their number, and plays the
// lead of each, many at the same time.
func (r *races) racePeople(t *testing.T, n int, workflows []lead.WorkflowID, act func(p *play)) []*person {
	t.Helper()
	people := r.newPeople(t, n)
	next := atomic.Int64{}
	var lanes sync.WaitGroup
	for range side {
		lanes.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				wf := workflows[i%len(workflows)]
				id, err := people[i].enroll(wf)
				if err != nil {
					t.Errorf("Enroll: %v", err)
					return
				}
				act(people[i].play(i, wf, id))
			}
		})
	}
	lanes.Wait()
	return people
}

// play returns the play of a lead of the person.
func (h *person) play(i int, wf lead.WorkflowID, id lead.ID) *play {
	p := h.races.play(h.t, i, wf, id)
	p.person = h
	return p
}

// enroll enrolls the person and has the witness know the answer.
func (h *person) enroll(wf lead.WorkflowID) (lead.ID, error) {
	seen := seenEnroll{begun: h.tick()}
	l, err := h.Eng.Enroll(context.Background(), wf, h.contact)
	seen.ended, seen.lead, seen.err = h.tick(), l.ID, err
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enrolls = append(h.enrolls, seen)
	return l.ID, err
}

// importAll enrolls the persons by one file and has the witness know the answers.
func (r *races) importAll(t *testing.T, wf lead.WorkflowID, people []*person) {
	var file strings.Builder
	file.WriteString("phone_number\n")
	for _, h := range people {
		fmt.Fprintln(&file, h.contact.PhoneNumber)
	}
	begun := r.tick()
	var seen []seenEnroll
	_, err := r.Eng.EnrollCSV(context.Background(), wf, strings.NewReader(file.String()), engine.OnRow(func(_ int, id lead.ID, err error) {
		seen = append(seen, seenEnroll{begun: begun, lead: id, err: err})
	}))
	ended := r.tick()
	if err != nil || len(seen) != len(people) {
		t.Errorf("EnrollCSV has answered %d of %d rows, %v", len(seen), len(people), err)
		return
	}
	for i, h := range people {
		seen[i].ended = ended
		h.mu.Lock()
		h.enrolls = append(h.enrolls, seen[i])
		h.mu.Unlock()
	}
}

// stop does something that stops the person, and has the witness know the answer. wait
// waits until the leads of the answer are final; nil if it does not remove them.
func (h *person) stop(seen seenStop, do func(seen *seenStop) (wait func(context.Context) error)) {
	seen.begun = h.tick()
	wait := do(&seen)
	seen.ended = h.tick()
	h.mu.Lock()
	h.stops = append(h.stops, seen)
	h.mu.Unlock()
	if seen.err != nil || wait == nil {
		return
	}
	for _, l := range seen.leads {
		h.races.track(l.ID).add(&seenRemove{
			skip: true, begun: seen.begun, ended: seen.ended, state: l.State,
			wait: func(ctx context.Context) (lead.Lead, error) {
				if err := wait(ctx); err != nil {
					return lead.Lead{}, err
				}
				return h.Eng.Lead(ctx, l.WorkflowID, l.ID)
			},
		})
	}
}

// suppress suppresses the person, everywhere or for a channel.
func (h *person) suppress(channel workflow.NodeType) {
	h.stop(seenStop{what: "Suppress", channel: channel}, func(seen *seenStop) func(context.Context) error {
		s, err := h.Eng.Suppress(context.Background(), engine.Suppress{PhoneNumber: h.contact.PhoneNumber, Channel: channel})
		seen.fresh, seen.leads, seen.err = s.New, s.Leads, err
		if channel != "" {
			return nil
		}
		return s.Wait
	})
}

// suppressAll suppresses the persons by one file.
func (r *races) suppressAll(t *testing.T, people []*person) {
	var file strings.Builder
	file.WriteString("phone_number\n")
	for _, h := range people {
		fmt.Fprintln(&file, h.contact.PhoneNumber)
	}
	begun := r.tick()
	report, err := r.Eng.SuppressCSV(context.Background(), strings.NewReader(file.String()), engine.Suppress{})
	ended := r.tick()
	if err != nil || report.Added+report.Unchanged != len(people) {
		t.Errorf("SuppressCSV has answered %+v, %v", report, err)
	}
	for _, h := range people {
		h.mu.Lock()
		h.stops = append(h.stops, seenStop{what: "SuppressCSV", begun: begun, ended: ended, fresh: report.Added == len(people)})
		h.mu.Unlock()
	}
}

// remove removes all leads of the person, without retries: else those would still begin.
func (h *person) remove() {
	h.stop(seenStop{what: "RemoveContact", enrolls: true}, func(seen *seenStop) func(context.Context) error {
		seen.leads, seen.err = h.Eng.RemoveContact(context.Background(), h.contact.PhoneNumber, engine.SkipRetries())
		return func(ctx context.Context) error {
			for _, l := range seen.leads { // to ask again is how to wait for it
				r, err := h.Eng.Remove(ctx, l.WorkflowID, l.ID)
				if err == nil {
					_, err = r.Wait(ctx)
				}
				if err != nil && !errors.Is(err, lead.ErrLeadFinal) {
					return err
				}
			}
			return nil
		}
	})
}

// hold holds the leads of the person for a while, and then suppresses the person.
func (h *person) hold(meanwhile func()) {
	h.stop(seenStop{what: "HoldContact", enrolls: true}, func(seen *seenStop) func(context.Context) error {
		seen.leads, seen.err = h.Eng.HoldContact(context.Background(), h.contact.PhoneNumber, engine.Hold{})
		return nil
	})
	meanwhile()
	h.mu.Lock()
	h.stops[len(h.stops)-1].until = h.tick()
	h.mu.Unlock()
	if _, err := h.Eng.ReleaseContact(context.Background(), h.contact.PhoneNumber); err != nil {
		h.t.Errorf("ReleaseContact: %v", err)
	}
	h.suppress("")
}

// settle waits until no lead of the persons is live.
func (r *races) settle(t *testing.T, people []*person) {
	t.Helper()
	live := []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}
	for _, h := range people {
		for giveUp := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			leads, err := r.Eng.ContactLeads(context.Background(), engine.ContactFilter{PhoneNumber: h.contact.PhoneNumber, States: live})
			if err != nil {
				t.Fatal(err)
			}
			if len(leads) == 0 {
				break
			}
			if time.Now().After(giveUp) {
				t.Fatalf("%s is live, and suppressed: %+v", h.contact.PhoneNumber, leads)
			}
		}
	}
}

// The engine calls a handler, and lets the caller who waits for that go on. The handler's
// goroutine may be stopped between the call and its first instruction, with which the
// witness takes the moment, and nobody but the scheduler knows. So the witness can see an
// attempt that was begun before as one that begins after the answer. On a busy machine it
// happens in one of some ten thousand races; if nobody waited it would be in one of twenty.
// mostLate is how many of n may be late.
func mostLate(n int) int { return 4 + n/200 }

const late = "called as the answer was given"

// checkPeople judges what the witness saw of the persons: see judge.
func (r *races) checkPeople(t *testing.T, people []*person) {
	t.Helper()
	ways := map[string]int{}
	for _, h := range people {
		leads, err := r.Eng.ContactLeads(context.Background(), engine.ContactFilter{PhoneNumber: h.contact.PhoneNumber})
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range h.judge(leads, ways) {
			t.Errorf("%s: %s", h.contact.PhoneNumber, fault)
		}
	}
	t.Logf("%d persons: %v", len(people), ways)
	if n := ways[late]; n > mostLate(len(people)) {
		t.Errorf("%d of %d persons were called after they had been stopped", n, len(people))
	}
}

// judge returns what breaks promise 13 or 17: no attempt begins after the person was
// stopped, and nobody is enrolled after a suppression. ways counts what happened.
func (h *person) judge(leads []lead.Lead, ways map[string]int) (faults []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	fresh, suppressions := 0, 0
	for _, s := range h.stops {
		if s.err != nil {
			fault("%s: %v", s.what, s.err)
			continue
		}
		if strings.HasPrefix(s.what, "Suppress") {
			suppressions++
		}
		if s.fresh {
			fresh++
		}
		for _, l := range leads {
			h.judgeLead(&s, l, ways, fault)
		}
		for _, e := range h.enrolls {
			switch after := e.begun > s.ended && !s.enrolls && s.channel == ""; {
			case after && !errors.Is(e.err, lead.ErrSuppressed):
				fault("the person is enrolled after %s has returned: %v", s.what, e.err)
			case after:
				ways["not enrolled"]++
			}
		}
		for _, was := range s.leads {
			if !slices.ContainsFunc(leads, func(l lead.Lead) bool { return l.ID == was.ID }) {
				fault("%s names lead %s, who is not the person's", s.what, was.ID)
			}
			ways[s.what+" of "+was.State.String()]++
		}
	}
	if suppressions > 0 && fresh != 1 {
		fault("%d of %d suppressions are new", fresh, suppressions)
	}
	enrolled := 0
	for _, e := range h.enrolls {
		switch {
		case e.err == nil:
			enrolled++
			if !slices.ContainsFunc(leads, func(l lead.Lead) bool { return l.ID == e.lead }) {
				fault("lead %s was enrolled and is not there", e.lead)
			}
		case errors.Is(e.err, lead.ErrSuppressed) && suppressions > 0, errors.Is(e.err, lead.ErrContactLive):
		default:
			fault("Enroll: %v", e.err)
		}
	}
	if enrolled != len(leads) {
		fault("the person was enrolled %d times, and is %d leads", enrolled, len(leads))
	}
	return faults
}

// judgeLead judges what began for a lead after a stop. An attempt that was in flight, by
// what a caller was answered, may be late: see mostLate.
func (h *person) judgeLead(s *seenStop, l lead.Lead, ways map[string]int, fault func(string, ...any)) {
	inFlight := slices.ContainsFunc(h.stops, func(s seenStop) bool {
		return slices.ContainsFunc(s.leads, func(was engine.ContactLead) bool { return was.ID == l.ID && was.State.InFlight() })
	})
	tr := h.races.track(l.ID)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var after []*seenCall
	for _, c := range tr.calls {
		if c.begun > s.ended && (s.until == 0 || c.begun < s.until) && (s.channel == "" || c.channel == s.channel) {
			after = append(after, c)
		}
	}
	if len(after) == 1 && inFlight {
		ways[late]++
		return
	}
	for _, c := range after {
		fault("attempt %d of step %s of lead %s begins after %s has returned\n\thistory: %s", c.attempt, c.step, l.ID, s.what, h.Path(l))
	}
}
