package expression

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Number is a number of JSON, of CSV or of Go. A whole one keeps all its digits.
type Number struct {
	whole    bool
	integer  int64   // of a whole number without digits
	digits   string  // of a whole number that does not fit into integer, without sign
	negative bool    // the sign of digits
	float    float64 // the number, rounded
}

// Reading says what became of an attempt to read a number.
type Reading int

// The readings.
const (
	NotANumber Reading = iota
	IsNumber           // read
	Unreadable         // a number, but too large, too small or too long to reckon with
)

// maxNumber is how long the text of a number may be. The longest one that a
// float64 rounds to has 309 digits before the point.
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
			reading = Unreadable
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

// fraction returns a float64 as a number. From 2^53 on a float64 does not have
// the digits of a whole number, so that it does not count as one.
func fraction(v float64) (Number, Reading) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return Number{}, Unreadable
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return Integer(int64(v)), IsNumber
	}
	return Number{float: v}, IsNumber
}

// ParseNumber reads a decimal number as JSON and CSV have it: 42, -1.50, 1e3.
// Space around it is ignored. Whole numbers keep their digits however they are
// written: 1e3 and 1000.0 are 1000.
func ParseNumber(text string) (Number, Reading) {
	if len(text) > maxNumber {
		if strings.Trim(text[:maxNumber], numberCharacters) == "" {
			return Number{}, Unreadable
		}
		return Number{}, NotANumber
	}
	text = strings.TrimSpace(text)
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Integer(i), IsNumber
	}
	// ParseFloat also takes hexadecimal numbers, "inf" and "nan".
	if text == "" || strings.Trim(text, numberCharacters) != "" {
		return Number{}, NotANumber
	}
	float, err := strconv.ParseFloat(text, 64)
	if err != nil {
		if math.IsInf(float, 0) {
			return Number{}, Unreadable
		}
		return Number{}, NotANumber
	}
	digits, exponent := decimal(text)
	switch {
	case digits == "":
		return Integer(0), IsNumber
	case float == 0:
		return Number{}, Unreadable // rounded to nothing
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

// decimal returns the digits of the text of a number, from the first to the last
// that is not 0, and the power of ten by which they are to be multiplied. The
// text is one that ParseFloat takes and that is not infinite.
func decimal(text string) (digits string, exponent int) {
	text = strings.TrimLeft(text, "+-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil {
			exponent = math.MinInt32 // the number is not infinite, so that it is next to 0
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

// Compare returns -1, 0 or 1. Whole numbers are compared digit by digit, others
// as float64.
func (n Number) Compare(to Number) int {
	switch {
	case !n.whole || !to.whole:
		return cmp.Compare(n.float, to.float)
	case n.digits == "" && to.digits == "":
		return cmp.Compare(n.integer, to.integer)
	}
	// The one with digits is further from 0 than any that has none.
	a, b := n.size(), to.size()
	switch {
	case a != b || a == 0:
		return cmp.Compare(a, b)
	case a < 0:
		return strings.Compare(to.digits, n.digits)
	}
	return strings.Compare(n.digits, to.digits)
}

// size is the number of digits, with the sign of the number; 0 without digits.
func (n Number) size() int {
	if n.negative {
		return -len(n.digits)
	}
	return len(n.digits)
}

// Int returns the number as an int64 if it is whole and fits.
func (n Number) Int() (int64, bool) { return n.integer, n.whole && n.digits == "" }

// Float returns the number, rounded to the next float64.
func (n Number) Float() float64 { return n.float }

// String returns the number in decimal, a whole one with all its digits.
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
