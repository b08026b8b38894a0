package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Census says where the leads are that are not final, and what they wait for.
type Census struct {
	At    time.Time     // when it was begun
	Took  time.Duration // until all leads were counted
	Leads int64
	// Workflows has those with leads that are not final.
	Workflows map[lead.WorkflowID]*WorkflowCensus
	// DueByHour is how many leads are to go on by themselves in each of the 24 hours after
	// At: a wait ends, calling hours open, a retry is due. Those that are in flight, or
	// are due already, are not among them.
	DueByHour [24]int64
}

// WorkflowCensus is the part of a Census about one workflow.
type WorkflowCensus struct {
	Leads   int64
	Nodes   map[string]*NodeCensus // by the node's id
	Reasons map[WaitReason]int64   // of all nodes
	// Stalled are leads that do not go on although they should: the handler's process ended
	// too often, the row cannot be read, or no engine has taken the lead up although it has
	// been due for a minute. There are at most MaxStalled, those that stall longest;
	// StalledLeads is how many there are.
	Stalled      []StalledLead
	StalledLeads int64
}

// NodeCensus is the part of a Census about one node.
type NodeCensus struct {
	Leads   int64
	Reasons map[WaitReason]int64
	// Oldest is the lead that has been there longest, since Since.
	Oldest lead.ID
	Since  time.Time
}

// StalledLead is a lead that does not go on although it should.
type StalledLead struct {
	ID          lead.ID
	PhoneNumber string
	Node        string
	Why         string    // for people
	Since       time.Time // since when it should have gone on
}

// MaxStalled is how many leads a WorkflowCensus lists as stalled.
const MaxStalled = 20

const (
	// censusPage is how many leads Census reads at a time, and censusRest how many times
	// longer than that took it then rests, so that it takes a fifth of a processor at most.
	censusPage = 500
	censusRest = 4
	// stallsAfter is how long a lead may be due before it counts as stalled.
	stallsAfter = time.Minute
)

// Census counts the leads that are not final by what they wait for. It reads each of them,
// in pages with pauses in between, so that others are not delayed: a million take some
// tens of seconds, and memory for one page. The leads of a page are of one moment, those
// of two pages are not. It counts all engines' leads. Errors are those of the store, and
// ctx's.
func (e *Engine) Census(ctx context.Context) (Census, error) {
	begun := time.Now()
	rules, err := e.run.Rules(ctx)
	if err != nil {
		return Census{}, e.why(err)
	}
	c := Census{At: e.config.Clock.Now().UTC(), Workflows: map[lead.WorkflowID]*WorkflowCensus{}}
	for _, f := range e.run.Flows() {
		if err := e.countFlow(ctx, &c, f.In(rules)); err != nil {
			return Census{}, err
		}
	}
	c.Took = time.Since(begun)
	return c, nil
}

// countFlow counts the leads of one workflow.
func (e *Engine) countFlow(ctx context.Context, c *Census, f *core.Flow) error {
	q := store.LeadQuery{Workflow: f.Row.Seq, States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}, Limit: censusPage}
	w := &WorkflowCensus{Nodes: map[string]*NodeCensus{}, Reasons: map[WaitReason]int64{}}
	for {
		begun := time.Now()
		page, err := e.store.Leads(ctx, q)
		var damaged store.RowErrors
		if err != nil && !errors.As(err, &damaged) {
			return run.ReadFailed(err)
		}
		for i := range page {
			w.count(c, f, &page[i])
		}
		for _, row := range damaged {
			w.stall(StalledLead{Why: row.Error()})
		}
		if len(page)+len(damaged) < q.Limit || len(page) == 0 {
			break
		}
		q.After = page[len(page)-1].Seq
		if err := rest(ctx, censusRest*time.Since(begun)); err != nil {
			return err
		}
	}
	if w.Leads > 0 || w.StalledLeads > 0 {
		slices.SortFunc(w.Stalled, func(a, b StalledLead) int { return a.Since.Compare(b.Since) })
		c.Workflows[f.Row.ID] = w
	}
	return nil
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// count counts one lead.
func (w *WorkflowCensus) count(c *Census, f *core.Flow, l *store.Lead) {
	now := store.MillisOf(c.At)
	view, err := core.Read(l.Record, f)
	c.Leads++
	w.Leads++
	if int(l.Node) >= f.Graph.Len() || l.Node < 0 || err != nil {
		w.stall(StalledLead{ID: l.Contact.ID, PhoneNumber: lead.PhoneFromDigits(l.Contact.Phone), Why: "what is stored of it cannot be read"})
		return
	}
	view.EndHold(now)
	reason := core.Why(view, f, now)
	id := f.Graph.Node(l.Node).ID
	n := w.Nodes[id]
	if n == nil {
		n = &NodeCensus{Reasons: map[WaitReason]int64{}}
		w.Nodes[id] = n
	}
	n.Leads++
	n.Reasons[waitReason(reason)]++
	w.Reasons[waitReason(reason)]++
	if since := l.Entered.Time(); n.Since.IsZero() || since.Before(n.Since) {
		n.Since, n.Oldest = since, l.Contact.ID
	}
	due := view.DueAt()
	if hour := (due - now) / store.Millis(time.Hour/time.Millisecond); due > now && hour < store.Millis(len(c.DueByHour)) && goesOn(reason) {
		c.DueByHour[hour]++
	}
	if why, since := stalls(reason, due, now, &view); why != "" {
		w.stall(StalledLead{ID: l.Contact.ID, PhoneNumber: lead.PhoneFromDigits(l.Contact.Phone), Node: id, Why: why, Since: since.Time()})
	}
}

// goesOn reports whether a lead with that reason goes on by itself at a time.
func goesOn(reason core.Reason) bool {
	switch reason {
	case core.ReasonWait, core.ReasonSignal, core.ReasonHours, core.ReasonDailyCap, core.ReasonLimit, core.ReasonCooling, core.ReasonRetry, core.ReasonHold:
		return true
	}
	return false
}

// stalls says why a lead stalls, and since when it should have gone on; "" if it does not.
func stalls(reason core.Reason, due, now store.Millis, v *core.View) (why string, since store.Millis) {
	switch {
	case reason == core.ReasonParked:
		return "the process ended too often during the attempt, which is not made again", v.Rec.Started
	case reason == core.ReasonMissing:
		return "no engine has the handler of its node", v.Rec.Entered
	case reason == core.ReasonWorker && due < now.Add(-stallsAfter):
		return "it is due, and waits for a free worker", due
	}
	return "", 0
}

// stall lists a lead as stalled, if it has stalled longer than others.
func (w *WorkflowCensus) stall(l StalledLead) {
	w.StalledLeads++
	w.Stalled = append(w.Stalled, l)
	if len(w.Stalled) <= MaxStalled {
		return
	}
	newest := 0
	for i := range w.Stalled {
		if cmp.Compare(w.Stalled[i].Since.UnixNano(), w.Stalled[newest].Since.UnixNano()) > 0 {
			newest = i
		}
	}
	w.Stalled = slices.Delete(w.Stalled, newest, newest+1)
}
