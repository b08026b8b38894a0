package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// ErrIgnored: a callback says something that the node's mapping ignores, such as
// that the telephone rings. Answer it with a 2xx; nothing has to be done.
var ErrIgnored = errors.New("webhook: the callback is one that the node ignores")

// mapping is what a node's config.callback says of callbacks that are forms.
type mapping struct {
	field  string // that says the outcome
	means  map[string]engine.Callback
	ignore []string
	callID string // a field; "" for none
	data   []string
}

// ParseCallback reads a callback that is a form, as telephony providers send them,
// by the mapping in the config of the node whose step it belongs to; see the
// package's doc. [engine.Engine.StepNode] returns that node. The error matches
// [ErrIgnored] when there is nothing to do, and [lead.ErrInvalid] when the node has
// no usable mapping, or none for what the form says.
//
// Which attempt the callback is of is not in the form: set Attempt of the Callback to
// the number that the query of its URL has. Without it a callback of attempt 1 that
// comes twice would count for attempt 2.
func ParseCallback(n workflow.Node, form url.Values) (engine.Callback, error) {
	m, err := formMapping(n)
	if err != nil {
		return engine.Callback{}, err
	}
	value := form.Get(m.field)
	out, known := m.means[value]
	switch {
	case !form.Has(m.field):
		return engine.Callback{}, invalidCallback(m.field, "is missing; the node %s takes the outcome from it", n.ID)
	case slices.Contains(m.ignore, value):
		return engine.Callback{}, ErrIgnored
	case !known:
		return engine.Callback{}, invalidCallback(m.field, "unknown value %q; the node %s maps %s and ignores %s",
			shorten(value), n.ID, listed(slices.Sorted(maps.Keys(m.means))), listed(m.ignore))
	}
	if m.callID != "" {
		out.CallID = form.Get(m.callID)
	}
	data := map[string]string{}
	for _, name := range m.data {
		if form.Has(name) {
			data[name] = form.Get(name)
		}
	}
	if len(data) > 0 {
		out.Data = data
	}
	return out, nil
}

// CheckCallback reports whether [ParseCallback] can read forms for the node: the error
// names every fault of its config.callback, also that it is missing, and matches
// [lead.ErrInvalid]. A handler of your own that takes callbacks as forms calls it in its
// CheckNode, so that a workflow with a faulty mapping is refused at activation; see
// [engine.NodeChecker]. A [Handler] checks a mapping too, but needs none.
func CheckCallback(n workflow.Node) error {
	_, err := formMapping(n)
	return err
}

func invalidCallback(location, format string, args ...any) error {
	return &lead.InvalidError{Subject: "callback", Faults: []lead.FieldError{{Location: location, Message: fmt.Sprintf(format, args...)}}}
}

// formMapping returns the mapping of a node that must have one.
func formMapping(n workflow.Node) (*mapping, error) {
	m, err := nodeMapping(n)
	switch {
	case err != nil:
		return nil, invalidCallback("", "the node %s cannot take a form: %s", n.ID, err)
	case m == nil:
		return nil, invalidCallback("", "the node %s has no config.callback, which says what the fields of a form mean; add it, or send JSON", n.ID)
	}
	return m, nil
}

// listed writes values for a message.
func listed(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return strings.Join(values, ", ")
}

// shorten cuts what somebody sent, for a message.
func shorten(text string) string {
	if len(text) > 64 {
		return strings.ToValidUTF8(text[:64], "") + "…"
	}
	return text
}

// nodeMapping returns the mapping of a node, nil if it has none. The error names
// every fault of it.
func nodeMapping(n workflow.Node) (*mapping, error) {
	var config struct {
		Callback json.RawMessage `json:"callback"`
	}
	if len(n.Config) > 0 {
		if err := json.Unmarshal(n.Config, &config); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	if config.Callback == nil || string(config.Callback) == "null" {
		return nil, nil
	}
	var r mappingReader
	top := r.object("config.callback", config.Callback, "outcome", "call_id", "data")
	m := &mapping{means: map[string]engine.Callback{}}
	r.read("config.callback.call_id", top["call_id"], "a string", &m.callID)
	r.read("config.callback.data", top["data"], "an array of strings", &m.data)
	const at = "config.callback.outcome"
	outcome := r.object(at, top["outcome"], "field", "map", "ignore")
	r.read(at+".field", outcome["field"], "a string", &m.field)
	r.read(at+".ignore", outcome["ignore"], "an array of strings", &m.ignore)
	values := r.object(at+".map", outcome["map"])
	for _, value := range slices.Sorted(maps.Keys(values)) {
		m.means[value] = r.meaning(at+".map["+strconv.Quote(value)+"]", values[value])
		if slices.Contains(m.ignore, value) {
			r.fault(at+".ignore", "has %q, which map has too", value)
		}
	}
	if r.faults == nil && m.field == "" {
		r.fault(at+".field", "is missing: it names the field that says the outcome, such as CallStatus")
	}
	if r.faults == nil && len(m.means) == 0 {
		r.fault(at+".map", `is missing: it says what the values of %s mean, such as {"completed": "completed", "busy": {"error": "busy"}}`, m.field)
	}
	if r.faults != nil {
		return nil, errors.New(strings.Join(r.faults, "; "))
	}
	return m, nil
}

// mappingReader reads JSON strictly and goes on after a fault.
type mappingReader struct{ faults []string }

func (r *mappingReader) fault(at, format string, args ...any) {
	r.faults = append(r.faults, at+" "+fmt.Sprintf(format, args...))
}

// read reads a value that may be left out.
func (r *mappingReader) read(at string, text json.RawMessage, kind string, to any) {
	if text != nil && json.Unmarshal(text, to) != nil {
		r.fault(at, "must be %s", kind)
	}
}

// object reads an object that has no other fields than the known ones, if there are
// any.
func (r *mappingReader) object(at string, text json.RawMessage, known ...string) (fields map[string]json.RawMessage) {
	r.read(at, text, "an object", &fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if known != nil && !slices.Contains(known, name) {
			r.fault(at, "has the unknown field %q; the fields here are %s", name, strings.Join(known, ", "))
		}
	}
	return fields
}

// meaning reads what a value means: an outcome, or that the attempt failed.
func (r *mappingReader) meaning(at string, text json.RawMessage) (out engine.Callback) {
	if text[0] == '"' {
		r.read(at, text, "a string", &out.Outcome)
		if out.Outcome == "" {
			r.fault(at, "must not be empty")
		}
		return out
	}
	if text[0] != '{' {
		r.fault(at, `must be an outcome such as "completed", or an object such as {"error": "busy"}`)
		return out
	}
	failed := r.object(at, text, "error", "retry_after", "final")
	var wait workflow.Duration
	r.read(at+".error", failed["error"], "a string", &out.Error)
	r.read(at+".retry_after", failed["retry_after"], `a duration such as "30m"`, &wait)
	r.read(at+".final", failed["final"], "true or false", &out.Final)
	out.RetryAfter = time.Duration(wait)
	switch {
	case out.Error == "":
		r.fault(at+".error", "is missing: it says why the attempt failed")
	case out.RetryAfter != 0 && out.Final:
		r.fault(at+".retry_after", "cannot be combined with final; write one of them")
	}
	if out.RetryAfter < 0 {
		r.fault(at+".retry_after", "must not be negative")
	}
	return out
}
