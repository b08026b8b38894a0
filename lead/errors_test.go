package lead

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

func TestPromise11RefusalsAreToldApart(t *testing.T) {
	classes := []error{ErrNotFound, ErrConflict, ErrInvalid}
	for _, tt := range []struct {
		err  error
		want error
	}{
		{&NotFoundError{Kind: "lead", Name: "wlead_x"}, ErrNotFound},
		{&ConflictError{Reason: ErrLeadFinal}, ErrConflict},
		{&ConflictError{Reason: ErrContactLive}, ErrConflict},
		{&InvalidError{Subject: "contact"}, ErrInvalid},
	} {
		for _, class := range classes {
			if got := errors.Is(fmt.Errorf("wrapped: %w", tt.err), class); got != (class == tt.want) {
				t.Errorf("%v matches %q: %t", tt.err, class, got)
			}
		}
	}
	if err := error(&ConflictError{Reason: ErrLeadFinal}); !errors.Is(err, ErrLeadFinal) || errors.Is(err, ErrContactLive) {
		t.Errorf("%v does not match its reason alone", err)
	}
}

func TestErrorsSayWhichAndWhy(t *testing.T) {
	wf, id := WorkflowID{15: 1}, ID{15: 2}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&NotFoundError{Kind: "lead", Name: id.String(), In: wf.String()},
			"lead: no lead wlead_00000000000000000000000002 in workflow wfl_00000000000000000000000001"},
		{&NotFoundError{Kind: "workflow", Name: wf.String()}, "lead: no workflow wfl_00000000000000000000000001"},
		{&ConflictError{Reason: ErrLeadFinal, Workflow: wf, Lead: id, State: "removed"},
			"lead: lead is final (workflow wfl_00000000000000000000000001, lead wlead_00000000000000000000000002, now removed)"},
		{&ConflictError{Reason: ErrWorkflowStatus}, "lead: not possible in the workflow's status"},
		{&InvalidError{Subject: "contact", Faults: []FieldError{{"phone_number", "is required"}}},
			"lead: invalid contact: phone_number: is required"},
		{&InvalidError{Subject: "contact", Faults: []FieldError{{"a", "b"}, {"", "c"}}}, "lead: invalid contact, 2 faults:\n\ta: b\n\tc"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for _, s := range States() {
		if got, err := ParseState(s.String()); err != nil || got != s {
			t.Errorf("state %s came back as %s, %v", s, got, err)
		}
	}
	for s := StepWaiting; s <= StepCancelled; s++ {
		if got, err := ParseStepStatus(s.String()); err != nil || got != s {
			t.Errorf("step status %s came back as %s, %v", s, got, err)
		}
	}
	for s := WorkflowDraft; s <= WorkflowCancelled; s++ {
		var got WorkflowStatus
		if err := got.UnmarshalText([]byte(s.String())); err != nil || got != s {
			t.Errorf("workflow status %s came back as %s, %v", s, got, err)
		}
	}
	if _, err := json.Marshal(State(0)); err == nil {
		t.Error("the zero State can be written")
	}
	if _, err := ParseState(""); err == nil {
		t.Error("the empty state can be read")
	}
	if got := State(99).String(); got != "State(99)" {
		t.Errorf("no state is written %q", got)
	}
}
