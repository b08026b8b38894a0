package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certain is a workflow in which, with certainAnswers, nothing is left to chance
// but how long a call lasts, and that is a minute always: everybody is called, a
// third of the people are no customers, and those who are get an offer.
const certain = `{
  "name": "Certain <things>", "entry": "call",
  "nodes": [
    {"id": "call", "type": "voice_call", "retry": {"max_attempts": 2, "delay": "30m"}},
    {"id": "rest", "type": "time", "config": {"duration": "48h"}},
    {"id": "rich", "type": "conditional", "config": {"expression": "metadata.plan == \"pro\" and steps.call.data.score > 5"}},
    {"id": "offer", "type": "message"},
    {"id": "more", "type": "application"},
    {"id": "won", "type": "converted"}
  ],
  "edges": [
    {"from": "call", "label": "completed", "to": "rest"},
    {"from": "rest", "to": "rich"},
    {"from": "rich", "label": "true", "to": "offer"},
    {"from": "offer", "label": "sent", "to": "more"},
    {"from": "more", "label": "success", "to": "won"}
  ]
}`

const certainAnswers = `{
  "nodes": {
    "call": {"outcomes": {"completed": 1}, "fails": 0, "lasts": ["1m", "1m"], "data": {"score": [8]}},
    "offer": {"outcomes": {"sent": 1}, "fails": 0, "lasts": ["1s", "1s"]},
    "more": {"outcomes": {"thanks, no": 1}, "fails": 0, "lasts": ["0s", "0s"]}
  },
  "remove_on": ["thanks, no"],
  "metadata": {"plan": ["pro"]}
}`

// files writes files into a new directory, which it returns with a / behind it.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir() + "/"
	for name, text := range texts {
		write(t, dir+name, text)
	}
	return dir
}

// simulate runs the real command and returns what it printed.
func simulate(t *testing.T, args ...string) string {
	t.Helper()
	out, stderr, code := runBinary(t, nil, append([]string{"simulate"}, args...)...)
	if code != 0 || stderr != "" {
		t.Fatalf("%q: exit code %d\n%s%s", args, code, out, stderr)
	}
	return out
}

func TestSimulateReportsWhatAnOperatorWants(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": certain, "answers.json": certainAnswers})
	got := simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"answers.json", "-leads", "1200", "-days", "7", "-enroll-over", "48h")
	want := `Certain <things>: 1,200 leads, 7 days from Mon 2030-01-07 09:00 UTC, seed 1.

How the leads ended:
  removed             1,200  100.0%

Results at each node:
  NODE   TYPE         VISITS  ATTEMPTS  OUTCOMES
  call   voice_call   1,200   1,200     completed 100.0%
  rich   conditional  1,200   -         true 100.0%, false 0.0%
  offer  message      1,200   1,200     sent 100.0%
  more   application  1,200   1,200     thanks, no 100.0%

rich was true at all 1,200 visits; it reads metadata.plan and steps.call.data.score: give values under "metadata" and "nodes.call.data" in the --answers file.

Calls: 1,200, of them 0 retries. At most 1 at the same time, first on Mon 2030-01-07 09:00:00.
                    from  calls  at once
    Mon 2030-01-07 09:00    600        1
    Tue 2030-01-08 09:00    600        1

The paths of the leads, as a Mermaid diagram:

` + "```" + `mermaid
flowchart TD
    n0["call<br/>voice_call"]
    n1(["rest<br/>time"])
    n2{"rich<br/>conditional"}
    n3["offer<br/>message"]
    n4["more<br/>application<br/>1200 leads"]
    n5((("won<br/>converted")))
    start(( ))
    start -->|"1200"| n0
    n0 -->|"completed<br/>1200"| n1
    n1 -->|"1200"| n2
    n2 -->|"true<br/>1200"| n3
    n3 -->|"sent<br/>1200"| n4
    n4 -->|"success<br/>0"| n5
` + "```\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Everything else that a lead can come to.
	answers := strings.NewReplacer(`["pro"]`, `["pro", "basic"]`, `"remove_on": ["thanks, no"],`, "", `{"thanks, no": 1}, "fails": 0`, `{"success": 3}, "fails": 25`,
		`"call": {"outcomes": {"completed": 1}, "fails": 0`, `"call": {"fails": 50, "lost": 10`).Replace(certainAnswers)
	write(t, dir+"answers.json", answers)
	got = simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"answers.json", "-leads", "1200", "-days", "2.03", "-enroll-over", "1h")
	for _, want := range []string{
		"  converted  ", "  no_route  ", "  an outcome had no edge\n", "  still waiting  ",
		"Time to conversion: half of them within 2d (p50), nine of ten within 2d (p90).\n", "failed 3", "failure 2", "success 7",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if short := simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"answers.json", "-days", "0.02"); !strings.Contains(short, "  still in a step  ") {
		t.Errorf("nobody is in a step after half an hour:\n%s", short)
	}
}

func TestSimulateIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": certain})
	args := []string{"-workflow", dir + "wf.json", "-leads", "500", "-enroll-over", "200h", "-picture"}
	first, again := simulate(t, append(args, dir+"1.svg")...), simulate(t, append(args, dir+"2.svg")...)
	if strings.ReplaceAll(first, "1.svg", "2.svg") != again {
		t.Errorf("%s\nand then\n%s", first, again)
	}
	if one, two := read(t, dir+"1.svg"), read(t, dir+"2.svg"); one != two {
		t.Error("the pictures differ")
	}
	if other := simulate(t, append(args, dir+"1.svg", "-seed", "2")...); strings.ReplaceAll(other, "seed 2", "seed 1") == first {
		t.Error("another seed gives the same")
	}
	if !strings.Contains(first, "How people answer is made up") {
		t.Errorf("it does not say that answers are made up:\n%s", first)
	}
}

// What import takes for a file must not be taken for a number.
func TestSimulateLeavesTheVariablesOfImportAlone(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": certain})
	for _, value := range []string{"leads.csv", "7"} {
		out, stderr, code := runBinary(t, []string{"LEADFLOW_LEADS=" + value, "LEADFLOW_DAYS=3"}, "simulate", "-workflow", dir+"wf.json")
		if code != 0 || !strings.HasPrefix(out, "Certain <things>: 1,000 leads, 3 days ") {
			t.Errorf("%s: exit code %d\n%s%s", value, code, out, stderr)
		}
	}
	help := simulate(t, "-h")
	if strings.Contains(help, "LEADFLOW_LEADS") || !strings.Contains(help, "[no variable]") {
		t.Errorf("the help is\n%s", help)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What -print-answers prints is what is used without -answers.
func TestSimulateTakesTheAnswersThatItPrints(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": definition(newProvider(t), time.Hour)})
	printed := simulate(t, "-workflow", dir+"wf.json", "-print-answers")
	var answers struct {
		Nodes map[string]struct{ Outcomes map[string]float64 }
	}
	if err := json.Unmarshal([]byte(printed), &answers); err != nil || len(answers.Nodes["call"].Outcomes) < 2 {
		t.Fatalf("%v: %s", err, printed)
	}
	write(t, dir+"answers.json", printed)
	madeUp, taken := simulate(t, "-workflow", dir+"wf.json"), simulate(t, "-workflow", dir+"wf.json", "-answers", dir+"answers.json")
	lines := strings.SplitN(madeUp, "\n", 3)
	if want := lines[0] + "\n" + lines[2]; taken != want {
		t.Errorf("%s\nwant\n%s", taken, want)
	}
}

func TestSimulateNamesEveryFault(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"wf.json":  certain,
		"bad.json": `{"name": "", "entry": "x", "nodes": [{"id": "call", "type": "phone"}, {"id": "w", "type": "time", "config": {"duration": "2d"}}], "edges": []}`,
		"no.json":  `{"name": `,
		"answers.json": `{"nodes": {
			"cal": {}, "rest": {"fails": 1},
			"call": {"outcomes": {"a": -1, "": 0}, "fails": 101, "lost": -1, "lasts": ["2m", "1m"], "data": {"x": []}},
			"offer": {"fail": 3, "outcomes": {"snet": 5, "sent": "often"}},
			"more": {"lasts": ["1d", 2], "lost": "3%", "outcomes": {"success": 0}, "data": {"y": 5}, "data": {}}},
			"metadata": {"plan": []}, "remove_on": ["stpo", 5]}`,
		"list.json": `[]`, "more.json": `{"nodes": {"call": 5, "more": null}, "remove_on": "stop", "metadata": 5}`,
		"what.json": "{\n\"node\": {}}", "two.json": "{}\n {}", "empty.json": "\n",
	})
	for _, c := range []struct {
		args  string
		code  int
		wants []string
	}{
		{"", exitUsage, []string{"needs --workflow", "See leadflow help simulate."}},
		{"-workflow wf.json more", exitUsage, []string{`takes no arguments, and got ["more"]`}},
		{"wf.json", exitUsage, []string{"takes no arguments, and got [", "; did you mean --workflow "}},
		{"-workflow wf.json -leads 0", exitUsage, []string{"-leads must be 1 or more"}},
		{"-workflow wf.json -days 0", exitUsage, []string{"-days must be more than 0, and at most 3650"}},
		{"-workflow wf.json -days NaN", exitUsage, []string{"-days must be"}},
		{"-workflow wf.json -days 4000", exitUsage, []string{"-days must be"}},
		{"-workflow wf.json -days 1 -enroll-over 25h", exitUsage, []string{"-enroll-over must be a time from 0 to the 1 days"}},
		{"-workflow wf.json -picture calls.png", exitUsage, []string{"name a file that ends in .svg"}},
		{"-workflow wf.json -progress sometimes", exitUsage, []string{`"sometimes" must be one of auto, always, never`}},
		{"-workflow wf.json -start tomorrow", exitUsage, []string{`-start: "tomorrow" is not a time; write one such as 2026-01-01T09:00:00Z`}},
		{"-workflow wf.json -seed abc -leads 1e3 -days ten -enroll-over 5d", exitUsage, []string{
			`-seed: "abc" is not a whole number; write one from 0 to 18446744073709551615`, `-leads: "1e3" is not a whole number; write one such as 1000`,
			`-days: "ten" is not a number; write one such as 30 or 0.5`, `-enroll-over: "5d" is not a duration; write one such as 120h or 30m`,
		}},
		{"-workflow wf.json -start 1969-01-01T00:00:00Z", exitUsage, []string{"between the years 1970 and 2200"}},
		{"-workflow wf.json -picture none/calls.svg", exitFailed, []string{"none/calls.svg", "no such file"}},
		{"-workflow none.json", exitFailed, []string{"-workflow ", "none.json: there is no such file; see leadflow help simulate"}},
		{"-workflow bad.json", exitFailed, []string{
			"bad.json: the workflow is not valid", "\n  name: ", "\n  nodes[0].type: ", "\n  nodes[1].config.duration: ", `write "48h"`,
		}},
		{"-workflow no.json", exitFailed, []string{"no.json: "}},
		{"-workflow wf.json -answers none.json", exitFailed, []string{"-answers ", "none.json: there is no such file; see leadflow help simulate"}},
		{"-workflow wf.json -answers what.json", exitFailed, []string{"\n  line 2, node: unknown field; must be one of nodes, remove_on, metadata"}},
		{"-workflow wf.json -answers two.json", exitFailed, []string{"\n  line 2, column 2: is not JSON: ", "--print-answers prints an example"}},
		{"-workflow wf.json -answers empty.json", exitFailed, []string{": is empty; --print-answers prints"}},
		{"-workflow wf.json -answers list.json", exitFailed, []string{"\n  line 1: must be an object, such as --print-answers prints, not an array"}},
		{"-workflow wf.json -answers more.json", exitFailed, []string{
			"\n  line 1, nodes.call: must be an object, such as ", "not the number 5", `line 1, remove_on: must be an array, such as ["stop"], not the string "stop"`,
			"\n  line 1, metadata: must be an object",
		}},
		{"-workflow wf.json -answers answers.json", exitFailed, []string{
			"answers.json: the file of answers is not valid", "\n  line 2, nodes.cal: the workflow has no such action node; it has call, more, offer",
			"\n  line 2, nodes.rest: the workflow has no such", "\n  line 3, nodes.call.outcomes.a: must not be negative", "\n  line 3, nodes.call.outcomes.: must have a name",
			"\n  line 3, nodes.call.fails: is a percentage", "\n  line 3, nodes.call.lost: is a percentage, a number from 0 to 100, not the number -1",
			"\n  line 3, nodes.call.lasts: must be the shortest", "\n  line 3, nodes.call.data.x: needs at least one value",
			"\n  line 3, nodes.call.outcomes.a: neither an edge of the node, nor a condition, nor remove_on names this outcome; they name completed, failed",
			"\n  line 4, nodes.offer.fail: unknown field; must be one of outcomes, fails, lost, lasts, data",
			"\n  line 4, nodes.offer.outcomes.snet: neither an edge", "they name failure, sent, success",
			`line 4, nodes.offer.outcomes.sent: must be a number, such as 50, not the string "often"`,
			"\n  line 5, nodes.more.lasts[0]: ", `write "24h"`, "\n  line 5, nodes.more.lasts[1]: invalid duration 2; it has no unit",
			`line 5, nodes.more.lost: is a percentage, a number from 0 to 100, not the string "3%"`,
			"\n  line 5, nodes.more.outcomes: needs an outcome", "\n  line 5, nodes.more.data.y: must be an array",
			"\n  line 5, nodes.more.data: duplicate field; the first is in line 5",
			"\n  line 6, metadata.plan: needs at least one value", `line 6, remove_on[0]: no node has the outcome "stpo"; must be one of completed, `,
			`line 6, remove_on[1]: must be an outcome, such as "stop", not the number 5`,
		}},
	} {
		args := strings.Fields(regexp.MustCompile(`\b([a-z]+\.json|none/)`).ReplaceAllString(c.args, dir+"$1"))
		out, stderr, code := runBinary(t, nil, append([]string{"simulate"}, args...)...)
		if code != c.code || out != "" || !strings.HasPrefix(stderr, "leadflow simulate: ") {
			t.Errorf("%s: exit code %d, %s%s", c.args, code, out, stderr)
		}
		for _, want := range c.wants {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: no %q in %s", c.args, want, stderr)
			}
		}
	}
}

func TestSimulateShowsProgressWhenAsked(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": certain})
	quiet := simulate(t, "-workflow", dir+"wf.json") // fails if anything is on standard error
	if never := simulate(t, "-workflow", dir+"wf.json", "-progress", "never"); never != quiet {
		t.Errorf("%s\nwant\n%s", never, quiet)
	}
	out, bar, code := runBinary(t, nil, "simulate", "-workflow", dir+"wf.json", "-progress", "always")
	if code != 0 || out != quiet {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, out, quiet)
	}
	if !strings.HasPrefix(bar, "\r\x1b[KSimulating [") || !regexp.MustCompile(`#\] 100%  day \d+ of 30, [0-9,]+ attempts\n$`).MatchString(bar) {
		t.Errorf("%q", bar)
	}
}

func TestSimulateStopsAtASignal(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"wf.json": `{
		"name": "For ever", "entry": "call",
		"nodes": [{"id": "call", "type": "voice_call"}, {"id": "rest", "type": "time", "config": {"duration": "1h"}}],
		"edges": [{"from": "call", "label": "default", "to": "rest"}, {"from": "rest", "to": "call"}]}`})
	for name, until := range map[string]struct{ args, bar string }{
		"enrolling":  {"-leads 5000000", "leads enrolled"},
		"simulating": {"-leads 100 -days 3650", "attempts"},
	} {
		t.Run(name, func(t *testing.T) { stopSimulation(t, dir, until.args, until.bar) })
	}
}

// stopSimulation sends SIGINT when the progress bar says so. The picture of the
// last run stays.
func stopSimulation(t *testing.T, dir, args, bar string) {
	t.Helper()
	pictures := files(t, map[string]string{"calls.svg": "the last one"})
	args += " -picture " + pictures + "calls.svg"
	args = "simulate -progress always -workflow " + dir + "wf.json " + args
	cmd := exec.CommandContext(limited(t), binary, strings.Fields(args)...)
	cmd.Env = environ()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	for text := ""; !strings.Contains(text, bar); {
		if text, err = said.ReadString('\r'); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(said)
	_ = cmd.Wait() // its exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(string(rest), "leadflow simulate: stopped by interrupt") {
		t.Errorf("exit code %d: %s", code, rest)
	}
	onlyPicture(t, pictures, "the last one")
}

// The README's command prints what the README shows.
func TestREADMEsSimulationIsReal(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	_, workflow, ok := strings.Cut(readme, `"$API/workflows" -d '`)
	workflow, _, _ = strings.Cut(workflow, `' | tee`)
	_, shown, found := strings.Cut(readme, "$ leadflow simulate ")
	command, shown, _ := strings.Cut(shown, "\n")
	shown, _, closed := strings.Cut(shown, "…\n")
	if !ok || !found || !closed {
		t.Fatal("the README has no workflow, or no simulation")
	}
	dir := files(t, map[string]string{"workflow.json": workflow})
	args := strings.Fields(command)
	for i, a := range args {
		if strings.Contains(a, ".") && !strings.HasPrefix(a, "-") {
			args[i] = filepath.Join(dir, a)
		}
	}
	if got := simulate(t, args...); !strings.HasPrefix(got, shown) {
		t.Errorf("it prints\n%s\nand the README shows\n%s", got, shown)
	}
	_, answers, ok := strings.Cut(readme, "```json\n")
	answers, _, closed = strings.Cut(answers, "```")
	if !ok || !closed {
		t.Fatal("the README has no answers")
	}
	write(t, dir+"answers.json", answers)
	if got := simulate(t, "-workflow", dir+"workflow.json", "-answers", dir+"answers.json"); !strings.Contains(got, "  removed  ") {
		t.Errorf("nobody said stop:\n%s", got)
	}
}

func TestFiguresAreWrittenForPeople(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m 30s", time.Hour: "1h", 25*time.Hour + time.Second: "1d 1h", 48*time.Hour + time.Minute: "2d",
	} {
		if got := spell(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for least, want := range map[float64]float64{0.2: 1, 1: 1, 1.1: 2, 2.1: 5, 6: 10, 11: 20, 200001: 500000} {
		if got := niceStep(least); got != want {
			t.Errorf("%g: %g, want %g", least, got, want)
		}
	}
	if percent(1, 3) != "33.3%" || percent(0, 0) != "-" {
		t.Errorf("%s, %s", percent(1, 3), percent(0, 0))
	}
	for hours, want := range map[int]string{1: "1 hours", 36: "5 hours", 48: "5 hours", 49: "24 days", 720: "48 days", 8760: "1200 days"} {
		every, unit := timeStep(hours)
		if got := strconv.Itoa(every) + " " + unit; got != want {
			t.Errorf("%d hours: %s, want %s", hours, got, want)
		}
	}
}
