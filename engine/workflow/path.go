package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

// path is a field of a condition, such as metadata.orders[0].sku.
type path struct {
	root root
	keys []string // after the root; for rootLead the one field
}

type root uint8

const (
	rootLead root = iota
	rootMetadata
	rootSteps
)

var (
	leadFields = []string{"phone_number", "external_id", "time_zone"}
	stepFields = []string{"outcome", "data", "status", "attempts", "call_id", "error", "entered_at", "exited_at"}
)

// parsePath reads names joined by "." or in brackets: a.b, a["b"], a[0]. Between
// dots a name may hold any characters except . [ ] " and control characters, so
// that steps.first-call and metadata.First Name need no brackets.
func parsePath(text string, known func(id string) bool) (path, error) {
	const most = 1024
	switch {
	case text == "":
		return path{}, errors.New(`is required; write a field such as "metadata.age"`)
	case len(text) > most:
		return path{}, fmt.Errorf("is %d bytes long; at most %d are allowed", len(text), most)
	}
	names, err := splitPath(text)
	if err != nil {
		return path{}, err
	}
	if len(names) == 1 && slices.Contains(leadFields, names[0]) {
		return path{root: rootLead, keys: names}, nil
	}
	head, rest := names[0], names[1:]
	switch head {
	case "lead":
		if len(rest) != 1 || !slices.Contains(leadFields, rest[0]) {
			return path{}, fmt.Errorf("unknown field of lead; must be one of %s; everything else about a lead is in metadata", strings.Join(leadFields, ", "))
		}
		return path{root: rootLead, keys: rest}, nil
	case "metadata":
		if len(rest) == 0 {
			return path{}, errors.New(`must have a key after metadata, such as "metadata.age"`)
		}
		return path{root: rootMetadata, keys: rest}, nil
	case "steps":
		switch {
		case len(rest) < 2:
			return path{}, errors.New(`must have a node and a field after steps, such as "steps.first.outcome"`)
		case !known(rest[0]):
			return path{}, fmt.Errorf("unknown node %s", expression.Quote(rest[0]))
		case !slices.Contains(stepFields, rest[1]) || rest[1] != "data" && len(rest) > 2:
			return path{}, fmt.Errorf("unknown field of a step; must be one of %s; what a handler returned is in data", strings.Join(stepFields, ", "))
		}
		return path{root: rootSteps, keys: rest}, nil
	}
	return path{}, fmt.Errorf("invalid field %s; must begin with metadata, steps or lead, or be one of %s", expression.Quote(text), strings.Join(leadFields, ", "))
}

func splitPath(text string) ([]string, error) {
	bad := func() ([]string, error) {
		return nil, fmt.Errorf(`invalid field %s; write names joined by dots, or in brackets: metadata["a.b"], metadata.list[0]`, expression.Quote(text))
	}
	var names []string
	for rest := text; rest != ""; {
		switch {
		case rest[0] == '[':
			inside := rest[1:]
			if quoted, err := strconv.QuotedPrefix(inside); err == nil && quoted[0] == '"' {
				name, err := strconv.Unquote(quoted)
				if inside = inside[len(quoted):]; err != nil || !strings.HasPrefix(inside, "]") {
					return bad()
				}
				names, rest = append(names, name), inside[1:]
			} else {
				number, after, ok := strings.Cut(inside, "]")
				if _, err := strconv.ParseUint(number, 10, 31); !ok || err != nil {
					return bad()
				}
				names, rest = append(names, number), after
			}
		default:
			if len(names) > 0 {
				if rest[0] != '.' {
					return bad()
				}
				rest = rest[1:]
			}
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			name := rest[:end]
			if name == "" || !plainLabel(name) || strings.ContainsAny(name, `]"`) {
				return bad()
			}
			names, rest = append(names, name), rest[end:]
		}
	}
	if text[0] == '[' {
		return bad()
	}
	return names, nil
}

// lookup returns the field's value, or false if it is missing. Null counts as
// missing, and so does an empty field of lead or steps, which have no other way to
// say that something is unknown.
func (p path) lookup(m *expression.Meter, env *Env) (any, bool) {
	if env == nil {
		return nil, false
	}
	var value any
	switch p.root {
	case rootLead:
		text := ""
		switch p.keys[0] {
		case "phone_number":
			text = env.Contact.PhoneNumber
		case "external_id":
			text = env.Contact.ExternalID
		case "time_zone":
			text = env.Contact.TimeZone
		}
		return text, text != ""
	case rootMetadata:
		value = dig(m, env.Contact.Metadata, p.keys)
	case rootSteps:
		return env.Steps[p.keys[0]].lookup(m, p.keys[1:])
	}
	return value, value != nil
}

func (s StepResult) lookup(m *expression.Meter, keys []string) (any, bool) {
	text := ""
	switch keys[0] {
	case "outcome":
		text = s.Outcome
	case "status":
		text = s.Status
	case "call_id":
		text = s.CallID
	case "error":
		text = s.Error
	case "attempts":
		return s.Attempts, s.Attempts != 0
	case "entered_at":
		return s.EnteredAt.UTC().Format(time.RFC3339Nano), !s.EnteredAt.IsZero()
	case "exited_at":
		return s.ExitedAt.UTC().Format(time.RFC3339Nano), !s.ExitedAt.IsZero()
	case "data":
		value := dig(m, s.Data, keys[1:])
		return value, value != nil
	}
	return text, text != ""
}

// dig follows keys into nested values; nil when one of them is missing.
func dig(m *expression.Meter, values map[string]any, keys []string) any {
	if values == nil {
		return nil
	}
	var value any = values
	for _, key := range keys {
		m.Step(4 + len(key)/16)
		switch v := plainValue(m, value).(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i, err := strconv.ParseUint(key, 10, 31)
			if err != nil || int(i) >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return plainValue(m, value)
}
