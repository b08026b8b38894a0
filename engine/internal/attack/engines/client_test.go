//go:build unix

package engines

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// This file has what people, the provider and the owner of the workflows do.

// most is how long a client waits for an answer before it asks another engine.
const most = 3 * time.Second

// once gives a command to any of the engines that run, and returns the reply if that
// says anything of what was asked.
func (a *arena) once(cmd command) (event, bool) {
	l := a.any(nil)
	if l == nil {
		return event{}, false
	}
	ev, err := a.ask(l, cmd, most)
	ev.by = l
	a.mu.Lock()
	defer a.mu.Unlock()
	// A process that shuts down is not told of new workflows any more.
	return ev, err == nil && ev.Refusal != "other" && l.end == 0
}

// any returns any process that runs but one, or nil.
func (a *arena) any(but *process) *process {
	a.mu.Lock()
	a.lastID++
	at := a.rand("any", a.lastID).IntN(engines)
	a.mu.Unlock()
	for i := range engines {
		l := a.runs(a.slots[(at+i)%engines])
		a.mu.Lock()
		ok := l != nil && l != but && l.end == 0
		a.mu.Unlock()
		if ok {
			return l
		}
	}
	return nil
}

// isOver reports whether nothing is to be asked any more.
func (a *arena) isOver() bool {
	select {
	case <-a.over:
		return true
	default:
		return false
	}
}

// persist repeats a command until it has an answer. It returns false when the test is
// over.
func (a *arena) persist(cmd command) (event, bool) {
	for !a.isOver() {
		if ev, ok := a.once(cmd); ok {
			return ev, true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return event{}, false
}

// enrollAll has people come until all is calm.
func (a *arena) enrollAll(calm <-chan struct{}, people *sync.WaitGroup) {
	rng := a.rand("pace")
	for n := 0; ; n++ {
		select {
		case <-calm:
			return
		case <-time.After(time.Duration(rng.IntN(50)) * time.Millisecond):
			people.Go(func() { a.person(n) })
		}
	}
}

// person enrolls somebody, and does with them what the seed says.
func (a *arena) person(n int) {
	rng := a.rand("person", n)
	p := &person{phone: fmt.Sprintf("+1415%07d", 2_000_000+n), flow: a.main}
	group := fmt.Sprint("group ", n/8)
	a.mu.Lock()
	if a.doomed != nil && rng.IntN(4) == 0 {
		p.flow = a.doomed
	}
	a.people = append(a.people, p)
	a.mu.Unlock()
	s := a.enroll(p, group)
	if s == nil {
		return
	}
	if rng.IntN(4) == 0 {
		a.see(s, "its enrollment", func(lead.Lead) bool { return true })
	}
	soon := time.Duration(rng.IntN(400)) * time.Millisecond
	skip := rng.IntN(3) == 0
	switch k := rng.IntN(100); {
	case k < 30:
		time.Sleep(soon)
		a.remove(s, skip)
	case k < 45:
		a.awaitCall(s)
		a.remove(s, skip)
	case k < 55:
		for i := range 1 + rng.IntN(2) {
			a.update(s, fmt.Sprint("update ", i))
			time.Sleep(soon / 4)
		}
	case k < 60 && n%8 == 7:
		time.Sleep(soon)
		a.removeGroup(s, group, skip)
	case k < 70:
		time.Sleep(soon)
		a.suppress(p, s)
	case k < 80:
		a.awaitCall(s)
		time.Sleep(soon / 8)
		a.suppress(p, s)
	}
}

// awaitCall waits until a handler is called for the lead.
func (a *arena) awaitCall(s *story) {
	called := make(chan struct{})
	a.mu.Lock()
	s.when = sync.OnceFunc(func() { close(called) })
	a.mu.Unlock()
	select {
	case <-called:
	case <-time.After(10 * time.Second):
	case <-a.over:
	}
}

// enroll enrolls a person, and returns the lead; nil if the workflow is closed.
func (a *arena) enroll(p *person, group string) *story {
	a.mu.Lock()
	p.asked = now()
	a.mu.Unlock()
	cmd := command{Kind: "enroll", Workflow: p.flow.id, Contact: lead.Contact{PhoneNumber: p.phone, ExternalID: group}}
	for !a.isOver() {
		a.mu.Lock()
		p.times++
		a.mu.Unlock()
		ev, ok := a.once(cmd)
		switch {
		case !ok:
			time.Sleep(10 * time.Millisecond)
			continue
		case ev.Refusal == "contact live":
			// It was enrolled before, though that was not acknowledged.
			ev, ok = a.persist(command{Kind: "leads", Workflow: p.flow.id, Contact: cmd.Contact})
			switch {
			case !ok:
				return nil
			case len(ev.Leads) == 0:
				a.Errorf("%s is live, and not there", p.phone)
				return nil
			}
			ev.Lead = ev.Leads[len(ev.Leads)-1].ID
		case ev.Refusal == "workflow status" && p.flow != a.main:
			return nil
		case ev.Refusal != "":
			a.Errorf("%s cannot be enrolled: %s", p.phone, ev.Error)
			return nil
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		p.acked = append(p.acked, ev.Lead)
		return a.storyOf(ev.Lead, p.phone)
	}
	return nil
}

// storyOf returns what is known of a lead. a.mu must be held.
func (a *arena) storyOf(id lead.ID, phone string) *story {
	s := a.stories[id]
	if s == nil {
		s = &story{id: id, phone: phone, flow: a.main}
		for _, p := range a.people {
			if p.phone == phone {
				s.flow, s.asked = p.flow, p.asked
			}
		}
		if s.asked == 0 {
			a.Errorf("lead %s is %s, whom nobody enrolled", id, phone)
		}
		a.stories[id] = s
	}
	return s
}

// see reads a lead at any engine, and says whether what was acknowledged is there.
func (a *arena) see(s *story, what string, there func(lead.Lead) bool) {
	ev, ok := a.once(command{Kind: "leads", Workflow: s.flow.id, Lead: s.id})
	if !ok {
		return
	}
	a.mu.Lock()
	a.figures.reads++
	a.mu.Unlock()
	if len(ev.Leads) == 0 || !there(ev.Leads[0]) {
		a.Errorf("lead %s: %s was acknowledged, and %s, which is asked afterwards, answers %s%v", s.id, what, ev.by.name, ev.Error, ev.Leads)
	}
}

// remove removes a lead, and waits until it is final.
func (a *arena) remove(s *story, skip bool) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		ev, ok := a.persist(command{Kind: "remove", Workflow: s.flow.id, Lead: s.id, Skip: skip})
		if !ok {
			return
		}
		at := now()
		a.mu.Lock()
		switch {
		case ev.Refusal == "lead final":
			s.final = earlier(s.final, at)
		case ev.Refusal != "":
			a.Errorf("lead %s cannot be removed: %s", s.id, ev.Error)
		default:
			s.removals = append(s.removals, removal{at, ev.State == lead.Removed.String(), skip})
		}
		a.mu.Unlock()
		if ev.Refusal == "" {
			a.see(s, "removal", func(l lead.Lead) bool {
				return l.State == lead.Removed || l.State == lead.PendingRemoval && ev.State != lead.Removed.String()
			})
		}
		if ev.Refusal != "" {
			return
		}
		time.Sleep(pause)
	}
}

// removeGroup removes all leads of a group, among whom is s.
func (a *arena) removeGroup(s *story, group string, skip bool) {
	a.mu.Lock()
	var members []*story // who were acknowledged before
	for _, other := range a.stories {
		if other.flow == s.flow && a.groupOf(other.phone) == group {
			members = append(members, other)
		}
	}
	a.mu.Unlock()
	ev, ok := a.persist(command{Kind: "remove group", Workflow: s.flow.id, Group: group, Skip: skip})
	if !ok {
		return
	}
	if ev.Refusal != "" {
		a.Errorf("%s cannot be removed: %s", group, ev.Error)
		return
	}
	at := now()
	for _, m := range members {
		ev, ok := a.persist(command{Kind: "leads", Workflow: m.flow.id, Lead: m.id})
		if !ok || len(ev.Leads) == 0 {
			continue
		}
		l := ev.Leads[0]
		a.mu.Lock()
		switch {
		case l.State == lead.Completed:
			m.final = earlier(m.final, now())
		case l.Removal == nil:
			a.Errorf("%s was removed, and lead %s is %s", group, m.id, l.State)
		default:
			m.removals = append(m.removals, removal{at, false, skip && l.Removal.SkipRetries})
		}
		a.mu.Unlock()
	}
}

// groupOf is the group of a person.
func (a *arena) groupOf(phone string) string {
	var n int
	fmt.Sscanf(phone, "+1415%07d", &n)
	return fmt.Sprint("group ", (n-2_000_000)/8)
}

func (a *arena) update(s *story, key string) {
	ev, ok := a.persist(command{Kind: "update", Workflow: s.flow.id, Lead: s.id, Metadata: map[string]any{key: true}})
	switch {
	case !ok || ev.Refusal == "lead final":
	case ev.Refusal != "":
		a.Errorf("lead %s cannot be updated: %s", s.id, ev.Error)
	default:
		a.mu.Lock()
		s.updates = append(s.updates, key)
		a.mu.Unlock()
		a.see(s, key, func(l lead.Lead) bool { return l.Metadata[key] == true })
	}
}

// called hears that a handler was called, and has it answered.
func (a *arena) called(l *process, ev event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provide != nil {
		a.provide(l, ev)
		return
	}
	s := a.storyOf(ev.Lead, ev.Phone)
	c := &call{by: l, at: ev.At, step: ev.Step, node: ev.Node, number: ev.Number, key: ev.Key, redelivered: ev.Redelivered, id: ev.ID}
	times := 0
	for _, before := range s.calls {
		if before.key == c.key {
			times++
		}
	}
	s.calls = append(s.calls, c)
	if s.when != nil {
		s.when()
	}
	rng := a.rand("call", s.phone, c.node, c.number, times)
	c.do, c.outcome = "outcome", fmt.Sprintf("outcome %d of %d", times, c.number)
	after := time.Duration(rng.IntN(30)) * time.Millisecond
	switch k := rng.IntN(100); {
	case k < 15:
		c.do = "error"
	case k < 18:
		c.do = "final"
	case k < 40:
		c.do = "in flight"
	case k < 60:
		after = time.Duration(rng.IntN(4000)) * time.Millisecond
	}
	if l == a.mute {
		return
	}
	if a.calm || after == 0 || l.end != 0 {
		a.answer(s, c)
		return
	}
	time.AfterFunc(after, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.answer(s, c)
	})
}

// answer answers a handler. a.mu must be held.
func (a *arena) answer(s *story, c *call) {
	if c.answered != 0 {
		return
	}
	c.answered = now()
	if c.do == "in flight" {
		after := time.Duration(a.rand("callback", c.key).IntN(200)) * time.Millisecond
		time.AfterFunc(after, func() { a.callBack(s, c) })
	}
	c.by.send(command{Kind: "answer", ID: c.id, Do: c.do, Outcome: c.outcome})
}

// release answers all handlers of a process that wait, or those of all processes.
func (a *arena) release(l *process) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.stories {
		for _, c := range s.calls {
			if c.answered == 0 && (l == nil || c.by == l) {
				a.answer(s, c)
			}
		}
	}
}

// callBack gives a step in flight its outcome, at any engine.
func (a *arena) callBack(s *story, c *call) {
	rng := a.rand("callback", c.key)
	b := &callback{step: c.step, number: c.number, outcome: "callback of " + c.outcome, failed: rng.IntN(5) == 0, sent: now()}
	cmd := command{Kind: "complete", Step: c.step, Number: c.number, Outcome: b.outcome}
	if b.failed {
		cmd.Do = "error"
	}
	a.mu.Lock()
	s.answers = append(s.answers, b)
	a.mu.Unlock()
	ev, ok := a.persist(cmd)
	if !ok {
		return
	}
	a.mu.Lock()
	b.acked, b.refusal = now(), ev.Refusal
	switch ev.Refusal {
	case "", "step finished", "other attempt":
	default:
		a.Errorf("the callback for %s of lead %s is refused: %s", c, s.id, ev.Error)
	}
	a.mu.Unlock()
	if ev.Refusal != "" || b.failed {
		return
	}
	// The same again is no error, and another is refused (promise 8).
	if ev, ok = a.once(cmd); ok && ev.Refusal != "" {
		a.Errorf("the same callback again for %s of lead %s is refused: %s", c, s.id, ev.Error)
	}
	cmd.Outcome = "another"
	if ev, ok = a.once(cmd); ok && ev.Refusal != "step finished" {
		a.Errorf("another callback for %s of lead %s has the answer %q", c, s.id, ev.Error)
	}
}

// newFlow makes a workflow, and activates it; nil when the test is over.
func (a *arena) newFlow() *flow {
	ev, ok := a.persist(command{Kind: "create"})
	if !ok {
		return nil
	}
	if ev.Refusal != "" {
		a.Errorf("no workflow can be made: %s", ev.Error)
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &flow{id: ev.Workflow}
	a.flows = append(a.flows, f)
	return f
}

// insist gives a process a command until it has an answer, and goes on to others when
// the process has ended. It waits for each as long as that lives: what is carried out
// late would contradict what comes after it.
func (a *arena) insist(l *process, cmd command) (event, bool) {
	for ; !a.isOver(); l = a.any(nil) {
		if l == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		ev, err := a.ask(l, cmd, 0)
		a.mu.Lock()
		a.note("%s of %s at %s: %v %s", cmd.Kind, cmd.Workflow, l.name, err, ev.Error)
		a.mu.Unlock()
		if err == nil && ev.Refusal != "other" {
			return ev, true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return event{}, false
}

// paused pauses the main workflow at a process while f runs, which is told whether that
// was acknowledged.
func (a *arena) paused(l *process, f func(acked bool)) {
	if l == nil {
		f(false)
		return
	}
	ev, err := a.ask(l, command{Kind: "pause", Workflow: a.main.id}, 0)
	from := now()
	if err != nil || ev.Refusal != "" {
		from = math.MaxInt64 // it may be paused, or not
	}
	a.mu.Lock()
	a.note("the workflow is paused at %s: %v %s", l.name, err, ev.Error)
	a.mu.Unlock()
	f(from < math.MaxInt64)
	to := now()
	a.mu.Lock()
	if from < to {
		a.main.pauses = append(a.main.pauses, pause{from, to})
	}
	a.mu.Unlock()
	for !a.isOver() {
		ev, ok := a.insist(a.any(nil), command{Kind: "resume", Workflow: a.main.id})
		if !ok || ev.Refusal == "" {
			return
		}
		if ev, ok = a.insist(a.any(nil), command{Kind: "workflow", Workflow: a.main.id}); ok && ev.State == lead.WorkflowActive.String() {
			return
		}
	}
}

func (a *arena) pauseAgainAndAgain(calm <-chan struct{}) {
	rng := a.rand("pauses")
	for {
		select {
		case <-calm:
			return
		case <-time.After(time.Duration(500+rng.IntN(2500)) * time.Millisecond):
		}
		a.brakes.Lock()
		a.paused(a.any(nil), func(acked bool) {
			ev, ok := a.once(command{Kind: "workflow", Workflow: a.main.id})
			if acked && ok && ev.State != lead.WorkflowPaused.String() {
				a.Errorf("the workflow was paused, and %s says that it is %s", ev.by.name, ev.State)
			}
			time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		})
		a.brakes.Unlock()
	}
}

// cancelAgainAndAgain makes workflows, and cancels them.
func (a *arena) cancelAgainAndAgain(calm <-chan struct{}) {
	rng := a.rand("cancels")
	for {
		f := a.newFlow()
		if f == nil {
			return
		}
		a.mu.Lock()
		a.doomed = f
		a.mu.Unlock()
		over := false
		select {
		case <-calm:
			over = true
		case <-time.After(time.Duration(1000+rng.IntN(4000)) * time.Millisecond):
		}
		a.mu.Lock()
		a.doomed = nil
		a.mu.Unlock()
		ev, ok := a.insist(a.any(nil), command{Kind: "cancel", Workflow: f.id})
		if !ok {
			return
		}
		switch ev.Refusal {
		case "":
			a.mu.Lock()
			f.cancelled = now()
			a.note("workflow %s is cancelled", f.id)
			a.mu.Unlock()
		case "workflow status": // by the one before, which was not acknowledged
		default:
			a.Errorf("a workflow cannot be cancelled: %s", ev.Error)
		}
		if over {
			return
		}
	}
}
