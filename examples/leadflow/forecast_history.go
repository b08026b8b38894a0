package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// history is how steps went at one node, as a database tells it.
type history struct {
	attempts, failed int      // attempts that are over, and those after which another followed
	results          []result // of steps that are over, each as likely as the next
}

// result is how a step ended.
type result struct {
	outcome string
	data    any
	took    time.Duration // of its last attempt
}

// mostHistories and mostResults bound how many leads of a workflow are read, and how many
// results of a node are kept.
const mostHistories, mostResults = 5000, 2000

// place is a node of a workflow.
type place struct {
	workflow lead.WorkflowID
	node     string
}

// readHistories returns the histories of a workflow's nodes, from leads taken evenly.
func readHistories(ctx context.Context, e *engine.Engine, wf *engine.Workflow, into map[place]*history) error {
	each, i := wf.EnrolledLeads/mostHistories+1, int64(0)
	for l, err := range e.AllLeads(ctx, wf.ID, engine.LeadFilter{}) {
		if err != nil {
			return err
		}
		if i++; i%each != 0 {
			continue
		}
		steps, err := e.History(ctx, wf.ID, l.ID)
		if errors.Is(err, lead.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for _, s := range steps {
			if s.Scheduled || len(s.Attempts) == 0 {
				continue
			}
			at := place{wf.ID, s.NodeID}
			if into[at] == nil {
				into[at] = &history{}
			}
			into[at].add(&s)
		}
	}
	return nil
}

func (h *history) add(s *lead.Step) {
	for i, a := range s.Attempts {
		if a.StartedAt.IsZero() || a.EndedAt.IsZero() {
			continue
		}
		h.attempts++
		if i < len(s.Attempts)-1 || s.Status == lead.StepFailed {
			h.failed++
		}
	}
	last := s.Attempts[len(s.Attempts)-1]
	if s.Status != lead.StepCompleted || s.Outcome == "" || last.StartedAt.IsZero() {
		return
	}
	r := result{outcome: s.Outcome, took: max(0, last.EndedAt.Sub(last.StartedAt))}
	if len(s.Data) > 0 {
		r.data = json.RawMessage(s.Data)
	}
	if len(h.results) < mostResults {
		h.results = append(h.results, r)
	} else {
		h.results[h.attempts%mostResults] = r
	}
}

// answer is how people answer at the node from now on: as they did. It is nil if the
// history does not say.
func (h *history) answer(t workflow.NodeType) enginetest.Answer {
	if h == nil || h.attempts == 0 || len(h.results) == 0 && h.failed == 0 {
		return nil
	}
	return func(a *enginetest.Attempt) enginetest.Reply {
		if len(h.results) == 0 || a.Chance("fails")*float64(h.attempts) < float64(h.failed) {
			return enginetest.Reply{Err: errors.New("the attempt failed")}
		}
		r := h.results[int(a.Chance("result")*float64(len(h.results)))]
		reply := enginetest.Reply{Result: engine.Result{Outcome: r.outcome, Data: r.data}}
		if t == workflow.VoiceCall {
			reply.After = r.took
		} else {
			reply.Takes = r.took
		}
		return reply
	}
}
