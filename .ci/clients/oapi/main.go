// Command oapi makes a round trip with the client that oapi-codegen generates into
// package clients/oapi/api.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"clients/oapi/api"
)

// noStep is the id of a step that there is not.
const noStep = "step_01kaqf5y8sf3x8zq0h0m9d2c7r"

func main() {
	log.SetFlags(0)
	log.SetPrefix("oapi-codegen: ")
	base, token := os.Args[1], os.Args[2]
	ctx := context.Background()
	c, err := api.NewClientWithResponses(base, api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	check(err == nil, "new client", err)

	wait := map[string]any{"duration": "48h"}
	w, err := c.CreateWorkflowWithResponse(ctx, nil, api.NewDefinition{
		Name: "Generated", Entry: "wait",
		Nodes: []api.NewNode{
			{Id: "wait", Type: api.NodeTypeTime, Config: wait}, {Id: "done", Type: api.NodeTypeConverted},
		},
		Edges: []api.NewEdge{{From: "wait", To: "done"}},
	})
	check(err == nil && w.JSON201 != nil && w.JSON201.Status == api.WorkflowStatusDraft, "create", err, w)
	id := w.JSON201.Id
	active, err := c.ActivateWorkflowWithResponse(ctx, id, nil)
	check(err == nil && active.JSON200 != nil && active.JSON200.Status == api.WorkflowStatusActive, "activate", err, active)

	enrolled, err := c.EnrollLeadsWithResponse(ctx, id, nil, api.NewLead{
		PhoneNumber: "+14155550101", Metadata: &map[string]any{"name": "Ann"},
	})
	check(err == nil && enrolled.JSON201 != nil, "enroll", err, enrolled)
	lead := enrolled.JSON201
	check(lead.Status == api.LeadStatusEnrolled && lead.Removal == nil && lead.ExternalId == nil && lead.Metadata["name"] == "Ann", "lead", lead)
	file, err := c.EnrollLeadsWithBodyWithResponse(ctx, id, nil, "text/csv", strings.NewReader("phone_number\n+14155550102\nnobody\n"))
	check(err == nil && file.JSON200 != nil && file.JSON200.LeadsEnrolled == 1 && len(file.JSON200.Errors) == 1, "enroll a file", err, file)

	one, status := 1, api.LeadStatusEnrolled
	first, err := c.ListLeadsWithResponse(ctx, id, &api.ListLeadsParams{Limit: &one, Status: &status})
	check(err == nil && first.JSON200 != nil && first.JSON200.NextCursor != nil && first.JSON200.Meta.Total == 2, "list", err, first)
	next, err := c.ListLeadsWithResponse(ctx, id, &api.ListLeadsParams{Limit: &one, Status: &status, Cursor: first.JSON200.NextCursor})
	check(err == nil && next.JSON200 != nil && len(next.JSON200.Data) == 1 && next.JSON200.NextCursor == nil, "list on", err, next)
	number := "+14155550101"
	found, err := c.ListLeadsWithResponse(ctx, id, &api.ListLeadsParams{PhoneNumber: &number})
	check(err == nil && found.JSON200 != nil && len(found.JSON200.Data) == 1 && found.JSON200.Data[0].Id == lead.Id, "find", err, found)
	history, err := c.GetHistoryWithResponse(ctx, id, lead.Id)
	check(err == nil && history.JSON200 != nil && history.JSON200.History[0].Status == api.StepStatusWaiting, "history", err, history)

	reason, yes := "said stop", true
	removed, err := c.RemoveLeadWithResponse(ctx, id, lead.Id, &api.RemoveLeadParams{Reason: &reason, SkipRetries: &yes})
	check(err == nil && removed.JSON200 != nil && removed.JSON200.Status == api.LeadStatusRemoved, "remove", err, removed)
	again, err := c.RemoveLeadWithResponse(ctx, id, lead.Id, nil)
	check(err == nil && again.ApplicationproblemJSON409 != nil, "remove again", err, again)
	conflict := again.ApplicationproblemJSON409
	check(conflict.Code != nil && *conflict.Code == api.ConflictCodeLeadFinal && *conflict.LeadId == lead.Id, "conflict", conflict)
	bad, err := c.EnrollLeadsWithResponse(ctx, id, nil, api.NewLead{PhoneNumber: "nobody"})
	check(err == nil && bad.ApplicationproblemJSON422 != nil, "refuse", err, bad)
	faults := bad.ApplicationproblemJSON422.Errors
	check(faults != nil && (*faults)[0].Location == "body.phone_number", "faults", faults)

	// A form is read before its step is sought, so that 404 says that it was understood.
	done := "completed"
	none, err := c.CompleteStepWithFormdataBodyWithResponse(ctx, noStep, nil, api.CompleteStepFormdataRequestBody{CallStatus: &done})
	check(err == nil && none.ApplicationproblemJSON404 != nil, "complete by a form", err, none)
	fmt.Println("oapi-codegen: ok")
}

// check ends the program unless ok.
func check(ok bool, what string, found ...any) {
	if !ok {
		log.Fatalf("%s: %+v", what, found)
	}
}
