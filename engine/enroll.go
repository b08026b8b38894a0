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
// A faulty contact is a *lead.InvalidError that names every fault. A contact
// that has a lead in the workflow which is not final is an error that matches
// lead.ErrContactLive and names that lead; once it is final the contact is
// welcome again, as a new lead. A final workflow is an error that matches
// lead.ErrWorkflowStatus, an unknown one lead.ErrNotFound.
func (e *Engine) Enroll(ctx context.Context, workflow lead.WorkflowID, c lead.Contact) (lead.Lead, error) {
	prepared, err := e.prepare(c, e.config.Region)
	if err != nil {
		return lead.Lead{}, err
	}
	enrolling, err := e.run.Enroll(ctx, workflow, []*run.Contact{prepared})
	if err != nil {
		return lead.Lead{}, err
	}
	if err := enrolling.Wait(ctx); err != nil {
		return lead.Lead{}, err
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
		// What the caller does with its map later is its own affair, and what
		// expressions see must not depend on a restart.
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

// chunk is a number of contacts that are enrolled together.
type chunk struct {
	contacts  []*run.Contact
	enrolling *run.Enrolling
	fates     []fate // of the rows that the contacts come from
}

// refusal returns the error of a contact that was not enrolled, or nil.
func (e *Engine) refusal(ctx context.Context, workflow lead.WorkflowID, c *run.Contact) error {
	if c.Live == 0 {
		return nil
	}
	err := &lead.ConflictError{Reason: lead.ErrContactLive, Workflow: workflow}
	if found, failed := e.store.Lead(ctx, c.Live); failed == nil {
		err.Lead, err.State = found.Contact.ID, found.State.String()
	}
	return err
}

// EnrollReport says what came of enrolling many.
type EnrollReport struct {
	WorkflowID lead.WorkflowID `json:"workflow_id"`
	Enrolled   int             `json:"leads_enrolled"`
	Rejected   int             `json:"rejected"`
	// Errors names the rejected rows in order, the first MaxRowErrors of them.
	Errors []RowError `json:"errors"`
}

// RowError says why a row was rejected.
type RowError struct {
	// Row counts from 1: of a stream its elements, of a CSV file its records, the
	// header being 1. Blank lines are no records.
	Row int `json:"row"`
	// Line is where the row begins in a CSV file, from 1; 0 in a stream.
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

// MaxRowErrors is how many rejected rows an EnrollReport names; the others are
// only counted. OnRow sees them all.
const MaxRowErrors = 1000

// EnrollOption is an option of one call of EnrollAll or EnrollCSV.
type EnrollOption func(*enrollment)

// OnRow has f called for every row, in order, once its fate is on disk: with
// the lead's id, or with the error for which it was rejected. f runs on the
// goroutine of the call.
func OnRow(f func(row int, id lead.ID, err error)) EnrollOption {
	return func(s *enrollment) { s.onRow = f }
}

// DryRun enrolls nobody: the report says which rows would be enrolled, and why the
// others would be rejected. Whoever is live in the workflow, or twice in the input,
// is rejected as without it. Lead ids are zero. It remembers the phone number of each
// row, and so needs a few bytes a row.
func DryRun() EnrollOption {
	return func(s *enrollment) { s.rehearsal = map[int64]bool{} }
}

// InRegion reads phone numbers without a leading + as those of this region, an ISO
// 3166 code such as "US", instead of [Config].Region. An unknown one makes the call
// fail with a *lead.InvalidError.
func InRegion(region string) EnrollOption {
	return func(s *enrollment) { s.region = region }
}

// enrollChunkSize is how many contacts go into one request.
const enrollChunkSize = 500

// EnrollAll enrolls a stream of contacts in constant memory: while one part is
// being written the next is read and checked. An element that comes with an
// error is rejected with that error; so is a contact that Enroll would refuse.
// The others are enrolled.
//
// The report says what is on disk, also when EnrollAll returns an error because
// the workflow went away or became final, or the store failed. The rows that the
// store did not take are then among the rejected ones, and those after the last
// row of the report were not enrolled. Only when ctx has ended is the fate of up to
// a thousand rows after it unknown.
func (e *Engine) EnrollAll(ctx context.Context, workflow lead.WorkflowID, contacts iter.Seq2[lead.Contact, error], options ...EnrollOption) (EnrollReport, error) {
	s := newEnrollment(e, workflow, options)
	return s.run(ctx, contacts)
}

// enrollment is the enrolling of a stream.
type enrollment struct {
	eng    *Engine
	report EnrollReport
	onRow  func(row int, id lead.ID, err error)
	at     func() (row, line int) // of the element that came last
	region string
	// rehearsal, unless it is nil, makes this a dry run: it has the phone numbers that
	// would be enrolled so far.
	rehearsal map[int64]bool

	ahead   *chunk // being written
	filling *chunk
}

// fate is what becomes of a row: an error, or what becomes of its contact.
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
		// It was sent before the failure was known, and may well be on disk.
		if err := s.settle(ctx, s.ahead); failed == nil {
			failed = err
		}
	}
	return s.report, failed
}

// turn sends the chunk that is full, and reports the one sent before.
func (s *enrollment) turn(ctx context.Context) error {
	next := s.filling
	s.filling = &chunk{}
	var failed error
	if len(next.contacts) > 0 && s.rehearsal == nil {
		next.enrolling, failed = s.eng.run.Enroll(ctx, s.report.WorkflowID, next.contacts)
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

// settle waits for a chunk and reports its rows. Its error is why none of them was
// enrolled, or that ctx has ended, in which case none is reported.
func (s *enrollment) settle(ctx context.Context, c *chunk) error {
	var failed error
	if c.enrolling != nil {
		if failed = c.enrolling.Wait(ctx); failed != nil && ctx.Err() != nil {
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

// rehearse returns the error with which a contact would not be enrolled, or nil.
func (s *enrollment) rehearse(ctx context.Context, c *run.Contact) error {
	if s.rehearsal[c.Contact.Phone] {
		return &lead.ConflictError{Reason: fmt.Errorf("%w: an earlier row has the same phone number", lead.ErrContactLive)}
	}
	s.rehearsal[c.Contact.Phone] = true
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
