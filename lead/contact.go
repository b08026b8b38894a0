package lead

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Contact is the person behind a lead.
type Contact struct {
	// PhoneNumber is in E.164 form, such as "+14155552671", once normalised.
	PhoneNumber string `json:"phone_number"`
	// ExternalID is the caller's own name for the person; optional, not unique.
	ExternalID string `json:"external_id,omitempty"`
	// TimeZone is an IANA name, such as "Europe/Berlin"; optional.
	TimeZone string `json:"time_zone,omitempty"`
	// Metadata is what the workflow's expressions and handlers may read: any
	// values that encoding/json can write. Numbers come back as float64, but an
	// integer beyond 2^53 as a json.Number, with all its digits.
	Metadata map[string]any `json:"metadata,omitempty"`
}

// MaxExternalID bounds an external id, in bytes.
const MaxExternalID = 256

// Normalize returns the contact with its phone number in E.164 form, or an
// [InvalidError] that names every fault. A number without a leading + is read
// as a national number of the region; see [NormalizePhone].
func (c Contact) Normalize(region string) (Contact, error) {
	var faults []FieldError
	fault := func(location string, err error) {
		faults = append(faults, FieldError{Location: location, Message: err.Error()})
	}
	phone, err := NormalizePhone(c.PhoneNumber, region)
	if err != nil {
		fault("phone_number", err)
	}
	c.PhoneNumber = phone
	if len(c.ExternalID) > MaxExternalID || !utf8.ValidString(c.ExternalID) {
		fault("external_id", fmt.Errorf("must be UTF-8 of at most %d bytes", MaxExternalID))
	}
	if c.TimeZone != "" {
		// "Local" would mean another place on every machine.
		if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
			fault("time_zone", fmt.Errorf("%q is not an IANA time zone such as \"Europe/Berlin\"", c.TimeZone))
		}
	}
	if faults != nil {
		return c, &InvalidError{Subject: "contact", Faults: faults}
	}
	return c, nil
}
