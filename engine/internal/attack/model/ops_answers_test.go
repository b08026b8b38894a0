package model

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
)

// This file has the handlers and hooks of a trial answer.

// heldLeads returns the leads that have a handler or a hook that holds.
func heldLeads[T any](w *trial, calls map[*life.Lead]T) []*life.Lead {
	var out []*life.Lead
	for _, l := range w.spec.Leads {
		if _, ok := calls[l]; ok {
			out = append(out, l)
		}
	}
	return out
}

func (w *trial) handlerAnswers(t *rapid.T) {
	for _, g := range w.drawAnswers(t, 1) {
		w.answer(g.lead, g.answer)
	}
	w.settle()
}

// drawAnswers draws answers for at least so many handlers.
func (w *trial) drawAnswers(t *rapid.T, least int) []given {
	list := heldLeads(w, w.calls)
	if len(list) < least {
		t.Skip("no handler runs")
	}
	var out []given
	n := rapid.IntRange(least, min(3, len(list))).Draw(t, "handlers")
	for range n {
		i := rapid.IntRange(0, len(list)-1).Draw(t, "lead")
		out = append(out, given{list[i], w.drawAnswer(list[i], n == 1)})
		list = slices.Delete(list, i, i+1)
	}
	return out
}

// lateAnswer: a handler returns whose step is over; nothing changes.
func (w *trial) lateAnswer(t *rapid.T) {
	if len(w.late) == 0 {
		t.Skip("nobody is late")
	}
	c := w.late[0]
	w.late = w.late[1:]
	c.answer <- answer{Answer: life.Answer{Outcome: "dnp", Schedule: []life.Message{{After: time.Minute}}}}
	w.settle()
}

func (w *trial) hookAnswers(t *rapid.T) {
	list := heldLeads(w, w.hooks)
	if len(list) == 0 {
		t.Skip("no hook runs")
	}
	w.answerHook(list[rapid.IntRange(0, len(list)-1).Draw(t, "lead")], drawHookAnswer(t))
	w.settle()
}
