package console

import (
	"math"
	"strconv"
)

// chart is a picture of bars, one for each span of time.
type chart struct {
	Caption string
	Summary string // what it shows, for those who do not see it
	Width   int
	Bars    []bar
	Lines   []chartLine
	Labels  []chartLabel
	Empty   string // what to say instead if there are no bars
}

type bar struct {
	X, Y, Width, Height string
	Title               string
}

type chartLine struct {
	Y    string
	Text string
}

type chartLabel struct {
	X    string
	Text string
}

// The size of a chart, and where its bars stand in it.
const (
	chartWidth, chartHeight = 960, 220
	chartLeft, chartTop     = 56, 12
	chartRight              = chartWidth - 20 // so that the last label has room
	chartBottom             = chartHeight - 28
)

// newChart draws bars. label names a bar, below every step-th of them; title says what it
// shows.
func newChart(caption, summary string, values []int64, step int, label, title func(i int) string) chart {
	c := chart{Caption: caption, Summary: summary, Width: chartWidth}
	most := int64(1)
	for _, n := range values {
		most = max(most, n)
	}
	unit := niceStep(float64(most) / 4)
	top := math.Ceil(float64(most)/unit) * unit
	y := func(n float64) float64 { return chartBottom - n/top*(chartBottom-chartTop) }
	for n := 0.0; n <= top; n += unit {
		c.Lines = append(c.Lines, chartLine{fixed(y(n)), thousands(int64(n))})
	}
	wide := float64(chartRight-chartLeft) / float64(max(len(values), 1))
	for i, n := range values {
		x := chartLeft + float64(i)*wide
		if n > 0 {
			height := max(chartBottom-y(float64(n)), 1.5)
			c.Bars = append(c.Bars, bar{fixed(x + wide*0.1), fixed(chartBottom - height), fixed(wide * 0.8), fixed(height), title(i)})
		}
		if i%step == 0 {
			c.Labels = append(c.Labels, chartLabel{fixed(x + wide/2), label(i)})
		}
	}
	return c
}

// niceStep returns the smallest of 1, 2, 5, 10, 20, 50, … that is at least so much.
func niceStep(least float64) float64 {
	for size := 1.0; ; size *= 10 {
		for _, factor := range []float64{1, 2, 5} {
			if size*factor >= least {
				return size * factor
			}
		}
	}
}

// fixed writes a coordinate.
func fixed(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }
