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
)

// MaxRetryAfter is the longest wait that a Retry-After can ask for.
const MaxRetryAfter = 24 * time.Hour

const (
	maxOutcome = 128 // bytes, as the engine has it
	maxCallID  = 256 // bytes
)

// maxExcerpt is how much of a failed request's answer the history quotes.
const maxExcerpt = 200

// answer says what an answer means for the attempt.
func (h *Handler) answer(ctx context.Context, a engine.Attempt, where string, res *http.Response) (engine.Result, error) {
	defer res.Body.Close()
	text, err := readBody(res.Body, h.config.MaxAnswer)
	whole := err == nil
	status := strings.TrimSpace(strconv.Itoa(res.StatusCode) + " " + http.StatusText(res.StatusCode))
	fail := func(format string, args ...any) error {
		return fmt.Errorf("webhook: %s: answered %s"+format, append([]any{where, status}, args...)...)
	}
	switch code := res.StatusCode; {
	case code == http.StatusAccepted:
		return engine.InFlight(h.acceptedCallID(a, where, text, err)), nil
	case code == http.StatusOK && errors.Is(err, errTooLarge):
		return engine.Result{}, engine.NonRetryable(fail(", %w", err))
	case code == http.StatusOK && !whole:
		return engine.Result{}, h.noAnswer(ctx, where, fmt.Errorf("it broke off: %w", err))
	case code == http.StatusOK:
		result, err := parseAnswer(text)
		if err != nil {
			return engine.Result{}, engine.NonRetryable(fail(", %w%s", err, excerpt(text)))
		}
		return result, nil
	case retryable(code):
		err := fail("%s", excerpt(text))
		if wait := retryAfter(res.Header, time.Now()); wait > 0 {
			return engine.Result{}, engine.RetryAfter(err, wait)
		}
		return engine.Result{}, err
	case code >= 300 && code < 400:
		return engine.Result{}, engine.NonRetryable(fail(", a redirect to %q; redirects are not followed: put that address into the node's config.url if it is right",
			res.Header.Get("Location")))
	case code < 400:
		return engine.Result{}, engine.NonRetryable(fail(", which says neither that it is done (200) nor that it is in flight (202)"))
	}
	return engine.Result{}, engine.NonRetryable(fail("%s", excerpt(text)))
}

func retryable(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return code >= 500
}

var errTooLarge = errors.New("a body of more bytes than Config.MaxAnswer")

// readBody reads a body to its end, so that the connection can be used again,
// unless it is too large.
func readBody(r io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if int64(len(text)) > most {
		return text[:most], errTooLarge
	}
	return text, err
}

// reply is the body of an answer.
type reply struct {
	Outcome string         `json:"outcome"`
	Data    map[string]any `json:"data"`
	CallID  callID         `json:"call_id"`
}

// parseReply reads a JSON object that has at least one field of a reply, or
// none at all.
func parseReply(text []byte) (r reply, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return r, err
	}
	if fields == nil {
		return r, errors.New("it is null")
	}
	known := len(fields) == 0
	for _, name := range []string{"outcome", "data", "call_id"} {
		known = known || fields[name] != nil
	}
	if !known {
		return r, errors.New("it has none of outcome, data and call_id")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // data goes to the history digit by digit
	if err := decoder.Decode(&r); err != nil {
		return r, err
	}
	switch {
	case len(r.Outcome) > maxOutcome:
		return r, fmt.Errorf("outcome has more than %d bytes", maxOutcome)
	case len(r.CallID) > maxCallID:
		return r, fmt.Errorf("call_id has more than %d bytes", maxCallID)
	}
	return r, nil
}

// callID is a text, or a number, which some providers count their calls by.
type callID string

// UnmarshalJSON reads a text or a number.
func (id *callID) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*id = callID(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return errors.New("call_id must be a text or a number")
	}
	*id = callID(number)
	return nil
}

// parseAnswer reads the body of a 200.
func parseAnswer(text []byte) (engine.Result, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return engine.Result{}, nil
	}
	r, err := parseReply(text)
	if err != nil {
		return engine.Result{}, fmt.Errorf("with a body that is not the JSON object it should be (%w)", err)
	}
	result := engine.Result{Outcome: r.Outcome, CallID: string(r.CallID)}
	if r.Data != nil {
		result.Data = r.Data
	}
	return result, nil
}

// acceptedCallID returns the call_id of a 202, if it has one that can be read.
// The attempt is in flight in any case.
func (h *Handler) acceptedCallID(a engine.Attempt, where string, text []byte, err error) string {
	var id callID
	if err == nil && len(bytes.TrimSpace(text)) > 0 {
		var r struct {
			CallID callID `json:"call_id"`
		}
		err = json.Unmarshal(text, &r)
		if id = r.CallID; len(id) > maxCallID {
			id, err = "", fmt.Errorf("call_id has more than %d bytes", maxCallID)
		}
	}
	if err != nil {
		h.log.Warn("leadflow: the body of a 202 cannot be read; the step is in flight without a call_id",
			slog.String("request", where), slog.String("step", a.StepID.String()), slog.Any("error", err))
	}
	return string(id)
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
