package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// mergePatchType is the media type of RFC 7396.
const mergePatchType = "application/merge-patch+json"

// leadPatchBody documents the body that updates a lead.
type leadPatchBody struct {
	Metadata   map[string]any `json:"metadata,omitempty" doc:"merged into the lead's (RFC 7396): null deletes a key, objects are merged, any other value is replaced"`
	TimeZone   *string        `json:"time_zone,omitempty" nullable:"true" doc:"an IANA name such as Europe/Berlin; null for none"`
	ExternalID *string        `json:"external_id,omitempty" nullable:"true" doc:"your own name for the person, at most 256 bytes; null for none"`
}

func (h *Handler) updateRoute() {
	body := jsonBody[leadPatchBody]()
	body[mergePatchType] = body[jsonType]
	register(h, operation{
		method: "PATCH", path: "/workflows/{id}/leads/{lead}", id: "update-lead", tag: tagLeads, body: body, within: "body",
		summary:     "Update what is known of a lead",
		description: "Conditions see it from the next decision on. An attempt that has begun keeps what it was given.",
		refused: map[int]string{
			http.StatusNotFound:            noLead[http.StatusNotFound],
			http.StatusConflict:            "The lead is already completed or removed.",
			http.StatusUnprocessableEntity: "The body is faulty.",
		},
	}, h.updateLead)
}

func (h *Handler) updateLead(ctx context.Context, in *updateLeadInput) (*output[leadBody], error) {
	workflow, id, err := (&leadInput{in.ID, in.Lead}).ids()
	if err != nil {
		return nil, err
	}
	if _, err := h.eng.Lead(ctx, workflow, id); err != nil {
		return nil, err
	}
	update, err := h.readUpdate(exchangeOf(ctx))
	if err != nil {
		return nil, err
	}
	l, err := h.eng.UpdateLead(ctx, workflow, id, update)
	if err != nil {
		return nil, err
	}
	return reply(viewLead(l)), nil
}

// readUpdate reads a patch, and names what is wrong with the body and with what is
// in it together.
func (h *Handler) readUpdate(x *exchange) (u engine.LeadUpdate, err error) {
	data, err := h.readJSON(x, h.config.MaxBody, jsonType, mergePatchType)
	if err != nil {
		return u, err
	}
	o := readObject(data, "metadata", "time_zone", "external_id")
	u.TimeZone, u.ExternalID = o.patch("time_zone", len(data)), o.patch("external_id", len(data))
	if u.Metadata = o.object("metadata"); u.Metadata == nil && o.null("metadata") {
		o.fault("metadata", "must be an object; to delete a key, set that key to null")
	}
	if o.broken {
		return u, o.problem()
	}
	c := lead.Contact{Metadata: u.Metadata}
	if u.TimeZone != nil {
		c.TimeZone = *u.TimeZone
	}
	if u.ExternalID != nil {
		c.ExternalID = *u.ExternalID
	}
	var invalid *lead.InvalidError
	if errors.As(h.eng.CheckContact(c), &invalid) {
		for _, f := range located(invalid.Faults, "body") {
			if f.Location != "body.phone_number" { // which stays as it is
				o.add([]fault{f})
			}
		}
	}
	return u, o.problem()
}
