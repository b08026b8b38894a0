package crash

import (
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has what the parent of the crash test sees and does while the child lives.
// survey_test.go has what follows from a copy of the file.

// witness is what has been seen.
type witness struct {
	leads  []*subject
	names  map[string]*subject // by the contact's external id
	ids    map[lead.ID]*subject
	owed   int      // callbacks that have no reply yet
	doubts []func() // what only the history can settle
}

func newWitness() witness {
	return witness{names: map[string]*subject{}, ids: map[lead.ID]*subject{}}
}

// subject is a lead as the parent knows it.
type subject struct {
	name    string
	contact lead.Contact
	id      lead.ID // zero before it is known
	acked   bool    // Enroll has returned, or the lead was found in the file
	barred  bool    // Enroll was refused because the person is suppressed
	stopped int     // the round in which it was acknowledged that the person is suppressed; -1 before
	steps   map[lead.StepID]*step
	sent    map[string]lead.StepID // scheduled messages that were delivered
	current *step                  // delivered, and its hook has not run
	removal removal
	seen    life.Witness
	found   *found // in the file, after the last kill
}

// removal is a removal as the parent asked for it.
type removal struct {
	when    string // at what the parent asks for it: see run.wish
	person  bool   // by suppressing the person
	skip    bool
	wanted  bool
	acked   bool
	state   string // at the acknowledgement, and "removed" once Wait has returned
	refused bool   // the lead was final

	inFlight *step // seen to be in flight at the acknowledgement
}

func (l *subject) reason() string { return "asked for by " + l.name }

// step is a step of which an attempt or a hook was seen.
type step struct {
	id       lead.StepID
	node     string
	message  string // what is to be sent, if it is a scheduled message
	attempts map[int]*attempt
	hooks    int
	acked    string // that a callback gave, which was acknowledged
}

type attempt struct {
	step     *step
	number   int
	key      string
	round    int  // in which it was delivered last
	again    bool // it was delivered again, or at least marked so
	script   script
	answered time.Time // when the handler was answered last
}

func (a *attempt) String() string {
	return fmt.Sprintf("attempt %d of %s (%s)", a.number, a.step.id, a.step.node)
}

// ready gives a child that has just started something to do.
func (r *run) ready() {
	rng := r.rand("ready", r.round)
	for _, l := range r.leads {
		soon := time.Duration(rng.IntN(20_000)) * time.Microsecond
		if l.stopped >= 0 && rng.IntN(4) == 0 {
			r.after(soon, func() { r.bringBack(l) })
		}
		if l.barred {
			continue
		}
		if !l.acked {
			r.enroll(l) // it is not in the file
			continue
		}
		if l.removal.wanted && !l.removal.acked && l.found.view.Removal == nil {
			r.after(soon, func() { r.remove(l) })
		}
		for _, s := range l.steps {
			for _, a := range s.attempts {
				if c := a.script.callback; c != nil && !c.replied {
					r.figures.resent++
					r.after(soon, func() { r.callBack(l, a) })
				}
			}
		}
	}
	if r.planned.last {
		r.status.dirty = true
		r.askWhetherOver()
		return
	}
	for range *leadsFlag {
		l := r.newLead()
		r.after(time.Duration(rng.IntN(100_000))*time.Microsecond, func() {
			r.enroll(l)
			r.wish(l, "enrolling", 0)
		})
	}
}

func (r *run) newLead() *subject {
	n := len(r.leads)
	name := fmt.Sprintf("c%06d", n)
	rng := r.rand("lead", name)
	l := &subject{
		name: name,
		contact: lead.Contact{
			PhoneNumber: fmt.Sprintf("+1415%07d", n), ExternalID: name, Metadata: map[string]any{"vip": rng.IntN(2) == 0},
		},
		steps: map[lead.StepID]*step{}, sent: map[string]lead.StepID{}, stopped: -1,
	}
	if r.round*10 >= *rounds { // not in the first rounds
		whens := []string{"enrolled", "later", "later", "running", "in flight", "in flight", "in flight", "retry", "retry", "outcome"}
		if n := rng.IntN(2 * len(whens)); n < len(whens) {
			l.removal.when, l.removal.skip = whens[n], rng.IntN(3) == 0
		}
		switch rng.IntN(8) {
		case 0, 1:
			l.removal.person = true
		case 2:
			l.removal.person, l.removal.when = true, "enrolling"
		}
		l.removal.skip = l.removal.skip || l.removal.person
	}
	r.leads = append(r.leads, l)
	r.names[name] = l
	return l
}

func (r *run) enroll(l *subject) {
	r.command(command{Kind: "enroll", Contact: l.contact}, func(ev event) {
		if ev.Refusal == "suppressed" && l.removal.person && l.removal.wanted {
			l.barred = true
			return
		}
		if ev.Error != "" {
			r.fault("%s cannot be enrolled: %s", l.name, ev.Error)
			return
		}
		l.acked = true
		r.figures.enrolled++
		r.identify(l, ev.Lead)
		r.wish(l, "enrolled", 0)
		r.wish(l, "later", time.Duration(r.rand("later", l.name).IntN(120))*time.Millisecond)
	})
}

func (r *run) identify(l *subject, id lead.ID) {
	if l.id.IsZero() {
		l.id, r.ids[id] = id, l
	}
	if l.id != id {
		r.fault("contact %s is lead %s and lead %s", l.name, l.id, id)
	}
}

// wish asks for the lead's removal, after a while, if this is the occasion that
// its removal waits for.
func (r *run) wish(l *subject, occasion string, after time.Duration) {
	if l.removal.when == occasion && !l.removal.wanted {
		r.after(after, func() { r.remove(l) })
	}
}

func (r *run) remove(l *subject) {
	if l.removal.acked || l.removal.refused {
		return
	}
	l.removal.wanted = true
	cmd := command{Kind: "remove", Lead: l.id, Reason: l.reason(), SkipRetries: l.removal.skip}
	if l.removal.person {
		cmd = command{Kind: "suppress", Contact: l.contact, Reason: l.reason()}
	}
	r.command(cmd, func(ev event) {
		if l.removal.person && !r.suppressed(l, ev) {
			return
		}
		switch {
		case ev.Refusal == "lead final":
			l.removal.refused = true
			r.figures.lateRemovals++
			return
		case ev.Error != "":
			r.fault("%s cannot be removed: %s", l.id, ev.Error)
			return
		}
		l.removal.acked, l.removal.state, l.removal.inFlight = true, ev.State, l.current
		var inFlight life.Attempt // of which the parent may not have heard
		if l.current != nil {
			inFlight.Step = l.current.id
		}
		state, err := lead.ParseState(ev.State)
		if err != nil {
			r.Fatal(err)
		}
		r.broken(l, l.seen.Removed(state, l.removal.skip, inFlight))
		if state == lead.Removed {
			r.figures.removed++
		} else {
			r.figures.pending++
		}
		if r.rand("again", l.name).IntN(3) == 0 {
			r.command(cmd, func(ev event) {
				if l.removal.person && (ev.New || ev.State != "") {
					r.fault("%s is suppressed twice: %+v", l.name, ev)
				}
				if ev.Error != "" && ev.Refusal != "lead final" {
					r.fault("%s cannot be removed twice: %s", l.id, ev.Error)
				}
			})
		}
	})
}

// broken notes broken promises.
func (r *run) broken(l *subject, faults []life.Fault) {
	r.Helper()
	for _, f := range faults {
		r.fault("lead %s of %s: %s", l.id, l.name, f)
	}
}

// detached hears that Wait has returned.
func (r *run) detached(ev event) {
	l, state := r.ids[ev.Lead], lead.State(0)
	if err := state.UnmarshalText([]byte(ev.State)); err != nil || l == nil {
		r.fault("the wait for the removal of %s is over, which is %s: %v", ev.Lead, ev.State, err)
		return
	}
	l.removal.state = ev.State
	r.broken(l, l.seen.Detached(state))
}

// dispatched judges the call of a handler, and has it answered.
func (r *run) dispatched(ev event) {
	if r.isDoomed(ev) {
		return
	}
	r.figures.dispatches++
	l := r.names[ev.Contact]
	if l == nil {
		r.fault("a handler is called for contact %q, whom nobody enrolled", ev.Contact)
		return
	}
	r.identify(l, ev.Lead)
	if l.stopped >= 0 && l.stopped < r.round {
		r.fault("a process that was started after %s had been suppressed calls a handler for lead %s, step %s", l.name, l.id, ev.Step)
	}
	s := l.steps[ev.Step]
	if s == nil {
		s = &step{id: ev.Step, attempts: map[int]*attempt{}}
		l.steps[ev.Step] = s
	}
	s.node, s.message = ev.Node, strings.Trim(string(ev.Message), `"`)
	a := s.attempts[ev.Attempt]
	first := a == nil
	if first {
		a = &attempt{step: s, number: ev.Attempt, key: ev.Key, script: r.script(l.name, s.node, s.message, ev.Attempt)}
		if a.script.callback != nil {
			r.owed++
		}
		r.judgeOrder(l, a, ev)
	}
	r.judge(l, a, ev)
	if ev.Redelivered {
		a.again = true
		r.figures.redeliveries++
	}
	r.judgeByFile(l, a, ev)
	r.judgeSole(l, s)
	s.attempts[ev.Attempt], a.round = a, r.round
	r.serve(l, a, ev.ID)
}

// serve does what the script of the attempt says.
func (r *run) serve(l *subject, a *attempt, id int64) {
	s := &a.script
	answer := func() {
		a.answered = time.Now()
		r.send(command{
			Kind: "answer", ID: id, Do: s.do, Outcome: s.outcome, Score: s.score, Schedule: s.schedule,
		})
		r.count("answer")
		soon := time.Duration(r.rand("soon", a.key).IntN(12_000)) * time.Microsecond
		r.wish(l, s.do, soon) // in flight, outcome
		if s.do == "error" || s.do == "again" || s.do == "panic" {
			r.wish(l, "retry", soon)
		}
		if c := s.callback; c != nil && !c.early && !c.replied {
			r.after(c.after, func() { r.callBack(l, a) })
		}
	}
	r.wish(l, "running", 0)
	if c := s.callback; c != nil && c.early && !c.replied {
		r.callBack(l, a)
	}
	if s.after == 0 && l.removal.when != "running" {
		answer()
		return
	}
	r.after(s.after+2*time.Millisecond, answer)
}

// callBack gives a step in flight its outcome from outside.
func (r *run) callBack(l *subject, a *attempt) {
	c, s := a.script.callback, a.step
	if c.replied {
		return
	}
	cmd := command{Kind: "complete", Step: s.id, Outcome: c.outcome, Score: c.score, Attempt: a.number}
	if r.rand("unnumbered", a.key).IntN(4) == 0 {
		cmd.Attempt = 0
	}
	r.figures.callbacks++
	if l.found != nil {
		l.found.touched = true
	}
	r.command(cmd, func(ev event) {
		if !c.replied {
			r.owed--
		}
		c.replied, c.refusal = true, ev.Refusal
		switch ev.Refusal {
		case "":
			r.accepted(l, a)
		case "step finished":
			r.figures.refused++
			r.doubt(l, s, "refused the callback "+c.outcome+" as finished", func(h *lead.Step) bool { return h.Outcome != c.outcome })
		case "other attempt":
			r.figures.refused++
			r.doubt(l, s, fmt.Sprintf("refused the callback for attempt %d", a.number), func(h *lead.Step) bool { return len(h.Attempts) > a.number })
		default:
			r.fault("the callback of %s of lead %s is refused: %s", a, l.id, ev.Error)
		}
	})
}

// accepted notes that a callback was acknowledged, and tries it again: the same
// is no error, and another is refused (promise 8).
func (r *run) accepted(l *subject, a *attempt) {
	c, s := a.script.callback, a.step
	r.broken(l, l.seen.Told(s.id, c.outcome))
	s.acked = c.outcome
	cmd := command{Kind: "complete", Step: s.id, Outcome: c.outcome}
	if c.again {
		r.command(cmd, func(ev event) {
			if ev.Error != "" {
				r.fault("the same callback again for step %s of lead %s is refused: %s", s.id, l.id, ev.Error)
			}
		})
	}
	if c.other {
		cmd.Outcome = "something else"
		r.command(cmd, func(ev event) {
			if ev.Refusal != "step finished" {
				r.fault("another callback for step %s of lead %s has the answer %q", s.id, l.id, ev.Error)
			}
		})
	}
}

// hooked judges the call of a hook, and has it answered.
func (r *run) hooked(ev event) {
	if r.isDoomed(ev) {
		return
	}
	r.figures.hooks++
	l := r.names[ev.Contact]
	if l == nil || l.id != ev.Lead && !l.id.IsZero() {
		r.fault("a hook is called for contact %q and lead %s", ev.Contact, ev.Lead)
		return
	}
	s := l.steps[ev.Step]
	if s == nil { // its handler was never called, or died before it could say so
		s = &step{id: ev.Step, node: ev.Node, attempts: map[int]*attempt{}}
		l.steps[ev.Step] = s
	}
	s.hooks++
	r.broken(l, l.seen.Hooked(s.id, ev.Outcome))
	if l.current == s {
		l.current = nil
	}
	if f := l.found; f != nil && !f.step(s.id).ExitedAt.IsZero() {
		r.fault("the hook of step %s of lead %s runs again although the lead went on", s.id, l.id)
	}
	rng := r.rand("hook", l.name, s.node, s.message)
	cmd := command{Kind: "answer", ID: ev.ID, Do: "ok"}
	after := time.Duration(rng.IntN(3)) * time.Millisecond
	switch n := rng.IntN(100); {
	case n < 6:
		cmd.Do = "error"
	case n < 10:
		cmd.Do = "panic"
	case n < 12 && s.hooks == 1: // else it would hang in every life that is shorter than its timeout
		cmd.Do = "hang"
	case n < 20:
		after = 20 * time.Millisecond
	}
	if after == 0 {
		r.send(cmd)
		return
	}
	r.after(after, func() { r.send(cmd) })
}
