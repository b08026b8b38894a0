// Command ogen makes a round trip with the client that ogen generates into package
// clients/ogen/api.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"clients/ogen/api"

	"github.com/go-faster/jx"
	"github.com/ogen-go/ogen/ogenerrors"
)

// token is what the server was started with.
type token string

func (t token) Token(context.Context, api.OperationName) (api.Token, error) {
	return api.Token{Token: string(t)}, nil
}

func (token) Signature(context.Context, api.OperationName) (api.Signature, error) {
	return api.Signature{}, ogenerrors.ErrSkipClientSecurity
}

// noStep is the id of a step that there is not.
const noStep = "step_01kaqf5y8sf3x8zq0h0m9d2c7r"

func main() {
	log.SetFlags(0)
	log.SetPrefix("ogen: ")
	base := os.Args[1]
	ctx := context.Background()
	c, err := api.NewClient(base, token(os.Args[2]))
	check(err == nil, "new client", err)

	created := as[*api.WorkflowHeaders]("create")(c.CreateWorkflow(ctx, &api.NewDefinition{
		Name: "Generated", Entry: "wait",
		Nodes: []api.NewNode{
			{ID: "wait", Type: api.NodeTypeTime, Config: jx.Raw(`{"duration":"48h"}`)}, {ID: "done", Type: api.NodeTypeConverted},
		},
		Edges: []api.NewEdge{{From: "wait", To: "done"}},
	}, api.CreateWorkflowParams{}))
	w := created.Response
	check(w.Status == api.WorkflowStatusDraft, "create", w)
	active := as[*api.Workflow]("activate")(c.ActivateWorkflow(ctx, api.ActivateWorkflowParams{ID: w.ID}))
	check(active.Status == api.WorkflowStatusActive, "activate", active)

	to := api.EnrollLeadsParams{ID: w.ID}
	lead := as[*api.Lead]("enroll")(c.EnrollLeads(ctx, &api.NewLead{
		PhoneNumber: "+14155550101", Metadata: api.NewOptNewLeadMetadata(api.NewLeadMetadata{"name": jx.Raw(`"Ann"`)}),
	}, to))
	check(lead.Status == api.LeadStatusEnrolled && lead.Removal.Null && lead.ExternalID.Null && string(lead.Metadata["name"]) == `"Ann"`, "lead", lead)
	file := as[*api.Upload]("enroll a file")(c.EnrollLeads(ctx, &api.EnrollLeadsReqTextCsv{
		Data: strings.NewReader("phone_number\n+14155550102\nnobody\n"),
	}, to))
	check(file.LeadsEnrolled == 1 && len(file.Errors) == 1, "enroll a file", file)

	list := api.ListLeadsParams{ID: w.ID, Limit: api.NewOptInt(1), Status: api.NewOptLeadStatus(api.LeadStatusEnrolled)}
	first := as[*api.Leads]("list")(c.ListLeads(ctx, list))
	check(!first.NextCursor.Null && first.Meta.Total == 2, "list", first)
	list.Cursor = api.NewOptString(first.NextCursor.Value)
	next := as[*api.Leads]("list on")(c.ListLeads(ctx, list))
	check(len(next.Data) == 1 && next.NextCursor.Null, "list on", next)
	found := as[*api.Leads]("find")(c.ListLeads(ctx, api.ListLeadsParams{ID: w.ID, PhoneNumber: api.NewOptString("+14155550101")}))
	check(len(found.Data) == 1 && found.Data[0].ID == lead.ID, "find", found)
	history := as[*api.History]("history")(c.GetHistory(ctx, api.GetHistoryParams{ID: w.ID, Lead: lead.ID}))
	check(history.History[0].Status == api.StepStatusWaiting, "history", history)

	remove := api.RemoveLeadParams{ID: w.ID, Lead: lead.ID, Reason: api.NewOptString("said stop"), SkipRetries: api.NewOptBool(true)}
	removed := as[*api.RemoveLeadOK]("remove")(c.RemoveLead(ctx, remove))
	check(removed.Status == api.LeadStatusRemoved, "remove", removed)
	conflict := as[*api.RemoveLeadConflict]("remove again")(c.RemoveLead(ctx, remove))
	check(conflict.Code.Value == api.ConflictCodeLeadFinal && conflict.LeadID.Value == lead.ID, "conflict", conflict)
	bad := as[*api.EnrollLeadsUnprocessableEntity]("refuse")(c.EnrollLeads(ctx, &api.NewLead{PhoneNumber: "nobody"}, to))
	check(len(bad.Errors) == 1 && bad.Errors[0].Location == "body.phone_number", "faults", bad)

	// A form is read before its step is sought, so that 404 says that it was understood.
	as[*api.CompleteStepNotFound]("complete by a form")(c.CompleteStep(ctx, &api.CompleteStepReqApplicationXWwwFormUrlencoded{
		CallStatus: api.NewOptString("completed"),
	}, api.CompleteStepParams{Step: noStep}))
	fmt.Println("ogen: ok")
}

// as takes the answer that is wanted out of those that there can be.
func as[T any](what string) func(any, error) T {
	return func(answer any, err error) T {
		got, ok := answer.(T)
		check(err == nil && ok, fmt.Sprintf("%s: %T", what, answer), err, answer)
		return got
	}
}

// check ends the program unless ok.
func check(ok bool, what string, found ...any) {
	if !ok {
		log.Fatalf("%s: %+v", what, found)
	}
}
