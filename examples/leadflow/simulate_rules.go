package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// simulated are the rules of a simulation that are not in its workflow, and what it
// records of all rules.
type simulated struct {
	zoneNames, limitsFile string
	suppress              int // how many people are suppressed during the run

	zones  []string
	limits []workflow.Limit
	clocks map[string]*time.Location
	// perHour counts the attempts by the hour on the person's clock.
	perHour [24]int
	kept    kept
}

// read reads what the flags name.
func (r *simulated) read(leads int) error {
	r.kept, r.clocks = kept{}, map[string]*time.Location{}
	for name := range strings.SplitSeq(r.zoneNames, ",") {
		if r.zoneNames == "" {
			break
		}
		if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
			return usage("--zones: unknown time zone %q; write IANA names, such as America/New_York,Europe/London", name)
		}
		r.zones = append(r.zones, name)
	}
	if r.suppress < 0 || r.suppress > leads {
		return usage("--suppress must be a number from 0 to that of --leads")
	}
	if r.limitsFile == "" {
		return nil
	}
	text, err := readNamed("--limits", r.limitsFile)
	if err == nil {
		if r.limits, err = workflow.ParseLimits(text); err != nil {
			return faults(r.limitsFile, err)
		}
	}
	return err
}

// any reports whether there is a rule that can keep leads waiting.
func (r *simulated) any(def *workflow.Definition) bool {
	return r.zones != nil || r.limits != nil || r.suppress > 0 || def.CallingHours != nil || def.Limits != nil ||
		slices.ContainsFunc(def.Nodes, func(n workflow.Node) bool { return n.CallingHours != nil || n.Limits != nil })
}

// zone is the time zone of a made-up person, "" for none.
func (r *simulated) zone(number int) string {
	if r.zones == nil {
		return ""
	}
	return r.zones[number%len(r.zones)]
}

// record has attempts counted by the hour on the person's clock: of the lead's zone, or
// else of the workflow's.
func (r *simulated) record(script enginetest.Script, now func() time.Time, otherwise string) {
	for node, answer := range script {
		script[node] = func(a *enginetest.Attempt) enginetest.Reply {
			name := a.Contact.TimeZone
			if name == "" {
				name = otherwise
			}
			clock := r.clocks[name]
			if clock == nil {
				if clock, _ = time.LoadLocation(name); clock == nil {
					clock = time.UTC
				}
				r.clocks[name] = clock
			}
			r.perHour[now().In(clock).Hour()]++
			return answer(a)
		}
	}
}

// schedule has people suppressed, evenly over the run and over the people.
func (r *simulated) schedule(s *simulation) {
	for i := range r.suppress {
		person := enginetest.Contact(s.leads * i / r.suppress)
		s.world.After(time.Duration(float64(s.length())*float64(i)/float64(r.suppress)), func() {
			_, err := s.world.Engine().Suppress(context.Background(), engine.Suppress{PhoneNumber: person.PhoneNumber, Reason: "simulated"})
			if err != nil && s.suppressFailed == nil {
				s.suppressFailed = errors.Join(errors.New("--suppress"), err)
			}
		})
	}
}

// report says when attempts began on people's clocks, and what kept leads waiting.
func (r *simulated) report(b *strings.Builder) {
	b.WriteString("\nAttempts in each hour of the day, on people's clocks:\n")
	for hour, n := range r.perHour {
		if n > 0 {
			fmt.Fprintf(b, "  %02d:00  %9s\n", hour, thousands(n))
		}
	}
	r.kept.report(b)
}
