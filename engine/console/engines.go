package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

// enginesView is about the engines that share the store, and about this one.
type enginesView struct {
	Engines *table
	Shared  bool
	Here    *table // figures of this one
}

func (h *Handler) engines(v *visit) error {
	list, err := h.eng.Engines(v.ctx())
	if err != nil {
		return err
	}
	page := enginesView{Shared: list != nil}
	page.Engines = v.newTable("Engines", "No engine has a place now. One that runs gets one within seconds.", "",
		"Name", "Status", "#Epoch", "Lease left", "#Shards", "Since")
	for _, e := range list {
		status := "working"
		switch {
		case e.Lease <= 0:
			status = "silent"
		case !e.Takes:
			status = "stopping"
		}
		name := text(e.Name)
		if e.Here {
			name.Note = "this one"
		}
		left := cell{Text: "none", by: key{true, e.Lease.Seconds()}}
		if e.Lease > 0 {
			left.Text = span(e.Lease.Truncate(100 * time.Millisecond))
		}
		shards := number(int64(len(e.Shards)))
		shards.Note = ranges(e.Shards)
		page.Engines.add(name, badge(status), number(e.Number), left, shards, when(v.at(e.Joined), e.Joined))
	}
	v.sort(page.Engines)
	page.Here = v.statsTable(h.eng.Stats())
	return v.renderLive("engines", "Engines", page, liveSeldom)
}

// statsTable lists the counters of this engine.
func (v *visit) statsTable(s engine.Stats) *table {
	t := v.newTable("This engine since it was started", "", "", "Figure", "#Value")
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"Handlers that run now", int64(s.Running)}, {"Leads that are due and wait for a worker", int64(s.Ready)}, {"Leads in memory", int64(s.InMemory)},
		{"Leads enrolled", s.LeadsEnrolled}, {"Leads completed", s.LeadsCompleted}, {"Leads removed", s.LeadsRemoved},
		{"Steps started", s.StepsStarted}, {"Steps completed", s.StepsCompleted}, {"Steps failed", s.StepsFailed}, {"Steps failed by timeout", s.TimedOut},
		{"Retries", s.Retries}, {"Attempts delivered again after a crash", s.Redelivered}, {"Attempts that could not be made", s.NotMade},
		{"Leads parked", s.Parked}, {"Waits and messages cancelled", s.TimersCancelled}, {"Hook failures", s.HookFailures}, {"Late results", s.LateResults}, {"Commits", s.Commits},
	} {
		t.add(text(f.name), number(f.n))
	}
	late := cell{Text: span(s.Late.Truncate(time.Millisecond)), Number: true, by: key{true, s.Late.Seconds()}}
	t.add(text("How late the next start is"), late)
	return v.sort(t)
}

// ranges writes shards as "0-20, 63".
func ranges(list []int16) string {
	var parts []string
	for i := 0; i < len(list); {
		k := i
		for k+1 < len(list) && list[k+1] == list[k]+1 {
			k++
		}
		part := strconv.Itoa(int(list[i]))
		if k > i {
			part += "-" + strconv.Itoa(int(list[k]))
		}
		parts, i = append(parts, part), k+1
	}
	return strings.Join(parts, ", ")
}
