package expression

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Number is a number from JSON, CSV or Go. An integer keeps all its digits.
type Number struct {
	whole    bool
	integer  int64   // the value of an integer that fits
	digits   string  // the decimal digits of an integer that does not fit, without sign
	negative bool    // the sign that belongs to digits
	float    float64 // the value, rounded
}

// Reading is the result of reading a number.
type Reading int

// The readings.
const (
	NotANumber Reading = iota
	IsNumber           // read
	OutOfRange         // a number, but too large, too close to 0 or too long
)

// maxNumber is how many characters a number may have. The largest float64 has 309
// digits before the decimal point.
const maxNumber = 400

const numberCharacters = "+-.0123456789eE"

// ReadNumber returns v as a number if it is one: a number type of Go, or a
// [json.Number].
func ReadNumber(v any) (Number, Reading) {
	switch v := v.(type) {
	case int:
		return Integer(int64(v)), IsNumber
	case int8:
		return Integer(int64(v)), IsNumber
	case int16:
		return Integer(int64(v)), IsNumber
	case int32:
		return Integer(int64(v)), IsNumber
	case int64:
		return Integer(v), IsNumber
	case uint:
		return unsigned(uint64(v)), IsNumber
	case uint8:
		return Integer(int64(v)), IsNumber
	case uint16:
		return Integer(int64(v)), IsNumber
	case uint32:
		return Integer(int64(v)), IsNumber
	case uint64:
		return unsigned(v), IsNumber
	case float32:
		return fraction(float64(v))
	case float64:
		return fraction(v)
	case json.Number:
		n, reading := ParseNumber(string(v))
		if reading == NotANumber {
			reading = OutOfRange
		}
		return n, reading
	case Number:
		return v, IsNumber
	}
	return Number{}, NotANumber
}

// Integer returns i as a Number.
func Integer(i int64) Number { return Number{whole: true, integer: i, float: float64(i)} }

func unsigned(v uint64) Number {
	if v > math.MaxInt64 {
		return Number{whole: true, digits: strconv.FormatUint(v, 10), float: float64(v)}
	}
	return Integer(int64(v))
}

// fraction returns a float64 as a Number. From 2^53 on a float64 does not hold all
// the digits of an integer, so it does not count as one.
func fraction(v float64) (Number, Reading) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return Number{}, OutOfRange
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return Integer(int64(v)), IsNumber
	}
	return Number{float: v}, IsNumber
}

// ParseNumber reads a decimal number as written in JSON and CSV: 42, -1.50, 1e3.
// Surrounding space is ignored. Integers keep their digits, however they are
// written: 1e3 and 1000.0 are 1000.
func ParseNumber(text string) (Number, Reading) {
	if len(text) > maxNumber {
		if strings.Trim(text[:maxNumber], numberCharacters) == "" {
			return Number{}, OutOfRange
		}
		return Number{}, NotANumber
	}
	text = strings.TrimSpace(text)
	if shortInteger(text) {
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Number{}, NotANumber
		}
		return Integer(i), IsNumber
	}
	// ParseFloat also takes hexadecimal numbers, "inf" and "nan".
	if text == "" || strings.Trim(text, numberCharacters) != "" {
		return Number{}, NotANumber
	}
	float, err := strconv.ParseFloat(text, 64)
	if err != nil {
		if math.IsInf(float, 0) {
			return Number{}, OutOfRange
		}
		return Number{}, NotANumber
	}
	digits, exponent := decimal(text)
	switch {
	case digits == "":
		return Integer(0), IsNumber
	case float == 0:
		return Number{}, OutOfRange // rounded to 0
	case exponent < 0:
		return Number{float: float}, IsNumber
	}
	digits += strings.Repeat("0", exponent)
	negative := text[0] == '-'
	if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if negative {
			i = -i
		}
		return Integer(i), IsNumber
	}
	if negative && digits == "9223372036854775808" {
		return Integer(math.MinInt64), IsNumber
	}
	return Number{whole: true, digits: digits, negative: negative, float: float}, IsNumber
}

// shortInteger reports whether a text can be an integer that fits into 64 bits
// without any doubt. ParseInt makes an error, which takes memory, of all others.
func shortInteger(text string) bool {
	if len(text) > 18 {
		return false
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && c != '-' && c != '+' {
			return false
		}
	}
	return text != ""
}

// decimal returns the digits of a number, without leading and trailing zeros, and
// the power of ten to multiply them by. The text must be one that ParseFloat
// accepts, and whose value is finite.
func decimal(text string) (digits string, exponent int) {
	text = strings.TrimLeft(text, "+-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil {
			exponent = math.MinInt32 // the value is finite, so it is close to 0
		}
		text = text[:i]
	}
	if whole, part, ok := strings.Cut(text, "."); ok {
		text = whole + part
		exponent -= len(part)
	}
	text = strings.TrimLeft(text, "0")
	digits = strings.TrimRight(text, "0")
	return digits, exponent + len(text) - len(digits)
}

// Compare returns -1, 0 or 1. Two integers are compared exactly, other numbers as
// float64.
func (n Number) Compare(to Number) int {
	switch {
	case !n.whole || !to.whole:
		return cmp.Compare(n.float, to.float)
	case n.digits == "" && to.digits == "":
		return cmp.Compare(n.integer, to.integer)
	}
	// A number with digits is further from 0 than any without.
	a, b := n.size(), to.size()
	switch {
	case a != b || a == 0:
		return cmp.Compare(a, b)
	case a < 0:
		return strings.Compare(to.digits, n.digits)
	}
	return strings.Compare(n.digits, to.digits)
}

// size returns the number of digits, negative for a negative number.
func (n Number) size() int {
	if n.negative {
		return -len(n.digits)
	}
	return len(n.digits)
}

// Int returns the number as an int64, if it is an integer and fits.
func (n Number) Int() (int64, bool) { return n.integer, n.whole && n.digits == "" }

// Float returns the number, rounded to the nearest float64.
func (n Number) Float() float64 { return n.float }

// String returns the number in decimal, an integer with all its digits.
func (n Number) String() string {
	switch {
	case !n.whole:
		return strconv.FormatFloat(n.float, 'f', -1, 64)
	case n.digits == "":
		return strconv.FormatInt(n.integer, 10)
	case n.negative:
		return "-" + n.digits
	}
	return n.digits
}
