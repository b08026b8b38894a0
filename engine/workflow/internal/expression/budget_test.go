package expression

import (
	"errors"
	"strings"
	"testing"
)

func TestMeter(t *testing.T) {
	for _, tt := range []struct {
		spend func(m *Meter)
		err   string
	}{
		{func(m *Meter) { m.Step(MaxSteps); m.Alloc(MaxBytes) }, ""},
		{func(m *Meter) { m.Step(MaxSteps); m.Step(1) }, "stopped after 100000 steps"},
		{func(m *Meter) { m.Alloc(MaxBytes + 1) }, "stopped after allocating 4194304 bytes"},
	} {
		_, err := Metered(func(m *Meter) int { tt.spend(m); return 1 })
		if (err == nil) != (tt.err == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.err) || !errors.Is(err, ErrBudget)) {
			t.Errorf("%v, want %q", err, tt.err)
		}
	}
	// A defect of ours or of the library ends one evaluation, not the process.
	if _, err := Metered(func(*Meter) int { var list []int; return list[0] }); err == nil || errors.Is(err, ErrBudget) {
		t.Error(err)
	}
	if _, err := Metered(func(*Meter) int { panic("told") }); err == nil || err.Error() != "told" {
		t.Error(err)
	}
}
