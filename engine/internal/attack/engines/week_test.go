//go:build unix

package engines

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/storetest"
)

var weekFlag = flag.Duration("engines.week", 9*time.Second, "how long TestAWeekOfLimitsOnThreeEngines goes on: 3m in a long run")

// Three engines call people under limits of every kind, drawn at random and changed all the
// time, while processes are killed and stopped. By the provider's record no limit is
// exceeded at any instant (promise 15), and nobody waits longer than a second whom all
// limits allow.
//
// It is a week in little: spans of a second stand for days. Its time is real, unlike that
// of TestAWeekOfLimits in package engine, which has one engine: what several engines use of
// a limit is counted by the clock of the database server, and so are their leases, and
// nobody can set that clock.
//
// LEADFLOW_SEED repeats the same limits and people, as far as processes can.
func TestAWeekOfLimitsOnThreeEngines(t *testing.T) {
	k := &week{arena: newArena(t, storetest.Seed(t)), open: map[string]*ring{}, calls: map[stop]bool{}, waits: map[lead.ID]*wait{}}
	k.level, k.provide = true, k.ring
	for _, s := range k.slots {
		k.start(s)
	}
	k.until("the engines run", func() bool { return k.running() == engines })
	go k.watch()
	k.stage()
	calm := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() { k.enrollAll(calm) })
	busy.Go(func() { k.changeAgainAndAgain(calm) })
	// Nobody knows for how long a process that is killed has used a limit, so leads may wait
	// longer then. Most of the time nobody is in trouble.
	for end := time.Now().Add(*weekFlag); ; {
		time.Sleep(min(*weekFlag/3*2, 20*time.Second, time.Until(end)))
		if time.Until(end) <= 0 {
			break
		}
		k.trouble()
	}
	close(calm)
	k.await("requests have their answers", &busy)
	k.mu.Lock()
	k.end = now()
	k.mu.Unlock()
	close(k.over)
	k.judge()
}

// week is what the provider has on record.
type week struct {
	*arena
	flows []lead.WorkflowID

	// What follows is guarded by arena.mu.
	own    []weekLimit // of workflows and nodes
	epochs []epoch     // of the limits for all workflows
	rings  []*ring
	open   map[string]*ring // those that are not over, by idempotency key
	calls  map[stop]bool    // attempts that were made
	waits  map[lead.ID]*wait
	waited []*wait // those that are over
	end    moment
}

// weekLimit is a limit, with where it holds.
type weekLimit struct {
	workflow.Limit
	flow int    // -1: all
	node string // "": all
}

// epoch is a time in which the same limits for all workflows are in force: surely from
// acked until the next one is asked for. Nobody knows if acked is 0.
type epoch struct {
	asked, acked moment
	limits       []weekLimit
}

// attempt is what a limit can count.
type attempt struct {
	lead    lead.ID
	flow    int
	node    string
	channel workflow.NodeType
	rateKey string
	phone   string
	number  int
}

// stop names an attempt of a lead.
type stop struct {
	lead   lead.ID
	node   string
	number int
}

func (a *attempt) stop() stop { return stop{a.lead, a.node, a.number} }

// ring is one call of a handler. The engine has counted it at some time from decided to at.
type ring struct {
	attempt
	key         string
	by          *process
	decided, at moment
	over        moment // when the provider knew that it was, before anybody was told; 0 while it is not
	told        moment // when that was acknowledged, of a callback
}

// wait is a lead that waits to be called.
type wait struct {
	attempt
	due, until moment // until is 0 while it waits
}

const (
	weekRetry    = 200 * time.Millisecond
	weekAttempts = 3
)

func (k *week) drawLimit(rng *rand.Rand, alone bool) workflow.Limit {
	per := workflow.Duration([]time.Duration{300 * time.Millisecond, time.Second, 2 * time.Second}[rng.IntN(3)])
	switch n := rng.IntN(6); {
	case n < 2:
		return workflow.Limit{InFlight: 1 + rng.IntN(5)}
	case n < 3 && alone:
		return workflow.Limit{PerContact: 1 + rng.IntN(2), Per: per}
	}
	return workflow.Limit{Starts: 1 + rng.IntN(8), Per: per}
}

// draw draws limits of which each may choose among the attempts. alone: for each contact,
// too.
func (k *week) draw(rng *rand.Rand, flow int) (list []weekLimit) {
	for range rng.IntN(4) {
		// A lead that waits for its own limit has its time on disk, which a change of the limits
		// for all workflows need not move.
		l := k.drawLimit(rng, flow >= 0)
		switch rng.IntN(4) {
		case 0:
			l.Channel = []workflow.NodeType{workflow.VoiceCall, workflow.Message}[rng.IntN(2)]
		case 1:
			l.RateKey = []string{"red", "blue"}[rng.IntN(2)]
		}
		list = append(list, weekLimit{l, flow, ""})
	}
	return list
}

func plain(list []weekLimit) []workflow.Limit {
	out := []workflow.Limit{}
	for _, l := range list {
		out = append(out, l.Limit)
	}
	return out
}

// stage makes the workflows: a call and a message.
func (k *week) stage() {
	rng := k.rand("flows")
	for i := range 3 {
		own := k.draw(rng, i)
		retry := map[string]any{"max_attempts": weekAttempts, "delay": weekRetry.String()}
		call := map[string]any{"id": "call", "type": "voice_call", "retry": retry, "rate_key": "metadata.line", "timeout": "24h"}
		text := map[string]any{"id": "text", "type": "message", "retry": retry, "rate_key": "blue", "timeout": "24h"}
		def := map[string]any{
			"name": "week", "entry": "call", "nodes": []any{call, text, map[string]any{"id": "won", "type": "converted"}},
			"edges": []any{map[string]any{"from": "call", "to": "text", "label": "default"}, map[string]any{"from": "text", "to": "won", "label": "default"}},
		}
		if len(own) > 0 {
			def["limits"] = plain(own)
		}
		if rng.IntN(2) == 0 {
			l := k.drawLimit(rng, true)
			call["limits"] = []workflow.Limit{l}
			own = append(own, weekLimit{l, i, "call"})
		}
		text2, err := json.Marshal(def)
		if err != nil {
			k.Fatal(err)
		}
		ev, ok := k.persist(command{Kind: "create", Definition: text2})
		if !ok || ev.Refusal != "" {
			k.Fatalf("no workflow can be made: %s", ev.Error)
		}
		k.flows = append(k.flows, ev.Workflow)
		k.mu.Lock()
		k.own = append(k.own, own...)
		k.mu.Unlock()
	}
}

// enrollAll enrolls people, some in several workflows, faster than they can be called.
func (k *week) enrollAll(calm <-chan struct{}) {
	rng := k.rand("people")
	for n := 0; ; n++ {
		select {
		case <-calm:
			return
		case <-time.After(time.Duration(20+rng.IntN(80)) * time.Millisecond):
		}
		line := []string{"red", "blue", "green"}[n%3]
		c := lead.Contact{PhoneNumber: fmt.Sprintf("+1415%07d", 2_000_000+n%200), Metadata: map[string]any{"line": line}}
		flow := rng.IntN(len(k.flows))
		ev, ok := k.once(command{Kind: "enroll", Workflow: k.flows[flow], Contact: c})
		if !ok || ev.Refusal == "contact live" {
			continue // if it was enrolled all the same, nobody knows since when it waits
		}
		if ev.Refusal != "" {
			k.Errorf("%s cannot be enrolled: %s", c.PhoneNumber, ev.Error)
			return
		}
		k.mu.Lock()
		k.waitsFor(attempt{
			lead: ev.Lead, flow: flow, node: "call", channel: workflow.VoiceCall, rateKey: line, phone: c.PhoneNumber, number: 1,
		}, now())
		k.mu.Unlock()
	}
}

// waitsFor notes that a lead waits, unless it has been called already. a.mu must be held.
func (k *week) waitsFor(a attempt, due moment) {
	if k.calls[a.stop()] {
		return
	}
	k.waits[a.lead] = &wait{attempt: a, due: due}
}

func (k *week) changeAgainAndAgain(calm <-chan struct{}) {
	rng := k.rand("changes")
	for {
		select {
		case <-calm:
			return
		case <-time.After(time.Duration(500+rng.IntN(5000)) * time.Millisecond):
		}
		e := epoch{asked: now(), limits: k.draw(rng, -1)}
		k.mu.Lock()
		at := len(k.epochs)
		k.epochs = append(k.epochs, e)
		k.mu.Unlock()
		ev, ok := k.insist(k.any(nil), command{Kind: "limits", Limits: plain(e.limits)})
		if !ok || ev.Refusal != "" {
			k.Errorf("the limits cannot be changed: %s", ev.Error)
			return
		}
		k.mu.Lock()
		k.epochs[at].acked = now()
		k.mu.Unlock()
	}
}

// trouble kills an engine, or stops it for longer than its lease.
func (k *week) trouble() {
	rng := k.rand("trouble", now())
	s := k.slots[rng.IntN(engines)]
	l := k.runs(s)
	if l == nil {
		return
	}
	if rng.IntN(2) == 0 {
		k.stoppedForLong(s, l, rng)
		return
	}
	k.killed(s, l, rng)
	k.until(s.name+" runs", func() bool { return k.runs(s) != nil })
}

// watch notes when this process, or the database, does not run for a while.
func (k *week) watch() {
	most := k.lease / 8
	for last := now(); !k.isOver(); {
		time.Sleep(most / 8)
		if l := k.any(nil); l != nil { // which asks the database
			_, _ = k.ask(l, command{Kind: "ping"}, 0)
		}
		is := now()
		if time.Duration(is-last) > most {
			k.mu.Lock()
			k.troubles = append(k.troubles, trouble{"did not run", last, is})
			k.mu.Unlock()
		}
		last = is
	}
}

// ring hears that a handler was called, and has it answered.
func (k *week) ring(l *process, ev event) {
	flow := slices.Index(k.flows, ev.Workflow)
	r := &ring{
		attempt: attempt{
			lead: ev.Lead, flow: flow, node: ev.Node, channel: workflow.VoiceCall, rateKey: ev.Line, phone: ev.Phone, number: ev.Number,
		},
		key: ev.Key, by: l, decided: ev.At.plus(-ev.Gap), at: ev.At,
	}
	if r.node == "text" {
		r.channel, r.rateKey = workflow.Message, "blue"
	}
	if before := k.open[r.key]; before != nil && before.by.end != 0 {
		before.over = before.by.end
	}
	k.rings, k.open[r.key], k.calls[r.stop()] = append(k.rings, r), r, true
	if w := k.waits[r.lead]; w != nil && w.stop() == r.stop() {
		w.until = r.at
		k.waited = append(k.waited, w)
		delete(k.waits, r.lead)
	}
	rng := k.rand("ring", r.lead.Seq(), r.phone, r.node, r.number)
	takes := time.Duration(rng.IntN(200)) * time.Millisecond
	if rng.IntN(2) == 0 {
		takes = 0
	}
	answer := command{Kind: "answer", ID: ev.ID, Do: "outcome", Outcome: "completed"}
	switch n := rng.IntN(10); {
	case n < 2:
		answer.Do, answer.Outcome = "error", "busy"
	case n < 7 && r.node == "call":
		talk := time.Duration(20+rng.IntN(600)) * time.Millisecond
		time.AfterFunc(takes, func() { l.send(command{Kind: "answer", ID: ev.ID, Do: "in flight"}) })
		time.AfterFunc(takes+talk, func() { k.hangUp(r, ev.Step) })
		return
	}
	time.AfterFunc(takes, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.isOverNow(r, answer.Do == "error", now())
		l.send(answer)
	})
}

// isOverNow notes that a call is over, and what its lead waits for then. a.mu must be held.
func (k *week) isOverNow(r *ring, failed bool, at moment) {
	if r.over == 0 {
		r.over = now()
	}
	if k.open[r.key] == r {
		delete(k.open, r.key)
	}
	next := r.attempt
	switch {
	case failed && r.number < weekAttempts:
		next.number++
		k.waitsFor(next, at.plus(weekRetry))
	case r.node == "call":
		next.node, next.channel, next.rateKey, next.number = "text", workflow.Message, "blue", 1
		k.waitsFor(next, at)
	}
}

// hangUp ends a call, by a callback.
func (k *week) hangUp(r *ring, step lead.StepID) {
	k.mu.Lock()
	r.over = now()
	k.mu.Unlock()
	ev, ok := k.persist(command{Kind: "complete", Step: step, Number: r.number, Outcome: "completed"})
	if !ok {
		return
	}
	if ev.Refusal != "" && ev.Refusal != "step finished" {
		k.Error(errors.New(ev.Error))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	r.told = now()
	if took := time.Duration(r.told - r.over); took > time.Second {
		k.note("a callback of lead %s took %s", r.lead, took)
	}
	k.isOverNow(r, false, r.told)
}
