package core

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/hours"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// open is until when calling hours are known to allow attempts.
type open struct {
	hours **hours.Hours // where the list of them begins: nodes that share it have the same
	until store.Millis
}

// neverOpen is when to ask again about calling hours that do not open within the bound
// of hours.Opening: only then they may, because of holidays that are over.
const neverOpen = hours.Bound - 24*time.Hour

// closed is the rule that no attempt begins outside the calling hours (promise 14).
func (v *View) closed(f *Flow, now store.Millis) ruling {
	all := f.Graph.Hours(v.attemptNode(now))
	if len(all) == 0 {
		return ruling{}
	}
	if v.open.hours == &all[0] && now < v.open.until {
		return ruling{}
	}
	opens, closes, ok := hours.Opening(all, v.locations(), hours.Share(v.Rec.Seq, 0), now.Time())
	switch {
	case !ok:
		return ruling{may: later, reason: ReasonHours, until: now.Add(neverOpen), own: true, endless: true}
	case roundUp(opens) > now:
		return ruling{may: later, reason: ReasonHours, until: roundUp(opens), own: true}
	}
	v.open = open{&all[0], store.MillisOf(closes)}
	return ruling{}
}

// Shut says that the calling hours of a scope do not allow an attempt in a time zone.
type Shut struct {
	Scope Scope
	Zone  string
	Until store.Millis // 0 if they never do
	Turn  bool         // they are open, and the lead's turn within their spread has not come
}

// shut returns which calling hours are closed, and where, the workflow's first.
func (v *View) shut(f *Flow, now store.Millis) (list []Shut) {
	node := v.attemptNode(now)
	all := f.Graph.Hours(node)
	for i, h := range all {
		scope := OfWorkflow
		if i == len(all)-1 && f.Graph.Node(node).CallingHours != nil {
			scope = OfNode
		}
		plain := *h
		plain.Spread = 0
		for _, zone := range v.locations() {
			opening := func(h *hours.Hours) store.Millis {
				opens, _, ok := hours.Opening([]*hours.Hours{h}, []*time.Location{zone}, hours.Share(v.Rec.Seq, 0), now.Time())
				if !ok {
					return 0
				}
				return roundUp(opens)
			}
			if until := opening(h); until == 0 || until > now {
				list = append(list, Shut{scope, zone.String(), until, opening(&plain) == now})
			}
		}
	}
	return list
}

// attemptNode returns the node of the lead's next attempt, or of the one in flight.
func (v *View) attemptNode(now store.Millis) int32 {
	if !v.Rec.State.InFlight() && v.messageDue(now) {
		return v.Notes.Messages[0].Node
	}
	return v.Rec.Node
}

// ClosesAt returns when the calling hours of the attempt in flight end, so that its
// handler must not be called later; 0 for never.
func (v *View) ClosesAt(f *Flow) store.Millis {
	if all := f.Graph.Hours(v.Rec.Node); len(all) > 0 && v.open.hours == &all[0] {
		return v.open.until
	}
	return 0
}

// locations returns the time zones that hold for the lead.
func (v *View) locations() []*time.Location {
	list := make([]*time.Location, 0, max(1, len(v.Notes.Zones)))
	for _, name := range v.Notes.Zones {
		if zone, err := hours.Load(name); err == nil {
			list = append(list, zone)
		}
	}
	if len(list) == 0 {
		list = append(list, time.UTC)
	}
	return list
}

// Source says why time zones hold for a lead.
type Source uint8

// The sources, the strongest first.
const (
	ZoneOfLead Source = iota
	ZoneOfNumber
	ZoneOfWorkflow
	ZoneUnknown // so UTC holds
)

// ZonesOf returns the names of the time zones that hold for a contact: its own, else
// those of its number, else the workflow's, else none, which means UTC. f may be nil.
func ZonesOf(f *Flow, c *lead.Contact) ([]string, Source) {
	if c != nil && c.TimeZone != "" {
		return []string{c.TimeZone}, ZoneOfLead
	}
	if c != nil {
		if zones := hours.ZonesOf(c.PhoneNumber); len(zones) > 0 {
			return zones, ZoneOfNumber
		}
	}
	if f.Exists() && f.Graph.TimeZone() != "" {
		return []string{f.Graph.TimeZone()}, ZoneOfWorkflow
	}
	return nil, ZoneUnknown
}
