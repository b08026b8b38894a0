package engine_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

var (
	limitWeeks    = flag.Int("week.n", 2, "how many weeks TestAWeekOfLimits lets pass: 200 in a long run")
	limitWeekSeed = flag.Uint64("week.seed", 0, "seed of TestAWeekOfLimits; 0 means a new one")
)

// weekLimit is a limit, with where it holds.
type weekLimit struct {
	workflow.Limit
	flow int    // -1: all
	node string // "": all
}

// key names what the limit counts.
func (l *weekLimit) key() string {
	c := l.Limit
	c.InFlight, c.Starts, c.PerContact = min(c.InFlight, 1), min(c.Starts, 1), min(c.PerContact, 1)
	return fmt.Sprint(l.flow, l.node, c)
}

func (l *weekLimit) counts(a *weekAttempt) bool {
	return (l.flow < 0 || l.flow == a.flow) && (l.node == "" || l.node == a.node) &&
		(l.Channel == "" || l.Channel == a.channel) && (l.RateKey == "" || l.RateKey == a.rateKey)
}

// weekAttempt is an attempt that is made, or that a lead waits for.
type weekAttempt struct {
	lead       lead.ID
	flow       int
	node       string
	channel    workflow.NodeType
	rateKey    string
	phone      string
	number     int
	due        time.Time
	begun, end time.Time
	ring       string    // the idempotency key
	runs       time.Time // when its handler returns
}

func (a *weekAttempt) name() string { return fmt.Sprint(a.lead, a.node, a.number) }

// week is the provider's own record of a week, kept by the handlers.
type week struct {
	t       *testing.T
	w       *enginetest.World
	r       *rand.Rand
	own     []weekLimit // of workflows and nodes
	all     []weekLimit // for all workflows
	flying  []*weekAttempt
	waiting map[lead.ID]*weekAttempt
	seen    map[string]bool           // attempts that have begun, by lead, node and number
	starts  map[string][]*weekAttempt // by limit, those that count for it
	changed time.Time                 // when limits changed, or a crash was
	begun   int
	looked  int // how many waiting leads were found to be kept by a limit
}

func (k *week) limits() []weekLimit { return slices.Concat(k.own, k.all) }

// used is how many attempts, at some moment in the time before now, the limit counted
// besides a.
func (k *week) used(l *weekLimit, a *weekAttempt, before time.Duration) (n int) {
	since := k.w.Now().Add(-before)
	if l.InFlight > 0 {
		for _, other := range k.flying {
			if other != a && other.ring != a.ring && l.counts(other) && other.end.After(since) {
				n++
			}
		}
		return n
	}
	list := k.starts[l.key()]
	for i := len(list) - 1; i >= 0 && !list[i].begun.Before(since.Add(-time.Duration(l.Per))); i-- {
		if l.PerContact == 0 || list[i].phone == a.phone {
			n++
		}
	}
	return n
}

// full returns the limit that keeps an attempt from starting.
func (k *week) full(a *weekAttempt, before time.Duration) (string, bool) {
	for _, l := range k.limits() {
		if l.counts(a) && k.used(&l, a, before) >= max(l.InFlight, l.Starts, l.PerContact) {
			return fmt.Sprintf("%+v", l), true
		}
	}
	return "", false
}

// begin records an attempt, and refuses it if a limit is exceeded.
func (k *week) begin(a *weekAttempt) {
	k.begun++
	for _, other := range k.flying {
		if other.ring == a.ring { // interrupted by a crash
			other.end = k.w.Now()
		}
	}
	k.flying = slices.DeleteFunc(k.flying, func(a *weekAttempt) bool { return a.end.Before(k.w.Now().Add(-2 * time.Second)) })
	if limit, full := k.full(a, 0); full {
		k.t.Errorf("%s: lead %s begins %s although the limit is reached: %s", k.w.Now(), a.lead, a.node, limit)
		for _, other := range k.flying {
			k.t.Logf("in flight: %s at %s of %d, %s, until %s", other.lead, other.node, other.flow, other.rateKey, other.end)
		}
		k.t.FailNow()
	}
	k.flying = append(k.flying, a)
	for _, l := range k.limits() {
		if list := k.starts[l.key()]; l.InFlight == 0 && l.counts(a) && (list == nil || list[len(list)-1] != a) {
			k.starts[l.key()] = append(list, a)
		}
	}
}

// look finds leads that wait although all their limits have allowed an attempt for a
// second.
func (k *week) look() {
	const patience = time.Second
	now := k.w.Now()
	if now.Sub(k.changed) <= patience {
		return
	}
	for id, a := range k.waiting {
		if !a.due.Before(now.Add(-patience)) {
			continue
		}
		if _, full := k.full(a, patience); full {
			k.looked++
			continue
		}
		x, err := k.w.Engine().Explain(background, k.w.Lead(k.t, id).WorkflowID, id)
		k.t.Errorf("%s: lead %s waits for %s since %s, although no limit keeps it: %+v, %v", now, id, a.node, a.due, x, err)
		k.t.FailNow()
	}
}

func (k *week) drawLimit() workflow.Limit {
	r := k.r
	per := workflow.Duration([]time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}[r.IntN(5)])
	switch r.IntN(5) {
	case 0, 1:
		return workflow.Limit{InFlight: 1 + r.IntN(4)}
	case 2:
		return workflow.Limit{PerContact: 1 + r.IntN(3), Per: per}
	}
	return workflow.Limit{Starts: 1 + r.IntN(10), Per: per}
}

// draw draws limits of which each may choose among the attempts.
func (k *week) draw() (list []workflow.Limit) {
	for range k.r.IntN(4) {
		l := k.drawLimit()
		switch k.r.IntN(4) {
		case 0:
			l.Channel = []workflow.NodeType{workflow.VoiceCall, workflow.Message}[k.r.IntN(2)]
		case 1:
			l.RateKey = []string{"red", "blue"}[k.r.IntN(2)]
		}
		list = append(list, l)
	}
	return list
}

// No limit is exceeded at any instant of a week, and nobody waits whom all limits
// allow, while limits change and the process crashes.
func TestAWeekOfLimits(t *testing.T) {
	seed := *limitWeekSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	weeks := *limitWeeks
	if raceEnabled {
		weeks = min(weeks, 1) // it has one goroutine
	}
	for i := range weeks {
		t.Logf("-week.seed=%d", seed+uint64(i))
		weekOfLimits(t, seed+uint64(i))
		if t.Failed() {
			return
		}
	}
}

func weekOfLimits(t *testing.T, seed uint64) {
	k := &week{t: t, r: rand.New(rand.NewPCG(seed, 2)), waiting: map[lead.ID]*weekAttempt{}, starts: map[string][]*weekAttempt{}, seen: map[string]bool{}}
	const retryDelay, attempts, length = 3 * time.Minute, 3, 7 * 24 * time.Hour
	flowOf := map[lead.WorkflowID]int{}
	wait := func(a weekAttempt, node string, number int, due time.Time) {
		a.node, a.number, a.due = node, number, due
		a.channel = map[string]workflow.NodeType{"call": workflow.VoiceCall, "text": workflow.Message}[node]
		if node == "text" {
			a.rateKey = "blue"
		}
		if !k.seen[a.name()] { // the engine may come first at the same instant
			k.waiting[a.lead] = &a
		}
	}
	answer := func(ea *enginetest.Attempt) enginetest.Reply {
		now := k.w.Now()
		a := &weekAttempt{
			lead: ea.LeadID, flow: flowOf[ea.WorkflowID], node: ea.Node.ID, channel: ea.Node.Type, rateKey: "blue",
			phone: ea.Contact.PhoneNumber, number: ea.Number, begun: now, ring: ea.IdempotencyKey,
		}
		if a.node == "call" {
			a.rateKey, _ = ea.Contact.Metadata["line"].(string)
		}
		reply := enginetest.Reply{}
		if ea.Chance("takes") < 0.5 {
			reply.Takes = ea.Between("for", 0, 20*time.Second).Truncate(time.Millisecond)
		}
		fails := ea.Chance("fails") < 0.2
		switch {
		case fails:
			reply.Err = errors.New("busy")
		case a.node == "call" && reply.Takes == 0: // or a callback of an interrupted attempt might come
			reply.After = ea.Between("talk", time.Second, 4*time.Minute).Truncate(time.Millisecond)
		}
		a.runs = now.Add(reply.Takes)
		a.end = a.runs.Add(reply.After)
		k.begin(a)
		k.seen[a.name()] = true
		delete(k.waiting, a.lead)
		k.w.After(a.end.Sub(now), func() {
			switch {
			case a.end.After(k.w.Now()): // a crash interrupted it
			case !slices.Contains(k.flying, a):
			case fails && a.number < attempts:
				wait(*a, a.node, a.number+1, a.end.Add(retryDelay))
			case a.node == "call":
				wait(*a, "text", 1, a.end)
			}
		})
		return reply
	}
	k.w = enginetest.New(t, enginetest.Config{Seed: seed, Script: enginetest.Script{"call": answer, "text": answer}})
	var flows []lead.WorkflowID
	for i := range 2 + k.r.IntN(3) {
		def := map[string]any{}
		retry := map[string]any{"max_attempts": attempts, "delay": retryDelay.String()}
		call := map[string]any{"id": "call", "type": "voice_call", "retry": retry, "rate_key": "metadata.line", "timeout": "24h"}
		text := map[string]any{"id": "text", "type": "message", "retry": retry, "rate_key": "blue"}
		limits := k.draw()
		if len(limits) > 0 {
			def["limits"] = limits
		}
		for _, l := range limits {
			k.own = append(k.own, weekLimit{l, i, ""})
		}
		if k.r.IntN(2) == 0 {
			l := k.drawLimit()
			call["limits"] = []workflow.Limit{l}
			k.own = append(k.own, weekLimit{l, i, "call"})
		}
		def["name"], def["entry"], def["nodes"] = "week", "call", []any{call, text, map[string]any{"id": "won", "type": "converted"}}
		def["edges"] = []any{map[string]any{"from": "call", "to": "text", "label": "default"}, map[string]any{"from": "text", "to": "won", "label": "default"}}
		raw, err := json.Marshal(def)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := workflow.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		id := k.w.Activate(t, parsed)
		flowOf[id] = i
		flows = append(flows, id)
	}
	people := 0
	for at := time.Duration(0); at < length; at += time.Duration(k.r.Int64N(int64(12 * time.Hour))) {
		n := 1 + k.r.IntN(20)
		first := people
		people += n
		k.w.After(at, func() {
			for i := range n {
				c := enginetest.Contact(first + i)
				line := []string{"red", "blue", "green"}[i%3]
				c.Metadata = map[string]any{"line": line}
				for flow, id := range flows { // the same person in several workflows
					if (first+i)%(flow+1) == 0 {
						wait(weekAttempt{lead: k.w.Enroll(t, id, c), flow: flow, phone: c.PhoneNumber, rateKey: line}, "call", 1, k.w.Now())
					}
				}
			}
		})
	}
	for range 40 {
		k.w.After(time.Duration(k.r.Int64N(int64(length))), func() {
			// A lead that waits for its own limit has its time on disk, and a change of the
			// limit does not move it.
			limits := slices.DeleteFunc(k.draw(), func(l workflow.Limit) bool { return l.PerContact > 0 })
			if err := k.w.Engine().SetLimits(background, limits); err != nil {
				t.Error(err)
			}
			k.all = nil
			for _, l := range limits {
				k.all = append(k.all, weekLimit{l, -1, ""})
			}
			k.changed = k.w.Now()
		})
	}
	for range 10 {
		k.w.After(time.Duration(k.r.Int64N(int64(length))), func() {
			if err := k.w.Crash(); err != nil {
				t.Error(err)
			}
			k.changed = k.w.Now()
			for _, a := range k.flying {
				if !a.end.After(k.changed) || !a.runs.After(k.changed) {
					continue
				}
				a.end = k.changed.Add(workflow.MaxDuration) // until it is delivered again
				b := *a
				b.due = k.changed
				k.waiting[a.lead] = &b
			}
		})
	}
	for range 1000 {
		k.w.After(time.Duration(k.r.Int64N(int64(length))), k.look)
	}
	k.w.Run(t, length)
	k.w.PromisesHold(t)
	t.Logf("%d attempts; %d times a lead was kept waiting by a limit", k.begun, k.looked)
	if k.begun == 0 {
		t.Error("nothing began")
	}
}

// shared is a definition of one call, with what more is said.
func shared(t *testing.T, more string) *workflow.Definition {
	t.Helper()
	def, err := workflow.Parse([]byte(callsOnly(more)))
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// Workflows that share lines get shares by their priority while all have leads waiting,
// and each serves its leads in order, over a crash and however long the calls last.
func TestSharedLinesAreDealtFairly(t *testing.T) {
	var w *enginetest.World
	served, last := map[lead.WorkflowID]int{}, map[lead.WorkflowID]lead.ID{}
	w = enginetest.New(t, enginetest.Config{Seed: 4, Script: enginetest.Script{"call": func(a *enginetest.Attempt) enginetest.Reply {
		served[a.WorkflowID]++
		if before, ok := last[a.WorkflowID]; ok && a.Lead < before.Seq() {
			t.Errorf("lead %d of %s is called after lead %d", a.Lead, a.WorkflowID, before.Seq())
		}
		last[a.WorkflowID] = a.LeadID
		return enginetest.Reply{After: a.Between("talk", 10*time.Second, 5*time.Minute)}
	}}})
	if err := w.Engine().SetLimits(background, []workflow.Limit{{InFlight: 7}}); err != nil {
		t.Fatal(err)
	}
	flows := []lead.WorkflowID{w.Activate(t, shared(t, "")), w.Activate(t, shared(t, "")), w.Activate(t, shared(t, `"priority": 2,`))}
	for _, wf := range flows {
		w.EnrollMany(t, wf, 3000)
	}
	w.Run(t, 5*time.Hour)
	if err := w.Crash(); err != nil {
		t.Fatal(err)
	}
	w.Run(t, 5*time.Hour)
	total := served[flows[0]] + served[flows[1]] + served[flows[2]]
	for i, weight := range []int{1, 1, 2} {
		if n, want := served[flows[i]], total*weight/4; n < want*9/10 || n > want*11/10 || total < 1000 {
			t.Errorf("workflow %d with weight %d got %d of %d", i, weight, n, total)
		}
	}
}

// A message that is due goes out immediately while ten thousand calls wait for a line.
func TestAMessageGoesOutWhileTenThousandCallsWait(t *testing.T) {
	var w *enginetest.World
	var due, sent time.Time
	w = enginetest.New(t, enginetest.Config{Seed: 5, Script: enginetest.Script{
		"call": enginetest.Outcome("completed").After(2 * time.Minute),
		"text": func(*enginetest.Attempt) enginetest.Reply { sent = w.Now(); return enginetest.Reply{} },
	}})
	calls := w.Activate(t, shared(t, `"limits": [{"in_flight": 1}],`))
	def, err := workflow.Parse([]byte(`{"name": "sms", "entry": "rest", "nodes": [{"id": "rest", "type": "time", "config": {"duration": "1h"}},
		{"id": "text", "type": "message"}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "rest", "to": "text"}, {"from": "text", "to": "won", "label": "default"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	texts := w.Activate(t, def)
	w.EnrollMany(t, calls, 10_000)
	due = w.Now().Add(time.Hour)
	w.EnrollMany(t, texts, 1)
	w.Run(t, 2*time.Hour)
	if !sent.Equal(due) {
		t.Errorf("sent at %s, due at %s", sent, due)
	}
	s, err := w.Summarize(calls)
	if err != nil || s.Calls.Made != 61 || s.Calls.MostAtOnce != 1 {
		t.Errorf("%+v, %v; want 61 calls in two hours, one after the other", s.Calls, err)
	}
}

func TestALimitThatComesBackKnowsWhatIsInFlight(t *testing.T) {
	r := newRules(t)
	r.answer = live
	wf := r.activate(callsOnly(""))
	limit := func(limits ...workflow.Limit) {
		t.Helper()
		if err := r.SetLimits(background, limits); err != nil {
			t.Fatal(err)
		}
		r.settle(0)
	}
	limit(workflow.Limit{InFlight: 1})
	first := r.enroll(wf, number(1))
	r.settle(0)
	limit()
	r.complete(first)
	limit(workflow.Limit{InFlight: 1})
	r.enroll(wf, number(2))
	r.settle(0)
	r.calledAre("call", "call")
}

func TestAPlainRateKeyCountsForALimit(t *testing.T) {
	r := newRules(t)
	r.answer = live
	wf := r.activate(`{"name": "w", "entry": "call", "limits": [{"rate_key": "red", "in_flight": 1}],
		"nodes": [{"id": "call", "type": "voice_call", "rate_key": "red"}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "to": "won", "label": "default"}]}`)
	r.enroll(wf, number(1))
	r.enroll(wf, number(2))
	r.settle(0)
	r.calledAre("call")
}

func TestANodesOwnHoursHoldForLeadsFromANodeWithout(t *testing.T) {
	r := newRules(t) // 09:00
	wf := r.activate(`{"name": "w", "entry": "call", "calling_hours": {"preset": "us"},
		"nodes": [{"id": "call", "type": "voice_call"}, {"id": "text", "type": "message",
			"calling_hours": {"windows": [{"days": ["mon"], "from": "10:00", "to": "11:00"}]}}, {"id": "won", "type": "converted"}],
		"edges": [{"from": "call", "to": "text", "label": "default"}, {"from": "text", "to": "won", "label": "default"}]}`)
	if _, err := r.Enroll(background, wf, lead.Contact{PhoneNumber: number(1), TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	r.settle(0)
	r.calledAre("call")
	r.settle(time.Hour)
	r.calledAre("text")
}
