package console

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// stopView is the page with the box alone, for what was entered and not found.
type stopView struct {
	Entered string
	Fault   string
	Found   *table // several people have what was entered
}

// findPerson finds out who is meant, and sends the browser on to the person. A number may be
// written in any form; a lead's id and an external id are understood too.
func (h *Handler) findPerson(v *visit) error {
	entered := strings.TrimSpace(v.r.URL.Query().Get("number"))
	page := stopView{Entered: entered}
	if entered == "" {
		return v.render("stop", "Stop", page)
	}
	c, fault := h.eng.ContactStatus(v.ctx(), entered)
	if fault == nil {
		return v.redirect(v.To("people", c.PhoneNumber))
	}
	var invalid *lead.InvalidError
	if !errors.As(fault, &invalid) {
		return fault
	}
	if id, err := lead.ParseID(entered); err == nil {
		l, err := h.eng.LeadByID(v.ctx(), id)
		if err != nil {
			return err
		}
		return v.redirect(v.To("people", l.PhoneNumber))
	}
	found, err := h.eng.ContactLeads(v.ctx(), engine.ContactFilter{ExternalID: entered, Limit: 100})
	if err != nil && !errors.Is(err, lead.ErrInvalid) {
		return err
	}
	numbers := map[string]bool{}
	page.Found = v.newTable("People with this external id", "", "", "Number", "Enrolled")
	for _, l := range found {
		if !numbers[l.PhoneNumber] {
			numbers[l.PhoneNumber] = true
			page.Found.add(link(l.PhoneNumber, v.To("people", l.PhoneNumber)), when(v.at(l.EnrolledAt), l.EnrolledAt))
		}
	}
	switch len(numbers) {
	case 0:
		page.Found, page.Fault = nil, sentence("", invalid.Faults[0].Message)
	case 1:
		return v.redirect(v.To("people", found[0].PhoneNumber))
	}
	return v.render("stop", "Stop", page)
}

// personView is everything about a person, in all workflows.
type personView struct {
	Number string
	engine.ContactStatus
	Local       []string // what time it is where the person may be
	Enrollments []enrollment
	More        int // live enrollments that are not shown
	Past        *table
	Rules       *table // the suppressions that hold
	Silent      moment
	Order       moment // when the person was suppressed
	Latest      moment // until when what is in flight ends at the latest
	Reason      string // that the form suggests
}

// enrollment is a live lead of a person.
type enrollment struct {
	Workflow, To, State string
	ToWorkflow          string
	Sentence            string
	Finishes            string // what is in flight
	By                  moment
	Cancels             []cancelled
	by                  time.Time
}

type cancelled struct {
	Node string
	Due  moment
}

// mostLive is how many live enrollments are explained on one page, and mostPast how many
// past ones are listed.
const mostLive, mostPast = 50, 50

func (h *Handler) person(v *visit) error {
	c, err := h.eng.ContactStatus(v.ctx(), v.r.PathValue("phone"))
	if err != nil {
		return err
	}
	page := personView{Number: c.PhoneNumber, ContactStatus: c, Reason: "asked to stop"}
	page.Local = v.localTimes(c.TimeZones)
	live, past := splitLeads(c.Leads)
	if len(live) > mostLive {
		page.More, live = len(live)-mostLive, live[:mostLive]
	}
	if page.Enrollments, err = v.enrollments(live, c.TimeZones); err != nil {
		return err
	}
	page.Past = v.pastLeads(past)
	page.Rules = v.suppressionTable("Suppressions that hold", "", v.ToAPI(map[string][]string{"phone_number": {c.PhoneNumber}, "active": {"true"}}, "suppressions"), c.Suppressions)
	every := liveSeldom
	if c.Suppressed {
		if page.Silent = v.at(c.SilentSince); c.SilentSince.IsZero() {
			every = liveOften
		} else {
			page.Silent.Text = v.exact(c.SilentSince)
		}
		for _, s := range c.Suppressions {
			if s.Channel == "" && s.WorkflowID.IsZero() {
				page.Order = v.at(s.CreatedAt) // of the first order, in the end
			}
		}
		page.Latest = v.latest(page.Enrollments)
	}
	return v.renderLive("person", c.PhoneNumber, page, every)
}

// exact is a time to the second, for the record.
func (v *visit) exact(t time.Time) string {
	t = t.In(v.zone)
	if now := v.now.In(v.zone); t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05")
	}
	return t.Format("15:04:05, Mon 2 Jan 2006")
}

// latest is when all that is in flight has ended at the latest; not set if that is not
// known.
func (v *visit) latest(list []enrollment) moment {
	var latest time.Time
	for _, e := range list {
		if e.Finishes == "" {
			continue
		}
		if e.by.IsZero() {
			return moment{}
		}
		if e.by.After(latest) {
			latest = e.by
		}
	}
	return v.at(latest)
}

// localTimes says what time it is in the zones, the earliest and the latest if there are
// several.
func (v *visit) localTimes(zones []string) []string {
	var list []string
	var first, last time.Time
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			continue
		}
		local := v.now.In(zone)
		if len(zones) == 1 {
			return []string{local.Format("15:04 Mon") + " in " + strings.ReplaceAll(name, "_", " ")}
		}
		if first.IsZero() || offset(local) < offset(first) {
			first = local
		}
		if last.IsZero() || offset(local) > offset(last) {
			last = local
		}
	}
	if !first.IsZero() {
		if list = append(list, first.Format("15:04 Mon")+" in "+place(first)); offset(last) != offset(first) {
			list = append(list, last.Format("15:04 Mon")+" in "+place(last))
		}
	}
	return list
}

func place(t time.Time) string { return strings.ReplaceAll(t.Location().String(), "_", " ") }

func splitLeads(list []lead.Lead) (live, past []lead.Lead) {
	for _, l := range list {
		if l.State.Final() {
			past = append(past, l)
		} else {
			live = append(live, l)
		}
	}
	return live, past
}

// enrollments explains leads, several at a time, because each waits for its turn.
func (v *visit) enrollments(leads []lead.Lead, zones []string) ([]enrollment, error) {
	explained, errs := make([]engine.Explanation, len(leads)), make([]error, len(leads))
	var wait sync.WaitGroup
	for i, l := range leads {
		wait.Go(func() { explained[i], errs[i] = v.h.eng.Explain(v.ctx(), l.WorkflowID, l.ID) })
	}
	wait.Wait()
	var list []enrollment
	for i, l := range leads {
		e := enrollment{
			Workflow: v.workflowName(l.WorkflowID), To: v.To("leads", l.ID.String()), ToWorkflow: v.To("workflows", l.WorkflowID.String()),
			State: l.State.String(),
		}
		switch {
		case errors.Is(errs[i], lead.ErrUnreadable):
			e.Sentence = "What is stored of this enrollment cannot be read, so nothing happens in it."
		case errors.Is(errs[i], lead.ErrNotFound): // deleted just now
			continue
		case errs[i] != nil:
			return nil, errs[i]
		default:
			x := &explained[i]
			e.State, e.Sentence = x.State.String(), v.sentenceOf(x, zones)
			if would := x.RemovalWould; would != nil {
				if f := would.Finishes; f != nil {
					e.Finishes, e.By, e.by = v.nodeName(l.WorkflowID, f.Node), v.at(f.By), f.By
				}
				for _, c := range would.Cancels {
					e.Cancels = append(e.Cancels, cancelled{v.nodeName(l.WorkflowID, c.Node), v.atTheirs(c.Due, zones)})
				}
			}
		}
		list = append(list, e)
	}
	return list, nil
}

// sentenceOf is an explanation in a sentence, with times in the viewer's zone.
func (v *visit) sentenceOf(x *engine.Explanation, zones []string) string {
	return x.Sentence(func(t time.Time) string {
		m := v.atTheirs(t, zones)
		if m.Theirs != "" {
			return m.Text + ", " + m.Theirs + " for the person"
		}
		return m.Text
	})
}

// pastLeads lists the enrollments of a person that have ended.
func (v *visit) pastLeads(list []lead.Lead) *table {
	t := v.newTable("Past enrollments", "The person has no enrollment that has ended.", "", "Workflow", "Ended as", "Reason", "Enrolled", "Ended")
	for _, l := range list[:min(len(list), mostPast)] {
		as, reason := cell{}, ""
		if as = badge(l.State.String()); l.Outcome != "" {
			as.Note = l.Outcome
		}
		if l.Removal != nil {
			reason = l.Removal.Reason
		}
		t.add(link(v.workflowName(l.WorkflowID), v.To("leads", l.ID.String())), as, text(reason),
			when(v.at(l.EnrolledAt), l.EnrolledAt), when(v.at(l.UpdatedAt), l.UpdatedAt))
	}
	if len(list) > mostPast {
		t.Caption += " (the last " + thousands(mostPast) + " of " + thousands(int64(len(list))) + ")"
	}
	return v.sort(t)
}

// stopPerson suppresses a person: the one confirmation.
func (h *Handler) stopPerson(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	s, err := h.eng.Suppress(v.ctx(), engine.Suppress{
		PhoneNumber: v.r.PathValue("phone"), Linked: v.value("linked") != "", Reason: v.value("reason"), Actor: v.actor(),
	})
	if err != nil {
		return err
	}
	return v.redirect(v.To("people", s.PhoneNumber))
}
