// Package said understands what people say about when, in English: "tomorrow 4 PM",
// "Tuesday 10:30 AM", "evening 7", "05/06/2026 16:30", "in two hours", "half past four",
// "not before Friday".
//
// A text is understood as a whole or not at all: a word that it does not know may be the
// one that matters ("not tomorrow", "on my birthday at 4"), and a call at a wrong time is
// worse than one after the usual wait. Rules, where people leave something open:
//
//   - Without a day it is the next time that the clock shows that time. A day of the week
//     that is today is today if the time is still to come. "Next Tuesday" is a week later
//     only when today is Tuesday. A date that has passed is not understood; a date
//     without a year that has passed this year is next year's if that is within half a year.
//   - Dates with slashes, dots or dashes are day first, unless only month first is
//     possible or the year comes first.
//   - An hour alone is one of the business day: 8 to 11 in the morning, 12 to 7 after
//     noon; "evening 7" and "7 in the morning" are what they say. Of a span, "4 to 5 pm",
//     its beginning is meant, and of two alternatives the first. "Before 5" and "by 5" are
//     an hour earlier.
//   - A day without a time begins at 9:00, the morning at 9:00, the afternoon at 14:00, the
//     evening at 18:00, the night at 20:00. If that has passed of today or of "this
//     afternoon", it is an hour from now, as long as that belongs to it.
//   - A clock time that a change of the clocks skips is the first minute that exists; of one
//     that comes twice, it is the first that is still to come.
//
// There are libraries for this. Of 352 phrases of this package's test
// github.com/markusmobius/go-dateparser v1.4.7, the best of them, gives the right time for
// 122 and a wrong one for 65, of which 33 have a time of day; github.com/olebedev/when
// v1.1.0 114 and 105; github.com/tj/go-naturaldate v1.3.0 82 and 119. They search a text for
// what they know, so that "not tomorrow" is tomorrow, and they do not know which 7 an
// evening has.
package said
