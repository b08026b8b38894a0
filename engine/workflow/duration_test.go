package workflow

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestDurationIsShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"48h": 48 * time.Hour, "30m": 30 * time.Minute, "1h30m": 90 * time.Minute, "10s": 10 * time.Second, "0s": 0,
		"10m10s": 610 * time.Second, "1h0m1s": 3601 * time.Second, "1.5s": 1500 * time.Millisecond, "-1h": -time.Hour, "10h": 10 * time.Hour,
		"2562047h47m16.854775807s": math.MaxInt64,
	} {
		data, err := json.Marshal(Duration(d))
		if err != nil || string(data) != `"`+want+`"` {
			t.Errorf("%v: %s, %v", d, data, err)
		}
		var back Duration
		if err := json.Unmarshal(data, &back); err != nil || back != Duration(d) {
			t.Errorf("%s: %v, %v", data, back, err)
		}
	}
}

func TestDurationRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`"2d"`:   `workflow: duration "2d" is in a unit that durations do not have; write 48h`,
		`"1.5d"`: "write 36h",
		`"1w"`:   "write 168h",
		`"d"`:    `"d" is not a duration; write one such as 48h`,
		`"-1d"`:  "is not a duration",
		`""`:     `"" is not a duration`,
		`"48"`:   "is not a duration",
		`48`:     `must be a duration in quotes, such as "48h"`,
		`null`:   "must be a duration in quotes",
		`{}`:     "must be a duration in quotes",
	} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
