package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

type removeInput struct {
	ID          workflowParam `path:"id"`
	Lead        leadParam     `path:"lead"`
	Reason      string        `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor       string        `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
	SkipRetries flagParam     `query:"skip_retries" doc:"let the attempt in flight finish, but make no further one"`
	Wait        durationText  `query:"wait" doc:"how long to wait for a step in flight to end before the answer is 202, such as 30s"`
}

// removedBody is the answer to a removal.
type removedBody struct {
	Message string     `json:"message"`
	ID      string     `json:"id"`
	Status  leadStatus `json:"status" doc:"removed, or pending_removal while a step is in flight"`
}

type removeOutput struct {
	Status int
	Body   removedBody
}

func (h *Handler) removalRoute() {
	register(h, operation{
		method: "DELETE", path: "/workflows/{id}/leads/{lead}", id: "remove-lead", tag: tagLeads, within: "query",
		summary: "Remove a lead from its workflow",
		description: "Once this is answered no new step of the lead starts. A step in flight is not cut short: then the answer is 202, " +
			"and the lead is removed when the step is over. Asking again meanwhile changes nothing.",
		also: map[int]answer{
			http.StatusOK:       {"The lead is removed.", "", reflect.TypeFor[removedBody]()},
			http.StatusAccepted: {"The lead will be removed when its step in flight is over.", "", reflect.TypeFor[removedBody]()},
		},
		refused: map[int]string{
			http.StatusNotFound: noLead[http.StatusNotFound],
			http.StatusConflict: "The lead is already completed or removed.",
		},
	}, h.removeLead)
}

func (h *Handler) removeLead(ctx context.Context, in *removeInput) (*removeOutput, error) {
	workflow, id, err := (&leadInput{in.ID, in.Lead}).ids()
	if err != nil {
		return nil, err
	}
	var q queryReader
	wait := min(q.duration("wait", in.Wait), h.config.MaxWait)
	options := []engine.RemoveOption{engine.Reason(in.Reason), engine.Actor(in.Actor)}
	if q.flag("skip_retries", in.SkipRetries) {
		options = append(options, engine.SkipRetries())
	}
	if err := q.problem(); err != nil {
		return nil, err
	}
	removal, err := h.eng.Remove(ctx, workflow, id, options...)
	if err != nil {
		return nil, err
	}
	out := &removeOutput{http.StatusOK, removedBody{"Lead removed from workflow.", id.String(), leadStatus(lead.Removed.String())}}
	if removal.State != lead.Removed && !h.detached(ctx, removal, wait) {
		out.Status = http.StatusAccepted
		out.Body.Message = "Lead will be removed when its step in flight is over."
		out.Body.Status = leadStatus(lead.PendingRemoval.String())
	}
	return out, nil
}

// detached waits for the lead to be detached, and reports whether it is. The
// removal stands in any case, so what ends the wait is no error: time, a client
// that is gone, an engine that is shut down.
func (h *Handler) detached(ctx context.Context, removal *engine.Removal, wait time.Duration) bool {
	if wait > 0 {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stop := h.config.Clock.AfterFunc(wait, cancel)
		defer stop()
		_, _ = removal.Wait(ctx) // asked below
	}
	select {
	case <-removal.Done():
		return true
	default:
		return false
	}
}
