package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// MaxRetryAfter is the longest wait that a Retry-After can ask for.
const MaxRetryAfter = 24 * time.Hour

// maxExcerpt is how much of a failed request's answer the history quotes.
const maxExcerpt = 200

// answer says what an answer means for the attempt; see the table in the package's
// doc.
func (h *Handler) answer(ctx context.Context, a engine.Attempt, where string, res *http.Response) (engine.Result, error) {
	defer res.Body.Close()
	text, err := readBody(res.Body, h.config.MaxAnswer)
	status := statusOf(res)
	fail := func(format string, args ...any) error {
		return fmt.Errorf("webhook: %s: answered %s"+format, append([]any{where, status}, args...)...)
	}
	switch code := res.StatusCode; {
	case code == http.StatusAccepted:
		return engine.InFlight(h.acceptedCallID(a, where, text, err)), nil
	case code == http.StatusOK && err != nil && !errors.Is(err, errTooLarge):
		return engine.Result{}, h.noAnswer(ctx, where, fmt.Errorf("it broke off: %w", err))
	case code >= 200 && code < 300:
		var result engine.Result
		if code != http.StatusOK {
			err = errors.New("; the outcome of a voice_call comes with 200, or with 202 and a callback")
		} else if err == nil {
			result, err = parseReply(text)
		}
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, errFaultyReply) || a.Scheduled == nil && a.Node.Type == workflow.VoiceCall:
			return engine.Result{}, engine.NonRetryable(fail("%w%s", err, excerpt(text)))
		}
		return engine.Result{}, nil // the type's good outcome
	case retryable(code):
		err := fail("%s", excerpt(text))
		if wait := retryAfter(res.Header, time.Now()); wait > 0 {
			return engine.Result{}, engine.RetryAllAfter(err, wait)
		}
		return engine.Result{}, err
	case code >= 300 && code < 400:
		return engine.Result{}, engine.NonRetryable(fail(", a redirect to %q; redirects are not followed: put that address into the node's config.url if it is right",
			res.Header.Get("Location")))
	}
	return engine.Result{}, engine.NonRetryable(fail("%s", excerpt(text)))
}

// statusOf returns an answer's status, such as 404 Not Found.
func statusOf(res *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(res.StatusCode) + " " + http.StatusText(res.StatusCode))
}

func retryable(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return code >= 500
}

var errTooLarge = errors.New(", with a body of more bytes than Config.MaxAnswer")

// readBody reads a body to its end, so that the connection can be used again,
// unless it is too large. A byte order mark is not part of the text.
func readBody(r io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if int64(len(text)) > most {
		text, err = text[:most], errTooLarge
	}
	return bytes.TrimPrefix(text, []byte("\uFEFF")), err
}

// Errors of parseReply.
var (
	errNoReply     = errors.New(", with a body that is not a JSON object with outcome, data or call_id")
	errFaultyReply = errors.New(", with a body that cannot be used")
)

// parseReply reads the body of a 200: a JSON object with at least one field of a
// reply, or with no field at all. The error matches errNoReply for any other body,
// and errFaultyReply for a field of the wrong type. What the engine checks of every
// result is left to it.
func parseReply(text []byte) (result engine.Result, err error) {
	fields, err := readObject(text)
	if err != nil {
		return result, fmt.Errorf("%w (%w)", errNoReply, err)
	}
	outcome, data, id := fields["outcome"], fields["data"], fields["call_id"]
	if len(fields) > 0 && outcome == nil && data == nil && id == nil {
		return result, errNoReply
	}
	if outcome != nil && json.Unmarshal(outcome, &result.Outcome) != nil {
		return result, fmt.Errorf("%w: outcome must be a string", errFaultyReply)
	}
	if id != nil {
		if result.CallID, err = readCallID(id); err != nil {
			return result, fmt.Errorf("%w: %w", errFaultyReply, err)
		}
	}
	if data != nil {
		result.Data = data
	}
	return result, nil
}

// readObject reads a JSON object.
func readObject(text []byte) (fields map[string]json.RawMessage, err error) {
	err = json.Unmarshal(text, &fields)
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) || err == nil && fields == nil {
		err = errors.New("it is JSON, but not an object")
	}
	return fields, err
}

// readCallID reads a string, or a number, by which some providers count their calls.
func readCallID(value json.RawMessage) (id string, err error) {
	if json.Unmarshal(value, &id) == nil {
		return id, nil
	}
	var number json.Number
	if json.Unmarshal(value, &number) != nil {
		return "", errors.New("call_id must be a string or a number")
	}
	return number.String(), nil
}

// acceptedCallID returns the call_id of a 202, if it has one that can be read.
// The attempt is in flight in any case.
func (h *Handler) acceptedCallID(a engine.Attempt, where string, text []byte, err error) string {
	var id string
	if err == nil && len(bytes.TrimSpace(text)) > 0 {
		var fields map[string]json.RawMessage
		if fields, err = readObject(text); fields["call_id"] != nil {
			id, err = readCallID(fields["call_id"])
		}
		if len(id) > engine.MaxCallID {
			id, err = "", fmt.Errorf("call_id has more than %d bytes", engine.MaxCallID)
		}
	}
	if err != nil {
		h.log.Warn("leadflow: the body of a 202 cannot be read; the step is in flight without a call_id",
			slog.String("request", where), slog.String("step", a.StepID.String()), slog.Any("error", err))
	}
	return id
}

// retryAfter returns how long a Retry-After header asks to wait, at most
// MaxRetryAfter; 0 for none, and for one that cannot be read.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(MaxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return MaxRetryAfter
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	// By the receiver's own clock, where it says what that shows.
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(until.Sub(now), 0), MaxRetryAfter)
}

// excerpt is the beginning of a body, on one line, for an error's text.
func excerpt(text []byte) string {
	words := strings.FieldsFunc(string(text[:min(len(text), 4*maxExcerpt)]), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	line := strings.ToValidUTF8(strings.Join(words, " "), "\ufffd")
	if line == "" {
		return ""
	}
	if cut := maxExcerpt; len(line) > cut {
		for !utf8.RuneStart(line[cut]) {
			cut--
		}
		line = line[:cut] + "…"
	}
	return ": " + line
}
