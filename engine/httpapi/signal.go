package httpapi

import (
	"context"
	"net/http"
)

// newSignalBody documents the body of a signal.
type newSignalBody struct {
	Name string         `json:"name" doc:"what time nodes and exits name"`
	Data map[string]any `json:"data,omitempty" doc:"goes to the history of a wait that it ends; at most 16 KiB"`
}

// signalledBody says what a signal did to a lead.
type signalledBody struct {
	ID     string       `json:"id"`
	Effect signalEffect `json:"effect"`
}

// contactSignalledBody says what a signal did to a lead of a person.
type contactSignalledBody struct {
	ID         string       `json:"id"`
	WorkflowID string       `json:"workflow_id"`
	Effect     signalEffect `json:"effect"`
}

type contactInput struct {
	Phone phoneParam `path:"phone"`
}

func (h *Handler) signalRoute() {
	register(h, operation{
		method: "POST", path: "/workflows/{id}/leads/{lead}/signals", id: "signal-lead", tag: tagLeads, within: "body", body: jsonBody[newSignalBody](),
		summary:     "Tell a lead that something happened outside",
		description: "A time node that waits for it ends; an exit of the workflow completes the lead. A step in flight finishes first.",
		refused: map[int]string{
			http.StatusNotFound:            noLead[http.StatusNotFound],
			http.StatusConflict:            "The lead is final.",
			http.StatusUnprocessableEntity: "The body is faulty.",
		},
	}, h.signal)
}

func (h *Handler) contactSignalRoute() {
	register(h, operation{
		method: "POST", path: "/contacts/{phone}/signals", id: "signal-contact", tag: tagPeople, within: "body", body: jsonBody[newSignalBody](),
		summary:     "Tell a person's leads that something happened outside",
		description: "It reaches every lead of the person that is not final, in one commit.",
		refused:     map[int]string{http.StatusUnprocessableEntity: "The path has no phone number, or the body is faulty."},
	}, h.signalContact)
}

// readSignal reads the name and the data of a signal. before are the faults found so far.
func (h *Handler) readSignal(ctx context.Context, before []fault) (name string, data any, err error) {
	text, err := h.readJSON(exchangeOf(ctx), h.config.MaxBody)
	if err != nil {
		return "", nil, err
	}
	o := readObject(text, "name", "data")
	o.faults = append(before, o.faults...)
	name = o.nonEmpty("name", len(text))
	if !o.sent("name") && !o.broken {
		o.fault("name", "is required")
	}
	if object := o.raw("data"); object != nil {
		data = object
	}
	return name, data, o.problem()
}

func (h *Handler) signal(ctx context.Context, in *leadInput) (*output[signalledBody], error) {
	workflow, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	if _, err := h.eng.Lead(ctx, workflow, id); err != nil {
		return nil, err
	}
	name, data, err := h.readSignal(ctx, nil)
	if err != nil {
		return nil, err
	}
	effect, err := h.eng.Signal(ctx, workflow, id, name, data)
	if err != nil {
		return nil, err
	}
	return reply(signalledBody{id.String(), signalEffect(effect)}), nil
}

func (h *Handler) signalContact(ctx context.Context, in *contactInput) (*output[list[contactSignalledBody]], error) {
	phone, faults := h.phone(in.Phone)
	name, data, err := h.readSignal(ctx, faults)
	if err != nil {
		return nil, err
	}
	done, err := h.eng.SignalContact(ctx, phone, name, data)
	if err != nil {
		return nil, err
	}
	out := list[contactSignalledBody]{Data: make([]contactSignalledBody, len(done))}
	for i, l := range done {
		out.Data[i] = contactSignalledBody{l.ID.String(), l.WorkflowID.String(), signalEffect(l.Effect)}
	}
	return reply(out), nil
}
