//go:build unix

package engines

import (
	"fmt"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// This file has what people do who say stop: they are suppressed, while others enroll and
// import them at other engines.

// suppress suppresses a person at any engine, and tries to bring them back.
func (a *arena) suppress(p *person, s *story) {
	var beside sync.WaitGroup
	beside.Go(func() { a.enrollAgain(p) })
	beside.Go(func() { a.importAgain(p) })
	ev, ok := a.persist(command{Kind: "suppress", Contact: lead.Contact{PhoneNumber: p.phone}})
	at := now()
	if ok && ev.Refusal != "" {
		a.Errorf("%s cannot be suppressed: %s", p.phone, ev.Error)
	}
	if ok {
		a.mu.Lock()
		p.stopped = at
		a.figures.suppressions++
		a.mu.Unlock()
	}
	beside.Wait()
	if !ok {
		return
	}
	a.see(s, "suppression", func(l lead.Lead) bool { return l.State == lead.Completed || l.Removal != nil })
	for range 2 {
		a.enrollAgain(p)
		a.importAgain(p)
	}
}

// enrollAgain enrolls a person who may be a lead, and may be suppressed.
func (a *arena) enrollAgain(p *person) {
	asked := now()
	a.mu.Lock()
	p.times++
	a.mu.Unlock()
	ev, ok := a.once(command{Kind: "enroll", Workflow: p.flow.id, Contact: lead.Contact{PhoneNumber: p.phone}})
	if !ok {
		return // it may still be carried out
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case ev.Refusal == "workflow status" && p.flow != a.main:
	case p.stopped != 0 && p.stopped < asked && ev.Refusal != "suppressed":
		a.Errorf("%s was suppressed, and %s, which is asked to enroll them afterwards, answers %q", p.phone, ev.by.name, ev.Error)
	case ev.Refusal == "":
		p.acked = append(p.acked, ev.Lead)
		a.storyOf(ev.Lead, p.phone)
	case ev.Refusal != "suppressed" && ev.Refusal != "contact live":
		a.Errorf("%s cannot be enrolled: %s", p.phone, ev.Error)
	}
}

// importAgain imports a person who may be a lead, and may be suppressed, together with
// somebody new.
func (a *arena) importAgain(p *person) {
	other := &person{flow: p.flow, asked: now(), times: 1}
	a.mu.Lock()
	p.times++
	other.phone = fmt.Sprintf("+1415%07d", 5_000_000+len(a.people))
	a.people = append(a.people, other)
	a.mu.Unlock()
	ev, ok := a.once(command{Kind: "import", Workflow: p.flow.id, Contacts: []lead.Contact{{PhoneNumber: p.phone}, {PhoneNumber: other.phone}}})
	switch {
	case !ok, ev.Refusal == "workflow status" && p.flow != a.main:
		return
	case ev.Refusal != "" || len(ev.Imported) != 2:
		a.Errorf("%s and %s cannot be imported: %s", p.phone, other.phone, ev.Error)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.stopped != 0 && p.stopped < other.asked && !ev.Imported[0].IsZero() {
		a.Errorf("%s was suppressed, and %s, which is asked to import them afterwards, does", p.phone, ev.by.name)
	}
	for i, p := range []*person{p, other} {
		if id := ev.Imported[i]; !id.IsZero() {
			p.acked = append(p.acked, id)
			a.storyOf(id, p.phone)
		}
	}
}

// blink is how much later than the answer to a suppression a handler may be seen that was
// called before it: the scheduler may stop its goroutine before it takes the time.
const blink = 100 * time.Millisecond

// judgeStop judges that no attempt begins after the person was suppressed (promise 13).
func (s *story) judgeStop(calls []*call, fault func(bool, string, ...any)) {
	late := 0
	for _, c := range calls {
		if s.stopped == 0 || c.at <= s.stopped {
			continue
		}
		late++
		fault(late > 1 || c.at > s.stopped.plus(blink), "%s begins %s after the person was suppressed", c, time.Duration(c.at-s.stopped))
	}
}
