package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/spf13/cobra"
)

type limitView struct {
	Channel    string `json:"channel"`
	RateKey    string `json:"rate_key"`
	InFlight   int64  `json:"in_flight"`
	Starts     int64  `json:"starts"`
	PerContact int64  `json:"per_contact"`
	Per        string `json:"per"`
}

func (l limitView) String() string {
	switch {
	case l.InFlight > 0:
		return fmt.Sprintf("%s in flight", thousands(int(l.InFlight)))
	case l.Starts > 0:
		return fmt.Sprintf("%s in %s", count(l.Starts, "start"), l.Per)
	}
	return fmt.Sprintf("%s to a person in %s", count(l.PerContact, "attempt"), l.Per)
}

func (p *program) limitsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "limits [set FILE]", Short: "Show or replace the limits for all workflows",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 2 && args[0] == "set" {
				return nil
			}
			return usage("takes no arguments, or set and a file")
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []cobra.Completion{"set"}, cobra.ShellCompDirectiveNoFileComp
			}
			return workflowFiles()
		},
		Long: `Show the limits that hold for all workflows, or replace them by those in a file of JSON; "-" is standard
input. They are in force when the command returns, and after a restart. The limits of one workflow are
in its definition.

A limit has one of in_flight (attempts at any instant), starts, and per_contact (attempts to one
person); the last two need per, a duration. channel (a node type) and rate_key choose among attempts.`,
		Example: `  leadflow limits
  echo '{"limits": [{"channel": "voice_call", "in_flight": 50}, {"per_contact": 3, "per": "24h"}]}' | leadflow limits set -
  echo '{"limits": []}' | leadflow limits set -        # none`,
	}
	c := newClient(command)
	by := orderFlags(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		r := request{method: http.MethodGet, path: "limits"}
		if len(args) == 2 {
			text, err := p.readInput(args[1])
			if err != nil {
				return err
			}
			r = jsonRequest(http.MethodPut, "limits", trimBOM(text))
			r.query = by.query()
		}
		ctx, stop := p.interruptible(command.Context())
		defer stop()
		var body struct {
			Limits []limitView `json:"limits"`
		}
		text, err := c.do(ctx, r, &body)
		if err != nil || c.json {
			return printJSON(p.stdout, text, err)
		}
		if len(body.Limits) == 0 {
			_, err := fmt.Fprintln(p.stdout, "No limit holds for all workflows.")
			return err
		}
		table := newTable(p.stdout)
		fmt.Fprintln(table, "CHANNEL\tRATE KEY\tAT MOST")
		for _, l := range body.Limits {
			fmt.Fprintf(table, "%s\t%s\t%s\n", cell(l.Channel), cell(l.RateKey), l)
		}
		return table.Flush()
	}
	return command
}

// readInput reads a file; "-" is standard input.
func (p *program) readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(p.stdin)
	}
	text, err := os.ReadFile(name)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%s: %w", name, failed.Err)
	}
	return text, err
}
