package workflow

import (
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// A wait for what was said ends when the person said, in their zone, and after the
// node's otherwise if they said nothing that can be understood.
func TestSaid(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 6, 14, 20, 0, 0, time.UTC) // 23:20 in Tokyo
	day := now.Add(DefaultOtherwise)
	for _, tt := range []struct {
		expression string
		otherwise  time.Duration
		when       any // metadata.when
		zone       *time.Location
		want       time.Time // zero: an error
	}{
		{"metadata.when", 0, "tomorrow 4 PM", tokyo, time.Date(2026, 5, 7, 7, 0, 0, 0, time.UTC)},
		{"metadata.when", 0, "tomorrow 4 PM", nil, time.Date(2026, 5, 7, 16, 0, 0, 0, time.UTC)},
		{"metadata.when", time.Hour, "evening 7", tokyo, time.Date(2026, 5, 7, 10, 0, 0, 0, time.UTC)},
		{"metadata.when", 0, nil, tokyo, day},
		{"metadata.when", 0, "", tokyo, day},
		{"metadata.when", 0, "when it suits the moon", tokyo, day},
		{"metadata.when", 0, "01/02/2020 10:00", tokyo, day},
		{"metadata.when", 4 * time.Hour, nil, tokyo, now.Add(4 * time.Hour)},
		{"metadata.when", 4 * time.Hour, true, tokyo, now.Add(4 * time.Hour)},
		{"metadata.when", 4 * time.Hour, []any{"tomorrow"}, tokyo, now.Add(4 * time.Hour)},
		{"metadata.when", 0, 9.0, tokyo, time.Date(2026, 5, 7, 0, 0, 0, 0, time.UTC)},
		{`"tomorrow at " + metadata.when`, 0, "10", tokyo, time.Date(2026, 5, 7, 1, 0, 0, 0, time.UTC)},
		{`metadata.a.b`, 0, "10", tokyo, time.Time{}},
	} {
		d := valid()
		d.Nodes[1] = WaitSaid("pause", tt.expression, tt.otherwise)
		g, err := Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		env := &Env{Now: now, Contact: lead.Contact{Metadata: map[string]any{"when": tt.when}}}
		got, err := g.Said(1, env, now, tt.zone)
		if (err != nil) != tt.want.IsZero() || !got.Equal(tt.want) || got.Location() != time.UTC {
			t.Errorf("%s with %v: %v, %v; want %v", tt.expression, tt.when, got, err, tt.want)
		}
		if !g.NeedsZone(1) || !g.NeedsContact(1) || g.Cheap(1) {
			t.Errorf("%s: needs a zone %t, needs the contact %t, cheap %t", tt.expression, g.NeedsZone(1), g.NeedsContact(1), g.Cheap(1))
		}
		if _, err := g.Until(1, env, now); err == nil || !strings.Contains(err.Error(), "time zone") {
			t.Errorf("Until answers without a zone: %v", err)
		}
		if _, err := g.Said(0, env, now, nil); err == nil {
			t.Error("a call has a Said")
		}
	}
}

// A kept workflow whose said is refused by now goes on, and says why that node fails.
func TestSaidOfAKeptWorkflow(t *testing.T) {
	d := valid()
	d.Nodes[1] = WaitSaid("pause", `string(now().Local())`, 0)
	if _, err := Compile(d); err == nil {
		t.Fatal("Compile takes the expression; the test needs one that it refuses")
	}
	g, err := CompileKept(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Said(1, nil, time.Now(), nil); err == nil || !g.NeedsZone(1) {
		t.Errorf("needs a zone %t, %v", g.NeedsZone(1), err)
	}
}
