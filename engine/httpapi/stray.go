package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// This file is about what a request has that its route would not look at. A
// misspelled filter must not mean everybody, so it is refused, as are a filter that
// is given twice and one that a client failed to fill in.

// parameters are the query parameters of a route.
type parameters struct {
	names []string
	// optional are those whose empty value is the default: it selects nobody.
	optional []string
}

// parametersOf reads the fields of a route's input, which has type t. The tag
// empty:"default" is on those that may be empty.
func parametersOf(t reflect.Type) (p parameters) {
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		name := tag.Get("query")
		if name == "" {
			continue
		}
		p.names = append(p.names, name)
		if tag.Get("empty") == "default" {
			p.optional = append(p.optional, name)
		}
	}
	return p
}

// faults names what is wrong with a query whatever the values in it.
func (p parameters) faults(r *http.Request) []fault {
	var q queryReader
	for name, given := range r.URL.Query() {
		switch {
		case !slices.Contains(p.names, name):
			q.fault(clip(name), "%s", unknown(name, p.names, "query parameters"))
		case len(given) > 1:
			q.fault(name, "is given %d times", len(given))
		case strings.TrimSpace(given[0]) == "" && !slices.Contains(p.optional, name):
			q.fault(name, "must not be empty; leave the parameter out if it is not meant")
		}
	}
	return q.sorted()
}

// refuseBody refuses the body of a route that takes none. To a POST many clients add
// an empty object, which is as good as none. err is set when the body could not be read.
func (h *Handler) refuseBody(x *exchange, method string) (faults []fault, err error) {
	if x.request.ContentLength == 0 {
		return nil, nil
	}
	if method != http.MethodPost {
		if n, _ := x.request.Body.Read(make([]byte, 1)); n > 0 {
			return []fault{{"body", "must be empty; what this route takes goes into the query"}}, nil
		}
		return nil, nil
	}
	data, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, x.request.Body, h.config.MaxBody))
	if err != nil {
		return nil, bodyProblem(err)
	}
	if strings.TrimSpace(string(data)) == "" {
		return nil, nil
	}
	if message := syntaxFault(data); message != "" {
		return []fault{{"body", message}}, nil
	}
	return readObject(data).faults, nil
}

// unknown says of a name that it is not one of those known, and which it may have
// been meant to be. what they are is in the plural.
func unknown(name string, known []string, what string) string {
	if len(known) == 0 {
		return "is unknown; this route takes no " + what
	}
	list := fmt.Sprintf("the %s here are %s", what, strings.Join(known, ", "))
	if meant := nearest(name, known); meant != "" {
		return "is unknown; did you mean " + meant + "? T" + list[1:]
	}
	return "is unknown; " + list
}

// nearest returns the known name that is most like another, or "" when none is. A part
// of a name, such as phone of phone_number, is like it.
func nearest(name string, known []string) (best string) {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(s))
	}
	name = plain(clip(name))
	least := max(2, len(name)/3) + 1
	for _, k := range known {
		p := plain(k)
		distance := levenshtein.ComputeDistance(name, p)
		if len(name) > 2 && distance > 1 && strings.Contains(p, name) {
			distance = 1
		}
		if distance < least {
			best, least = k, distance
		}
	}
	return best
}
