package expression

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// The bounds of a pattern. Package regexp takes time in proportion to the size
// of the compiled pattern times the length of the string, and compiles "(a?){1000}"
// into thousands of instructions.
const (
	maxPattern      = 1000 // bytes
	maxInstructions = 1000
	maxProperties   = 10   // classes such as \pL, each of which has hundreds of ranges
	maxFolded       = 5000 // characters in the ranges of a pattern that ignores case
)

// pattern is a compiled pattern.
type pattern struct {
	re   *regexp.Regexp
	size int // at least as many as the compiled pattern has instructions
}

// checkPattern returns the size that a pattern will have when it is compiled, or
// why it is refused. It is fast for any pattern.
func checkPattern(text string) (size int, err error) {
	if len(text) > maxPattern {
		return 0, fmt.Errorf("the pattern is %d bytes long; at most %d are allowed", len(text), maxPattern)
	}
	properties := strings.Count(text, `\p`) + strings.Count(text, `\P`)
	if properties > maxProperties {
		return 0, fmt.Errorf(`the pattern has %d classes such as \pL; at most %d are allowed`, properties, maxProperties)
	}
	folded := 0
	if ignoresCase(text) {
		if folded = foldedCharacters(text); folded > maxFolded {
			return 0, fmt.Errorf("the pattern ignores case in ranges of more than %d characters; at most that many are allowed", maxFolded)
		}
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, errors.New(Shorten(err.Error()))
	}
	// What else takes time to compile is counted as if it were instructions.
	if size = instructions(tree) + 2 + 40*properties + folded/50; size > maxInstructions {
		return 0, fmt.Errorf("the pattern is too large; at most %d parts are allowed, and what is repeated, as in {2,50}, counts as often as it may repeat", maxInstructions)
	}
	return size, nil
}

// instructions returns an upper bound of the number of instructions that a pattern
// compiles to. A class of many ranges counts as several.
func instructions(re *syntax.Regexp) int {
	const enough = maxInstructions + 1 // so that nested repetitions do not overflow
	n := 0
	for _, sub := range re.Sub {
		n = min(n+instructions(sub)+2, enough)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/16
	case syntax.OpRepeat:
		n *= max(re.Min+1, re.Max)
	}
	return min(n+2, enough)
}

// ignoresCase reports whether the pattern may set the flag i somewhere.
func ignoresCase(text string) bool {
	for {
		_, after, ok := strings.Cut(text, "(?")
		if !ok {
			return false
		}
		flags := after[:len(after)-len(strings.TrimLeft(after, "imsU-"))]
		if strings.Contains(flags, "i") {
			return true
		}
		text = after
	}
}

// foldedCharacters returns how many characters are in the ranges of a pattern that
// go beyond ASCII. Package regexp looks up the other cases of each one.
func foldedCharacters(text string) int {
	total := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], `\Q`):
			end := strings.Index(text[i:], `\E`)
			if end < 0 {
				return total
			}
			i += end + 1
		case text[i] == '\\':
			i++
		case text[i] == '[':
			var n int
			n, i = foldedClass(text, i+1)
			total += n
		}
	}
	return total
}

// foldedClass counts the characters of one class, which begins at from, and returns
// where it ends.
func foldedClass(text string, from int) (characters, end int) {
	i := from
	if strings.HasPrefix(text[i:], "^") {
		i++
	}
	previous, dash := rune(0), false
	for first := true; i < len(text) && (text[i] != ']' || first); first = false {
		if name := posixClass(text[i:]); name > 0 {
			i += name
			continue
		}
		r, size := classRune(text[i:])
		switch {
		case dash:
			characters += max(int(r)-int(previous), 0)
			previous, dash = r, false
		case r == '-' && !first:
			dash = true
		default:
			previous = r
		}
		i += size
	}
	if characters <= 2*utf8.RuneSelf {
		characters = 0 // such as [a-zA-Z]
	}
	return characters, i
}

// posixClass returns the length of a class such as [:alpha:] at the start of the
// text, or 0.
func posixClass(text string) int {
	if !strings.HasPrefix(text, "[:") {
		return 0
	}
	if end := strings.Index(text[2:], ":]"); end >= 0 {
		return 2 + end + 2
	}
	return 0
}

// classRune reads one character of a class, escaped or not. For an escape that
// stands for a class it returns any character.
func classRune(text string) (r rune, size int) {
	if text[0] != '\\' || len(text) < 2 {
		return utf8.DecodeRuneInString(text)
	}
	switch c := text[1]; {
	case c == 'x' && strings.HasPrefix(text[2:], "{"):
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return utf8.MaxRune, len(text)
		}
		return hexadecimal(text[3:end]), end + 1
	case c == 'x':
		end := min(4, len(text))
		return hexadecimal(text[2:end]), end
	case '0' <= c && c <= '7':
		return 0o777, 2 // the largest; further digits are read as characters
	}
	r, size = utf8.DecodeRuneInString(text[1:])
	return r, size + 1
}

func hexadecimal(digits string) rune {
	var r rune
	if _, err := fmt.Sscanf(digits, "%x", &r); err != nil || r < 0 || r > utf8.MaxRune {
		return utf8.MaxRune
	}
	return r
}

// compilePattern compiles a pattern that checkPattern has measured.
func compilePattern(text string, size int) (*pattern, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, errors.New(Shorten(err.Error()))
	}
	return &pattern{re, size}, nil
}

// matches implements the operator of that name.
func matches(m *Meter, value, with any) bool {
	m.Step(1)
	if isNil(value) || isNil(with) {
		return false
	}
	text, ok := value.(string)
	p, compiled := with.(*pattern)
	source, dynamic := with.(string)
	if !ok || !compiled && !dynamic {
		mismatch("matches", value, with)
	}
	if dynamic {
		p = m.pattern(source)
	}
	// At worst each instruction is tried at each byte.
	m.Step(20 + p.size*(len(text)+1)/3)
	m.Alloc(200 + 32*p.size)
	return p.re.MatchString(text)
}

// pattern compiles a pattern that is not a literal of the expression.
func (m *Meter) pattern(source string) *pattern {
	m.Step(200 + 50*min(len(source), maxPattern) + 3000*(strings.Count(source[:min(len(source), maxPattern)], `\`)))
	m.Alloc(100*min(len(source), maxPattern) + 4096)
	if ignoresCase(source[:min(len(source), maxPattern)]) {
		m.Step(5000)
	}
	size, err := checkPattern(source)
	if err != nil {
		fail("%s", err)
	}
	m.Step(20 * size)
	m.Alloc(1000 * size)
	p, err := compilePattern(source, size)
	if err != nil {
		fail("%s", err)
	}
	return p
}
