package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// LeadUpdate says what to change in a lead's contact. Nil fields stay as they are.
type LeadUpdate struct {
	// Metadata is a JSON merge patch (RFC 7396) for the lead's metadata: a key whose
	// value is nil is deleted, an object is merged into the present one, and any other
	// value, arrays included, replaces the present value. Numbers keep their digits. The
	// result has the same bounds as in Enroll.
	Metadata   map[string]any
	TimeZone   *string // an IANA name; "" for none
	ExternalID *string // at most 256 bytes of UTF-8; "" for none
}

// maxUpdates bounds how often UpdateLead begins again because another update of the
// lead came first. Each time one of them succeeds, so the bound is only reached by that
// many concurrent updates of one lead.
const maxUpdates = 1000

// UpdateLead changes the contact of a lead that is not final. When it returns, the
// change is on disk, and conditions, waits and handlers see it from the next decision
// on: an attempt that has begun keeps the contact that it was given, and the present
// step keeps its due time. Concurrent updates of the same lead are made one after the
// other, and none is lost. A lead whose new external id is suppressed is removed in the
// same commit.
//
// Invalid fields are a *lead.InvalidError that names every fault. If the workflow or
// the lead is unknown, or the lead is in another workflow, the error matches
// lead.ErrNotFound. If the lead is removed or completed, it matches lead.ErrLeadFinal
// and lead.ErrConflict.
func (e *Engine) UpdateLead(ctx context.Context, workflow lead.WorkflowID, id lead.ID, u LeadUpdate) (lead.Lead, error) {
	_, found, err := e.find(ctx, workflow, id)
	if err != nil {
		return lead.Lead{}, err
	}
	note, err := noteOf(ctx, run.AuditUpdateLead, map[string]any{"fields": u.fields()})
	if err != nil {
		return lead.Lead{}, err
	}
	faults := u.check()
	patch, err := encodeMetadata(u.Metadata)
	if err != nil {
		faults = append(faults, lead.FieldError{Location: "metadata", Message: err.Error()})
	}
	from := found.Contact
	for range maxUpdates {
		to, err := u.apply(from, patch)
		var invalid *lead.InvalidError
		switch {
		case errors.As(err, &invalid):
			faults = append(faults, invalid.Faults...)
		case err != nil:
			return lead.Lead{}, err
		}
		if faults != nil {
			return lead.Lead{}, &lead.InvalidError{Subject: "update", Faults: faults}
		}
		now, err := e.run.SetContact(ctx, workflow, id, from, to, note)
		if err == nil {
			return e.Lead(ctx, workflow, id)
		}
		if !errors.Is(err, run.ErrChanged) {
			return lead.Lead{}, e.why(err)
		}
		from = now
	}
	return lead.Lead{}, &lead.ConflictError{Reason: run.ErrChanged, Workflow: workflow, Lead: id}
}

// fields names what is to be changed, without what it is changed to.
func (u *LeadUpdate) fields() []string {
	list := []string{}
	if u.Metadata != nil {
		list = append(list, "metadata")
	}
	if u.TimeZone != nil {
		list = append(list, "time_zone")
	}
	if u.ExternalID != nil {
		list = append(list, "external_id")
	}
	return list
}

// check returns what is wrong with the fields other than the metadata.
func (u *LeadUpdate) check() (faults []lead.FieldError) {
	var c lead.Contact
	if u.TimeZone != nil {
		c.TimeZone = *u.TimeZone
	}
	if u.ExternalID != nil {
		c.ExternalID = *u.ExternalID
	}
	_, err := c.Normalize("")
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		for _, f := range invalid.Faults {
			if f.Location != "phone_number" { // an update does not change it
				faults = append(faults, f)
			}
		}
	}
	return faults
}

// apply returns the contact as it is after the update. patch is the update's
// metadata as JSON.
func (u *LeadUpdate) apply(c store.Contact, patch []byte) (*run.Contact, error) {
	if u.TimeZone != nil {
		c.TimeZone = *u.TimeZone
	}
	if u.ExternalID != nil {
		c.ExternalID = *u.ExternalID
	}
	if patch != nil {
		text, err := mergeMetadata(c.Metadata, patch)
		if err != nil {
			return nil, err
		}
		c.Metadata = text
	}
	return run.NewContact(c)
}

// mergeMetadata returns the metadata after the patch, nil when nothing is left.
func mergeMetadata(text, patch []byte) ([]byte, error) {
	var was, change any
	if len(text) > 0 {
		if err := decodeExactly(text, &was); err != nil {
			return nil, fmt.Errorf("engine: the lead's metadata cannot be read: %w", err)
		}
	}
	if err := decodeExactly(patch, &change); err != nil {
		return nil, fmt.Errorf("engine: read what was just written: %w", err)
	}
	merged, _ := mergePatch(was, change).(map[string]any)
	out, err := encodeMetadata(merged)
	if err != nil {
		return nil, &lead.InvalidError{Faults: []lead.FieldError{
			{Location: "metadata", Message: "merged into the lead's present metadata, it " + err.Error()},
		}}
	}
	return out, nil
}

// decodeExactly reads JSON and keeps the digits of its numbers.
func decodeExactly(text []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(to)
}

// mergePatch is MergePatch of RFC 7396, section 2. It changes target.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := target.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = mergePatch(out[name], value)
		}
	}
	return out
}
