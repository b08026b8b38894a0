package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// parsed is a flag that keeps its error until all flags are read, so that the message
// can say what to write, unlike the flag library's.
type parsed[T any] struct {
	to     *T
	parse  func(text string) (T, error)
	print  func(T) string
	wanted string // such as "is not a duration; write one such as 120h"
	fault  error
}

// String implements pflag.Value, of a zero value too.
func (p *parsed[T]) String() string {
	if p.to == nil {
		return ""
	}
	return p.print(*p.to)
}

// Type implements pflag.Value.
func (p *parsed[T]) Type() string { return "value" }

// Set implements pflag.Value. A later value replaces one that was wrong.
func (p *parsed[T]) Set(text string) error {
	value, err := p.parse(text)
	if p.fault = nil; err != nil {
		p.fault = fmt.Errorf("%q %s", text, p.wanted)
		return nil
	}
	*p.to = value
	return nil
}

// figures are the flags of a simulation that are numbers or times.
type figures []func() error

func figure[T any](all *figures, f *pflag.FlagSet, to *T, name, usage, wanted string, parse func(string) (T, error), print func(T) string) {
	value := &parsed[T]{to: to, parse: parse, print: print, wanted: wanted}
	f.Var(value, name, usage)
	*all = append(*all, func() error {
		if value.fault == nil {
			return nil
		}
		return fmt.Errorf("--%s: %w", name, value.fault)
	})
}

// define adds the flags.
func (all *figures) define(f *pflag.FlagSet, s *simulation) {
	figure(all, f, &s.leads, "leads", "the `number` of leads that go through it", "is not a whole number; write one such as 1000",
		strconv.Atoi, strconv.Itoa)
	figure(all, f, &s.days, "days", "end after this `number` of days", "is not a number; write one such as 30 or 0.5",
		func(text string) (float64, error) { return strconv.ParseFloat(text, 64) },
		func(days float64) string { return strconv.FormatFloat(days, 'g', -1, 64) })
	figure(all, f, &s.seed, "seed", "the `number` from which all random choices are derived",
		"is not a whole number; write one from 0 to 18446744073709551615",
		func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) },
		func(seed uint64) string { return strconv.FormatUint(seed, 10) })
	figure(all, f, &s.start, "start", "the `time` at which it begins", "is not a time; write one such as 2026-01-01T09:00:00Z",
		func(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) },
		func(start time.Time) string { return start.Format(time.RFC3339) })
	figure(all, f, &s.enrollOver, "enroll-over",
		"enroll the leads evenly over this `duration`, such as 120h; 0 enrolls all at the start, as import does",
		"is not a duration; write one such as 120h or 30m", time.ParseDuration, time.Duration.String)
}

// check returns all of their errors.
func (all figures) check() error {
	var faults []error
	for _, fault := range all {
		faults = append(faults, fault())
	}
	if err := errors.Join(faults...); err != nil {
		return usage("%w", err)
	}
	return nil
}
