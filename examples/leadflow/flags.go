package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// flags is a command's flag set. Each flag that the command line does not have
// is taken from the environment: -some-name from LEADFLOW_SOME_NAME; those in
// only are not.
type flags struct {
	*flag.FlagSet
	command command
	env     func(name string) string
	only    []string
}

func newFlags(c command, env func(name string) string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(c.name, flag.ContinueOnError), command: c, env: env}
	f.SetOutput(io.Discard) // the caller says what is wrong
	return f
}

// envName is the environment variable that stands for a flag.
func envName(flag string) string {
	return "LEADFLOW_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parse sets the flags and returns the arguments that are none. Flags may stand
// before, between and after them; -- ends the flags.
func (f *flags) parse(args []string) (rest []string, err error) {
	f.VisitAll(func(fl *flag.Flag) {
		if value := f.env(envName(fl.Name)); value != "" && err == nil && !slices.Contains(f.only, fl.Name) {
			if fail := f.Set(fl.Name, value); fail != nil {
				err = usage("%s: %v", envName(fl.Name), fail)
			}
		}
	})
	// Parsed even so, because a wrong variable must not stand in the way of -h.
	for {
		if fail := f.FlagSet.Parse(args); fail != nil {
			if fail == flag.ErrHelp {
				return nil, fail
			}
			return nil, usage("%v", fail)
		}
		parsed := args[:len(args)-f.NArg()]
		if f.NArg() == 0 || len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			return append(rest, f.Args()...), err
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
}

// secret marks the usage of a flag whose value should not be on a command line,
// where other users of the machine can read it.
const secret = "; better given as the environment variable"

func (f *flags) printHelp(w io.Writer) {
	fmt.Fprintf(w, "Usage: leadflow %s\n\n%s%s.\n", join(f.command.name, "[flags]", f.command.args),
		strings.ToUpper(f.command.summary[:1]), f.command.summary[1:])
	if f.command.details != "" {
		fmt.Fprintf(w, "\n%s\n", f.command.details)
	}
	first := true
	f.VisitAll(func(fl *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nFlags, and the environment variables that stand for them:\n")
			first = false
		}
		value, text := flag.UnquoteUsage(fl)
		fmt.Fprintf(w, "\n  %s\n      %s", join("-"+fl.Name, value), text)
		if fl.DefValue != "" && fl.DefValue != "false" {
			fmt.Fprintf(w, " (default %s)", fl.DefValue)
		}
		name := envName(fl.Name)
		if slices.Contains(f.only, fl.Name) {
			name = "on the command line only"
		}
		fmt.Fprintf(w, "\n      %s\n", name)
	})
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// list is a flag that may be given several times, or once with commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

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
		return fmt.Errorf("%q is no size; write one such as 1000000 or 64MiB", text)
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

// Set takes one of the values.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.values, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(c.values, ", "))
	}
	c.value = text
	return nil
}
