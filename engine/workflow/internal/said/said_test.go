package said

import (
	"strings"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

const toMinute = "2006-01-02 15:04"

// understood returns what a text means, as the tables write it.
func understood(text string, now time.Time, z *time.Location) string {
	got, ok := Parse(text, now, z)
	if !ok {
		return ""
	}
	return got.In(z).Format(toMinute)
}

func TestPhrases(t *testing.T) {
	z := zone(t, "America/New_York")
	now := time.Date(2026, 5, 6, 14, 20, 0, 0, z) // a Wednesday
	for _, p := range phrases {
		for _, text := range []string{p.text, strings.ToUpper(p.text), " " + p.text + " . "} {
			if got := understood(text, now, z); got != p.want {
				t.Errorf("%q is %q, want %q", text, got, p.want)
			}
		}
		if got := understood(p.text, now.UTC(), z); got != p.want {
			t.Errorf("%q depends on the zone in which now is written: %q, want %q", p.text, got, p.want)
		}
	}
}

// What a machine wrote names an instant, whatever the zone.
func TestInstants(t *testing.T) {
	now := time.Date(2026, 5, 6, 14, 20, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-06-05T16:30:00Z": "2026-06-05 16:30", "2026-06-05T16:30:00.5+02:00": "2026-06-05 14:30", "2026-06-05T16:30+02:00": "2026-06-05 14:30",
		"2026-06-05 16:30:00-04:00": "2026-06-05 20:30", "2026-05-06T14:20:00Z": "", "2026-05-06T14:20:01Z": "2026-05-06 14:20", "2037-01-01T00:00:00Z": "",
	} {
		got, ok := Parse(text, now, zone(t, "America/New_York"))
		if ok != (want != "") || ok && got.UTC().Format(toMinute) != want {
			t.Errorf("%q is %v, %t, want %s", text, got.UTC(), ok, want)
		}
	}
}

// The same words mean another time on another day, and at another time of day.
func TestPhrasesAtOtherTimes(t *testing.T) {
	for _, tt := range []struct {
		now string // in New York
		phrase
	}{
		// Next Tuesday is a week later only when today is Tuesday.
		{"2026-05-05 08:00", phrase{"next tuesday", "2026-05-12 09:00"}},
		{"2026-05-04 08:00", phrase{"next tuesday", "2026-05-05 09:00"}},
		{"2026-05-05 08:00", phrase{"tuesday 10:30 am", "2026-05-05 10:30"}},
		{"2026-05-05 10:30", phrase{"tuesday 10:30 am", "2026-05-12 10:30"}},
		{"2026-05-05 10:29", phrase{"tuesday 10:30 am", "2026-05-05 10:30"}},
		{"2026-05-05 08:00", phrase{"tuesday", "2026-05-05 09:00"}},
		{"2026-05-05 08:00", phrase{"next week tuesday", "2026-05-12 09:00"}},
		{"2026-05-10 08:00", phrase{"next week", "2026-05-11 09:00"}}, // from a Sunday
		{"2026-05-10 08:00", phrase{"monday", "2026-05-11 09:00"}},
		{"2026-05-10 08:00", phrase{"this weekend", "2026-05-16 09:00"}},
		{"2026-05-09 08:00", phrase{"this weekend", "2026-05-09 09:00"}},
		// Late, and early.
		{"2026-05-06 22:30", phrase{"today", ""}},
		{"2026-05-06 22:30", phrase{"tonight", ""}},
		{"2026-05-06 21:30", phrase{"tonight", "2026-05-06 22:30"}},
		{"2026-05-06 22:30", phrase{"tonight at 11", "2026-05-06 23:00"}},
		{"2026-05-06 22:30", phrase{"evening 7", "2026-05-07 19:00"}},
		{"2026-05-06 22:30", phrase{"in two hours", "2026-05-07 00:30"}},
		{"2026-05-06 00:10", phrase{"morning", "2026-05-06 09:00"}},
		{"2026-05-06 00:10", phrase{"tomorrow at 10", "2026-05-07 10:00"}},
		{"2026-05-06 00:10", phrase{"today", "2026-05-06 09:00"}},
		{"2026-05-06 10:10", phrase{"at 9", "2026-05-07 09:00"}},
		{"2026-05-06 10:10", phrase{"this morning", "2026-05-06 11:10"}},
		{"2026-05-06 11:30", phrase{"this morning", ""}},
		{"2026-05-06 08:10", phrase{"at 9", "2026-05-06 09:00"}},
		// Over the ends of months and years.
		{"2026-12-31 20:00", phrase{"tomorrow 4 PM", "2027-01-01 16:00"}},
		{"2026-12-28 20:00", phrase{"5 january", "2027-01-05 09:00"}},
		{"2026-12-28 20:00", phrase{"1 december", ""}},
		{"2026-12-28 20:00", phrase{"5/1", "2027-01-05 09:00"}},
		{"2026-01-31 10:00", phrase{"in a month", "2026-02-28 10:00"}},
		{"2026-01-31 10:00", phrase{"the 30th", "2026-03-30 09:00"}},
		{"2026-01-31 10:00", phrase{"next month", "2026-02-01 09:00"}},
		{"2026-01-31 10:00", phrase{"the 31st of next month", ""}},
		{"2027-12-01 10:00", phrase{"29 february", "2028-02-29 09:00"}},
		{"2026-12-01 10:00", phrase{"29 february", ""}},
		{"2026-12-31 23:00", phrase{"in 3 days", "2027-01-03 23:00"}},
		// Clocks: forward on 8 March 2026 from 02:00 to 03:00, back on 1 November from 02:00 to 01:00.
		{"2026-03-07 12:00", phrase{"tomorrow 2:30 am", "2026-03-08 03:00"}},
		{"2026-03-07 12:00", phrase{"tomorrow 3:00 am", "2026-03-08 03:00"}},
		{"2026-03-07 12:00", phrase{"tomorrow 1:59 am", "2026-03-08 01:59"}},
		{"2026-03-08 01:30", phrase{"in two hours", "2026-03-08 04:30"}},
		{"2026-03-07 10:00", phrase{"in a day", "2026-03-08 10:00"}},
		{"2026-03-07 02:30", phrase{"in a day", "2026-03-08 03:00"}},
		{"2026-10-31 12:00", phrase{"tomorrow noon", "2026-11-01 12:00"}},
	} {
		z := zone(t, "America/New_York")
		now, err := time.ParseInLocation(toMinute, tt.now, z)
		if err != nil {
			t.Fatal(err)
		}
		if got := understood(tt.text, now, z); got != tt.want {
			t.Errorf("at %s %q is %q, want %q", tt.now, tt.text, got, tt.want)
		}
	}
}

// Instants where a clock time does not exist, or comes twice.
func TestChangesOfTheClock(t *testing.T) {
	for _, tt := range []struct{ zone, now, text, want string }{ // now and want in UTC
		{"America/New_York", "2026-10-31 16:00", "tomorrow 1:30 am", "2026-11-01 05:30"}, // the first of two
		{"America/New_York", "2026-11-01 05:30", "1:30 am", "2026-11-01 06:30"},          // the second, after the first
		{"America/New_York", "2026-11-01 06:30", "1:30 am", "2026-11-02 06:30"},
		{"America/New_York", "2026-11-01 05:45", "today 1:30 am", "2026-11-01 06:30"},
		{"America/New_York", "2026-11-01 05:45", "in an hour", "2026-11-01 06:45"},
		{"Europe/Berlin", "2026-03-28 12:00", "tomorrow 2:30 am", "2026-03-29 01:00"},
		{"Europe/Berlin", "2026-10-24 12:00", "tomorrow 2:30 am", "2026-10-25 00:30"},
		{"Europe/Dublin", "2026-03-28 12:00", "tomorrow 1:30 am", "2026-03-29 01:00"},
		{"Europe/Dublin", "2026-10-24 12:00", "tomorrow 1:30 am", "2026-10-25 00:30"},
		{"Australia/Lord_Howe", "2026-04-04 01:00", "tomorrow 1:45 am", "2026-04-04 14:45"},
		{"Australia/Lord_Howe", "2026-10-03 01:00", "tomorrow 2:15 am", "2026-10-03 15:30"},
		{"Pacific/Apia", "2011-12-29 20:00", "tomorrow at noon", "2011-12-30 10:00"}, // 30 December did not exist
		{"America/Havana", "2026-03-07 20:00", "midnight", "2026-03-08 05:00"},
		{"America/Santiago", "2026-09-05 20:00", "midnight", "2026-09-06 04:00"},
		{"Asia/Kolkata", "2026-05-06 12:00", "tomorrow 4 PM", "2026-05-07 10:30"},
		{"Pacific/Kiritimati", "2026-05-06 09:00", "tomorrow 4 PM", "2026-05-07 02:00"},
	} {
		now, err := time.Parse(toMinute, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := Parse(tt.text, now, zone(t, tt.zone))
		if !ok || got.UTC().Format(toMinute) != tt.want {
			t.Errorf("in %s at %s %q is %s (%t), want %s", tt.zone, tt.now, tt.text, got.UTC().Format(toMinute), ok, tt.want)
		}
	}
}

// Every clock time of every day of some years in some zones is what a walk over all the
// minutes finds.
func TestClockTimesAreThoseThatAWalkFinds(t *testing.T) {
	for name, from := range map[string]time.Time{
		"America/New_York": time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), "America/Havana": time.Date(2026, 10, 29, 0, 0, 0, 0, time.UTC),
		"Australia/Lord_Howe": time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC), "Pacific/Apia": time.Date(2011, 12, 27, 0, 0, 0, 0, time.UTC),
		"Europe/Dublin": time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC), "Antarctica/Troll": time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC),
		"Asia/Beirut": time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC), "Africa/Casablanca": time.Date(2026, 2, 13, 0, 0, 0, 0, time.UTC),
	} {
		z := zone(t, name)
		// The first and the second time at which each minute is shown, and for one that
		// is not, the first minute shown after it.
		shown := map[string][]time.Time{}
		last := ""
		for at := from; at.Before(from.AddDate(0, 0, 7)); at = at.Add(time.Minute) {
			text := at.In(z).Format(toMinute)
			shown[text] = append(shown[text], at)
			for last != "" && last < text {
				next, _ := time.Parse(toMinute, last)
				if last = next.Add(time.Minute).Format(toMinute); last < text {
					shown[last] = []time.Time{at} // skipped
				}
			}
			last = max(last, text)
		}
		for text, want := range shown {
			wall, _ := time.Parse(toMinute, text)
			if wall.Before(from.AddDate(0, 0, 1)) || !wall.Before(from.AddDate(0, 0, 6)) {
				continue
			}
			got := instants(wall.Truncate(24*time.Hour), 60*wall.Hour()+wall.Minute(), z)
			if len(got) != len(want) {
				t.Fatalf("%s %s: %v, want %v", name, text, got, want)
			}
			for i := range want {
				if !got[i].Equal(want[i]) {
					t.Fatalf("%s %s: %v, want %v", name, text, got, want)
				}
			}
		}
	}
}

func TestALongTextIsNotUnderstood(t *testing.T) {
	now := time.Date(2026, 5, 6, 14, 20, 0, 0, time.UTC)
	for _, text := range []string{
		strings.Repeat("tomorrow ", 100_000), "tomorrow at 4" + strings.Repeat(" ", 1<<20) + "pm", strings.Repeat("4 to ", 60), strings.Repeat("1 hour and ", 60), strings.Repeat("9", 1000),
	} {
		if got, ok := Parse(text, now, time.UTC); ok {
			t.Errorf("%.20q… is %v", text, got)
		}
	}
}

// Whatever was said, it is a time after now, within ten years, or not understood; the same
// each time, and in little memory.
func FuzzParse(f *testing.F) {
	for _, p := range phrases {
		f.Add(p.text, int64(1778091600), uint8(0))
	}
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Havana", "Asia/Kathmandu"} {
		zones = append(zones, zone(f, name))
	}
	f.Fuzz(func(t *testing.T, text string, at int64, in uint8) {
		now := time.Unix(at%(1<<33), at%1e9)
		z := zones[int(in)%len(zones)]
		got, ok := Parse(text, now, z)
		if !ok {
			return
		}
		if !got.After(now) || got.After(now.AddDate(10, 0, 0)) {
			t.Errorf("%q at %v is %v", text, now, got)
		}
		if again, ok := Parse(text, now.In(z), z); !ok || !again.Equal(got) {
			t.Errorf("%q at %v is %v, and then %v", text, now, got, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	z := zone(b, "America/New_York")
	now := time.Date(2026, 5, 6, 14, 20, 0, 0, z)
	for name, text := range map[string]string{
		"short": "tomorrow 4 PM", "words": "could you call me on tuesday the 12th at half past four in the afternoon", "long": strings.Repeat("4 to ", 40), "units": strings.Repeat("1 hour and ", 18),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(text, now, z)
			}
		})
	}
}
