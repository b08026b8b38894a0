package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Suppress says whom not to contact; see [Engine.Suppress].
type Suppress struct {
	// PhoneNumber, as Enroll would read it, and ExternalID say who is meant. One of them
	// is required; when both are set, either holds.
	PhoneNumber string
	ExternalID  string
	// Linked also suppresses, each by a suppression of its own, the other numbers and
	// external ids of leads that have the number or the id now. Without it, leadflow does
	// not guess that two numbers are one person.
	Linked bool

	// WorkflowID, if set, limits the suppression to one workflow, and Channel, a node type
	// such as workflow.VoiceCall, to the steps of that type.
	WorkflowID lead.WorkflowID
	Channel    workflow.NodeType

	Reason    string    // at most 1,024 bytes
	Actor     string    // who asks for it, at most 1,024 bytes
	ExpiresAt time.Time // when it ends by itself; zero for never
}

// Suppressed is a suppression that is on disk.
type Suppressed struct {
	lead.Suppression
	// New is false if the same suppression was on record already; Leads is empty then.
	New bool
	// Linked are the suppressions of linked numbers and ids.
	Linked []lead.Suppression
	// Leads are the leads that the suppression removed, or, with a Channel, those that
	// skip the steps of that type from now on.
	Leads []ContactLead

	eng  *Engine
	done []<-chan struct{}
}

// Wait waits until the person's steps that were in flight when Suppress returned have
// ended. Until then State of those Leads is lead.PendingRemoval. Errors are those of
// Removal.Wait.
func (s *Suppressed) Wait(ctx context.Context) error {
	for _, done := range s.done {
		if err := s.eng.run.Await(ctx, done); err != nil {
			return s.eng.why(err)
		}
	}
	return nil
}

// ContactLead is a lead of a person after a change that concerned the person.
type ContactLead struct {
	ID         lead.ID         `json:"id"`
	WorkflowID lead.WorkflowID `json:"workflow_id"`
	State      lead.State      `json:"status"`
}

// Suppress records that a person must not be contacted, and removes the person's leads
// from all workflows, or from the one in its scope, in the same commit. Each is removed as
// Remove does with SkipRetries: an attempt that runs finishes, a queued retry is dropped.
//
// When Suppress has returned, no new attempt starts for the person within the scope,
// in any workflow, on any engine (promise 13), and the person cannot be enrolled there
// until the suppression is lifted or has expired. It holds for leads with the phone
// number, for leads with the external id, and for both if both are given.
//
// With a Channel, leads are not removed and the person can be enrolled: a step of that
// type does not start, and the lead follows the edge "suppressed" of its node, else
// "default"; if there is neither, it is removed with the reason "suppressed".
//
// If there is such a suppression already, with the same person, scope and ExpiresAt,
// nothing changes. Invalid fields are a *lead.InvalidError that names every fault; an
// unknown workflow is an error that matches lead.ErrNotFound.
func (e *Engine) Suppress(ctx context.Context, s Suppress) (Suppressed, error) {
	asked, err := e.suppressing(s, e.config.Region)
	if err != nil {
		return Suppressed{}, err
	}
	request, err := e.run.Suppress(ctx, []*run.Suppressing{asked}, nil)
	if err == nil {
		err = request.Wait(ctx)
	}
	if err != nil {
		return Suppressed{}, e.why(err)
	}
	return e.suppressed(asked), nil
}

// CheckSuppress returns nil, or a *lead.InvalidError that names every fault of what
// Suppress would be asked. It does not look whether the workflow exists.
func (e *Engine) CheckSuppress(s Suppress) error {
	_, err := e.suppressing(s, e.config.Region)
	return err
}

// suppressing checks a suppression that is asked for.
func (e *Engine) suppressing(s Suppress, region string) (*run.Suppressing, error) {
	var faults filterFaults
	faults.who(s.PhoneNumber, s.ExternalID)
	row := store.Suppression{
		Phone: faults.phone(s.PhoneNumber, region), ExternalID: faults.externalID(s.ExternalID),
		Channel: string(s.Channel), Reason: s.Reason, Actor: s.Actor, Expires: store.MillisOf(s.ExpiresAt),
	}
	faults.channel(string(s.Channel))
	faults.said("reason", s.Reason)
	faults.said("actor", s.Actor)
	faults.future("expires_at", s.ExpiresAt, e.config.Clock.Now())
	if len(faults) > 0 {
		return nil, &lead.InvalidError{Subject: "suppression", Faults: faults}
	}
	return &run.Suppressing{Asked: row, In: s.WorkflowID, Linked: s.Linked}, nil
}

// who requires a phone number or an external id.
func (faults *filterFaults) who(phone, externalID string) {
	if phone == "" && externalID == "" {
		faults.add("phone_number", "is required unless external_id is given")
	}
}

func (faults *filterFaults) externalID(text string) string {
	faults.blank("external_id", text)
	if len(text) > lead.MaxExternalID {
		faults.add("external_id", fmt.Sprintf("has more than %d bytes", lead.MaxExternalID))
	}
	return text
}

func (faults *filterFaults) channel(name string) {
	if name != "" && !workflow.NodeType(name).Action() {
		faults.add("channel", fmt.Sprintf("invalid channel %q; must be one of voice_call, message, application", name))
	}
}

// said checks a reason or an actor.
func (faults *filterFaults) said(location, text string) {
	if len(text) > maxReason {
		faults.add(location, fmt.Sprintf("has more than %d bytes", maxReason))
	}
}

func (faults *filterFaults) future(location string, at, now time.Time) {
	if !at.IsZero() && !at.After(now) {
		faults.add(location, "must be in the future")
	}
}

func (e *Engine) suppressed(s *run.Suppressing) Suppressed {
	out := Suppressed{Suppression: e.viewSuppression(&s.Suppression), New: s.Fresh, Leads: contactLeads(s.Leads), eng: e}
	for _, l := range s.Leads {
		if l.Done != nil {
			out.done = append(out.done, l.Done)
		}
	}
	for i := range s.Also {
		out.Linked = append(out.Linked, e.viewSuppression(&s.Also[i]))
	}
	return out
}

func contactLeads(changed []run.Changed) []ContactLead {
	out := make([]ContactLead, len(changed))
	for i, c := range changed {
		out[i] = ContactLead{ID: c.ID, WorkflowID: c.Workflow, State: c.State}
	}
	return out
}

func (e *Engine) viewSuppression(s *store.Suppression) lead.Suppression {
	out := lead.Suppression{
		ID: s.ID, ExternalID: s.ExternalID, Channel: s.Channel, Reason: s.Reason, Actor: s.Actor,
		CreatedAt: s.Created.Time(), ExpiresAt: s.Expires.Time(), LiftedAt: s.Lifted.Time(), LiftedBy: s.LiftedBy, LiftReason: s.LiftReason,
	}
	if s.Phone != 0 {
		out.PhoneNumber = lead.PhoneFromDigits(s.Phone)
	}
	if s.Workflow != 0 {
		out.WorkflowID = e.run.WorkflowID(s.Workflow)
	}
	return out
}

// Lift ends a suppression, which stays on record. options are [Reason] and [Actor]. An
// unknown suppression is an error that matches lead.ErrNotFound; one that was lifted or has
// expired is a conflict that matches lead.ErrNotActive.
//
// Leads that the suppression removed stay removed. Leads that skip the steps of its
// channel do not any more.
func (e *Engine) Lift(ctx context.Context, id lead.SuppressionID, options ...RemoveOption) (lead.Suppression, error) {
	how, err := newRemoval(options)
	if err != nil {
		return lead.Suppression{}, err
	}
	row, err := e.run.Lift(ctx, id, how.Actor, how.Reason)
	if err != nil {
		return lead.Suppression{}, e.why(err)
	}
	return e.viewSuppression(&row), nil
}

// Suppression returns one suppression. An unknown one is an error that matches
// lead.ErrNotFound.
func (e *Engine) Suppression(ctx context.Context, id lead.SuppressionID) (lead.Suppression, error) {
	rows, err := e.suppressions(ctx, store.SuppressionQuery{Seqs: []int64{id.Seq()}})
	if err != nil {
		return lead.Suppression{}, err
	}
	if len(rows) == 0 || rows[0].ID != id {
		return lead.Suppression{}, run.SuppressionNotFound(id)
	}
	return e.viewSuppression(&rows[0]), nil
}

func (e *Engine) suppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	if err := e.run.Current(); err != nil {
		return nil, e.why(err)
	}
	rows, err := e.store.Suppressions(ctx, q)
	if err != nil {
		return nil, run.ReadFailed(err)
	}
	return rows, nil
}

// SuppressionFilter selects suppressions: those that match every field that is set. The
// zero value selects all.
type SuppressionFilter struct {
	PhoneNumber string // as Enroll would read it
	ExternalID  string // exactly this
	WorkflowID  lead.WorkflowID
	Channel     workflow.NodeType
	Active      bool // only those that hold now
	Inactive    bool // only those that were lifted or have expired

	After lead.SuppressionID // only older ones: the last of the page before
	Limit int                // at most this many; 0 for all
}

// Suppressions returns the suppressions that match, the newest first. Invalid fields are a
// *lead.InvalidError; an unknown workflow is an error that matches lead.ErrNotFound.
func (e *Engine) Suppressions(ctx context.Context, filter SuppressionFilter) ([]lead.Suppression, error) {
	var faults filterFaults
	q := store.SuppressionQuery{
		Phone: faults.phone(filter.PhoneNumber, e.config.Region), ExternalID: faults.externalID(filter.ExternalID),
		Channel: string(filter.Channel), Newest: true, Limit: filter.Limit,
	}
	faults.channel(string(filter.Channel))
	faults.notNegative("limit", filter.Limit)
	if err := faults.err(); err != nil {
		return nil, err
	}
	if !filter.WorkflowID.IsZero() {
		f, err := e.run.Flow(filter.WorkflowID)
		if err != nil {
			return nil, err
		}
		q.Workflow = f.Row.Seq
	}
	now := store.MillisOf(e.config.Clock.Now())
	if filter.Active {
		q.Active = now
	}
	if filter.Inactive {
		q.Inactive = now
	}
	q.After = filter.After.Seq()
	rows, err := e.suppressions(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]lead.Suppression, len(rows))
	for i := range rows {
		out[i] = e.viewSuppression(&rows[i])
	}
	return out, nil
}

// checkSuppressed returns the error with which enrolling a contact would be refused
// because it is suppressed, or nil.
func (e *Engine) checkSuppressed(ctx context.Context, id lead.WorkflowID, c *store.Contact) error {
	f, err := e.run.Flow(id)
	if err != nil {
		return err
	}
	now := store.MillisOf(e.config.Clock.Now())
	for _, q := range []store.SuppressionQuery{{Phone: c.Phone, Active: now}, {ExternalID: c.ExternalID, Active: now}} {
		if q.Phone == 0 && q.ExternalID == "" {
			continue
		}
		rows, err := e.suppressions(ctx, q)
		if err != nil {
			return err
		}
		for i := range rows {
			if s := &rows[i]; s.Channel == "" && s.Holds(c, f.Row.Seq) {
				return suppressedError(ctx, e, id, []int64{s.Seq})
			}
		}
	}
	return nil
}

// suppressedError is the error of a contact that is suppressed.
func suppressedError(ctx context.Context, e *Engine, id lead.WorkflowID, seqs []int64) error {
	err := &lead.ConflictError{Reason: lead.ErrSuppressed, Workflow: id}
	rows, failed := e.suppressions(ctx, store.SuppressionQuery{Seqs: seqs})
	if failed != nil || len(rows) == 0 {
		return err
	}
	s := &rows[0]
	var text []string
	text = append(text, s.ID.String())
	if s.Reason != "" {
		text = append(text, s.Reason)
	}
	if s.Expires != 0 {
		text = append(text, "until "+s.Expires.Time().Format(time.RFC3339))
	}
	err.State = strings.Join(text, ", ")
	return err
}
