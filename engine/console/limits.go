package console

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// limitsView shows the limits, and has a form for those of all workflows.
type limitsView struct {
	Limits *table
	Rows   []limitRow
	Was    string // the limits that the form shows, to find out if they have changed meanwhile
	Done   bool
}

// limitRow is a limit in the form.
type limitRow struct {
	N               int
	Kinds, Channels []option
	Most, Per, Key  string
}

// limitKinds are the kinds of limits, with their words.
var limitKinds = []struct{ name, text string }{
	{"in_flight", "in flight"}, {"starts", "starts"}, {"per_contact", "attempts per person"},
}

func (h *Handler) limits(v *visit) error {
	list, err := h.eng.LimitsInForce(v.ctx())
	if err != nil {
		return err
	}
	everywhere, err := h.eng.Limits(v.ctx())
	if err != nil {
		return err
	}
	page := limitsView{Limits: v.limitTable(list), Was: limitText(everywhere), Done: v.r.URL.Query().Get("did") != ""}
	for _, l := range append(everywhere, workflow.Limit{}, workflow.Limit{}) {
		page.Rows = append(page.Rows, newLimitRow(len(page.Rows), l))
	}
	return v.renderLive("limits", "Limits", page, liveSeldom)
}

func limitText(limits []workflow.Limit) string {
	text, _ := json.Marshal(limits) // of plain fields
	return string(text)
}

// limitTable lists the limits with what is used of them.
func (v *visit) limitTable(list []engine.LimitInForce) *table {
	t := v.newTable("Limits in force", "No limit is in force. Add one below, or in a workflow's definition.", v.ToAPI(nil, "limits"), "Where", "Limit", "Used", "Allows one more", "#Waiting")
	for _, l := range list {
		where := text("all workflows")
		if !l.WorkflowID.IsZero() {
			where = link(v.workflowName(l.WorkflowID), v.To("workflows", l.WorkflowID.String()))
			if l.Node != "" {
				where.Note = v.nodeName(l.WorkflowID, l.Node)
			}
		}
		used, opens := text("counted for each person"), text("")
		if most := l.InFlight + l.Starts; most > 0 {
			used = cell{Text: fmt.Sprintf("%s of %s", thousands(int64(l.Used)), thousands(int64(most))), by: key{true, float64(l.Used) / float64(most)}}
			switch {
			case l.Used < most:
				opens = text("now")
			case l.Opens.IsZero():
				opens = text("when one ends")
			default:
				opens = when(v.at(l.Opens), l.Opens)
			}
		}
		waiting := number(int64(l.Waiting))
		if l.MoreWait {
			waiting.Note = "and others"
		}
		t.add(where, text(limitWords(l.Limit)), used, opens, waiting)
	}
	return v.sort(t)
}

// limitWords says what a limit allows.
func limitWords(l workflow.Limit) string {
	words := ""
	switch {
	case l.InFlight > 0:
		words = thousands(int64(l.InFlight)) + " in flight"
	case l.Starts > 0:
		words = thousands(int64(l.Starts)) + " starts in any " + l.Per.String()
	default:
		words = thousands(int64(l.PerContact)) + " attempts per person in any " + l.Per.String()
	}
	if l.Channel != "" {
		words += ", " + strings.ReplaceAll(string(l.Channel), "_", " ") + " steps"
	}
	if l.RateKey != "" {
		words += ", rate key " + l.RateKey
	}
	return words
}

func newLimitRow(n int, l workflow.Limit) limitRow {
	row := limitRow{N: n, Key: l.RateKey}
	kind, most := "in_flight", l.InFlight
	switch {
	case l.Starts > 0:
		kind, most = "starts", l.Starts
	case l.PerContact > 0:
		kind, most = "per_contact", l.PerContact
	}
	if most > 0 {
		row.Most = strconv.Itoa(most)
	}
	if l.Per > 0 {
		row.Per = l.Per.String()
	}
	for _, k := range limitKinds {
		row.Kinds = append(row.Kinds, option{k.name, k.text, k.name == kind})
	}
	row.Channels = channelOptions(string(l.Channel))
	return row
}

// channelOptions lists the channels for a select.
func channelOptions(chosen string) (list []option) {
	for _, t := range []workflow.NodeType{workflow.VoiceCall, workflow.Message, workflow.Application} {
		list = append(list, option{string(t), strings.ReplaceAll(string(t), "_", " "), string(t) == chosen})
	}
	return list
}

// errLimitsChanged: somebody else was faster.
var errLimitsChanged = &lead.ConflictError{Reason: fmt.Errorf("the limits have changed since the page was opened; go back, load it again and enter yours anew")}

func (h *Handler) setLimits(v *visit) error {
	if err := v.form(); err != nil {
		return err
	}
	now, err := h.eng.Limits(v.ctx())
	if err != nil {
		return err
	}
	if limitText(now) != v.r.PostForm.Get("was") {
		return errLimitsChanged
	}
	limits := []workflow.Limit{}
	var faults []lead.FieldError
	for n := 0; v.r.PostForm.Has(fmt.Sprintf("kind-%d", n)); n++ {
		field := func(name string) string { return v.value(fmt.Sprintf("%s-%d", name, n)) }
		if field("most") == "" {
			continue // an empty row, or one that is to go
		}
		fault := func(name, message string) {
			faults = append(faults, lead.FieldError{Location: fmt.Sprintf("limit %d, %s", n+1, name), Message: message})
		}
		most, err := strconv.Atoi(strings.ReplaceAll(field("most"), ",", ""))
		if err != nil || most < 1 {
			fault("number", "must be a whole number of at least 1")
		}
		l := workflow.Limit{Channel: workflow.NodeType(field("channel")), RateKey: field("key")}
		switch field("kind") {
		case "in_flight":
			l.InFlight = most
		case "starts":
			l.Starts = most
		default:
			l.PerContact = most
		}
		if per := field("per"); per != "" {
			if l.Per, err = workflow.ParseDuration(per); err != nil {
				fault("per", err.Error())
			}
		}
		limits = append(limits, l)
	}
	if faults != nil {
		return &lead.InvalidError{Faults: faults}
	}
	if err := h.eng.SetLimits(v.ctx(), limits); err != nil {
		return err
	}
	return v.redirect(v.To("limits") + "?did=set")
}
