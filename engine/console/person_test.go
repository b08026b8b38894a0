package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func TestAPersonIsStoppedDuringACall(t *testing.T) {
	w := newWorld(t)
	hangUp := w.inFlight()
	calling := w.enroll(w.callWaitText(), lead.Contact{PhoneNumber: "+14155552671"})
	w.at(calling, "call", lead.InStep)
	waits := w.activate(&workflow.Definition{
		Name: "Slow", Entry: "wait", Nodes: []workflow.Node{{ID: "wait", Type: workflow.Time, Label: "A day", Config: []byte(`{"duration":"24h"}`)}, workflow.End("done", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("wait", "done")},
	})
	w.enroll(waits, lead.Contact{PhoneNumber: "+14155552671"})

	b := w.as(token)
	p := b.get("stop?number=" + url.QueryEscape(" (415) 555-2671 ")).expect(200)
	if p.path != "people/+14155552671" && p.path != "people/%2B14155552671" {
		t.Errorf("found at %s", p.path)
	}
	p.has("+1", "2 live enrollments, 1 with a step in flight", "Nurture", "In flight: First call , which is not cut off",
		"Slow", "Would be cancelled: A day", "Stop all contact with this person", "for the person")

	p = b.post("people/+14155552671/stop", url.Values{"reason": {"asked to stop"}}).expect(200)
	p.has("Stopping", "1 step that had begun still runs", "at the latest", "Suppressions that hold", "asked to stop", "Ada").lacks("Silent since", "Stop all contact")
	if got, _ := w.eng.Audit(background, engine.AuditFilter{PhoneNumber: "+14155552671", Newest: true, Limit: 1}); len(got) != 1 || got[0].Actor != "Ada" {
		t.Errorf("the audit trail has %+v", got)
	}
	hangUp(calling)
	w.at(calling, "call", lead.Removed)
	p = b.get("people/+14155552671").expect(200).has("Silent since", "Past enrollments", "Nurture", "Slow").lacks("Stopping", "Stop all contact")
	if strings.Count(p.body, `role="status"`) != 1 {
		t.Error("the clock is no status, which a screen reader would read out")
	}
}

func TestTheBoxTakesWhatPeopleHave(t *testing.T) {
	w := newWorld(t)
	wf := w.callWaitText()
	l := w.enroll(wf, lead.Contact{PhoneNumber: "+14155552671", ExternalID: "crm-7"})
	w.enroll(wf, lead.Contact{PhoneNumber: "+14155552672", ExternalID: "crm-8"})
	w.enroll(wf, lead.Contact{PhoneNumber: "+14155552673", ExternalID: "crm-8"})
	b := w.as(token)
	for _, entered := range []string{"+1 415 555 2671", "tel:+1-415-555-2671", "415.555.2671", "crm-7", l.ID.String(), "\u202a+14155552671\u202c"} {
		if p := b.get("stop?number=" + url.QueryEscape(entered)).expect(200); !strings.HasSuffix(p.path, "14155552671") {
			t.Errorf("%q leads to %s", entered, p.path)
		}
	}
	b.get("stop?number=crm-8").expect(200).has("+14155552672", "+14155552673")
	b.get("stop?number=12").expect(200).has(`"12"`, "Phone number, in any form")
	b.get("stop?number=").expect(200).has("Phone number, in any form")
	b.get("stop?number=%2B4915112345678").expect(200).has("Not enrolled anywhere now", "Stop all contact")
	b.get("people/nobody").expect(422)
}

func TestTheLeadPageSaysWhy(t *testing.T) {
	w := newWorld(t)
	hangUp := w.inFlight()
	l := w.enroll(w.callWaitText(), lead.Contact{
		PhoneNumber: "+14155552671", TimeZone: "Asia/Tokyo", Metadata: map[string]any{"name": "Grace", "big": uint64(9007199254740993), "list": []any{1, "a"}},
	})
	w.at(l, "call", lead.InStep)
	b := w.as(token)
	path := "leads/" + l.ID.String()
	b.get(path).expect(200).has(`Is at "First call": the outcome comes by a callback`, "call call-1", "in Asia/Tokyo", "9007199254740993", "Grace", `[1,"a"]`,
		"Comes next wait after completed", "It is removed when First call has ended")

	b.post(path+"/hold", url.Values{"reason": {"on holiday"}}).expect(200).has("The lead is held.", "since", "by Ada", "on holiday", "until it is released")
	hangUp(l)
	w.at(l, "wait", lead.Enrolled)
	b.get(path).expect(200).has("the lead is held by Ada: on holiday", "Release")
	b.post(path+"/release", nil).expect(200).has("The lead is released.").lacks("on holiday")
	b.post(path+"/release", nil).expect(409).has("Lead is not held")
	until := time.Now().Add(30 * time.Hour).UTC().Format("2006-01-02T15:04")
	b.post(path+"/hold", url.Values{"until": {until}}).expect(200).has("The lead is held.", "until")
	b.post(path+"/hold", url.Values{"until": {"soon"}}).expect(422).has("Until must be a time such as")
	b.post(path+"/hold", url.Values{"until": {"2001-01-01T00:00"}}).expect(422).has("Until must be in the future")
	b.post(path+"/signal", url.Values{"name": {"paid"}}).expect(200).has("Nothing waits for that signal.")
	b.post(path+"/signal", url.Values{"name": {"paid"}, "data": {"{"}}).expect(422)
	b.post(path+"/remove", url.Values{"reason": {"wrong number"}, "skip_retries": {"1"}}).expect(200).
		has("The removal is on record.", "wrong number", "by Ada", "cancelled", "no retry is made", "Receipt").lacks("Remove from this workflow")
	b.post(path+"/remove", nil).expect(409).has("Lead is final (it is removed)")
	b.get("leads/wlead_01kaqf5y8sf3x8zq0h0m9d2c7r").expect(404)
	b.get("leads/nonsense").expect(404)
}
