package hours

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

var everyDay = [7]bool{true, true, true, true, true, true, true}

// at reads "2026-03-08 09:00" as UTC.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", (text + ":00")[:19])
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

// opening is what Opening should return: the windows of one day in one zone.
type opening struct {
	name          string
	zone          string
	from, to      int
	asked         string // all in UTC
	opens, closes string
}

var openings = []opening{
	{"a plain day", "America/New_York", clock(9, 0), clock(17, 0), "2026-01-15 03:00", "2026-01-15 14:00", "2026-01-15 22:00"},
	{"open already", "America/New_York", clock(9, 0), clock(17, 0), "2026-01-15 15:30", "2026-01-15 15:30", "2026-01-15 22:00"},
	{"the first moment", "America/New_York", clock(9, 0), clock(17, 0), "2026-01-15 14:00", "2026-01-15 14:00", "2026-01-15 22:00"},
	{"the end is not in it", "America/New_York", clock(9, 0), clock(17, 0), "2026-01-15 22:00", "2026-01-16 14:00", "2026-01-16 22:00"},
}

func TestOpening(t *testing.T) {
	for _, c := range openings {
		t.Run(c.zone+" "+c.name, func(t *testing.T) {
			opens, closes, ok := Opening([]*Hours{daily(c.from, c.to)}, []*time.Location{zone(t, c.zone)}, 0, at(t, c.asked))
			if want := at(t, c.opens); !ok || !opens.Equal(want) {
				t.Errorf("opens %v, want %v", opens, want)
			}
			if want := at(t, c.closes); !closes.Equal(want) {
				t.Errorf("closes %v, want %v", closes, want)
			}
		})
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

func BenchmarkShare(b *testing.B) {
	for i := range b.N {
		Share(int64(i), 77)
	}
}

func BenchmarkZonesOf(b *testing.B) {
	for _, phone := range []string{"+4915112345678", "+14155552671", "+18005552671", "+61412345678", "+870772345678"} {
		b.Run(phone, func(b *testing.B) {
			b.Log(ZonesOf(phone))
			b.ReportAllocs()
			for b.Loop() {
				ZonesOf(phone)
			}
		})
	}
}
