package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// workflowView is the page of one workflow.
type workflowView struct {
	engine.Workflow
	Called  string
	Changes []changeLink
	Done    string
	Live    int64
	Flying  int64
	Picture *picture // nil if the graph is too large for one
	Nodes   *table
	Edges   *table
	Stalled *table
	More    int64 // leads that stall and are not listed
	Funnel  *table
	AsOf    string
	Since   moment // since when passes are counted
	JSON    string
	Created moment
}

// changeLink leads to the page that asks before a change.
type changeLink struct{ Text, To, Name string }

// changes are what can be done to a workflow, and in which statuses.
var changes = []struct {
	name, text string
	from       []lead.WorkflowStatus
	do         func(*engine.Engine, *visit, lead.WorkflowID) error
}{
	{"activate", "Activate", []lead.WorkflowStatus{lead.WorkflowDraft}, func(e *engine.Engine, v *visit, id lead.WorkflowID) error {
		_, err := e.ActivateWorkflow(v.ctx(), id)
		return err
	}},
	{"pause", "Pause", []lead.WorkflowStatus{lead.WorkflowActive}, func(e *engine.Engine, v *visit, id lead.WorkflowID) error {
		_, err := e.PauseWorkflow(v.ctx(), id)
		return err
	}},
	{"resume", "Resume", []lead.WorkflowStatus{lead.WorkflowPaused}, func(e *engine.Engine, v *visit, id lead.WorkflowID) error {
		_, err := e.ResumeWorkflow(v.ctx(), id)
		return err
	}},
	{"cancel", "Cancel", []lead.WorkflowStatus{lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused}, func(e *engine.Engine, v *visit, id lead.WorkflowID) error {
		_, err := e.CancelWorkflow(v.ctx(), id)
		return err
	}},
}

func (h *Handler) workflow(v *visit) error {
	id, w, def, err := v.whichWorkflow()
	if err != nil {
		return err
	}
	counts, err := h.eng.NodeCounts(v.ctx(), id)
	if err != nil {
		return err
	}
	passes, err := h.eng.Passes(id)
	if err != nil {
		return err
	}
	page := workflowView{
		Workflow: w, Called: nameOf(def, id), Live: w.Counts[lead.Enrolled] + w.Counts[lead.InStep] + w.Counts[lead.PendingRemoval],
		Flying: w.Counts[lead.InStep] + w.Counts[lead.PendingRemoval], Since: v.at(passes.Since), Created: v.at(w.CreatedAt),
		Done: map[string]string{"activate": "The workflow is active.", "pause": "The workflow is paused.", "resume": "The workflow is active again.", "cancel": "The workflow is cancelled."}[v.r.URL.Query().Get("did")],
		JSON: v.ToAPI(nil, "workflows", id.String()),
	}
	for _, c := range changes {
		if slices.Contains(c.from, w.Status) {
			page.Changes = append(page.Changes, changeLink{c.text, v.To("workflows", id.String(), c.name), c.name})
		}
	}
	var census *engine.WorkflowCensus
	c := h.censuses.get()
	if page.AsOf = v.asOf(c); c != nil {
		if census = c.Workflows[id]; census == nil {
			census = &engine.WorkflowCensus{}
		}
		page.Stalled, page.More = v.stalled(id, census)
	}
	page.Nodes = v.nodeTable(id, def, counts, census)
	page.Edges = v.edgeTable(id, def, passes)
	page.Funnel = v.funnel(def, counts)
	page.Picture = v.draw(id, def, counts, census, passes)
	return v.renderLive("workflow", page.Called, page, liveSeldom)
}

// whichWorkflow returns the workflow of the page's address.
func (v *visit) whichWorkflow() (lead.WorkflowID, engine.Workflow, *workflow.Definition, error) {
	id, err := lead.ParseWorkflowID(v.r.PathValue("id"))
	if err != nil {
		return id, engine.Workflow{}, nil, err
	}
	w, err := v.h.eng.Workflow(v.ctx(), id)
	if err != nil {
		return id, w, nil, err
	}
	def, err := v.definition(id)
	if err == nil && def == nil {
		err = errNoPage // deleted just now
	}
	return id, w, def, err
}

// live is how many of the leads at a node are not final.
func live(n map[lead.State]int64) int64 {
	return n[lead.Enrolled] + n[lead.InStep] + n[lead.PendingRemoval]
}

func nodeLabel(n *workflow.Node) string {
	if n.Label != "" {
		return n.Label
	}
	return n.ID
}

// nodeTable says how many leads are at each node, and what they wait for.
func (v *visit) nodeTable(id lead.WorkflowID, def *workflow.Definition, counts map[string]map[lead.State]int64, census *engine.WorkflowCensus) *table {
	t := v.newTable("Nodes", "", v.ToAPI(nil, "workflows", id.String(), "nodes"), "Node", "Type", "#Here now", "Waiting for", "Oldest since", "#Removed here", "#Completed here")
	for i := range def.Nodes {
		n := &def.Nodes[i]
		name := link(nodeLabel(n), v.To("leads")+"?workflow="+id.String()+"&node_id="+escape(n.ID))
		here := counts[n.ID]
		waits, oldest := text(""), text("")
		if census == nil {
			waits = text("being counted")
		} else if c := census.Nodes[n.ID]; c != nil {
			waits = text(reasonsText(c.Reasons))
			oldest = when(v.at(c.Since), c.Since)
			oldest.To = v.To("leads", c.Oldest.String())
		}
		t.add(name, text(words(string(n.Type))), number(live(here)), waits, oldest, number(here[lead.Removed]), number(here[lead.Completed]))
	}
	return v.sort(t)
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// reasonsText lists reasons with their counts, the most frequent first.
func reasonsText(reasons map[engine.WaitReason]int64) string {
	var parts []string
	for _, r := range byCount(reasons) {
		parts = append(parts, thousands(reasons[r])+" "+reasonShort[r])
	}
	return strings.Join(parts, ", ")
}

func byCount(reasons map[engine.WaitReason]int64) []engine.WaitReason {
	return slices.SortedFunc(maps.Keys(reasons), func(a, b engine.WaitReason) int {
		return cmp.Or(-cmp.Compare(reasons[a], reasons[b]), cmp.Compare(a, b))
	})
}

// reasonShort says in a word or two what leads wait for.
var reasonShort = map[engine.WaitReason]string{
	engine.WaitTime: "delay", engine.WaitSignal: "signal", engine.WaitHours: "calling hours", engine.WaitLimit: "limit", engine.WaitDailyCap: "daily limit",
	engine.WaitCooling: "cooling", engine.WaitWorker: "worker", engine.WaitPaused: "paused", engine.WaitDraft: "draft", engine.WaitHold: "held",
	engine.WaitCallback: "callback", engine.WaitHandler: "running", engine.WaitRetry: "retry", engine.WaitHooks: "hooks", engine.WaitFinal: "ended",
}

// edgeTable says how often leads have gone along each edge.
func (v *visit) edgeTable(id lead.WorkflowID, def *workflow.Definition, passes engine.Passes) *table {
	t := v.newTable("Flows", "The workflow has no edges.", v.ToAPI(nil, "workflows", id.String(), "edges"), "From", "Outcome", "To", "#Leads")
	for i, e := range def.Edges {
		n := int64(0)
		if i < len(passes.Edges) {
			n = passes.Edges[i]
		}
		t.add(text(v.nodeName(id, e.From)), text(e.Label), text(v.nodeName(id, e.To)), number(n))
	}
	return v.sort(t)
}

// stalled lists leads that do not go on although they should.
func (v *visit) stalled(id lead.WorkflowID, census *engine.WorkflowCensus) (t *table, more int64) {
	t = v.newTable("Leads that stall", "No lead stalls.", "", "Person", "Node", "Why", "Since")
	for _, s := range census.Stalled {
		who := text("a lead that cannot be read")
		if !s.ID.IsZero() {
			who = link(cmp.Or(s.PhoneNumber, s.ID.String()), v.To("leads", s.ID.String()))
		}
		t.add(who, text(v.nodeName(id, s.Node)), text(s.Why), when(v.at(s.Since), s.Since))
	}
	return v.sort(t), census.StalledLeads - int64(len(census.Stalled))
}

// funnel says how far leads have come: how many are, or ended, at a step or behind it. The
// steps are the longest ways from the entry.
func (v *visit) funnel(def *workflow.Definition, counts map[string]map[lead.State]int64) *table {
	depth := depths(def)
	var at []int64
	var names [][]string
	for i := range def.Nodes {
		n := &def.Nodes[i]
		d := depth[n.ID]
		for len(at) <= d {
			at, names = append(at, 0), append(names, nil)
		}
		names[d] = append(names[d], nodeLabel(n))
		for _, k := range counts[n.ID] {
			at[d] += k
		}
	}
	all := int64(0)
	for _, n := range at {
		all += n
	}
	t := v.newTable("How far leads have come", "", "", "#Step", "Nodes", "#Came this far", "#Of all", "#Stopped or wait here")
	reached := all
	for d := range at {
		share := cell{Text: "–", Number: true}
		if all > 0 {
			percent := 100 * float64(reached) / float64(all)
			share = cell{Text: fixed(percent) + "%", Number: true, by: key{true, percent}, Bar: fixed(percent)}
		}
		t.add(number(int64(d+1)), text(strings.Join(names[d], ", ")), number(reached), share, number(at[d]))
		reached -= at[d]
	}
	return v.sort(t)
}

// errChange: there is no such change of a workflow.
var errChange = errNoPage

// askView asks before a change of a workflow.
type askView struct {
	Called, Status string
	Text, Name     string
	Says           []string // what it would do
	To, Back       string
	Possible       bool
	Danger         bool
}

// askWorkflow says how many leads a change concerns, and asks.
func (h *Handler) askWorkflow(v *visit) error {
	id, w, def, err := v.whichWorkflow()
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.name != v.r.PathValue("change") {
			continue
		}
		page := askView{
			Called: nameOf(def, id), Status: w.Status.String(), Text: c.text, Name: c.name, Says: says(c.name, w), To: v.To("workflows", id.String(), c.name),
			Back: v.To("workflows", id.String()), Possible: slices.Contains(c.from, w.Status), Danger: c.name == "cancel",
		}
		return v.render("ask", c.text+" "+page.Called, page)
	}
	return errChange
}

// says is what a change of a workflow would do.
func says(name string, w engine.Workflow) []string {
	waiting, flying := w.Counts[lead.Enrolled], w.Counts[lead.InStep]+w.Counts[lead.PendingRemoval]
	leads := func(n int64) string { return plural(int(n), "lead", "leads") }
	switch name {
	case "activate":
		return []string{leads(waiting) + " will start, as calling hours and limits allow."}
	case "pause":
		return []string{
			leads(waiting+flying) + " will begin nothing new until the workflow is resumed, not even a retry.",
			leads(flying) + " have a step in flight; what runs now finishes.",
		}
	case "resume":
		return []string{leads(waiting+flying) + " will go on. Waits that came due meanwhile end now."}
	}
	return []string{
		leads(waiting+flying) + " will be removed, for good. This cannot be undone.",
		leads(flying) + " have a step in flight; what runs now finishes first, and no retry is made.",
	}
}

func (h *Handler) changeWorkflow(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	id, _, _, err := v.whichWorkflow()
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.name == v.r.PathValue("change") {
			if err := c.do(h.eng, v, id); err != nil {
				return err
			}
			return v.redirect(v.To("workflows", id.String()) + "?did=" + c.name)
		}
	}
	return errChange
}

// workflowListView lists the workflows.
type workflowListView struct {
	Statuses []option
	List     *table
}

func (h *Handler) workflowList(v *visit) error {
	var page workflowListView
	for s := lead.WorkflowDraft; s <= lead.WorkflowCancelled; s++ {
		page.Statuses = append(page.Statuses, option{s.String(), s.String(), v.r.URL.Query().Get("status") == s.String()})
	}
	var err error
	if page.List, err = v.workflows(); err != nil {
		return err
	}
	return v.renderLive("workflows", "Workflows", page, liveSeldom)
}
