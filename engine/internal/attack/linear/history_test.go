package linear

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file turns what the clients and the handlers recorded into a history.

// end lets all handlers return, waits until their results are on disk, and reads every
// lead once more.
func (r *run) end(client client) {
	r.over.Store(true)
	r.mu.Lock()
	for i := range r.contacts {
		close(r.contacts[i].gate)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, eng := range r.engs {
		if err := eng.Shutdown(ctx); err != nil {
			r.t.Fatalf("Shutdown: %v", err)
		}
	}
	settled := r.tick()
	r.mu.Lock()
	r.closed = true
	for i := range r.ops {
		if op := &r.ops[i]; op.Return == math.MaxInt64 {
			op.Return = settled
		}
	}
	r.mu.Unlock()
	for contact := range r.contacts {
		for _, id := range r.contacts[contact].leads {
			r.addStarts(contact, id, settled)
			if err := errors.Join(r.get(client, 0, contact, id), r.read(client, 0, contact, id)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// addStarts adds attempts that are on record, and whose handler was so late, or
// will be, that their deadline had passed before.
func (r *run) addStarts(contact int, id lead.ID, settled int64) {
	steps, err := r.engs[0].History(context.Background(), r.wf, id)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range steps {
		for _, a := range s.Attempts {
			in := input{kind: opStart, contact: contact, visit: visitOf(s.NodeID), attempt: a.Number}
			if a.StartedAt.IsZero() || slices.ContainsFunc(r.ops, func(op recorded) bool { return op.lead == id && op.Input == in }) {
				continue
			}
			r.ops = append(r.ops, recorded{lead: id, Operation: porcupine.Operation{
				ClientId: clients + contact, Input: in, Output: output{}, Return: settled,
			}})
		}
	}
}

// history gives the leads of each contact their numbers, and the operations
// that began before anybody knew when a moment.
func (r *run) history() []porcupine.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	numbers := map[lead.ID]int{}
	suppressions, channels := r.suppressions()
	enrolled := map[lead.ID]porcupine.Operation{}
	for _, op := range r.ops {
		if op.Input.(input).kind == opEnroll && op.Output.(output).refused == nil {
			enrolled[op.got] = op.Operation
		}
	}
	for i := range r.contacts {
		leads := r.contacts[i].leads
		// One has ended before the next one is enrolled, so they are in the order of their
		// ends. When they were enrolled is another matter: that is when an engine decided.
		ended := map[lead.ID]time.Time{}
		for _, id := range leads {
			l, err := r.engs[0].LeadByID(context.Background(), id)
			if err != nil {
				r.t.Fatal(err)
			}
			if ended[id] = l.UpdatedAt; !l.State.Final() {
				ended[id] = time.Unix(1<<40, 0)
			}
		}
		slices.SortFunc(leads, func(a, b lead.ID) int {
			if len(r.engs) == 1 { // which gives out the numbers in the order of its decisions
				return cmp.Compare(a.Seq(), b.Seq())
			}
			return cmp.Or(ended[a].Compare(ended[b]), cmp.Compare(enrolled[a].Return, enrolled[b].Return))
		})
		for n, id := range leads {
			numbers[id] = n + 1
		}
	}
	out := make([]porcupine.Operation, 0, len(r.ops))
	for _, op := range r.ops {
		in, got := op.Input.(input), op.Output.(output)
		in.lead, got.lead = numbers[op.lead], numbers[op.got]
		if in.kind == opLift {
			in.sup, in.channel = suppressions[op.sup], channels[op.sup]
		} else {
			got.sup = suppressions[op.sup]
		}
		for id, state := range op.leads {
			if numbers[id] == 0 {
				r.t.Fatalf("the answer to %s names the lead %s, which never was", describe(in, got), id)
			}
			got.states[numbers[id]-1] = state
		}
		op.Input, op.Output = in, got
		if in.kind == opStart {
			op.Call = enrolled[op.lead].Call // at the earliest
		}
		out = append(out, op.Operation)
	}
	return out
}

// suppressions gives those of each contact and channel numbers, and says which channel each
// is for. One of them is over before the next is added.
func (r *run) suppressions() (numbers map[lead.SuppressionID]int, channels map[lead.SuppressionID]workflow.NodeType) {
	all, err := r.engs[0].Suppressions(context.Background(), engine.SuppressionFilter{})
	if err != nil {
		r.t.Fatal(err)
	}
	answered := map[lead.SuppressionID]int64{}
	for _, op := range r.ops {
		if op.Output.(output).fresh {
			answered[op.sup] = op.Return
		}
	}
	slices.SortFunc(all, func(a, b lead.Suppression) int {
		if len(r.engs) == 1 { // which gives out the numbers in the order of its decisions
			return cmp.Compare(a.ID.Seq(), b.ID.Seq())
		}
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(answered[a.ID], answered[b.ID]))
	})
	numbers, channels = map[lead.SuppressionID]int{}, map[lead.SuppressionID]workflow.NodeType{}
	of := map[string]int{}
	for _, s := range all {
		of[s.PhoneNumber+s.Channel]++
		numbers[s.ID], channels[s.ID] = of[s.PhoneNumber+s.Channel], workflow.NodeType(s.Channel)
	}
	return numbers, channels
}
