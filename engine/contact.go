package engine

import (
	"context"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
)

// ContactStatus is what is known of a person, in all workflows.
type ContactStatus struct {
	PhoneNumber string // in E.164 form
	// TimeZones are those in which the person may be; see [Engine.TimeZones].
	TimeZones []string
	// Leads are the person's leads, the newest first. InFlight is how many of them have a
	// step in flight, and Live how many are not final.
	Leads          []lead.Lead
	InFlight, Live int
	// Suppressions are those that hold now for the number, or for an external id of one of
	// the Leads, the newest first. Suppressed reports whether one of them holds
	// everywhere.
	Suppressions []lead.Suppression
	Suppressed   bool
	// SilentSince is since when nothing has been in flight for the person, who is
	// Suppressed. Until then, and for a person who is not, it is zero.
	SilentSince time.Time
}

// ContactStatus returns what is known of a person. An invalid number is a
// *lead.InvalidError; an unknown one has no leads, which is no error.
func (e *Engine) ContactStatus(ctx context.Context, phoneNumber string) (ContactStatus, error) {
	number, err := lead.NormalizePhone(phoneNumber, e.config.Region)
	if err != nil {
		return ContactStatus{}, err
	}
	out := ContactStatus{PhoneNumber: number}
	out.TimeZones, _ = core.ZonesOf(nil, &lead.Contact{PhoneNumber: number})
	if out.Suppressions, err = e.holding(ctx, SuppressionFilter{PhoneNumber: number}); err != nil {
		return ContactStatus{}, err
	}
	// After the suppressions: what they removed is seen as removed.
	if out.Leads, err = e.ContactLeads(ctx, ContactFilter{PhoneNumber: number}); err != nil {
		return ContactStatus{}, err
	}
	asked := map[string]bool{"": true}
	for _, l := range out.Leads {
		switch {
		case l.State.InFlight():
			out.InFlight++
			out.Live++
		case !l.State.Final():
			out.Live++
		}
		if asked[l.ExternalID] {
			continue
		}
		asked[l.ExternalID] = true
		also, err := e.holding(ctx, SuppressionFilter{ExternalID: l.ExternalID})
		if err != nil {
			return ContactStatus{}, err
		}
		for _, s := range also {
			if !slices.ContainsFunc(out.Suppressions, func(has lead.Suppression) bool { return has.ID == s.ID }) {
				out.Suppressions = append(out.Suppressions, s)
			}
		}
	}
	slices.SortStableFunc(out.Suppressions, func(a, b lead.Suppression) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if len(out.Leads) > 0 {
		out.TimeZones = e.TimeZones(out.Leads[0])
	}
	out.silence()
	return out, nil
}

// holding returns the suppressions that match and hold now.
func (e *Engine) holding(ctx context.Context, filter SuppressionFilter) ([]lead.Suppression, error) {
	filter.Active = true
	return e.Suppressions(ctx, filter)
}

// silence finds out whether the person is suppressed everywhere, and silent since when.
func (c *ContactStatus) silence() {
	for _, s := range c.Suppressions {
		if s.Channel == "" && s.WorkflowID.IsZero() {
			c.Suppressed, c.SilentSince = true, s.CreatedAt // the oldest of them, in the end
		}
	}
	if !c.Suppressed {
		return
	}
	for _, l := range c.Leads {
		switch {
		case !l.State.Final():
			c.SilentSince = time.Time{}
			return
		case l.UpdatedAt.After(c.SilentSince): // it ended later
			c.SilentSince = l.UpdatedAt
		}
	}
}

// TimeZones returns the names of the time zones in which the person may be: the one that
// the lead was enrolled with, else those of the number, else the workflow's, else none,
// which means UTC. Calling hours hold in all of them.
func (e *Engine) TimeZones(l lead.Lead) []string {
	f, _ := e.run.Flow(l.WorkflowID) // nil if it was deleted
	zones, _ := core.ZonesOf(f, &l.Contact)
	return zones
}
