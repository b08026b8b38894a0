package lead

import (
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

func TestNormalizePhoneReadsWhatPeopleWrite(t *testing.T) {
	for _, tt := range []struct{ number, region, want string }{
		{"+14155552671", "", "+14155552671"},
		{" +1 (415) 555-2671 ", "", "+14155552671"},
		{"+1.415.555.2671", "", "+14155552671"},
		{"+49 30 901820", "", "+4930901820"},
		{"+442079460000", "", "+442079460000"},
		{"+44 (0)20 7946 0000", "", "+442079460000"},
		{"(+49) 171 1234567", "", "+491711234567"},
		{"tel:+1-415-555-2671", "", "+14155552671"},
		{"\u202a+1\u00a0415\u2011555\u20132671\u202c", "", "+14155552671"},
		{"+1 415 555 2671", "DE", "+14155552671"},
		{"＋４９（１７１）１２３４５６７", "", "+491711234567"},
		{"٠١٠٠١٢٣٤٥٦٧", "EG", "+201001234567"},
		{"+39 06 1234567", "", "+39061234567"},
		{"06 1234567", "IT", "+39061234567"},
		{"(415) 555-2671", "US", "+14155552671"},
		{"415.5552671", "US", "+14155552671"},
		{"415.555.2671", "US", "+14155552671"},
		{"1-415-555-2671", "US", "+14155552671"},
		{"030 901820", "DE", "+4930901820"},
		{"0171/1234567", "DE", "+491711234567"},
		{"0171 / 123 45 67", "DE", "+491711234567"},
		{"0049 171 1234567", "DE", "+491711234567"},
		{"171 1234567", "DE", "+491711234567"},
		{"01 23 45 67 89", "FR", "+33123456789"},
		{"01.23.45.67.89", "FR", "+33123456789"},
		{"8 (912) 345-67-89", "RU", "+79123456789"},
		{"011 15-2345-6789", "AR", "+5491123456789"},
	} {
		if got, err := NormalizePhone(tt.number, tt.region); got != tt.want {
			t.Errorf("NormalizePhone(%q, %q) = %q, %v; want %q", tt.number, tt.region, got, err, tt.want)
		}
	}
}

func TestNormalizePhoneRefusesNumbersOfStrangers(t *testing.T) {
	const us, de = "read as a number of US", "read as a number of DE"
	for _, tt := range []struct{ number, region, says string }{
		{"", "", "required"},
		{" \t", "US", "required"},
		{"call me", "", "not a phone number"},
		{"+", "", "not a phone number"},
		{"()", "US", "not a phone number"},
		{"(415) 555-2671", "", "country code"},
		{"+999123456789", "", "country code"},
		{"+0171 1234567", "DE", "country code"},
		{"+0049 171 1234567", "DE", "country code"},
		// What a spreadsheet makes of a column of numbers.
		{"+4915155501234.0", "", "decimal"},
		{"1711234567.0", "DE", "decimal"},
		{"171123456.0", "DE", "decimal"},
		{"171123456.00", "DE", "decimal"},
		{"4915155501234.5", "DE", "decimal"},
		{"4.91515550123E+12", "DE", `'E'`},
		{"1711234567,0", "DE", `','`},
		{"1.711.234.567,00", "DE", `','`},
		// Without an area code, or with a part of one.
		{"+1 555 0167", "", "area code"},
		{"+1 555-2671", "", "area code"},
		{"555-2680", "US", us},
		{"555-2680", "US", "area code"},
		{"+1415555", "", "wrong length"},
		{"+49 12", "", "wrong length"},
		{"+1 415 555 26711", "", "wrong length"},
		{"+810001000000000000", "", "wrong length"},
		{"000 0000", "AE", "read as a number of AE"},
		{"415 555 2671 415 555 2672", "US", us},
		// Emergency numbers, and service numbers with a few digits.
		{"112", "DE", de},
		{"110", "DE", de},
		{"911", "US", us},
		{"999", "GB", "read as a number of GB"},
		{"+49110", "", "wrong length"},
		{"+1911", "", "wrong length"},
		// What is not a part of a number.
		{"+14155552671 ext. 5", "", "extension"},
		{"+14155552671x5", "", "extension"},
		{"+14155552671;ext=5", "", "extension"},
		{"0171 1234567/8", "DE", "slash"},
		{"0171 1234567 / 72", "DE", "slash"},
		{"030/1234567/8", "DE", "slashes"},
		{"+49 171 1234567 +49 172 1234567", "", "one number"},
		{"++49 171 1234567", "", "one number"},
		{"0171 1234567; 0172 1234567", "DE", `';'`},
		{"+1 4I5 555 2671", "", `'I'`},
		{"1-800-FLOWERS", "US", `'F'`},
		{"*31#01711234567", "DE", `'*'`},
		{"-", "DE", "not a phone number"},
		{"+1415555267१", "", `'१'`},
		{"+1415555\x00671", "", `'\x00'`},
		{"+1415555\xff671", "", "not UTF-8"},
		{"'+14155552671", "", `'\''`},
		{strings.Repeat("1", 10_000), "US", "wrong length"},
		{strings.Repeat("x", 10_000), "US", "not a phone number"},
		{"0171 1234567", "UK", "region"},
	} {
		got, err := NormalizePhone(tt.number, tt.region)
		if err == nil || !strings.Contains(err.Error(), tt.says) || got != "" || len(err.Error()) > 2000 {
			t.Errorf("NormalizePhone(%.50q, %q) = %q, %.300v; want an error about %s", tt.number, tt.region, got, err, tt.says)
		}
	}
}

// numberTypes are the kinds of numbers of which the library has examples.
var numberTypes = []phonenumbers.PhoneNumberType{
	phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE,
	phonenumbers.SHARED_COST, phonenumbers.VOIP, phonenumbers.PERSONAL_NUMBER, phonenumbers.UAN,
}

// Every number of every country is read as it is written there, and abroad.
func TestNormalizePhoneReadsTheExamplesOfEveryRegion(t *testing.T) {
	n := 0
	for _, region := range regions() {
		for _, kind := range numberTypes {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			n++
			want := phonenumbers.Format(example, phonenumbers.E164)
			if want == "+13101234" {
				continue // seven digits, which without their area code are elsewhere somebody's
			}
			for _, format := range []phonenumbers.PhoneNumberFormat{
				phonenumbers.E164, phonenumbers.INTERNATIONAL, phonenumbers.NATIONAL, phonenumbers.RFC3966,
			} {
				written := phonenumbers.Format(example, format)
				if region == "AR" && written == "09 15-2345-6789" {
					continue // not what people there write, see above
				}
				if got, err := NormalizePhone(written, region); got != want {
					t.Errorf("%s in %s (type %d) is %q, %v; want %s", written, region, kind, got, err, want)
				}
			}
		}
	}
	t.Logf("%d numbers", n)
	if n < 1000 {
		t.Errorf("only %d examples", n)
	}
}

// The numbers that people know for help are nobody's own number.
func TestNormalizePhoneRefusesEmergencyNumbersEverywhere(t *testing.T) {
	for _, region := range regions() {
		for _, number := range []string{"112", "911", "999", "110", "119", "000", "100", "101", "102", "103", "108", "117", "118", "122", "190", "1"} {
			if got, err := NormalizePhone(number, region); err == nil {
				t.Errorf("%s in %s is %s", number, region, got)
			}
		}
	}
}

func FuzzNormalizePhone(f *testing.F) {
	for i, region := range regions() {
		if example := phonenumbers.GetExampleNumber(region); example != nil {
			f.Add(phonenumbers.Format(example, phonenumbers.INTERNATIONAL), i)
			f.Add(phonenumbers.Format(example, phonenumbers.NATIONAL), i)
		}
	}
	for _, number := range []string{"+4915155501234.0", "1711234567.0", "0171 1234567/8", "+1 555 0167", "112", "tel:+1-415-555-2671;ext=3"} {
		f.Add(number, 60)
	}
	f.Fuzz(func(t *testing.T, number string, i int) {
		all := append([]string{""}, regions()...)
		region := all[(i%len(all)+len(all))%len(all)]
		got, err := NormalizePhone(number, region)
		if err != nil {
			if got != "" || err.Error() == "" || len(err.Error()) > 2000 {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		digits := PhoneDigits(got)
		if PhoneFromDigits(digits) != got {
			t.Fatalf("NormalizePhone(%q, %q) = %q, which is not an E.164 number", number, region, got)
		}
		// The same number, wherever it is read again.
		for _, elsewhere := range []string{"", region, "US"} {
			if again, err := NormalizePhone(got, elsewhere); again != got {
				t.Fatalf("%q in %q is %q, and that in %q %q, %v", number, region, got, elsewhere, again, err)
			}
		}
		// It ends as what was written ends: nothing was cut off or added.
		var written []byte
		for _, r := range number {
			if digit, ok := digitOf(r); ok {
				written = append(written, digit)
			}
		}
		last := got[len(got)-4:]
		if !strings.HasSuffix(string(written), last) {
			t.Fatalf("NormalizePhone(%q, %q) = %q", number, region, got)
		}
	})
}
