package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
)

// Receipt is on record of an order to stop: who asked for it, when, and that nothing
// started since.
type Receipt struct {
	PhoneNumber string        `json:"phone_number"`
	At          time.Time     `json:"at"` // when the receipt was made
	Orders      []AuditEntry  `json:"orders"`
	Leads       []LeadReceipt `json:"leads"` // those that the orders concern
	// SilentSince is since when nothing is in flight for any of the leads; zero while
	// something is.
	SilentSince time.Time `json:"silent_since,omitzero"`
	// Entries and Hash are of the audit trail as a whole, whose chain of hashes was
	// verified when the receipt was made.
	Entries int64  `json:"audit_entries"`
	Hash    string `json:"audit_hash"`
}

// LeadReceipt is the part of a receipt about one lead.
type LeadReceipt struct {
	ID          lead.ID         `json:"id"`
	WorkflowID  lead.WorkflowID `json:"workflow_id"`
	State       lead.State      `json:"status"`
	RequestedAt time.Time       `json:"requested_at"`
	// LastAttempt is when the last attempt before the request began; zero if there was
	// none. After counts attempts that began after it: only the queued retries of a step in
	// flight, and only if the removal did not skip them.
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	After       int       `json:"attempts_after"`
	// SilentSince is when the step in flight had ended; zero while it has not.
	SilentSince time.Time `json:"silent_since,omitzero"`
	Cancelled   []string  `json:"cancelled"` // the nodes of the steps that were cancelled
}

// Receipt makes a receipt of the removal of a lead. If no removal was asked for, the error
// matches lead.ErrConflict; other errors are those of Lead and VerifyAudit.
func (e *Engine) Receipt(ctx context.Context, workflow lead.WorkflowID, id lead.ID) (Receipt, error) {
	l, err := e.Lead(ctx, workflow, id)
	if err != nil {
		return Receipt{}, err
	}
	if l.Removal == nil {
		return Receipt{}, &lead.ConflictError{Reason: errNotRemoved, Workflow: workflow, Lead: id, State: l.State.String()}
	}
	orders, err := e.Audit(ctx, AuditFilter{LeadID: id})
	if err != nil {
		return Receipt{}, err
	}
	return e.receipt(ctx, l.PhoneNumber, orders, []lead.Lead{l})
}

var errNotRemoved = fmt.Errorf("no removal was asked for")

// ContactReceipt makes a receipt of all orders about a person: suppressions of the number,
// and removals of leads. Without any, the receipt has no Orders.
func (e *Engine) ContactReceipt(ctx context.Context, phoneNumber string) (Receipt, error) {
	leads, err := e.ContactLeads(ctx, ContactFilter{PhoneNumber: phoneNumber})
	if err != nil {
		return Receipt{}, err
	}
	number, err := lead.NormalizePhone(phoneNumber, e.config.Region)
	if err != nil {
		return Receipt{}, err
	}
	orders, err := e.Audit(ctx, AuditFilter{PhoneNumber: number})
	if err != nil {
		return Receipt{}, err
	}
	return e.receipt(ctx, number, orders, leads)
}

func (e *Engine) receipt(ctx context.Context, number string, audit []AuditEntry, leads []lead.Lead) (Receipt, error) {
	proof, err := e.VerifyAudit(ctx)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{
		PhoneNumber: number, At: e.config.Clock.Now().UTC(), Orders: []AuditEntry{}, Leads: []LeadReceipt{},
		Entries: proof.Entries, Hash: hex.EncodeToString(proof.Last[:]),
	}
	for _, a := range audit {
		switch a.Action {
		case run.AuditSuppress, run.AuditLift, run.AuditRemove:
			r.Orders = append(r.Orders, a)
		}
	}
	silent := true
	for _, l := range leads {
		if l.Removal == nil {
			continue
		}
		steps, err := e.History(ctx, l.WorkflowID, l.ID)
		if err != nil {
			return Receipt{}, err
		}
		part := leadReceipt(l, steps)
		silent = silent && !part.SilentSince.IsZero()
		if part.SilentSince.After(r.SilentSince) {
			r.SilentSince = part.SilentSince
		}
		r.Leads = append(r.Leads, part)
	}
	if len(r.Leads) == 0 && len(r.Orders) > 0 { // nothing was in flight
		r.SilentSince = r.Orders[0].At
	}
	if !silent {
		r.SilentSince = time.Time{}
	}
	return r, nil
}

func leadReceipt(l lead.Lead, steps []lead.Step) LeadReceipt {
	r := LeadReceipt{ID: l.ID, WorkflowID: l.WorkflowID, State: l.State, RequestedAt: l.Removal.RequestedAt, Cancelled: []string{}}
	for _, s := range steps {
		for _, a := range s.Attempts {
			switch {
			case a.StartedAt.IsZero():
			case a.StartedAt.After(r.RequestedAt):
				r.After++
			case a.StartedAt.After(r.LastAttempt):
				r.LastAttempt = a.StartedAt
			}
		}
		if s.Status == lead.StepCancelled {
			r.Cancelled = append(r.Cancelled, s.NodeID)
		}
	}
	if l.State == lead.Removed {
		r.SilentSince = l.Removal.RemovedAt
	}
	return r
}

// Text returns the receipt for printing.
func (r Receipt) Text() string {
	var b strings.Builder
	moment := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-16s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "Receipt of an order to stop\n\n")
	line("Person", "%s", r.PhoneNumber)
	line("Made at", "%s", moment(r.At))
	if r.SilentSince.IsZero() && len(r.Orders) > 0 {
		line("Silent since", "not yet: a step is in flight")
	} else {
		line("Silent since", "%s", moment(r.SilentSince))
	}
	fmt.Fprintf(&b, "\nOrders, as on record\n")
	if len(r.Orders) == 0 {
		fmt.Fprintf(&b, "  none\n")
	}
	for _, a := range r.Orders {
		fmt.Fprintf(&b, "  %s  %s, entry %d", moment(a.At), a.Action, a.Seq)
		if a.Actor != "" {
			fmt.Fprintf(&b, ", by %s", printable(a.Actor))
		}
		if a.Reason != "" {
			fmt.Fprintf(&b, ": %s", printable(a.Reason))
		}
		b.WriteByte('\n')
	}
	for _, l := range r.Leads {
		fmt.Fprintf(&b, "\nLead %s\n", l.ID)
		line("  Workflow", "%s", l.WorkflowID)
		line("  Status", "%s", l.State)
		line("  Asked for at", "%s", moment(l.RequestedAt))
		line("  Last attempt", "%s", moment(l.LastAttempt))
		line("  Begun since", "%d attempts", l.After)
		line("  Silent since", "%s", moment(l.SilentSince))
		if len(l.Cancelled) > 0 {
			line("  Cancelled", "%s", printable(strings.Join(l.Cancelled, ", ")))
		}
	}
	fmt.Fprintf(&b, "\nThe audit trail has %d entries, whose chain of hashes is whole. Its last hash is\n%s\n", r.Entries, r.Hash)
	return b.String()
}

// printable returns a text with its control characters written out.
func printable(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	if plain := quoted[1 : len(quoted)-1]; plain != text {
		return strings.ToValidUTF8(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				return ' '
			}
			return r
		}, text), "?")
	}
	return text
}
