package main

import (
	"strings"
	"testing"
)

func TestSimulateKeepsHoursLimitsZonesAndSuppressions(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"wf.json":      strings.Replace(certain, `"entry": "call",`, `"entry": "call", "calling_hours": {"windows": [{"days": ["mon","tue","wed","thu","fri"], "from": "09:00", "to": "12:00"}]},`, 1),
		"answers.json": certainAnswers, "limits.json": `{"limits": [{"channel": "voice_call", "starts": 30, "per": "1h"}]}`,
	})
	got := simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"answers.json", "-leads", "600", "-days", "14",
		"-enroll-over", "100h", "-zones", "America/New_York,Europe/London", "-limits", dir+"limits.json", "-suppress", "60")
	_, hours, _ := strings.Cut(got, "on people's clocks:\n")
	hours, kept, _ := strings.Cut(hours, "\nWhat kept leads waiting:\n")
	lines := strings.Split(strings.TrimSuffix(hours, "\n"), "\n")
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "  09:00") || !strings.HasPrefix(lines[len(lines)-1], "  1") || strings.Contains(hours, "13:00") {
		t.Errorf("attempts began at %q, but only 09:00 to 12:00 are allowed", lines)
	}
	for _, want := range []string{"call of Certain <things>: at most ", "wait for calling hours", "wait for a limit of attempts"} {
		if !strings.Contains(kept, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for args, want := range map[string]string{
		"-zones Mars/Olympus": "unknown time zone", "-suppress 2000": "--suppress must be", "-limits none.json": "there is no such file",
	} {
		out, stderr, code := runBinary(t, nil, append([]string{"simulate", "-workflow", dir + "wf.json"}, strings.Fields(args)...)...)
		if code == 0 || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %q", args, code, stderr, want)
		}
	}
}
