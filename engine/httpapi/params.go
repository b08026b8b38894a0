package httpapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// The parameters of the routes. They are texts, whatever their schemas say, so
// that queryReader can name every fault of them.
type (
	workflowParam string
	leadParam     string
	stepParam     string
	limitParam    string
	pageParam     string
	cursorParam   string
	flagParam     string
	momentParam   string
	durationText  string
)

// Schema describes the parameter.
func (workflowParam) Schema(huma.Registry) *huma.Schema { return idSchema("wfl_", "the workflow's id") }

// Schema describes the parameter.
func (leadParam) Schema(huma.Registry) *huma.Schema { return idSchema("wlead_", "the lead's id") }

// Schema describes the parameter.
func (stepParam) Schema(huma.Registry) *huma.Schema { return idSchema("step_", "the step's id") }

func idSchema(prefix, doc string) *huma.Schema {
	return &huma.Schema{
		Type: "string", Description: doc, Examples: []any{prefix + "01kaqf5y8sf3x8zq0h0m9d2c7r"},
	}
}

// Schema describes the parameter.
func (limitParam) Schema(huma.Registry) *huma.Schema {
	least, most := 1.0, float64(maxLimit)
	return &huma.Schema{
		Type: "integer", Minimum: &least, Maximum: &most, Default: defaultLimit, Description: "how many to list at most",
	}
}

// Schema describes the parameter.
func (pageParam) Schema(huma.Registry) *huma.Schema {
	least, most := 1.0, float64(maxPage)
	return &huma.Schema{
		Type: "integer", Minimum: &least, Maximum: &most, Default: 1, Description: "which page of limit leads; not with cursor",
	}
}

// Schema describes the parameter.
func (cursorParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Description: "the next_cursor of the page before"}
}

// Schema describes the parameter.
func (flagParam) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: "boolean"} }

// Schema describes the parameter.
func (momentParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "date-time"}
}

// Schema describes the parameter.
func (durationText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Description: "a Go duration", Examples: []any{"48h"}}
}

const (
	defaultLimit = 20
	maxLimit     = 100
	maxPage      = 1<<31 - 1
)

// queryReader reads parameters and gathers what is wrong with them.
type queryReader struct{ faults []fault }

func (q *queryReader) fault(name, format string, args ...any) {
	q.faults = append(q.faults, fault{"query." + name, fmt.Sprintf(format, args...)})
}

func (q *queryReader) sorted() []fault {
	slices.SortFunc(q.faults, func(a, b fault) int { return strings.Compare(a.Location, b.Location) })
	return q.faults
}

// problem returns the refusal, or nil when there is no fault.
func (q *queryReader) problem() error {
	if q.faults == nil {
		return nil
	}
	return faulty(q.faults)
}

// with returns the refusal for the faults and those in err, an error of the
// engine for a filter.
func (q *queryReader) with(err error) error {
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		q.faults = addFaults(q.faults, located(invalid.Faults, "query"))
	}
	return q.problem()
}

func (q *queryReader) whole(name, text string, def, most int) int {
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.fault(name, "%q is not a whole number from 1 to %d", clip(text), most)
		return def
	}
	return n
}

func (q *queryReader) limit(p limitParam) int {
	return q.whole("limit", string(p), defaultLimit, maxLimit)
}

func (q *queryReader) page(p pageParam) int { return q.whole("page", string(p), 1, maxPage) }

func (q *queryReader) flag(name string, p flagParam) bool {
	on, err := strconv.ParseBool(string(p))
	if p != "" && err != nil {
		q.fault(name, "%q is neither true nor false", clip(string(p)))
	}
	return on
}

func (q *queryReader) duration(name string, p durationText) time.Duration {
	if p == "" {
		return 0
	}
	d, err := workflow.ParseDuration(string(p))
	if err == nil && d < 0 {
		err = errors.New("must not be negative")
	}
	if err != nil {
		q.fault(name, "%s", err)
		return 0
	}
	return time.Duration(d)
}

// moment reads a time. Those up to 1970 are refused, because the engine takes
// the beginning of its time for none.
func (q *queryReader) moment(name string, p momentParam) time.Time {
	if p == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, string(p))
	if err != nil {
		q.fault(name, "%q is not an RFC 3339 time such as 2026-05-01T09:00:00Z", clip(string(p)))
		return time.Time{}
	}
	if t.UnixMilli() <= 0 {
		q.fault(name, "is not after 1970")
		return time.Time{}
	}
	return t
}

// phoneText undoes what a client does that does not escape a + in a query: it is
// read as a blank.
func phoneText(text string) string {
	if rest, ok := strings.CutPrefix(text, " "); ok && rest != "" {
		return "+" + rest
	}
	return text
}

// parse reads a value of which the type knows how, such as an id or a status.
func parse[T any](q *queryReader, name, text, what string, read func(string) (T, error)) (value T) {
	if text == "" {
		return value
	}
	value, err := read(text)
	if err != nil {
		q.fault(name, "%q is not %s", clip(text), what)
	}
	return value
}

// parseStatus reads the parameter status. The error of read lists what there is.
func parseStatus[T any](q *queryReader, text string, read func(string) (T, error)) (value T) {
	if text == "" {
		return value
	}
	value, err := read(text)
	if err != nil {
		q.fault("status", "%s", strings.TrimPrefix(err.Error(), "lead: "))
	}
	return value
}

// A cursor says of which list it is, so that one of another is refused, and how
// far that list was read.

func newCursor(list, place string) *string {
	text := base64.RawURLEncoding.EncodeToString([]byte(list + ":" + place))
	return &text
}

func (q *queryReader) cursor(list string, p cursorParam) (place string) {
	if p == "" {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(string(p))
	found, place, _ := strings.Cut(string(text), ":")
	if err != nil || found != list || place == "" {
		q.badCursor()
		return ""
	}
	return place
}

// numberCursor reads the cursor of a list whose places are numbers; 0 for the beginning.
func (q *queryReader) numberCursor(list string, p cursorParam) int64 {
	place := q.cursor(list, p)
	if place == "" {
		return 0
	}
	n, err := strconv.ParseInt(place, 10, 64)
	if err != nil || n < 1 {
		q.badCursor()
	}
	return n
}

// period reads the parameters from and to.
func (q *queryReader) period(from, to momentParam) (begin, end time.Time) {
	begin, end = q.moment("from", from), q.moment("to", to)
	if !begin.IsZero() && !end.IsZero() && end.Before(begin) {
		q.fault("to", "is before from")
	}
	return begin, end
}

func (q *queryReader) badCursor() { q.fault("cursor", "is not a next_cursor of this list") }
