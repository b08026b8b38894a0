package engine_test

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

var (
	hoursYears    = flag.Int("year.n", 1, "how many years TestAYearOfCallingHours lets pass: 50 in a long run; of 1 year only 150 zones are taken")
	hoursYearSeed = flag.Uint64("year.seed", 0, "seed of TestAYearOfCallingHours; 0 means a new one")
)

// hoursSaid are calling hours as a workflow says them.
type hoursSaid struct {
	Windows  []windowSaid `json:"windows"`
	Holidays []string     `json:"holidays,omitempty"`
	Spread   string       `json:"spread,omitempty"`
}

type windowSaid struct {
	Days []string `json:"days"`
	From string   `json:"from"`
	To   string   `json:"to"`
}

// allow reports what the hours say of a moment, from nothing but what a clock and a
// calendar on the wall show then.
func (h *hoursSaid) allow(wall time.Time) bool {
	year, month, day := wall.Date()
	hour, minute, _ := wall.Clock()
	digits := [...]byte{'0' + byte(hour/10), '0' + byte(hour%10), ':', '0' + byte(minute/10), '0' + byte(minute%10)}
	clock := string(digits[:])
	before := time.Date(year, month, day-1, 12, 0, 0, 0, time.UTC)
	for _, w := range h.Windows {
		overnight := w.To <= w.From
		if clock >= w.From && (overnight || clock < w.To) && slices.Contains(w.Days, weekdays[wall.Weekday()]) {
			return !h.holiday(year, month, day)
		}
		if overnight && clock < w.To && slices.Contains(w.Days, weekdays[before.Weekday()]) && !h.holiday(before.Date()) {
			return !h.holiday(year, month, day)
		}
	}
	return false
}

var weekdays = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (h *hoursSaid) holiday(year int, month time.Month, day int) bool {
	if len(h.Holidays) == 0 {
		return false
	}
	return slices.Contains(h.Holidays, fmt.Sprintf("%d-%02d-%02d", year, month, day))
}

// drawHoursSaid draws calling hours for a year.
func drawHoursSaid(r *rand.Rand, year int) *hoursSaid {
	h := &hoursSaid{}
	for range 1 + r.IntN(3) {
		w := windowSaid{}
		for _, d := range weekdays {
			if r.IntN(3) > 0 {
				w.Days = append(w.Days, d)
			}
		}
		if w.Days == nil {
			w.Days = weekdays[:]
		}
		minute := func() string {
			m := 15 * r.IntN(96)
			if r.IntN(3) == 0 {
				m = r.IntN(1440)
			}
			if r.IntN(4) == 0 { // where clocks are changed
				m = r.IntN(16) * 15
			}
			return fmt.Sprintf("%02d:%02d", m/60, m%60)
		}
		w.From, w.To = minute(), minute()
		if r.IntN(8) == 0 {
			w.To = "24:00"
		}
		h.Windows = append(h.Windows, w)
	}
	for range r.IntN(20) {
		if date := time.Date(year, 1, 1+r.IntN(365), 0, 0, 0, 0, time.UTC).Format(time.DateOnly); !slices.Contains(h.Holidays, date) {
			h.Holidays = append(h.Holidays, date)
		}
	}
	if r.IntN(3) == 0 {
		h.Spread = (time.Duration(1+r.IntN(240)) * time.Minute).String()
	}
	return h
}

// goZoneNames are the names of all zones in the tz database of the Go distribution.
func goZoneNames(t *testing.T) (names []string) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(out)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatalf("the tz database of the Go distribution: %v", err)
	}
	defer z.Close()
	for _, f := range z.File {
		if _, err := time.LoadLocation(f.Name); err == nil && !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	return names
}

// yearPerson is a lead of the year.
type yearPerson struct {
	zones []*time.Location
	hours map[string][]*hoursSaid // by node: the workflow's, and its own
	due   time.Time               // since when an attempt at node waits for nothing but its hours
	node  string
	begun int
}

func (p *yearPerson) allowed(at time.Time) bool {
	for _, zone := range p.zones {
		for _, h := range p.hours[p.node] {
			if !h.allow(at.In(zone)) {
				return false
			}
		}
	}
	return true
}

// allowedBetween is the first moment, from one moment to before another, at which an
// attempt would have been allowed. Every minute on the wall is looked at.
func (p *yearPerson) allowedBetween(from, to time.Time) (time.Time, bool) {
	for at := from; at.Before(to); at = at.Truncate(time.Minute).Add(time.Minute) {
		if p.allowed(at) {
			return at, true
		}
	}
	return time.Time{}, false
}

func (p *yearPerson) spread() bool {
	return slices.ContainsFunc(p.hours[p.node], func(h *hoursSaid) bool { return h.Spread != "" })
}

// In a year no attempt starts outside the calling hours, by the clocks on the wall, in
// any zone, and none is later than its hours make it, over crashes too.
func TestAYearOfCallingHours(t *testing.T) {
	seed := *hoursYearSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	names := goZoneNames(t)
	most := 150
	if raceEnabled {
		most = 15 // it has one goroutine
	}
	if *hoursYears == 1 && len(names) > most {
		rand.New(rand.NewPCG(seed, 3)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = names[:most]
	}
	for i := range *hoursYears {
		t.Logf("-year.seed=%d", seed+uint64(i))
		yearOfHours(t, seed+uint64(i), names)
	}
}

func yearOfHours(t *testing.T, seed uint64, names []string) {
	r := rand.New(rand.NewPCG(seed, 1))
	start := time.Date(1975+r.IntN(62), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
	if r.IntN(10) == 0 {
		start = time.Date(2011, 6, 1, 0, 0, 0, 0, time.UTC) // Apia had no 30 December
	}
	var w *enginetest.World
	people := map[lead.ID]*yearPerson{}
	fails := r.IntN(50)
	const retryDelay = 7*time.Minute + 13*time.Second
	wait := 10*24*time.Hour + time.Duration(r.Int64N(int64(12*24*time.Hour))).Truncate(time.Millisecond)
	answer := func(a *enginetest.Attempt) enginetest.Reply {
		now, p := w.Now(), people[a.LeadID]
		p.node = a.Node.ID
		p.begun++
		for _, zone := range p.zones {
			for _, h := range p.hours[a.Node.ID] {
				if !h.allow(now.In(zone)) {
					t.Errorf("lead %s begins %s at %s, which is %s in %s, outside %+v", a.LeadID, a.Node.ID, now, now.In(zone), zone, *h)
				}
			}
		}
		if at, ok := p.allowedBetween(p.due, now); ok && !p.spread() {
			t.Errorf("lead %s begins %s at %s in %s, due at %s, but %s was allowed", a.LeadID, a.Node.ID, now, p.zones, p.due, at)
		}
		switch {
		case a.Number < 3 && int(100*a.Chance("fails")) < fails:
			p.due = now.Add(retryDelay)
			return enginetest.Reply{Err: errors.New("busy")}
		case a.Node.ID == "call":
			p.due, p.node = now, "text"
		default:
			p.due, p.node = now.Add(wait), "call"
		}
		return enginetest.Reply{}
	}
	w = enginetest.New(t, enginetest.Config{Seed: seed, Start: start, Script: enginetest.Script{"call": answer, "text": answer}})
	var flows []lead.WorkflowID
	var hours []map[string][]*hoursSaid
	for range 6 {
		all, own := drawHoursSaid(r, start.Year()), drawHoursSaid(r, start.Year())
		def := map[string]any{
			"name": "year", "entry": "call", "calling_hours": all,
			"nodes": []any{
				map[string]any{"id": "call", "type": "voice_call", "retry": map[string]any{"max_attempts": 3, "delay": retryDelay.String()}},
				map[string]any{"id": "text", "type": "message", "calling_hours": own, "retry": map[string]any{"max_attempts": 3, "delay": retryDelay.String()}},
				map[string]any{"id": "rest", "type": "time", "config": map[string]any{"duration": wait.String()}},
			},
			"edges": []any{
				map[string]any{"from": "call", "to": "text", "label": "default"},
				map[string]any{"from": "text", "to": "rest", "label": "default"},
				map[string]any{"from": "rest", "to": "call"},
			},
		}
		text, err := json.Marshal(def)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := workflow.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		flows = append(flows, w.Activate(t, parsed))
		hours = append(hours, map[string][]*hoursSaid{"call": {all}, "text": {all, own}})
	}
	enroll := func(i int, contact lead.Contact, zones ...string) {
		p := &yearPerson{hours: hours[i], due: w.Now(), node: "call"}
		for _, name := range zones {
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			p.zones = append(p.zones, zone)
		}
		people[w.Enroll(t, flows[i], contact)] = p
	}
	for i, name := range names {
		c := enginetest.Contact(i)
		c.TimeZone = name
		enroll(r.IntN(len(flows)), c, name)
	}
	for number, zone := range map[string]string{
		"+14155552671": "America/Los_Angeles", "+442079460123": "Europe/London", "+97714412345": "Asia/Katmandu", "+390612345678": "Europe/Rome",
	} {
		enroll(r.IntN(len(flows)), lead.Contact{PhoneNumber: number}, zone) // by the number
	}
	for range 12 {
		w.Run(t, time.Duration(r.Int64N(int64(60*24*time.Hour))))
		if err := w.Crash(); err != nil {
			t.Fatal(err)
		}
	}
	begun := 0
	for id, p := range people {
		begun += p.begun
		if at, ok := p.allowedBetween(p.due, w.Now()); ok && !p.spread() {
			x, err := w.Engine().Explain(background, w.Lead(t, id).WorkflowID, id)
			t.Errorf("lead %s in %s waits for %s since %s, although %s was allowed: %+v, %v", id, p.zones, p.node, p.due, at, x, err)
		}
	}
	if begun < len(people) {
		t.Errorf("only %d attempts of %d people", begun, len(people))
	}
	t.Logf("%d people, %d attempts until %s", len(people), begun, w.Now())
}
