package httpapi

import (
	"context"
	"net/http"

	"github.com/leadflow-go/leadflow/engine"
)

// newHoldBody documents the body that holds a lead.
type newHoldBody struct {
	Until  *string `json:"until,omitempty" format:"date-time" doc:"when the hold ends by itself; in the future"`
	Reason *string `json:"reason,omitempty" doc:"at most 1,024 bytes"`
	Actor  *string `json:"actor,omitempty" doc:"who asks; at most 1,024 bytes"`
}

// releaseBody documents the body that releases a lead.
type releaseBody struct {
	Reason *string `json:"reason,omitempty" doc:"for the record; at most 1,024 bytes"`
	Actor  *string `json:"actor,omitempty" doc:"who asks, for the record; at most 1,024 bytes"`
}

func (h *Handler) holdRoutes() {
	register(h, operation{
		method: "POST", path: "/workflows/{id}/leads/{lead}/hold", id: "hold-lead", tag: tagLeads, within: "body", body: jsonBody[newHoldBody](),
		bodyless: true, summary: "Hold a lead",
		description: "The step in flight finishes, then nothing starts, a queued retry included. A lead that is held gets the new end and reason.",
		refused: map[int]string{
			http.StatusNotFound:            noLead[http.StatusNotFound],
			http.StatusConflict:            "The lead is final, or its removal is pending.",
			http.StatusUnprocessableEntity: "The body is faulty.",
		},
	}, h.hold)
	register(h, operation{
		method: "POST", path: "/workflows/{id}/leads/{lead}/release", id: "release-lead", tag: tagLeads, within: "body", body: jsonBody[releaseBody](),
		bodyless: true, summary: "Release a lead", description: "A wait goes on with the time that was left of it.",
		refused: map[int]string{
			http.StatusNotFound:            noLead[http.StatusNotFound],
			http.StatusConflict:            "The lead is final, or is not held.",
			http.StatusUnprocessableEntity: "The body is faulty.",
		},
	}, h.release)
}

func (h *Handler) hold(ctx context.Context, in *leadInput) (*output[leadBody], error) {
	workflow, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	if _, err := h.eng.Lead(ctx, workflow, id); err != nil {
		return nil, err
	}
	o, err := h.readOptional(exchangeOf(ctx), "until", "reason", "actor")
	if err != nil {
		return nil, err
	}
	hold := engine.Hold{Until: o.moment("until")}
	hold.Reason, hold.Actor = o.reasons()
	if err := o.with(h.eng.CheckHold(hold)); err != nil {
		return nil, err
	}
	l, err := h.eng.Hold(ctx, workflow, id, hold)
	if err != nil {
		return nil, err
	}
	return reply(viewLead(l)), nil
}

func (h *Handler) release(ctx context.Context, in *leadInput) (*output[leadBody], error) {
	workflow, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	if _, err := h.eng.Lead(ctx, workflow, id); err != nil {
		return nil, err
	}
	o, err := h.readOptional(exchangeOf(ctx), "reason", "actor")
	if err != nil {
		return nil, err
	}
	reason, actor := o.reasons()
	if err := o.problem(); err != nil {
		return nil, err
	}
	l, err := h.eng.Release(ctx, workflow, id, engine.Reason(reason), engine.Actor(actor))
	if err != nil {
		return nil, err
	}
	return reply(viewLead(l)), nil
}
