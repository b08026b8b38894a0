// Package hours computes calling hours: when a person may be called by the clock on
// their wall.
//
// # When a moment is allowed
//
// Hours allow a moment in a time zone if the local clock then shows a time inside a
// window of the local date, or inside a window of the day before that ends the next
// day. The local date, and the date on which the window began, must not be holidays.
//
// All else follows from this rule, clock changes too. A window that begins at a minute
// that a change skips opens at the first minute that exists after it. One that begins
// at a minute that comes twice opens at the first. A minute that comes twice is allowed
// both times.
//
// Where several hours hold, or several time zones are possible, all must allow.
//
// # Spread
//
// Ten thousand leads that wait for nine o'clock should not all start at nine.
// [Hours.Spread] deals their openings evenly over a time after the window opens, each
// lead by its own share (see [Share] and [Opening]). Windows that touch or overlap are
// one window in this: where a window ends as another begins, nothing opens.
//
// # Concurrency
//
// Everything here may be used by several goroutines. Nothing changes its arguments.
package hours
