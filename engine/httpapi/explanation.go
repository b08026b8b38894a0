package httpapi

import (
	"context"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

type explainInput struct {
	ID   workflowParam `path:"id"`
	Lead leadParam     `path:"lead"`
	At   momentParam   `query:"at" doc:"explain where the lead would be at this time in the future, if nothing is heard of it until then"`
}

// explanationBody says why a lead is where it is.
type explanationBody struct {
	ID           string        `json:"id"`
	Status       leadStatus    `json:"status"`
	NodeID       string        `json:"node_id"`
	Since        time.Time     `json:"since"`
	Reason       waitReason    `json:"reason"`
	Summary      string        `json:"summary" doc:"a sentence for people"`
	Until        *time.Time    `json:"until" doc:"when that ends by itself; null if it is not known"`
	Blockers     []blockerBody `json:"blockers" doc:"all that keeps the lead from going on"`
	Next         []nextBody    `json:"next" doc:"the edges that the step may take"`
	RemovalWould *outlookBody  `json:"removal_would" doc:"what removing the lead would do; null for a final lead"`
}

type blockerBody struct {
	Kind   waitReason `json:"kind"`
	Detail string     `json:"detail"`
	Until  *time.Time `json:"until"`
}

type nextBody struct {
	NodeID  string     `json:"node_id"`
	Outcome *string    `json:"outcome"`
	At      *time.Time `json:"at"`
}

type outlookBody struct {
	_        struct{}        `nullable:"true"`
	Status   leadStatus      `json:"status"`
	Finishes *finishesBody   `json:"finishes" doc:"the step in flight that would be finished first"`
	Cancels  []cancelledBody `json:"cancels"`
}

type finishesBody struct {
	_      struct{}   `nullable:"true"`
	NodeID string     `json:"node_id"`
	By     *time.Time `json:"by" doc:"at the latest"`
}

type cancelledBody struct {
	NodeID string    `json:"node_id"`
	DueAt  time.Time `json:"due_at"`
}

func (h *Handler) explanationRoute() {
	register(h, operation{
		method: "GET", path: "/workflows/{id}/leads/{lead}/explanation", id: "explain-lead", tag: tagLeads, within: "query",
		summary: "Explain why a lead is where it is", refused: noLead,
	}, h.explain)
}

func (h *Handler) explain(ctx context.Context, in *explainInput) (*output[explanationBody], error) {
	workflow, id, err := (&leadInput{in.ID, in.Lead}).ids()
	if err != nil {
		return nil, err
	}
	var q queryReader
	at := q.moment("at", in.At)
	if err := q.problem(); err != nil {
		return nil, err
	}
	x, err := h.eng.ExplainAt(ctx, workflow, id, at)
	if err != nil {
		return nil, err
	}
	return reply(viewExplanation(x)), nil
}

func viewExplanation(x engine.Explanation) explanationBody {
	out := explanationBody{
		ID: x.ID.String(), Status: leadStatus(x.State.String()), NodeID: x.Node, Since: x.Since.UTC(), Reason: waitReason(x.Reason),
		Summary: x.Summary, Until: when(x.Until), Blockers: make([]blockerBody, len(x.Blockers)), Next: make([]nextBody, len(x.Next)),
	}
	for i, b := range x.Blockers {
		out.Blockers[i] = blockerBody{waitReason(b.Kind), b.Detail, when(b.Until)}
	}
	for i, n := range x.Next {
		out.Next[i] = nextBody{n.Node, optional(n.Outcome), when(n.At)}
	}
	if r := x.RemovalWould; r != nil {
		out.RemovalWould = &outlookBody{Status: leadStatus(r.State.String()), Cancels: make([]cancelledBody, len(r.Cancels))}
		for i, c := range r.Cancels {
			out.RemovalWould.Cancels[i] = cancelledBody{c.Node, c.Due.UTC()}
		}
		if f := r.Finishes; f != nil {
			out.RemovalWould.Finishes = &finishesBody{NodeID: f.Node, By: when(f.By)}
		}
	}
	return out
}
