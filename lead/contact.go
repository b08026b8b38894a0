package lead

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
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
	// values that encoding/json can write. Numbers come back as float64; give an
	// integer beyond 2^53 as text.
	Metadata map[string]any `json:"metadata,omitempty"`
}

const maxExternalID = 256

// Normalize returns the contact with its phone number in E.164 form, or an
// [InvalidError] that names every fault. A number without a leading + is read
// as a national one of the region, a two-letter ISO 3166 code such as "US"; ""
// refuses such numbers.
//
// A number is checked to be possible (its country code exists and its length
// is one that the country uses), not to be assigned: numbering plans change
// faster than any table of them, and the cost of refusing somebody who can be
// reached is higher than that of a call that fails.
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
	if len(c.ExternalID) > maxExternalID || !utf8.ValidString(c.ExternalID) {
		fault("external_id", fmt.Errorf("must be UTF-8 of at most %d bytes", maxExternalID))
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

// NormalizePhone returns the number in E.164 form; see [Contact.Normalize].
func NormalizePhone(number, region string) (string, error) {
	number = strings.TrimSpace(number)
	if number == "" {
		return "", errors.New("is required")
	}
	if region == "" {
		region = "ZZ" // the library's word for none
	}
	parsed, err := phonenumbers.Parse(number, region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return "", fmt.Errorf("%q has no known country code; write it as +<country code><number>", number)
	case err != nil:
		return "", fmt.Errorf("%q is not a phone number", number)
	case !phonenumbers.IsPossibleNumber(parsed):
		return "", fmt.Errorf("%q is not a possible number in its country (wrong length)", number)
	case parsed.GetExtension() != "":
		return "", fmt.Errorf("%q has an extension, which E.164 cannot hold", number)
	}
	return phonenumbers.Format(parsed, phonenumbers.E164), nil
}

// PhoneDigits returns the digits of an E.164 number as an integer, the form in
// which stores keep it, or 0 for a text that is not in that form.
func PhoneDigits(e164 string) int64 {
	digits, ok := strings.CutPrefix(e164, "+")
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' || len(digits) > 15 {
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// PhoneFromDigits is the inverse of [PhoneDigits].
func PhoneFromDigits(digits int64) string {
	if digits <= 0 {
		return ""
	}
	return "+" + strconv.FormatInt(digits, 10)
}
