package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/engine/workflow/internal/said"
)

func (c *checker) timeConfig(r *reader, location string, raw json.RawMessage, n *compiled) {
	var text string
	var ways []string // besides duration
	var hasDuration, hasOtherwise bool
	length := func(to *Duration) func(string, json.RawMessage) {
		return func(location string, raw json.RawMessage) {
			r.duration(to)(location, raw)
			if !r.broken[location] && (*to <= 0 || *to > Duration(MaxDuration)) {
				r.fault(location, `is %v; must be greater than 0 and at most %v`, *to, Duration(MaxDuration))
			}
		}
	}
	evaluated := func(want expression.Wanted) func(string, json.RawMessage) {
		return func(location string, raw json.RawMessage) {
			if r.string(&text)(location, raw); !r.broken[location] {
				c.expression(r, location, text, want, n)
			}
		}
	}
	// way reads a field that is a way of its own to say how long.
	way := func(name string, read func(string, json.RawMessage)) field {
		return field{name, func(location string, raw json.RawMessage) {
			ways = append(ways, name)
			read(location, raw)
		}}
	}
	r.object(location, raw,
		field{"duration", func(location string, raw json.RawMessage) {
			hasDuration = true
			length(&n.wait)(location, raw)
		}},
		way("until", evaluated(expression.Time)),
		way("said", evaluated(expression.Text)),
		field{"otherwise", func(location string, raw json.RawMessage) {
			hasOtherwise = true
			length(&n.otherwise)(location, raw)
		}},
		way("signal", func(location string, raw json.RawMessage) {
			if r.string(&n.signal)(location, raw); r.broken[location] {
				return
			}
			if err := CheckSignal(n.signal); err != nil {
				r.fault(location, "%s", err)
			}
		}),
	)
	n.said, n.awaits = false, false
	if len(ways) == 1 {
		n.said, n.awaits = ways[0] == "said", ways[0] == "signal"
	}
	if n.said && !hasOtherwise {
		n.otherwise = Duration(DefaultOtherwise)
	}
	switch {
	case r.broken[location]:
	case len(ways) > 1:
		r.fault(location, "cannot have both %s and %s; remove one", strings.Join(ways[:len(ways)-1], ", "), ways[len(ways)-1])
	case n.awaits && !hasDuration:
		r.fault(location, `must have duration too, the time-out of the wait for the signal, such as "48h"`)
	case hasDuration && len(ways) == 1 && !n.awaits:
		r.fault(location, "cannot have both duration and %s; remove one", ways[0])
	case !hasDuration && len(ways) == 0:
		r.fault(location, `must have duration, such as "48h", or until (an expression that gives a time), or said (an expression that gives what the person said about when), or signal with duration (a name, and how long to wait for it)`)
	}
	if hasOtherwise && !n.said && len(ways) < 2 {
		r.fault(location+".otherwise", "must be left out: it belongs to said")
	}
}

// The range of years in which a wait may end. Other times cannot be stored as
// nanoseconds in 64 bits, and are mistakes rather than plans.
const firstYear, lastYear = 1970, 2261

// Until returns when a wait that begins now ends, in UTC: after the node's duration,
// which is the time-out of one that waits for a signal, or at the time that its
// expression gives, which may be in the past. It returns an error for a node of another
// type, for one with said (see [Graph.Said]), and when the evaluation fails (see
// [Graph.Test]) or gives anything but a time between the years 1970 and 2261.
func (g *Graph) Until(i int32, env *Env, now time.Time) (time.Time, error) {
	n := &g.nodes[i]
	switch {
	case g.def.Nodes[i].Type != Time:
		return time.Time{}, g.failed(i, errors.New("is not a time node"))
	case n.said:
		return time.Time{}, g.failed(i, errors.New("waits for what was said; its end depends on the person's time zone"))
	case n.refused != "":
		return time.Time{}, g.failed(i, fmt.Errorf("until: %s", n.refused))
	case n.expression == nil:
		return now.Add(time.Duration(n.wait)).UTC(), nil
	}
	result, err := evaluate(n.expression, env)
	if err != nil {
		return time.Time{}, g.failed(i, fmt.Errorf("until: %w", err))
	}
	until, ok := result.(time.Time)
	switch {
	case !ok:
		err := fmt.Errorf("until gives %s, not a time", expression.Describe(result))
		if _, ok := result.(string); ok {
			err = fmt.Errorf("%w; date(…) converts a string to a time", err)
		}
		return time.Time{}, g.failed(i, err)
	case until.UTC().Year() < firstYear || until.UTC().Year() > lastYear:
		return time.Time{}, g.failed(i, fmt.Errorf("until gives %s, which is not between the years %d and %d",
			until.UTC().Format(time.RFC3339), firstYear, lastYear))
	}
	return until.UTC(), nil
}

// NeedsZone reports whether when a wait at the time node ends depends on the time zone
// of the person: [Graph.Said] is for it then, and not [Graph.Until].
func (g *Graph) NeedsZone(i int32) bool { return g.nodes[i].said }

// Said returns when a wait that begins now ends, in UTC, at a time node whose
// expression gives what the person said about when: at the time that they named, on
// the clock of zone (nil means UTC), and always after now; or after the node's
// otherwise, if there was nothing said, or nothing that can be understood, or a time
// that has passed. Package said has the phrases. It returns an error for another node
// and when the evaluation fails (see [Graph.Test]).
func (g *Graph) Said(i int32, env *Env, now time.Time, zone *time.Location) (time.Time, error) {
	n := &g.nodes[i]
	switch {
	case !n.said:
		return time.Time{}, g.failed(i, errors.New("is not a time node with said"))
	case n.refused != "":
		return time.Time{}, g.failed(i, fmt.Errorf("said: %s", n.refused))
	}
	result, err := evaluate(n.expression, env)
	if err != nil {
		return time.Time{}, g.failed(i, fmt.Errorf("said: %w", err))
	}
	if zone == nil {
		zone = time.UTC
	}
	text, _ := textOf(result)
	until, ok := said.Parse(text, now, zone)
	if !ok || until.UTC().Year() > lastYear {
		until = now.Add(time.Duration(n.otherwise))
	}
	return until.UTC(), nil
}
