package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/leadflow-go/leadflow/engine/enginetest"
)

// The picture's size, and where the axes stand in it.
const (
	pictureWidth, pictureHeight = 1000, 420
	leastLeft, axisRight        = 90, 970
	axisTop, axisBottom         = 70, 350
)

// draw returns the calls begun in each hour as an SVG picture.
func (s *simulation) draw(sum *enginetest.Summary) string {
	perHour := sum.Calls.PerHour
	hours := max(int(math.Ceil(s.length().Hours())), len(perHour), 1)
	most := 0
	for _, n := range perHour {
		most = max(most, n)
	}
	unit := niceStep(float64(max(most, 1)) / 5)
	top := math.Ceil(float64(max(most, 1))/unit) * unit
	// The longest label of an axis fits in beside the axis's title, which ends at 30.
	axisLeft := max(leastLeft, 30+digitWidth*len(thousands(int(top)))+8)
	x := func(hour int) float64 {
		return float64(axisLeft) + float64(hour)/float64(hours)*float64(axisRight-axisLeft)
	}
	y := func(calls float64) float64 { return axisBottom - calls/top*(axisBottom-axisTop) }

	var b strings.Builder
	title := "Calls begun in each hour: " + printable(s.def.Name)
	from := s.start.UTC().Format("Monday 2006-01-02 15:04 MST")
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="sans-serif" font-size="13" fill="#333">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="%d" y="30" font-size="18">%s</text>
<text x="%[4]d" y="50" fill="#666">%[6]s leads, seed %d; %s calls, at most %s at once</text>
`, pictureWidth, pictureHeight, escapeXML(title), axisLeft, escapeXML(fitting(title, pictureWidth-axisLeft-10)), thousands(sum.Leads), s.seed, thousands(sum.Calls.Made), thousands(sum.Calls.MostAtOnce))

	line := func(x1, y1, x2, y2 float64, color string) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, color)
	}
	var labels strings.Builder
	for calls := 0.0; calls <= top; calls += unit {
		line(x(0), y(calls), axisRight, y(calls), "#ddd")
		fmt.Fprintf(&labels, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", axisLeft-8, y(calls)+4, thousands(int(calls)))
	}
	every, name := timeStep(hours)
	for hour := 0; hour <= hours; hour += every {
		line(x(hour), axisBottom, x(hour), axisBottom+5, "#333")
		fmt.Fprintf(&labels, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(hour), axisBottom+20, hour/unitHours[name])
	}

	// One outline of all bars, each as wide as its hour but wide enough to be seen.
	fmt.Fprintf(&b, `<path fill="#2f6fab" d="M%.2f %d`, x(0), axisBottom)
	for hour, n := range perHour {
		if n > 0 {
			fmt.Fprintf(&b, "M%.2f %dV%.2fH%.2fV%[2]dZ", x(hour), axisBottom, y(float64(n)), max(x(hour+1), x(hour)+1.5))
		}
	}
	b.WriteString("\"/>\n")
	line(x(0), axisBottom, axisRight, axisBottom, "#333")
	b.WriteString(labels.String())
	if most == 0 {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" font-size="18" fill="#666">no calls</text>`+"\n", (axisLeft+axisRight)/2, (axisTop+axisBottom)/2)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s since %s</text>`+"\n", (axisLeft+axisRight)/2, axisBottom+48, name, from)
	middle := (axisTop + axisBottom) / 2
	fmt.Fprintf(&b, `<text x="22" y="%d" text-anchor="middle" transform="rotate(-90 22 %[1]d)">calls per hour</text>`+"\n</svg>\n", middle)
	return b.String()
}

// digitWidth is about how wide a digit is at most, of the fonts that a viewer has
// for font-size 13.
const digitWidth = 9

// fitting returns as much of a title, in font-size 18, as fits into a width. The
// viewer's font is not known; the widths are those of a wide one.
func fitting(title string, width int) string {
	before := 0 // where the letter before begins, which gives way to the …
	for i, r := range title {
		switch {
		case r >= 0x1100: // where the scripts of wide letters begin
			width -= 18
		case unicode.IsUpper(r) || strings.ContainsRune("mw@%", r):
			width -= 16
		default:
			width -= 11
		}
		if width < 0 {
			return strings.TrimRight(title[:before], " ") + "…"
		}
		before = i
	}
	return title
}

// niceStep returns the smallest of 1, 2, 5, 10, 20, 50, … that is at least so
// much.
func niceStep(least float64) float64 {
	for size := 1.0; ; size *= 10 {
		for _, factor := range []float64{1, 2, 5} {
			if size*factor >= least {
				return size * factor
			}
		}
	}
}

var unitHours = map[string]int{"hours": 1, "days": 24}

// timeStep returns how many hours lie between two labels of the time axis, and
// in which unit they count.
func timeStep(hours int) (every int, unit string) {
	const mostLabels = 16
	if hours <= 48 {
		return int(niceStep(float64(hours) / mostLabels)), "hours"
	}
	days := float64(hours) / 24
	return 24 * int(niceStep(days/mostLabels)), "days"
}

func escapeXML(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}
