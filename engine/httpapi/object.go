package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// object reads the fields of a JSON object strictly, and goes on after a fault
// so that it can name them all. Field names are matched exactly, which
// encoding/json does not.
type object struct {
	fields map[string]json.RawMessage
	faults []fault
	// broken is set when the body is no object at all, so that nothing more can
	// be said of its fields.
	broken bool
}

// readObject reads an object that has some of the known fields; data is
// well-formed JSON. A field that is null counts as left out, but was sent.
func readObject(data []byte, known ...string) *object {
	o := &object{fields: map[string]json.RawMessage{}}
	dec := json.NewDecoder(bytes.NewReader(data))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		o.faults, o.broken = []fault{{"body", "must be a JSON object"}}, true
		return o
	}
	seen := map[string]bool{}
	for dec.More() {
		var value json.RawMessage
		token, err := dec.Token()
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil { // not behind syntaxFault
			o.faults, o.broken = append(o.faults, fault{"body", "cannot be read"}), true
			return o
		}
		name, _ := token.(string)
		switch {
		case seen[name]:
			o.fault(fieldName(name), "is given twice; a field may be there once")
		case !slices.Contains(known, name):
			o.fault(fieldName(name), "%s", unknown(name, known, "fields"))
		default:
			o.fields[name] = value
		}
		seen[name] = true
	}
	return o
}

func (o *object) fault(name, format string, args ...any) {
	o.faults = append(o.faults, fault{place("body", name), fmt.Sprintf(format, args...)})
}

// add adds faults of places that have none yet.
func (o *object) add(more []fault) { o.faults = addFaults(o.faults, more) }

// addFaults adds to a list those faults of whose places it has none yet.
func addFaults(list, more []fault) []fault {
	for _, f := range more {
		if !slices.ContainsFunc(list, func(old fault) bool { return old.Location == f.Location }) {
			list = append(list, f)
		}
	}
	return list
}

// fieldName is how a location names a field: as it is, or quoted where it would
// not be plain.
func fieldName(name string) string {
	plain := func(r rune) bool { return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	if name == "" || clip(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return "[" + strconv.Quote(clip(name)) + "]"
	}
	return name
}

// sent reports whether the field is there, null or not.
func (o *object) sent(name string) bool { return o.fields[name] != nil }

// null reports whether the field was sent as null.
func (o *object) null(name string) bool { return string(o.fields[name]) == "null" }

// value returns a field that is neither left out nor null.
func (o *object) value(name string) (json.RawMessage, bool) {
	value := o.fields[name]
	return value, value != nil && !o.null(name)
}

// text reads a text of at most most bytes, or nil.
func (o *object) text(name string, most int) *string {
	value, ok := o.value(name)
	if !ok {
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		o.fault(name, "must be a string")
		return nil
	}
	if len(text) > most {
		o.fault(name, "has more than %d bytes", most)
		return nil
	}
	return &text
}

// patch reads a text that null takes away, which is then "", or nil when it was not
// sent.
func (o *object) patch(name string, most int) *string {
	if o.null(name) {
		return new(string)
	}
	return o.text(name, most)
}

// nonEmpty reads a text that must say something if it was sent.
func (o *object) nonEmpty(name string, most int) string {
	text := o.text(name, most)
	if text == nil {
		return ""
	}
	if strings.TrimSpace(*text) == "" {
		o.fault(name, "must not be empty; leave the field out if it is not meant")
	}
	return *text
}

// duration reads a duration, which must not be negative.
func (o *object) duration(name string) time.Duration {
	if _, ok := o.value(name); !ok {
		return 0
	}
	var text string
	if json.Unmarshal(o.fields[name], &text) != nil {
		o.fault(name, "must be a string such as \"30m\"")
		return 0
	}
	d, err := workflow.ParseDuration(text)
	switch {
	case err != nil:
		o.fault(name, "%s", err)
	case d < 0:
		o.fault(name, "must not be negative")
	default:
		return time.Duration(d)
	}
	return 0
}

// moment reads a time in RFC 3339; the zero time when it was not sent.
func (o *object) moment(name string) time.Time {
	text := o.text(name, 100)
	if text == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, *text)
	switch {
	case err != nil:
		o.fault(name, "must be a time such as 2030-12-31T09:00:00Z")
	case at.IsZero(): // which the engine takes for none
		o.fault(name, "is not after 1970")
	}
	return at
}

// reasons reads why something is done, and who asks for it. The engine checks their
// length.
func (o *object) reasons() (reason, actor string) {
	for _, f := range []struct {
		name string
		to   *string
	}{{"reason", &reason}, {"actor", &actor}} {
		if text := o.text(f.name, len(o.fields[f.name])); text != nil {
			*f.to = *text
		}
	}
	return reason, actor
}

// flag reads true or false; false when it was not sent.
func (o *object) flag(name string) (on bool) {
	if value, ok := o.value(name); ok && json.Unmarshal(value, &on) != nil {
		o.fault(name, "must be true or false")
	}
	return on
}

// whole reads a whole number from 1, or 0 when there is none.
func (o *object) whole(name string) int {
	value, ok := o.value(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil || n < 1 {
		o.fault(name, "must be a whole number from 1")
		return 0
	}
	return int(n)
}

// raw reads an object of any fields, as it was sent, or nil.
func (o *object) raw(name string) json.RawMessage {
	value, ok := o.value(name)
	if !ok {
		return nil
	}
	var plain map[string]any
	if json.Unmarshal(value, &plain) == nil {
		return value
	}
	message := "must be an object"
	if value[0] == '{' { // then it is a number that no float64 holds
		message = "has a number that is too large"
	}
	o.fault(name, "%s", message)
	return nil
}

// object reads an object of any fields, or nil. Its numbers keep their digits.
func (o *object) object(name string) (out map[string]any) {
	value := o.raw(name)
	if value == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if dec.Decode(&out) != nil { // raw has read it
		o.fault(name, "cannot be read")
	}
	return out
}

// with returns the refusal for the faults and those in err, an error of the engine for
// what was read. Of a body that is no object there is nothing more to say.
func (o *object) with(err error) error {
	var invalid *lead.InvalidError
	if !o.broken && errors.As(err, &invalid) {
		o.add(located(invalid.Faults, "body"))
	}
	return o.problem()
}

// problem returns the refusal, or nil when there is no fault.
func (o *object) problem() error {
	if o.faults == nil {
		return nil
	}
	return faulty(o.faults)
}
