package life

import (
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// The promises hold at each moment of every tale, and from each moment to the next.
func TestThePromisesHoldOfALife(t *testing.T) {
	for name, tell := range tales {
		s := newStory(t)
		s.number()
		begin := s.l
		before := s.sight()
		tell(s)
		s.number()
		is := s.sight()
		faults := slices.Concat(before.Check(), is.Check())
		if s.l == begin {
			faults = append(faults, is.Since(before)...)
		}
		for _, f := range faults {
			t.Errorf("%s: %s", name, f)
		}
	}
}

func TestWhatAReaderSeesBreaksPromises(t *testing.T) {
	for name, c := range map[string]struct {
		tale    string
		forge   func(is *Sight)
		promise int
	}{
		"final and due":                {"ends", func(is *Sight) { is.Lead.NextActionAt = storyBegin }, 5},
		"live and not due":             {"waits", func(is *Sight) { is.Lead.NextActionAt = time.Time{} }, 10},
		"a step of a final lead":       {"ends", func(is *Sight) { is.Steps[3].ExitedAt = time.Time{} }, 5},
		"a step twice":                 {"ends", func(is *Sight) { is.Steps = append(is.Steps, is.Steps[0]) }, 8},
		"attempts that have a gap":     {"second attempt", func(is *Sight) { is.Steps[1].Attempts = is.Steps[1].Attempts[1:] }, 9},
		"two in flight":                {"waits", func(is *Sight) { is.Steps[1].Status = lead.StepInProgress }, 8},
		"removed without a record":     {"removed without retries", func(is *Sight) { is.Lead.Removal = nil }, 7},
		"a call that is not logged":    {"ends", func(is *Sight) { is.Calls = is.Calls[:0] }, 7},
		"a call that is logged twice":  {"ends", func(is *Sight) { is.Calls = append(is.Calls, is.Calls[0]) }, 7},
		"a call that is logged wrong":  {"ends", func(is *Sight) { is.Calls[0].Status = lead.StepFailed }, 7},
		"a call that nobody made":      {"waits", func(is *Sight) { is.Calls = append(is.Calls, lead.Call{PhoneNumber: is.Lead.PhoneNumber}) }, 7},
		"removal that nobody asked of": {"removed while it runs", func(is *Sight) { is.Lead.State, is.Lead.Removal = lead.PendingRemoval, nil }, 1},
	} {
		s := newStory(t)
		tales[c.tale](s)
		s.number()
		is := s.sight()
		c.forge(&is)
		if got := is.Check(); !slices.ContainsFunc(got, func(f Fault) bool { return f.Promise == c.promise }) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatAReaderSawIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		tale    string
		forge   func(is *Sight)
		promise int
	}{
		"a final lead changes":     {"ends", func(is *Sight) { is.Lead.Outcome = "dropped" }, 5},
		"a step is lost":           {"waits", func(is *Sight) { is.Steps = is.Steps[1:] }, 7},
		"a step that was over":     {"waits", func(is *Sight) { is.Steps[0].HookErrors = []string{"hook: late"} }, 7},
		"an outcome is another":    {"hooks", func(is *Sight) { is.Steps[1].Outcome = "dnp" }, 8},
		"a removal is forgotten":   {"removed without retries", func(is *Sight) { is.Lead.Removal = nil }, 1},
		"retries are made again":   {"removed without retries", func(is *Sight) { is.Lead.Removal = &lead.Removal{} }, 1},
		"attempts are lost":        {"retries", func(is *Sight) { is.Steps[1].Attempts = nil }, 7},
		"the call log loses calls": {"ends", func(is *Sight) { is.Calls = is.Calls[:0] }, 7},
	} {
		s := newStory(t)
		tales[c.tale](s)
		s.number()
		before, is := s.sight(), s.sight()
		c.forge(&is)
		if got := is.Since(before); !slices.ContainsFunc(got, func(f Fault) bool { return f.Promise == c.promise }) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheWitnessKnows(t *testing.T) {
	first := Attempt{lead.StepID{15: 1}, 1}
	next := Attempt{lead.StepID{15: 1}, 2}
	other := Attempt{lead.StepID{15: 2}, 1}
	call := func(a Attempt) Call { return Call{Attempt: a, Key: a.String()} }
	mark := func(a Attempt) Call { return Call{Attempt: a, Key: a.String(), Redelivered: true} }
	pending, removed := lead.PendingRemoval, lead.Removed
	for _, c := range []struct {
		name    string
		play    func(w *Witness) []Fault
		promise int // 0 for none
	}{
		{"attempts one after the other", func(w *Witness) []Fault { w.Called(call(first)); return w.Called(call(next)) }, 0},
		{"an attempt again", func(w *Witness) []Fault { w.Called(call(first)); w.Died(); return w.Called(mark(first)) }, 0},
		{"again without a mark", func(w *Witness) []Fault { w.Called(call(first)); w.Died(); return w.Called(call(first)) }, 9},
		{"again by the same process", func(w *Witness) []Fault { w.Called(call(first)); return w.Called(mark(first)) }, 9},
		{"again with another key", func(w *Witness) []Fault {
			w.Called(call(first))
			w.Died()
			return w.Called(Call{Attempt: first, Key: "another", Redelivered: true})
		}, 9},
		{"a step when all is over", func(w *Witness) []Fault {
			w.Removed(pending, false, Attempt{})
			w.Detached(removed)
			return w.Called(call(first))
		}, 2},
		{"a wait that is over early", func(w *Witness) []Fault { w.Removed(pending, false, first); return w.Detached(pending) }, 4},
		{"a mark without a reason", func(w *Witness) []Fault { return w.Called(mark(first)) }, 9},
		{"a key twice", func(w *Witness) []Fault {
			w.Called(call(first))
			return w.Called(Call{Attempt: other, Key: first.String()})
		}, 9},
		{"the step in flight goes on", func(w *Witness) []Fault {
			w.Called(call(first))
			w.Removed(pending, false, first)
			return w.Called(call(next))
		}, 0},
		{"which nobody knew", func(w *Witness) []Fault { w.Removed(pending, false, Attempt{}); return w.Called(call(first)) }, 0},
		{"and another after that", func(w *Witness) []Fault {
			w.Removed(pending, false, Attempt{})
			w.Called(call(first))
			return w.Called(call(other))
		}, 2},
		{"another step", func(w *Witness) []Fault { w.Removed(pending, false, first); return w.Called(call(other)) }, 2},
		{"any step of who is gone", func(w *Witness) []Fault { w.Removed(removed, false, Attempt{}); return w.Called(call(first)) }, 2},
		{"a retry that was not to be", func(w *Witness) []Fault { w.Removed(pending, true, first); return w.Called(call(next)) }, 2},
		{"the attempt that was", func(w *Witness) []Fault { w.Removed(pending, true, first); return w.Called(call(first)) }, 0},
		{"but not again", func(w *Witness) []Fault {
			w.Called(call(first))
			w.Removed(pending, true, first)
			w.Died()
			return w.Called(mark(first))
		}, 2},
		{"a removal twice", func(w *Witness) []Fault {
			w.Removed(removed, false, Attempt{})
			return w.Removed(removed, false, Attempt{})
		}, 11},
		{"a removal of nothing", func(w *Witness) []Fault { return w.Removed(lead.Completed, false, Attempt{}) }, 1},
		{"an outcome twice", func(w *Witness) []Fault { w.Told(first.Step, "ok"); return w.Told(first.Step, "ok") }, 0},
		{"two outcomes", func(w *Witness) []Fault { w.Told(first.Step, "ok"); return w.Told(first.Step, "dnp") }, 8},
		{"hooks of two minds", func(w *Witness) []Fault { w.Hooked(first.Step, "ok"); return w.Hooked(first.Step, "dnp") }, 8},
		{"hooks against a callback", func(w *Witness) []Fault { w.Told(first.Step, "ok"); return w.Hooked(first.Step, "dnp") }, 8},
		{"a removal that is lost", func(w *Witness) []Fault {
			w.Removed(pending, false, first)
			return w.Check(Sight{Lead: lead.Lead{State: lead.Completed}})
		}, 1},
		{"an attempt that is not on record", func(w *Witness) []Fault { w.Called(call(first)); return w.Check(Sight{}) }, 7},
		{"an outcome that is not", func(w *Witness) []Fault { w.Told(first.Step, "ok"); return w.Check(Sight{}) }, 8},
	} {
		got := c.play(&Witness{})
		if (len(got) > 0) != (c.promise > 0) || len(got) > 0 && got[0].Promise != c.promise {
			t.Errorf("%s: %v, want promise %d", c.name, got, c.promise)
		}
	}
}
