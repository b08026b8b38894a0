package expression

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
	"time"
)

func TestPatternsAreMeasured(t *testing.T) {
	for _, tt := range []struct{ pattern, refused string }{
		{`^\+49[0-9]{6,12}$`, ""},
		{`(?i)^(stop|unsubscribe|cancel)\b`, ""},
		{`^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,63}$`, ""},
		{`(?i)^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,63}$`, ""},
		{`^[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}$`, ""},
		{`\p{L}+ \p{Lu}`, ""},
		{`(?i)[ä-ü]`, ""},
		{`[一-龥]+`, ""},
		{`(?i)straße-[0-9]`, ""},
		{`[^\x00-\x{10FFFF}]`, ""},

		{`(a?){1000}`, "the pattern is too large"},
		{`((a{9}){9}){9}`, "the pattern is too large"},
		{`(?:\pL){900}`, "the pattern is too large"},
		{strings.Repeat(`\pL`, 11), "the pattern has 11 classes"},
		{strings.Repeat("a", maxPattern+1), "the pattern is 1001 bytes long"},
		{`(?i)[A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(?s-m:(?i:[[:alpha:]A-` + "\U0001e942" + `]))`, "the pattern ignores case in ranges"},
		{`(?mi)[\]A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(?i)[]A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(?i)[^]A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(?i)\Q[\E[A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(?i)\[[A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(?i)[a\]A-\x{1e942}]`, "the pattern ignores case in ranges"},
		{`(`, "error parsing regexp: missing closing )"},
		{`a{1001}`, "error parsing regexp: invalid repeat count"},
	} {
		_, err := checkPattern(tt.pattern)
		if (err == nil) != (tt.refused == "") || err != nil && !strings.HasPrefix(err.Error(), tt.refused) {
			t.Errorf("%.60s: %v, want %q", tt.pattern, err, tt.refused)
		}
	}
}

// The size by which a pattern is charged is never less than that of the program
// that runs, and a pattern that is not refused is compiled and matched in time.
func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{
		`^(a?){230}b`, `(a|b)*c`, `[\pL\pN]+x{2,9}`, `(?i)[k-ſ]+`, `\bfoo\B|^$`, `(?P<n>a+?)*(?:b??){3,}`, `\Q[a-z]\E*`, `[[:^alpha:]\d\x41-\x{42}\101]`, `(x{0,3}y){1,4}|z+?`,
		`.*.*.*.*=`, `(?s).{0,99}$`, `(?U)a+b*`, `(?i)\p{Greek}[A-Ωa-z]`, `[^-a]`, `(((a*)*)*)*`, `(?i)[\]A-\x{1041}]`, `[[:alpha:]-z]`, `(|a|b|)+`,
	} {
		f.Add(pattern, "aaaaaaaaaaaaaaaaaaaaab")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if text != "" {
			text = strings.Repeat(text, 1+20_000/len(text))
		}
		took := time.Hour
		for range 5 {
			start := time.Now()
			size, err := checkPattern(pattern)
			if err == nil {
				p, err := compilePattern(pattern, size)
				if err != nil {
					t.Fatalf("%q: is not refused, but: %v", pattern, err)
				}
				_, _ = Metered(func(m *Meter) bool { return matches(m, text, p) })
				_, _ = Metered(func(m *Meter) bool { return matches(m, text, pattern) })
			}
			if took = min(took, time.Since(start)); raceEnabled || took < 5*time.Millisecond {
				break
			}
		}
		if took > 30*time.Millisecond && !raceEnabled {
			t.Errorf("%q takes %v", pattern, took)
		}
		size, err := checkPattern(pattern)
		if err != nil {
			return
		}
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if len(prog.Inst) > size {
			t.Errorf("%q has %d instructions, more than %d", pattern, len(prog.Inst), size)
		}
		if _, err := regexp.Compile(pattern); err != nil {
			t.Error(err)
		}
	})
}
