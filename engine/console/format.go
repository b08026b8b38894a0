package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// moment is a time as a page shows it.
type moment struct {
	ISO    string // for programs; "" if there is no time
	Text   string // in the viewer's zone
	Theirs string // in the person's zone, if that is another one
}

// Set reports whether there is a time.
func (m moment) Set() bool { return m.ISO != "" }

// at returns a time for a page.
func (v *visit) at(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{ISO: t.UTC().Format(time.RFC3339Nano), Text: clock(t.In(v.zone), v.now.In(v.zone))}
}

// atTheirs returns a time for a page about a person, who may be in one of the zones.
func (v *visit) atTheirs(t time.Time, zones []string) moment {
	m := v.at(t)
	if t.IsZero() {
		return m
	}
	m.Theirs = theirs(t, v.now, v.zone, zones)
	return m
}

// theirs is a time where a person may be, "" where that is the viewer's time.
func theirs(t, now time.Time, viewer *time.Location, zones []string) string {
	first, last, n := time.Time{}, time.Time{}, 0
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			continue
		}
		local := t.In(zone)
		if n++; n == 1 {
			first, last = local, local
			continue
		}
		if offset(local) < offset(first) {
			first = local
		}
		if offset(local) > offset(last) {
			last = local
		}
	}
	switch {
	case n == 0, offset(first) == offset(t.In(viewer)) && offset(last) == offset(first):
		return ""
	case offset(first) == offset(last):
		return shortClock(first, t.In(viewer), now)
	}
	return shortClock(first, t.In(viewer), now) + " to " + shortClock(last, t.In(viewer), now)
}

// shortClock writes a time beside the same time in the viewer's zone: with its day only if
// that is another one.
func shortClock(t, viewers, now time.Time) string {
	if t.YearDay() == viewers.YearDay() {
		return t.Format("15:04")
	}
	if text := clock(t, now.In(t.Location())); !strings.HasSuffix(text, " today") {
		return text
	}
	return t.Format("15:04 Mon 2 Jan")
}

func offset(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}

// clock writes a time. now is in the same zone.
func clock(t, now time.Time) string {
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	switch day(t).Sub(day(now)) / (24 * time.Hour) {
	case 0:
		return t.Format("15:04:05") + " today"
	case 1:
		return t.Format("15:04") + " tomorrow"
	case -1:
		return t.Format("15:04") + " yesterday"
	}
	return t.Format("Mon 2 Jan 2006 15:04")
}

// The cookies with the name of a zone: the one that somebody has chosen, and the one that
// the browser has, which the script sets.
const zoneCookie, browserZoneCookie = "leadflow_zone", "leadflow_browser_zone"

// zoneOf returns the zone in which a browser wants its times.
func zoneOf(r *http.Request) *time.Location {
	for _, name := range []string{zoneCookie, browserZoneCookie} {
		if c, err := r.Cookie(name); err == nil {
			if text, err := url.QueryUnescape(c.Value); err == nil {
				if zone := loadZone(text); zone != nil {
					return zone
				}
			}
		}
	}
	return time.UTC
}

// loadZone returns a zone by its IANA name, or nil.
func loadZone(name string) *time.Location {
	if name == "" || name == "Local" || len(name) > 64 {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return zone
}

// span writes a duration to two places, such as "2 h 5 min".
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		n := d / u.size
		if n == 0 {
			continue
		}
		text := strconv.FormatInt(int64(n), 10) + " " + u.name
		if i+1 < len(units) {
			if m := (d - n*u.size) / units[i+1].size; m > 0 {
				text += " " + strconv.FormatInt(int64(m), 10) + " " + units[i+1].name
			}
		}
		return text
	}
	if d == 0 {
		return "0 s"
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10) + " ms"
}

// thousands writes a number with separators.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}
