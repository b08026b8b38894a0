package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
	"github.com/leadflow-go/leadflow/lead"
)

// Parse reads a definition from JSON and validates it. The error is a
// *[lead.InvalidError] that names every fault at once: what [Definition.Validate]
// finds, and also unknown and duplicate fields, wrong types and data after the
// end. A field that is null counts as left out. What is not JSON at all is one
// fault, with its line and column. A UTF-8 byte order mark at the beginning is
// skipped, as editors on Windows write one.
func Parse(data []byte) (*Definition, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if len(data) > MaxSize {
		return nil, invalid([]lead.FieldError{{Message: fmt.Sprintf("is %d bytes of JSON; at most %d are allowed", len(data), MaxSize)}})
	}
	if fault, ok := checkSyntax(data); !ok {
		return nil, invalid([]lead.FieldError{fault})
	}
	r := &reader{}
	d := r.definition(data)
	if r.full() {
		return nil, invalid(r.faults) // the rest has not been read
	}
	c := &checker{d: d, broken: r.broken}
	c.check()
	if faults := append(r.faults, c.faults...); len(faults) > 0 {
		return nil, invalid(faults)
	}
	return d, nil
}

// maxFaults is how many faults of a definition are listed. Nobody reads more, and
// a request of one megabyte could have a hundred thousand.
const maxFaults = 100

func invalid(faults []lead.FieldError) error {
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults:maxFaults], lead.FieldError{
			Message: fmt.Sprintf("has more than %d faults; only the first ones are listed", maxFaults),
		})
	}
	return &lead.InvalidError{Subject: "workflow", Faults: faults}
}

// refused refuses a value of which no more is to be said than the message.
func refused(format string, args ...any) error {
	return &lead.InvalidError{Faults: []lead.FieldError{{Message: fmt.Sprintf(format, args...)}}}
}

// checkSyntax keeps the code below it simple: a reader gets well-formed JSON
// only, nested no deeper than encoding/json allows.
func checkSyntax(data []byte) (lead.FieldError, bool) {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return lead.FieldError{}, true
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return lead.FieldError{Message: "invalid JSON: " + expression.Shorten(err.Error())}, false
	}
	before := data[:min(max(int(syntax.Offset)-1, 0), len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	message := strings.TrimPrefix(syntax.Error(), "json: ")
	return lead.FieldError{
		Location: fmt.Sprintf("line %d, column %d", line, column),
		Message:  "invalid JSON: " + message,
	}, false
}

// reader reads JSON strictly and continues after a fault, to report all of them;
// encoding/json stops at the first.
type reader struct {
	faults []lead.FieldError
	// broken are the locations whose value is unknown. Further faults there would
	// only repeat the first.
	broken map[string]bool
}

// full reports whether enough faults have been found to stop reading.
func (r *reader) full() bool { return len(r.faults) > maxFaults }

func (r *reader) fault(location, format string, args ...any) {
	r.faults = append(r.faults, lead.FieldError{Location: location, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) wrongType(location, want string, raw json.RawMessage) {
	if r.broken == nil {
		r.broken = make(map[string]bool)
	}
	r.broken[location] = true
	r.fault(location, "must be %s, not %s", want, kindOf(raw))
}

func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return string(raw)
	case 'n':
		return "null"
	}
	return "a number"
}

// field is a field that an object may have.
type field struct {
	name string
	read func(location string, raw json.RawMessage)
}

// object reads the fields of an object; raw is well-formed JSON.
func (r *reader) object(location string, raw json.RawMessage, fields ...field) {
	r.members(location, raw, func(name, location string, raw json.RawMessage) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			r.fault(location, "unknown field; %s", knownFields(fields))
		case !bytes.Equal(raw, []byte("null")):
			fields[i].read(location, raw)
		}
	})
}

// members calls read for each field of an object, with its name and location.
func (r *reader) members(location string, raw json.RawMessage, read func(name, location string, raw json.RawMessage)) {
	raw = bytes.TrimSpace(raw)
	if raw[0] != '{' {
		r.wrongType(location, "an object", raw)
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, err := dec.Token()
	seen := map[string]bool{}
	for err == nil && !r.full() && dec.More() {
		var token json.Token
		var value json.RawMessage
		if token, err = dec.Token(); err != nil {
			break
		}
		if err = dec.Decode(&value); err != nil {
			break
		}
		name, _ := token.(string)
		at := join(location, name)
		if seen[name] {
			r.fault(at, "duplicate field")
		} else {
			read(name, at, value)
		}
		seen[name] = true
	}
	if err != nil { // cannot happen after checkSyntax; to use half of an object silently would be worse
		r.fault(location, "cannot be decoded: %s", expression.Shorten(err.Error()))
	}
}

func knownFields(fields []field) string {
	if len(fields) == 0 {
		return "this object has no fields"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return "must be one of " + strings.Join(names, ", ")
}

// join appends a field's name to a location.
func join(location, name string) string {
	if name == "" || !plainID(name) || strings.Contains(name, ".") {
		return location + "[" + expression.Quote(name) + "]"
	}
	if location == "" {
		return name
	}
	return location + "." + name
}

// array calls read for each element.
func (r *reader) array(location string, raw json.RawMessage, most int, read func(location string, raw json.RawMessage)) {
	if raw[0] != '[' {
		r.wrongType(location, "an array", raw)
		return
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		r.fault(location, "cannot be decoded: %s", expression.Shorten(err.Error()))
		return
	}
	if len(elements) > most {
		// One fault for the array, none for each of its elements.
		r.wrongType(location, fmt.Sprintf("at most %d elements", most), []byte(`[`))
		r.faults[len(r.faults)-1].Message = tooMany(len(elements), most)
		return
	}
	for i, element := range elements {
		if r.full() {
			return
		}
		read(fmt.Sprintf("%s[%d]", location, i), element)
	}
}

// filled is array for one that must have an element.
func (r *reader) filled(location string, raw json.RawMessage, most int, read func(location string, raw json.RawMessage)) {
	if string(bytes.TrimSpace(raw[1:])) == "]" {
		r.wrongType(location, "an array with at least one element", raw)
		r.faults[len(r.faults)-1].Message = "must not be empty"
		return
	}
	r.array(location, raw, most, read)
}

func tooMany(n, most int) string {
	return fmt.Sprintf("has %d elements; at most %d are allowed", n, most)
}

// The readers of values. Each leaves *to as it is when the value is of another type.

func (r *reader) string(to *string) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		if raw[0] != '"' {
			r.wrongType(location, "a string", raw)
			return
		}
		if err := json.Unmarshal(raw, to); err != nil {
			r.fault(location, "cannot be decoded: %s", expression.Shorten(err.Error()))
		}
	}
}

func (r *reader) duration(to *Duration) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		d, err := durationFromJSON(raw)
		if err != nil {
			r.wrongType(location, "", raw)
			r.faults[len(r.faults)-1].Message = err.Error()
			return
		}
		*to = d
	}
}

func (r *reader) number(to *float64) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		if json.Unmarshal(raw, to) != nil {
			r.wrongType(location, "a number", raw)
			r.outOfRange("number out of range: ", raw)
		}
	}
}

func (r *reader) integer(to *int) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		if json.Unmarshal(raw, to) != nil {
			r.wrongType(location, "an integer", raw)
			r.outOfRange("must be an integer, not ", raw)
		}
	}
}

// positive reads an integer greater than 0, for a field whose 0 means that it was left
// out. What else is wrong with the number, the checker finds.
func (r *reader) positive(to *int) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		if r.integer(to)(location, raw); !r.broken[location] && *to == 0 {
			r.wrongType(location, "at least 1", raw)
			r.faults[len(r.faults)-1].Message = "is 0; must be at least 1"
		}
	}
}

func (r *reader) strings(to *[]string, most int) func(string, json.RawMessage) {
	return func(location string, raw json.RawMessage) {
		r.array(location, raw, most, func(location string, raw json.RawMessage) {
			var text string
			r.string(&text)(location, raw)
			*to = append(*to, text)
		})
	}
}

// outOfRange corrects the message for a value that is a number, but one that the
// field cannot hold.
func (r *reader) outOfRange(message string, raw json.RawMessage) {
	if kindOf(raw) == "a number" {
		r.faults[len(r.faults)-1].Message = message + expression.Clip(string(raw))
	}
}

func (r *reader) definition(data []byte) *Definition {
	d := &Definition{Nodes: []Node{}, Edges: []Edge{}}
	r.object("", data,
		field{"name", r.string(&d.Name)},
		field{"description", r.string(&d.Description)},
		field{"entry", r.string(&d.Entry)},
		field{"time_zone", r.string(&d.TimeZone)},
		field{"calling_hours", r.callingHours(&d.CallingHours)},
		field{"limits", r.limits(&d.Limits)},
		field{"exits", func(location string, raw json.RawMessage) {
			r.array(location, raw, MaxExits, func(location string, raw json.RawMessage) {
				d.Exits = append(d.Exits, r.exit(location, raw))
			})
		}},
		field{"priority", r.positive(&d.Priority)},
		field{"guard", r.guard(&d.Guard)},
		field{"nodes", func(location string, raw json.RawMessage) {
			r.array(location, raw, MaxNodes, func(location string, raw json.RawMessage) {
				d.Nodes = append(d.Nodes, r.node(location, raw))
			})
		}},
		field{"edges", func(location string, raw json.RawMessage) {
			r.array(location, raw, MaxEdges, func(location string, raw json.RawMessage) {
				d.Edges = append(d.Edges, r.edge(location, raw))
			})
		}},
	)
	return d
}

func (r *reader) node(location string, raw json.RawMessage) Node {
	var n Node
	var nodeType, unknown string
	r.object(location, raw,
		field{"id", r.string(&n.ID)},
		field{"type", r.string(&nodeType)},
		field{"label", r.string(&n.Label)},
		field{"config", func(_ string, raw json.RawMessage) {
			// Compact, so that a definition that is written and read again is equal.
			var b bytes.Buffer
			if json.Compact(&b, raw) == nil {
				n.Config = b.Bytes()
			}
		}},
		field{"handler", r.string(&n.Handler)},
		field{"retry", func(location string, raw json.RawMessage) {
			n.Retry = &Retry{}
			r.object(location, raw,
				field{"max_attempts", r.integer(&n.Retry.MaxAttempts)},
				field{"delay", r.duration(&n.Retry.Delay)},
				field{"backoff", r.number(&n.Retry.Backoff)},
				field{"max_delay", r.duration(&n.Retry.MaxDelay)},
			)
		}},
		field{"timeout", r.duration(&n.Timeout)},
		field{"unknown", r.string(&unknown)},
		field{"calling_hours", r.callingHours(&n.CallingHours)},
		field{"limits", r.limits(&n.Limits)},
		field{"rate_key", r.string(&n.RateKey)},
	)
	n.Type, n.Unknown = NodeType(nodeType), Unknown(unknown)
	return n
}

func (r *reader) edge(location string, raw json.RawMessage) Edge {
	var e Edge
	r.object(location, raw,
		field{"from", r.string(&e.From)},
		field{"to", r.string(&e.To)},
		field{"label", r.string(&e.Label)},
	)
	return e
}
