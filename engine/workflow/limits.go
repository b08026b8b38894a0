package workflow

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// Limit bounds attempts. It has exactly one of InFlight, Starts and PerContact. An
// attempt that would exceed a limit waits, without using up an attempt of its step's
// retry.
//
// A start counts from its commit on, and for the span that begins when the handler is
// called, so that no span holds more by the provider's record, however late the handler was.
// There are two exceptions. After a crash, starts whose handlers were called less than a
// second late count as of their commits. And where several engines share a store, they
// count Starts by the commits, on the clock of the server: a handler is called at the
// latest when its engine's lease runs out, so starts before and after one that was so late
// may be closer together, by as much as that.
type Limit struct {
	// Channel is the type of the action nodes whose attempts count; "" means all. A
	// limit of a node has none.
	Channel NodeType `json:"channel,omitempty"`
	// RateKey, if not "", makes only attempts with that rate key count. The key is that
	// which [Node.RateKey] gives, or else the handler. A limit of a node has none.
	RateKey string `json:"rate_key,omitempty"`

	// InFlight is how many attempts may be in flight at any instant. A call that waits
	// for its callback is in flight; a queued retry is not counted.
	InFlight int `json:"in_flight,omitempty"`
	// Starts is how many attempts may start in any span of the length Per.
	Starts int `json:"starts,omitempty"`
	// PerContact is how many attempts to one person may start in any span of the length
	// Per.
	PerContact int      `json:"per_contact,omitempty"`
	Per        Duration `json:"per,omitempty"` // from 1ms to [MaxLimitSpan]
}

// ParseLimits reads limits that hold for all workflows from JSON: an object with the
// field limits, an array. The error is a *[lead.InvalidError] that names every fault.
func ParseLimits(data []byte) ([]Limit, error) {
	refuse := func(faults []lead.FieldError) ([]Limit, error) {
		return nil, &lead.InvalidError{Subject: "limits", Faults: faults}
	}
	if fault, ok := checkSyntax(data); !ok {
		return refuse([]lead.FieldError{fault})
	}
	r := &reader{}
	var limits []Limit
	r.object("", data, field{"limits", r.limits(&limits)})
	c := &checker{broken: r.broken}
	if limits == nil && len(r.faults) == 0 {
		c.fault("limits", "is required; write [] for no limits")
	}
	c.limits("limits", limits, true)
	if faults := append(r.faults, c.faults...); len(faults) > 0 {
		return refuse(faults)
	}
	return limits, nil
}

// CheckLimits returns nil, or a *[lead.InvalidError] that names every fault of limits
// that hold for all workflows.
func CheckLimits(limits []Limit) error {
	c := &checker{}
	c.limits("limits", limits, true)
	if len(c.faults) > 0 {
		return &lead.InvalidError{Subject: "limits", Faults: c.faults}
	}
	return nil
}

func (r *reader) limits(to *[]Limit) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		*to = []Limit{}
		r.array(location, raw, MaxLimits, func(location string, raw json.RawMessage) {
			var l Limit
			var channel string
			r.object(location, raw,
				field{"channel", r.string(&channel)},
				field{"rate_key", r.string(&l.RateKey)},
				field{"in_flight", r.positive(&l.InFlight)},
				field{"starts", r.positive(&l.Starts)},
				field{"per_contact", r.positive(&l.PerContact)},
				field{"per", r.duration(&l.Per)},
			)
			l.Channel = NodeType(channel)
			*to = append(*to, l)
		})
	}
}

// limits checks limits. scoped: they hold for more than one node, so that they may
// choose among attempts.
func (c *checker) limits(location string, limits []Limit, scoped bool) {
	if len(limits) > MaxLimits {
		c.fault(location, "%s", tooMany(len(limits), MaxLimits))
		return
	}
	for i := range limits {
		c.limit(at(location, i), &limits[i], scoped)
	}
}

var channels = []NodeType{VoiceCall, Message, Application}

func (c *checker) limit(location string, l *Limit, scoped bool) {
	kinds := 0
	for _, n := range []struct {
		name  string
		value int
	}{{"in_flight", l.InFlight}, {"starts", l.Starts}, {"per_contact", l.PerContact}} {
		if n.value != 0 {
			kinds++
			c.count(location+"."+n.name, n.value, MaxLimit)
		}
	}
	switch {
	case kinds > 1:
		c.fault(location, "must have exactly one of in_flight, starts, per_contact; write a limit for each")
	case kinds == 0 && !c.brokenIn(location):
		c.fault(location, "must have one of in_flight, starts, per_contact")
	case l.InFlight != 0 && l.Per != 0:
		c.fault(location+".per", "must be left out: in_flight holds at every instant")
	case l.InFlight == 0 && l.Per == 0 && !c.brokenIn(location):
		c.fault(location+".per", `is required; write the span for which the limit holds, such as "1m"`)
	case l.Per != 0 && (l.Per < Duration(time.Millisecond) || l.Per > Duration(MaxLimitSpan)):
		c.fault(location+".per", "is %v; must be from 1ms to %v", l.Per, Duration(MaxLimitSpan))
	}
	switch {
	case l.Channel == "":
	case !scoped:
		c.fault(location+".channel", "must be left out: a limit of a node counts all attempts at the node")
	case !slices.Contains(channels, l.Channel):
		c.fault(location+".channel", "invalid channel %s; must be one of %s", expression.Quote(string(l.Channel)), list(channels))
	}
	switch {
	case l.RateKey == "":
	case !scoped:
		c.fault(location+".rate_key", "must be left out: a limit of a node counts all attempts at the node")
	default:
		c.word(location+".rate_key", l.RateKey, MaxRateKey)
	}
}

// Limits returns the limits that hold for attempts at the node: those of the workflow
// that count attempts of the node's type, whatever their rate key, then the node's own.
// A limit of the workflow is the same pointer at all nodes. They must not be changed.
func (g *Graph) Limits(i int32) []*Limit { return g.nodes[i].limits }

// AnyLimits reports whether the workflow or any of its nodes has a limit.
func (g *Graph) AnyLimits() bool { return g.anyLimits }

// findRules gives each node the calling hours and the limits that hold there.
func (g *Graph) findRules(c *checker) {
	g.anyHours, g.anyLimits = c.hours != nil, len(g.def.Limits) > 0
	for i := range g.nodes {
		n, def := &g.nodes[i], &g.def.Nodes[i]
		g.anyHours = g.anyHours || n.hours != nil
		g.anyLimits = g.anyLimits || len(def.Limits) > 0
		n.hours = append(slices.Clip(c.hours), n.hours...) // the same list where a node has none of its own
		for j := range g.def.Limits {
			if l := &g.def.Limits[j]; def.Type.Action() && (l.Channel == "" || l.Channel == def.Type) {
				n.limits = append(n.limits, l)
			}
		}
		for j := range def.Limits {
			n.limits = append(n.limits, &def.Limits[j])
		}
	}
}
