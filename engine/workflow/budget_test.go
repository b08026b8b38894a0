package workflow

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// What no definition and no metadata within the limits may take to compile or to
// evaluate. The flags ask for more, to see how much room there is.
var (
	mostTime  = flag.Duration("budget.time", 10*time.Millisecond, "the most time that compiling or evaluating may take")
	mostBytes = flag.Int("budget.bytes", 16<<20, "the most bytes that compiling or evaluating may allocate")
	worstFile = flag.String("budget.worst", "", "a file to which each new worst case is appended")
)

// maxMetadata is how large metadata and data can be, in bytes of JSON.
const maxMetadata = 1 << 20

// cost is what something took.
type cost struct {
	time  time.Duration
	bytes int
}

func (c cost) String() string { return fmt.Sprintf("%v, %d bytes", c.time, c.bytes) }

var started = time.Now()

// measure returns what f takes, the least of some tries: the collector takes its
// time too, and other programs share the caches.
func measure(f func()) cost {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := cost{time.Hour, 1 << 40}
	for range 8 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := threadTime()
		f()
		took := threadTime() - start
		runtime.ReadMemStats(&after)
		best.time = min(best.time, took)
		best.bytes = min(best.bytes, int(after.TotalAlloc-before.TotalAlloc))
		if raceEnabled || best.time < *mostTime/4 && best.bytes < *mostBytes/4 {
			break
		}
	}
	return best
}

var worst struct {
	sync.Mutex
	cost
}

// checkCost fails the test when f takes more than is allowed.
func checkCost(t *testing.T, what, source string, f func()) (c cost) {
	t.Helper()
	c = measure(f)
	if !raceEnabled && (c.time > *mostTime || c.bytes > *mostBytes) {
		t.Errorf("%s takes %v: %.200q", what, c, source)
	}
	if *worstFile == "" {
		return c
	}
	worst.Lock()
	defer worst.Unlock()
	if c.time <= worst.time && c.bytes <= worst.bytes {
		return c
	}
	worst.time, worst.bytes = max(c.time, worst.time), max(c.bytes, worst.bytes)
	if file, err := os.OpenFile(*worstFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		fmt.Fprintf(file, "%s: %v: %.300q\n", what, c, source)
		file.Close()
	}
	return c
}

// enlarged returns metadata that is as large as allowed: what is in a list or in an
// object is repeated, and so is what is in a string, as far as there is room.
func enlarged(v any, room int) any {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return v
		}
		text, _ := json.Marshal(v)
		times := max(room/len(text), 1)
		out := make([]any, 0, times*len(v))
		for range times {
			out = append(out, v...)
		}
		return out
	case string:
		if v == "" {
			return v
		}
		return strings.Repeat(v, max(room/(len(v)+2), 1))
	case map[string]any:
		if len(v) == 1 {
			out := make(map[string]any)
			for key, value := range v {
				text, _ := json.Marshal(value)
				for i := range max(room/(len(key)+len(text)+10), 1) {
					out[fmt.Sprint(key, i)] = value
				}
			}
			return out
		}
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = enlarged(value, room/len(v))
		}
		return out
	}
	return v
}

// budgetEnv is an environment with metadata and data from JSON; nil if it is none.
func budgetEnv(text string, grow bool) *Env {
	v, err := decodeValue([]byte(text))
	if err != nil || len(text) > maxMetadata {
		return nil
	}
	if grow {
		object, ok := v.(map[string]any)
		if !ok {
			object = map[string]any{"a": v}
		}
		for key, value := range object {
			object[key] = enlarged(value, maxMetadata/max(len(object), 1))
		}
		v = object
	}
	metadata, ok := v.(map[string]any)
	if !ok {
		metadata = map[string]any{"a": v, "b": v, "t": v}
	}
	return &Env{
		Contact: lead.Contact{PhoneNumber: "+14155552671", TimeZone: "Europe/Berlin", Metadata: metadata},
		Steps: map[string]StepResult{
			"first": {Outcome: "completed", Status: "completed", Attempts: 2, Data: metadata, EnteredAt: testNow, ExitedAt: testNow},
		},
		Now: testNow,
	}
}

// checkBudget compiles and evaluates an expression at some price.
func checkBudget(t *testing.T, source string, env *Env) {
	t.Helper()
	known := func(id string) bool { return id == "first" }
	for _, want := range []expression.Wanted{expression.Bool, expression.Time} {
		var p *expression.Program
		checkCost(t, "compiling", source, func() { p, _ = expression.Compile(source, want, known) })
		if p == nil {
			continue
		}
		var err error
		took := checkCost(t, "evaluating", source, func() { _, err = evaluate(p, env) })
		if p.Cheap && !raceEnabled && (took.time > *mostTime/20 || took.bytes > *mostBytes/20) {
			t.Errorf("what counts as cheap takes %v: %.200q", took, source)
		}
		if err != nil && (len(err.Error()) > 600 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("error is no line: %q", err)
		}
	}
}

func nested(open, inside, end string, depth int) string {
	return strings.Repeat(open, depth) + inside + strings.Repeat(end, depth)
}

// expensive are expressions, each with metadata, that took seconds or the memory of
// the machine, or try to.
func expensive() map[string][2]string {
	list := func(element string, n int) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	letters := func(s string, n int) string { return `"` + strings.Repeat(s, n) + `"` }
	a20000 := `{"a":` + list("1", 20000) + `,"b":` + list("2", 20000) + `}`
	long := `{"t":` + letters("a", 8000) + `}`
	full := `{"t":` + letters("a", maxMetadata-100) + `}`
	fullList := `{"a":` + list("1", maxMetadata/4) + `,"b":` + list("1", maxMetadata/4-10) + `}`
	deep := `{"a":` + nested("[", "1", "]", 5000) + `,"b":` + nested("[", "1", "]", 5000) + `}`
	var keys strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&keys, `,"key%d":%d`, i, i)
	}
	object := `{"a":{"k":1` + keys.String() + `}}`
	return map[string][2]string{
		"formats in formats":             {`let d = date("2026-11-11T00:00:00Z"); len(` + nested("d.Format(", `"1"`, ")", 40) + `) > 0`, `{}`},
		"formats in formats, from data":  {`let d = date("2026-11-11T00:00:00Z"); len(` + nested("d.Format(", `metadata.t`, ")", 40) + `) > 0`, long},
		"a pattern of repetitions":       {`metadata.t matches "^` + strings.Repeat("(a?){1000}", 50) + `b"`, long},
		"a pattern at its bound":         {`metadata.t matches "^(a?){230}b"`, long},
		"many patterns":                  {strings.Repeat(`metadata.t matches "(a+)+b" or `, 50) + `false`, long},
		"a pattern of properties":        {`metadata.t matches "` + strings.Repeat(`\\pL`, 200) + `"`, long},
		"a class of properties":          {`metadata.t matches "[` + strings.Repeat(`\\pL`, 200) + `]"`, long},
		"repeated properties":            {`metadata.t matches "(?:\\pL){900}"`, long},
		"ranges without case":            {`metadata.t matches "(?i)[` + strings.Repeat("A-\U0001e942", 200) + `]"`, long},
		"ranges without case, named":     {`metadata.t matches "(?i)[[:alpha:]A-\\x{1e942}]` + strings.Repeat(`|[A-\\x{1e941}]`, 50) + `"`, long},
		"ranges without case, octal":     {`metadata.t matches "(?s-m:(?i:` + strings.Repeat(`[A-\\377]|`, 80) + `))"`, long},
		"patterns from data":             {`any(metadata.a, metadata.t matches #)`, `{"t":"x","a":` + list(`"(x?){900}"`, 80_000) + `}`},
		"long patterns from data":        {`any(metadata.a, metadata.t matches #)`, `{"t":"x","a":` + list(letters("[a-z]", 190), 1000) + `}`},
		"not in":                         {`all(metadata.a, # not in metadata.b)`, a20000},
		"in, at full size":               {`all(metadata.a, # not in metadata.b)`, fullList},
		"lists that are equal":           {`metadata.a == metadata.b or metadata.b == metadata.b or metadata.a == metadata.a`, fullList},
		"deep lists that are equal":      {strings.Repeat("metadata.a == metadata.b and ", 80) + "true", deep},
		"loops in loops":                 {`any(metadata.a, let x = #; any(metadata.b, let y = #; any(metadata.b, # + x == y)))`, a20000},
		"objects that are equal":         {strings.Repeat(`metadata.a == metadata.a and `, 50) + "true", object},
		"keys and values":                {strings.Repeat(`len(keys(metadata.a)) == len(values(metadata.a)) and `, 50) + "true", object},
		"strings that double":            {`let a = metadata.t + metadata.t; let b = a + a; let c = b + b; let d = c + c; let e = d + d; e == ""`, full},
		"strings joined again and again": {strings.Repeat(`len(metadata.t + "x") > 0 and `, 100) + "true", full},
		"pieces":                         {strings.Repeat(`len(split(metadata.t, "")) > 0 and `, 100) + "true", full},
		"pieces of few letters":          {strings.Repeat(`len(split(metadata.t, "")) > 0 and `, 100) + "true", long},
		"JSON":                           {strings.Repeat(`len(fromJSON(metadata.t)) > 0 and `, 90) + "true", `{"t":"` + list("[]", 10_000) + `"}`},
		"deep JSON":                      {`len(fromJSON(metadata.t)) > 0`, `{"t":"` + nested("[", "", "]", 9000) + `"}`},
		"JSON objects":                   {`len(fromJSON(metadata.t)) > 0`, `{"t":"` + list(`{\"\":0}`, 6000) + `"}`},
		"medians":                        {strings.Repeat(`median(metadata.a) == 1 or `, 100) + "false", a20000},
		"medians of reversed data":       {`median(metadata.a, metadata.b, metadata.a) == 7`, a20000},
		"sums":                           {strings.Repeat(`sum(metadata.a) == 1 or `, 100) + "false", a20000},
		"extremes":                       {strings.Repeat(`max(metadata.a) == min(metadata.b) or `, 100) + "false", a20000},
		"filters":                        {strings.Repeat(`len(filter(metadata.a, true)) == 1 or `, 100) + "false", a20000},
		"ranges":                         {strings.Repeat(`len(1..90000) == 1 or `, 100) + "false", `{}`},
		"ranges of extreme length":       {`len(-9223372036854775807..9223372036854775807) == 1`, `{}`},
		"time zones":                     {`any(metadata.a, timezone(#).String() == "x")`, `{"a":` + list(`"Europe/Berlin"`, 60_000) + `}`},
		"time zones that differ":         {`any(metadata.a, date("2026-01-01", "2006-01-02", #).Year() == 1)`, zoneList()},
		"a time zone that is none":       {strings.Repeat(`timezone("Europe/Nowhere").String() == "x" or `, 80) + "false", `{}`},
		"dates":                          {`any(metadata.a, date(#).Year() == 1)`, `{"a":` + list(`"Mon, 02 Jan 2006 15:04:05 MST"`, 30_000) + `}`},
		"a long date":                    {strings.Repeat(`date(metadata.t).Year() == 1 or `, 100) + "false", full},
		"a long layout":                  {`any(1..90000, date("1", metadata.t).Year() == 1)`, full},
		"trimming":                       {`trim(metadata.t, metadata.u) == ""`, `{"t":` + letters("ä", 200_000) + `,"u":` + letters("ö", 200_000) + `}`},
		"letters":                        {strings.Repeat(`upper(metadata.t) == lower(metadata.t) or `, 90) + "false", `{"t":` + letters("ß", 400_000) + `}`},
		"looking for":                    {strings.Repeat(`metadata.t contains metadata.u or lastIndexOf(metadata.t, metadata.u) == 1 or `, 50) + "false", `{"t":` + letters("a", 500_000) + `,"u":` + letters("a", 30_000)[:30_000] + `b"}`},
		"long numbers":                   {`any(metadata.a, # == 1)`, `{"a":` + list(strings.Repeat("1", 300), 3000) + `}`},
		"numbers of a long string":       {`any(metadata.a, int(#) == 1)`, `{"a":` + list(`"`+strings.Repeat("1", 300)+`"`, 3000) + `}`},
		"base 64":                        {strings.Repeat(`fromBase64(metadata.t) == "" or `, 100) + "false", `{"t":` + letters("aaaa", 250_000) + `}`},
		"steps":                          {`all(keys(metadata.a), steps[#].outcome == "")`, object},
		"steps as objects":               {`all(keys(metadata.a), steps[#] != steps.first)`, object},
		"leads as objects":               {`all(metadata.a, lead != {"a": #})`, a20000},
		"lists that are written":         {`all(metadata.a, [#,#,#,#,#,#,#,#,#,#] != [1])`, a20000},
		"lists that share":               {`let a = [metadata.b]; ` + doublings(14) + ` o != [o]`, a20000},
		"comparisons in a chain":         {nested("(1 < ", "metadata.n", " < 3)", 60), `{"n":2}`},
		"conditions in a chain":          {nested("(", "true", " ?: false)", 300), `{}`},
		"brackets":                       {nested("(", "true", ")", 2000), `{}`},
		"brackets, not ended":            {strings.Repeat("(", 2040) + `1)"`, `{}`},
		"not":                            {strings.Repeat("not ", 900) + "true", `{}`},
		"lists in lists":                 {nested("[", "1", "]", 900) + " == nil", `{}`},
		"lists in lists, compared":       {nested("[", "1", "]", 400) + " == " + nested("[", "1", "]", 400), `{}`},
		"braces":                         {strings.Repeat("{", 4000), `{}`},
		"variables":                      {variables(180), `{}`},
		"loops of loops":                 {nested("all([1], ", "true", ")", 300), `{}`},
		"powers":                         {"2" + strings.Repeat("**9", 300) + " > 1", `{}`},
		"additions":                      {"1" + strings.Repeat("+1", 490) + " == 1", `{}`},
	}
}

func doublings(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "let %c = [%c, %c]; ", 'b'+i, 'a'+i, 'a'+i)
	}
	return b.String()
}

func variables(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "let v%d = v%d + 1; ", i+1, i)
	}
	return "let v0 = 1; " + b.String() + "true"
}

func zoneList() string {
	var zones []string
	for _, area := range []string{"Europe/", "America/", "Asia/", "Africa/", ""} {
		for _, city := range strings.Fields("Berlin Paris Rome London New_York Chicago Denver Los_Angeles Tokyo Seoul Singapore Cairo Lagos Nairobi UTC EST CET GMT") {
			if _, err := time.LoadLocation(area + city); err == nil {
				zones = append(zones, area+city)
			}
		}
	}
	text, _ := json.Marshal(map[string]any{"a": zones})
	return string(text)
}

func TestNoExpressionIsExpensive(t *testing.T) {
	for name, tt := range expensive() {
		t.Run(name, func(t *testing.T) {
			env := budgetEnv(tt[1], false)
			if env == nil {
				t.Fatal("metadata is not JSON, or larger than metadata can be")
			}
			checkBudget(t, tt[0], env)
		})
	}
}

// Two evaluations of one expression on equal data end in the same way, although
// a map is in another order each time.
func TestBudgetIsDeterministic(t *testing.T) {
	var exceeded, done int
	for name, tt := range expensive() {
		p, _ := expression.Compile(tt[0], expression.Bool, func(string) bool { return true })
		if p == nil {
			continue
		}
		env := budgetEnv(tt[1], false)
		first, firstErr := evaluate(p, env)
		for range 3 {
			again, err := evaluate(p, env)
			if again != first || fmt.Sprint(err) != fmt.Sprint(firstErr) {
				t.Errorf("%s: %v, %v; and again: %v, %v", name, first, firstErr, again, err)
			}
		}
		if errors.Is(firstErr, ErrBudget) {
			exceeded++
		} else {
			done++
		}
	}
	if exceeded == 0 || done == 0 {
		t.Errorf("%d evaluations took more than the budget, %d did not", exceeded, done)
	}
}

// FuzzExpressionBudget looks for an expression and metadata within the limits
// that take more than is allowed. shape says how what the fuzzer came up with is
// made larger: 1 makes the metadata as large as allowed, 2 evaluates the
// expression again and again, in one expression.
func FuzzExpressionBudget(f *testing.F) {
	for _, tt := range expensive() {
		for shape := range byte(4) {
			if len(tt[1]) < 100_000 {
				f.Add(tt[0], tt[1], shape)
			}
		}
	}
	for _, tt := range expressionCases {
		f.Add(tt.source, `{"age":"42","tags":["vip","eu"],"address":{"city":"Berlin"},"text":"x","born":"1990-02-03","score":7.5}`, byte(3))
	}
	f.Fuzz(func(t *testing.T, source, metadata string, shape byte) {
		if len(metadata) > maxMetadata {
			return
		}
		env := budgetEnv(metadata, shape&1 != 0)
		if env == nil {
			return
		}
		if shape&2 != 0 && source != "" && len(source) < expression.MaxSource/4 {
			times := expression.MaxSource / (len(source) + len("() or ") + 1)
			source = strings.Repeat("("+source+") or ", times-1) + "(" + source + ")"
		}
		checkBudget(t, source, env)
	})
}
