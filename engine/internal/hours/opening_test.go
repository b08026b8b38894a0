package hours

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

var everyDay = [7]bool{true, true, true, true, true, true, true}

// at reads "2026-03-08 09:00" as UTC.
func at(t rapid.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", (text + ":00")[:len("2006-01-02 15:04:05")])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func zone(t rapid.TB, name string) *time.Location {
	t.Helper()
	zone, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func daily(from, to int) *Hours { return &Hours{Windows: []Window{{everyDay, from, to}}} }

// minute of the day
func clock(hour, minute int) int { return hour*60 + minute }

const (
	sun = 1 << iota
	mon
	tue
	wed
	thu
	fri
	sat
	everyday = 1<<iota - 1
)

// window returns a window of the days, such as "09:00-17:00".
func window(t rapid.TB, days int, times string) Window {
	t.Helper()
	var w Window
	var h, m, h2, m2 int
	if _, err := fmt.Sscanf(times, "%d:%d-%d:%d", &h, &m, &h2, &m2); err != nil {
		t.Fatal(times, err)
	}
	w.From, w.To = clock(h, m), clock(h2, m2)
	for i := range w.Days {
		w.Days[i] = days>>i&1 == 1
	}
	return w
}

func TestOpening(t *testing.T) {
	for _, c := range []struct {
		name   string
		zone   string
		days   int
		window string
		from   string // in UTC
		want   string // in UTC: the openings from then on, each with its end
	}{
		{"a plain day", "America/New_York", everyday, "09:00-17:00", "2026-01-15 03:00", "2026-01-15 14:00 - 2026-01-15 22:00, 2026-01-16 14:00 - 2026-01-16 22:00"},
		{"open already", "America/New_York", everyday, "09:00-17:00", "2026-01-15 15:30:10", "2026-01-15 15:30:10 - 2026-01-15 22:00"},
		{"its first moment", "America/New_York", everyday, "09:00-17:00", "2026-01-15 14:00", "2026-01-15 14:00 - 2026-01-15 22:00"},
		{"its end is not in it", "America/New_York", everyday, "09:00-17:00", "2026-01-15 22:00", "2026-01-16 14:00 - 2026-01-16 22:00"},
		{"no other days", "America/New_York", mon | fri, "09:00-17:00", "2026-01-17 12:00", "2026-01-19 14:00 - 2026-01-19 22:00, 2026-01-23 14:00 - 2026-01-23 22:00"},
		{"over midnight", "America/New_York", fri, "22:00-02:00", "2026-01-15 12:00", "2026-01-17 03:00 - 2026-01-17 07:00, 2026-01-24 03:00 - 2026-01-24 07:00"},
		{"over midnight, in the second part", "America/New_York", fri, "22:00-02:00", "2026-01-17 06:00", "2026-01-17 06:00 - 2026-01-17 07:00"},
		{"a whole day", "America/New_York", thu, "00:00-24:00", "2026-01-14 12:00", "2026-01-15 05:00 - 2026-01-16 05:00"},
		{"24 hours from nine", "America/New_York", thu, "09:00-09:00", "2026-01-14 12:00", "2026-01-15 14:00 - 2026-01-16 14:00"},
		{"always: a week at most", "America/New_York", everyday, "00:00-24:00", "2026-03-01 12:00", "2026-03-01 12:00 - 2026-03-08 12:00"},

		// 02:00 EST is 03:00 EDT at 07:00 UTC on 8 March, 02:00 EDT is 01:00 EST at 06:00 UTC on 1 November.
		{"the day of spring", "America/New_York", everyday, "09:00-17:00", "2026-03-07 12:00", "2026-03-07 14:00 - 2026-03-07 22:00, 2026-03-08 13:00 - 2026-03-08 21:00"},
		{"the day of autumn", "America/New_York", everyday, "09:00-17:00", "2026-10-31 12:00", "2026-10-31 13:00 - 2026-10-31 21:00, 2026-11-01 14:00 - 2026-11-01 22:00"},
		{"from a skipped minute", "America/New_York", everyday, "02:30-04:00", "2026-03-08 05:00", "2026-03-08 07:00 - 2026-03-08 08:00, 2026-03-09 06:30 - 2026-03-09 08:00"},
		{"to a skipped minute", "America/New_York", everyday, "01:00-02:30", "2026-03-08 05:00", "2026-03-08 06:00 - 2026-03-08 07:00, 2026-03-09 05:00 - 2026-03-09 06:30"},
		{"all of it skipped", "America/New_York", everyday, "02:15-02:45", "2026-03-08 05:00", "2026-03-09 06:15 - 2026-03-09 06:45"},
		{"around what is skipped", "America/New_York", everyday, "01:00-04:00", "2026-03-08 05:00", "2026-03-08 06:00 - 2026-03-08 08:00"},
		{"from a minute that comes twice", "America/New_York", everyday, "01:30-05:00", "2026-11-01 04:00", "2026-11-01 05:30 - 2026-11-01 06:00, 2026-11-01 06:30 - 2026-11-01 10:00"},
		{"to a minute that comes twice", "America/New_York", everyday, "00:30-01:30", "2026-11-01 04:00", "2026-11-01 04:30 - 2026-11-01 05:30, 2026-11-01 06:00 - 2026-11-01 06:30"},
		{"all of it twice", "America/New_York", everyday, "01:15-01:45", "2026-11-01 04:00", "2026-11-01 05:15 - 2026-11-01 05:45, 2026-11-01 06:15 - 2026-11-01 06:45"},
		{"the hour that comes twice", "America/New_York", everyday, "01:00-02:00", "2026-11-01 04:00", "2026-11-01 05:00 - 2026-11-01 07:00"},

		{"half an hour", "Asia/Kolkata", everyday, "09:00-17:00", "2026-01-15 00:00", "2026-01-15 03:30 - 2026-01-15 11:30"},
		{"three quarters of an hour", "Asia/Kathmandu", everyday, "09:00-17:00", "2026-01-15 00:00", "2026-01-15 03:15 - 2026-01-15 11:15"},
		{"half an hour and summer", "America/St_Johns", everyday, "02:30-04:00", "2026-03-08 04:00", "2026-03-08 05:30 - 2026-03-08 06:30"},
		{"a change at 00:01", "America/St_Johns", everyday, "00:30-02:00", "2011-03-12 12:00", "2011-03-13 03:31 - 2011-03-13 04:30"},

		{"winter is the exception", "Europe/Dublin", everyday, "01:30-03:00", "2026-03-28 12:00", "2026-03-29 01:00 - 2026-03-29 02:00, 2026-03-30 00:30 - 2026-03-30 02:00"},
		{"winter begins", "Europe/Dublin", everyday, "01:30-03:00", "2026-10-24 12:00", "2026-10-25 00:30 - 2026-10-25 01:00, 2026-10-25 01:30 - 2026-10-25 03:00"},

		{"spring by 30 minutes", "Australia/Lord_Howe", everyday, "02:15-03:00", "2026-10-03 12:00", "2026-10-03 15:30 - 2026-10-03 16:00"},
		{"autumn by 30 minutes", "Australia/Lord_Howe", everyday, "01:45-03:00", "2026-04-04 12:00", "2026-04-04 14:45 - 2026-04-04 15:00, 2026-04-04 15:15 - 2026-04-04 16:30"},

		// Friday, 30 December 2011 was skipped; Saturday began at 10:00 UTC on Friday.
		{"a day that did not exist", "Pacific/Apia", everyday, "09:00-17:00", "2011-12-29 12:00", "2011-12-29 19:00 - 2011-12-30 03:00, 2011-12-30 19:00 - 2011-12-31 03:00"},
		{"only on the day that did not exist", "Pacific/Apia", fri, "09:00-17:00", "2011-12-29 12:00", "2012-01-05 19:00 - 2012-01-06 03:00"},
		{"from a day that did not exist", "Pacific/Apia", fri, "22:00-02:00", "2011-12-29 12:00", "2011-12-30 10:00 - 2011-12-30 12:00, 2012-01-06 08:00 - 2012-01-06 12:00"},
		{"over a day that did not exist", "Pacific/Apia", thu | fri | sat, "00:00-24:00", "2011-12-29 12:00", "2011-12-29 12:00 - 2011-12-31 10:00"},

		{"Ramadan begins", "Africa/Casablanca", everyday, "09:00-17:00", "2026-02-14 00:00", "2026-02-14 08:00 - 2026-02-14 16:00, 2026-02-15 09:00 - 2026-02-15 17:00"},
		{"Ramadan ends", "Africa/Casablanca", everyday, "09:00-17:00", "2026-03-21 00:00", "2026-03-21 09:00 - 2026-03-21 17:00, 2026-03-22 08:00 - 2026-03-22 16:00"},
		{"the night Ramadan begins", "Africa/Casablanca", everyday, "02:30-04:00", "2026-02-14 12:00", "2026-02-15 01:30 - 2026-02-15 02:00, 2026-02-15 02:30 - 2026-02-15 04:00"},
		{"the night Ramadan ends", "Africa/Casablanca", everyday, "02:30-04:00", "2026-03-21 12:00", "2026-03-22 02:00 - 2026-03-22 03:00"},

		{"no midnight", "Africa/Cairo", fri, "00:00-02:00", "2026-04-23 12:00", "2026-04-23 22:00 - 2026-04-23 23:00"},
		{"the hour before midnight twice", "Africa/Cairo", thu, "23:30-01:00", "2026-10-29 12:00", "2026-10-29 20:30 - 2026-10-29 21:00, 2026-10-29 21:30 - 2026-10-29 23:00"},
		{"two hours forward", "Antarctica/Troll", everyday, "02:30-04:00", "2026-03-28 12:00", "2026-03-29 01:00 - 2026-03-29 02:00"},
		{"two hours back", "Antarctica/Troll", everyday, "01:30-05:00", "2026-10-24 12:00", "2026-10-24 23:30 - 2026-10-25 01:00, 2026-10-25 01:30 - 2026-10-25 05:00"},
		{"no midnight", "Asia/Beirut", sun, "00:00-02:00", "2026-03-28 12:00", "2026-03-28 22:00 - 2026-03-28 23:00"},
		{"a day of 23 hours", "Asia/Beirut", sun, "00:00-24:00", "2026-03-28 12:00", "2026-03-28 22:00 - 2026-03-29 21:00"},
		{"no midnight", "America/Santiago", sun, "00:30-02:00", "2026-09-05 12:00", "2026-09-06 04:00 - 2026-09-06 05:00"},
		{"the hour before midnight twice", "America/Santiago", sat, "23:30-24:00", "2026-04-04 12:00", "2026-04-05 02:30 - 2026-04-05 03:00, 2026-04-05 03:30 - 2026-04-05 04:00"},
		{"no midnight", "America/Havana", everyday, "00:00-01:30", "2026-03-07 12:00", "2026-03-08 05:00 - 2026-03-08 05:30"},
		{"the hour after midnight twice", "America/Havana", sun, "00:15-00:45", "2026-10-31 12:00", "2026-11-01 04:15 - 2026-11-01 04:45, 2026-11-01 05:15 - 2026-11-01 05:45"},

		{"the last day of a leap year", "America/New_York", everyday, "09:00-17:00", "2028-12-31 00:00", "2028-12-31 14:00 - 2028-12-31 22:00, 2029-01-01 14:00 - 2029-01-01 22:00"},
	} {
		t.Run(c.zone+" "+c.name, func(t *testing.T) {
			for source, zone := range map[string]*time.Location{"this machine": zone(t, c.zone), "Go": goZones()[c.zone]} {
				if zone == nil {
					continue
				}
				h := &Hours{Windows: []Window{window(t, c.days, c.window)}}
				from := at(t, c.from)
				for want := range strings.SplitSeq(c.want, ", ") {
					opens, closes, ok := Opening([]*Hours{h}, []*time.Location{zone}, 0.5, from)
					if a, b, _ := strings.Cut(want, " - "); !ok || !opens.Equal(at(t, a)) || !closes.Equal(at(t, b)) {
						t.Errorf("by the zones of %s: from %v, opens %v until %v, want %s", source, from, opens, closes, want)
					}
					from = closes
				}
			}
		})
	}
}

func TestHolidays(t *testing.T) {
	const nights, days = "22:00-02:00", "09:00-17:00"
	for _, c := range []struct{ name, zone, window, holiday, from, opens, closes string }{
		{"no window opens", "Europe/Berlin", days, "2026-12-25", "2026-12-24 17:00", "2026-12-26 08:00", "2026-12-26 16:00"},
		{"what began the day before ends at midnight", "Europe/Berlin", nights, "2026-12-25", "2026-12-24 12:00", "2026-12-24 21:00", "2026-12-24 23:00"},
		{"nothing is left of it on the next day", "Europe/Berlin", nights, "2026-12-25", "2026-12-24 23:30", "2026-12-26 21:00", "2026-12-27 01:00"},
		{"its date is the local one", "Pacific/Auckland", days, "2026-12-25", "2026-12-24 12:00", "2026-12-25 20:00", "2026-12-26 04:00"},
		{"a day that did not exist", "Pacific/Apia", nights, "2011-12-30", "2011-12-30 10:00", "2011-12-31 08:00", "2011-12-31 12:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &Hours{
				Windows:  []Window{window(t, everyday, c.window)},
				Holidays: []Date{{2000, 1, 1}, dateOf(at(t, c.holiday+" 00:00")), {2030, 1, 1}},
			}
			opens, closes, ok := Opening([]*Hours{h}, []*time.Location{zone(t, c.zone)}, 0, at(t, c.from))
			if !ok || !opens.Equal(at(t, c.opens)) || !closes.Equal(at(t, c.closes)) {
				t.Errorf("opens %v until %v, want %s until %s", opens, closes, c.opens, c.closes)
			}
		})
	}
}

func TestAllMustAllow(t *testing.T) {
	york, kolkata := zone(t, "America/New_York"), zone(t, "Asia/Kolkata")
	us, ok := Preset("us")
	if !ok {
		t.Fatal("no hours for us")
	}
	lunch := daily(clock(12, 0), clock(13, 0))
	from := at(t, "2026-07-15 00:00")
	for _, c := range []struct {
		name          string
		all           []*Hours
		zones         []*time.Location
		opens, closes string
	}{
		{"no zone is UTC", []*Hours{&us}, nil, "2026-07-15 08:00", "2026-07-15 21:00"},
		{"one zone", []*Hours{&us}, []*time.Location{york}, "2026-07-15 00:00", "2026-07-15 01:00"},
		{"two zones", []*Hours{&us}, []*time.Location{york, kolkata}, "2026-07-15 12:00", "2026-07-15 15:30"},
		{"two hours", []*Hours{&us, lunch}, []*time.Location{york}, "2026-07-15 16:00", "2026-07-15 17:00"},
		{"no rule for a node", []*Hours{lunch, nil}, []*time.Location{york}, "2026-07-15 16:00", "2026-07-15 17:00"},
		{"no rule", nil, []*time.Location{york}, "2026-07-15 00:00", "2026-07-22 00:00"},
		{"no rule but nil", []*Hours{nil, nil}, nil, "2026-07-15 00:00", "2026-07-22 00:00"},
		{"no window", []*Hours{{}}, nil, "", ""},
		{"two that never agree", []*Hours{daily(0, 720), daily(720, 1440)}, []*time.Location{york}, "", ""},
		{"lunch in both zones", []*Hours{lunch}, []*time.Location{york, kolkata}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			opens, closes, ok := Opening(c.all, c.zones, 0, from)
			if ok != (c.opens != "") {
				t.Fatalf("%v: opens %v until %v", ok, opens, closes)
			}
			if ok && (!opens.Equal(at(t, c.opens)) || !closes.Equal(at(t, c.closes))) {
				t.Errorf("opens %v until %v, want %s until %s", opens, closes, c.opens, c.closes)
			}
		})
	}
	if _, ok := Preset("eu"); ok {
		t.Error("there are hours for eu")
	}
}

// TestOpeningAllocatesNothing: it is asked for every lead that comes due.
func TestOpeningAllocatesNothing(t *testing.T) {
	us, _ := Preset("us")
	us.Spread, us.Holidays = time.Hour, []Date{{2026, 12, 25}}
	all, zones := []*Hours{&us, daily(clock(9, 0), clock(20, 0))}, []*time.Location{zone(t, "Europe/Berlin"), zone(t, "Europe/London")}
	from := at(t, "2026-07-15 00:00")
	if n := testing.AllocsPerRun(100, func() { Opening(all, zones, 0.5, from) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOpening(b *testing.B) {
	berlin, york := zone(b, "Europe/Berlin"), zone(b, "America/New_York")
	us := daily(8*60, 21*60)
	us.Spread = 10 * time.Minute
	week := &Hours{Holidays: []Date{{2026, 1, 1}, {2026, 12, 25}}}
	for d := range 5 {
		w := Window{From: 9 * 60, To: 17 * 60}
		w.Days[d+1] = true
		week.Windows = append(week.Windows, w)
	}
	night := at(b, "2026-07-15 03:30")
	noon := at(b, "2026-07-15 15:30")
	for _, c := range []struct {
		name  string
		all   []*Hours
		zones []*time.Location
		from  time.Time
	}{
		{"open", []*Hours{us}, []*time.Location{berlin}, noon},
		{"closed", []*Hours{us}, []*time.Location{berlin}, at(b, "2026-07-15 01:30")},
		{"old", []*Hours{us}, []*time.Location{berlin}, at(b, "1992-07-15 01:30")},
		{"two hours", []*Hours{us, week}, []*time.Location{york}, night},
		{"two hours, two zones", []*Hours{us, week}, []*time.Location{york, berlin}, noon},
		{"always", []*Hours{daily(0, 1440)}, []*time.Location{york}, noon},
		{"never", []*Hours{daily(0, 720), daily(720, 1440)}, []*time.Location{york}, noon},
		{"UTC", []*Hours{us}, nil, noon},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Opening(c.all, c.zones, 0.3, c.from)
			}
		})
	}
}
