package enginetest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

const day = 24 * time.Hour

// nurture is a month with everything in it: calls with retries, waits, branches,
// messages, a scheduled reminder, and a circle.
func nurture() *workflow.Definition {
	minutes := func(n int) workflow.Duration { return workflow.Duration(time.Duration(n) * time.Minute) }
	return &workflow.Definition{
		Name: "Nurture", Entry: "welcome",
		Nodes: []workflow.Node{
			workflow.CallNode("welcome", nil).WithRetry(workflow.Retry{MaxAttempts: 3, Delay: minutes(30), Backoff: 2}),
			workflow.MessageNode("guide", nil).WithRetry(workflow.Retry{MaxAttempts: 2, Delay: minutes(5)}),
			workflow.Wait("read", 3*day),
			workflow.CallNode("follow-up", nil),
			workflow.If("keen", `steps["follow-up"].data.score > 5`),
			workflow.MessageNode("offer", nil),
			workflow.Wait("rest", 7*day),
			workflow.End("won", workflow.Converted),
			workflow.End("lost", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("welcome", "completed", "guide"),
			workflow.On("welcome", "default", "rest"),
			workflow.On("guide", "default", "read"),
			workflow.To("read", "follow-up"),
			workflow.On("follow-up", "completed", "keen"),
			workflow.On("follow-up", "default", "rest"),
			workflow.On("keen", "true", "offer"),
			workflow.On("keen", "false", "lost"),
			workflow.On("offer", "success", "won"),
			workflow.On("offer", "default", "lost"),
			workflow.To("rest", "welcome"),
		},
	}
}

// people is how those in the nurture workflow answer.
func people() enginetest.Script {
	talk := func(outcome string) enginetest.Answer {
		return enginetest.Outcome(outcome).AfterBetween(20*time.Second, 5*time.Minute)
	}
	return enginetest.Script{
		"welcome": enginetest.OneOf(
			enginetest.Weighted(50, talk("completed")),
			enginetest.Weighted(20, enginetest.Outcome("dnp").Taking(30*time.Second)),
			enginetest.Weighted(25, enginetest.Fail("line busy")),
			enginetest.Weighted(5, enginetest.NeverCalls())),
		"guide": enginetest.Times(1, enginetest.OneOf(
			enginetest.Weighted(90, enginetest.Outcome("sent").Schedule(engine.Message{After: day})),
			enginetest.Weighted(10, enginetest.Fail("gateway overloaded"))), enginetest.Outcome("sent")),
		"follow-up": enginetest.OneOf(
			enginetest.Weighted(40, talk("completed").With(map[string]any{"score": 8})),
			enginetest.Weighted(30, talk("completed").With(map[string]any{"score": 3})),
			enginetest.Weighted(30, enginetest.Outcome("dnp"))),
		"offer": enginetest.OneOf(enginetest.Weighted(97, enginetest.Outcome("")), enginetest.Weighted(3, enginetest.FailFinal("number ported"))),
	}
}

// month runs n leads through a month of nurture.
func month(tb testing.TB, seed uint64, n int) (*enginetest.World, *enginetest.Summary) {
	w, err := enginetest.Open(enginetest.Config{Seed: seed, Script: people()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close() })
	wf := w.Activate(tb, nurture())
	w.EnrollMany(tb, wf, n)
	w.Run(tb, 30*day)
	s, err := w.Summarize(wf)
	if err != nil {
		tb.Fatal(err)
	}
	return w, s
}

// A simulated month gives numbers that hang together, and that the odds in the
// script lead one to expect.
func TestAMonthOfAThousandLeads(t *testing.T) {
	w, s := month(t, 1, 1000)
	w.PromisesHold(t)
	def := nurture()
	in, out := make([]int, len(def.Nodes)), make([]int, len(def.Nodes))
	index := map[string]int{}
	for i, n := range def.Nodes {
		index[n.ID] = i
	}
	in[index[def.Entry]] = s.Tally.Entered
	for i, e := range def.Edges {
		out[index[e.From]] += s.Tally.Edges[i]
		in[index[e.To]] += s.Tally.Edges[i]
		if s.Tally.Edges[i] == 0 {
			t.Errorf("nobody went from %s to %s (%s)", e.From, e.To, e.Label)
		}
	}
	for i, n := range def.Nodes {
		if in[i] != out[i]+s.Tally.Here[i] {
			t.Errorf("%s: %d leads came, %d left, and %d are there", n.ID, in[i], out[i], s.Tally.Here[i])
		}
	}
	leads := 0
	for _, n := range s.States {
		leads += n
	}
	if s.Leads != 1000 || leads != 1000 || s.States[lead.Completed] != s.Outcomes["converted"]+s.Outcomes["dropped"] {
		t.Errorf("%d leads: %v, %v", s.Leads, s.States, s.Outcomes)
	}
	// Four of seven talks at follow-up are with somebody keen.
	share := float64(s.Outcomes["converted"]) / float64(s.States[lead.Completed])
	if share < 0.52 || share > 0.62 {
		t.Errorf("%.3f of those at their end are converted", share)
	}
	if p50, p90 := enginetest.Percentile(s.ToConversion, 0.5), enginetest.Percentile(s.ToConversion, 0.9); p50 < 3*day || p50 > 6*day || p90 < 10*day || p90 > 25*day {
		t.Errorf("half of them after %s, nine of ten after %s", p50, p90)
	}
	if len(s.ToConversion) != s.Outcomes["converted"] || !slices.IsSorted(s.ToConversion) {
		t.Errorf("%d times to conversion", len(s.ToConversion))
	}
	if s.Messages < 500 {
		t.Errorf("only %d of the scheduled messages were sent", s.Messages)
	}
	for _, n := range s.Nodes {
		over := 0
		for _, count := range n.Outcomes {
			over += count
		}
		if n.Visits < over || n.Attempts < n.Visits || n.Visits != in[index[n.ID]] {
			t.Errorf("%+v, and %d leads came", n, in[index[n.ID]])
		}
	}
	welcome := s.Nodes[0]
	if again := welcome.Attempts - welcome.Visits; again != s.Calls.Retries || again < welcome.Attempts/5 {
		t.Errorf("%d of %d attempts at %d visits are retries, and %d calls", again, welcome.Attempts, welcome.Visits, s.Calls.Retries)
	}
	checkCalls(t, &s.Calls)
}

func checkCalls(t *testing.T, c *enginetest.CallSummary) {
	t.Helper()
	made := 0
	for _, n := range c.PerHour {
		made += n
	}
	if made != c.Made || c.PerHour[0] < 1000 {
		t.Errorf("%d calls, and %d by the hour, %d of them in the first", c.Made, made, c.PerHour[0])
	}
	if len(c.AtOncePerDay) > 30 || slices.Max(c.AtOncePerDay) != c.MostAtOnce || c.AtOncePerDay[0] != c.MostAtOnce {
		t.Errorf("%d calls at once, by the day %v", c.MostAtOnce, c.AtOncePerDay)
	}
	// All 1,000 are called at once, and a quarter of the lines are busy.
	if !c.MostAt.Equal(enginetest.DefaultStart) || c.MostAtOnce < 720 || c.MostAtOnce > 780 {
		t.Errorf("%d calls at once at %s", c.MostAtOnce, c.MostAt)
	}
}

func TestPercentilesAreOfTheNearestRank(t *testing.T) {
	ten := make([]time.Duration, 10)
	for i := range ten {
		ten[i] = time.Duration(i + 1)
	}
	for p, want := range map[float64]time.Duration{0: 1, 0.1: 1, 0.11: 2, 0.5: 5, 0.9: 9, 0.91: 10, 1: 10} {
		if got := enginetest.Percentile(ten, p); got != want {
			t.Errorf("%g of 1 to 10: %d, want %d", p, got, want)
		}
	}
	if got := enginetest.Percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

func BenchmarkMonth(b *testing.B) {
	for b.Loop() {
		w, _ := month(b, 1, 1000)
		s := w.Engine().Stats()
		b.ReportMetric(float64(s.StepsStarted+s.Retries), "attempts")
		b.ReportMetric(float64(s.Commits), "commits")
	}
}

// nurtureWithout is nurture without one of its nodes, which makes it faulty.
func nurtureWithout(id string) *workflow.Definition {
	def := nurture()
	def.Nodes = slices.DeleteFunc(def.Nodes, func(n workflow.Node) bool { return n.ID == id })
	return def
}
