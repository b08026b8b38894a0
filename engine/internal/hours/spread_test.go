package hours

import (
	"math"
	"testing"
	"time"
)

// 50,000 leads that wait for the same opening are dealt evenly over the spread, or over
// what there is when that is shorter, and none falls outside the windows.
func TestSpreadDealsEvenly(t *testing.T) {
	const parts = 100
	leads := dose(50_000, 5_000)
	with := func(h *Hours, spread time.Duration) *Hours {
		h.Spread = spread
		return h
	}
	for _, c := range []struct {
		name        string
		all         []*Hours
		zones       []string
		from        string
		first, last string // the time over which they are dealt
		closes      string
	}{
		{"an hour", []*Hours{with(daily(clock(9, 0), clock(17, 0)), time.Hour)}, []string{"America/New_York"},
			"2026-07-15 03:00", "2026-07-15 13:00", "2026-07-15 14:00", "2026-07-15 21:00"},
		{"a window shorter than the spread", []*Hours{with(daily(clock(9, 0), clock(9, 30)), time.Hour)}, []string{"America/New_York"},
			"2026-07-15 03:00", "2026-07-15 13:00", "2026-07-15 13:30", "2026-07-15 13:30"},
		{"a window as long as the spread", []*Hours{with(daily(clock(9, 0), clock(10, 0)), time.Hour)}, []string{"America/New_York"},
			"2026-07-15 03:00", "2026-07-15 13:00", "2026-07-15 14:00", "2026-07-15 14:00"},
		{"over an hour that is skipped", []*Hours{with(daily(clock(1, 0), clock(5, 0)), 2*time.Hour)}, []string{"America/New_York"},
			"2026-03-08 01:00", "2026-03-08 06:00", "2026-03-08 08:00", "2026-03-08 09:00"},
		{"over an hour that comes twice", []*Hours{with(daily(clock(1, 0), clock(5, 0)), 2*time.Hour)}, []string{"America/New_York"},
			"2026-11-01 01:00", "2026-11-01 05:00", "2026-11-01 07:00", "2026-11-01 10:00"},
		{"the last zone to open", []*Hours{with(daily(clock(9, 0), clock(17, 0)), time.Hour)}, []string{"America/New_York", "America/Chicago"},
			"2026-07-15 03:00", "2026-07-15 14:00", "2026-07-15 15:00", "2026-07-15 21:00"},
		{"zones that share less than the spread", []*Hours{with(daily(clock(9, 0), clock(17, 0)), 2*time.Hour)}, []string{"America/New_York", "Europe/Kyiv"},
			"2026-07-15 03:00", "2026-07-15 13:00", "2026-07-15 14:00", "2026-07-15 14:00"},
		{"the longer spread of two that open together", []*Hours{with(daily(clock(9, 0), clock(17, 0)), time.Hour), with(daily(clock(9, 0), clock(12, 0)), 2*time.Hour)}, []string{"America/New_York"},
			"2026-07-15 03:00", "2026-07-15 13:00", "2026-07-15 15:00", "2026-07-15 16:00"},
		{"a node's spread ends after the workflow's hours", []*Hours{daily(clock(8, 0), clock(21, 0)), with(daily(clock(20, 50), clock(23, 0)), time.Hour)}, []string{"America/New_York"},
			"2026-07-15 03:00", "2026-07-16 00:50", "2026-07-16 01:00", "2026-07-16 01:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var zones []*time.Location
			for _, name := range c.zones {
				zones = append(zones, zone(t, name))
			}
			first, span := at(t, c.first), at(t, c.last).Sub(at(t, c.first))
			var counts [parts]int
			for seq := range int64(leads) {
				opens, closes, ok := Opening(c.all, zones, Share(seq, 7), at(t, c.from))
				if !ok || opens.Before(first) || !opens.Before(at(t, c.last)) || !closes.Equal(at(t, c.closes)) {
					t.Fatalf("lead %d: opens %v until %v, want one from %s to %s, until %s", seq, opens, closes, c.first, c.last, c.closes)
				}
				counts[opens.Sub(first)*parts/span]++
			}
			for i, n := range counts { // the shares of 500 at random would deviate by 60
				if n < leads/parts-15 || n > leads/parts+15 {
					t.Errorf("part %d of %d has %d leads of %d", i, parts, n, leads)
				}
			}
		})
	}
}

// A lead's opening does not move as it is asked for again, from when on ever.
func TestALeadKeepsItsOpening(t *testing.T) {
	h := daily(clock(9, 0), clock(17, 0))
	h.Spread = time.Hour
	zones := []*time.Location{zone(t, "America/New_York")}
	want := at(t, "2026-07-15 13:15")
	for from := at(t, "2026-07-14 21:00"); from.Before(want); from = from.Add(7 * time.Second) {
		if opens, _, ok := Opening([]*Hours{h}, zones, 0.25, from); !ok || !opens.Equal(want) {
			t.Fatalf("from %v, opens %v", from, opens)
		}
	}
	late := want.Add(time.Minute)
	if opens, _, ok := Opening([]*Hours{h}, zones, 0.25, late); !ok || !opens.Equal(late) {
		t.Errorf("from %v, opens %v", late, opens)
	}
}

// Windows that touch or overlap open once.
func TestTouchingWindowsOpenOnce(t *testing.T) {
	zones := []*time.Location{zone(t, "America/New_York")}
	for name, h := range map[string]*Hours{
		"two halves of a day": {Windows: []Window{window(t, everyday, "09:00-12:00"), window(t, everyday, "12:00-17:00")}},
		"over midnight":       {Windows: []Window{window(t, everyday, "00:00-24:00")}},
		"from nine to nine":   {Windows: []Window{window(t, everyday, "09:00-09:00")}},
		"overlapping":         {Windows: []Window{window(t, everyday, "11:00-17:00"), window(t, everyday, "09:00-12:30")}},
	} {
		h.Spread = time.Hour
		for _, text := range []string{"2026-07-15 16:00", "2026-07-15 16:30", "2026-07-15 15:00"} {
			if opens, _, ok := Opening([]*Hours{h}, zones, 0.9, at(t, text)); !ok || !opens.Equal(at(t, text)) {
				t.Errorf("%s: from %s, opens %v", name, text, opens)
			}
		}
	}
}

// The files of the Go distribution say that the clocks of Ciudad Juárez went from midnight
// back to 23:00 on 29 November 2022, and that winter begins on the first Sunday of November
// for ever after. The time package takes that Sunday for the beginning of this winter too.
func TestSpreadCountsFromBeforeTheLastListedChange(t *testing.T) {
	juarez := goZones()["America/Ciudad_Juarez"]
	if juarez == nil {
		t.Skip("no such zone")
	}
	h := &Hours{Windows: []Window{window(t, tue, "00:00-24:00")}, Spread: 30 * time.Hour}
	opens, closes, ok := Opening([]*Hours{h}, []*time.Location{juarez}, 0.99, at(t, "2022-11-30 06:30"))
	if !ok || !opens.Equal(at(t, "2022-11-30 06:45")) || !closes.Equal(at(t, "2022-11-30 07:00")) {
		t.Errorf("opens %v until %v, want a share of 0.99 of the day's 25 hours", opens, closes)
	}
}

func TestNoShareLeadsOutsideTheWindow(t *testing.T) {
	h := daily(clock(9, 0), clock(10, 0))
	h.Spread = 2 * time.Hour
	for _, share := range []float64{-1, math.Copysign(0, -1), 1 - 1.0/(1<<53), 1, 7, math.Inf(1), math.Inf(-1), math.NaN()} {
		opens, _, ok := Opening([]*Hours{h}, nil, share, at(t, "2026-07-15 03:00"))
		if !ok || opens.Before(at(t, "2026-07-15 09:00")) || !opens.Before(at(t, "2026-07-15 10:00")) {
			t.Errorf("share %v opens %v", share, opens)
		}
	}
}

// FuzzOpening asks of every answer what must be true of any.
func FuzzOpening(f *testing.F) {
	f.Add("America/New_York", "Europe/Berlin", int64(1_772_950_000), uint8(127), 150, 240, uint8(62), 1380, 120, int64(600), int64(3), int64(17))
	f.Add("Pacific/Apia", "Pacific/Apia", int64(1_325_200_000), uint8(32), 0, 0, uint8(1), 1440, 1440, int64(0), int64(0), int64(-1))
	f.Add("Antarctica/Troll", "", int64(1_861_830_000), uint8(127), 90, 91, uint8(0), 0, 1440, int64(1<<40), int64(9), int64(1))
	f.Fuzz(func(t *testing.T, name, other string, unix int64, days uint8, from, to int, days2 uint8, from2, to2 int, spread, seq, holiday int64) {
		if unix < 0 || unix > 1<<36 { // about the year 4147
			t.Skip()
		}
		minute := func(n int) int { return int(uint(n) % 1441) }
		a := &Hours{Spread: time.Duration(spread), Windows: []Window{{From: minute(from), To: minute(to)}, {From: minute(from2), To: minute(to2)}}}
		for i := range 7 {
			a.Windows[0].Days[i], a.Windows[1].Days[i] = days>>i&1 == 1, days2>>i&1 == 1
		}
		if holiday > 0 {
			a.Holidays = []Date{dateOf(time.Unix(unix+holiday%30*24*3600, 0).UTC())}
		}
		var zones []*time.Location
		var clocks []local
		for _, name := range []string{name, other} {
			if zone, err := Load(name); err == nil {
				zones, clocks = append(zones, zone), append(clocks, clockIn(zone))
			}
		}
		if zones == nil {
			clocks = []local{clockIn(time.UTC)}
		}
		allowed := func(at time.Time) bool {
			for _, shown := range clocks {
				if !allows(a, shown(at.Unix())) {
					return false
				}
			}
			return true
		}
		asked := time.Unix(unix, seq&0xfffffff)
		opens, closes, ok := Opening([]*Hours{a}, zones, Share(seq, 0), asked)
		raw := *a
		raw.Spread = 0
		first, until, any := Opening([]*Hours{&raw}, zones, 0, asked)
		if ok != any || ok && (opens.Before(first) || !closes.Equal(until) && opens.Before(until)) {
			t.Fatalf("%v: opens %v until %v with a spread, %v: %v until %v without", ok, opens, closes, any, first, until)
		}
		for at := asked; at.Before(asked.Add(bound * time.Second)); at = at.Add(11 * time.Hour / 7) {
			if (!any || at.Before(first)) && allowed(at) {
				t.Fatalf("%v is allowed, but opens %v (%v)", at, first, any)
			}
			if any && !at.Before(first) {
				break
			}
		}
		if !ok {
			return
		}
		if !opens.Before(closes) || opens.Before(asked) || !allowed(opens) || !allowed(closes.Add(-1)) {
			t.Fatalf("opens %v until %v", opens, closes)
		}
		for at := opens; at.Before(closes); at = at.Add(13 * time.Minute) {
			if !allowed(at) {
				t.Fatalf("%v is not allowed, but opens %v until %v", at, opens, closes)
			}
		}
		if closes.Before(first.Add(6*24*time.Hour)) && allowed(closes) {
			t.Fatalf("allowed when it closes, %v", closes)
		}
	})
}
