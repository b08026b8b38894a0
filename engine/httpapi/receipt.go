package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

// receiptBody is what is on record of an order to stop.
type receiptBody struct {
	PhoneNumber  string            `json:"phone_number"`
	At           time.Time         `json:"at" doc:"when the receipt was made"`
	SilentSince  *time.Time        `json:"silent_since" doc:"null while a step is in flight"`
	Orders       []auditBody       `json:"orders"`
	Leads        []leadReceiptBody `json:"leads"`
	AuditEntries int64             `json:"audit_entries"`
	AuditHash    string            `json:"audit_hash" doc:"of the last entry of the audit trail"`
	Text         string            `json:"text" doc:"the same for printing"`
}

type leadReceiptBody struct {
	ID            string     `json:"id"`
	WorkflowID    string     `json:"workflow_id"`
	Status        leadStatus `json:"status"`
	RequestedAt   time.Time  `json:"requested_at"`
	LastAttempt   *time.Time `json:"last_attempt" doc:"the last one that began before the request"`
	AttemptsAfter int        `json:"attempts_after" doc:"queued retries that a removal without skip_retries allows"`
	SilentSince   *time.Time `json:"silent_since"`
	Cancelled     []string   `json:"cancelled" doc:"the nodes of the steps that were cancelled"`
}

func viewReceipt(r engine.Receipt) receiptBody {
	out := receiptBody{
		PhoneNumber: r.PhoneNumber, At: r.At.UTC(), SilentSince: when(r.SilentSince), Orders: make([]auditBody, len(r.Orders)),
		Leads: make([]leadReceiptBody, len(r.Leads)), AuditEntries: r.Entries, AuditHash: r.Hash, Text: r.Text(),
	}
	for i, a := range r.Orders {
		out.Orders[i] = viewAudit(a)
	}
	for i, l := range r.Leads {
		out.Leads[i] = leadReceiptBody{
			l.ID.String(), l.WorkflowID.String(), leadStatus(l.State.String()), l.RequestedAt.UTC(), when(l.LastAttempt), l.After,
			when(l.SilentSince), l.Cancelled,
		}
	}
	return out
}

func (h *Handler) receiptRoute() {
	register(h, operation{
		method: "GET", path: "/contacts/{phone}/receipt", id: "get-receipt", tag: tagPeople, within: "query",
		summary:     "Get a receipt of a person's orders to stop",
		description: "Who asked for it and when, the last attempt before it, and since when there has been silence. The audit trail's chain of hashes is verified.",
		refused:     map[int]string{http.StatusUnprocessableEntity: "The path has no phone number."},
	}, h.receipt)
	register(h, operation{
		method: "GET", path: "/workflows/{id}/leads/{lead}/receipt", id: "get-lead-receipt", tag: tagLeads, within: "query",
		summary: "Get a receipt of the removal of a lead", description: "As of a person, for one lead.",
		refused: map[int]string{http.StatusNotFound: noLead[http.StatusNotFound], http.StatusConflict: "No removal was asked for."},
	}, h.leadReceipt)
}

func (h *Handler) leadReceipt(ctx context.Context, in *leadInput) (*output[receiptBody], error) {
	workflow, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	r, err := h.eng.Receipt(ctx, workflow, id)
	if err != nil {
		return nil, err
	}
	return reply(viewReceipt(r)), nil
}

func (h *Handler) receipt(ctx context.Context, in *contactInput) (*output[receiptBody], error) {
	phone, faults := h.phone(in.Phone)
	if faults != nil {
		return nil, faulty(faults)
	}
	r, err := h.eng.ContactReceipt(ctx, phone)
	if err != nil {
		return nil, err
	}
	return reply(viewReceipt(r)), nil
}
