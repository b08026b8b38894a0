package workflow

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func compiledValid(t *testing.T) *Graph {
	t.Helper()
	g, err := Compile(valid())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGraphFollowsEdges(t *testing.T) {
	g := compiledValid(t)
	if g.Len() != 5 || g.Node(g.Entry()).ID != "call" {
		t.Fatalf("%d nodes, entry %d", g.Len(), g.Entry())
	}
	index := func(id string) int32 {
		i, ok := g.Index(id)
		if !ok || g.Node(i).ID != id {
			t.Fatalf("no %s", id)
		}
		return i
	}
	if _, ok := g.Index("nobody"); ok {
		t.Error("there is no nobody")
	}
	for _, tt := range []struct{ from, outcome, to string }{
		{"call", "completed", "ask"},
		{"call", "dnp", "pause"}, // the default
		{"call", "default", "pause"},
		{"call", "", "pause"},
		{"ask", "true", "won"},
		{"ask", "false", "lost"},
		{"ask", "maybe", ""},
		{"pause", "", ""}, // After, not Next
		{"won", "x", ""},
	} {
		to, ok := g.Next(index(tt.from), tt.outcome)
		if ok != (tt.to != "") || ok && to != index(tt.to) {
			t.Errorf("%s, %q: %d, %v", tt.from, tt.outcome, to, ok)
		}
	}
	for _, id := range []string{"call", "ask", "won"} {
		if _, ok := g.After(index(id)); ok {
			t.Errorf("%s is no time node", id)
		}
	}
	if to, ok := g.After(index("pause")); !ok || to != index("call") {
		t.Error("nothing after pause")
	}
}

func TestGraphSharesNoMemoryWithItsDefinition(t *testing.T) {
	d := valid()
	g, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	d.Nodes[0].Retry.MaxAttempts = 1
	d.Nodes[0].Config[2] = 'X'
	d.Edges[0].To = "lost"
	d.Nodes[3].ID = "changed"
	got := g.Definition()
	if got.Nodes[0].Retry.MaxAttempts != 2 || string(got.Nodes[0].Config) != `{"url":"https://example.com"}` || got.Edges[0].To != "ask" || got.Nodes[3].ID != "won" {
		t.Errorf("changed from outside: %+v", got)
	}
}

func TestDefinitionIsACopy(t *testing.T) {
	g := compiledValid(t)
	d := g.Definition()
	d.Name = "changed"
	d.Nodes[0].Retry.MaxAttempts = 50
	d.Nodes[0].Config[2] = 'X'
	d.Nodes[3].ID = "changed"
	d.Edges[0].To = "lost"
	d.Nodes = append(d.Nodes[:1], d.Nodes[2:]...)
	if diff := cmp.Diff(valid(), g.Definition()); diff != "" {
		t.Errorf("the graph was changed through its definition:\n%s", diff)
	}
	if _, more := g.RetryDelay(0, 2); more {
		t.Error("the graph makes a third attempt")
	}
	n := g.Node(0).Clone()
	n.Retry.MaxAttempts, n.Config[2] = 50, 'X'
	if diff := cmp.Diff(&valid().Nodes[0], g.Node(0)); diff != "" {
		t.Errorf("the graph was changed through a clone of its node:\n%s", diff)
	}
}

func TestNodes(t *testing.T) {
	g := compiledValid(t)
	var ids []string
	for i, n := range g.Nodes() {
		if g.Node(i) != n {
			t.Errorf("node %d is another one", i)
		}
		if ids = append(ids, n.ID); n.ID == "won" {
			break
		}
	}
	if want := []string{"call", "pause", "ask", "won"}; !slices.Equal(ids, want) || g.EdgeCount() != 5 {
		t.Errorf("%q, %d edges", ids, g.EdgeCount())
	}
}

func TestEvaluatingTheWrongNodeIsAnError(t *testing.T) {
	g := compiledValid(t)
	if _, err := g.Test(0, nil); err == nil || err.Error() != "workflow: node call: is not a conditional node" {
		t.Error(err)
	}
	if _, err := g.Until(0, nil, testNow); err == nil || err.Error() != "workflow: node call: is not a time node" {
		t.Error(err)
	}
}

func TestUntilOfADuration(t *testing.T) {
	g := compiledValid(t)
	now := testNow.In(time.FixedZone("", 3600))
	if got, err := g.Until(1, nil, now); err != nil || !got.Equal(now.Add(time.Hour)) || got.Location() != time.UTC {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTimeout(t *testing.T) {
	d := valid()
	d.Nodes[0] = d.Nodes[0].WithTimeout(5 * time.Minute)
	g, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	if g.Timeout(0) != 5*time.Minute || g.Timeout(1) != time.Hour {
		t.Errorf("%v, %v", g.Timeout(0), g.Timeout(1))
	}
}

func TestHandlerNames(t *testing.T) {
	d := &Definition{Name: "x", Entry: "a", Nodes: []Node{
		CallNode("a", nil), ApplicationNode("b", nil).WithHandler("crm-2.update_lead"), CallNode("c", nil), MessageNode("d", nil).WithHandler("sms"),
		CallNode("e", nil).WithHandler("sms"), MessageNode("f", nil), Wait("g", time.Hour), End("h", Dropped),
	}, Edges: []Edge{On("a", "1", "b"), On("a", "2", "c"), On("a", "3", "d"), On("a", "4", "e"), On("a", "5", "f"), On("a", "6", "g"), To("g", "h")}}
	g, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	got := g.HandlerNames()
	if want := []string{"crm-2.update_lead", "message", "sms", "voice_call"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	got[0] = "changed"
	if g.HandlerNames()[0] != "crm-2.update_lead" {
		t.Error("the graph's own slice was handed out")
	}
	for i, want := range []string{"voice_call", "crm-2.update_lead", "voice_call", "sms", "sms", "message", "", ""} {
		if got := g.Node(int32(i)).HandlerName(); got != want {
			t.Errorf("node %d: %q, want %q", i, got, want)
		}
	}
}

func TestNodeTypes(t *testing.T) {
	for _, tt := range []struct {
		t                NodeType
		action, terminal bool
		success, failure string
	}{
		{VoiceCall, true, false, "completed", "failed"},
		{Message, true, false, "success", "failure"},
		{Application, true, false, "success", "failure"},
		{Time, false, false, "", ""},
		{Conditional, false, false, "", ""},
		{Converted, false, true, "", ""},
		{Dropped, false, true, "", ""},
		{"", false, false, "", ""},
	} {
		if tt.t.Action() != tt.action || tt.t.Terminal() != tt.terminal || tt.t.SuccessOutcome() != tt.success || tt.t.FailureOutcome() != tt.failure {
			t.Errorf("%s: %v %v %q %q", tt.t, tt.t.Action(), tt.t.Terminal(), tt.t.SuccessOutcome(), tt.t.FailureOutcome())
		}
	}
}

func TestRetryDelay(t *testing.T) {
	const none = -1
	for _, tt := range []struct {
		name   string
		retry  *Retry
		failed int
		want   time.Duration
	}{
		{"no rule", nil, 1, none},
		{"one attempt", &Retry{MaxAttempts: 1}, 1, none},
		{"constant, first", &Retry{MaxAttempts: 3, Delay: Duration(time.Minute)}, 1, time.Minute},
		{"constant, second", &Retry{MaxAttempts: 3, Delay: Duration(time.Minute)}, 2, time.Minute},
		{"constant, none left", &Retry{MaxAttempts: 3, Delay: Duration(time.Minute)}, 3, none},
		{"constant, beyond", &Retry{MaxAttempts: 3, Delay: Duration(time.Minute)}, 1000, none},
		{"nothing failed yet", &Retry{MaxAttempts: 3, Delay: Duration(time.Minute), Backoff: 2}, 0, time.Minute},
		{"backoff 1", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 1}, 8, time.Minute},
		{"backoff 2, first", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 2}, 1, time.Minute},
		{"backoff 2, second", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 2}, 2, 2 * time.Minute},
		{"backoff 2, fifth", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 2}, 5, 16 * time.Minute},
		{"backoff 1.5", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 1.5}, 3, 135 * time.Second},
		{"below max_delay", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 2, MaxDelay: Duration(5 * time.Minute)}, 3, 4 * time.Minute},
		{"capped", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), Backoff: 2, MaxDelay: Duration(5 * time.Minute)}, 4, 5 * time.Minute},
		{"capped at once", &Retry{MaxAttempts: 9, Delay: Duration(time.Minute), MaxDelay: Duration(time.Minute)}, 1, time.Minute},
		{"overflow of a duration", &Retry{MaxAttempts: 100, Delay: Duration(time.Hour), Backoff: 2}, 60, MaxDuration},
		{"overflow of a float", &Retry{MaxAttempts: 100, Delay: Duration(time.Hour), Backoff: math.MaxFloat64}, 99, MaxDuration},
		{"overflow, capped", &Retry{MaxAttempts: 100, Delay: Duration(time.Hour), Backoff: 1e300, MaxDelay: Duration(24 * time.Hour)}, 99, 24 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := valid()
			d.Nodes[0].Retry = tt.retry
			g, err := Compile(d)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := g.RetryDelay(0, tt.failed)
			if ok != (tt.want != none) || ok && got != tt.want {
				t.Errorf("%v, %v; want %v", got, ok, tt.want)
			}
		})
	}
	if _, ok := compiledValid(t).RetryDelay(1, 1); ok {
		t.Error("a time node has no retries")
	}
}
