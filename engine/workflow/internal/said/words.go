package said

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the longest text that is looked at, in bytes: nobody says when in more.
const maxText = 200

type kind uint8

const (
	word    kind = iota
	number       // n
	ordinal      // n
	decimal      // tenths of n, as in 1.5
	clock        // n hours and m minutes
	date         // day n, month m, year
	dash
)

// token is a word or a number of a text. Words are in lower case.
type token struct {
	kind    kind
	text    string
	n, m    int
	year    int  // of a date; 0 if it has none
	spelled bool // a number that was written as a word
	zero    bool // a clock time with a zero in front, which is one of 24 hours
}

var (
	halfDays  = regexp.MustCompile(`\b([ap])\.? ?m\b\.?`)
	isoTime   = regexp.MustCompile(`(\d)t(\d)`)
	dateToken = regexp.MustCompile(`^(\d{1,4})([/.-])(\d{1,2})([/.-])(\d{4}|\d{1,2})\b`)
	dayMonth  = regexp.MustCompile(`^(\d{1,2})/(\d{1,2})\b`)
	clockTime = regexp.MustCompile(`^(\d{1,2})[:.](\d{2})(?::\d{2})?\b`)
	tenths    = regexp.MustCompile(`^(\d{1,3})[.,](\d)\b`)
	nth       = regexp.MustCompile(`^(\d{1,2})(?:st|nd|rd|th)\b`)
	digits    = regexp.MustCompile(`^\d+`)
	// clean replaces what people and phones write for the same thing.
	clean = strings.NewReplacer("’", "'", "‘", "'", "–", "-", "—", "-", "\u00a0", " ", "\u202f", " ", "@", " at ", "&", " and ", "~", " about ")
)

// tokens splits a text. It reports false for a text that has anything but words,
// numbers and punctuation.
func tokens(text string) ([]token, bool) {
	if len(text) > maxText || !utf8.ValidString(text) {
		return nil, false
	}
	text = strings.ReplaceAll(clean.Replace(strings.ToLower(text)), "'", "")
	text = strings.ReplaceAll(" "+text, " i am ", " im ")
	text = isoTime.ReplaceAllString(text, "$1 $2")
	text = halfDays.ReplaceAllString(text, " ${1}m ")
	var out []token
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r >= '0' && r <= '9':
			t, rest, ok := numeral(text)
			if !ok {
				return nil, false
			}
			out, text = append(out, t), rest
			continue
		case unicode.IsLetter(r):
			end := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
			if end < 0 {
				end = len(text)
			}
			out, text = spell(out, text[:end]), text[end:]
			continue
		case r == '-':
			out = append(out, token{kind: dash})
		case unicode.IsSpace(r), strings.ContainsRune(`.,;:!?()"…`, r):
		default:
			return nil, false
		}
		text = text[size:]
	}
	return out, true
}

// numeral reads the token that begins with a digit.
func numeral(text string) (t token, rest string, ok bool) {
	atoi := func(s string) int { n, _ := strconv.Atoi(s); return n }
	if m := dateToken.FindStringSubmatch(text); m != nil && m[2] == m[4] {
		t, ok = calendar(m[1], m[3], m[5])
		return t, text[len(m[0]):], ok
	}
	if m := dayMonth.FindStringSubmatch(text); m != nil {
		t, ok = calendar(m[1], m[2], "")
		return t, text[len(m[0]):], ok
	}
	if m := clockTime.FindStringSubmatch(text); m != nil {
		t = token{kind: clock, n: atoi(m[1]), m: atoi(m[2]), zero: m[1][0] == '0'}
		return t, text[len(m[0]):], t.n < 24 && t.m < 60 || t.n == 24 && t.m == 0
	}
	if m := tenths.FindStringSubmatch(text); m != nil {
		return token{kind: decimal, n: 10*atoi(m[1]) + atoi(m[2])}, text[len(m[0]):], true
	}
	if m := nth.FindStringSubmatch(text); m != nil {
		return token{kind: ordinal, n: atoi(m[1])}, text[len(m[0]):], true
	}
	found := digits.FindString(text)
	return token{kind: number, n: atoi(found)}, text[len(found):], len(found) <= 4
}

// calendar reads a date in digits: day first, unless only month first is possible or the
// year comes first.
func calendar(a, b, c string) (token, bool) {
	n := [3]int{}
	for i, s := range [...]string{a, b, c} {
		n[i], _ = strconv.Atoi(s)
	}
	t := token{kind: date, n: n[0], m: n[1], year: n[2]}
	switch {
	case len(a) == 4 && len(c) <= 2:
		t = token{kind: date, n: n[2], m: n[1], year: n[0]}
	case len(a) > 2:
		return t, false
	case t.m > 12:
		t.n, t.m = t.m, t.n
	}
	if c != "" && t.year < 100 {
		t.year += 2000
	}
	return t, t.n >= 1 && t.n <= 31 && t.m >= 1 && t.m <= 12
}

var cardinals, ordinals = map[string]int{}, map[string]int{}

func init() {
	for i, w := range strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen") {
		cardinals[w] = i
	}
	for i, w := range strings.Fields("twenty thirty forty fifty") {
		cardinals[w] = 20 + 10*i
	}
	for i, w := range strings.Fields("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth") {
		ordinals[w] = 1 + i
	}
	ordinals["thirtieth"] = 30
}

// spell appends a word, which may be a number, or go on with one: "twenty five".
func spell(out []token, text string) []token {
	var last *token
	if len(out) > 0 {
		last = &out[len(out)-1]
		if last.kind == dash && len(out) > 1 { // twenty-five
			last = &out[len(out)-2]
		}
	}
	tens := last != nil && last.kind == number && last.spelled && last.n >= 20 && last.n%10 == 0
	n, isCardinal := cardinals[text]
	nth, isOrdinal := ordinals[text]
	switch {
	case isCardinal && tens && n >= 1 && n <= 9:
		last.n += n
	case isOrdinal && tens && nth <= 9:
		last.kind, last.n = ordinal, last.n+nth
	case isCardinal:
		return append(out, token{kind: number, n: n, spelled: true, text: text})
	case isOrdinal:
		return append(out, token{kind: ordinal, n: nth, spelled: true, text: text})
	default:
		return append(out, token{text: text})
	}
	if out[len(out)-1].kind == dash {
		out = out[:len(out)-1]
	}
	return out
}

// set makes a set of words.
func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// named maps words to the place of their group in the list; a group is separated by spaces.
func named(groups ...string) map[string]int {
	out := map[string]int{}
	for i, g := range groups {
		for _, w := range strings.Fields(g) {
			out[w] = i
		}
	}
	return out
}

var (
	weekdays = named("sunday sundays sun", "monday mondays mon", "tuesday tuesdays tues tue", "wednesday wednesdays wed weds wensday wednsday",
		"thursday thursdays thurs thur thu thrusday", "friday fridays fri", "saturday saturdays sat")
	months = named("", "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
		"september sept sep", "october oct", "november nov", "december dec")
	tomorrows = set("tomorrow tomorrows tommorow tommorrow tomorow tmrw tmr tmw 2morrow")
	// units in minutes, or in days; a month is a unit of its own.
	minuteUnits = map[string]int{"minute": 1, "minutes": 1, "min": 1, "mins": 1, "m": 1, "hour": 60, "hours": 60, "hr": 60, "hrs": 60, "h": 60}
	dayUnits    = map[string]int{"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "fortnights": 14}
	monthUnits  = set("month months")

	// connectors stand between two times or days of which the first counts.
	connectors = set("or and to through thru until till")
	// fillers say nothing about when.
	fillers = set(`a about again an any anytime approx approximately around at available back be best better busy but call calls calling can contact could do
		exactly fine for free from get give good great hello here hey hi home how i id if ill im in is ish it its just kindly later let lets like local make
		maybe me meeting much my off ok okay on onwards or perhaps phone please pls possible possibly prefer preferably probably reach ring roughly say sharp
		should so some sometime speak sure talk thank thanks that thats the then time there to try uh um until till up want we well when whenever will
		work working works would yeah yep yes you your and are driving been being ideally appointment schedule scheduled of oclock hours hrs day`)
	// asides are fillers of several words.
	asides = [][]string{{"not", "right", "now"}, {"not", "now"}, {"cant", "talk", "right", "now"}, {"cant", "talk", "now"}, {"cant", "speak", "now"}, {"cant", "talk"},
		{"cant", "speak"}, {"busy", "right", "now"}, {"busy", "now"}, {"not", "today"}}
)
