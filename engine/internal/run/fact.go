package run

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/store"
)

// This file evaluates, outside the loop, expressions whose inputs are not in memory or
// whose evaluation may be expensive. The lead waits at its node meanwhile, on record.

// question is a lead's expression that is to be evaluated.
type question struct {
	seq     int64
	flow    *core.Flow
	asked   core.Asked
	contact *Contact
	now     store.Millis
}

// ask has the expression of a lead's node evaluated.
func (l *loop) ask(e *entry, f *core.Flow) {
	e.reading = true
	e.unqueue()
	l.questions = append(l.questions, &question{
		seq: e.seq(), flow: f, asked: e.view.Ask(f), contact: e.contact, now: l.now,
	})
}

// answerQuestions starts the evaluation of everything that was asked in this turn.
func (l *loop) answerQuestions() {
	if len(l.questions) == 0 {
		return
	}
	questions := l.questions
	l.questions = nil
	l.total.live += len(questions) // not counted with a batch, whose failure would undo it
	answer := func() {
		l.r.readContacts(questions)
		for _, q := range questions {
			l.r.inbox.tell(l.r.evaluate(q))
		}
	}
	if l.r.stepper != nil {
		l.r.stepper.facts = append(l.r.stepper.facts, answer)
	} else {
		go answer()
	}
}

// readContacts reads the contacts that the questions need, as far as it can.
func (r *Runner) readContacts(questions []*question) {
	var seqs []int64
	for _, q := range questions {
		if q.asked.Contact && q.contact == nil {
			seqs = append(seqs, q.seq)
		}
	}
	for len(seqs) > 0 {
		part := seqs[:min(len(seqs), readAhead)]
		seqs = seqs[len(part):]
		found, _, err := r.contacts(part)
		if err != nil {
			return // evaluate gets the same error
		}
		for _, q := range questions {
			if c := found[q.seq]; c != nil {
				q.contact = c
			}
		}
	}
}

// evaluate reads the steps that an expression needs, and evaluates it.
func (r *Runner) evaluate(q *question) *factRead {
	end := &factRead{q: q}
	if q.asked.Contact && q.contact == nil {
		found, bad, err := r.contacts([]int64{q.seq})
		switch {
		case err != nil:
			end.failed = err
			return end
		case bad[q.seq] != nil:
			end.answered.Fact = core.Reply{Failed: bad[q.seq].Error()}
		}
		q.contact = found[q.seq]
	}
	steps, err := r.readSteps(q, end)
	if rows, ok := asRowErrors(err); ok {
		end.answered.Fact = core.Reply{Failed: rows.Error()}
	} else if err != nil {
		end.failed = err
		return end
	}
	if end.answered.Fact.Failed == "" {
		var env Contact
		if q.contact != nil {
			env = *q.contact
		}
		end.answered.Fact = core.Evaluate(q.flow, q.asked.Node, env.Person, steps, q.now)
	}
	end.answered.Visit = q.asked.Visit
	return end
}

func (r *Runner) readSteps(q *question, end *factRead) ([]store.Step, error) {
	switch {
	case q.asked.History:
		_, steps, _, err := r.Store.History(context.Background(), q.seq)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil // the lead was deleted
		}
		if err == nil {
			end.answered.Last = core.LastSteps(q.flow, steps)
		}
		return steps, err
	case len(q.asked.Steps) > 0:
		return r.Store.Steps(context.Background(), q.asked.Steps)
	}
	return nil, nil
}

// factRead is the result of an expression.
type factRead struct {
	q        *question
	answered core.Answered
	failed   error // the store could not be read
}

// restFact is the pause before the inputs of an expression are read again after an
// error of the store.
const restFact = time.Second

func (end *factRead) lead() int64 { return end.q.seq }

func (end *factRead) settle(l *loop) error {
	l.live--
	e := l.hot[end.q.seq]
	if e == nil {
		return nil
	}
	e.reading = false
	if e.contact == nil {
		e.contact = end.q.contact
	}
	if c := end.q.contact; end.q.asked.Contact && c != nil && !e.contact.says(c.Contact) {
		// The contact was changed meanwhile, so the expression is evaluated again.
		if e.free() {
			l.place(e)
		}
		return nil
	}
	if end.failed != nil {
		l.r.Log.Error("leadflow: the inputs of an expression cannot be read; trying again", slog.Any("error", end.failed))
		e.view.Rest = l.now.Add(restFact)
		l.place(e)
		return nil
	}
	if reply := end.answered.Fact; reply.Failed != "" {
		l.r.Log.Warn("leadflow: an expression failed", slog.String("workflow", end.q.flow.Row.ID.String()),
			slog.String("node", end.q.flow.Graph.Node(end.q.asked.Node).ID), slog.Int64("lead_seq", end.q.seq),
			slog.String("error", reply.Failed))
	}
	err := l.apply(e, &end.answered)
	if errors.Is(err, core.ErrNotNow) {
		if e.free() {
			l.place(e)
		}
		return nil
	}
	return err
}
