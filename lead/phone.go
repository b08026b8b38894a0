package lead

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// NormalizePhone returns the number in E.164 form, such as "+14155552671". A
// number without a leading + is read as a national number of the region, a
// two-letter ISO 3166 code such as "US"; if region is "", such numbers are refused.
// An unknown region is refused as by [CheckRegion].
//
// Dropping part of the input could give the number of somebody else, so only the
// separators that people write in phone numbers are ignored: spaces, hyphens, dots,
// brackets, a slash after the area code. Letters, extensions, spreadsheet formats
// (1711234567.0, 1.71E+09), emergency numbers, and numbers without their area code
// are refused.
//
// A number is checked to be possible (its country code exists, and the country has
// numbers of that length), not to be assigned: numbering plans change faster than
// any table of them, and refusing a person who can be reached costs more than a call
// that fails.
//
// The error is an [InvalidError], whose message is meant to stand after the name of the
// field: "phone_number: " + err.Error().
func NormalizePhone(number, region string) (string, error) {
	written, err := readPhone(number)
	if err != nil {
		return "", err
	}
	as := "" // what was assumed
	if written[0] != '+' && region != "" {
		if err := CheckRegion(region); err != nil {
			return "", err
		}
		as = ", read as a number of " + region + ","
	}
	if region == "" {
		region = "ZZ" // the library's word for none
	}
	refuse := func(why string) (string, error) { return "", invalid("%s%s %s", quote(number), as, why) }
	parsed, err := phonenumbers.Parse(written, region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode),
		err == nil && written[0] == '+' && !strings.HasPrefix(written[1:], strconv.Itoa(int(parsed.GetCountryCode()))):
		return refuse("has no known country code; write it as +<country code><number>")
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return refuse("has too many digits for a phone number (wrong length)")
	case err != nil:
		return refuse("is not a phone number")
	case len(written) < 7 && phonenumbers.IsEmergencyNumber(written, region):
		return refuse("is an emergency number")
	}
	switch phonenumbers.IsPossibleNumberWithReason(parsed) {
	case phonenumbers.IS_POSSIBLE:
		e164 := phonenumbers.Format(parsed, phonenumbers.E164)
		if PhoneDigits(e164) == 0 { // in some countries the library takes 17 digits
			return refuse("has more than 15 digits with its country code (wrong length)")
		}
		if e164 != written {
			// Each time the library parses a number such as 000 0000, it removes one more
			// 0 as a trunk prefix.
			again, err := phonenumbers.Parse(e164, region)
			if err != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
				return refuse("is not a phone number")
			}
		}
		return e164, nil
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return refuse("lacks its area code (wrong length)")
	}
	return refuse("is not a possible number in its country (wrong length)")
}

// readPhone returns the digits of a phone number, after a + if it has one.
func readPhone(number string) (string, error) {
	text := strings.TrimSpace(number)
	if text == "" {
		return "", invalid("is required")
	}
	if len(text) >= 4 && strings.EqualFold(text[:4], "tel:") { // RFC 3966
		text = text[4:]
	}
	written := make([]byte, 0, 20)
	dots, digitsBefore, slash := 0, 0, -1 // the digits before the first dot and the slash
	for _, r := range text {
		digit, isDigit := digitOf(r)
		switch {
		case isDigit:
			written = append(written, digit)
		case r == '+' || r == '＋':
			if len(written) > 0 {
				return "", invalid("%s has a + that is not at its beginning; give one number", quote(number))
			}
			written = append(written, '+')
		case r == '.' || r == '．':
			if dots++; dots == 1 {
				digitsBefore = len(written)
			}
		case r == '/' || r == '／':
			if slash >= 0 {
				return "", invalid("%s has two slashes; give one number", quote(number))
			}
			slash = len(written)
		case strings.ContainsRune("-()[]（）［］－ー−", r) || '\u2010' <= r && r <= '\u2015' || unicode.IsSpace(r):
		case r == '\u200b' || r == '\u2060' || r == '\ufeff' || unicode.Is(unicode.Bidi_Control, r):
			// Invisible, and copied along with numbers from web pages and address books.
		default:
			return "", invalid("%s %s", quote(number), whyNot(text, r))
		}
	}
	switch behind := len(written) - slash; {
	case len(strings.Trim(string(written), "+")) == 0:
		return "", invalid("%s is not a phone number", quote(number))
	case dots == 1 && isDecimal(text, digitsBefore):
		return "", invalid("%s is a decimal number, not a phone number; format the spreadsheet's column as text", quote(number))
	case slash > 0 && behind > 0 && behind < 5:
		return "", invalid("%s has an extension or a second number after its slash; give one number", quote(number))
	}
	return string(written), nil
}

// isDecimal reports whether a text with one dot is a number with decimals, and not
// a phone number with an area code before the dot.
func isDecimal(text string, digitsBefore int) bool {
	_, decimals, _ := strings.Cut(strings.ReplaceAll(text, "．", "."), ".")
	return decimals != "" && strings.Trim(decimals, "0123456789") == "" &&
		(digitsBefore >= 7 || strings.Trim(decimals, "0") == "")
}

// digitOf returns the ASCII digit of a digit in one of the scripts in which phone
// numbers are commonly written.
func digitOf(r rune) (byte, bool) {
	for _, zero := range []rune{'0', '０', '٠', '۰'} {
		if zero <= r && r <= zero+9 {
			return byte('0' + r - zero), true
		}
	}
	return 0, false
}

// whyNot says what is wrong with a text that contains r, which no phone number has.
func whyNot(text string, r rune) string {
	parsed, err := phonenumbers.Parse(text, "US")
	switch {
	case r != ',' && err == nil && parsed.GetExtension() != "":
		return "has an extension, which E.164 cannot hold"
	case !strings.ContainsAny(text, "0123456789"):
		return "is not a phone number"
	case r == utf8.RuneError:
		return "is not UTF-8"
	}
	return fmt.Sprintf("has the character %q, which no phone number has", r)
}

// quote returns what was written, for a message.
func quote(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) > most {
		return fmt.Sprintf("%.*q…", most, text)
	}
	return strconv.Quote(text)
}

// PhoneDigits returns the digits of an E.164 number as an integer, the form in
// which stores keep it, or 0 for a string that is not an E.164 number.
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

// PhoneFromDigits is the inverse of [PhoneDigits]; it returns "" unless digits is
// positive.
func PhoneFromDigits(digits int64) string {
	if digits <= 0 {
		return ""
	}
	return "+" + strconv.FormatInt(digits, 10)
}
