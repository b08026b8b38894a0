package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/hours"
	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// CallingHours say when attempts may start, on the clock of the person's time zone:
// that of the lead, or else that of its phone number, or else the workflow's
// TimeZone, or else UTC. Where the number has several zones, all of them must allow an
// attempt. A retry obeys them as a first attempt does.
type CallingHours struct {
	// Preset stands for windows: "us" is every day from 08:00 to 21:00. It is used
	// instead of Windows.
	Preset  string   `json:"preset,omitempty"`
	Windows []Window `json:"windows,omitempty"`
	// Holidays are dates, such as "2026-12-25", on which no attempt starts.
	Holidays []string `json:"holidays,omitempty"`
	// Spread is the time over which leads are dealt evenly when a window opens, so
	// that not all of them begin in its first minute; at most [MaxSpread].
	Spread Duration `json:"spread,omitempty"`
}

// Window is a part of the day, on some days of the week.
type Window struct {
	// Days are those on which the window begins; at least one.
	Days []Day `json:"days"`
	// From and To are times on a 24-hour clock, such as "09:00". To is the first minute
	// after the window, and may be "24:00". A window whose To is not after its From ends
	// the next day.
	From string `json:"from"`
	To   string `json:"to"`
}

// Day is a day of the week.
type Day string

// The days of the week.
const (
	Monday    Day = "mon"
	Tuesday   Day = "tue"
	Wednesday Day = "wed"
	Thursday  Day = "thu"
	Friday    Day = "fri"
	Saturday  Day = "sat"
	Sunday    Day = "sun"
)

// days lists the days in the order in which messages name them.
var days = []Day{Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday}

// weekday returns the day as package time has it. d is one of days.
func (d Day) weekday() time.Weekday { return time.Weekday((slices.Index(days, d) + 1) % 7) }

// presets are the names of the presets, in the order in which messages name them.
var presets = []string{"us"}

func (h *CallingHours) clone() *CallingHours {
	if h == nil {
		return nil
	}
	c := *h
	c.Windows = slices.Clone(h.Windows)
	for i := range c.Windows {
		c.Windows[i].Days = slices.Clone(c.Windows[i].Days)
	}
	c.Holidays = slices.Clone(h.Holidays)
	return &c
}

func (r *reader) callingHours(to **CallingHours) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		h := &CallingHours{}
		*to = h
		r.object(location, raw,
			field{"preset", r.string(&h.Preset)},
			field{"windows", func(location string, raw json.RawMessage) {
				r.filled(location, raw, MaxWindows, func(location string, raw json.RawMessage) {
					h.Windows = append(h.Windows, r.window(location, raw))
				})
			}},
			field{"holidays", r.strings(&h.Holidays, MaxHolidays)},
			field{"spread", r.duration(&h.Spread)},
		)
	}
}

func (r *reader) window(location string, raw json.RawMessage) Window {
	var w Window
	r.object(location, raw,
		field{"days", func(location string, raw json.RawMessage) {
			r.filled(location, raw, len(days), func(location string, raw json.RawMessage) {
				var day string
				r.string(&day)(location, raw)
				w.Days = append(w.Days, Day(day))
			})
		}},
		field{"from", r.string(&w.From)},
		field{"to", r.string(&w.To)},
	)
	return w
}

// callingHours checks and compiles calling hours; nil are none.
func (c *checker) callingHours(location string, h *CallingHours) []*hours.Hours {
	if h == nil {
		return nil
	}
	out := &hours.Hours{Spread: time.Duration(h.Spread)}
	switch known := slices.Contains(presets, h.Preset); {
	case h.Preset != "" && len(h.Windows) > 0:
		c.fault(location, "cannot have both preset and windows; remove one")
	case h.Preset != "" && !known:
		c.fault(location+".preset", "invalid preset %s; must be %s", expression.Quote(h.Preset), strings.Join(presets, ", "))
	case known:
		preset, _ := hours.Preset(h.Preset)
		out.Windows = slices.Clone(preset.Windows)
	case len(h.Windows) == 0 && !c.brokenIn(location):
		c.fault(location, `must have windows, such as [{"days": ["mon"], "from": "09:00", "to": "20:30"}], or preset`)
	}
	if len(h.Windows) > MaxWindows {
		c.fault(location+".windows", "%s", tooMany(len(h.Windows), MaxWindows))
		return nil
	}
	if len(h.Holidays) > MaxHolidays {
		c.fault(location+".holidays", "%s", tooMany(len(h.Holidays), MaxHolidays))
		return nil
	}
	for i := range h.Windows {
		out.Windows = append(out.Windows, c.window(at(location+".windows", i), &h.Windows[i]))
	}
	for i, text := range h.Holidays {
		date, err := time.Parse(time.DateOnly, text)
		location := at(location+".holidays", i)
		switch first := slices.Index(h.Holidays, text); {
		case err != nil:
			c.fault(location, `invalid date %s; write one such as "2026-12-25"`, expression.Quote(text))
		case first < i:
			c.fault(location, "duplicate date %s: see holidays[%d]", expression.Quote(text), first)
		}
		out.Holidays = append(out.Holidays, hours.Date{Year: date.Year(), Month: date.Month(), Day: date.Day()})
	}
	slices.SortFunc(out.Holidays, func(a, b hours.Date) int {
		return time.Date(a.Year, a.Month, a.Day, 0, 0, 0, 0, time.UTC).Compare(time.Date(b.Year, b.Month, b.Day, 0, 0, 0, 0, time.UTC))
	})
	switch {
	case h.Spread < 0:
		c.fault(location+".spread", "is %v; must not be negative", h.Spread)
	case h.Spread > Duration(MaxSpread):
		c.fault(location+".spread", "is %v; at most %v is allowed", h.Spread, Duration(MaxSpread))
	}
	return []*hours.Hours{out}
}

func (c *checker) window(location string, w *Window) hours.Window {
	out := hours.Window{From: c.clock(location+".from", w.From, "23:59"), To: c.clock(location+".to", w.To, "24:00")}
	if len(w.Days) == 0 && !c.isBroken(location) {
		c.fault(location+".days", "is required; name at least one of %s", list(days))
	}
	for i, day := range w.Days {
		location := at(location+".days", i)
		switch first := slices.Index(w.Days, day); {
		case !slices.Contains(days, day):
			c.fault(location, "invalid day %s; must be one of %s", expression.Quote(string(day)), list(days))
		case first < i:
			c.fault(location, "duplicate day %s: see days[%d]", expression.Quote(string(day)), first)
		default:
			out.Days[day.weekday()] = true
		}
	}
	return out
}

// clock returns the minutes since midnight of a time such as "09:00".
func (c *checker) clock(location, text, last string) int {
	if text == "" {
		c.fault(location, `is required; write a time such as "09:00"`)
		return 0
	}
	digits := func(s string) int {
		n := 0
		for _, r := range s {
			if r < '0' || r > '9' {
				return -1
			}
			n = 10*n + int(r-'0')
		}
		return n
	}
	if len(text) == len("09:00") && text[2] == ':' && text <= last {
		if hour, minute := digits(text[:2]), digits(text[3:]); hour >= 0 && minute >= 0 && minute < 60 {
			return 60*hour + minute
		}
	}
	c.fault(location, `invalid time %s; write one from "00:00" to "%s"`, expression.Quote(text), last)
	return 0
}

// Hours returns the calling hours that hold for attempts at the node, all of which
// must allow one: the workflow's and the node's. It is nil if there are none. They
// belong to the graph and must not be changed.
func (g *Graph) Hours(i int32) []*hours.Hours { return g.nodes[i].hours }

// AnyHours reports whether the workflow or any of its nodes has calling hours.
func (g *Graph) AnyHours() bool { return g.anyHours }

// TimeZone returns the IANA name of the time zone for leads whose own is unknown, "" for UTC.
func (g *Graph) TimeZone() string { return g.def.TimeZone }

// Warnings returns what is not wrong with the workflow, but cannot be meant: calling hours
// of a node that have no time in common with those of the workflow, so that no attempt at
// the node can ever start. Holidays are left out of account.
func (g *Graph) Warnings() []lead.FieldError { return slices.Clone(g.warnings) }

// findWarnings finds what Warnings returns.
func (g *Graph) findWarnings() {
	for i := range g.nodes {
		if len(g.nodes[i].hours) < 2 {
			continue
		}
		var all []*hours.Hours
		for _, h := range g.nodes[i].hours {
			all = append(all, &hours.Hours{Windows: h.Windows})
		}
		if _, _, ok := hours.Opening(all, nil, 0, time.Unix(0, 0)); !ok {
			g.warnings = append(g.warnings, lead.FieldError{
				Location: at("nodes", i) + ".calling_hours",
				Message: fmt.Sprintf("have no time in common with those of the workflow, so no attempt at node %q can ever start; change one of them",
					g.def.Nodes[i].ID),
			})
		}
	}
}
