package workflow

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/leadflow-go/leadflow/engine/internal/hours"
	"github.com/leadflow-go/leadflow/lead"
)

// ruled is a workflow with everything that a definition may say of hours, limits,
// signals and shares.
func ruled(t *testing.T) *Definition {
	t.Helper()
	text, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRulesAreReadAndCompiled(t *testing.T) {
	g, err := Compile(ruled(t))
	if err != nil {
		t.Fatal(err)
	}
	at := func(id string) int32 {
		i, ok := g.Index(id)
		if !ok {
			t.Fatalf("no node %s", id)
		}
		return i
	}
	workdays := hours.Window{Days: [7]bool{false, true, true, true, true, true, false}, From: 9 * 60, To: 20*60 + 30}
	night := hours.Window{Days: [7]bool{true, false, false, false, false, false, true}, From: 22 * 60, To: 2 * 60}
	whole := &hours.Hours{
		Windows:  []hours.Window{workdays, night},
		Holidays: []hours.Date{{Year: 2026, Month: 12, Day: 25}, {Year: 2027, Month: 1, Day: 1}}, Spread: 10 * time.Minute,
	}
	us, _ := hours.Preset("us")
	for id, want := range map[string][]*hours.Hours{"call": {whole, &us}, "text": {whole}} {
		if diff := cmp.Diff(want, g.Hours(at(id))); diff != "" {
			t.Errorf("hours of %s (-want +got):\n%s", id, diff)
		}
	}
	if !g.AnyHours() || !g.AnyLimits() || g.TimeZone() != "America/New_York" || g.Priority() != 3 {
		t.Errorf("any hours %t, any limits %t, time zone %q, priority %d", g.AnyHours(), g.AnyLimits(), g.TimeZone(), g.Priority())
	}
	limitsOf := func(id string) string {
		text, err := json.Marshal(g.Limits(at(id)))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	all := `{"in_flight":50},{"rate_key":"line-1","starts":100,"per":"1m"}`
	for id, want := range map[string]string{
		"call": `[` + all + `,{"channel":"voice_call","per_contact":3,"per":"24h"},{"starts":2,"per":"1s"}]`,
		"text": `[` + all + `]`, "rest": `null`,
	} {
		if got := limitsOf(id); got != want {
			t.Errorf("limits of %s: %s, want %s", id, got, want)
		}
	}
	if g.Limits(at("call"))[0] != g.Limits(at("text"))[0] {
		t.Error("a limit of the workflow is another one at each node")
	}
	if outcome, ok := g.Exit("paid"); !ok || outcome != "converted" {
		t.Errorf("exit %q, %t", outcome, ok)
	}
	if outcome, ok := g.Exit("reply"); ok {
		t.Errorf("a signal that is no exit has the outcome %q", outcome)
	}
	if g.Awaits(at("rest")) != "reply" || g.Awaits(at("call")) != "" || !g.AnySignal("reply") || g.AnySignal("paid") || g.AnySignal("") {
		t.Errorf("awaits %q", g.Awaits(at("rest")))
	}
	if got, want := *g.Guard(), (Guard{Outcome: "failed", Share: 0.2, Of: 100}); got != want {
		t.Errorf("guard %+v", got)
	}
	if to, ok := g.Next(at("rest"), TimeoutOutcome); !ok || to != at("deal") {
		t.Errorf("after the time-out: node %d, %t", to, ok)
	}
	if _, ok := g.After(at("rest")); ok {
		t.Error("a wait for a signal has an edge without a label")
	}
	if to, ok := g.Next(at("call"), SuppressedOutcome); !ok || to != at("text") {
		t.Errorf("a suppressed call goes to %d, %t", to, ok)
	}
	if to, ok := g.After(at("said")); !ok || to != at("call") {
		t.Errorf("after what was said: node %d, %t", to, ok)
	}
	now := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	if until, err := g.Until(at("rest"), nil, now); err != nil || !until.Equal(now.Add(72*time.Hour)) {
		t.Errorf("the time-out is %v, %v", until, err)
	}
}

func TestAWorkflowWithoutRulesHasNone(t *testing.T) {
	g, err := Compile(valid())
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.Nodes() {
		if g.Hours(i) != nil || g.Limits(i) != nil || g.Awaits(i) != "" || g.NeedsZone(i) || g.Split(i, 7) != "" || g.EvaluatesRateKey(i) {
			t.Errorf("node %d has a rule", i)
		}
	}
	_, exit := g.Exit("")
	if g.AnyHours() || g.AnyLimits() || g.TimeZone() != "" || exit || g.AnySignal("") || g.Priority() != 1 || g.Guard() != nil {
		t.Error("the workflow has a rule")
	}
}

func TestTheRulesOfOneNodeAreThoseOfNoOther(t *testing.T) {
	d := valid()
	d.Nodes[0] = d.Nodes[0].WithHours(CallingHours{Preset: "us"}).WithLimits(Limit{InFlight: 1})
	g, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	if !g.AnyHours() || !g.AnyLimits() || len(g.Hours(0)) != 1 || len(g.Limits(0)) != 1 {
		t.Errorf("any hours %t, any limits %t; of the node %v, %v", g.AnyHours(), g.AnyLimits(), g.Hours(0), g.Limits(0))
	}
	if g.Hours(1) != nil || g.Limits(1) != nil {
		t.Errorf("another node has %v, %v", g.Hours(1), g.Limits(1))
	}
}

// What is read is written, and read again, as it was; and a copy shares nothing with it.
func TestRulesSurviveWritingAndCopying(t *testing.T) {
	d := ruled(t)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, again); diff != "" {
		t.Errorf("written and read again (-before +after):\n%s", diff)
	}
	c := d.Clone()
	if diff := cmp.Diff(d, c); diff != "" {
		t.Errorf("copied (-before +after):\n%s", diff)
	}
	spoil := func(h *CallingHours) {
		h.Preset, h.Spread = "x", -1
		for i := range h.Windows {
			h.Windows[i].Days[0], h.Windows[i].From = "x", "x"
		}
		for i := range h.Holidays {
			h.Holidays[i] = "x"
		}
	}
	spoil(c.CallingHours)
	c.Limits[0].InFlight, c.Exits[0].Signal, c.Guard.Of = -1, "x", -1
	for i := range c.Nodes {
		if h := c.Nodes[i].CallingHours; h != nil {
			spoil(h)
		}
		for j := range c.Nodes[i].Limits {
			c.Nodes[i].Limits[j].Starts = -1
		}
	}
	if diff := cmp.Diff(again, d); diff != "" {
		t.Errorf("a change of the copy changed the original:\n%s", diff)
	}
}

// A fault in what a workflow says of hours, limits and so on is named where it is, all
// at once. Each case is put into a workflow that is valid without it; want are the
// beginnings of all the faults.
func TestFaultsOfRules(t *testing.T) {
	const hoursLike = `"calling_hours":{"windows":[{"days":["mon"],"from":"09:00","to":"17:00"}]`
	for _, tt := range []struct {
		workflow, node string // fields of the workflow, and of the action node "call"
		want           []string
	}{
		{workflow: `"time_zone":"Local"`, want: []string{`time_zone: "Local" is not an IANA time zone`}},
		{workflow: `"time_zone":"Mars/Base"`, want: []string{`time_zone: "Mars/Base" is not an IANA time zone`}},
		{workflow: `"time_zone":7`, want: []string{`time_zone: must be a string, not a number`}},

		{workflow: hoursLike + `}`},
		{workflow: `"calling_hours":null`},
		{workflow: `"calling_hours":{}`, want: []string{`calling_hours: must have windows, such as`}},
		{workflow: `"calling_hours":{"windows":[]}`, want: []string{`calling_hours.windows: must not be empty`}},
		{workflow: `"calling_hours":{"preset":"us","windows":[ ]}`, want: []string{`calling_hours.windows: must not be empty`}},
		{workflow: hoursLike + `,"preset":"us"}`, want: []string{`calling_hours: cannot have both preset and windows`}},
		{workflow: `"calling_hours":{"preset":"de"}`, want: []string{`calling_hours.preset: invalid preset "de"; must be us`}},
		{workflow: `"calling_hours":{"preset":"us","hours":1}`, want: []string{`calling_hours.hours: unknown field; must be one of preset, windows, holidays, spread`}},
		{workflow: `"calling_hours":{"preset":"us","spread":"-1s"}`, want: []string{`calling_hours.spread: is -1s; must not be negative`}},
		{workflow: `"calling_hours":{"preset":"us","spread":"25h"}`, want: []string{`calling_hours.spread: is 25h; at most 24h is allowed`}},
		{workflow: `"calling_hours":{"preset":"us","spread":600}`, want: []string{`calling_hours.spread: invalid duration 600; it has no unit`}},
		{workflow: `"calling_hours":{"preset":"us","holidays":["2026-02-29","25.12.2026","2026-12-25","2026-12-25",7]}`, want: []string{
			`calling_hours.holidays[4]: must be a string, not a number`,
			`calling_hours.holidays[0]: invalid date "2026-02-29"; write one such as "2026-12-25"`,
			`calling_hours.holidays[1]: invalid date "25.12.2026"`, `calling_hours.holidays[3]: duplicate date "2026-12-25": see holidays[2]`,
		}},
		{workflow: `"calling_hours":{"windows":[{"days":["monday","sun","sun"],"from":"9:00","to":"24:01"},{"from":"24:00"},{"days":[],"from":"23:59","to":"24:00"}]}`, want: []string{
			`calling_hours.windows[2].days: must not be empty`,
			`calling_hours.windows[0].from: invalid time "9:00"; write one from "00:00" to "23:59"`,
			`calling_hours.windows[0].to: invalid time "24:01"; write one from "00:00" to "24:00"`,
			`calling_hours.windows[0].days[0]: invalid day "monday"; must be one of mon, tue, wed, thu, fri, sat, sun`,
			`calling_hours.windows[0].days[2]: duplicate day "sun": see days[1]`,
			`calling_hours.windows[1].from: invalid time "24:00"`, `calling_hours.windows[1].to: is required`,
			`calling_hours.windows[1].days: is required; name at least one of mon,`,
		}},
		{workflow: `"calling_hours":{"windows":[{"days":["mon"],"from":"09:60","to":"1é:00"}]}`, want: []string{
			`calling_hours.windows[0].from: invalid time "09:60"`, `calling_hours.windows[0].to: invalid time "1é:00"`,
		}},

		{workflow: `"limits":[]`},
		{workflow: `"limits":[{"in_flight":1},{"starts":1,"per":"1ms"},{"per_contact":1000000,"per":"8784h"}]`},
		{workflow: `"limits":{}`, want: []string{`limits: must be an array, not an object`}},
		{workflow: `"limits":[{}]`, want: []string{`limits[0]: must have one of in_flight, starts, per_contact`}},
		{workflow: `"limits":[{"in_flight":0}]`, want: []string{`limits[0].in_flight: is 0; must be at least 1`}},
		{workflow: `"limits":[{"in_flight":-1},{"starts":1000001,"per":"1m"}]`, want: []string{
			`limits[0].in_flight: is -1; must be from 1 to 1000000`, `limits[1].starts: is 1000001; must be from 1 to 1000000`}},
		{workflow: `"limits":[{"in_flight":1.5}]`, want: []string{`limits[0].in_flight: must be an integer, not 1.5`}},
		{workflow: `"limits":[{"in_flight":1,"starts":1,"per":"1m"}]`, want: []string{`limits[0]: must have exactly one of in_flight, starts, per_contact`}},
		{workflow: `"limits":[{"in_flight":1,"per":"1m"}]`, want: []string{`limits[0].per: must be left out: in_flight holds at every instant`}},
		{workflow: `"limits":[{"starts":1},{"per_contact":1,"per":"1us"},{"starts":1,"per":"9000h"},{"starts":1,"per":-1}]`, want: []string{
			`limits[3].per: invalid duration -1; it has no unit`,
			`limits[0].per: is required`, `limits[1].per: is 1µs; must be from 1ms to 8784h`, `limits[2].per: is 9000h; must be from 1ms to 8784h`,
		}},
		{workflow: `"limits":[{"in_flight":1,"channel":"time"},{"in_flight":1,"rate_key":" a"}]`, want: []string{
			`limits[0].channel: invalid channel "time"; must be one of voice_call, message, application`, `limits[1].rate_key: invalid value " a"`}},

		{workflow: `"exits":[{"signal":"paid","outcome":"converted"},{"signal":"left","outcome":"moved away"}]`},
		{workflow: `"exits":[{},{"signal":"a\nb","outcome":"x "},{"signal":"paid","outcome":"y"},{"signal":"paid","outcome":"z"}]`, want: []string{
			`exits[0].signal: is required`, `exits[0].outcome: is required`, `exits[1].signal: invalid value "a\nb"`, `exits[1].outcome: invalid value "x "`,
			`exits[3].signal: duplicate signal "paid": see exits[2]`,
		}},
		{workflow: `"exits":[{"signal":"` + strings.Repeat("x", 65) + `","outcome":"x"}]`, want: []string{`exits[0].signal: is 65 bytes long; at most 64`}},

		{workflow: `"priority":1`},
		{workflow: `"priority":0`, want: []string{`priority: is 0; must be at least 1`}},
		{workflow: `"priority":-2`, want: []string{`priority: is -2; must be from 1 to 1000000`}},
		{workflow: `"priority":2.5`, want: []string{`priority: must be an integer, not 2.5`}},

		{workflow: `"guard":{"outcome":"failed","share":1,"of":1}`},
		{workflow: `"guard":{}`, want: []string{`guard.outcome: is required`, `guard.share: is 0; must be greater than 0 and at most 1`, `guard.of: is 0; must be from 1 to 10000`}},
		{workflow: `"guard":{"outcome":"failed","share":20,"of":10001}`, want: []string{`guard.share: is 20; must be`, `guard.of: is 10001`}},

		{node: hoursLike + `},"limits":[{"in_flight":2}],"rate_key":"trunk-1"`},
		{node: hoursLike + `,"spread":"-1s"},"limits":[{"in_flight":-2}]`, want: []string{
			`nodes[0].calling_hours.spread: is -1s`, `nodes[0].limits[0].in_flight: is -2`}},
		{node: `"limits":[{"in_flight":1,"channel":"message","rate_key":"a"}]`, want: []string{
			`nodes[0].limits[0].channel: must be left out`, `nodes[0].limits[0].rate_key: must be left out`}},
		{node: `"rate_key":"metadata.line"`},
		{node: `"rate_key":"\"line \" + steps.call.outcome"`},
		{node: `"rate_key":"trunk 1"`, want: []string{`nodes[0].rate_key: is not a name (letters, digits, "_", "-" and "."), and as an expression: `}},
		{node: `"rate_key":"metadata.age == 1"`, want: []string{`nodes[0].rate_key: is not a name (letters, digits, "_", "-" and "."), and as an expression: must give a string, but gives a boolean`}},
		{node: `"rate_key":"steps.other.outcome"`, want: []string{`nodes[0].rate_key: is not a name`}},
		{node: `"rate_key":"` + strings.Repeat("x", 257) + `"`, want: []string{`nodes[0].rate_key: is 257 bytes long; at most 256`}},
	} {
		fields := func(s string) string {
			if s != "" {
				s += ","
			}
			return s
		}
		text := `{` + fields(tt.workflow) + `"name":"x","entry":"call","nodes":[{` + fields(tt.node) + `"id":"call","type":"voice_call"}],"edges":[]}`
		_, err := Parse([]byte(text))
		wantFaults(t, text, err, tt.want)
	}
}

func wantFaults(t *testing.T, text string, err error, want []string) {
	t.Helper()
	got := faultsOf(t, err)
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s\nfaults:\n\t%s\nwant:\n\t%s", text, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestOnlyActionsHaveHoursLimitsAndARateKey(t *testing.T) {
	d := valid()
	d.Nodes[1] = d.Nodes[1].WithHours(CallingHours{Preset: "us"}).WithLimits(Limit{InFlight: 1}).WithRateKey("a")
	wantFaults(t, "a time node", d.Validate(), []string{
		"nodes[1].calling_hours: must be left out: a time node has no attempts",
		"nodes[1].limits: must be left out: a time node has no attempts", "nodes[1].rate_key: must be left out: a time node has no attempts",
	})
}

// Lists that are too long are one fault each, written in Go too.
func TestLongListsOfRulesAreOneFault(t *testing.T) {
	d := valid()
	d.CallingHours = &CallingHours{Windows: make([]Window, MaxWindows+1)}
	d.Nodes[0].CallingHours = &CallingHours{Preset: "us", Holidays: make([]string, MaxHolidays+1)}
	d.Limits = make([]Limit, MaxLimits+1)
	d.Exits = make([]Exit, MaxExits+1)
	want := []string{
		"calling_hours.windows: has 101 elements; at most 100 are allowed", "limits: has 101 elements", "exits: has 101 elements",
		"nodes[0].calling_hours.holidays: has 1001 elements",
	}
	wantFaults(t, "in Go", d.Validate(), want)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse(text)
	got := faultsOf(t, err)
	slices.Sort(got)
	slices.Sort(want)
	if len(got) != len(want) {
		t.Errorf("in JSON:\n%s", strings.Join(got, "\n"))
	}
}

func TestLimitsOfAllWorkflows(t *testing.T) {
	got, err := ParseLimits([]byte(`{"limits":[{"channel":"voice_call","in_flight":30},{"rate_key":"a","per_contact":3,"per":"24h"}]}`))
	want := []Limit{{Channel: VoiceCall, InFlight: 30}, {RateKey: "a", PerContact: 3, Per: Duration(24 * time.Hour)}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := CheckLimits(want); err != nil {
		t.Error(err)
	}
	if got, err := ParseLimits([]byte(`{"limits":[]}`)); got == nil || len(got) > 0 || err != nil {
		t.Errorf("no limits: %v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{}`:                        "limits: is required; write [] for no limits",
		`{"limits":null}`:           "limits: is required",
		`{"limits":[{}],"limit":1}`: "limit: unknown field",
		`[]`:                        "must be an object",
		`{`:                         "line 1, column 1: invalid JSON",
		`{"limits":[{"channel":"time","in_flight":1}]}`: `limits[0].channel: invalid channel "time"`,
	} {
		if _, err := ParseLimits([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if err := CheckLimits([]Limit{{Starts: 1}}); err == nil || !strings.Contains(err.Error(), "limits[0].per: is required") {
		t.Error(err)
	}
}

func TestTheRateKeyOfANode(t *testing.T) {
	for _, tt := range []struct {
		key, line string // line is metadata.line, as JSON
		want      string // "error: …" if it fails
		evaluated bool
	}{
		{"", `1`, "", false},
		{"trunk-1", `1`, "trunk-1", false},
		{"api.example.com", `1`, "api.example.com", false},
		{"metadata.line", `"north"`, "north", true},
		{"metadata.line", `null`, "", true},
		{"metadata.line", `12`, "12", true},
		{"metadata.line", `1152921504606846977`, "1152921504606846977", true},
		{"metadata.line", `true`, "error: workflow: node call: rate_key gives", true},
		{"metadata.line", `"` + strings.Repeat("x", 257) + `"`, "error: workflow: node call: rate_key gives a string of 257 bytes", true},
		{`"line " + metadata.line`, `"1"`, "line 1", true},
		{`"line " + metadata.line`, `1`, "error: workflow: node call: rate_key: ", true},
		{`lead.time_zone`, `1`, "Asia/Tokyo", true},
	} {
		d := valid()
		d.Nodes[0].RateKey = tt.key
		g, err := Compile(d)
		if err != nil {
			t.Errorf("%s: %v", tt.key, err)
			continue
		}
		env := &Env{Contact: lead.Contact{TimeZone: "Asia/Tokyo"}}
		decoder := json.NewDecoder(strings.NewReader(`{"line":` + tt.line + `}`))
		decoder.UseNumber()
		if err := decoder.Decode(&env.Contact.Metadata); err != nil {
			t.Fatal(err)
		}
		got, err := g.RateKey(0, env)
		if err != nil {
			got = "error: " + err.Error()
		}
		if wrong, ok := strings.CutPrefix(tt.want, "error: "); got != tt.want && !(ok && strings.HasPrefix(got, "error: "+wrong)) {
			t.Errorf("%s with %s: %q, want %q", tt.key, tt.line, got, tt.want)
		}
		if g.EvaluatesRateKey(0) != tt.evaluated || g.NeedsContact(0) != tt.evaluated {
			t.Errorf("%s: evaluated %t, needs the contact %t", tt.key, g.EvaluatesRateKey(0), g.NeedsContact(0))
		}
	}
	g, err := Compile(valid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.RateKey(1, nil); err == nil {
		t.Error("a time node has a rate key")
	}
}

func TestFaultsOfWaits(t *testing.T) {
	const path = "nodes[1].config"
	for _, tt := range []struct {
		config string
		edges  []string // the labels of the edges of the node
		want   []string
	}{
		{`{"signal":"reply","duration":"48h"}`, []string{"signal", "timeout"}, nil},
		{`{"signal":"reply","duration":"48h"}`, []string{"timeout"}, nil},
		{`{"signal":"reply","duration":"48h"}`, []string{""}, []string{`edges[1].label: invalid label "" of an edge of time node "pause", which waits for a signal; must be one of "signal", "timeout"`}},
		{`{"signal":"reply","duration":"48h"}`, []string{"signal", "default"}, []string{`edges[2].label: invalid label "default"`}},
		{`{"signal":"reply","duration":"48h"}`, []string{"signal", "signal"}, []string{`edges[2].label: duplicate edge "signal" of node "pause"`}},
		{`{"signal":"reply","duration":"48h"}`, nil, []string{`nodes[1]: a time node that waits for a signal must have an edge "signal", an edge "timeout", or both`}},
		{`{"signal":"reply"}`, []string{"signal", "timeout"}, []string{path + `: must have duration too, the time-out`}},
		{`{"signal":"","duration":"48h"}`, []string{"signal"}, []string{path + `.signal: is required; name the signal`}},
		{`{"signal":7,"duration":"48h"}`, []string{"signal"}, []string{path + `.signal: must be a string, not a number`}},
		{`{"signal":" reply","duration":"0s"}`, []string{"signal"}, []string{path + `.signal: invalid value " reply"`, path + `.duration: is 0s; must be greater than 0`}},
		{`{"signal":"reply","duration":"48h","until":"now()"}`, []string{""}, []string{path + `: cannot have both signal and until; remove one`}},
		{`{"duration":"48h","until":"now()"}`, []string{""}, []string{path + `: cannot have both duration and until; remove one`}},
		{`{"duration":"48h","said":"metadata.when"}`, []string{""}, []string{path + `: cannot have both duration and said; remove one`}},
		{`{"said":"metadata.when"}`, []string{""}, nil},
		{`{"said":"metadata.when","otherwise":"2h"}`, []string{""}, nil},
		{`{"said":"metadata.when"}`, []string{"signal"}, []string{`edges[1].label: must be empty: the edge of a time node has no label`}},
		{`{"said":"metadata.when","otherwise":"-2h"}`, []string{""}, []string{path + `.otherwise: is -2h; must be greater than 0`}},
		{`{"said":"now()"}`, []string{""}, []string{path + `.said: must give a string, but gives a time`}},
		{`{"said":"metadata.when","until":"now()","signal":"x"}`, []string{""}, []string{path + `: cannot have both`}},
		{`{"duration":"1h","otherwise":"2h"}`, []string{""}, []string{path + `.otherwise: must be left out: it belongs to said`}},
		{`{"otherwise":"2h"}`, []string{""}, []string{path + `: must have duration, such as "48h", or until`, path + `.otherwise: must be left out`}},
		{`{}`, []string{""}, []string{path + `: must have duration, such as "48h", or until`}},
	} {
		d := valid()
		d.Nodes = d.Nodes[:2]
		config(&d.Nodes[1], tt.config)
		d.Edges = []Edge{On("call", DefaultLabel, "pause")}
		for _, label := range tt.edges {
			d.Edges = append(d.Edges, On("pause", label, "call"))
		}
		wantFaults(t, tt.config+" "+fmt.Sprintf("%q", tt.edges), d.Validate(), tt.want)
	}
}

func TestAGraphWarnsOfCallingHoursThatHaveNoTimeInCommon(t *testing.T) {
	for _, tt := range []struct {
		name, workflow, node string // windows
		warns                bool
	}{
		{"other days", `{"days":["mon"],"from":"09:00","to":"17:00"}`, `{"days":["tue"],"from":"09:00","to":"17:00"}`, true},
		{"one after the other", `{"days":["mon"],"from":"09:00","to":"12:00"}`, `{"days":["mon"],"from":"12:00","to":"17:00"}`, true},
		{"a minute in common", `{"days":["mon"],"from":"09:00","to":"12:01"}`, `{"days":["mon"],"from":"12:00","to":"17:00"}`, false},
		{"past midnight", `{"days":["sun"],"from":"22:00","to":"02:00"}`, `{"days":["mon"],"from":"01:00","to":"17:00"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			def, err := Parse([]byte(`{"name":"w","entry":"call","calling_hours":{"windows":[` + tt.workflow + `],"holidays":["1970-01-05"]},"nodes":[
				{"id":"free","type":"message"},{"id":"call","type":"voice_call","calling_hours":{"windows":[` + tt.node + `]}},{"id":"end","type":"dropped"}],
				"edges":[{"from":"call","to":"free","label":"default"},{"from":"free","to":"end","label":"default"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			graph, err := Compile(def)
			if err != nil {
				t.Fatal(err)
			}
			got := graph.Warnings()
			if warns := len(got) == 1 && got[0].Location == "nodes[1].calling_hours"; warns != tt.warns || len(got) > 1 {
				t.Errorf("it warns of %q", got)
			}
		})
	}
}
