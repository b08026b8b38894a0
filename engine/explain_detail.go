package engine

import (
	"fmt"
	"strings"

	"github.com/leadflow-go/leadflow/engine/internal/core"
)

// detail says more about a blocker, for people.
func detail(f *core.Flow, x *core.Explanation, b core.Blocker) string {
	switch b.Reason {
	case core.ReasonWait:
		return "its wait is not over"
	case core.ReasonSignal:
		return fmt.Sprintf("waits for the signal %q or the time-out", f.Graph.Awaits(x.View.Rec.Node))
	case core.ReasonHours:
		return hoursDetail(f, x, b)
	case core.ReasonLimit, core.ReasonDailyCap:
		return limitDetail(f, b)
	case core.ReasonCooling:
		return fmt.Sprintf("no attempts with the rate key %q are made for a while: the provider asked for a pause, or cannot be reached", b.RateKey)
	case core.ReasonWorker:
		return "all workers are busy, or it begins in a moment"
	case core.ReasonPaused:
		return "the workflow is paused"
	case core.ReasonDraft:
		return "the workflow is a draft; activate it"
	case core.ReasonHold:
		text := "the lead is held"
		if h := x.View.Notes.Hold; h != nil && h.Actor != "" {
			text += " by " + h.Actor
		}
		if h := x.View.Notes.Hold; h != nil && h.Reason != "" {
			text += ": " + h.Reason
		}
		return text
	case core.ReasonCallback:
		return "the outcome comes by a callback"
	case core.ReasonHandler:
		return "the handler runs"
	case core.ReasonRetry:
		return fmt.Sprintf("attempt %d is queued", x.View.Rec.Attempt+1)
	case core.ReasonHooks:
		return "the completion hooks run"
	case core.ReasonParked:
		return "the process ended too often during the attempt, which is not made again"
	case core.ReasonMissing:
		return "this engine lacks a handler of the workflow"
	case core.ReasonFact, core.ReasonRest, core.ReasonUnread:
		return "something is being read"
	}
	return string(b.Reason)
}

// whose names the owner of a limit or of calling hours.
func whose(f *core.Flow, b core.Blocker, s core.Scope) string {
	switch s {
	case core.OfWorkflow:
		return "the workflow"
	case core.OfNode:
		return fmt.Sprintf("the node %q", f.Graph.Node(b.Node).ID)
	}
	return "all workflows"
}

// limitDetail names the limit that is used up, so that it can be found.
func limitDetail(f *core.Flow, b core.Blocker) string {
	l, of := b.Limit, whose(f, b, b.Scope)
	which := "attempts"
	if l.Channel != "" {
		which = string(l.Channel) + " attempts"
	}
	if l.RateKey != "" {
		which += fmt.Sprintf(" with the rate key %q", l.RateKey)
	}
	switch {
	case l.InFlight > 0:
		return fmt.Sprintf("a limit of %s is used up: %d of %d %s are in flight", of, b.Used, l.InFlight, which)
	case l.Starts > 0:
		return fmt.Sprintf("a limit of %s is used up: %d of %d %s have started within %s", of, b.Used, l.Starts, which, l.Per)
	}
	return fmt.Sprintf("a limit of %s is used up: the person has had %d of %d %s within %s", of, b.Used, l.PerContact, which, l.Per)
}

// maxShut is how many calling hours and zones a detail names.
const maxShut = 4

// hoursDetail says which calling hours are closed, where, and why that place counts.
func hoursDetail(f *core.Flow, x *core.Explanation, b core.Blocker) string {
	if b.Never {
		return neverDetail(f, x, b)
	}
	zone := map[core.Source]string{
		core.ZoneOfLead: "the lead's time zone", core.ZoneOfNumber: "a time zone of its number", core.ZoneOfWorkflow: "the workflow's time zone",
		core.ZoneUnknown: "since no time zone is known of it",
	}[b.Zones]
	var parts []string
	closed := false
	for _, s := range b.Shut[:min(len(b.Shut), maxShut)] {
		text := "those of %s are closed in %s, %s"
		if closed = closed || !s.Turn; s.Turn {
			text = "those of %s are open in %s, %s"
		}
		parts = append(parts, fmt.Sprintf(text, whose(f, b, s.Scope), s.Zone, zone))
	}
	if more := len(b.Shut) - maxShut; more > 0 {
		closed, parts = true, append(parts, fmt.Sprintf("and %d more", more))
	}
	if closed {
		return "the calling hours are closed: " + strings.Join(parts, "; ")
	}
	return strings.Join(append([]string{"its turn within the spread of the calling hours comes later"}, parts...), ": ")
}

// neverDetail says what to do about calling hours that never allow an attempt.
func neverDetail(f *core.Flow, x *core.Explanation, b core.Blocker) string {
	const never = "the calling hours never allow an attempt: no time in the next 400 days is inside them"
	if n := len(x.View.Notes.Zones); n > 1 {
		return fmt.Sprintf("%s in all %d time zones that its number may be in, from %s to %s; give the lead a time_zone of its own",
			never, n, x.View.Notes.Zones[0], x.View.Notes.Zones[n-1])
	}
	if len(f.Graph.Hours(b.Node)) > 1 {
		return fmt.Sprintf("%s, because those of the workflow and of the node %q have none in common; change one of them", never, f.Graph.Node(b.Node).ID)
	}
	return never + "; change them"
}
