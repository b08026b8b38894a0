package hours

import "time"

// Hours say when attempts are allowed.
type Hours struct {
	// Windows are the times of the week that are allowed; without any, none is. They
	// may overlap.
	Windows []Window
	// Holidays are local dates on which nothing is allowed, and on which no window
	// begins. They must be sorted, the earliest first.
	Holidays []Date
	// Spread is how long the openings of different leads may lie apart. More than a
	// week counts as a week, less than 0 as 0.
	Spread time.Duration
}

// Window is a time of the day, on some days of the week.
type Window struct {
	// Days are the days on which it begins, by [time.Weekday].
	Days [7]bool
	// From and To are minutes since local midnight, 0 to 1440. From is in the window,
	// To is not. A window whose To is not after its From ends the next day.
	From, To int
}

// Date is a day of the calendar.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// Compare returns -1, 0 or +1 if d is before, the same as, or after e.
func (d Date) Compare(e Date) int {
	switch a, b := d.order(), e.order(); {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (d Date) order() int { return (d.Year*16+int(d.Month))*32 + d.Day }

// Preset returns the hours of a name: "us" is every day 08:00 to 21:00, the hours in
// which the telephone rules of the United States (47 CFR 64.1200(c)(1)) allow sales
// calls. It reports whether there are hours of that name.
func Preset(name string) (Hours, bool) {
	if name != "us" {
		return Hours{}, false
	}
	every := [7]bool{true, true, true, true, true, true, true}
	return Hours{Windows: []Window{{Days: every, From: 8 * 60, To: 21 * 60}}}, true
}
