package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

// Exit completes a lead when a signal comes, wherever the lead is. A step in flight
// finishes first.
type Exit struct {
	Signal  string `json:"signal"`
	Outcome string `json:"outcome"` // that of the lead, such as "converted"
}

// Guard pauses the workflow when among its last steps too many had an outcome.
type Guard struct {
	Outcome string  `json:"outcome"`
	Share   float64 `json:"share"` // greater than 0, at most 1
	Of      int     `json:"of"`    // how many steps are looked at; 1 to [MaxGuard]
}

func (r *reader) exit(location string, raw json.RawMessage) Exit {
	var e Exit
	r.object(location, raw, field{"signal", r.string(&e.Signal)}, field{"outcome", r.string(&e.Outcome)})
	return e
}

func (r *reader) guard(to **Guard) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		g := &Guard{}
		*to = g
		r.object(location, raw, field{"outcome", r.string(&g.Outcome)}, field{"share", r.number(&g.Share)}, field{"of", r.positive(&g.Of)})
	}
}

// rules checks what a workflow says about all of its leads.
func (c *checker) rules() {
	d := c.d
	if d.TimeZone != "" {
		// "Local" would be another zone on every machine.
		if _, err := time.LoadLocation(d.TimeZone); err != nil || d.TimeZone == "Local" {
			c.fault("time_zone", `%s is not an IANA time zone such as "Europe/Berlin"`, expression.Quote(d.TimeZone))
		}
	}
	c.hours = c.callingHours("calling_hours", d.CallingHours)
	c.limits("limits", d.Limits, true)
	c.exits()
	if d.Priority != 0 {
		c.count("priority", d.Priority, MaxPriority)
	}
	if g := d.Guard; g != nil {
		c.required("guard.outcome", g.Outcome, MaxLabel)
		if !(g.Share > 0 && g.Share <= 1) {
			c.fault("guard.share", "is %v; must be greater than 0 and at most 1, such as 0.2", g.Share)
		}
		c.count("guard.of", g.Of, MaxGuard)
	}
}

func (c *checker) exits() {
	if len(c.d.Exits) > MaxExits {
		c.fault("exits", "%s", tooMany(len(c.d.Exits), MaxExits))
		return
	}
	first := map[string]int{}
	for i, e := range c.d.Exits {
		location := at("exits", i)
		c.required(location+".signal", e.Signal, MaxSignal)
		c.required(location+".outcome", e.Outcome, MaxLabel)
		if j, taken := first[e.Signal]; taken && e.Signal != "" {
			c.fault(location+".signal", "duplicate signal %s: see exits[%d]", expression.Quote(e.Signal), j)
			continue
		}
		first[e.Signal] = i
	}
}

// count checks a number that must be from 1 to most.
func (c *checker) count(location string, n, most int) {
	if n < 1 || n > most {
		c.fault(location, "is %d; must be from 1 to %d", n, most)
	}
}

// required checks a word that must be there.
func (c *checker) required(location, text string, most int) {
	if text == "" {
		c.fault(location, "is required")
		return
	}
	c.word(location, text, most)
}

// word checks a string that programs compare.
func (c *checker) word(location, text string, most int) {
	if message := wordFault(text, most); message != "" {
		c.fault(location, "%s", message)
	}
}

func wordFault(text string, most int) string {
	switch {
	case len(text) > most:
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(text), most)
	case !plainLabel(text):
		return fmt.Sprintf("invalid value %s; it must be UTF-8 without control characters, and not begin or end with a space", expression.Quote(text))
	}
	return ""
}

// CheckSignal reports, as a [lead.InvalidError], why a signal cannot have that name.
func CheckSignal(name string) error {
	if name == "" {
		return refused("is required; name the signal")
	}
	if message := wordFault(name, MaxSignal); message != "" {
		return refused("%s", message)
	}
	return nil
}

// Exit returns the outcome with which a signal completes leads, or false if it does not.
func (g *Graph) Exit(signal string) (outcome string, ok bool) {
	for i := range g.def.Exits {
		if e := &g.def.Exits[i]; e.Signal == signal {
			return e.Outcome, true
		}
	}
	return "", false
}

// Awaits returns the signal for which the time node waits, "" if it waits for none. Its
// outcomes, for [Graph.Next], are [SignalOutcome] and [TimeoutOutcome].
func (g *Graph) Awaits(i int32) (signal string) { return g.nodes[i].signal }

// AnySignal reports whether some time node waits for the signal.
func (g *Graph) AnySignal(name string) bool { return name != "" && g.signals[name] }

// Priority weighs the workflow's share of limits that it shares with others; at least 1.
func (g *Graph) Priority() int { return max(g.def.Priority, 1) }

// Guard returns the workflow's guard, nil if it has none. It must not be changed.
func (g *Graph) Guard() *Guard { return g.def.Guard }

// plainRateKey reports whether a node's rate key is a name; if not, it is an expression.
func plainRateKey(text string) bool {
	for _, root := range []string{"lead", "metadata", "steps"} {
		if rest, ok := strings.CutPrefix(text, root); ok && (rest == "" || rest[0] == '.') {
			return false
		}
	}
	return plainID(text)
}

// RateKey returns the rate key that the action node names for a lead's attempts there,
// "" if it names none, as when its expression gives null. Of the env it reads what
// [Graph.NeedsContact] and [Graph.ReadsSteps] say. It returns an error when the
// evaluation fails (see [Graph.Test]) or gives anything but a string or a number, or a
// string of more than [MaxRateKey] bytes.
func (g *Graph) RateKey(i int32, env *Env) (string, error) {
	n := &g.nodes[i]
	switch {
	case !g.def.Nodes[i].Type.Action():
		return "", g.failed(i, errors.New("is not an action node"))
	case n.refused != "":
		return "", g.failed(i, fmt.Errorf("rate_key: %s", n.refused))
	case n.expression == nil:
		return g.def.Nodes[i].RateKey, nil
	}
	result, err := evaluate(n.expression, env)
	if err != nil {
		return "", g.failed(i, fmt.Errorf("rate_key: %w", err))
	}
	key, ok := textOf(result)
	switch {
	case !ok:
		return "", g.failed(i, fmt.Errorf("rate_key gives %s, not a string", expression.Describe(result)))
	case len(key) > MaxRateKey:
		return "", g.failed(i, fmt.Errorf("rate_key gives a string of %d bytes; at most %d are allowed", len(key), MaxRateKey))
	}
	return key, nil
}

// EvaluatesRateKey reports whether the node's rate key is an expression, so that it
// may differ from lead to lead.
func (g *Graph) EvaluatesRateKey(i int32) bool {
	return g.def.Nodes[i].Type.Action() && (g.nodes[i].expression != nil || g.nodes[i].refused != "")
}

// textOf returns the result of an expression that gives a text. Null is no text, and a
// number the text of its digits.
func textOf(result any) (string, bool) {
	switch v := result.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number, int, int64, float64:
		return fmt.Sprint(v), true
	}
	return "", false
}
