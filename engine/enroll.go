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
	return e.enrollRows(ctx, workflow, contacts, counted(), options)
}

// enrollment is the state of one EnrollAll or EnrollCSV.
type enrollment struct {
	eng *Engine
	rowOptions
	report EnrollReport
	phones map[int64]bool // of a dry run: those of the rows before
}

func (e *Engine) enrollRows(
	ctx context.Context, workflow lead.WorkflowID, contacts iter.Seq2[lead.Contact, error], at func() (row, line int), options []EnrollOption,
) (EnrollReport, error) {
	s := &enrollment{eng: e, report: EnrollReport{WorkflowID: workflow, Errors: []RowError{}}, phones: map[int64]bool{}}
	f, err := e.run.Flow(workflow)
	if err == nil {
		s.rowOptions, err = e.newRowOptions(options)
	}
	if err == nil && s.dryRun {
		err = f.Enrollable()
	}
	if err == nil {
		err = inChunks(ctx, contacts, at, func() rowChunk[lead.Contact] { return &enrollChunk{enrollment: s} })
	}
	return s.report, err
}

// enrollChunk is a group of contacts that are enrolled in one request.
type enrollChunk struct {
	*enrollment
	contacts  []*run.Contact
	enrolling *run.Enrolling
	fates     []fate // of all rows of the chunk, rejected ones too
}

// fate is the result of a row: an error, or its contact.
type fate struct {
	row     int
	line    int
	err     error
	contact *run.Contact
}

func (c *enrollChunk) add(row, line int, contact lead.Contact, err error) {
	var prepared *run.Contact
	if err == nil {
		prepared, err = c.eng.prepare(contact, c.region)
	}
	c.fates = append(c.fates, fate{row, line, err, prepared})
	if err == nil {
		c.contacts = append(c.contacts, prepared)
	}
}

func (c *enrollChunk) send(ctx context.Context) (err error) {
	if len(c.contacts) > 0 && !c.dryRun {
		c.enrolling, err = c.eng.run.Enroll(ctx, c.report.WorkflowID, c.contacts)
	}
	return c.eng.why(err)
}

func (c *enrollChunk) settle(ctx context.Context) error {
	var failed error
	if c.enrolling != nil {
		if failed = c.eng.why(c.enrolling.Wait(ctx)); failed != nil && ctx.Err() != nil {
			return failed
		}
	}
	for _, f := range c.fates {
		if f.err == nil {
			f.err = failed
		}
		switch {
		case f.err != nil:
		case c.dryRun:
			f.err = c.rehearse(ctx, f.contact)
		default:
			f.err = c.eng.refusal(ctx, c.report.WorkflowID, f.contact)
		}
		var id lead.ID
		if f.err == nil {
			id = f.contact.ID
			c.report.Enrolled++
		} else {
			c.report.Rejected++
			c.report.Errors = appendRowError(c.report.Errors, f.row, f.line, f.err)
		}
		if c.onRow != nil {
			c.onRow(f.row, id, f.err)
		}
	}
	return failed
}

// appendRowError names a rejected row, unless MaxRowErrors are named already.
func appendRowError(list []RowError, row, line int, err error) []RowError {
	if len(list) == MaxRowErrors {
		return list
	}
	return append(list, RowError{Row: row, Line: line, Message: rowMessage(err)})
}

// rehearse returns the error with which a contact would be rejected, or nil.
func (s *enrollment) rehearse(ctx context.Context, c *run.Contact) error {
	if s.phones[c.Contact.Phone] {
		return &lead.ConflictError{Reason: fmt.Errorf("%w: an earlier row has the same phone number", lead.ErrContactLive)}
	}
	s.phones[c.Contact.Phone] = true
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
