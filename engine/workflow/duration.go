package workflow

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

// Duration is a time.Duration that is written in JSON as a Go duration string,
// such as "48h" or "1h30m".
type Duration time.Duration

// String returns the short form: "48h", where time.Duration has "48h0m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalJSON writes the duration as String does.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a Go duration string.
func (d *Duration) UnmarshalJSON(data []byte) error {
	parsed, err := durationFromJSON(data)
	if err != nil {
		return fmt.Errorf("workflow: %w", err)
	}
	*d = parsed
	return nil
}

// The errors of these two are written to follow a location: "nodes[1].timeout: …".

func durationFromJSON(data []byte) (Duration, error) {
	var text string
	if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, &text) == nil {
		return ParseDuration(text)
	}
	if _, err := strconv.ParseFloat(string(data), 64); err == nil {
		return 0, refused("invalid duration %s; it has no unit: write %s", expression.Clip(string(data)), withUnits(string(data)))
	}
	return 0, refused(`invalid duration %s; write a string such as "48h" or "30m"`, expression.Clip(string(data)))
}

// ParseDuration reads a Go duration string, such as "48h" or "1h30m". The error, a
// [lead.InvalidError], says what to write instead, such as "30s" for "30".
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil {
		return Duration(d), nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, refused("invalid duration %s; it has no unit: write %s", expression.Quote(text), withUnits(text))
	}
	// A common mistake: Go has no unit above the hour, because days differ in
	// length.
	for suffix, hours := range map[string]float64{"d": 24, "w": 7 * 24} {
		if n, err := strconv.ParseFloat(strings.TrimSuffix(text, suffix), 64); err == nil && strings.HasSuffix(text, suffix) && n > 0 && n < 1e6 {
			return 0, refused("invalid duration %s; the units are h, m and s: write \"%sh\"", expression.Quote(text), strconv.FormatFloat(n*hours, 'f', -1, 64))
		}
	}
	return 0, refused("invalid duration %s; write one such as \"48h\", \"30m\" or \"1h30m\"", expression.Quote(text))
}

// withUnits lists what somebody may have meant who wrote a number alone.
func withUnits(number string) string {
	number = expression.Clip(number)
	return fmt.Sprintf(`"%ss", "%sm" or "%sh"`, number, number, number)
}
