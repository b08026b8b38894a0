package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// answersReader reads the --answers file. It is strict, because a misspelled name
// would silently change the figures, and it goes on after a
// fault, so that it can name them all.
type answersReader struct {
	faults []lead.FieldError
	// outcomes are the places in the file where outcomes stand, by node.
	outcomes map[string][]located
	removeOn []located
}

// located is a value of a JSON text, and where it stands.
type located struct {
	line  int
	path  string
	name  string // of a member of an object
	value any    // a string, float64, bool, nil, jsonList or jsonObject
}

// What a located value is if it is an array or an object.
type (
	jsonList   []located
	jsonObject []located
)

func (r *answersReader) fault(at located, format string, args ...any) {
	location := fmt.Sprintf("line %d", at.line)
	if at.path != "" {
		location += ", " + at.path
	}
	r.faults = append(r.faults, lead.FieldError{Location: location, Message: fmt.Sprintf(format, args...)})
}

// locate reads a JSON text.
func locate(text []byte) (root located, fault *lead.FieldError) {
	var all json.RawMessage // bounds the depth, too
	if err := json.Unmarshal(text, &all); err != nil {
		at := len(text)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = min(max(int(syntax.Offset)-1, 0), at)
		}
		message := "is not JSON: " + strings.TrimPrefix(err.Error(), "json: ")
		if len(bytes.TrimSpace(text)) == 0 {
			message = "is empty"
		}
		return root, &lead.FieldError{
			Location: fmt.Sprintf("line %d, column %d", 1+bytes.Count(text[:at], []byte("\n")), at-bytes.LastIndexByte(text[:at], '\n')),
			Message:  message + "; --print-answers prints an example",
		}
	}
	l := &locator{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1}
	return l.value(""), nil
}

// locator goes through well-formed JSON.
type locator struct {
	text      []byte
	dec       *json.Decoder
	line, end int // where it is
}

func (l *locator) token() json.Token {
	token, _ := l.dec.Token() // it is well-formed
	end := int(l.dec.InputOffset())
	l.line += bytes.Count(l.text[l.end:end], []byte("\n"))
	l.end = end
	return token
}

func (l *locator) value(path string) located {
	token := l.token()
	v := located{line: l.line, path: path, value: token}
	switch token {
	case json.Delim('['):
		var elements jsonList
		for l.dec.More() {
			elements = append(elements, l.value(fmt.Sprintf("%s[%d]", path, len(elements))))
		}
		l.token()
		v.value = elements
	case json.Delim('{'):
		var members jsonObject
		for l.dec.More() {
			name, _ := l.token().(string)
			line := l.line
			member := l.value(strings.TrimPrefix(path+"."+name, "."))
			member.name, member.line = name, line
			members = append(members, member)
		}
		l.token()
		v.value = members
	}
	return v
}

func (v located) kind() string {
	switch value := v.value.(type) {
	case jsonObject:
		return "an object"
	case jsonList:
		return "an array"
	case string:
		return "the string " + strconv.Quote(value)
	case float64:
		return "the number " + strconv.FormatFloat(value, 'g', -1, 64)
	case nil:
		return "null"
	}
	return fmt.Sprint(v.value)
}

// plain is the value as encoding/json has it.
func (v located) plain() any {
	switch value := v.value.(type) {
	case jsonList:
		all := []any{}
		for _, e := range value {
			all = append(all, e.plain())
		}
		return all
	case jsonObject:
		all := map[string]any{}
		for _, m := range value {
			all[m.name] = m.plain()
		}
		return all
	}
	return v.value
}

// members calls read for each member of an object that is not null.
func (r *answersReader) members(v located, example string, read func(located)) {
	members, ok := v.value.(jsonObject)
	if !ok {
		r.fault(v, "must be an object, such as %s, not %s", example, v.kind())
		return
	}
	seen := map[string]int{}
	for _, m := range members {
		if line, twice := seen[m.name]; twice {
			r.fault(m, "duplicate field; the first is in line %d", line)
			continue
		}
		seen[m.name] = m.line
		if m.value != nil {
			read(m)
		}
	}
}

// file reads the whole of it.
func (r *answersReader) file(v located, a *answers) {
	r.members(v, "--print-answers prints", func(m located) {
		switch m.name {
		case "nodes":
			r.members(m, `{"call": {"fails": 5}}`, func(m located) { r.node(m, a) })
		case "remove_on":
			a.RemoveOn = []string{}
			r.elements(m, `["stop"]`, func(e located) {
				if o, ok := e.value.(string); ok {
					a.RemoveOn, r.removeOn = append(a.RemoveOn, o), append(r.removeOn, e)
				} else {
					r.fault(e, `must be an outcome, such as "stop", not %s`, e.kind())
				}
			})
		case "metadata":
			r.values(m, a.Metadata)
		default:
			r.fault(m, "unknown field; must be one of nodes, remove_on, metadata")
		}
	})
}

func (r *answersReader) elements(v located, example string, read func(located)) {
	elements, ok := v.value.(jsonList)
	if !ok {
		r.fault(v, "must be an array, such as %s, not %s", example, v.kind())
	}
	for _, e := range elements {
		read(e)
	}
}

// values reads values to pick from, by key, over those that are there.
func (r *answersReader) values(v located, into map[string][]any) {
	r.members(v, `{"plan": ["basic", "pro"]}`, func(m located) {
		before, all := len(r.faults), []any{}
		r.elements(m, `["basic", "pro"]`, func(e located) { all = append(all, e.plain()) })
		if len(all) == 0 && len(r.faults) == before {
			r.fault(m, "needs at least one value; null means no value")
		}
		into[m.name] = all
	})
}

func (r *answersReader) node(v located, a *answers) {
	way, ok := a.Nodes[v.name]
	if !ok {
		r.fault(v, "the workflow has no such action node; it has %s", strings.Join(slices.Sorted(maps.Keys(a.Nodes)), ", "))
		return
	}
	percentage := func(m located, to *float64) {
		if n, ok := m.value.(float64); ok && n >= 0 && n <= 100 {
			*to = n
		} else {
			r.fault(m, "is a percentage, a number from 0 to 100, not %s", m.kind())
		}
	}
	r.members(v, `{"fails": 5}`, func(m located) {
		switch m.name {
		case "outcomes":
			way.Outcomes = r.weights(m, v.name)
		case "fails":
			percentage(m, &way.Fails)
		case "lost":
			percentage(m, &way.Lost)
		case "lasts":
			r.lasts(m, &way.Lasts)
		case "data":
			r.values(m, way.Data)
		default:
			r.fault(m, "unknown field; must be one of outcomes, fails, lost, lasts, data")
		}
	})
	a.Nodes[v.name] = way
}

// weights reads outcomes, which replace all that were made up.
func (r *answersReader) weights(v located, node string) map[string]float64 {
	all, sum, before := map[string]float64{}, 0.0, len(r.faults)
	r.members(v, `{"completed": 60, "no_answer": 40}`, func(m located) {
		weight, ok := m.value.(float64)
		switch {
		case !ok:
			r.fault(m, "must be a number, such as 50, not %s", m.kind())
		case m.name == "":
			r.fault(m, "must have a name")
		case weight < 0:
			r.fault(m, "must not be negative")
		default:
			all[m.name] = weight
			sum += weight
		}
		r.outcomes[node] = append(r.outcomes[node], m)
	})
	if sum == 0 && len(r.faults) == before {
		r.fault(v, "needs an outcome with a weight of more than 0")
	}
	return all
}

func (r *answersReader) lasts(v located, to *[2]workflow.Duration) {
	const wanted = `the shortest time and the longest, such as ["20s", "4m"]`
	elements, _ := v.value.(jsonList)
	if len(elements) != 2 {
		r.fault(v, "must be "+wanted)
		return
	}
	before := len(r.faults)
	for i, e := range elements {
		raw, _ := json.Marshal(e.plain())
		if err := to[i].UnmarshalJSON(raw); err != nil {
			r.fault(e, "%s", strings.TrimPrefix(err.Error(), "workflow: "))
		}
	}
	if len(r.faults) == before && (to[0] < 0 || to[1] < to[0] || to[1] > workflow.Duration(workflow.MaxDuration)) {
		r.fault(v, "must be "+wanted)
	}
}

// checkOutcomes refuses outcomes that nothing in the workflow knows: most are
// misspelled, and their leads would go astray, or along the default edge. An
// outcome after which leads are removed needs no edge.
func (r *answersReader) checkOutcomes(known map[string][]string, a *answers) {
	some := map[string]bool{}
	for id, way := range a.Nodes {
		for _, o := range append(slices.Collect(maps.Keys(way.Outcomes)), known[id]...) {
			some[o] = true
		}
	}
	for _, e := range r.removeOn {
		if o, _ := e.value.(string); !some[o] {
			r.fault(e, "no node has the outcome %q; must be one of %s", o, strings.Join(slices.Sorted(maps.Keys(some)), ", "))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.outcomes)) {
		for _, m := range r.outcomes[id] {
			if m.name != "" && !slices.Contains(known[id], m.name) && !a.removes(m.name) {
				r.fault(m, "neither an edge of the node, nor a condition, nor remove_on names this outcome; they name %s", strings.Join(known[id], ", "))
			}
		}
	}
}

// knownOutcomes are those that are made up, by node, those that its edges name or
// conditions ask for, and those that it has from its type.
func knownOutcomes(def *workflow.Definition, madeUp *answers) map[string][]string {
	known := map[string][]string{}
	for _, n := range def.Nodes {
		if !n.Type.Action() {
			continue
		}
		all := append(slices.Collect(maps.Keys(madeUp.Nodes[n.ID].Outcomes)), n.Type.SuccessOutcome(), n.Type.FailureOutcome())
		for _, e := range def.Edges {
			if e.From == n.ID && e.Label != workflow.DefaultLabel {
				all = append(all, e.Label)
			}
		}
		for _, r := range readByName(def) {
			if len(r.path) == 3 && r.path[1] == n.ID && r.path[2] == "outcome" {
				for _, v := range r.values {
					if o, _ := v.(string); o != "" {
						all = append(all, o)
					}
				}
			}
		}
		slices.Sort(all)
		known[n.ID] = slices.Compact(all)
	}
	return known
}
