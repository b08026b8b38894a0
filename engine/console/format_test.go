package console

import (
	"testing"
	"time"
)

func TestTimesAreShownWithTheirDay(t *testing.T) {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	now := time.Date(2026, 5, 4, 22, 30, 0, 0, time.UTC) // half past midnight in Berlin
	for _, c := range []struct {
		zone *time.Location
		at   time.Time
		want string
	}{
		{time.UTC, now, "22:30:00 today"}, {berlin, now, "00:30:00 today"}, {berlin, now.Add(-time.Hour), "23:30 yesterday"}, {time.UTC, now.Add(2 * time.Hour), "00:30 tomorrow"},
		{time.UTC, now.Add(50 * time.Hour), "Thu 7 May 2026 00:30"}, {berlin, now.AddDate(1, 0, 0), "Wed 5 May 2027 00:30"},
	} {
		if got := clock(c.at.In(c.zone), now.In(c.zone)); got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.at, c.zone, got, c.want)
		}
	}
}

func TestThePersonsTimeStandsBeside(t *testing.T) {
	now := time.Date(2026, 5, 4, 22, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		zones []string
		want  string
	}{
		{nil, ""}, {[]string{"UTC"}, ""}, {[]string{"Atlantic/Reykjavik"}, ""}, {[]string{"Nonsense/Nowhere"}, ""},
		{[]string{"America/New_York"}, "18:30"}, {[]string{"Europe/Berlin"}, "00:30 Tue 5 May"}, {[]string{"America/Los_Angeles", "America/New_York"}, "15:30 to 18:30"},
	} {
		if got := theirs(now, now, time.UTC, c.zones); got != c.want {
			t.Errorf("in %v: %q, want %q", c.zones, got, c.want)
		}
	}
}

func TestSpansAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 300 * time.Microsecond: "1 ms", 1500 * time.Millisecond: "1 s", 90 * time.Second: "1 min 30 s", 25 * time.Hour: "1 d 1 h", 48*time.Hour + 5*time.Minute: "2 d",
		-3 * time.Hour: "-3 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestNumbersHaveSeparators(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 9007199254740993: "9,007,199,254,740,993"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
