package expression

import (
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "+5": "5", " 42 ": "42", "42.0": "42", "1e3": "1000", "1.5e3": "1500", "15e-1": "1.5", "-1.50": "-1.5", ".5": "0.5", "5.": "5", "007": "7",
		"9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808", "9223372036854775808": "9223372036854775808",
		"-9223372036854775808.0": "-9223372036854775808", "92233720368547758070e-1": "9223372036854775807", "-100000000000000000000000001": "-100000000000000000000000001", "1e22": "10000000000000000000000", "000000000000000000000001": "1",
		"0e99999999999999999999": "0", "0.000": "0", "1" + strings.Repeat("0", 308): "1" + strings.Repeat("0", 308), "1e-300": "0." + strings.Repeat("0", 299) + "1",

		"": "none", " ": "none", "a": "none", "1a": "none", "0x10": "none", "1_000": "none", "inf": "none", "NaN": "none", "--1": "none", "1-": "none", "e": "none", ".": "none", "+": "none", "1e": "none", "1.2.3": "none", "+-": "none", strings.Repeat("x", 500): "none",
		"1e400": "out", "-1e400": "out", "1e-400": "out", "1e99999999999999999999": "out", "1e-99999999999999999999": "out", "1" + strings.Repeat("0", 310): "out", strings.Repeat("1", 500): "out", "0." + strings.Repeat("0", 398) + "1": "out",
	} {
		n, reading := ParseNumber(text)
		got := n.String()
		switch reading {
		case NotANumber:
			got = "none"
		case OutOfRange:
			got = "out"
		}
		if got != want {
			t.Errorf("%.40q: %.60s, want %.60s", text, got, want)
		}
	}
	ascending := []string{
		"-1e300", "-100000000000000000001", "-100000000000000000000", "-9223372036854775809", "-9223372036854775808", "-2", "-1.5", "0", "0.5", "1", "9007199254740992", "9007199254740993", "9223372036854775807",
		"9223372036854775808", "9223372036854775809", "100000000000000000000", "100000000000000000001", "1e300",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			x, _ := ParseNumber(a)
			y, _ := ParseNumber(b)
			want := 0
			if i != j {
				want = map[bool]int{true: -1, false: 1}[i < j]
			}
			if got := x.Compare(y); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
		}
	}
}
