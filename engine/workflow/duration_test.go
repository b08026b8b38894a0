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
		`"2d"`:   `workflow: invalid duration "2d"; the units are h, m and s: write "48h"`,
		`"1.5d"`: `write "36h"`,
		`"1w"`:   `write "168h"`,
		`"d"`:    `invalid duration "d"; write one such as "48h"`,
		`"-1d"`:  "invalid duration",
		`""`:     `invalid duration ""; write one`,
		`"48"`:   `workflow: invalid duration "48"; it has no unit: write "48s", "48m" or "48h"`,
		`48`:     `workflow: invalid duration 48; it has no unit: write "48s", "48m" or "48h"`,
		`1.5`:    `write "1.5s", "1.5m" or "1.5h"`,
		`null`:   `invalid duration null; write a string such as "48h"`,
		`{}`:     "invalid duration {}; write a string",
	} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
