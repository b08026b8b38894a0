package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine/internal/hours"
	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// Validate returns nil, or a *[lead.InvalidError] that names every fault of the
// definition at once, each with its location and what to do about it, but no more
// than a hundred. Of a definition with more than [MaxNodes] nodes or [MaxEdges]
// edges it reports only that.
func (d *Definition) Validate() error {
	c := &checker{d: d}
	c.check()
	if len(c.faults) > 0 {
		return invalid(c.faults)
	}
	return nil
}

// checker finds the faults of a definition and compiles it in the same pass.
type checker struct {
	d      *Definition
	faults []lead.FieldError
	// broken are the locations for which a reader has reported a fault.
	broken map[string]bool

	// shapeKnown: all ids and edges could be read. If not, a node or an edge may be
	// missing for that reason, which is no fault of its own.
	shapeKnown bool

	index map[string]int32 // by node id; of equal ids the first
	nodes []compiled
	hours []*hours.Hours // of the workflow

	kept                  bool // an expression that cannot be compiled is no fault
	expressions, patterns int  // what those compiled so far have, see MaxExpressions and MaxPatterns
}

func (c *checker) fault(location, format string, args ...any) {
	if len(c.faults) > maxFaults || c.isBroken(location) {
		return
	}
	c.faults = append(c.faults, lead.FieldError{Location: location, Message: fmt.Sprintf(format, args...)})
}

// isBroken reports whether a reader has reported a fault at the location, or at
// one that contains it.
func (c *checker) isBroken(location string) bool {
	if len(c.broken) == 0 {
		return false
	}
	for end, r := range location {
		if (r == '.' || r == '[') && c.broken[location[:end]] {
			return true
		}
	}
	return c.broken[location] || c.broken[""]
}

// brokenIn reports whether a reader has reported a fault at a field of the location.
func (c *checker) brokenIn(location string) bool {
	for broken := range c.broken {
		if rest, ok := strings.CutPrefix(broken, location); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return c.isBroken(location)
}

func (c *checker) check() {
	c.shapeKnown = c.readShape()
	if len(c.d.Nodes) > MaxNodes {
		c.fault("nodes", "%s", tooMany(len(c.d.Nodes), MaxNodes))
	}
	if len(c.d.Edges) > MaxEdges {
		c.fault("edges", "%s", tooMany(len(c.d.Edges), MaxEdges))
	}
	if len(c.faults) > 0 {
		return
	}
	if strings.TrimSpace(c.d.Name) == "" {
		c.fault("name", "is required")
	}
	c.text("name", c.d.Name, MaxName)
	c.text("description", c.d.Description, MaxDescription)
	c.ids()
	c.entry()
	c.rules()
	for i := range c.d.Nodes {
		if len(c.faults) > maxFaults {
			return
		}
		c.node(int32(i), &c.d.Nodes[i])
	}
	c.edges()
	if c.shapeKnown {
		c.unreachable()
		c.cycles()
	}
}

// text checks a string that is shown to people.
func (c *checker) text(location, text string, most int) {
	if len(text) > most {
		c.fault(location, "is %d bytes long; at most %d are allowed", len(text), most)
	}
	if !utf8.ValidString(text) {
		c.fault(location, "must be UTF-8")
	}
}

func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func (c *checker) ids() {
	c.index = make(map[string]int32, len(c.d.Nodes))
	c.nodes = make([]compiled, len(c.d.Nodes))
	if len(c.d.Nodes) == 0 {
		c.fault("nodes", "must not be empty; a workflow has at least one node")
	}
	for i := range c.d.Nodes {
		c.nodes[i].after = noNode
		id, location := c.d.Nodes[i].ID, at("nodes", i)+".id"
		switch first, taken := c.index[id]; {
		case id == "":
			c.fault(location, "is required")
			continue
		case len(id) > MaxID:
			c.fault(location, "is %d bytes long; at most %d are allowed", len(id), MaxID)
		case !plainID(id):
			c.fault(location, `invalid id %s; use letters, digits, "_", "-" and "."`, expression.Quote(id))
		case taken:
			c.fault(location, "duplicate id %s: see nodes[%d]", expression.Quote(id), first)
			continue
		}
		if _, taken := c.index[id]; !taken {
			c.index[id] = int32(i)
		}
	}
}

// CheckHandler reports, as a [lead.InvalidError], why a step handler cannot have that
// name.
func CheckHandler(name string) error {
	switch {
	case name == "":
		return refused("a handler needs a name")
	case len(name) > MaxHandler:
		return refused("is %d bytes long; at most %d are allowed", len(name), MaxHandler)
	case !plainID(name):
		return refused(`invalid handler name %s; use letters, digits, "_", "-" and "."`, expression.Quote(name))
	}
	return nil
}

func plainID(id string) bool {
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.') {
			return false
		}
	}
	return true
}

func (c *checker) known(id string) bool {
	_, ok := c.index[id]
	// If some ids could not be read, a missing one may be among them.
	return ok || !c.shapeKnown
}

func (c *checker) readShape() bool {
	for location := range c.broken {
		list, rest, _ := strings.Cut(location, "[")
		_, rest, _ = strings.Cut(rest, "]")
		if list == "nodes" && (rest == "" || rest == ".id" || rest == ".type") || list == "edges" {
			return false
		}
	}
	return true
}

func (c *checker) entry() {
	switch {
	case c.d.Entry == "":
		c.fault("entry", "is required; name the node at which leads begin")
	case len(c.d.Nodes) > 0 && !c.known(c.d.Entry):
		c.fault("entry", "unknown node %s", expression.Quote(c.d.Entry))
	}
}

func (c *checker) node(i int32, n *Node) {
	location := at("nodes", int(i))
	c.text(location+".label", n.Label, MaxLabel)
	switch {
	case n.Type == "":
		c.fault(location+".type", "is required; must be one of %s", list(nodeTypes))
	case !slices.Contains(nodeTypes, n.Type):
		c.fault(location+".type", "invalid type %s; must be one of %s", expression.Quote(string(n.Type)), list(nodeTypes))
	default:
		c.actionOnly(location, n, &c.nodes[i])
	}
	c.config(location+".config", i, n)
}

// list names values, for a message.
func list[T ~string](values []T) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return strings.Join(names, ", ")
}

// actionOnly checks the fields that say how a step handler runs.
func (c *checker) actionOnly(location string, n *Node, to *compiled) {
	if !n.Type.Action() {
		if n.Handler != "" {
			c.fault(location+".handler", "must be left out: a %s node has no handler", n.Type)
		}
		if n.Retry != nil {
			c.fault(location+".retry", "must be left out: a %s node has no attempts", n.Type)
		}
		if n.Timeout != 0 {
			c.fault(location+".timeout", "must be left out: a %s node has no step in flight", n.Type)
		}
		if n.Unknown != "" {
			c.fault(location+".unknown", "must be left out: a %s node has no attempts", n.Type)
		}
		if n.CallingHours != nil {
			c.fault(location+".calling_hours", "must be left out: a %s node has no attempts", n.Type)
		}
		if len(n.Limits) > 0 {
			c.fault(location+".limits", "must be left out: a %s node has no attempts", n.Type)
		}
		if n.RateKey != "" {
			c.fault(location+".rate_key", "must be left out: a %s node has no attempts", n.Type)
		}
		return
	}
	to.hours = c.callingHours(location+".calling_hours", n.CallingHours)
	c.limits(location+".limits", n.Limits, false)
	c.rateKey(location+".rate_key", n.RateKey, to)
	if n.Handler != "" {
		if err := CheckHandler(n.Handler); err != nil {
			c.fault(location+".handler", "%s", err)
		}
	}
	c.length(location+".timeout", n.Timeout, "must not be negative; leave it out for 1h")
	if n.Unknown != "" && !slices.Contains(unknowns, n.Unknown) {
		c.fault(location+".unknown", "invalid value %s; must be one of %s", expression.Quote(string(n.Unknown)), list(unknowns))
	}
	if n.Retry == nil {
		return
	}
	r, location := n.Retry, location+".retry"
	if r.MaxAttempts < 1 || r.MaxAttempts > MaxAttempts {
		c.fault(location+".max_attempts", "is %d; must be from 1 to %d", r.MaxAttempts, MaxAttempts)
	}
	if r.MaxAttempts > 1 && r.Delay == 0 {
		c.fault(location+".delay", `must be greater than 0; write how long to wait before the next attempt, such as "30m"`)
	}
	c.length(location+".delay", r.Delay, "must not be negative")
	c.length(location+".max_delay", r.MaxDelay, "must not be negative")
	if math.IsNaN(r.Backoff) || math.IsInf(r.Backoff, 0) || r.Backoff != 0 && r.Backoff < 1 {
		c.fault(location+".backoff", "is %v; must be at least 1, or left out for waits of equal length", r.Backoff)
	}
	if r.MaxDelay > 0 && r.MaxDelay < r.Delay {
		c.fault(location+".max_delay", "is %v; must not be less than delay, %v", r.MaxDelay, r.Delay)
	}
}

func (c *checker) rateKey(location, key string, n *compiled) {
	switch {
	case key == "" || plainRateKey(key) && len(key) <= MaxRateKey:
	case plainRateKey(key):
		c.fault(location, "is %d bytes long; at most %d are allowed", len(key), MaxRateKey)
	default:
		r := &reader{}
		c.expression(r, location, key, expression.Text, n)
		for _, f := range r.faults {
			c.fault(f.Location, `is not a name (letters, digits, "_", "-" and "."), and as an expression: %s`, f.Message)
		}
	}
}

func (c *checker) length(location string, d Duration, negative string) {
	switch {
	case d < 0:
		c.fault(location, "is %v; %s", d, negative)
	case d > Duration(MaxDuration):
		c.fault(location, "is %v; at most %v is allowed", d, Duration(MaxDuration))
	}
}

// config checks a node's config and compiles what is in it.
func (c *checker) config(location string, i int32, n *Node) {
	raw := bytes.TrimSpace(n.Config)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		raw = []byte("{}")
	}
	switch {
	case len(raw) > MaxConfig:
		c.fault(location, "is %d bytes long; at most %d are allowed", len(raw), MaxConfig)
		return
	case bytes.HasPrefix(raw, []byte(unencodable)):
		c.fault(location, "%s", expression.Shorten(string(raw)))
		return
	case !json.Valid(raw):
		c.fault(location, "invalid JSON")
		return
	case raw[0] != '{':
		c.fault(location, "must be an object, not %s", kindOf(raw))
		return
	}
	r := &reader{}
	switch {
	case n.Type == Time:
		c.timeConfig(r, location, raw, &c.nodes[i])
	case n.Type == Conditional:
		c.conditionalConfig(r, location, raw, &c.nodes[i])
	case n.Type == Split:
		c.splitConfig(r, location, raw, i)
	case n.Type.Terminal():
		r.object(location, raw)
	}
	for _, f := range r.faults {
		c.fault(f.Location, "%s", f.Message)
	}
}

func (c *checker) conditionalConfig(r *reader, location string, raw json.RawMessage, n *compiled) {
	var source, match string
	var hasExpression, hasConditions, hasMatch bool
	r.object(location, raw,
		field{"expression", func(location string, raw json.RawMessage) {
			hasExpression = true
			if r.string(&source)(location, raw); !r.broken[location] {
				c.expression(r, location, source, expression.Bool, n)
			}
		}},
		field{"conditions", func(location string, raw json.RawMessage) {
			hasConditions = true
			n.conditions = r.conditions(location, raw, c.known)
		}},
		field{"match", func(location string, raw json.RawMessage) {
			hasMatch = true
			if r.string(&match)(location, raw); !r.broken[location] && match != matchAll && match != matchAny {
				r.fault(location, `invalid value %s; must be one of "all", "any"`, expression.Quote(match))
			}
		}},
	)
	switch {
	case hasExpression && hasConditions:
		r.fault(location, "cannot have both expression and conditions; remove one")
	case !hasExpression && !hasConditions:
		r.fault(location, "must have expression or conditions")
	case hasExpression && hasMatch:
		r.fault(location+".match", "cannot be combined with expression; it belongs to conditions")
	}
	n.one = match == matchAny
}

// expression compiles the expression of a node. Of a workflow that is kept, one that
// cannot be compiled is no fault: it is one whose evaluation fails.
func (c *checker) expression(r *reader, location, source string, want expression.Wanted, n *compiled) {
	before := len(r.faults)
	n.expression = c.program(r, location, source, want)
	switch faults := r.faults[before:]; {
	case !c.kept:
	case len(faults) > 0:
		n.refused = faults[0].Message
		n.expression, r.faults = nil, r.faults[:before]
	case n.expression == nil:
		n.refused = "the expressions of this workflow are too large in total"
	}
}

// program compiles; it returns nil after a fault. When the expressions of the
// workflow are too large in total, that is reported once, and the rest is skipped.
func (c *checker) program(r *reader, location, source string, want expression.Wanted) *expression.Program {
	if c.expressions > MaxExpressions || c.patterns > MaxPatterns {
		return nil
	}
	if c.expressions += len(source); c.expressions > MaxExpressions {
		r.fault(location, "the expressions of this workflow have more than %d bytes in total; at most that many are allowed", MaxExpressions)
		return nil
	}
	compiled, faults := expression.Compile(source, want, c.known)
	for _, message := range faults {
		r.fault(location, "%s", message)
	}
	if compiled == nil {
		return nil
	}
	if c.patterns += compiled.Parts; c.patterns > MaxPatterns {
		r.fault(location, "the patterns of this workflow have more than %d parts in total; at most that many are allowed", MaxPatterns)
	}
	return compiled
}

// plainLabel reports whether a label looks different from every other label.
func plainLabel(label string) bool {
	return utf8.ValidString(label) && strings.TrimSpace(label) == label && !strings.ContainsFunc(label, unicode.IsControl)
}
