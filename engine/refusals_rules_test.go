package engine_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// refusalsOfRules has what concerns suppressions, holds, signals and limits.
func refusalsOfRules(t *testing.T) map[string][]refusal {
	t.Helper()
	ctx := context.Background()
	e, idle := quietEngine(t), quietEngine(t)
	if err := e.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown(ctx) })
	w, err := e.CreateWorkflow(ctx, &workflow.Definition{
		Name: "w", Entry: "wait", Nodes: []workflow.Node{workflow.Wait("wait", time.Hour), workflow.End("end", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("wait", "end")},
	})
	if err != nil {
		t.Fatal(err)
	}
	wf := w.ID
	live, err := e.Enroll(ctx, wf, lead.Contact{PhoneNumber: "+14155552671"})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := e.Enroll(ctx, wf, lead.Contact{PhoneNumber: "+14155552672"})
	if err == nil {
		_, err = e.Remove(ctx, wf, gone.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	lifted, err := e.Suppress(ctx, engine.Suppress{PhoneNumber: "+14155552673"})
	if err == nil {
		_, err = e.Lift(ctx, lifted.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	past, long := time.Now().Add(-time.Hour), strings.Repeat("x", 5000)
	notRunning := func(errs ...error) (all []refusal) {
		for _, err := range errs {
			all = append(all, refusal{"not running", err})
		}
		return all
	}
	join := func(lists ...[]refusal) (all []refusal) {
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	unknown := lead.ID{}
	none := lead.SuppressionID{}
	return map[string][]refusal{
		"lead.NewSuppressionID": noRefusal, "lead.SuppressionID.MarshalText": noRefusal,
		"lead.ParseSuppressionID":          notFound(second(lead.ParseSuppressionID("")), second(lead.ParseSuppressionID("wlead_x"))),
		"lead.SuppressionID.UnmarshalText": notFound(none.UnmarshalText(nil), none.UnmarshalText([]byte("\xff"))),
		"engine.RetryAllAfter":             noRefusal, // of a handler's
		"engine.Suppressed.Wait":           noRefusal, // those of Removal.Wait

		"engine.Engine.Suppress": join(invalid(second(e.Suppress(ctx, engine.Suppress{})), second(e.Suppress(ctx, engine.Suppress{PhoneNumber: "abc"})),
			second(e.Suppress(ctx, engine.Suppress{ExternalID: "x", Channel: "fax"})), second(e.Suppress(ctx, engine.Suppress{ExternalID: "x", Channel: workflow.Time})),
			second(e.Suppress(ctx, engine.Suppress{ExternalID: "x", ExpiresAt: past})), second(e.Suppress(ctx, engine.Suppress{ExternalID: long, Reason: long, Actor: long}))),
			notFound(second(e.Suppress(ctx, engine.Suppress{ExternalID: "x", WorkflowID: lead.WorkflowIDFrom(past, 99, 1)}))),
			notRunning(second(idle.Suppress(ctx, engine.Suppress{ExternalID: "x"})))),
		"engine.Engine.Lift": join(notFound(second(e.Lift(ctx, none)), second(e.Lift(ctx, lead.SuppressionIDFrom(past, lifted.ID.Seq(), 1)))),
			conflict(second(e.Lift(ctx, lifted.ID))), invalid(second(e.Lift(ctx, lifted.ID, engine.Reason(long))))),
		"engine.Engine.Suppression": notFound(second(e.Suppression(ctx, none)), second(e.Suppression(ctx, lead.SuppressionIDFrom(past, 1, 1)))),
		"engine.Engine.Suppressions": join(invalid(second(e.Suppressions(ctx, engine.SuppressionFilter{PhoneNumber: "x"})),
			second(e.Suppressions(ctx, engine.SuppressionFilter{ExternalID: " "})), second(e.Suppressions(ctx, engine.SuppressionFilter{Channel: "fax", Limit: -1}))),
			notFound(second(e.Suppressions(ctx, engine.SuppressionFilter{WorkflowID: lead.WorkflowIDFrom(past, 99, 1)})))),

		"engine.Engine.RemoveContact": join(invalid(second(e.RemoveContact(ctx, "")), second(e.RemoveContact(ctx, "x")),
			second(e.RemoveContact(ctx, "+14155552671", engine.Actor(long)))), notRunning(second(idle.RemoveContact(ctx, "+14155552671")))),
		"engine.Engine.Hold": join(invalid(second(e.Hold(ctx, wf, live.ID, engine.Hold{Until: past, Reason: long, Actor: long}))),
			notFound(second(e.Hold(ctx, wf, unknown, engine.Hold{}))), conflict(second(e.Hold(ctx, wf, gone.ID, engine.Hold{})))),
		"engine.Engine.HoldContact": invalid(second(e.HoldContact(ctx, "", engine.Hold{})), second(e.HoldContact(ctx, "+14155552671", engine.Hold{Until: past}))),
		"engine.Engine.HoldLeads": join(invalid(second(e.HoldLeads(ctx, wf, engine.LeadFilter{}, engine.Hold{})), second(e.HoldLeads(ctx, wf, engine.LeadFilter{All: true}, engine.Hold{Until: past}))),
			notFound(second(e.HoldLeads(ctx, lead.WorkflowIDFrom(past, 99, 1), engine.LeadFilter{All: true}, engine.Hold{})))),
		"engine.Engine.Release": join(invalid(second(e.Release(ctx, wf, live.ID, engine.Reason(long)))), notFound(second(e.Release(ctx, wf, unknown))),
			conflict(second(e.Release(ctx, wf, live.ID)), second(e.Release(ctx, wf, gone.ID)))),
		"engine.Engine.ReleaseContact": invalid(second(e.ReleaseContact(ctx, "x")), second(e.ReleaseContact(ctx, "+14155552671", engine.Reason(long)))),
		"engine.Engine.ReleaseLeads":   invalid(second(e.ReleaseLeads(ctx, wf, engine.LeadFilter{}))),
		"engine.Engine.Signal": join(invalid(second(e.Signal(ctx, wf, live.ID, "", nil)), second(e.Signal(ctx, wf, live.ID, long, nil)), second(e.Signal(ctx, wf, live.ID, "paid", 7)),
			second(e.Signal(ctx, wf, live.ID, "paid", map[string]any{"x": strings.Repeat("x", 20000)}))),
			notFound(second(e.Signal(ctx, wf, unknown, "paid", nil))), conflict(second(e.Signal(ctx, wf, gone.ID, "paid", nil)))),
		"engine.Engine.SignalContact": invalid(second(e.SignalContact(ctx, "", "", nil)), second(e.SignalContact(ctx, "+14155552671", "\n", nil))),
		"engine.Engine.CheckHold":     invalid(e.CheckHold(engine.Hold{Until: past, Reason: long, Actor: long})),
		"engine.Engine.CheckSuppress": invalid(e.CheckSuppress(engine.Suppress{}), e.CheckSuppress(engine.Suppress{ExternalID: "x", Channel: "fax"})),
		"engine.Engine.SuppressAll":   notRunning(second(idle.SuppressAll(ctx, maps.All(map[engine.Suppress]error{{ExternalID: "x"}: nil})))),
		"engine.Engine.SuppressCSV": invalid(second(e.SuppressCSV(ctx, strings.NewReader(""), engine.Suppress{})), second(e.SuppressCSV(ctx, strings.NewReader("a,b\n1,2\n"), engine.Suppress{})),
			second(e.SuppressCSV(ctx, strings.NewReader("Phone,phone\n1,2\n"), engine.Suppress{}))),
		"engine.Engine.Audit":          invalid(second(e.Audit(ctx, engine.AuditFilter{PhoneNumber: "x", Limit: -1})), second(e.Audit(ctx, engine.AuditFilter{Actor: " "}))),
		"engine.Engine.AllAudit":       invalid(firstError(e.AllAudit(ctx, engine.AuditFilter{PhoneNumber: "x"}))),
		"engine.Engine.VerifyAudit":    noRefusal, // an AuditError is none
		"engine.Engine.Receipt":        join(notFound(second(e.Receipt(ctx, wf, unknown))), conflict(second(e.Receipt(ctx, wf, live.ID)))),
		"engine.Engine.ContactReceipt": invalid(second(e.ContactReceipt(ctx, "")), second(e.ContactReceipt(ctx, "abc"))),

		"engine.Engine.Explain":   notFound(second(e.Explain(ctx, wf, unknown)), second(e.Explain(ctx, lead.WorkflowIDFrom(past, 99, 1), live.ID))),
		"engine.Engine.ExplainAt": notFound(second(e.ExplainAt(ctx, wf, unknown, time.Now().Add(time.Hour)))),
		"engine.Engine.Census":    noRefusal, "engine.Engine.Engines": noRefusal,
		"engine.Engine.ContactStatus": invalid(second(e.ContactStatus(ctx, "")), second(e.ContactStatus(ctx, "911"))),
		"engine.Engine.Passes":        notFound(second(e.Passes(lead.WorkflowID{}))),
		"engine.Engine.NodeCounts":    notFound(second(e.NodeCounts(ctx, lead.WorkflowID{}))),
		"engine.Engine.LimitsInForce": notRunning(second(idle.LimitsInForce(ctx))),
		"engine.Engine.Limits":        notRunning(second(idle.Limits(ctx))),
		"engine.Engine.SetLimits": join(invalid(e.SetLimits(ctx, []workflow.Limit{{}}), e.SetLimits(ctx, []workflow.Limit{{InFlight: 1, Starts: 1}, {InFlight: -1}, {InFlight: 1, Channel: "fax"}})),
			notRunning(idle.SetLimits(ctx, nil))),
		"engine.Engine.CoolDown": invalid(e.CoolDown(ctx, "", time.Now().Add(time.Hour))),

		"workflow.ParseLimits":   invalid(second(workflow.ParseLimits(nil)), second(workflow.ParseLimits([]byte("{}"))), second(workflow.ParseLimits([]byte(`{"limits":[{"in_flight":0}]}`)))),
		"workflow.CheckLimits":   invalid(workflow.CheckLimits([]workflow.Limit{{}}), workflow.CheckLimits([]workflow.Limit{{Starts: 1}})),
		"workflow.CheckSignal":   invalid(workflow.CheckSignal(""), workflow.CheckSignal("\n"), workflow.CheckSignal(long)),
		"workflow.Graph.RateKey": invalid(rateKeyFault(t)), "workflow.Graph.Said": invalid(saidFault(t)),
	}
}

func rateKeyFault(t *testing.T) error {
	t.Helper()
	return second(ruleGraph(t).RateKey(0, nil)) // not an action node
}

func saidFault(t *testing.T) error {
	t.Helper()
	return second(ruleGraph(t).Said(0, nil, time.Now(), nil)) // not a node with said
}

func ruleGraph(t *testing.T) *workflow.Graph {
	t.Helper()
	g, err := workflow.Compile(&workflow.Definition{
		Name: "w", Entry: "wait", Nodes: []workflow.Node{workflow.Wait("wait", time.Hour), workflow.End("end", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("wait", "end")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}
