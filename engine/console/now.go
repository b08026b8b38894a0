package console

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// nowView is what happens now, and what comes next.
type nowView struct {
	InFlight  int64
	Running   int
	Ready     int
	Late      string
	Flying    *table
	Starts    chart
	Due       *chart // nil while the leads are being counted
	Deferred  *table
	AsOf      string
	StartsSum int64
}

// mostFlying is how many leads in flight are listed.
const mostFlying = 50

func (h *Handler) now(v *visit) error {
	s := h.eng.Stats()
	page := nowView{Running: s.Running, Ready: s.Ready, Late: late(s)}
	flows, err := h.eng.Workflows(v.ctx(), everyWorkflow)
	if err != nil {
		return err
	}
	if page.Flying, err = v.flying(flows); err != nil {
		return err
	}
	for _, w := range flows {
		page.InFlight += w.Counts[lead.InStep] + w.Counts[lead.PendingRemoval]
	}
	page.Starts, page.StartsSum = v.startsChart(h.eng.Pace())
	c := h.censuses.get()
	page.AsOf = v.asOf(c)
	if c != nil {
		due := v.dueChart(c)
		page.Due = &due
		page.Deferred = v.deferred(c)
	}
	return v.renderLive("now", "Now and next", page, liveSeldom)
}

// everyWorkflow selects all workflows.
var everyWorkflow engine.WorkflowFilter

// late says how late the next start is; "" if it is not.
func late(s engine.Stats) string {
	if s.Late < time.Second {
		return ""
	}
	return span(s.Late)
}

// flying lists leads with a step in flight.
func (v *visit) flying(flows []engine.Workflow) (*table, error) {
	t := v.newTable("In flight now", "No step is in flight.", "", "Person", "Workflow", "Step", "Status", "Since", "At the latest")
	left := mostFlying
	for _, w := range flows {
		if left == 0 || w.Counts[lead.InStep]+w.Counts[lead.PendingRemoval] == 0 {
			continue
		}
		list, err := v.h.eng.Leads(v.ctx(), w.ID, engine.LeadFilter{States: []lead.State{lead.InStep, lead.PendingRemoval}, Limit: left})
		if err != nil {
			return nil, err
		}
		left -= len(list)
		for _, l := range list {
			t.add(link(l.PhoneNumber, v.To("leads", l.ID.String())), link(nameOfWorkflow(w), v.To("workflows", w.ID.String())), text(v.nodeName(w.ID, l.Node)),
				badge(l.State.String()), when(v.at(l.UpdatedAt), l.UpdatedAt), when(v.at(l.NextActionAt), l.NextActionAt))
		}
	}
	if left == 0 {
		t.Caption += " (the first " + strconv.Itoa(mostFlying) + ")"
	}
	return v.sort(t), nil
}

// startsChart draws the attempts of the last hour.
func (v *visit) startsChart(p engine.Pace) (chart, int64) {
	sum := int64(0)
	for _, n := range p.Minutes {
		sum += n
	}
	at := func(i int) time.Time { return p.First.Add(time.Duration(i) * time.Minute).In(v.zone) }
	c := newChart("Attempts begun in each minute", thousands(sum)+" attempts begun in the last hour", p.Minutes, 10,
		func(i int) string { return at(i).Format("15:04") },
		func(i int) string { return at(i).Format("15:04") + ": " + thousands(p.Minutes[i]) })
	c.Empty = "No attempt was begun in the last hour on this engine."
	return c, sum
}

// dueChart draws what comes due in the next 24 hours.
func (v *visit) dueChart(c *engine.Census) chart {
	sum := int64(0)
	for _, n := range c.DueByHour {
		sum += n
	}
	at := func(i int) time.Time { return c.At.Add(time.Duration(i) * time.Hour).In(v.zone) }
	chart := newChart("Leads that come due in each hour", thousands(sum)+" leads come due in the next 24 hours", c.DueByHour[:], 3,
		func(i int) string { return at(i).Format("15:04") },
		func(i int) string {
			return at(i).Format("15:04") + " to " + at(i+1).Format("15:04") + ": " + thousands(c.DueByHour[i])
		})
	chart.Empty = "Nothing comes due by itself in the next 24 hours."
	return chart
}

// deferred lists by cause how many leads wait.
func (v *visit) deferred(c *engine.Census) *table {
	sums := map[engine.WaitReason]int64{}
	for _, w := range c.Workflows {
		for reason, n := range w.Reasons {
			sums[reason] += n
		}
	}
	t := v.newTable("What leads wait for", "No lead waits.", "", "Cause", "#Leads")
	for _, reason := range slices.SortedFunc(maps.Keys(sums), func(a, b engine.WaitReason) int {
		return cmp.Or(-cmp.Compare(sums[a], sums[b]), cmp.Compare(a, b))
	}) {
		t.add(text(reasonWords[reason]), number(sums[reason]))
	}
	return v.sort(t)
}

// reasonWords says for people what leads wait for.
var reasonWords = map[engine.WaitReason]string{
	engine.WaitTime: "a delay", engine.WaitSignal: "a signal", engine.WaitHours: "calling hours", engine.WaitLimit: "a limit",
	engine.WaitDailyCap: "the person's daily limit", engine.WaitCooling: "a provider that asks for a pause or cannot be reached", engine.WaitWorker: "a free worker",
	engine.WaitPaused: "the workflow is paused", engine.WaitDraft: "the workflow is a draft", engine.WaitHold: "held",
	engine.WaitCallback: "a callback", engine.WaitHandler: "the handler runs", engine.WaitRetry: "a retry", engine.WaitHooks: "completion hooks", engine.WaitFinal: "nothing",
}
