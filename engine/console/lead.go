package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// leadView is the page of one lead.
type leadView struct {
	lead.Lead
	Workflow, ToWorkflow, ToPerson string
	Node                           string
	Sentence                       string
	Blockers                       []blocker
	Next                           []nextStep
	Since                          moment
	Would                          *wouldView
	Removal                        *removalView
	Held                           *holdView
	Local                          []string
	Metadata                       []field
	Enrolled, Ended, NextAction    moment
	Timeline                       []step
	Earlier                        int // steps that are not shown
	Signals                        []string
	Done                           string // what was done just now
	JSON, HistoryJSON, Receipt     string
	Zone                           string
}

type blocker struct {
	Detail string
	Until  moment
}

type nextStep struct {
	Node, Outcome string
	At            moment
}

type wouldView struct {
	Pending  bool // removal would have to wait
	Finishes string
	By       moment
	Cancels  []cancelled
}

type removalView struct {
	Reason, Actor string
	Asked, Done   moment
	SkipRetries   bool
}

type holdView struct {
	Reason, Actor string
	Since, Until  moment
}

type field struct{ Name, Value string }

// step is an entry of the timeline.
type step struct {
	Node, Type, Status, Outcome, CallID, Error, Data string
	Scheduled                                        bool
	Entered, Exited, Due                             moment
	Took                                             string
	Attempts                                         []attempt
	HookErrors                                       []string
}

type attempt struct {
	Number              int
	Status, Error, Call string
	Started, Ended, Due moment
	Took                string
	Redelivered         bool
}

// mostSteps is how many steps of a lead are shown, the last ones.
const mostSteps = 100

// whichLead returns the lead of the page's address.
func (v *visit) whichLead() (lead.Lead, error) {
	id, err := lead.ParseID(v.r.PathValue("lead"))
	if err != nil {
		return lead.Lead{}, err
	}
	return v.h.eng.LeadByID(v.ctx(), id)
}

// deeds are what an operator may have done just now, by the parameter did.
var deeds = map[string]string{
	"remove": "The removal is on record.", "hold": "The lead is held.", "release": "The lead is released.",
	"signal-woken": "The signal has ended the wait.", "signal-exits": "The signal completes the lead, now or when its step in flight has ended.",
	"signal-kept": "The signal is kept for a wait that follows the step in flight.", "signal-ignored": "Nothing waits for that signal.",
}

func (h *Handler) lead(v *visit) error {
	l, err := v.whichLead()
	if err != nil {
		return err
	}
	zones := h.eng.TimeZones(l)
	wf, id := l.WorkflowID.String(), l.ID.String()
	page := leadView{
		Lead: l, Workflow: v.workflowName(l.WorkflowID), ToWorkflow: v.To("workflows", wf), ToPerson: v.To("people", l.PhoneNumber),
		Node: v.nodeName(l.WorkflowID, l.Node), Local: v.localTimes(zones), Metadata: fieldsOf(l.Metadata),
		Enrolled: v.atTheirs(l.EnrolledAt, zones), NextAction: v.atTheirs(l.NextActionAt, zones), Done: deeds[v.r.URL.Query().Get("did")],
		JSON: v.ToAPI(nil, "workflows", wf, "leads", id), HistoryJSON: v.ToAPI(nil, "workflows", wf, "leads", id, "history"), Zone: v.Zone(),
	}
	if l.State.Final() {
		page.Ended = v.atTheirs(l.UpdatedAt, zones)
	}
	if r := l.Removal; r != nil {
		page.Removal = &removalView{r.Reason, r.Actor, v.at(r.RequestedAt), v.at(r.RemovedAt), r.SkipRetries}
		page.Receipt = v.ToAPI(nil, "workflows", wf, "leads", id, "receipt")
	}
	if b := l.Hold; b != nil {
		page.Held = &holdView{b.Reason, b.Actor, v.at(b.Since), v.atTheirs(b.Until, zones)}
	}
	if err := page.explain(v, zones); err != nil {
		return err
	}
	if err := page.history(v, zones); err != nil {
		return err
	}
	page.Signals, err = v.signals(l.WorkflowID)
	if err != nil {
		return err
	}
	every := liveSeldom
	if l.State.InFlight() {
		every = liveOften
	}
	return v.renderLive("lead", l.PhoneNumber+" in "+page.Workflow, page, every)
}

// explain says why the lead is where it is.
func (p *leadView) explain(v *visit, zones []string) error {
	x, err := v.h.eng.Explain(v.ctx(), p.WorkflowID, p.ID)
	if errors.Is(err, lead.ErrUnreadable) {
		p.Sentence = "What is stored of this lead cannot be read completely, so nothing happens in it. It can be removed."
		return nil
	}
	if err != nil {
		return err
	}
	p.State, p.Sentence, p.Since = x.State, v.sentenceOf(&x, zones), v.atTheirs(x.Since, zones)
	for _, b := range x.Blockers {
		p.Blockers = append(p.Blockers, blocker{b.Detail, v.atTheirs(b.Until, zones)})
	}
	for _, n := range x.Next {
		p.Next = append(p.Next, nextStep{v.nodeName(p.WorkflowID, n.Node), n.Outcome, v.atTheirs(n.At, zones)})
	}
	if r := x.RemovalWould; r != nil {
		p.Would = &wouldView{Pending: r.State == lead.PendingRemoval}
		if f := r.Finishes; f != nil {
			p.Would.Finishes, p.Would.By = v.nodeName(p.WorkflowID, f.Node), v.at(f.By)
		}
		for _, c := range r.Cancels {
			p.Would.Cancels = append(p.Would.Cancels, cancelled{v.nodeName(p.WorkflowID, c.Node), v.atTheirs(c.Due, zones)})
		}
	}
	return nil
}

// history makes the timeline, the last step first.
func (p *leadView) history(v *visit, zones []string) error {
	steps, err := v.h.eng.History(v.ctx(), p.WorkflowID, p.ID)
	if errors.Is(err, lead.ErrUnreadable) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(steps) > mostSteps {
		p.Earlier, steps = len(steps)-mostSteps, steps[len(steps)-mostSteps:]
	}
	for _, s := range slices.Backward(steps) {
		p.Timeline = append(p.Timeline, v.step(p.WorkflowID, s, zones))
	}
	return nil
}

func (v *visit) step(wf lead.WorkflowID, s lead.Step, zones []string) step {
	out := step{
		Node: v.nodeName(wf, s.NodeID), Type: s.NodeType, Status: s.Status.String(), Outcome: s.Outcome, CallID: s.CallID, Error: s.Error,
		Data: indented(s.Data), Scheduled: s.Scheduled, Entered: v.atTheirs(s.EnteredAt, zones), Exited: v.atTheirs(s.ExitedAt, zones), HookErrors: s.HookErrors,
	}
	if s.NodeLabel != "" {
		out.Node = s.NodeLabel
	}
	if s.Status == lead.StepWaiting || s.Status == lead.StepCancelled || s.Status == lead.StepRetrying {
		out.Due = v.atTheirs(s.ScheduledAt, zones)
	}
	if !s.ExitedAt.IsZero() && !s.EnteredAt.IsZero() {
		out.Took = span(s.ExitedAt.Sub(s.EnteredAt))
	}
	for _, a := range s.Attempts {
		made := attempt{
			Number: a.Number, Status: a.Status.String(), Error: a.Error, Call: a.CallID, Redelivered: a.Redelivered,
			Started: v.atTheirs(a.StartedAt, zones), Ended: v.at(a.EndedAt), Due: v.atTheirs(a.DueAt, zones),
		}
		if !a.StartedAt.IsZero() && !a.EndedAt.IsZero() {
			made.Took = span(a.EndedAt.Sub(a.StartedAt))
		}
		out.Attempts = append(out.Attempts, made)
	}
	return out
}

// indented returns JSON over several lines, with numbers as they are.
func indented(data json.RawMessage) string {
	if len(data) == 0 {
		return ""
	}
	var value json.RawMessage = data
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return string(data)
	}
	return string(text)
}

// fieldsOf returns a lead's metadata in the order of the names.
func fieldsOf(metadata map[string]any) []field {
	var list []field
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		value, isText := metadata[name].(string)
		if !isText {
			text, err := json.Marshal(metadata[name])
			if err != nil {
				text = fmt.Append(nil, metadata[name])
			}
			value = string(text)
		}
		list = append(list, field{name, value})
	}
	return list
}

// signals returns the signals that a workflow waits for or ends by.
func (v *visit) signals(id lead.WorkflowID) ([]string, error) {
	def, err := v.definition(id)
	if err != nil || def == nil {
		return nil, err
	}
	var names []string
	for _, exit := range def.Exits {
		names = append(names, exit.Signal)
	}
	for _, n := range def.Nodes {
		var config struct{ Signal string }
		if n.Type == workflow.Time && json.Unmarshal(n.Config, &config) == nil && config.Signal != "" {
			names = append(names, config.Signal)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (h *Handler) removeLead(v *visit) error {
	return v.change("remove", func(l lead.Lead) (string, error) {
		options := []engine.RemoveOption{engine.Reason(v.value("reason")), engine.Actor(v.actor())}
		if v.value("skip_retries") != "" {
			options = append(options, engine.SkipRetries())
		}
		_, err := h.eng.Remove(v.ctx(), l.WorkflowID, l.ID, options...)
		return "", err
	})
}

func (h *Handler) holdLead(v *visit) error {
	return v.change("hold", func(l lead.Lead) (string, error) {
		until, err := v.localTime("until")
		if err != nil {
			return "", err
		}
		_, err = h.eng.Hold(v.ctx(), l.WorkflowID, l.ID, engine.Hold{Until: until, Reason: v.value("reason"), Actor: v.actor()})
		return "", err
	})
}

func (h *Handler) releaseLead(v *visit) error {
	return v.change("release", func(l lead.Lead) (string, error) {
		_, err := h.eng.Release(v.ctx(), l.WorkflowID, l.ID, engine.Actor(v.actor()))
		return "", err
	})
}

func (h *Handler) signalLead(v *visit) error {
	return v.change("signal", func(l lead.Lead) (string, error) {
		var data any
		if text := v.value("data"); text != "" {
			data = json.RawMessage(text)
		}
		effect, err := h.eng.Signal(v.ctx(), l.WorkflowID, l.ID, v.value("name"), data)
		return effect.String(), err
	})
}

// change does something to the lead of the address, and goes back to its page.
func (v *visit) change(what string, do func(lead.Lead) (effect string, err error)) error {
	if err := v.form(); err != nil {
		return err
	}
	l, err := v.whichLead()
	if err != nil {
		return err
	}
	effect, err := do(l)
	if err != nil {
		return err
	}
	if effect != "" {
		what += "-" + effect
	}
	return v.redirect(v.To("leads", l.ID.String()) + "?did=" + what)
}

// localTime reads a field of a form with a time; see parseTime.
func (v *visit) localTime(name string) (time.Time, error) { return v.parseTime(name, v.value(name)) }

// parseTime reads a time in the viewer's zone, as browsers send it; the zero time if it is
// empty.
func (v *visit) parseTime(name, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, value, v.zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &lead.InvalidError{Faults: []lead.FieldError{{Location: name, Message: "must be a time such as 2031-05-04T09:00, in " + v.Zone()}}}
}
