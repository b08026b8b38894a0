package console

import "github.com/leadflow-go/leadflow/lead"

// overviewView is the first page.
type overviewView struct {
	Workflows *table
	InFlight  int64
	Live      int64
	Starts    chart
	StartsSum int64
	Late      string
	Stalled   int64
	AsOf      string
	Failing   []string // hosts of webhooks
}

func (h *Handler) overview(v *visit) error {
	var page overviewView
	var err error
	if page.Workflows, err = v.workflows(); err != nil {
		return err
	}
	flows, err := h.eng.Workflows(v.ctx(), everyWorkflow)
	if err != nil {
		return err
	}
	for _, w := range flows {
		page.InFlight += w.Counts[lead.InStep] + w.Counts[lead.PendingRemoval]
		page.Live += w.Counts[lead.Enrolled] + w.Counts[lead.InStep] + w.Counts[lead.PendingRemoval]
	}
	page.Starts, page.StartsSum = v.startsChart(h.eng.Pace())
	page.Late = late(h.eng.Stats())
	if c := h.censuses.get(); c != nil {
		for _, w := range c.Workflows {
			page.Stalled += w.StalledLeads
		}
		page.AsOf = v.asOf(c)
	}
	if h.config.Webhooks != nil {
		for _, host := range h.config.Webhooks() {
			if host.InARow >= 3 {
				page.Failing = append(page.Failing, host.Name)
			}
		}
	}
	return v.renderLive("overview", "Overview", page, liveSeldom)
}
