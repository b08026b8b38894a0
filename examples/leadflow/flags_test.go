package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestASingleDashIsTakenForTwo(t *testing.T) {
	root := (&program{}).root()
	for args, want := range map[string]string{
		"":                                  "",
		"serve":                             "serve",
		"serve -db leads.db":                "serve --db leads.db",
		"serve -db=leads.db":                "serve --db=leads.db",
		"serve --db leads.db -addr :0":      "serve --db leads.db --addr :0",
		"-config x.toml list -json":         "--config x.toml list --json",
		"remove -reason -json a b":          "remove --reason -json a b", // the value of a flag
		"remove --reason -json a -wait=1s":  "remove --reason -json a --wait=1s",
		"list -json -limit -1":              "list --json --limit -1",
		"list -json=true -status x":         "list --json=true --status x",
		"show -- -json":                     "show -- -json",
		"enroll a -metadata -- -json":       "enroll a --metadata -- --json", // -- is a value here
		"serve -h":                          "serve -h",
		"serve -help":                       "serve --help",
		"-version":                          "--version",
		"serve -nonsense -db x":             "serve -nonsense --db x",
		"serve - -db":                       "serve - --db",
		"simulate -leads 7 -print-answers":  "simulate --leads 7 --print-answers",
		"__complete list -status ":          "__complete list --status ",
		"enroll a +14155552671 -metadata x": "enroll a +14155552671 --metadata x",
	} {
		given := strings.Split(args, " ")
		before := slices.Clone(given)
		if got := strings.Join(doubleDashes(root, given), " "); got != want {
			t.Errorf("%q becomes %q, want %q", args, got, want)
		}
		if !slices.Equal(given, before) {
			t.Errorf("%q: the arguments themselves were changed", args)
		}
	}
	if got := doubleDashes(root, nil); got == nil {
		t.Error("no arguments become nil, for which the library takes those of the process")
	}
}

// The rewriting above goes by a flag's name alone.
func TestAFlagTakesAValueInEveryCommandOrInNone(t *testing.T) {
	takes := map[string]bool{}
	for _, c := range (&program{}).root().Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			value := f.NoOptDefVal == ""
			if before, seen := takes[f.Name]; seen && before != value {
				t.Errorf("--%s takes a value in some commands and none in others", f.Name)
			}
			takes[f.Name] = value
			if f.Shorthand != "" && f.Name != "help" || len(f.Name) < 2 {
				t.Errorf("--%s has a short form, which a single dash could be taken for", f.Name)
			}
		})
	}
}
