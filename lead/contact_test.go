package lead

import (
	"errors"
	"strings"
	"testing"
)

func TestNormalizePhone(t *testing.T) {
	for _, tt := range []struct{ number, region, want, fails string }{
		{number: "+14155552671", want: "+14155552671"},
		{number: " +1 (415) 555-2671 ", want: "+14155552671"},
		{number: "+49 30 901820", want: "+4930901820"},
		{number: "+442079460000", want: "+442079460000"},
		{number: "(415) 555-2671", region: "US", want: "+14155552671"},
		{number: "030 901820", region: "DE", want: "+4930901820"},
		{number: "(415) 555-2671", fails: "country code"},
		{number: "", fails: "required"},
		{number: "call me", fails: "not a phone number"},
		{number: "+1415555", fails: "wrong length"},
		{number: "+999123456789", fails: "country code"},
		{number: "+14155552671 ext. 5", fails: "extension"},
	} {
		got, err := NormalizePhone(tt.number, tt.region)
		switch {
		case tt.fails == "" && (err != nil || got != tt.want):
			t.Errorf("NormalizePhone(%q, %q) = %q, %v; want %q", tt.number, tt.region, got, err, tt.want)
		case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
			t.Errorf("NormalizePhone(%q, %q) = %q, %v; want an error about %q", tt.number, tt.region, got, err, tt.fails)
		}
	}
}

func TestPhoneDigitsAndBack(t *testing.T) {
	for _, number := range []string{"+14155552671", "+999999999999999", "+10"} {
		if got := PhoneFromDigits(PhoneDigits(number)); got != number {
			t.Errorf("%s came back as %s", number, got)
		}
	}
	for _, text := range []string{"", "+", "14155552671", "+0155", "+1-2", "+1234567890123456", "++1", "+1e5"} {
		if got := PhoneDigits(text); got != 0 {
			t.Errorf("PhoneDigits(%q) = %d", text, got)
		}
	}
}

func TestNormalizeNamesEveryFault(t *testing.T) {
	_, err := Contact{
		PhoneNumber: "nobody", ExternalID: strings.Repeat("x", 300), TimeZone: "Mars/Olympus",
	}.Normalize("")
	var invalid *InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, ErrInvalid) || len(invalid.Faults) != 3 {
		t.Fatalf("Normalize = %v", err)
	}
	for i, location := range []string{"phone_number", "external_id", "time_zone"} {
		if invalid.Faults[i].Location != location {
			t.Errorf("fault %d is at %s, want %s", i, invalid.Faults[i].Location, location)
		}
	}
	if _, err := (Contact{PhoneNumber: "+14155552671", TimeZone: "Local"}).Normalize(""); err == nil {
		t.Error(`the time zone "Local" is accepted`)
	}
}
