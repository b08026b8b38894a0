package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// decisions counts the results at a node that decides by the data of a lead: a condition
// or a wait.
type decisions struct {
	visits, yes, failed int
	why                 string // the error of the first that failed
}

// decide counts the results at all nodes that decide, including those to which no lead
// came.
func (s *simulation) decide() (map[string]*decisions, error) {
	all := map[string]*decisions{}
	for id := range readsOf(s.def) {
		all[id] = &decisions{}
	}
	if len(all) == 0 {
		return all, nil
	}
	ctx, eng := context.Background(), s.world.Engine()
	for l, err := range eng.AllLeads(ctx, s.id, engine.LeadFilter{}) {
		if err != nil {
			return nil, err
		}
		steps, err := eng.History(ctx, s.id, l.ID)
		if err != nil {
			return nil, err
		}
		for i := range steps {
			if d := all[steps[i].NodeID]; d != nil && !steps[i].Scheduled {
				d.add(&steps[i])
			}
		}
	}
	return all, nil
}

func (d *decisions) add(step *lead.Step) {
	d.visits++
	switch {
	case step.Status == lead.StepFailed:
		d.failed++
		if d.why == "" {
			_, d.why, _ = strings.Cut(step.Error, step.NodeID+": ")
		}
	case step.Outcome == "true":
		d.yes++
	}
}

// shares are the parts of all visits.
func (d *decisions) shares() string {
	if d.visits == 0 {
		return "-"
	}
	text := fmt.Sprintf("true %s, false %s", percent(d.yes, d.visits), percent(d.visits-d.yes-d.failed, d.visits))
	if d.failed > 0 {
		text += ", could not be evaluated " + percent(d.failed, d.visits)
	}
	return text
}

// reportDecisions names the nodes that were not really tested: conditions that had the
// same result for everybody, or could not be evaluated. Most often the made-up people
// lack the data that they read.
func (s *simulation) reportDecisions(b *strings.Builder, all map[string]*decisions) {
	reads, before := readsOf(s.def), b.Len()
	say := func(id, format string, args ...any) {
		if b.Len() == before {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "%s %s; %s.\n", id, fmt.Sprintf(format, args...), reads[id].advice(s.ways))
	}
	for _, n := range s.def.Nodes {
		d := all[n.ID]
		switch {
		case d == nil || d.visits == 0:
		case d.failed > 0 && n.Type == workflow.Time:
			say(n.ID, "did not know until when to wait at %s of %s visits: %s", thousands(d.failed), thousands(d.visits), printable(d.why))
		case d.failed > 0:
			say(n.ID, "could not be evaluated at %s of %s visits, and leads went on as if it were false: %s",
				thousands(d.failed), thousands(d.visits), printable(d.why))
		case n.Type == workflow.Time:
		case d.yes == 0 || d.yes == d.visits:
			say(n.ID, "was %t at all %s visits", d.yes > 0, thousands(d.visits))
		}
	}
}
