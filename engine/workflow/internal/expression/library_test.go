package expression

import (
	"iter"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
)

var testNow = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

func testMetadata() map[string]any {
	return map[string]any{
		"age": "42", "score": 7.5, "n": 3, "flag": true, "nothing": nil, "empty": "", "text": "Grüße", "json": `{"a":[1,2]}`,
		"tags": []any{"vip", "eu"}, "list": []any{3.0, 1.0, 2.0}, "nested": []any{[]any{1.0, 2.0}, []any{3.0}},
		"address": map[string]any{"city": "Berlin", "zip": 10115.0}, "orders": []any{map[string]any{"sku": "a", "n": 2.0}, map[string]any{"sku": "b", "n": 5.0}},
	}
}

type testSteps map[string]Step

func (s testSteps) Step(id string) (Step, bool) { step, ok := s[id]; return step, ok }
func (s testSteps) Len() int                    { return len(s) }
func (s testSteps) IDs() iter.Seq[string]       { return maps.Keys(s) }

func testScope() *Scope {
	return &Scope{
		PhoneNumber: "+14155552671", TimeZone: "Europe/Berlin", Metadata: testMetadata(), Now: testNow,
		Steps: testSteps{"first": {Outcome: "completed", Attempts: 2, Data: map[string]any{"score": 3.0}, EnteredAt: testNow}},
	}
}

func everyNode(string) bool { return true }

// library evaluates an expression as its library does.
func library(source string) (any, error) {
	p, err := expr.Compile(source, expr.Env(types{}), expr.DisableBuiltin("now"))
	if err != nil {
		return nil, err
	}
	s := testScope()
	return expr.Run(p, types{
		Lead: leadType{PhoneNumber: s.PhoneNumber, TimeZone: s.TimeZone}, Metadata: s.Metadata,
		Steps: s.Steps.(testSteps), Now: func() time.Time { return s.Now },
	})
}

// ours evaluates an expression of any type.
func ours(t *testing.T, source string) (any, error) {
	t.Helper()
	p, faults := Compile("let result = ("+source+"); result == nil", Bool, everyNode)
	if faults != nil {
		return nil, &failure{message: faults[0]}
	}
	// The value of the variable, instead of what the comparison makes of it.
	p.wanted = Time
	evaluate := p.evaluate
	p.evaluate = func(f *frame) any {
		evaluate(f)
		return f.variables[p.variables-1]
	}
	return p.Run(testScope())
}

// The evaluation is the package's own, but the language is the library's.
func TestEvaluatesAsTheLibraryDoes(t *testing.T) {
	for _, source := range []string{
		`1 + 2`, `1 + 2.5`, `7 - 9`, `3 * 4`, `3 * 1.5`, `7 / 2`, `7 % 3`, `-7 % 3`, `2 ** 10`, `2 ^ 3`, `-metadata.n`, `+metadata.n`, `-(1.5)`, `1_000 + 0x10`,
		`"a" + "b"`, `metadata.age + "!"`, `metadata.score * 2`, `metadata.n + 1`,
		`1 == 1.0`, `1 != 2`, `"a" == "a"`, `[1, 2] == [1, 2]`, `[1] == [1.0]`, `{"a": 1} == {"a": 1}`, `metadata.tags == ["vip", "eu"]`, `metadata.tags == metadata.tags`,
		`metadata.address == {"city": "Berlin", "zip": 10115.0}`, `metadata.missing == nil`, `nil == nil`, `metadata.flag == true`, `metadata.age == 42`,
		`1 < 2`, `1.5 <= 1`, `"a" < "b"`, `now() > date("2026-01-01")`, `duration("1h") >= duration("60m")`, `1 < 2 < 3`, `3 > 2 > 2`,
		`true and false`, `true or metadata.missing.x`, `false && metadata.missing.x`, `!metadata.flag`, `not (1 == 2)`,
		`metadata.missing ?? 5`, `metadata.age ?? 5`, `metadata.missing?.x ?? "none"`, `metadata.missing?.x.y.z`, `metadata.address?.city`, `metadata.missing?.["a"]`,
		`metadata.flag ? 1 : 2`, `metadata.empty == "" ? "empty" : "full"`, `if metadata.flag { 1 } else { 2 }`, `if false { 1 } else if true { 2 } else { 3 }`, `metadata.flag ?: 2`,
		`let a = 1; let b = a + 1; a * b`, `1; 2`, `metadata.tags[0]`, `metadata.tags[-1]`, `metadata.address["city"]`, `metadata["age"]`, `metadata.tags[metadata.n - 2]`,
		`metadata.tags[0:1]`, `metadata.tags[1:]`, `metadata.tags[:-1]`, `metadata.tags[5:9]`, `metadata.age[0:1]`, `metadata.text[:2]`, `metadata.age[0]`, `[1, 2, 3][1]`, `{"a": {"b": 2}}.a.b`, `{(metadata.age): 1}["42"]`,
		`"vip" in metadata.tags`, `"x" not in metadata.tags`, `"city" in metadata.address`, `3 in 1..5`, `3.0 in 1..5`, `3.5 in 1..5`, `"a" in ["a", "b"]`, `nil in [nil]`, `"x" in metadata.missing`, `2 in [1, 2]`,
		`metadata.text contains "rüß"`, `metadata.text startsWith "G"`, `metadata.text endsWith "e"`, `metadata.text not contains "x"`, `metadata.missing contains "a"`,
		`metadata.age matches "^[0-9]+$"`, `metadata.missing matches "a"`, `metadata.age matches metadata.empty`, `metadata.text not matches "^x"`,
		`1..4`, `4..1`, `len(1..4)`, `sum(1..4)`,
		`all(metadata.tags, # != "x")`, `none(metadata.tags, # == "x")`, `any(metadata.tags, # == "eu")`, `one(metadata.tags, # == "eu")`, `filter(metadata.list, # > 1)`, `count(metadata.list, # > 1)`, `count([true, false, true])`,
		`find(metadata.list, # < 3)`, `find(metadata.list, # > 9)`, `findIndex(metadata.list, # == 2)`, `findIndex(metadata.list, # == 9)`, `findLast(metadata.list, # < 3)`, `findLastIndex(metadata.list, # > 1)`,
		`sum(metadata.list)`, `sum(metadata.orders, .n)`, `sum([])`, `any(metadata.orders, .sku == "b" and .n > 4)`, `any(metadata.nested, any(#, # == 3))`, `all(metadata.nested, let x = #; len(x) > 0)`, `metadata.tags | any(# == "vip")`,
		`filter(metadata.orders, .n > 2)[0].sku`, `all([], false)`, `any(metadata.tags, {# == "eu"; true})`,
		`len("Grüße")`, `len(metadata.tags)`, `len(metadata.address)`, `len(steps)`, `type(1)`, `type(1.5)`, `type("a")`, `type(nil)`, `type([])`, `type({})`, `type(true)`, `type(now())`, `type(duration("1s"))`,
		`abs(-5)`, `abs(-5.5)`, `abs(5)`, `ceil(1.2)`, `floor(1.8)`, `round(1.5)`, `ceil(2)`, `int("42")`, `int(4.9)`, `int(-4.9)`, `int(metadata.n)`, `float("1.5")`, `float(2)`, `float(metadata.age)`,
		`max(1, 2.5, [3, 4])`, `min(metadata.list)`, `max(metadata.nested)`, `mean(metadata.list)`, `mean([])`, `median(metadata.list)`, `median([1, 2, 3, 4])`, `median([])`, `max(1, 2)`, `min(3, 1.5)`,
		`trim("  a ")`, `trim("xxaxx", "x")`, `trimPrefix("abc", "a")`, `trimSuffix("abc", "c")`, `trimPrefix(" a")`, `upper("Grüße")`, `lower("ÄB")`, `split("a,b,c", ",")`, `split("a,b,c", ",", 2)`, `split("abc", "")`, `split("a,b", ",", 0)`, `split("a", "b", -1)`,
		`indexOf("abcb", "b")`, `lastIndexOf("abcb", "b")`, `indexOf("a", "z")`, `hasPrefix("abc", "ab")`, `hasSuffix("abc", "ab")`, `fromBase64("YWI=")`,
		`fromJSON("{\"a\":[1.5,true,null]}").a[0]`, `fromJSON("{\"a\":[1.5,true,null]}").a[2]`, `len(fromJSON(metadata.json).a)`,
		`first(metadata.tags)`, `last(metadata.tags)`, `first([])`, `last(metadata.missing)`, `get(metadata.tags, 1)`, `get(metadata.tags, 9)`, `get(metadata.tags, -1)`, `get(metadata, "age")`, `get(metadata.missing, "x")`, `get(metadata.address, "x")`, `take(metadata.list, 2)`, `take(metadata.list, 9)`,
		`now()`, `now().Year()`, `now().Hour() + now().Minute()`, `now().Weekday().String()`, `now().Month().String()`, `int(now().Weekday())`, `now().YearDay()`, `now().In(timezone("Asia/Tokyo")).Hour()`, `now().In(timezone(lead.time_zone)).Format("Mon 15:04")`,
		`now().Format("2006-01-02")`, `now().Add(duration("1h"))`, `now().AddDate(0, 1, -1)`, `now().Sub(date("2026-05-01"))`, `now().Truncate(duration("24h"))`, `now().Unix() % 7`, `now().Before(date("2027-01-01"))`, `now().Equal(now())`, `now().IsZero()`, `now().Location().String()`, `now().String()`, `now().In(timezone("Europe/Berlin")).IsDST()`,
		`now() + duration("1h")`, `duration("1h") + now()`, `now() - duration("1h")`, `now() - date("2026-05-01")`, `duration("1h") + duration("1m")`, `duration("1h") * 2`, `2 * duration("1h")`, `duration("90m").Hours()`, `duration("90m").String()`, `duration("90m").Minutes()`,
		`date("2026-05-01T09:00:00+02:00")`, `date("2026-05-01 09:00", "2006-01-02 15:04", "Europe/Berlin")`, `date("01/05/26", "02/01/06")`, `date(timezone("Asia/Tokyo"), "2026-05-01")`, `date("15:04:05")`,
		`lead.phone_number`, `lead["time_zone"]`, `lead.external_id`, `metadata.nothing`, `steps.first.outcome`, `steps.first.attempts + 1`, `steps.first.data.score`, `steps.later.outcome`, `steps.later.data.score`, `steps["first"].entered_at.Year()`, `steps.later.data`,
		`get(steps, "first").outcome`, `any(values(steps), .outcome == "completed")`, `keys(steps)`, `"first" in steps`, `"later" in steps`, `steps[metadata.age].outcome`, `let s = steps; s.first.outcome`, `let f = steps.first; f.attempts`, `(metadata.missing ?? now()).Hour()`,
		`metadata.missing.x`, `metadata.age.x`, `metadata.tags[7]`, `metadata.tags["a"]`, `metadata.missing > 1`, `metadata.age > 1`, `"a" - "b"`, `metadata.age - 1`, `not metadata.missing`, `not metadata.age`, `int("x")`, `float("x")`, `date("x")`, `duration("x")`, `timezone("x/y")`, `fromJSON("x")`, `fromBase64("x")`,
		`count(metadata.tags)`, `5 % 0`, `metadata.tags + 1`, `take(metadata.list, -1)`, `keys(metadata.tags)`, `len(1.5)`, `metadata.age matches "("`, `metadata.n.Hour()`, `upper(metadata.n)`, `unknown`, `lead.unknown`, `steps.first.unknown`, `now().unknown()`, `1 + "a"`, `true + 1`, `metadata.f()`,
	} {
		want, wantErr := library(source)
		got, err := ours(t, source)
		if (err != nil) != (wantErr != nil) {
			t.Errorf("%s: %v, %v; the library says %v, %v", source, got, err, want, wantErr)
			continue
		}
		if m := (&Meter{MaxSteps, MaxBytes}); err == nil && !equal(m, m.value(got), m.value(plain(want))) {
			t.Errorf("%s: %v (%T); the library says %v (%T)", source, got, got, want, want)
		}
	}
}

// plain makes []any of the lists of other types that the library makes.
func plain(v any) any {
	if s, ok := v.(Step); ok {
		return &s
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		return v
	}
	out := make([]any, list.Len())
	for i := range out {
		out[i] = plain(list.Index(i).Interface())
	}
	return out
}

// Where it differs from the library, it does so on purpose.
func TestDiffersFromTheLibrary(t *testing.T) {
	for _, tt := range []struct {
		source string
		want   any    // of ours
		err    string // or how ours begins
	}{
		{`9223372036854775807 + 1`, nil, "9223372036854775807 + 1 does not fit into 64 bits"}, // not -9223372036854775808
		{`-9223372036854775807 - 2`, nil, "-9223372036854775807 - 2 does not fit"},
		{`4611686018427387904 * 2`, nil, "4611686018427387904 * 2 does not fit"},
		{`duration("2000000h") * 2`, nil, "2000000h0m0s * 2 is too long for a duration"},
		{`int(1e30)`, nil, "int(): 1000000000000000000000000000000 does not fit"}, // not -9223372036854775808
		{`9007199254740993 == 9007199254740992.0`, true, ""},                      // a float64 has no more digits
		{`duration("1h") * 1.5 > duration("1h")`, true, ""},                       // a duration, not a number
		{`metadata.score / 0`, nil, "cannot divide 7.5 by 0"},                     // not an infinite number
		{`2 ** 9 ** 9`, nil, "the result of 2 ** 3.87420489e+08 is out of range"},
		{`(-8) ** 0.5`, nil, "the result of -8 ** 0.5 is out of range"},
		{`metadata.age and true`, nil, "each side of and must be a boolean, not a string"}, // not "42"
		{`any(metadata.age, true)`, nil, "any() takes an array, not a string"},             // no walk over bytes
		{`int(" 42 ")`, 42, ""},
		{`int("42.0")`, 42, ""},
		{`float("inf")`, nil, `float() cannot convert "inf" to a number`},
		{`"phone_number" in lead`, true, ""},
		{`string(nil)`, "", ""},
		{`string(now())`, "2026-05-01T09:00:00Z", ""},
		{`string([1])`, nil, "string() takes"},
		{`timezone("Local")`, nil, `timezone(): "Local" depends on the machine`},
		{`now().Local()`, nil, "a time has no method Local here; must be one of Add, AddDate, After,"},
		{`(metadata.missing ?? now()).Local()`, nil, "a time has no method Local here"},
		{`now().In(nil)`, nil, "In takes a time zone, not nil"},
		{`date("2026-01-01", nil)`, nil, "date() takes a string, not nil"},
		{`keys({"b": 1, "a": 2})[0]`, "a", ""}, // in order
		{`values({"b": 1, "a": 2})[0]`, 2, ""},
		{`type(steps.first)`, "map", ""},
		{`b"x" == b"x"`, nil, `bytes such as b"x" are not available here`},
		{`metadata.tags[unknown:]`, nil, "unknown name unknown"}, // the type check does not look there
		{`metadata.f(unknown)`, nil, "unknown name unknown"},
		{`let n = now; 1`, nil, "now is a function; write now()"},
	} {
		got, err := ours(t, tt.source)
		if tt.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%s: %v, %v; want %s", tt.source, got, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.source, got, err, tt.want)
		}
	}
}
