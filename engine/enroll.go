package engine

import (
	"context"
	"fmt"
	"iter"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Enroll makes a contact a lead of a workflow, at its entry node and due now.
// In a draft or a paused workflow the lead waits for it to become active.
//
// An invalid contact is a *lead.InvalidError that names every fault. If the contact
// has a lead in the workflow that is not final, the error matches lead.ErrContactLive
// and names that lead; once that lead is final, the contact may be enrolled again, as a
// new lead. If the workflow is completed or cancelled, the error matches
// lead.ErrWorkflowStatus; if it is unknown, lead.ErrNotFound.
func (e *Engine) Enroll(ctx context.Context, workflow lead.WorkflowID, c lead.Contact) (lead.Lead, error) {
	prepared, err := e.prepare(c, e.config.Region)
	if err != nil {
		return lead.Lead{}, err
	}
	enrolling, err := e.run.Enroll(ctx, workflow, []*run.Contact{prepared})
	if err == nil {
		err = enrolling.Wait(ctx)
	}
	if err != nil {
		return lead.Lead{}, e.why(err)
	}
	if err := e.refusal(ctx, workflow, prepared); err != nil {
		return lead.Lead{}, err
	}
	return e.Lead(ctx, workflow, prepared.ID)
}

// prepare checks a contact and brings it into the form in which it is kept.
func (e *Engine) prepare(c lead.Contact, region string) (*run.Contact, error) {
	person, err := c.Normalize(region)
	if err != nil {
		return nil, err
	}
	out := &run.Contact{Person: &person, Contact: store.Contact{
		Phone: lead.PhoneDigits(person.PhoneNumber), ExternalID: person.ExternalID, TimeZone: person.TimeZone,
	}}
	if len(person.Metadata) == 0 {
		return out, nil
	}
	if out.Metadata, err = encodeMetadata(person.Metadata); err == nil {
		// Decoded again, because the caller may change its map later, and because
		// expressions must see the same values before and after a restart.
		person.Metadata, err = core.DecodeObject(out.Metadata)
	}
	if err != nil {
		return nil, &lead.InvalidError{Subject: "contact", Faults: []lead.FieldError{{Location: "metadata", Message: err.Error()}}}
	}
	out.Person = &person
	return out, nil
}

// encodeMetadata returns metadata as it is kept: nil when there is none.
func encodeMetadata(m map[string]any) ([]byte, error) {
	if len(m) == 0 {
		return nil, nil
	}
	text, err := encode(m)
	if err == nil {
		err = checkJSON(text)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// chunk is a group of contacts that are enrolled in one request.
type chunk struct {
	contacts  []*run.Contact
	enrolling *run.Enrolling
	fates     []fate // of all rows of the chunk, rejected ones too
}

// refusal returns the error of a contact that was not enrolled, or nil.
func (e *Engine) refusal(ctx context.Context, workflow lead.WorkflowID, c *run.Contact) error {
	switch {
	case len(c.Suppressed) > 0:
		return suppressedError(ctx, e, workflow, c.Suppressed)
	case c.Live == 0:
		return nil
	}
	err := &lead.ConflictError{Reason: lead.ErrContactLive, Workflow: workflow}
	if found, failed := e.store.Lead(ctx, c.Live); failed == nil {
		err.Lead, err.State = found.Contact.ID, found.State.String()
	}
	return err
}

// EnrollReport is the result of EnrollAll and EnrollCSV.
type EnrollReport struct {
	WorkflowID lead.WorkflowID `json:"workflow_id"`
	Enrolled   int             `json:"leads_enrolled"`
	Rejected   int             `json:"rejected"`
	// Errors names the rejected rows in order, the first MaxRowErrors of them.
	Errors []RowError `json:"errors"`
}

// RowError says why a row was rejected.
type RowError struct {
	// Row counts from 1: the elements of a stream, or the records of a CSV file, whose
	// header is record 1. Blank lines are not counted.
	Row int `json:"row"`
	// Line is the line at which the row begins in a CSV file, from 1; 0 for a stream.
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

// MaxRowErrors is how many rejected rows an EnrollReport names; the others are
// only counted. OnRow sees them all.
const MaxRowErrors = 1000

// EnrollOption is an option for one call of EnrollAll or EnrollCSV.
type EnrollOption func(*enrollment)

// OnRow calls f for every row, in order, once the row is enrolled and on disk, with
// the lead's id, or once it is rejected, with the error. f runs on the goroutine that
// called EnrollAll or EnrollCSV, and holds up the enrollment while it runs.
func OnRow(f func(row int, id lead.ID, err error)) EnrollOption {
	return func(s *enrollment) { s.onRow = f }
}

// DryRun enrolls nobody: the report says how many rows would be enrolled, and why the
// others would be rejected, contacts that are live in the workflow or twice in the
// input included. Lead ids are zero. It remembers the phone number of each row, which
// takes some tens of bytes of memory a row.
func DryRun() EnrollOption {
	return func(s *enrollment) { s.rehearsal = map[int64]bool{} }
}

// InRegion reads phone numbers without a leading + as national numbers of this region,
// a two-letter ISO 3166 code such as "US", instead of [Config].Region. With an unknown
// region the call fails with a *lead.InvalidError.
func InRegion(region string) EnrollOption {
	return func(s *enrollment) { s.region = region }
}

// enrollChunkSize is how many contacts go into one request.
const enrollChunkSize = 500

// EnrollAll enrolls a stream of contacts in constant memory: while one part is
// being written, the next is read and checked. An element that comes with an error is
// rejected with that error, and a contact that Enroll would refuse is rejected as
// Enroll would. The others are enrolled. EnrollAll reads contacts on the goroutine of
// its caller.
//
// The report says what is on disk, also when EnrollAll returns an error because the
// workflow was deleted or became final, or the store failed. Rows that the store
// refused are then among the rejected ones, and no row after the last one of the
// report was enrolled. But when ctx has ended, up to a thousand rows after that one may
// have been enrolled.
func (e *Engine) EnrollAll(ctx context.Context, workflow lead.WorkflowID, contacts iter.Seq2[lead.Contact, error], options ...EnrollOption) (EnrollReport, error) {
	s := newEnrollment(e, workflow, options)
	return s.run(ctx, contacts)
}

// enrollment is the state of one EnrollAll or EnrollCSV.
type enrollment struct {
	eng    *Engine
	report EnrollReport
	onRow  func(row int, id lead.ID, err error)
	at     func() (row, line int) // of the last element
	region string
	// rehearsal, unless it is nil, makes this a dry run: it has the phone numbers of
	// the rows before.
	rehearsal map[int64]bool

	ahead   *chunk // being written
	filling *chunk
}

// fate is the result of a row: an error, or its contact.
type fate struct {
	row     int
	line    int
	err     error
	contact *run.Contact
}

func newEnrollment(e *Engine, workflow lead.WorkflowID, options []EnrollOption) *enrollment {
	s := &enrollment{
		eng: e, report: EnrollReport{WorkflowID: workflow, Errors: []RowError{}}, filling: &chunk{}, region: e.config.Region,
	}
	for _, option := range options {
		option(s)
	}
	return s
}

func (s *enrollment) run(ctx context.Context, contacts iter.Seq2[lead.Contact, error]) (EnrollReport, error) {
	f, err := s.eng.run.Flow(s.report.WorkflowID)
	if err == nil && s.region != s.eng.config.Region {
		err = lead.CheckRegion(s.region)
	}
	if err == nil && s.rehearsal != nil {
		err = f.Enrollable()
	}
	if err != nil {
		return s.report, err
	}
	var failed error
	elements := 0
	for c, err := range contacts {
		elements++
		row, line := elements, 0
		if s.at != nil {
			row, line = s.at()
		}
		var prepared *run.Contact
		if err == nil {
			prepared, err = s.eng.prepare(c, s.region)
		}
		s.filling.fates = append(s.filling.fates, fate{row, line, err, prepared})
		if err == nil {
			s.filling.contacts = append(s.filling.contacts, prepared)
		}
		if len(s.filling.fates) >= enrollChunkSize {
			if failed = s.turn(ctx); failed != nil {
				break
			}
		}
	}
	for failed == nil && (s.ahead != nil || len(s.filling.fates) > 0) {
		failed = s.turn(ctx)
	}
	if s.ahead != nil {
		// It was sent before the failure was known, and may be on disk.
		if err := s.settle(ctx, s.ahead); failed == nil {
			failed = err
		}
	}
	return s.report, failed
}

// turn sends the chunk that was filled, and reports the one sent before.
func (s *enrollment) turn(ctx context.Context) error {
	next := s.filling
	s.filling = &chunk{}
	var failed error
	if len(next.contacts) > 0 && s.rehearsal == nil {
		next.enrolling, failed = s.eng.run.Enroll(ctx, s.report.WorkflowID, next.contacts)
		failed = s.eng.why(failed)
	}
	before := s.ahead
	s.ahead = nil
	if failed == nil && len(next.fates) > 0 {
		s.ahead = next
	}
	if before != nil {
		if err := s.settle(ctx, before); err != nil {
			return err
		}
	}
	return failed
}

// settle waits for a chunk and reports its rows. Its error says why none of them was
// enrolled; if ctx has ended, it reports none.
func (s *enrollment) settle(ctx context.Context, c *chunk) error {
	var failed error
	if c.enrolling != nil {
		if failed = s.eng.why(c.enrolling.Wait(ctx)); failed != nil && ctx.Err() != nil {
			return failed
		}
	}
	for _, f := range c.fates {
		if f.err == nil {
			f.err = failed
		}
		switch {
		case f.err != nil:
		case s.rehearsal != nil:
			f.err = s.rehearse(ctx, f.contact)
		default:
			f.err = s.eng.refusal(ctx, s.report.WorkflowID, f.contact)
		}
		var id lead.ID
		if f.err == nil {
			id = f.contact.ID
			s.report.Enrolled++
		} else {
			s.report.Rejected++
			if len(s.report.Errors) < MaxRowErrors {
				s.report.Errors = append(s.report.Errors, RowError{Row: f.row, Line: f.line, Message: rowMessage(f.err)})
			}
		}
		if s.onRow != nil {
			s.onRow(f.row, id, f.err)
		}
	}
	return failed
}

// rehearse returns the error with which a contact would be rejected, or nil.
func (s *enrollment) rehearse(ctx context.Context, c *run.Contact) error {
	if s.rehearsal[c.Contact.Phone] {
		return &lead.ConflictError{Reason: fmt.Errorf("%w: an earlier row has the same phone number", lead.ErrContactLive)}
	}
	s.rehearsal[c.Contact.Phone] = true
	if err := s.eng.checkSuppressed(ctx, s.report.WorkflowID, &c.Contact); err != nil {
		return err
	}
	live, err := s.eng.Leads(ctx, s.report.WorkflowID, LeadFilter{
		PhoneNumber: c.Person.PhoneNumber, States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}, Limit: 1,
	})
	if err != nil || len(live) == 0 {
		return err
	}
	return &lead.ConflictError{
		Reason: lead.ErrContactLive, Workflow: s.report.WorkflowID, Lead: live[0].ID, State: live[0].State.String(),
	}
}
