package lead

import (
	"errors"
	"strings"
	"testing"
)

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
