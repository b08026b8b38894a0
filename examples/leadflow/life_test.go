package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine/webhook"
)

// definition is a workflow that calls, waits and writes. delay is how long it
// waits, and how far off its retries are.
func definition(p *provider, delay time.Duration) string {
	return fmt.Sprintf(`{
  "name": "Follow-up", "entry": "call",
  "nodes": [
    {"id": "call", "type": "voice_call", "config": {"url": "%[1]s/call"}, "retry": {"max_attempts": 3, "delay": "%[2]s"}},
    {"id": "pause", "type": "time", "config": {"duration": "%[2]s"}},
    {"id": "guide", "type": "message", "config": {"url": "%[1]s/message"}},
    {"id": "won", "type": "converted"},
    {"id": "lost", "type": "dropped"}
  ],
  "edges": [
    {"from": "call", "label": "completed", "to": "pause"},
    {"from": "call", "label": "default", "to": "lost"},
    {"from": "pause", "to": "guide"},
    {"from": "guide", "label": "default", "to": "won"}
  ]
}`, p.url, delay)
}

// TestLivesGoOnAcrossKills takes six people through the workflow and kills the
// server with each of them at another point.
func TestLivesGoOnAcrossKills(t *testing.T) {
	t.Parallel()
	// Longer than it takes to kill a process and start another, mostly; on a busy
	// machine what is due may come sooner, and the promises hold then too.
	const wait = 1500 * time.Millisecond
	p := newProvider(t)
	args := []string{"-webhook-secret", "of the tests", "-webhook-allow", strings.TrimPrefix(p.url, "http://")}
	s := startServer(t, t.TempDir()+"/leads.db", args...)
	wf := s.create(definition(p, wait), true)
	const live, ringing, busy, waits, silent, stopped = "+14155550101", "+14155550102", "+14155550103", "+14155550104", "+14155550105", "+14155550106"
	ids, calls := map[string]string{}, map[string]asked{}
	for _, phone := range []string{live, ringing, busy, waits, silent, stopped} {
		ids[phone] = s.enroll(wf, phone)
		calls[phone] = p.next(t, phone)
	}
	for _, phone := range []string{live, stopped, waits} {
		calls[phone].reply(202, `{"call_id":"c-1"}`)
		s.until(wf, ids[phone], func(_ leadView, last stepView) bool { return last.CallID != "" })
		p.always(phone, "") // what comes after the call
	}
	p.always(busy, `{"outcome":"not_interested"}`)
	failed := time.Now().Truncate(time.Millisecond)
	calls[busy].reply(503, "busy")
	s.until(wf, ids[busy], func(_ leadView, last stepView) bool { return last.Status != "in_progress" })
	calls[silent].reply(200, `{"outcome":"dnp"}`)
	if l, _ := s.until(wf, ids[silent], status("completed")); l.Outcome != "dropped" {
		t.Errorf("%+v", l)
	}
	began := time.Now().Truncate(time.Millisecond)
	if code := calls[waits].callback(t, "completed"); code != 200 {
		t.Errorf("the callback is answered with %d", code)
	}
	if out, _, code := s.cli("remove", wf, ids[stopped], "-reason", "said stop"); code != 0 || !strings.HasPrefix(out, "pending_removal: ") {
		t.Errorf("%d: %s", code, out)
	}

	// live and stopped are talking, ringing has not been answered, busy has a
	// retry queued, waits waits.
	s.kill()
	s = s.restart(args...)

	again := p.next(t, ringing)
	if first := calls[ringing]; again.IdempotencyKey != first.IdempotencyKey || !again.Redelivered || again.header.Get(webhook.HeaderRedelivered) != "true" {
		t.Errorf("asked %+v, want the attempt that rang, %s, redelivered", again, first.IdempotencyKey)
	}
	again.reply(202, `{"call_id":"c-2"}`)
	for _, phone := range []string{live, stopped} {
		for range 2 { // a callback may come twice
			if code := calls[phone].callback(t, "completed"); code != 200 {
				t.Errorf("the callback of %s is answered with %d", phone, code)
			}
		}
		if code := calls[phone].callback(t, "dnp"); code != 409 {
			t.Errorf("another outcome of %s is answered with %d", phone, code)
		}
	}
	if l, last := s.until(wf, ids[stopped], status("removed")); l.Removal == nil || l.Removal.Reason != "said stop" || last.NodeID != "pause" || last.Status != "cancelled" {
		t.Errorf("%+v, %+v", l, last)
	}
	s.until(wf, ids[ringing], func(_ leadView, last stepView) bool { return last.CallID != "" })

	// Again, with ringing live and everybody else at a wait or a retry.
	s.kill()
	s = s.restart(args...)
	if code := again.callback(t, "failed"); code != 200 {
		t.Errorf("the callback is answered with %d", code)
	}
	for phone, outcome := range map[string]string{ringing: "dropped", busy: "dropped", live: "converted", waits: "converted"} {
		if l, _ := s.until(wf, ids[phone], status("completed")); l.Outcome != outcome {
			t.Errorf("%s: %+v", phone, l)
		}
	}
	if s.signal(sigterm); s.wait() != 0 {
		t.Errorf("exit code %d", s.cmd.ProcessState.ExitCode())
	}

	// Nobody was dialled twice who waited for a callback. An attempt that a kill
	// cut off may be there twice.
	got := p.attempts("call")
	got[busy] = slices.Compact(got[busy])
	want := map[string][]string{live: {"1"}, ringing: {"1", "1"}, busy: {"1", "2"}, waits: {"1"}, silent: {"1"}, stopped: {"1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attempts at calls:\n%s", diff)
	}
	if got := slices.Sorted(maps.Keys(p.attempts("guide"))); !slices.Equal(got, []string{live, waits}) {
		t.Errorf("messages went to %q", got)
	}
	for _, a := range p.seen {
		if err := webhook.Verify(a.header, a.body, []byte("of the tests"), a.at); err != nil {
			t.Error(err)
		}
		switch phone := a.Lead.PhoneNumber; {
		case phone == busy && a.Attempt == 2 && a.at.Before(failed.Add(wait)):
			t.Errorf("the retry came %s after the attempt", a.at.Sub(failed))
		case phone == waits && a.Node.ID == "guide" && a.at.Before(began.Add(wait)):
			t.Errorf("the wait was over after %s", a.at.Sub(began))
		}
	}
}

func TestCallbacksNeedTheirSignatureOrTheToken(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(p, time.Hour), true)
	id := s.enroll(wf, "+14155550101")
	a := p.next(t, "+14155550101")
	other := s.enroll(wf, "+14155550102")
	b := p.next(t, "+14155550102")
	for id, a := range map[string]asked{id: a, other: b} {
		a.reply(202, `{"call_id":"c-1"}`)
		s.until(wf, id, func(_ leadView, last stepView) bool { return last.CallID != "" })
	}

	plain, signature, _ := strings.Cut(a.CallbackURL, "?")
	body := `{"outcome":"completed"}`
	for name, url := range map[string]string{
		"none":      plain,
		"a wrong":   plain + "?sig=" + strings.Repeat("A", 43),
		"another's": plain + "?" + strings.SplitN(b.CallbackURL, "?", 2)[1],
		"elsewhere": s.url + "/v1/workflows?" + signature,
	} {
		method := http.MethodPost
		if code := call(t, method, url, "", body, nil); code != 401 {
			t.Errorf("%s signature: %d, want 401", name, code)
		}
	}
	// The key is made of the token, so it outlives the process.
	s.kill()
	s = s.restart()
	if code := a.callback(t, "completed"); code != 200 {
		t.Errorf("the callback is answered with %d", code)
	}
	if code := call(t, "POST", strings.SplitN(b.CallbackURL, "?", 2)[0], "Bearer "+token, body, nil); code != 200 {
		t.Errorf("the callback with the token is answered with %d", code)
	}
	for _, id := range []string{id, other} {
		if _, last := s.until(wf, id, func(_ leadView, last stepView) bool { return last.NodeID == "pause" }); last.Status != "waiting" {
			t.Errorf("%+v", last)
		}
	}
}

// Providers send callbacks twice. One of an attempt that failed says nothing of the
// next, whose call is live by then.
func TestARepeatedCallbackIsNotTheNextAttempts(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(p, 100*time.Millisecond), true)
	const phone = "+14155550101"
	id := s.enroll(wf, phone)
	busy := func(a asked) int { return call(t, "POST", a.CallbackURL, "", `{"error":"busy","call_id":"c-1"}`, nil) }
	first := p.next(t, phone)
	first.reply(202, `{"call_id":"c-1"}`)
	if code := busy(first); code != 200 {
		t.Fatalf("the callback is answered with %d", code)
	}
	second := p.next(t, phone)
	second.reply(202, `{"call_id":"c-2"}`)
	s.until(wf, id, func(_ leadView, last stepView) bool { return last.CallID == "c-2" })
	if code := busy(first); code != 409 {
		t.Errorf("the same callback again is answered with %d", code)
	}
	p.always(phone, "")
	if code := second.callback(t, "completed"); code != 200 {
		t.Errorf("the callback of the second attempt is answered with %d", code)
	}
	if l, _ := s.until(wf, id, status("completed")); l.Outcome != "converted" {
		t.Errorf("%+v", l)
	}
	if got := p.attempts("call")[phone]; !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("attempts %q", got)
	}
}
