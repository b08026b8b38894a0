package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// report prints the results of the simulation.
func (s *simulation) report(w io.Writer, sum *enginetest.Summary, decided map[string]*decisions) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s leads, %g days from %s, seed %d.\n", printable(s.def.Name), thousands(sum.Leads), s.days,
		s.start.UTC().Format("Mon 2006-01-02 15:04 MST"), s.seed)
	if s.answers == "" {
		b.WriteString("How people answer is made up; --print-answers prints it, and --answers reads your own figures.\n")
	}
	s.reportEnds(&b, sum)
	s.reportNodes(&b, sum, decided)
	s.reportCalls(&b, &sum.Calls)
	if s.rules.any(s.def) {
		s.rules.report(&b)
	}
	fmt.Fprintf(&b, "\nThe paths of the leads, as a Mermaid diagram:\n\n```mermaid\n%s```\n", s.def.MermaidTally(&sum.Tally))
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *simulation) reportEnds(b *strings.Builder, sum *enginetest.Summary) {
	b.WriteString("\nHow the leads ended:\n")
	line := func(name string, n int, note string) {
		text := fmt.Sprintf("  %-15s %9s %7s  %s", name, thousands(n), percent(n, sum.Leads), note)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	for _, outcome := range slices.Sorted(maps.Keys(sum.Outcomes)) {
		note := ""
		switch outcome {
		case lead.OutcomeNoRoute:
			note = "an outcome had no edge"
		case lead.OutcomeStepLimit:
			note = "too many steps; is there a cycle without an end?"
		}
		line(outcome, sum.Outcomes[outcome], note)
	}
	if n := sum.States[lead.Removed]; n > 0 {
		line("removed", n, "")
	}
	left := []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}
	for i, name := range []string{"still waiting", "still in a step", "removal pending"} {
		if n := sum.States[left[i]]; n > 0 {
			line(name, n, "")
		}
	}
	if len(sum.ToConversion) > 0 {
		fmt.Fprintf(b, "\nTime to conversion: half of them within %s (p50), nine of ten within %s (p90).\n",
			spell(enginetest.Percentile(sum.ToConversion, 0.5)), spell(enginetest.Percentile(sum.ToConversion, 0.9)))
	}
}

func (s *simulation) reportNodes(b *strings.Builder, sum *enginetest.Summary, decided map[string]*decisions) {
	if len(sum.Nodes)+len(decided) == 0 {
		return
	}
	b.WriteString("\nResults at each node:\n")
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "  NODE\tTYPE\tVISITS\tATTEMPTS\tOUTCOMES\n")
	actions := sum.Nodes
	for _, node := range s.def.Nodes {
		if d := decided[node.ID]; d != nil && node.Type == workflow.Conditional {
			fmt.Fprintf(table, "  %s\t%s\t%s\t-\t%s\n", node.ID, node.Type, thousands(d.visits), d.shares())
		}
		if !node.Type.Action() {
			continue
		}
		n := actions[0]
		actions = actions[1:]
		over := 0
		for _, count := range n.Outcomes {
			over += count
		}
		names := slices.SortedFunc(maps.Keys(n.Outcomes), func(a, b string) int {
			return cmp.Or(n.Outcomes[b]-n.Outcomes[a], strings.Compare(a, b))
		})
		for i, name := range names {
			names[i] = fmt.Sprintf("%s %s", printable(name), percent(n.Outcomes[name], over))
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", n.ID, n.Type, thousands(n.Visits), thousands(n.Attempts), cmp.Or(strings.Join(names, ", "), "-"))
	}
	table.Flush()
	s.reportDecisions(b, decided)
}

// mostLines is how many lines the table of calls has at most; longer simulations
// have several days on each.
const mostLines = 31

func (s *simulation) reportCalls(b *strings.Builder, c *enginetest.CallSummary) {
	if c.Made == 0 {
		b.WriteString("\nCalls: none.\n")
		return
	}
	fmt.Fprintf(b, "\nCalls: %s, of them %s retries. At most %s at the same time, first on %s.\n",
		thousands(c.Made), thousands(c.Retries), thousands(c.MostAtOnce), c.MostAt.Format("Mon 2006-01-02 15:04:05"))
	days := len(c.AtOncePerDay)
	each := (days + mostLines - 1) / mostLines
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "  from\tcalls\tat once\t\n")
	for first := 0; first < days; first += each {
		calls, atOnce := 0, 0
		for d := first; d < min(first+each, days); d++ {
			for h := d * 24; h < min(d*24+24, len(c.PerHour)); h++ {
				calls += c.PerHour[h]
			}
			atOnce = max(atOnce, c.AtOncePerDay[d])
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t\n", s.start.UTC().Add(time.Duration(first)*day).Format("Mon 2006-01-02 15:04"), thousands(calls), thousands(atOnce))
	}
	table.Flush()
}

// percent is a share for people.
func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// thousands is a number for people.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// spell is a time for people, in its two largest units.
func spell(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.size && i < len(units)-1 {
			continue
		}
		text := fmt.Sprintf("%d%s", d/u.size, u.name)
		if i+1 < len(units) && d%u.size >= units[i+1].size {
			text += fmt.Sprintf(" %d%s", d%u.size/units[i+1].size, units[i+1].name)
		}
		return text
	}
	return ""
}
