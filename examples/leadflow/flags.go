package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

// doubleDashes replaces the single dash of flags, as in -db leads.db, by the two that
// the flag library requires. It changes only known flags of more than one letter, and
// neither their values nor arguments after "--".
func doubleDashes(root *cobra.Command, args []string) []string {
	known := map[string]*pflag.Flag{"version": {NoOptDefVal: "true"}, "help": {NoOptDefVal: "true"}}
	add := func(f *pflag.Flag) { known[f.Name] = f }
	root.PersistentFlags().VisitAll(add)
	for _, c := range root.Commands() {
		c.Flags().VisitAll(add)
	}
	out := slices.Clone(args)
	if out == nil {
		out = []string{} // with nil the library would take the process's own
	}
	for i := 0; i < len(out) && out[i] != "--"; i++ {
		name, dashed := strings.CutPrefix(out[i], "-")
		name = strings.TrimPrefix(name, "-")
		name, _, hasValue := strings.Cut(name, "=")
		flag := known[name]
		if !dashed || flag == nil || len(name) < 2 {
			continue
		}
		if !strings.HasPrefix(out[i], "--") {
			out[i] = "-" + out[i]
		}
		if !hasValue && flag.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return out
}

// secret ends the usage of a flag whose value should not be on a command line, where
// other users of the machine can read it.
const secret = "; prefer the environment variable"

// duration is a flag such as 30s. Unlike the library's own it says what to write
// when the unit is missing.
type duration time.Duration

func (d *duration) String() string { return workflow.Duration(*d).String() }

// Type is the name of the type in the help.
func (d *duration) Type() string { return "duration" }

// Set reads a duration.
func (d *duration) Set(text string) error {
	value, err := workflow.ParseDuration(text)
	if err == nil {
		*d = duration(value)
	}
	return err
}

// list is a flag that may be given several times, or once with commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Type names the kind of value.
func (l *list) Type() string { return "list" }

// Set adds to the list.
func (l *list) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// size is a flag in bytes, written as 1000, 64K, 64MiB or 2G.
type size int64

var sizeUnits = []struct {
	letter string
	bytes  int64
}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}}

func (s *size) String() string {
	for _, unit := range sizeUnits {
		if n := int64(*s); n > 0 && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.letter + "iB"
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type names the kind of value.
func (s *size) Type() string { return "size" }

// Set reads a size.
func (s *size) Set(text string) error {
	number, factor := strings.ToUpper(strings.TrimSpace(text)), int64(1)
	for _, unit := range sizeUnits {
		for _, name := range []string{unit.letter + "IB", unit.letter + "B", unit.letter} {
			if before, ok := strings.CutSuffix(number, name); ok && factor == 1 {
				number, factor = strings.TrimSpace(before), unit.bytes
			}
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("invalid size %q; write one such as 1000000 or 64MiB", text)
	}
	*s = size(n * factor)
	return nil
}

// choice is a flag with a fixed set of values.
type choice struct {
	value  string
	values []string
}

func (c *choice) String() string { return c.value }

// Type names the values, for the help.
func (c *choice) Type() string { return strings.Join(c.values, "|") }

// Set takes one of the values.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.values, text) {
		return fmt.Errorf("must be one of %s", strings.Join(c.values, ", "))
	}
	c.value = text
	return nil
}

// choiceVar adds a flag with a fixed set of values, which the shell completes too.
func choiceVar(command *cobra.Command, c *choice, name, usage string) {
	command.Flags().Var(c, name, usage)
	completeFlag(command, name, c.values)
}

func completeFlag(command *cobra.Command, name string, values []string) {
	err := command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag was defined just now
	}
}

// wants is a command's check of its arguments: from least to most of them, as
// needs says.
func wants(least, most int, needs string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) >= least && len(args) <= most:
			return nil
		case len(args) == 0:
			return usage("%s", needs)
		}
		return usage("%s, and got %q", needs, args)
	}
}

var noArguments = wants(0, 0, "takes no arguments")
