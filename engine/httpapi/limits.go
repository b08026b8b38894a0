package httpapi

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// limitsBody are the limits that hold for all workflows.
type limitsBody struct {
	Limits []scopedLimitBody `json:"limits"`
}

type scopedLimitBody struct {
	Channel *string `json:"channel" doc:"a node type; null: all"`
	RateKey *string `json:"rate_key" doc:"null: all"`
	limitBody
}

// newLimitsBody documents the body that replaces them.
type newLimitsBody struct {
	Limits []workflow.Limit `json:"limits" doc:"[] for none"`
}

func (h *Handler) limitRoutes() {
	register(h, operation{
		method: "GET", path: "/limits", id: "get-limits", tag: tagService, summary: "Get the limits for all workflows",
	}, func(ctx context.Context, _ *struct{}) (*output[limitsBody], error) { return h.limits(ctx) })
	register(h, operation{
		method: "PUT", path: "/limits", id: "set-limits", tag: tagService, within: "body", body: jsonBody[newLimitsBody](),
		summary: "Replace the limits for all workflows", description: "They are in force from the answer on, and across restarts.",
		refused: map[int]string{422: "The body is faulty."},
	}, func(ctx context.Context, _ *setLimitsInput) (*output[limitsBody], error) {
		data, err := h.readJSON(exchangeOf(ctx), h.config.MaxBody)
		if err != nil {
			return nil, err
		}
		limits, err := workflow.ParseLimits(data)
		var invalid *lead.InvalidError
		if errors.As(err, &invalid) {
			return nil, faulty(located(invalid.Faults, "body"))
		}
		if err != nil {
			return nil, err
		}
		if err := h.eng.SetLimits(ctx, limits); err != nil {
			return nil, err
		}
		return h.limits(ctx)
	})
}

func (h *Handler) limits(ctx context.Context) (*output[limitsBody], error) {
	limits, err := h.eng.Limits(ctx)
	if err != nil {
		return nil, err
	}
	out := limitsBody{Limits: make([]scopedLimitBody, len(limits))}
	for i, l := range limits {
		out.Limits[i] = scopedLimitBody{optional(string(l.Channel)), optional(l.RateKey), viewLimit(l)}
	}
	return reply(out), nil
}
