package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"
)

const jsonType = "application/json"

// maxDepth bounds how deep a body may nest lists and objects: deeper than
// anyone writes, and far from what encoding/json gives up at, also when the
// value is kept inside another.
const maxDepth = 100

// contentType returns the media type of a request's body, or a problem unless
// it is one of those wanted.
func contentType(r *http.Request, wanted ...string) (string, map[string]string, error) {
	refuse := func(detail string) (string, map[string]string, error) {
		return "", nil, newProblem(http.StatusUnsupportedMediaType, detail)
	}
	header := r.Header.Get("Content-Type")
	if header == "" {
		return refuse("the request needs a Content-Type: " + strings.Join(wanted, ", "))
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse("the body is encoded as " + clip(e) + "; send it as it is")
	}
	found, params, err := mime.ParseMediaType(header)
	for _, w := range wanted {
		if err != nil || found != w {
			continue
		}
		if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") && !strings.EqualFold(set, "us-ascii") {
			return refuse("the body is in " + clip(set) + "; send UTF-8")
		}
		return found, params, nil
	}
	return refuse(clip(header) + " is not " + strings.Join(wanted, " or "))
}

// readJSON reads a JSON body of at most limit bytes: well-formed, in UTF-8, not
// nested too deep. It may be of any of the types; without types, of jsonType.
func (h *Handler) readJSON(x *exchange, limit int64, types ...string) ([]byte, error) {
	if types == nil {
		types = []string{jsonType}
	}
	if _, _, err := contentType(x.request, types...); err != nil {
		return nil, err
	}
	data, err := h.readBody(x, limit)
	if err != nil {
		return nil, err
	}
	if message := syntaxFault(data); message != "" {
		return nil, faulty([]fault{{"body", message}})
	}
	return data, nil
}

// readOptional reads the fields of a JSON object that may be left out.
func (h *Handler) readOptional(x *exchange, known ...string) (*object, error) {
	data, err := h.readBody(x, h.config.MaxBody)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return readObject([]byte(`{}`), known...), nil
	}
	if _, _, err := contentType(x.request, jsonType); err != nil {
		return nil, err
	}
	if message := syntaxFault(data); message != "" {
		return nil, faulty([]fault{{"body", message}})
	}
	return readObject(data, known...), nil
}

// readBody reads a body of at most limit bytes, but for a byte order mark before it.
func (h *Handler) readBody(x *exchange, limit int64) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, x.request.Body, limit))
	if err != nil {
		return nil, bodyProblem(err)
	}
	return bytes.TrimPrefix(data, []byte("\uFEFF")), nil
}

// bodyProblem says why a body could not be read to its end.
func bodyProblem(err error) *problem {
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", tooLarge.Limit))
	case errors.As(err, &timeout) && timeout.Timeout():
		return newProblem(http.StatusBadRequest, "the body took too long")
	}
	return newProblem(http.StatusBadRequest, "the body ended early")
}

// syntaxFault says what keeps a text from being JSON that we read, or "".
func syntaxFault(data []byte) string {
	if len(data) == 0 {
		return "is empty; it must be a JSON object"
	}
	if !utf8.Valid(data) {
		return "is not UTF-8"
	}
	if depth(data) > maxDepth {
		return fmt.Sprintf("is nested more than %d deep", maxDepth)
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return ""
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return "is not JSON"
	}
	before := data[:min(max(int(syntax.Offset)-1, 0), len(data))]
	line := 1 + strings.Count(string(before), "\n")
	column := len(before) - strings.LastIndexByte(string(before), '\n')
	return fmt.Sprintf("is not JSON: %s (line %d, column %d)", strings.TrimPrefix(syntax.Error(), "json: "), line, column)
}

// depth returns how deep lists and objects are nested, in a text that need not
// be JSON.
func depth(data []byte) (most int) {
	now, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}
