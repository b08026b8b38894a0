package lead

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// The design's table, written a second time and by hand, so that a change of
// the machine has to be meant.
var table = map[State]map[Event]State{
	Enrolled:       {EventStart: InStep, EventFinish: Completed, EventRemove: Removed},
	InStep:         {EventComplete: Enrolled, EventRetry: InStep, EventRemove: PendingRemoval},
	PendingRemoval: {EventComplete: Removed, EventRetry: PendingRemoval, EventRemove: PendingRemoval},
	Removed:        {},
	Completed:      {},
}

func TestMachineIsTheDesignsTable(t *testing.T) {
	m := NewMachine()
	for _, from := range States() {
		for _, event := range Events() {
			want, ok := table[from][event]
			got, err := m.Fire(from, event)
			if ok && (err != nil || got != want) {
				t.Errorf("%s from %s gives %s, %v; want %s", event, from, got, err, want)
			}
			var refused *TransitionError
			if !ok && (!errors.As(err, &refused) || refused.State != from || refused.Event != event || got != from) {
				t.Errorf("%s from %s gives %s, %v; want a refusal", event, from, got, err)
			}
		}
	}
}

func TestMachineRefusesAFinalLeadAsAConflict(t *testing.T) {
	m := NewMachine()
	for _, s := range States() {
		_, err := m.Fire(s, EventFinish)
		if got := errors.Is(err, ErrLeadFinal) && errors.Is(err, ErrConflict); got != s.Final() {
			t.Errorf("from %s the refusal %v matches ErrLeadFinal and ErrConflict: %t", s, err, got)
		}
	}
}

func TestMachineHoldsNoLeadsState(t *testing.T) {
	// One machine decides for all: what it decided before must not show.
	m, random := NewMachine(), rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		from := States()[random.IntN(5)]
		event := Events()[random.IntN(5)]
		got, err := m.Fire(from, event)
		want, ok := table[from][event]
		if ok != (err == nil) || ok && got != want {
			t.Fatalf("%s from %s gives %s, %v", event, from, got, err)
		}
	}
}

func TestMachineRefusesAnUnknownEventAndState(t *testing.T) {
	m := NewMachine()
	if _, err := m.Fire(Enrolled, "teleport"); err == nil {
		t.Error("an unknown event is possible")
	}
	if _, err := m.Fire(State(77), EventRemove); err == nil {
		t.Error("a lead in no state can be removed")
	}
	if got, err := m.Fire(Enrolled, EventStart); err != nil || got != InStep {
		t.Errorf("after refusals the machine gives %s, %v", got, err)
	}
}

// decide works around this defect. When this test fails, fsm has fixed its issue
// 115, and a caller's context may be passed on.
func TestACancelledContextWedgesTheFSMForGood(t *testing.T) {
	machine := newTable()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	machine.SetState(Enrolled.String())
	_ = machine.Event(ctx, string(EventStart)) // its error is what wedges
	if _, ok := decide(machine, Enrolled, EventStart); ok {
		t.Error("the machine still works")
	}
}

func TestDiagramHasEveryTransitionOnce(t *testing.T) {
	text := Diagram()
	for from, events := range table {
		for event, to := range events {
			line := from.String() + " --> " + to.String() + ": " + string(event) + "\n"
			if strings.Count(text, line) != 1 {
				t.Errorf("the diagram has %q %d times:\n%s", line, strings.Count(text, line), text)
			}
		}
	}
}

func BenchmarkFire(b *testing.B) {
	m := NewMachine()
	for b.Loop() {
		if _, err := m.Fire(InStep, EventComplete); err != nil {
			b.Fatal(err)
		}
	}
}
